"""A small HTTP/1.1 client for plain keep-alive connections: the hot path to an upstream.

Theory of operation. A call (``Push``) goes onto a free kept connection at once; if there is
none, a task makes one first. The connection (an ``asyncio.Protocol``) parses what it reads and
tells the call's receiver from inside ``data_received``: the head, all body bytes of one read in
one piece, the end. So an answer costs no task, no future and no queue. Who would rather wait
(``send``) gets a receiver that keeps what comes (``fast_reply.Answer``).

A connection whose message is complete is free before its receiver hears of the end: the next
call may be begun from inside the receiver and finds it.

One timer per connection serves all its deadlines: setting one is an assignment, the timer
looks when it fires whether there is still something to wait for. Inside a body not even that: a
read says that there was one, and the timer looks a few times in ``idle_seconds``.

Not here: TLS, proxies, redirects, HTTP/2 (``aiohttp_client``).
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import cast

import httptools

from antiphon.backends.fast_reply import NOBODY, Answer, Fields
from antiphon.backends.fast_request import Place, Request, request_of
from antiphon.backends.transport import (
    HEADERS_LIMIT_BYTES,
    PATIENT,
    Receiver,
    Reply,
    Timeouts,
    bad_response,
    broke_off,
    too_slow,
    unreachable,
    why,
)
from antiphon.errors import RemoteError
from antiphon.outbox import Outbox

IDLE_CONNECTIONS_MAX = 512
"""Connections kept for reuse per origin."""

KEEP_ALIVE_SECONDS = 30.0
"""How long an unused connection is kept; servers usually close after 60 or more."""

_JOIN_LIMIT_BYTES = 128 * 1024

_LOOKS = 4
"""In ``idle_seconds``: so a silence is noticed when it has lasted up to a quarter longer."""


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
        self.outbox = Outbox()
        self.open: set[_Connection] = set()
        self._free: dict[Place, list[_Connection]] = {}
        self._connecting: dict[asyncio.Task[None], Push] = {}

    async def send(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        body: bytes = b"",
        timeouts: Timeouts = PATIENT,
    ) -> Reply:
        request = request_of(method, url, headers)
        answer = Answer(request.origin)
        answer.belongs_to(self.begin(request, body, answer, timeouts))
        await answer.begun()
        return answer

    def begin(
        self, request: Request, body: bytes, receiver: Receiver, timeouts: Timeouts = PATIENT
    ) -> Push:
        """Writes the request, after connecting if there is no free connection. The receiver
        hears nothing before this returned; its body is as it came (content codings are not
        undone)."""
        push = Push(request, body, receiver, timeouts)
        free = self._free.get(request.place)
        while free:
            connection = free.pop()
            if not connection.transport.is_closing():
                connection.start(push)
                return push
        self.connect(push)
        return push

    async def close(self) -> None:
        for connecting, push in list(self._connecting.items()):
            connecting.cancel()
            push.fail(unreachable(push.request.origin, "this server closed the connection"))
        for connection in list(self.open):
            connection.abort("this server closed the connection")
        self._free.clear()
        if self._connecting:
            await asyncio.wait(list(self._connecting))

    def connect(self, push: Push) -> None:
        """Makes a connection for this call."""
        task = asyncio.get_running_loop().create_task(self._connect(push))
        push.connecting = task
        self._connecting[task] = push
        task.add_done_callback(self._connected)

    async def _connect(self, push: Push) -> None:
        request, seconds = push.request, push.timeouts.connect_seconds
        loop = asyncio.get_running_loop()
        connection = _Connection(self, request.place, loop)
        try:
            async with asyncio.timeout(seconds):
                await loop.create_connection(lambda: connection, *request.place)
        except TimeoutError:
            push.fail(too_slow(request.origin, "connection", seconds, retryable=True))
        except (OSError, UnicodeError) as error:
            failure = unreachable(request.origin, why(error))
            failure.__cause__ = error
            push.fail(failure)
        else:
            push.connecting = None
            connection.start(push)
        finally:  # cancelled when it was made already: uvloop leaves it open
            if push.connection is not connection and connection in self.open:
                connection.abort("nobody waits for it")

    def _connected(self, task: asyncio.Task[None]) -> None:
        push = self._connecting.pop(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            push.fail(RemoteError("The server failed to call the upstream."))
            raise error  # a bug of ours, or no thread to resolve a name: the loop tells it

    def keep(self, connection: _Connection) -> bool:
        """Puts an unused connection on the free list; False if the list is full."""
        free = self._free.get(connection.place)
        if free is None:
            free = self._free[connection.place] = []
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


class Push:
    """One call under way. Its receiver may be replaced by another at any time."""

    __slots__ = (
        "body",
        "connecting",
        "connection",
        "deserted",
        "paused",
        "receiver",
        "request",
        "timeouts",
    )

    def __init__(
        self, request: Request, body: bytes, receiver: Receiver, timeouts: Timeouts
    ) -> None:
        self.request = request
        self.body = body  # until the answer begins: a stale connection is replaced
        self.receiver: Receiver = receiver
        self.timeouts = timeouts
        self.connection: _Connection | None = None
        self.connecting: asyncio.Task[None] | None = None
        self.paused = False
        self.deserted = False

    def pause(self) -> None:
        """Read nothing more until ``resume``; no time-out runs meanwhile."""
        if not self.paused:
            self.paused = True
            if self.connection is not None:
                self.connection.pause()

    def resume(self) -> None:
        if self.paused:
            self.paused = False
            if self.connection is not None:
                self.connection.resume()

    def close(self) -> None:
        """Drop the connection unless it is done with this call. The receiver hears no more."""
        self.receiver = NOBODY
        if self.connection is not None:
            self.connection.abort("the call was closed")
        elif self.connecting is not None:
            self.connecting.cancel()

    def leave(self, seconds: float) -> None:
        """The receiver needs nothing more. The connection stays usable if the message ends
        within this time."""
        self.receiver = NOBODY
        self.deserted = True
        self.resume()
        if self.connection is not None:
            self.connection.deadline_in(seconds)

    def taken_over(self, status: int, headers: Mapping[str, str]) -> Reply:
        """The rest of this answer for who would rather wait; its head was already told."""
        answer = Answer(self.request.origin)
        answer.belongs_to(self)
        answer.head(status, headers)
        self.receiver = answer
        self.resume()  # from now on whoever waits decides
        return answer

    def fail(self, error: RemoteError) -> None:
        """Tells the receiver, once."""
        receiver, self.receiver = self.receiver, NOBODY
        self.connection = self.connecting = None
        receiver.broke(error)


class _Connection(asyncio.Protocol):
    """One TCP connection: busy with one call, or on the free list."""

    transport: asyncio.Transport

    def __init__(self, owner: FastHttp, place: Place, loop: asyncio.AbstractEventLoop) -> None:
        self.place = place
        self._loop = loop
        self._owner = owner
        self._deadline: float | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0
        self._push: Push | None = None
        self._reused = False
        self._closed = False
        self._pieces: list[bytes] = []  # of the body, read and not yet told
        self.on_body = self._pieces.append  # looked up by the parser, which takes it as it is
        self._parser = httptools.HttpResponseParser(self)

    def start(self, push: Push) -> None:
        """Writes the call's request and tells its receiver what comes back."""
        self._push = push
        push.connection = self
        self._status = 0
        self._interim = 0
        self._fields: Fields | None = None  # set when the head is complete
        self._quiet = 0  # looks of the timer since the last read of a body
        self._early = b""  # of a head that came in several reads
        self._ended = False
        if push.paused:
            self.pause()
        else:
            self.deadline_in(push.timeouts.first_byte_seconds)
        body = push.body
        head = push.request.head(body)
        if len(body) < _JOIN_LIMIT_BYTES:
            self._owner.outbox.put(self.transport, head + body)
        else:
            self._owner.outbox.put(self.transport, head)
            self._owner.outbox.put(self.transport, body)

    def deadline_in(self, seconds: float) -> None:
        deadline = self._deadline = self._loop.time() + seconds
        if self._timer is not None:
            if self._timer_at <= deadline:
                return
            self._timer.cancel()
        self._timer_at = deadline
        self._timer = self._loop.call_at(deadline, self._look)

    def _await_more(self, push: Push) -> None:
        """From now on a silence of ``idle_seconds`` is too long."""
        self._quiet = 0
        self.deadline_in(push.timeouts.idle_seconds / _LOOKS)

    def pause(self) -> None:
        self._deadline = None
        if not self.transport.is_closing():
            self.transport.pause_reading()

    def resume(self) -> None:
        push = self._push
        if push is not None and not self.transport.is_closing():
            self.transport.resume_reading()
            if self._fields is None:
                self.deadline_in(push.timeouts.first_byte_seconds)
            else:
                self._await_more(push)

    def abort(self, reason: str) -> None:
        """Close at once; a call under way breaks off."""
        self._lose(reason)
        self.transport.abort()

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is none by class
        self._owner.open.add(self)

    def data_received(self, data: bytes) -> None:
        push = self._push
        if push is None:  # an idle peer has nothing to say (usually it is a 408)
            self.abort("it spoke without being asked")
            return
        reason = ""
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            reason = _reason(error)
        try:
            if self._fields is None:
                if self._begin(push, data, reason):
                    self._tell(push, reason, begins=True)
            elif self._ended or reason or len(self._pieces) != 1:
                self._tell(push, reason)
            else:  # a piece in the middle of a body: nearly all reads of a stream
                self._quiet = 0
                push.receiver.data(self._pieces.pop())
        except BaseException:  # a bug of ours: nobody may wait for ever because of it
            push.fail(_failed_to_read())
            raise

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, error: Exception | None) -> None:
        push, whole = self._push, False
        if push is not None:
            if self._fields is None:
                if self._reused and not self._early:
                    # The peer may close a kept connection while our request is on its way.
                    self._push = push.connection = None
                    self._owner.connect(push)
            elif error is None and not self._fields.framed:
                self._push = push.connection = None
                whole = True
        self._lose("the connection was closed" if error is None else str(error))
        if push is not None and whole:
            self._end(push)

    # httptools

    def on_message_begin(self) -> None:
        if self._ended:
            raise ValueError("it answered twice")

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if status < 200:
            if status == 101:
                raise ValueError("it switched protocols without being asked")
            self._interim += 1
        else:
            self._status = status

    def on_message_complete(self) -> None:
        if self._status:
            self._ended = True
            self._keep = self._parser.should_keep_alive()

    # Inside

    def _begin(self, push: Push, data: bytes, reason: str) -> bool:
        """Cuts out the head; False while it is not complete, or if it never will be."""
        head = self._early + data if self._early else data
        if not self._status:
            self._early = head
            if not reason and len(head) > HEADERS_LIMIT_BYTES:
                reason = f"its headers exceed {HEADERS_LIMIT_BYTES} bytes"
            if reason:
                self._refuse(push, bad_response(push.request.origin, reason))
            return False
        head = head.lstrip(b"\r\n")  # the parser lets empty lines go before a status line
        while self._interim:
            self._interim -= 1
            head = head.partition(b"\r\n\r\n")[2]
        size = head.find(b"\r\n\r\n")
        if not 0 <= size <= HEADERS_LIMIT_BYTES:
            reason = f"its headers exceed {HEADERS_LIMIT_BYTES} bytes"
            if size < 0:
                reason = "its header lines do not end in CR LF"
            self._refuse(push, bad_response(push.request.origin, reason))
            return False
        self._early = push.body = b""
        self._fields = Fields(head[:size])
        return True

    def _tell(self, push: Push, reason: str, begins: bool = False) -> None:
        """Tells the receiver what one read brought. It may close the call at any step."""
        ended = self._ended
        if ended:  # bytes after the message: the answer stands, the connection falls
            self._release(push, keep=self._keep and not reason)
        if begins:
            if not (ended or push.paused):
                self._await_more(push)
            assert self._fields is not None
            push.receiver.head(self._status, self._fields)
        pieces = self._pieces
        if pieces:
            piece = pieces[0] if len(pieces) == 1 else b"".join(pieces)
            pieces.clear()
            self._quiet = 0
            push.receiver.data(piece)
        if ended:
            push.receiver.done()
        elif reason:
            self._refuse(push, broke_off(push.request.origin, reason))

    def _end(self, push: Push) -> None:
        """The connection has ended, and its message with it."""
        try:
            push.receiver.done()
        except BaseException:
            push.fail(_failed_to_read())
            raise

    def _release(self, push: Push, *, keep: bool) -> None:
        """The message is complete: the connection is free before the receiver hears of it."""
        self._push = push.connection = None
        if push.paused and not self.transport.is_closing():
            self.transport.resume_reading()
        whole = keep and self.transport.get_write_buffer_size() == 0
        if whole and not self._closed and self._owner.keep(self):
            self._reused = True
            self.deadline_in(self._owner.keep_alive_seconds)
        else:
            self.transport.abort()

    def _refuse(self, push: Push, error: RemoteError) -> None:
        if self._push is push:
            self._push = None
            push.fail(error)
        self.abort("it was refused")

    def _lose(self, reason: str) -> None:
        """The connection is of no use any more; an answer under way breaks off."""
        self._closed = True
        self._parser = None  # type: ignore[assignment]  # each knows the other: a cycle
        self._owner.forget(self)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        push, self._push = self._push, None
        if push is not None:
            push.fail(broke_off(push.request.origin, reason))

    def _look(self) -> None:
        """The timer fired: perhaps too early, perhaps for a deadline that was met."""
        self._timer = None
        if self._deadline is None:
            return
        if self._loop.time() < self._deadline:
            self._timer_at = self._deadline
            self._timer = self._loop.call_at(self._deadline, self._look)
        elif self._push is None:
            self.abort("it was not used for long")
        elif self._fields is None or self._push.deserted or self._quiet >= _LOOKS:
            self._refuse(self._push, self._expired(self._push))
        else:
            self._quiet += 1
            self.deadline_in(self._push.timeouts.idle_seconds / _LOOKS)

    def _expired(self, push: Push) -> RemoteError:
        if self._fields is None:
            seconds, what = push.timeouts.first_byte_seconds, "answer"
        else:
            seconds, what = push.timeouts.idle_seconds, "more of its answer"
        return too_slow(push.request.origin, what, seconds, retryable=False)


def _failed_to_read() -> RemoteError:
    return RemoteError("The server failed to read the upstream's answer.")


def _reason(error: Exception) -> str:
    """What a callback of ours objected to, or what the parser did."""
    cause = error.__context__ if isinstance(error.__context__, ValueError) else error
    return str(cause) or type(cause).__name__
