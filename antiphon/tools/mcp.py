"""MCP servers, as ``mcp_base.McpServers``: by streamable HTTP, by SSE, and as programs.

A server behind an address has a connection per request: what a caller may do there is the
caller's, and nothing of one request is seen by another. A program of the operator's is started
once, kept for all requests, and started again when it ends.
"""

from __future__ import annotations

import asyncio
import importlib
import os
import sys
from typing import TYPE_CHECKING, Any

from antiphon.addresses import Guard
from antiphon.config_mcp import McpSettings, RemoteMcpSettings
from antiphon.tools.mcp_base import McpListed, McpPlace, McpResult, McpSession

if TYPE_CHECKING:
    from antiphon.tools.mcp_connection import Connection, Dial, Limits


class Mcp:
    """Opens sessions. ``remote``: limits of servers that callers name, and where those may be."""

    def __init__(self, remote: RemoteMcpSettings) -> None:
        self._remote = remote
        self._guard = Guard(remote.allowed)
        self._programs: dict[str, Connection] = {}
        self._open: set[Connection] = set()
        self._leaving: set[asyncio.Task[None]] = set()

    def session(self, place: McpPlace) -> McpSession:
        """As the port says."""
        return _Session(self, place)

    async def close(self) -> None:
        """As the port says."""
        connections = [*self._programs.values(), *self._open]
        self._programs.clear()
        self._open.clear()
        await asyncio.gather(*(one.close() for one in connections), *self._leaving)

    async def connection(self, place: McpPlace) -> Connection:
        """A new connection, or that to a program. Imports the SDK on first use."""
        await _sdk()
        settings = place.settings
        if place.url is not None:
            connection = self._behind(place, place.url)
            self._open.add(connection)
            return connection
        assert settings is not None, "a place without an address is a configured program"
        if settings.label not in self._programs:
            self._programs[settings.label] = _program(settings)
        return self._programs[settings.label]

    def leave(self, connection: Connection) -> None:
        """End a connection that is one request's own; that of a program stays."""
        if connection in self._open:
            self._open.discard(connection)
            task = asyncio.create_task(connection.close())
            self._leaving.add(task)
            task.add_done_callback(self._leaving.discard)

    def _behind(self, place: McpPlace, url: str) -> Connection:
        from antiphon.tools.mcp_connection import Connection
        from antiphon.tools.mcp_dials import http_dials

        limits = _limits(place.settings or self._remote)
        guard = self._guard if place.settings is None else None
        transport = place.settings.transport if place.settings is not None else "auto"
        return Connection(http_dials(url, place.headers, guard, limits, transport), limits)


class _Session:
    """``mcp_base.McpSession``."""

    def __init__(self, servers: Mcp, place: McpPlace) -> None:
        self._servers = servers
        self._place = place
        self._connection: asyncio.Future[Connection] | None = None
        self._left = False

    async def tools(self) -> list[McpListed]:
        return await (await self._connected()).tools()

    async def call(self, name: str, arguments: dict[str, Any], *, key: str) -> McpResult:
        return await (await self._connected()).call(name, arguments, key=key)

    def leave(self) -> None:
        self._left = True
        if self._connection is not None:
            self._connection.add_done_callback(self._leave)

    def _leave(self, connection: asyncio.Future[Connection]) -> None:
        if not connection.cancelled() and connection.exception() is None:
            self._servers.leave(connection.result())

    async def _connected(self) -> Connection:
        """Calls of one turn are made side by side: all share the first one's connection."""
        if self._connection is None:
            self._connection = asyncio.ensure_future(self._servers.connection(self._place))
        return await asyncio.shield(self._connection)


async def _sdk() -> None:
    """Import the SDK, in a thread: it takes seconds the event loop has not."""
    if "antiphon.tools.mcp_dials" not in sys.modules:
        await asyncio.to_thread(importlib.import_module, "antiphon.tools.mcp_dials")


def _program(settings: McpSettings) -> Connection:
    from antiphon.tools.mcp_connection import Connection
    from antiphon.tools.mcp_dials import program_dial

    passed = {name: os.environ[name] for name in settings.env_passed if name in os.environ}
    dials: list[Dial] = [program_dial(settings, {**passed, **settings.env})]
    return Connection(dials, _limits(settings))


def _limits(settings: McpSettings | RemoteMcpSettings) -> Limits:
    from antiphon.tools.mcp_connection import Limits

    return Limits(
        settings.connect_seconds,
        settings.list_seconds,
        settings.call_seconds_max,
        settings.answer_bytes_max,
    )
