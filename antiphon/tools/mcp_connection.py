"""One connection to one MCP server, by the official SDK.

The SDK's contexts must be left by the task that entered them, so a connection is a task: it
connects, then waits to be told to leave. Requests are made by others meanwhile; each has a time
limit, and none waits for an answer that cannot come because the connection is gone.

Imported on first use: the SDK takes seconds to import.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from time import monotonic
from typing import Any, Literal, TypeVar

import httpx2
import mcp_types as protocol
import msgspec
from mcp import Client, MCPError
from mcp.client import Transport
from msgspec import Struct
from pydantic import ValidationError

from antiphon import __version__
from antiphon.tools.mcp_base import (
    MESSAGE_CHARS_MAX,
    McpError,
    McpFailed,
    McpListed,
    McpResult,
)
from antiphon.tools.mcp_http import TRAFFIC, Traffic
from antiphon.tools.mcp_results import outcome, too_long

PAGES_MAX = 100
"""Of a list of tools; a longer one is an error. All pages together are one answer in bytes."""
_GRACE_SECONDS = 0.5
"""How long a request whose HTTP failed may still become an answer of the server's own."""
_LEAVE_SECONDS = 8.0
_STARTS_MAX = 5
_STARTS_SECONDS = 60.0
"""A server that ends by itself is started again, but not more often than this."""

T = TypeVar("T")

# The SDK logs what it sends and receives, secrets and content included. What an operator should
# know of a failure is in the error.
for _name in ("mcp", "client", "httpx2", "httpcore2"):
    logging.getLogger(_name).setLevel(logging.CRITICAL + 1)


class Limits(Struct, frozen=True):
    """Seconds and bytes; see the settings of the same names."""

    connect_seconds: float
    list_seconds: float
    call_seconds: float
    answer_bytes_max: int


class Dial(Struct, frozen=True):
    """A way to reach a server. ``gets``: by SSE, which begins with a GET. ``one_stream``: all
    answers come by one stream, and when that has ended there is no connection any more."""

    transport: Callable[[], Transport]
    mode: Literal["auto", "legacy"] = "auto"
    gets: bool = False
    one_stream: bool = False


class _Life:
    """One time of being connected: the task, and what it has opened."""

    def __init__(self, dials: Sequence[Dial]) -> None:
        self.opened: asyncio.Future[Client] = asyncio.get_running_loop().create_future()
        self.opened.add_done_callback(_looked_at)
        self.one_stream = False
        self.leaving = asyncio.Event()
        self.task = asyncio.create_task(self._live(dials))

    @property
    def usable(self) -> bool:
        """Whether requests can be made."""
        return not self.task.done() and not self.leaving.is_set()

    async def _live(self, dials: Sequence[Dial]) -> None:
        for dial in dials:
            traffic = Traffic(gets=dial.gets)
            TRAFFIC.set(traffic)
            try:
                async with Client(
                    dial.transport(), mode=dial.mode, cache=None, client_info=_OURSELVES
                ) as client:
                    self.one_stream = dial.one_stream
                    self.opened.set_result(client)
                    await self.leaving.wait()
                return
            except Exception as error:
                if self.opened.done():
                    return  # who waits for an answer sees that this task is over
                if dial is dials[-1] or not traffic.unknown_transport:
                    self.opened.set_exception(McpFailed(_fault(error, traffic)))
                    return

    async def close(self) -> None:
        """Leave, as politely as a few seconds allow."""
        self.leaving.set()
        if not self.opened.done():
            self.task.cancel()
        await asyncio.wait({self.task}, timeout=_LEAVE_SECONDS)
        if not self.task.done():
            self.task.cancel()
            await asyncio.wait({self.task}, timeout=_LEAVE_SECONDS)


class Connection:
    """A connection that is made when first needed, and again when it was lost."""

    def __init__(self, dials: Sequence[Dial], limits: Limits) -> None:
        self._dials = dials
        self._limits = limits
        self._life: _Life | None = None
        self._turn = asyncio.Lock()
        self._starts: list[float] = []
        self._ending: set[asyncio.Task[None]] = set()
        self._closed = False

    async def tools(self) -> list[McpListed]:
        """Every page of the list. Raises ``McpFailed``."""

        async def every_page(client: Client) -> list[McpListed]:
            listed: list[McpListed] = []
            cursor: str | None = None
            left = self._limits.answer_bytes_max
            for _ in range(PAGES_MAX):
                page = await client.list_tools(cursor=cursor, cache_mode="bypass")
                tools = [_listed(tool) for tool in page.tools]
                left -= len(msgspec.json.encode(tools))
                if left < 0:
                    raise McpFailed(too_long(self._limits.answer_bytes_max))
                listed += tools
                if page.next_cursor is None:
                    return listed
                cursor = page.next_cursor
            words = f"The MCP server's list has more than {PAGES_MAX} pages."
            raise McpFailed(McpError("mcp_protocol_error", protocol.INTERNAL_ERROR, words))

        return await self._ask(every_page, self._limits.list_seconds)

    async def call(self, name: str, arguments: dict[str, Any], *, key: str) -> McpResult:
        """Call a tool. Nothing is raised: a failure is a result."""
        about: Any = {"idempotencyKey": key}
        request = protocol.CallToolRequest(
            params=protocol.CallToolRequestParams(name=name, arguments=arguments, _meta=about)
        )

        async def called(client: Client) -> protocol.CallToolResult:
            try:
                return await client.session.send_request(request, protocol.CallToolResult)
            except MCPError as error:
                if error.code != protocol.HEADER_MISMATCH:
                    raise
            # The server wants arguments in headers, which the SDK knows from a list only.
            await client.list_tools(cache_mode="bypass")
            return await client.session.send_request(request, protocol.CallToolResult)

        try:
            result = await self._ask(called, self._limits.call_seconds)
        except McpFailed as failure:
            return McpResult(error=failure.error)
        return outcome(result, self._limits.answer_bytes_max)

    async def close(self) -> None:
        """Leave for good. What is under way ends as an error."""
        self._closed = True
        if self._life is not None:
            self._retire(self._life)
        if self._ending:
            await asyncio.wait(set(self._ending))

    def _retire(self, life: _Life) -> None:
        """Use it no more."""
        if self._life is life:
            self._life = None
        task = asyncio.create_task(life.close())
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)

    def _lost(self, life: _Life) -> None:
        """A request has failed on the way: where all share one stream, that is broken."""
        if life.one_stream:
            self._retire(life)

    async def _ask(self, ask: Callable[[Client], Awaitable[T]], seconds: float) -> T:
        life = await self._connected()
        traffic, context = _watched()
        asked = asyncio.create_task(_awaited(ask(life.opened.result())), context=context)
        asked.add_done_callback(_looked_at)
        broke = asyncio.create_task(_after(traffic.failed))
        try:
            await asyncio.wait(
                {asked, life.task, broke}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED
            )
            if life.task.done() and not asked.done():
                await asyncio.wait({asked}, timeout=_GRACE_SECONDS)
            if asked.done() and not asked.cancelled():
                return asked.result()
        except (MCPError, ValidationError, RuntimeError, OSError, ValueError) as error:
            if isinstance(error, MCPError) and error.code == protocol.CONNECTION_CLOSED:
                self._lost(life)
            raise McpFailed(_fault(error, traffic)) from None
        finally:
            broke.cancel()
            asked.cancel()
        if traffic.error is not None:
            self._lost(life)
            raise McpFailed(traffic.error)
        raise McpFailed(_GONE if life.task.done() else _too_slow(seconds))

    async def _connected(self) -> _Life:
        """Connects if need be. Raises ``McpFailed``."""
        async with self._turn:
            if self._closed:
                raise McpFailed(_GONE)
            if self._life is not None and self._life.usable:
                return self._life
            now = monotonic()
            self._starts = [at for at in self._starts if now - at < _STARTS_SECONDS]
            if len(self._starts) >= _STARTS_MAX:
                raise McpFailed(_TOO_OFTEN)
            self._starts.append(now)
            life = _Life(self._dials)
            try:
                async with asyncio.timeout(self._limits.connect_seconds):
                    await asyncio.shield(life.opened)
            except TimeoutError:
                raise McpFailed(_too_slow(self._limits.connect_seconds)) from None
            finally:
                if not self._closed and life.opened.done() and life.opened.exception() is None:
                    self._life = life
                else:
                    self._retire(life)
            return life


_OURSELVES = protocol.Implementation(name="antiphon", version=__version__)
_GONE = McpError(
    "mcp_protocol_error", protocol.CONNECTION_CLOSED, "The MCP server ended the connection."
)
_TOO_OFTEN = McpError(
    "mcp_protocol_error",
    protocol.CONNECTION_CLOSED,
    "The MCP server has ended too often in the last minute; it is not started again for now.",
)


def _watched() -> tuple[Traffic, contextvars.Context]:
    """What a request's HTTP will be noted in, and the context that carries it."""
    traffic = Traffic()
    context = contextvars.copy_context()
    context.run(TRAFFIC.set, traffic)
    return traffic, context


def _looked_at(asked: asyncio.Future[Any]) -> None:
    """What fails when nobody waits for it any more is no news."""
    if not asked.cancelled():
        asked.exception()


async def _awaited(answer: Awaitable[T]) -> T:
    return await answer


async def _after(failed: asyncio.Event) -> None:
    await failed.wait()
    await asyncio.sleep(_GRACE_SECONDS)


def _too_slow(seconds: float) -> McpError:
    words = f"The MCP server did not answer within {seconds:g} seconds."
    return McpError("mcp_protocol_error", protocol.REQUEST_TIMEOUT, words)


def _fault(error: BaseException, traffic: Traffic) -> McpError:
    """What a failure is to whoever asked. Only the server's own words are passed on."""
    if traffic.error is not None:
        return traffic.error
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    broken = isinstance(error, MCPError) and error.code == protocol.PARSE_ERROR  # the SDK's words
    if broken or isinstance(error, ValidationError):
        words = "The MCP server answered with something that is not MCP."
        return McpError("mcp_protocol_error", protocol.PARSE_ERROR, words)
    if isinstance(error, MCPError):
        words = str(error.message)[:MESSAGE_CHARS_MAX] or "no message"
        return McpError("mcp_protocol_error", error.code, words)
    if isinstance(error, httpx2.InvalidURL):
        return McpError("http_error", 400, "The address of the MCP server is not a valid one.")
    if isinstance(error, OSError):
        words = "The program of the MCP server cannot be started."
        return McpError("mcp_protocol_error", protocol.CONNECTION_CLOSED, words)
    return _GONE


def _listed(tool: protocol.Tool) -> McpListed:
    hints: Mapping[str, Any] | None = None
    if tool.annotations is not None:
        hints = tool.annotations.model_dump(by_alias=True, mode="json", exclude_none=True)
    return McpListed(
        tool.name,
        tool.input_schema,
        tool.description,
        dict(hints) if hints is not None else None,
    )
