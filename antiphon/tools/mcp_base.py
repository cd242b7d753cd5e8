"""The port of MCP servers: a place named, its tools listed, one of them called.

Whoever uses it knows no transport and no SDK. A session belongs to one request; it connects when
first needed. Failures are values in the API's own words (``McpError``), because a listing or a
call that fails does not fail the response.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Protocol

from msgspec import Struct

from antiphon.config_mcp import McpSettings

MESSAGE_CHARS_MAX = 2_000
"""Of what a server says about an error: more is cut."""


class McpListed(Struct, frozen=True):
    """One tool as a server lists it. ``annotations``: MCP's hints, by their names in MCP."""

    name: str
    input_schema: dict[str, Any]
    description: str | None = None
    annotations: dict[str, Any] | None = None

    @property
    def read_only(self) -> bool:
        """Whether the server says that it changes nothing."""
        return bool((self.annotations or {}).get("readOnlyHint"))


class McpError(Struct, frozen=True):
    """What went wrong, as ``mcp_call.error`` has it. ``code`` and ``message`` of the first two
    kinds: an HTTP status (502 where there was none), or the JSON-RPC code; ``content`` of the
    third: the content blocks of a result that is an error."""

    kind: Literal["http_error", "mcp_protocol_error", "mcp_tool_execution_error"]
    code: int = 0
    message: str = ""
    content: Any = None


class McpResult(Struct, frozen=True):
    """The end of a call: its output, or an error."""

    output: str | None = None
    error: McpError | None = None


class McpFailed(Exception):
    """A listing that failed."""

    def __init__(self, error: McpError) -> None:
        super().__init__(error.message)
        self.error = error


class McpPlace(Struct, frozen=True, repr_omit_defaults=True):
    """Where a request's server is. ``url`` None: a configured program. ``headers`` are secret.
    ``settings``: of a configured server, which may be at a private address."""

    label: str
    url: str | None = None
    headers: Mapping[str, str] = {}
    settings: McpSettings | None = None

    def __repr__(self) -> str:
        return f"McpPlace(label={self.label!r})"  # headers must not reach a log


class McpSession(Protocol):
    """One request's use of one server."""

    async def tools(self) -> list[McpListed]:
        """All its tools, every page. Raises ``McpFailed``."""

    async def call(self, name: str, arguments: dict[str, Any], *, key: str) -> McpResult:
        """Call a tool. ``key`` is the same for every attempt at this call; the server is told."""

    def leave(self) -> None:
        """The request is over. What is still under way ends by itself, soon."""


class McpServers(Protocol):
    """Opens sessions."""

    def session(self, place: McpPlace) -> McpSession:
        """Nothing is sent before it is used."""

    async def close(self) -> None:
        """End every session and every program that was started."""
