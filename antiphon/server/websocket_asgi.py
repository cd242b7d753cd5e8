"""A WebSocket over ASGI: the handshake, the reading, and a wire for any server.

One task per connection reads. A server of ours lends its socket in the scope (``WIRE``), and what
is said is written from the callback that made it; over any other server a second task sends.
Before the handshake is accepted every refusal is an HTTP answer, as for any request.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Protocol

from starlette.types import Receive, Send

from antiphon.observe import Broke
from antiphon.server import presence
from antiphon.server.errors import no_websocket, unknown_url
from antiphon.server.exchange import OPENAI_VERSION, Exchange
from antiphon.server.websocket import FAILED, Rework, Session, Wire
from antiphon.server.websocket_making import ROUTE

WIRE = "antiphon.wire"
"""The ASGI extension by which our own server lends its socket: a ``Lent``."""
REWORK = "rework"
"""Where in ``scope["state"]`` a wrapper leaves what changes every create."""

UNSENT_BYTES_MAX = 65_536
"""What may wait for a server that sends slowly before the models are paused."""


class Lent(Wire, Protocol):
    """A socket lent for a session's life."""

    def lend(self, session: Session) -> None:
        """From now on the session is told of slowness and of the end."""

    async def ready(self) -> None:
        """Returns when the caller takes what is sent: before that, nothing more is read."""


async def accept(exchange: Exchange, receive: Receive, send: Send) -> None:
    """Answer an upgrade: a refusal by HTTP (raised), or a whole conversation."""
    await receive()  # websocket.connect
    exchange.admit()
    if exchange.scope["path"] != ROUTE:
        raise unknown_url("GET", exchange.scope["path"])
    exchange.route = ROUTE
    if not exchange.deps.websocket.enabled:
        raise no_websocket()
    named = (b"x-request-id", exchange.request_id.encode())
    headers = [named, (b"openai-version", OPENAI_VERSION)]
    await send({"type": "websocket.accept", "headers": headers})
    rework: Rework | None = (exchange.scope.get("state") or {}).get(REWORK)
    lent: Lent | None = (exchange.scope.get("extensions") or {}).get(WIRE)
    wire = lent or _Sent(send)
    session = Session(exchange, wire, rework)
    wire.lend(session)
    code: int | None = None
    try:
        code = await _converse(session, wire, receive)
    except asyncio.CancelledError:
        if isinstance(wire, _Sent) and wire.lost:
            return  # by ourselves: the caller takes nothing any more
        session.cut()  # by the server, which ends
        raise
    except Exception as failure:
        exchange.deps.observe(Broke("request", failure))
        wire.end(FAILED, "")
    finally:
        session.left(code)
        if isinstance(wire, _Sent):
            await wire.over()


async def _converse(session: Session, wire: Lent, receive: Receive) -> int | None:
    """Hear messages until there are none; the code of the end."""
    while True:
        await wire.ready()
        message = await receive()
        if message["type"] == "websocket.disconnect":
            code: int | None = message.get("code")
            return code
        text = message.get("text")
        session.heard(None if text is None else text.encode())


class _Sent:
    """A wire over ASGI's ``send``: a task sends what was put, in its order."""

    def __init__(self, send: Send) -> None:
        self.lost = False
        self._send = send
        self._reading = asyncio.current_task()
        self._session: Session | None = None
        self._unsent: list[bytes] = []
        self._unsent_bytes = 0
        self._ending: tuple[int, str] | None = None
        self._more = asyncio.Event()
        self._ready = asyncio.Event()
        self._ready.set()
        self._sending = asyncio.create_task(self._send_for_ever())

    def lend(self, session: Session) -> None:
        self._session = session

    async def ready(self) -> None:
        await self._ready.wait()

    def put(self, texts: Sequence[bytes]) -> None:
        if self._ending is not None:
            return
        self._unsent += texts
        self._unsent_bytes += sum(map(len, texts))
        self._more.set()
        if self._unsent_bytes > UNSENT_BYTES_MAX and self._ready.is_set():
            self._ready.clear()
            if self._session is not None:
                self._session.pause()

    def end(self, code: int, reason: str) -> None:
        if self._ending is None:
            self._ending = code, reason
            self._more.set()

    async def over(self) -> None:
        """Nothing more is sent when this returns."""
        if self._ending is None or self.lost:
            self._sending.cancel()
        await asyncio.wait([self._sending], timeout=presence.STALLED_AFTER_SECONDS)

    async def _send_for_ever(self) -> None:
        try:
            while True:
                await self._more.wait()
                self._more.clear()
                while self._unsent:
                    await self._send_some()
                if self._ending is not None:
                    code, reason = self._ending
                    await self._send({"type": "websocket.close", "code": code, "reason": reason})
                    return
        except (OSError, RuntimeError):  # a TimeoutError is an OSError; RuntimeError: it is closed
            self.lost = True
            if self._reading is not None:
                self._reading.cancel()

    async def _send_some(self) -> None:
        texts, self._unsent = self._unsent, []
        for text in texts:
            async with asyncio.timeout(presence.STALLED_AFTER_SECONDS):
                await self._send({"type": "websocket.send", "text": text.decode()})
            self._unsent_bytes -= len(text)
        if self._unsent_bytes <= UNSENT_BYTES_MAX and not self._ready.is_set():
            self._ready.set()
            if self._session is not None:
                self._session.resume()
