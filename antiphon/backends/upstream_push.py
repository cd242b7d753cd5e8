"""One turn of a model server over HTTP, pushed: from the read of a socket to a sink.

Only the answer that is nearly always given is read here: a 2xx whose body is not packed.
Everything else is handed to a task with the answer in hand, which goes on as
``Upstream.stream`` would (``base.Pump``), so there is one set of rules.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Protocol

from antiphon.backends.base import Pump, Sink, Turn
from antiphon.backends.fast_http import Push
from antiphon.backends.sse import Events
from antiphon.backends.transport import READ_LIMIT_BYTES, Reply, too_large
from antiphon.errors import RemoteError
from antiphon.stream.deltas import Delta

DRAIN_SECONDS = 0.05
"""How long what follows the end of an answer may take; a connection that says more is dropped."""


class _Nobody:
    """Hears what a call says that was closed."""

    def take(self, deltas: Sequence[Delta]) -> None: ...

    def broke(self, error: Exception) -> None: ...


_NOBODY = _Nobody()


class Answer(Protocol):
    """Reads one answer. ``over``: it said that it is over; ``failure``: what broke it after deltas
    that still count. Every method may raise ``RemoteError``; the last batch ends in ``Finish``."""

    over: bool
    failure: RemoteError | None

    def batch(self, payloads: Sequence[bytes]) -> Sequence[Delta]:
        """The deltas of the events one network read held."""

    def last(self, payloads: Sequence[bytes]) -> Sequence[Delta]:
        """The deltas of what was left when the stream ended before it was ``over``."""

    def whole(self, body: bytes) -> Sequence[Delta]:
        """The deltas of an answer in one piece."""


class Asked(Protocol):
    """What a pushed turn asks of its backend."""

    def reader(self, turn: Turn) -> Answer: ...

    def answered(self, turn: Turn, profile: Any, reply: Reply) -> AsyncIterator[Sequence[Delta]]:
        """The turn's stream, when it was sent by this profile and answered by ``reply``."""


class PushedTurn:
    """The ``Call`` whoever began the turn holds, and the ``Receiver`` of its answer."""

    __slots__ = (
        "_events",
        "_handed_over",
        "_pieces",
        "_profile",
        "_read",
        "_reader",
        "_sink",
        "_size",
        "_turn",
        "_upstream",
    )

    def __init__(self, upstream: Asked, turn: Turn, profile: Any, sink: Sink) -> None:
        self._upstream = upstream
        self._turn = turn
        self._profile = profile
        self._sink: Sink = sink
        self._reader: Answer | None = None
        self._events: Events | None = None  # of an answer that is streamed
        self._read: Push | Pump | None = None  # None once there is nothing to stop
        self._handed_over: Push | None = None  # an answer that a task reads
        self._pieces: list[bytes] = []  # of an answer that is not
        self._size = 0

    def reads(self, push: Push) -> None:
        """What brings the answer."""
        self._read = push

    # Call

    def pause(self) -> None:
        if self._read is not None:
            self._read.pause()

    def resume(self) -> None:
        if self._read is not None:
            self._read.resume()

    def close(self) -> None:
        self._sink = _NOBODY
        read, self._read = self._read, None
        if read is not None:
            read.close()
        if self._handed_over is not None:  # a task that had not begun leaves it open
            self._handed_over.close()

    # Receiver

    def head(self, status: int, headers: Mapping[str, str]) -> None:
        if 200 <= status < 300 and "content-encoding" not in headers:
            self._reader = self._upstream.reader(self._turn)
            if is_stream(headers, self._turn):
                self._events = Events()
            return
        push = self._read
        assert isinstance(push, Push)
        self._handed_over, paused = push, push.paused
        reply = push.taken_over(status, headers)
        stream = self._upstream.answered(self._turn, self._profile, reply)
        self._read = Pump(stream, self._sink, paused=paused)

    def data(self, body: bytes) -> None:
        events, reader = self._events, self._reader
        assert reader is not None
        if events is None:
            self._keep(body)
            return
        try:
            batch = reader.batch(events.feed(body))
        except RemoteError as error:
            self._break(error)
            return
        if reader.failure is not None:
            self._fail(batch, reader.failure)
        elif reader.over:
            self._leave(batch)
        elif batch:
            self._sink.take(batch)

    def done(self) -> None:
        reader = self._reader
        assert reader is not None
        self._read = None
        try:
            if self._events is None:
                batch = reader.whole(b"".join(self._pieces))
            else:
                batch = reader.last(self._events.end())
        except RemoteError as error:
            self._break(error)
            return
        if reader.failure is None:
            self._sink.take(batch)
        else:
            self._fail(batch, reader.failure)

    def broke(self, error: RemoteError) -> None:
        self._read = None
        self._sink.broke(error)

    # Ends

    def _keep(self, body: bytes) -> None:
        self._pieces.append(body)
        self._size += len(body)
        if self._size > READ_LIMIT_BYTES:
            self._break(too_large(READ_LIMIT_BYTES))

    def _leave(self, last: Sequence[Delta]) -> None:
        """The answer said that it is over; what follows only frees the connection."""
        push, self._read = self._read, None
        assert isinstance(push, Push)
        push.leave(DRAIN_SECONDS)
        self._sink.take(last)

    def _fail(self, batch: Sequence[Delta], error: RemoteError) -> None:
        if batch:
            self._sink.take(batch)
        self._break(error)

    def _break(self, error: RemoteError) -> None:
        sink = self._sink
        self.close()
        sink.broke(error)


def is_stream(headers: Mapping[str, str], turn: Turn) -> bool:
    """By what the server says it sends; by what was asked if it does not say."""
    kind = headers.get("content-type", "")
    if "event-stream" in kind:
        return True
    return turn.live and "json" not in kind
