"""The listed tools of MCP servers as functions of a model call.

A model knows a tool as ``LABEL__NAME``. Where that is no name a model takes, or one it knows
already (a function of the caller's, another server's tool), it is changed until it is: which
tool is meant is never told from the name, but from what the call becomes (``Offer.forms``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from msgspec.structs import replace

from antiphon.runs.mcp_servers import Server
from antiphon.runs.offering import Offer
from antiphon.stream.forms import TOOL_SEARCH, Answered, approval
from antiphon.tools.base import ToolFailed
from antiphon.tools.mcp_base import McpError, McpListed, McpSession
from antiphon.tools.search import Entry, ToolSearch
from antiphon.types.tools import FunctionTool, mcp_called, mcp_name

Listed = Mapping[str, Sequence[McpListed]]
"""The tools of each server, by label."""


class McpFunction:
    """``tools.base.ServerTool``: one tool of a server. ``told``: its name in logs and metrics."""

    def __init__(self, session: McpSession, tool: str, told: str, *, again: bool) -> None:
        self.name = told
        self.again = again
        self._tool = tool
        self.description: str | None = None
        self.parameters: dict[str, Any] | None = None
        self._session = session

    async def call(self, arguments: str, *, key: str) -> str:
        """As the port says; the failure's detail is ``mcp_call.error``."""
        try:
            decoded = msgspec.json.decode(arguments)
        except msgspec.DecodeError:  # half of a surrogate pair, say, which our checks let pass
            raise ToolFailed("The call was not made: its arguments are not JSON.") from None
        result = await self._session.call(self._tool, decoded, key=key)
        if result.error is None:
            return result.output or ""
        raise ToolFailed(said(result.error), detail=error_object(result.error))

    async def close(self) -> None:
        """Its session is the request's."""


def error_object(error: McpError) -> dict[str, Any]:
    """The error as ``mcp_call.error`` has it."""
    if error.kind == "mcp_tool_execution_error":
        return {"type": error.kind, "content": error.content}
    return {"type": error.kind, "code": error.code, "message": error.message}


def said(error: McpError) -> str:
    """The error in words, for the model."""
    if error.kind != "mcp_tool_execution_error":
        return error.message
    blocks = error.content if isinstance(error.content, list) else []
    texts = [str(one.get("text", "")) for one in blocks if isinstance(one, dict)]
    return "\n".join(text for text in texts if text) or "The tool failed."


def offered(
    made: Offer, servers: Sequence[Server], listed: Listed, sessions: Mapping[str, McpSession]
) -> Offer:
    """The offer, and the tools of these servers as far as they are ``listed``."""
    whole = Offer(
        tools=list(made.tools),
        native=list(made.native),
        forms=dict(made.forms),
        served=dict(made.served),
        paths=dict(made.paths),
        kinds={kind: list(names) for kind, names in made.kinds.items()},
        downgrades=made.downgrades,
        servers=made.servers,
        found=made.found,
        deferred=made.deferred,
        origins=dict(made.origins),
    )
    deferred: list[Entry] = []
    names = {origin: name for name, origin in whole.origins.items()}
    for server in servers:
        for tool in listed.get(server.label, ()):
            if not server.allows(tool):
                continue
            if server.deferred and TOOL_SEARCH in whole.paths:
                shown = FunctionTool(tool.name, tool.description, tool.input_schema)
                deferred.append(Entry(shown, server.label, server.description or "", True))
                if not {(server.label, tool.name), (server.label, "")} & made.found:
                    continue
            _add(whole, names, server, tool, sessions[server.label])
    if deferred and isinstance(search := whole.served.get(TOOL_SEARCH), ToolSearch):
        _extend(whole, search.having(deferred))
    return whole


def _extend(made: Offer, search: ToolSearch) -> None:
    """Put a search that finds more in place of the one that is offered."""
    made.served[TOOL_SEARCH] = search
    at = next(at for at, tool in enumerate(made.tools) if tool.name == TOOL_SEARCH)
    made.tools[at] = replace(made.tools[at], description=search.description)


def _add(
    made: Offer,
    names: dict[tuple[str, str], str],
    server: Server,
    tool: McpListed,
    session: McpSession,
) -> None:
    """Offer a tool. ``names``: ``Offer.origins`` the other way round; a list may be long."""
    origin = (server.label, tool.name)
    if origin in names:  # the same server is named twice
        made.kinds.setdefault(server.kind, []).append(names[origin])
        return
    name = names[origin] = _name(made, origin)
    made.origins[name] = origin
    asks = server.asks(tool)
    made.forms[name] = approval(*origin) if asks else Answered(*origin)
    again = server.repeats(tool)
    made.served[mcp_name(*origin)] = McpFunction(session, *server.names(tool.name), again=again)
    about = tool.description or ""
    if server.description:
        about = f"{about}\n({server.label}: {server.description})".strip()
    schema = tool.input_schema if tool.input_schema.get("type") == "object" else _ANYTHING
    function = FunctionTool(name, about or None, schema, strict=False)
    made.add(function, server.path, server.kind)


_ANYTHING: dict[str, Any] = {"type": "object", "properties": {}}


def _name(made: Offer, origin: tuple[str, str]) -> str:
    """A name for the model that no other tool of the offer has."""
    plain = name = mcp_called(*origin)
    number = 2
    while name in made.paths:
        name, number = f"{plain[:60]}_{number}", number + 1
    return name
