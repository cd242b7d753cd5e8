"""uvicorn's HTTP/1.1 connection, mended where the outside needs it.

- Clients that offer HTTP/2 with every request (Java's and curl's: ``Upgrade: h2c``) are served; RFC
  9110 lets a server ignore the offer, but the parser takes it for the end of HTTP and drops the
  body of the request. It must not see it. It is looked for only where a request may begin, so
  that no body is touched.
- There also the head is measured: one that does not end within ``HEAD_BYTES_MAX`` is a 400.
- A caller who leaves has left the answer under way too, not only the request it sent last.
- A handshake for a WebSocket is taken where there is one, if that is switched on; elsewhere, and
  where it is none, an upgrade is answered as the request it is. What it takes is imported then.
- What only uvicorn's own requests need (parser, queue, event) is made when the first of them
  comes: a connection that streams holds 4 KB less, a quarter of all.
"""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Any

import httptools
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

if TYPE_CHECKING:
    from antiphon.outbox import Outbox
    from antiphon.server.exchange import Deps

HEAD_BYTES_MAX = 65_536
"""Request line and headers together; the parser itself would take any number."""

_OFFER_OF_HTTP_2 = re.compile(rb"\r\nupgrade:[ \t]*h2c[ \t]*(?=\r\n|\Z)", re.IGNORECASE)


class _Queue(list[Any]):
    """Requests sent ahead, first come first popped. A ``deque`` is made with room for 64."""

    __slots__ = ()

    def appendleft(self, request: Any) -> None:
        self.insert(0, request)


class _Flow(FlowControl):
    """uvicorn's, without an event for as long as nobody waits."""

    __slots__ = ("_transport", "_writable", "read_paused", "write_paused")

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self.read_paused = False
        self.write_paused = False
        self._writable: asyncio.Event | None = None

    async def drain(self) -> None:
        if self.write_paused:
            if self._writable is None:
                self._writable = asyncio.Event()
            await self._writable.wait()

    def pause_writing(self) -> None:
        self.write_paused = True

    def resume_writing(self) -> None:
        self.write_paused = False
        writable, self._writable = self._writable, None
        if writable is not None:
            writable.set()


class Connection(HttpToolsProtocol):
    """One connection whose requests are ASGI's."""

    # Slots: uvicorn's attributes are nearly as many as instances can have in shared keys.
    __slots__ = ("_head_bytes", "_in_body", "_in_message", "_parser", "_running")

    deps: Deps
    outbox: Outbox
    _dated: tuple[list[tuple[bytes, bytes]], bytes] = ([], b"")
    _socket: Any = None

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._in_message = False
        self._in_body = False
        self._head_bytes = 0
        self._running: Any = None
        self.pipeline = _Queue()  # type: ignore[assignment]
        self._parser: httptools.HttpRequestParser | None = None  # instead of the one made already

    @property
    def parser(self) -> httptools.HttpRequestParser:
        """uvicorn's, made when it is first asked for: hot requests never do."""
        if self._parser is None:
            self._parser = httptools.HttpRequestParser(self)
            self._parser.set_dangerous_leniencies(lenient_data_after_close=True)
        return self._parser

    @parser.setter
    def parser(self, parser: httptools.HttpRequestParser | None) -> None:
        self._parser = parser

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.flow = _Flow(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        running, self._running = self._running, None
        super().connection_lost(exc)
        if running is not None and not running.response_complete:
            running.disconnected = True
            running.message_event.set()

    def _start_asgi_task(self, cycle: Any, app: Any) -> None:
        self._running = cycle
        super()._start_asgi_task(cycle, app)

    def _should_upgrade_to_ws(self) -> bool:
        if not self.deps.websocket.enabled or self.scope["method"] != "GET":
            return False
        headers = dict(self.headers)
        shaken = headers.get(b"sec-websocket-version") == b"13" and (
            b"sec-websocket-key" in headers
        )
        return shaken and self.url.partition(b"?")[0].endswith(b"/responses")

    def handle_websocket_upgrade(self) -> None:
        kind = type(self)
        if kind._socket is None:
            from antiphon.server.websocket_uvicorn import protocol

            kind._socket = protocol(self.outbox)
        self.ws_protocol_class = kind._socket
        super().handle_websocket_upgrade()

    @property
    def is_uvicorns(self) -> bool:
        """Whether uvicorn is inside a message or an answer: what comes next is its to read."""
        cycle = self.cycle
        return self._in_message or (cycle is not None and not cycle.response_complete)

    def data_received(self, data: bytes) -> None:
        if not self._in_body:
            self._head_bytes += len(data)
            if b"h2c" in data:
                head, end, body = data.partition(b"\r\n\r\n")
                data = _OFFER_OF_HTTP_2.sub(b"", head) + end + body
        super().data_received(data)
        if self._head_bytes > HEAD_BYTES_MAX and not self.transport.is_closing():
            self.send_400_response(f"The request's head is longer than {HEAD_BYTES_MAX} bytes.")

    def on_message_begin(self) -> None:
        self._in_message = True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._in_body = True
        self._head_bytes = 0
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._in_message = self._in_body = False
        super().on_message_complete()

    def date_line(self) -> bytes:
        """The headers uvicorn adds to every answer: it makes them anew once a second."""
        headers = self.server_state.default_headers
        if headers is not Connection._dated[0]:
            lines = b"".join([b"%b: %b\r\n" % pair for pair in headers])
            Connection._dated = (headers, lines)
        return Connection._dated[1]
