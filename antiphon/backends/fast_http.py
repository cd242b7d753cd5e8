"""A small HTTP/1.1 client for plain keep-alive connections: the hot path to an upstream.

Theory of operation. One ``_Connection`` (an ``asyncio.Protocol``) parses what it reads into
the ``_Answer`` of the request under way. An answer keeps its own buffer, so the connection goes
back to the free list as soon as the message is complete, even if nobody has read the body yet.
All body bytes of one read are one chunk. There is no task and no queue: a reader that is ahead
leaves a future, a reader that lags stops the socket (``UNREAD_LIMIT_BYTES``).

One timer per connection serves all its deadlines: setting one is an assignment, the timer
looks when it fires whether there is still something to wait for.

Not here: TLS, proxies, redirects, HTTP/2 (``aiohttp_client``).
"""

from __future__ import annotations

import asyncio
import zlib
from collections import deque
from collections.abc import AsyncIterator, Mapping
from typing import cast

import httptools

from antiphon.backends.fast_request import Target, head_of, target_of
from antiphon.backends.transport import (
    HEADERS_LIMIT_BYTES,
    PATIENT,
    READ_LIMIT_BYTES,
    UNREAD_LIMIT_BYTES,
    Reply,
    Timeouts,
    bad_response,
    broke_off,
    collect,
    too_slow,
    unreachable,
    why,
)
from antiphon.errors import RemoteError

IDLE_CONNECTIONS_MAX = 512
"""Connections kept for reuse per origin."""

KEEP_ALIVE_SECONDS = 30.0
"""How long an unused connection is kept; servers usually close after 60 or more."""

_JOIN_LIMIT_BYTES = 128 * 1024
_INFLATE_BYTES = 1024 * 1024


class FastHttp:
    """The transport. ``idle_connections_max`` counts per origin."""

    def __init__(
        self,
        *,
        idle_connections_max: int = IDLE_CONNECTIONS_MAX,
        keep_alive_seconds: float = KEEP_ALIVE_SECONDS,
    ) -> None:
        self.idle_connections_max = idle_connections_max
        self.keep_alive_seconds = keep_alive_seconds
        self.open: set[_Connection] = set()
        self._free: dict[tuple[str, int], list[_Connection]] = {}

    async def send(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        body: bytes = b"",
        timeouts: Timeouts = PATIENT,
    ) -> Reply:
        target = target_of(url)
        head = head_of(method, target, headers, body)
        connection = self._take(target)
        if connection is not None:
            answer = connection.start(head, body, timeouts, target.origin)
            try:
                await answer.begun()
                return answer
            except RemoteError:
                # The peer may close a kept connection while our request is on its way.
                if not answer.untouched:
                    raise
        connection = await self._connect(target, timeouts)
        answer = connection.start(head, body, timeouts, target.origin)
        await answer.begun()
        return answer

    async def close(self) -> None:
        for connection in list(self.open):
            connection.abort("this server closed the connection")
        self._free.clear()

    def _take(self, target: Target) -> _Connection | None:
        free = self._free.get((target.host, target.port))
        while free:
            connection = free.pop()
            if not connection.transport.is_closing():
                return connection
        return None

    async def _connect(self, target: Target, timeouts: Timeouts) -> _Connection:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(timeouts.connect_seconds):
                _, connection = await loop.create_connection(
                    lambda: _Connection(self, (target.host, target.port), loop),
                    target.host,
                    target.port,
                )
        except TimeoutError:
            seconds = timeouts.connect_seconds
            raise too_slow(target.origin, "connection", seconds, retryable=True) from None
        except (OSError, UnicodeError) as error:
            raise unreachable(target.origin, why(error)) from error
        return connection

    def keep(self, connection: _Connection) -> bool:
        """Puts an unused connection on the free list; False if the list is full."""
        free = self._free.setdefault(connection.place, [])
        if len(free) >= self.idle_connections_max:
            return False
        free.append(connection)
        return True

    def forget(self, connection: _Connection) -> None:
        """Takes a closed connection off every list."""
        self.open.discard(connection)
        free = self._free.get(connection.place)
        if free is not None:
            if connection in free:
                free.remove(connection)
            if not free:
                del self._free[connection.place]


class _Answer:
    """One reply: what the connection has parsed so far, and the future of who waits for more."""

    def __init__(self, connection: _Connection, timeouts: Timeouts, origin: str) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self.origin = origin
        self.untouched = False  # broke off on a reused connection before any byte came back
        self._connection = connection
        self._timeouts = timeouts
        self._chunks: deque[bytes] = deque()
        self._unread = 0
        self._complete = False
        self._error: RemoteError | None = None
        self._waiter: asyncio.Future[None] | None = None

    async def begun(self) -> None:
        """Returns when status and headers are known."""
        if not self.status and self._error is None:
            await self._wait(self._timeouts.first_byte_seconds)
        if not self.status and self._error is not None:
            raise self._error

    def chunks(self) -> AsyncIterator[bytes]:
        encoding = self.headers.get("content-encoding", "identity")
        return self._raw() if encoding == "identity" else self._inflated(encoding)

    async def read(self, limit_bytes: int = READ_LIMIT_BYTES) -> bytes:
        if self._complete and "content-encoding" not in self.headers:
            body = b"".join(self._chunks)
            if len(body) <= limit_bytes:
                self._chunks.clear()
                return body
        return await collect(self, limit_bytes)

    async def close(self) -> None:
        self._abandon()

    def _abandon(self) -> None:
        self._chunks.clear()
        if not self._complete and self._error is None:
            self._connection.abort("the answer was abandoned")

    async def _raw(self) -> AsyncIterator[bytes]:
        try:
            while True:
                while self._chunks:
                    piece = self._chunks.popleft()
                    self._unread -= len(piece)
                    if self._unread < UNREAD_LIMIT_BYTES // 2:
                        self._connection.resume(self)
                    yield piece
                if self._complete:
                    return
                if self._error is not None:
                    raise self._error
                await self._wait(self._timeouts.idle_seconds)
        finally:
            self._abandon()

    async def _inflated(self, encoding: str) -> AsyncIterator[bytes]:
        try:
            if encoding not in ("gzip", "x-gzip", "deflate"):
                raise bad_response(self.origin, f"nobody asked for content-encoding {encoding!r}")
            inflate = zlib.decompressobj(32 + zlib.MAX_WBITS)  # 32: gzip or zlib, by its header
            async for piece in self._raw():
                while piece:
                    plain = inflate.decompress(piece, _INFLATE_BYTES)
                    piece = inflate.unconsumed_tail
                    if plain:
                        yield plain
            if plain := inflate.flush():
                yield plain
            if not inflate.eof:
                raise broke_off(self.origin, f"the {encoding} body is cut short")
        except zlib.error as error:
            raise broke_off(self.origin, f"the {encoding} body is damaged") from error
        finally:
            self._abandon()

    async def _wait(self, seconds: float) -> None:
        self._waiter = self._connection.loop.create_future()
        self._connection.deadline_in(seconds)
        try:
            await self._waiter
        except asyncio.CancelledError:
            self._connection.abort("the request was cancelled")
            raise
        finally:
            self._waiter = None
            self._connection.met(self)

    # What the connection calls.

    def wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def add(self, piece: bytes) -> int:
        """Takes a chunk; returns the bytes nobody has read yet."""
        self._chunks.append(piece)
        self._unread += len(piece)
        self.wake()
        return self._unread

    def finish(self) -> None:
        self._complete = True
        self.wake()

    def fail(self, error: RemoteError) -> None:
        if not self._complete and self._error is None:
            self._error = error
            self.wake()

    def expire(self) -> RemoteError:
        if self.status:
            seconds, what = self._timeouts.idle_seconds, "more of its answer"
        else:
            seconds, what = self._timeouts.first_byte_seconds, "answer"
        return too_slow(self.origin, what, seconds, retryable=False)


class _Connection(asyncio.Protocol):
    """One TCP connection: busy with one answer, or on the free list."""

    transport: asyncio.Transport

    def __init__(
        self, owner: FastHttp, place: tuple[str, int], loop: asyncio.AbstractEventLoop
    ) -> None:
        self.place = place
        self.loop = loop
        self.deadline: float | None = None
        self._owner = owner
        self._timer: asyncio.TimerHandle | None = None
        self._answer: _Answer | None = None
        self._reused = False
        self._closed = False
        self._paused = False
        self._parser = httptools.HttpResponseParser(self)
        self._to_the_end = False  # the body ends when the peer closes

    def start(self, head: bytes, body: bytes, timeouts: Timeouts, origin: str) -> _Answer:
        """Writes a request; its answer is filled as bytes arrive."""
        answer = self._answer = _Answer(self, timeouts, origin)
        self.deadline = None
        self._headers: list[tuple[bytes, bytes]] = []
        self._head_bytes = 0
        self._head_done = False
        self._received_bytes = 0  # before the head was done
        self._pieces: list[bytes] = []
        self._ended = False
        if len(body) < _JOIN_LIMIT_BYTES:
            self.transport.write(head + body)
        else:
            self.transport.write(head)
            self.transport.write(body)
        return answer

    def deadline_in(self, seconds: float) -> None:
        deadline = self.deadline = self.loop.time() + seconds
        timer = self._timer
        if timer is not None:
            if timer.when() <= deadline:
                return
            timer.cancel()
        self._timer = self.loop.call_at(deadline, self._look)

    def met(self, answer: _Answer) -> None:
        """The wait is over; a connection already passed on has a deadline of its own."""
        if self._answer is answer:
            self.deadline = None

    def resume(self, answer: _Answer) -> None:
        if self._paused and self._answer is answer:
            self._paused = False
            self.transport.resume_reading()

    def abort(self, reason: str) -> None:
        self._lose(reason)
        self.transport.abort()

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is none by class
        self._owner.open.add(self)

    def data_received(self, data: bytes) -> None:
        answer = self._answer
        if answer is None:  # an idle peer has nothing to say (usually it is a 408)
            self.abort("it spoke without being asked")
            return
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._deliver(answer)
            if self._ended:  # bytes after the message: the answer stands, the connection falls
                self._release(answer, keep=False)
            else:
                self._refuse(_reason(error))
            return
        if not self._head_done:
            self._received_bytes += len(data)
            if self._received_bytes > HEADERS_LIMIT_BYTES:
                self._refuse(f"its headers exceed {HEADERS_LIMIT_BYTES} bytes")
            return
        self._deliver(answer)
        if self._ended:
            self._release(answer, keep=self._keep)

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, error: Exception | None) -> None:
        if self._answer is not None and self._to_the_end and self._head_done and error is None:
            self._answer.finish()
        if self._answer is not None:
            self._answer.untouched = self._reused and not self._received_bytes
        self._lose("the connection was closed" if error is None else str(error))

    # httptools

    def on_message_begin(self) -> None:
        if self._ended:
            raise ValueError("it answered twice")

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers.append((name, value))
        self._head_bytes += len(name) + len(value) + 4
        if self._head_bytes > HEADERS_LIMIT_BYTES:
            raise ValueError(f"its headers exceed {HEADERS_LIMIT_BYTES} bytes")

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if status < 200:
            if status == 101:
                raise ValueError("it switched protocols without being asked")
            self._headers = []
            self._head_bytes = 0
            return
        answer = self._answer
        assert answer is not None
        self._head_done = True
        headers = answer.headers
        for raw_name, raw_value in self._headers:
            name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
        chunked = "chunked" in headers.get("transfer-encoding", "").lower()
        self._to_the_end = not chunked and "content-length" not in headers
        answer.status = status
        answer.wake()

    def on_body(self, piece: bytes) -> None:
        self._pieces.append(piece)

    def on_message_complete(self) -> None:
        if self._head_done:
            self._ended = True
            self._keep = self._parser.should_keep_alive()

    # Inside

    def _deliver(self, answer: _Answer) -> None:
        pieces = self._pieces
        if not pieces:
            return
        unread = answer.add(pieces[0] if len(pieces) == 1 else b"".join(pieces))
        self._pieces = []
        if unread > UNREAD_LIMIT_BYTES and not self._paused and not self._ended:
            self._paused = True
            self.transport.pause_reading()

    def _release(self, answer: _Answer, *, keep: bool) -> None:
        """The message is complete: the connection is free, whoever reads the answer when."""
        self.resume(answer)
        self._answer = None
        answer.finish()
        whole = keep and self.transport.get_write_buffer_size() == 0
        if whole and not self._closed and self._owner.keep(self):
            self._reused = True
            self.deadline_in(self._owner.keep_alive_seconds)
        else:
            self.transport.abort()

    def _refuse(self, reason: str) -> None:
        if self._answer is not None:
            error = broke_off if self._head_done else bad_response
            self._answer.fail(error(self._answer.origin, reason))
        self.abort(reason)

    def _lose(self, reason: str) -> None:
        """The connection is of no use any more; an answer under way breaks off."""
        self._closed = True
        self._owner.forget(self)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._answer is not None:
            answer, self._answer = self._answer, None
            answer.fail(broke_off(answer.origin, reason))

    def _look(self) -> None:
        """The timer fired: perhaps too early, perhaps for a deadline that was met."""
        self._timer = None
        if self.deadline is None:
            return
        if self.loop.time() < self.deadline:
            self._timer = self.loop.call_at(self.deadline, self._look)
        elif self._answer is not None:
            self._answer.fail(self._answer.expire())
            self.abort("it was too slow")
        else:
            self.abort("it was not used for long")


def _reason(error: Exception) -> str:
    """What a callback of ours objected to, or what the parser did."""
    cause = error.__context__ if isinstance(error.__context__, ValueError) else error
    return str(cause) or type(cause).__name__
