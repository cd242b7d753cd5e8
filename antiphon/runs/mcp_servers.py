"""The MCP servers a request names, checked: where they are, and what of them may be used.

A server is named by an address, or by the label of one the operator configured. A configured
server may also stand in for a tool type that the API's vendor runs (``presents``): then the
request's tool of that type is one tool of the server, whose calls nobody has to approve.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from msgspec import Struct

from antiphon.addresses import Guard, literal
from antiphon.config_mcp import McpSettings, RemoteMcpSettings
from antiphon.errors import ClientError
from antiphon.tools.mcp_base import McpListed, McpPlace, McpServers
from antiphon.types.base import given
from antiphon.types.tools import HostedTool, McpApprovals, McpFilter, McpTool

Declared = tuple[str, McpTool | HostedTool]
"""Where in the request a tool stands, and the tool."""

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+\Z")
_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*\Z")
_OURS = frozenset(
    {
        "accept",
        "accept-encoding",
        "connection",
        "content-length",
        "content-type",
        "host",
        "last-event-id",
        "mcp-method",
        "mcp-name",
        "mcp-protocol-version",
        "mcp-session-id",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
"""Headers the protocols set themselves."""


class Server(Struct, frozen=True):
    """One server as a request uses it. ``path``: where in the request it stands; ``kind``: what a
    tool choice calls its tools (``Offer.kinds``)."""

    path: str
    place: McpPlace
    allowed: Sequence[str] | McpFilter | None
    approval: Any
    kind: str
    description: str | None = None
    deferred: bool = False

    @property
    def label(self) -> str:
        return self.place.label

    def names(self, tool: str) -> tuple[str, str]:
        """A tool's name, and what logs and metrics call it: names that callers choose are not for
        them."""
        settings = self.place.settings
        return tool, "mcp" if settings is None else f"mcp:{settings.label}:{tool}"

    def allows(self, tool: McpListed) -> bool:
        """Whether the operator and the request let the model have the tool."""
        settings = self.place.settings
        limited = settings.allowed_tools if settings is not None else None
        if limited and tool.name not in limited:
            return False
        if self.allowed is None:
            return True
        if isinstance(self.allowed, McpFilter):
            return _matches(self.allowed, tool, empty=True)
        return tool.name in self.allowed

    def asks(self, tool: McpListed) -> bool:
        """Whether somebody has to approve a call of the tool."""
        match self.approval:
            case "never":
                return False
            case "unless_read_only":
                return not tool.read_only
            case McpApprovals(always=always, never=never):
                if always is not None and _matches(always, tool, empty=False):
                    return True
                return never is None or not _matches(never, tool, empty=False)
        return True

    def repeats(self, tool: McpListed) -> bool:
        """Whether a call whose outcome nobody knows may be made again."""
        settings = self.place.settings
        if settings is not None and settings.repeatable:
            return True
        return tool.read_only or bool((tool.annotations or {}).get("idempotentHint"))


def _matches(wanted: McpFilter, tool: McpListed, *, empty: bool) -> bool:
    """Whether a filter names the tool; ``empty``: what one that says nothing does."""
    if wanted.tool_names is None and wanted.read_only is None:
        return empty
    if wanted.tool_names is not None and tool.name not in wanted.tool_names:
        return False
    return wanted.read_only is None or wanted.read_only == tool.read_only


class McpHouse:
    """What this process knows of MCP: how sessions are opened, which servers are configured."""

    def __init__(
        self,
        servers: McpServers,
        configured: Sequence[McpSettings] = (),
        remote: RemoteMcpSettings | None = None,
    ) -> None:
        self.servers = servers
        self.configured: Mapping[str, McpSettings] = {one.label: one for one in configured}
        self.presented: Mapping[str, McpSettings] = {
            kind: one for one in configured for kind in one.presents
        }
        self.remote = remote or RemoteMcpSettings()
        self._guard = Guard(self.remote.allowed)

    def server(self, declared: Declared, project: str) -> Server:
        """The server a tool stands for. Raises ``ClientError``."""
        path, tool = declared
        if isinstance(tool, HostedTool):
            return self._presented(path, tool, project)
        place = self._place(path, tool, project)
        settings = place.settings
        approval: Any = tool.require_approval if given(tool.require_approval) else None
        if approval is None:
            approval = settings.require_approval if settings is not None else "always"
        described = tool.server_description if given(tool.server_description) else None
        if not described and settings is not None:
            described = settings.description
        allowed: Any = tool.allowed_tools if given(tool.allowed_tools) else None
        return Server(
            path,
            place,
            allowed,
            approval,
            f"mcp:{place.label}",
            described or None,
            tool.defer_loading is True,
        )

    def _presented(self, path: str, tool: HostedTool, project: str) -> Server:
        settings = self.presented[tool.type]
        if not _may(settings, project):
            raise ClientError(
                f"Unsupported value: tools of type '{tool.type}' cannot be run for this project.",
                code="unsupported_value",
                param=f"{path}.type",
            )
        place = _configured(settings, {})
        return Server(path, place, [settings.presents[tool.type]], "never", tool.type)

    def _place(self, path: str, tool: McpTool, project: str) -> McpPlace:
        added = _headers(tool, path)
        if given(tool.server_url):
            url = str(tool.server_url)
            self._check_url(url, f"{path}.server_url")
            return McpPlace(tool.server_label, url, added)
        for field in ("connector_id", "tunnel_id"):
            name = getattr(tool, field)
            known = self.configured.get(str(name)) if given(name) else None
            if known is not None and _may(known, project):
                tool_label = str(name)
                break
            if given(name):
                raise ClientError(
                    f"Unsupported parameter: '{path}.{field}' is not available on this server: no "
                    "MCP server with that label is configured. Send a 'server_url'.",
                    code="unsupported_parameter",
                    param=f"{path}.{field}",
                )
        else:
            tool_label = tool.server_label
        settings = self.configured.get(tool_label)
        if settings is None or not _may(settings, project):
            raise ClientError(
                f"Missing required parameter: '{path}.server_url'. No MCP server with the label "
                f"'{tool_label[:64]}' is configured here.",
                code="missing_required_parameter",
                param=f"{path}.server_url",
            )
        if added and not settings.caller_headers:
            field = "authorization" if given(tool.authorization) else "headers"
            raise ClientError(
                f"Unsupported parameter: '{path}.{field}' cannot be set for the MCP server "
                f"'{tool_label}': its operator sets it.",
                code="unsupported_parameter",
                param=f"{path}.{field}",
            )
        place = _configured(settings, added)
        return McpPlace(tool.server_label, place.url, place.headers, settings)

    def _check_url(self, url: str, param: str) -> None:
        if not self.remote.enabled:
            raise ClientError(
                f"Unsupported parameter: '{param}': this server reaches only the MCP servers its "
                "operator configured; name one of them by 'server_label'.",
                code="unsupported_parameter",
                param=param,
            )
        try:
            parts = urlsplit(url)
            host, _ = parts.hostname, parts.port
        except ValueError:
            parts, host = urlsplit(""), None
        if parts.scheme not in ("http", "https") or not host:
            raise ClientError(
                f"Invalid '{param}': it must look like https://HOST/PATH.", param=param
            )
        address = literal(host)
        why = self._guard.refusal(address) if address is not None else None
        if why is not None:
            raise ClientError(
                f"Invalid '{param}': the address is {why}, which callers cannot reach from here.",
                param=param,
            )


def _configured(settings: McpSettings, added: Mapping[str, str]) -> McpPlace:
    return McpPlace(
        settings.label,
        settings.url,
        {} if settings.url is None else settings.all_headers(added),
        settings,
    )


def _may(settings: McpSettings, project: str) -> bool:
    return not settings.projects or project in settings.projects


def _headers(tool: McpTool, path: str) -> dict[str, str]:
    """The request's own headers and token. Raises ``ClientError``; no value is quoted."""
    found: dict[str, str] = {}
    for name, value in (tool.headers or {}).items() if given(tool.headers) else ():
        lower = name.lower()
        if not _NAME.match(name) or not _VALUE.match(value) or lower in _OURS or lower in found:
            raise ClientError(
                f"Invalid '{path}.headers': the header '{name[:64]}' cannot be set.",
                param=f"{path}.headers",
            )
        found[lower] = value.strip(" \t")  # around it they are no part of a value in HTTP
    if given(tool.authorization):
        if "authorization" in found:
            raise ClientError(
                f"'{path}.authorization' and the header of that name exclude each other.",
                param=f"{path}.authorization",
            )
        token = str(tool.authorization).strip(" \t")
        if not token or not _VALUE.match(token):
            raise ClientError(
                f"Invalid '{path}.authorization': it cannot be sent in a header.",
                param=f"{path}.authorization",
            )
        found["authorization"] = f"Bearer {token}"
    return found


def ignored(declared: Collection[Declared], *, searched: bool) -> list[str]:
    """Fields of these tools that are accepted and change nothing here. ``searched``: there is a
    search that finds deferred tools."""
    found = []
    for path, tool in declared:
        if isinstance(tool, HostedTool):
            found += [f"{path}.{key}" for key, value in tool.raw.items() if key != "type" and value]
        elif tool.defer_loading is True and not searched:
            found.append(f"{path}.defer_loading")
    return found
