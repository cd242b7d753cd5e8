"""The settings of MCP servers: the operator's own, and those that callers name by address."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from typing import Annotated, Literal
from urllib.parse import urlsplit

from msgspec import Meta

from antiphon.config_base import SECRET, SecondsAboveZero, Secret, Section

HOSTED = (
    "web_search",
    "web_search_2025_08_26",
    "web_search_preview",
    "web_search_preview_2025_03_11",
    "file_search",
    "code_interpreter",
    "image_generation",
)
"""Tool types of the API that its vendor runs, which a server's tool may stand in for."""

_HOST = re.compile(r"(?=.*[a-zA-Z])(\*\.)?[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9.])?\Z")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")

_Bytes = Annotated[
    int,
    Meta(
        ge=1_024,
        le=67_108_864,
        description="Longest answer of a server, in bytes; a longer one is an error.",
    ),
]
_Connect = Annotated[
    SecondsAboveZero, Meta(description="Limit for reaching a server and its handshake.")
]
_List = Annotated[SecondsAboveZero, Meta(description="Limit for the list of its tools.")]
_Call = Annotated[SecondsAboveZero, Meta(description="Longest call; then it failed.")]


class McpSettings(Secret, frozen=True, kw_only=True):
    """An MCP server of yours. A request's `mcp` tool uses it by its `server_label`, without a
    `server_url`. The key, if any, goes along as a bearer token. Private addresses are allowed.
    """

    label: Annotated[
        str,
        Meta(pattern=r"^[A-Za-z0-9_-]{1,64}$", description="The `server_label` of requests."),
    ]
    url: Annotated[
        str | None, Meta(description="Where it is, `http` or `https`; or `command`, not both.")
    ] = None
    transport: Annotated[
        Literal["auto", "streamable_http", "sse"],
        Meta(description="`auto`: streamable HTTP, and SSE for servers that do not know it."),
    ] = "auto"
    headers: Annotated[
        dict[str, str], Meta(description="Headers to add to every request.", extra=SECRET)
    ] = {}
    caller_headers: Annotated[
        bool,
        Meta(
            description="Requests may add their own `authorization` and `headers`; those above "
            "stay as they are. Off: such a request is refused."
        ),
    ] = False
    command: Annotated[
        str | None,
        Meta(description="Program that speaks MCP on its standard input and output; kept running."),
    ] = None
    args: Annotated[list[str], Meta(description="Its arguments.")] = []
    env: Annotated[
        dict[str, str],
        Meta(description="Variables of its environment, besides `PATH` and `HOME`.", extra=SECRET),
    ] = {}
    env_passed: Annotated[
        list[str],
        Meta(description="Names of variables of this server's environment it gets as well."),
    ] = []
    directory: Annotated[
        str | None, Meta(description="Directory it runs in; unset: this server's.")
    ] = None
    description: Annotated[
        str | None,
        Meta(description="What it is for, for requests whose tool has no `server_description`."),
    ] = None
    allowed_tools: Annotated[
        list[str],
        Meta(description="The tools requests may use; empty: all. A request may narrow it."),
    ] = []
    require_approval: Annotated[
        Literal["always", "never", "unless_read_only"],
        Meta(
            description="For requests that do not say. `unless_read_only`: for tools the server "
            "does not call read-only."
        ),
    ] = "always"
    projects: Annotated[
        list[str], Meta(description="Projects that may use it; empty: all of them.")
    ] = []
    presents: Annotated[
        dict[str, str],
        Meta(
            description="Hosted tool type → tool of this server that stands in for it, such as "
            '`{ web_search = "search" }`: a request\'s `{"type": "web_search"}` is served by it.'
        ),
    ] = {}
    repeatable: Annotated[
        bool,
        Meta(
            description="A call may be made again when the process that made it died before it "
            "had an answer; off: only of tools the server calls read-only or idempotent, otherwise "
            "the model is told that the outcome is unknown."
        ),
    ] = False
    connect_seconds: _Connect = 15.0
    list_seconds: _List = 20.0
    call_seconds_max: _Call = 120.0
    answer_bytes_max: _Bytes = 1_048_576

    def __post_init__(self) -> None:
        Secret.__post_init__(self)
        if (self.url is None) == (self.command is None):
            raise ValueError("one of url and command must be set, not both")
        if self.url is not None:
            parts = urlsplit(self.url)
            if parts.scheme not in ("http", "https") or not parts.hostname:
                raise ValueError("url must look like http://HOST:PORT/PATH")
        elif self.headers or self.caller_headers or self.transport != "auto":
            raise ValueError("headers, caller_headers and transport are for a server with a url")
        elif self.key is not None or self.key_env is not None or self.key_file is not None:
            raise ValueError("a key is for a server with a url; use env or env_passed")
        if self.command is None and (self.args or self.env or self.env_passed or self.directory):
            raise ValueError("args, env, env_passed and directory are for a server with a command")
        for name in (*self.env, *self.env_passed):
            if not _VARIABLE.match(name):
                raise ValueError("env and env_passed take names of environment variables")
        for kind in self.presents:
            if kind not in HOSTED:
                raise ValueError("presents takes " + ", ".join(HOSTED))

    def all_headers(self, added: Mapping[str, str]) -> dict[str, str]:
        """The headers for the server: ``added``, then those of the settings, whatever their case.
        Raises ``ValueError`` if the key cannot be read."""
        headers = {name.lower(): value for name, value in added.items()}
        secret = self.secret()
        if secret is not None:
            headers["authorization"] = f"Bearer {secret}"
        headers.update({name.lower(): value for name, value in self.headers.items()})
        return headers


class RemoteMcpSettings(Section, frozen=True, kw_only=True):
    """MCP servers that requests name by `server_url`."""

    enabled: Annotated[bool, Meta(description="Off: a request with a `server_url` is refused.")] = (
        True
    )
    allowed: Annotated[
        list[str],
        Meta(
            description="Private places servers may be at all the same: networks and addresses "
            "(`10.1.0.0/16`, `127.0.0.1`), or host names (`tools.internal`, `*.svc.internal`). "
            "Without it only public addresses are reached."
        ),
    ] = []
    connect_seconds: _Connect = 15.0
    list_seconds: _List = 20.0
    call_seconds_max: _Call = 120.0
    answer_bytes_max: _Bytes = 1_048_576

    def __post_init__(self) -> None:
        for entry in self.allowed:
            if not _HOST.match(entry):
                try:
                    ipaddress.ip_network(entry, strict=False)
                except ValueError:
                    raise ValueError("allowed takes networks, addresses and host names") from None


def doubled(servers: tuple[McpSettings, ...]) -> str | None:
    """What two servers claim both, as a sentence; None if all is clear."""
    labels: set[str] = set()
    kinds: dict[str, str] = {}
    for one in servers:
        if one.label in labels:
            return f"two servers have the label '{one.label}'"
        labels.add(one.label)
        for kind in one.presents:
            if kind in kinds:
                return f"'{kinds[kind]}' and '{one.label}' both present '{kind}'"
            kinds[kind] = one.label
    return None
