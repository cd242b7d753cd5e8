"""One WebSocket: messages in, responses made in lanes, events out (api-surface §9).

What this file is. ``Session`` is a connection's state without its socket: ``heard`` takes one
message, a ``Wire`` takes what is to be sent, and nothing here waits. Each response of it is a
``Making`` (``websocket_making.py``).

Rules
1. A create without ``stream_id`` belongs to the default lane. In a lane one response is made after
   the other, in the order of their creates; lanes do not wait for each other, but at most
   ``MAKING_MAX`` responses are made at a time.
2. Whatever a message has wrong is an error message; only what cannot be read on closes.
3. What ``store: false`` made can be continued for as long as it is its lane's latest response
   (``runs/local.py``). A continuation that fails evicts what it continued from its own lane.
4. A caller who reads slowly pauses all models of its connection. One who leaves cancels them; a
   response that is being stored then is stored.
5. At the end of its time, or of the server's, a connection takes no more creates, answers those
   that wait with an error, lets what is under way end, and is closed.
"""

from __future__ import annotations

import asyncio
import re
from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol

from antiphon.errors import ClientError, RemoteError
from antiphon.observe import SocketClosed, SocketOpened
from antiphon.runs.local import Local
from antiphon.server import open_responses
from antiphon.server.errors import problem_of, stopping
from antiphon.server.exchange import LEFT_STATUS, Exchange
from antiphon.server.frames import messages
from antiphon.server.websocket_making import Making
from antiphon.types.base import UNSET
from antiphon.types.codec import encode
from antiphon.types.websocket import (
    ErrorMessage,
    SocketError,
    Steer,
    SteerError,
    SteerFailed,
    decode_client,
    decode_steer,
)

MAKING_MAX = 16
"""Responses of one connection made at the same time; further ones wait."""
LANES_MAX = 32
"""Different ``stream_id`` on one connection."""
WAITING_MAX = 256
"""Creates that may wait for their turn; and together no more bytes than one message may have."""
GOING_AWAY, TOO_BIG, FAILED, RESTARTING = 1001, 1009, 1011, 1012
ABNORMAL = 1006

_LANE = re.compile(r"[A-Za-z0-9_.-]{1,256}")

Rework = Callable[[bytes], bytes]


class Wire(Protocol):
    """The socket of a session. Neither method waits."""

    def put(self, texts: Sequence[bytes]) -> None:
        """Send messages, each the UTF-8 of one text."""

    def end(self, code: int, reason: str) -> None:
        """Send what was put, then close. The session is told when it is closed (``left``)."""


class Lane:
    """Creates of one ``stream_id``, in their order; at most one of them is being made."""

    __slots__ = ("making", "name", "waiting")

    def __init__(self, name: str | None) -> None:
        self.name = name
        self.waiting: deque[bytes] = deque()
        self.making: Making | None = None


class Session:
    """One open connection. ``rework`` changes a create before it is read (Azure's deployments)."""

    def __init__(self, exchange: Exchange, wire: Wire, rework: Rework | None = None) -> None:
        self.deps = exchange.deps
        self.project = exchange.project
        self.flavour = exchange.flavour
        self.lenient = exchange.lenient
        self.request_id = exchange.request_id
        self.rework = rework
        self.wire = wire
        self.messages = open_responses.messages if self.deps.open_responses else messages
        settings = self.deps.websocket
        self.local = Local(self.deps.runs.memory, settings.state_limit_bytes)
        self._limit_bytes = settings.message_limit_bytes
        self._lanes: dict[str | None, Lane] = {}
        self._making: set[Making] = set()
        self._ready: deque[Lane] = deque()
        self._waiting = self._waiting_bytes = 0
        self._last_words: tuple[ClientError | RemoteError, int] | None = None
        self.paused = self._over = False
        self._begun = 0
        self._code = ABNORMAL
        self.loop = asyncio.get_running_loop()
        self._opened_at = self.deps.seconds()
        self._minutes = settings.connection_minutes_max
        self._age = self.loop.call_later(self._minutes * 60, self._expire)
        self.deps.observe(SocketOpened(self.request_id, self.project))

    @property
    def busy(self) -> bool:
        """Whether a response is being made."""
        return bool(self._making)

    # -- from the socket --------------------------------------------------------------------

    def heard(self, message: bytes | None) -> None:
        """One message; None for one that is not text."""
        stream_id: str | None = None
        try:
            if message is None:
                raise ClientError(
                    "Messages must be text: one JSON object each.", code="invalid_message"
                )
            if len(message) > self._limit_bytes:  # where the socket does not look itself
                return self._end_too_big()
            event = decode_client(message)
            match event.type:
                case "response.create":
                    if self.deps.open_responses and event.stream_id is not None:
                        raise open_responses.no_lanes()
                    stream_id = _stream_id(event.stream_id)
                    self._take(message, stream_id)
                case "response.steer":
                    self._refuse_steering(message)
                case _:
                    raise ClientError(
                        f"Unknown event type '{event.type[:40]}'; this server reads "
                        "'response.create' and 'response.steer'.",
                        code="unknown_event",
                        param="type",
                    )
        except (ClientError, RemoteError, RecursionError) as refused:
            self.refuse(refused, stream_id)

    def _end_too_big(self) -> None:
        limit = f"Messages may have at most {self._limit_bytes} bytes."
        self._last_words = ClientError(limit, code="message_too_big", status=413), TOO_BIG
        self._forget_waiting()
        self.wire.end(TOO_BIG, "message too big")

    def pause(self) -> None:
        """The caller is slow."""
        self.paused = True
        for making in self._making:
            making.pause()

    def resume(self) -> None:
        self.paused = False
        for making in self._making:
            making.resume()

    def left(self, code: int | None = None) -> None:
        """The connection is closed, by whomever. ``code``: as its closing frame said."""
        if self._over:
            return
        self._over = True
        self._age.cancel()
        self._forget_waiting()
        for making in list(self._making):
            making.leave(LEFT_STATUS)
        if self._last_words is not None and code is None:
            code = self._last_words[1]
        seconds = self.deps.seconds() - self._opened_at
        told = SocketClosed(self.request_id, self.project, code or ABNORMAL, seconds, self._begun)
        self.deps.observe(told)

    # -- from the server --------------------------------------------------------------------

    def stop(self) -> None:
        """No more creates: close now, or after what is under way."""
        self._close_when_quiet(stopping(), RESTARTING)

    def cut(self) -> None:
        """There is no more time for what is under way."""
        for making in list(self._making):
            self.refuse(stopping(), making.lane.name)
            making.leave(503)
        self.stop()

    def _expire(self) -> None:
        minutes = f"{self._minutes:g} minutes"
        old = ClientError(
            f"Responses websocket connection limit reached ({minutes}). Create a new websocket "
            "connection to continue.",
            code="websocket_connection_limit_reached",
        )
        self._close_when_quiet(old, GOING_AWAY)

    def _close_when_quiet(self, why: ClientError | RemoteError, code: int) -> None:
        if self._over or self._last_words is not None:
            return
        self._last_words = why, code
        for lane in self._lanes.values():
            for _ in lane.waiting:
                self.refuse(why, lane.name)
        self._forget_waiting()
        self._close_if_quiet()

    def _close_if_quiet(self) -> None:
        if self._last_words is None or self._making or self._over:
            return
        why, code = self._last_words
        self.refuse(why)
        self.wire.end(code, "")

    def _forget_waiting(self) -> None:
        for lane in self._lanes.values():
            lane.waiting.clear()
        self._ready.clear()
        self._waiting = self._waiting_bytes = 0

    # -- creates ----------------------------------------------------------------------------

    def _take(self, message: bytes, stream_id: str | None) -> None:
        """Make it, or let it wait for its turn."""
        if self._last_words is not None:
            raise self._last_words[0]
        lane = self._lanes.get(stream_id) or self._new_lane(stream_id)
        size = len(message)
        if lane.making is not None or len(self._making) >= MAKING_MAX:
            room = self._waiting_bytes + size <= self._limit_bytes or not self._waiting
            if self._waiting >= WAITING_MAX or not room:
                raise ClientError(
                    f"{self._waiting} responses of this connection are waiting already; create "
                    "this one again when some of them are done.",
                    code="websocket_queue_full",
                    status=429,
                )
        lane.waiting.append(message)
        self._waiting += 1
        self._waiting_bytes += size
        self._go_on(lane)

    def _new_lane(self, stream_id: str | None) -> Lane:
        named = len(self._lanes) - (None in self._lanes)
        if stream_id is not None and named >= LANES_MAX:
            raise ClientError(
                f"This connection has used {LANES_MAX} different stream ids, which is all it may. "
                "Use one of them again, or another connection.",
                code="websocket_stream_limit_reached",
                param="stream_id",
            )
        lane = self._lanes[stream_id] = Lane(stream_id)
        return lane

    def _go_on(self, lane: Lane) -> None:
        """The next response of this lane, if it is its turn."""
        if lane.making is not None or not lane.waiting or self._over:
            return
        if len(self._making) >= MAKING_MAX:
            if lane not in self._ready:
                self._ready.append(lane)
            return
        message = lane.waiting.popleft()
        self._waiting -= 1
        self._waiting_bytes -= len(message)
        making = lane.making = Making(self, lane)
        self._making.add(making)
        self._begun += 1
        making.begin(message)
        if self.paused:
            making.pause()

    def made(self, making: Making) -> None:
        """One response is over; those that waited for it come later, not from inside its end."""
        self._making.discard(making)
        making.lane.making = None
        if self._over:
            return
        if making.lane.waiting:
            self._ready.append(making.lane)
        if self._ready:
            self.loop.call_soon(self._go_on_all)
        self._close_if_quiet()

    def _go_on_all(self) -> None:
        for _ in range(len(self._ready)):
            self._go_on(self._ready.popleft())

    # -- answers that are no events -----------------------------------------------------------

    def refuse(self, error: Exception, stream_id: str | None = None) -> str | None:
        """Say what is wrong, as a message; its code."""
        problem = problem_of(error, self.request_id)
        if self.deps.open_responses:
            problem = open_responses.problem(problem)
        body = problem.error
        headers = {name.decode(): value.decode() for name, value in problem.headers}
        headers.pop("x-should-retry", None)
        message = ErrorMessage(
            status=problem.status,
            error=SocketError(
                message=body.message,
                type=body.type,
                param=body.param,
                code=body.code,
                headers=headers or UNSET,
            ),
            stream_id=UNSET if stream_id is None else stream_id,
        )
        if not self._over:
            self.wire.put([encode(message)])
        return body.code

    def _refuse_steering(self, message: bytes) -> None:
        asked = decode_steer(message)
        failed = SteerFailed(
            steer=Steer(previous_response_id=asked.previous_response_id, input=asked.input),
            error=SteerError(
                code="steering_not_supported",
                message="Models of this server cannot be steered while they answer. Send the input "
                "as a response.create that continues the response when it is done.",
            ),
        )
        self.wire.put([encode(failed)])


def _stream_id(given: object) -> str | None:
    """The lane a create names. Raises ``ClientError``."""
    if given is None:
        return None
    if isinstance(given, str) and _LANE.fullmatch(given):
        return given
    raise ClientError(
        "Invalid 'stream_id': expected 1 to 256 characters, each a letter, a digit, '_', '-' or "
        "'.'.",
        code="invalid_stream_id",
        param="stream_id",
    )
