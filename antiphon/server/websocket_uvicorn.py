"""uvicorn's WebSocket connection, mended, and lent to its session.

Imported at the first upgrade: so is the ``websockets`` library.

- What strangers send wrong is no error of ours, and no line in the log.
- What a session says is framed here (RFC 6455: never masked, never compressed) and leaves with
  whatever else leaves in this turn of the loop (``outbox.py``).
- A caller who takes nothing for ``STALLED_AFTER_SECONDS`` has left. One who does not answer pings
  has left only where nothing is under way: a program that is slow to read is slow to answer them.
- The end of the server waits for the responses under way.
- There is no compression: what is sent are many small messages, each would cost a call of zlib,
  and every connection a quarter of a megabyte.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, cast

from uvicorn._types import ASGISendEvent
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.http11 import Request

from antiphon.outbox import Outbox
from antiphon.server import presence
from antiphon.server.websocket import ABNORMAL, Session
from antiphon.server.websocket_asgi import WIRE

CLOSE_SECONDS = 3.0
"""How long a caller who takes nothing may take to answer a closing frame."""
NO_UTF_8 = 1007
_TEXT = 0x81
"""The first byte of a whole text message."""


class Socket(WebSocketsSansIOProtocol):
    """One connection after its upgrade. Made by uvicorn; ``protocol`` says for which server."""

    outbox: Outbox

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._session: Session | None = None
        self._stalled: asyncio.TimerHandle | None = None

    # -- from the socket --------------------------------------------------------------------

    def handle_connect(self, event: Request) -> None:
        super().handle_connect(event)
        if not self.close_sent:  # the request's task has not begun yet
            cast(Any, self.scope)["extensions"][WIRE] = self

    def send_receive_event_to_app(self) -> None:
        data = self.frames[0] if len(self.frames) == 1 else b"".join(self.frames)
        self.frames = []
        if self.close_sent:
            return
        if self.curr_msg_data_type == "text":
            try:
                self.queue.put_nowait({"type": "websocket.receive", "text": str(data, "utf-8")})
            except UnicodeDecodeError:
                self.conn.fail(NO_UTF_8, "not UTF-8")
                return self.handle_parser_exception()
        else:
            self.queue.put_nowait({"type": "websocket.receive", "bytes": bytes(data)})
        if not self.read_paused:
            self.read_paused = True
            self.transport.pause_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        self._forget_stall()
        super().connection_lost(exc)
        session, self._session = self._session, None
        if session is not None:
            close = self.conn.close_rcvd or self.conn.close_sent
            session.left(ABNORMAL if close is None else close.code)

    def pause_writing(self) -> None:
        super().pause_writing()
        if self._stalled is None:
            self._stalled = self.loop.call_later(
                presence.STALLED_AFTER_SECONDS, self.transport.abort
            )
        if self._session is not None:
            self._session.pause()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._forget_stall()
        if self._session is not None:
            self._session.resume()

    def _forget_stall(self) -> None:
        if self._stalled is not None:
            self._stalled.cancel()
            self._stalled = None

    def keepalive_timeout(self) -> None:
        if self._stalled is not None or (self._session is not None and self._session.busy):
            self.pong_timer = None
            self.pending_ping_payload = None
            self.schedule_ping()
        else:
            super().keepalive_timeout()

    async def send(self, message: ASGISendEvent) -> None:
        await super().send(message)
        if self.initial_response is not None and self.close_sent:
            self.handshake_complete = True  # refused, which is no error of the application's

    # -- from the server --------------------------------------------------------------------

    def shutdown(self) -> None:
        if self._session is None:
            super().shutdown()
        else:
            self._session.stop()

    # -- from the session (websocket_asgi.Lent) -------------------------------------------------

    def lend(self, session: Session) -> None:
        self._session = session

    async def ready(self) -> None:
        await self.writable.wait()

    def put(self, texts: Sequence[bytes]) -> None:
        if self.close_sent or self.disconnected:
            return
        if len(texts) == 1:
            framed = _head(len(texts[0])) + texts[0]
        else:
            framed = b"".join([part for text in texts for part in (_head(len(text)), text)])
        self.outbox.put(self.transport, framed)

    def end(self, code: int, reason: str) -> None:
        if self.close_sent or self.transport.is_closing():
            return
        self.outbox.flush()
        self.stop_keepalive()
        self.queue.put_nowait({"type": "websocket.disconnect", "code": code, "reason": reason})
        self.conn.send_close(code, reason)
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = True
        if self.read_paused:
            self.read_paused = False
            self.transport.resume_reading()
        self._await_close(self.transport.get_write_buffer_size() + 1)

    def _await_close(self, before: int) -> None:
        """Wait for the caller's closing frame for as long as it takes what was sent before."""
        left = self.transport.get_write_buffer_size()
        if left < before:
            self.close_timer = self.loop.call_later(CLOSE_SECONDS, self._await_close, left)
        else:
            self.transport.abort()  # ``close`` would wait for ever for one who takes nothing


def _head(length: int) -> bytes:
    """The head of a frame that is a whole text message of so many bytes."""
    if length < 126:
        return bytes((_TEXT, length))
    if length < 65_536:
        return bytes((_TEXT, 126)) + length.to_bytes(2, "big")
    return bytes((_TEXT, 127)) + length.to_bytes(8, "big")


def protocol(outbox: Outbox) -> type[Socket]:
    """The connection class of the server whose connections share this outbox."""
    return type("Socket", (Socket,), {"outbox": outbox})
