"""One response of a WebSocket: from its create to its last event, or its refusal.

A ``Making`` is the reader of a ``Live`` as ``hot.py``'s answers are: what the model says is
written to the socket in the callback that read it. It tells its session when it is over.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from typing import TYPE_CHECKING, Any

from antiphon.errors import ClientError, RemoteError
from antiphon.observe import Broke, RequestFinished
from antiphon.runs.context import Context, at_once, resolves_at_once
from antiphon.runs.live import Live
from antiphon.server.errors import overcrowded, problem_of
from antiphon.server.frames import is_veiled, obfuscated
from antiphon.types.codec import encode
from antiphon.types.events import Event
from antiphon.types.websocket import CreateEvent, continued_by, decode_create_event

if TYPE_CHECKING:
    from antiphon.server.websocket import Lane, Session

ROUTE = "/v1/responses"
METHOD = "WEBSOCKET"
"""As which a create is counted and logged."""

_FAILED = frozenset({"failed", "cancelled"})


class Making:
    """One response being made for a lane. Its session hears of its end once (``made``)."""

    __slots__ = (
        "_asked",
        "_began_at",
        "_context",
        "_live",
        "_mark",
        "_message",
        "_over",
        "_session",
        "_task",
        "_told",
        "_veiled",
        "lane",
    )

    def __init__(self, session: Session, lane: Lane) -> None:
        self.lane = lane
        self._session = session
        self._began_at = session.deps.seconds()
        self._mark = b"" if lane.name is None else b',"stream_id":"%b"' % lane.name.encode()
        self._asked: CreateEvent | None = None
        self._message = b""
        self._context: Context | None = None
        self._live: Live | None = None
        self._task: asyncio.Task[None] | None = None
        self._veiled = self._told = self._over = False

    # -- making -----------------------------------------------------------------------------

    def begin(self, message: bytes) -> None:
        """Read, resolve and start it, here or, if that has to wait, in a task."""
        session = self._session
        self._message = message
        crowded = session.deps.crowded()
        session.deps.under_way.count += 1
        try:
            if crowded:
                raise overcrowded()
            if session.rework is not None:
                message = session.rework(message)
            asked = self._asked = decode_create_event(message)
            self._message = b""
            _check(asked)
            self._veiled = is_veiled(asked)
            asked.stream = True
            runs, project = session.deps.runs, session.project
            warm = asked.generate is False
            waits = not resolves_at_once(asked, session.local, project)
            resolving = runs.resolve(
                asked, project, session.flavour, session.local, warm, lenient=session.lenient
            )
            if waits:
                self._task = session.loop.create_task(self._wait_and_start(resolving))
            else:
                self._start(at_once(resolving))
        except Exception as failure:
            self.refuse(failure)

    async def _wait_and_start(self, resolving: Coroutine[Any, Any, Context]) -> None:
        try:
            context = await resolving
            self._task = None
            self._start(context)
        except Exception as failure:
            self.refuse(failure)

    def _start(self, context: Context) -> None:
        self._context = context
        assert self._asked is not None
        warm = self._asked.generate is False
        self._live = self._session.deps.runs.start(context, self, warm=warm)
        if self._session.paused:
            self.pause()

    # -- what the session calls ---------------------------------------------------------------

    def pause(self) -> None:
        if self._live is not None:
            self._live.pause()

    def resume(self) -> None:
        if self._live is not None:
            self._live.resume()

    def leave(self, status: int) -> None:
        """Nobody waits for it any more."""
        if self._live is not None:
            self._live.cancel()
        if self._task is not None:
            self._task.cancel()
        self._ended(status)

    # -- what the response calls (live.Reader) ------------------------------------------------

    def refuse(self, error: Exception) -> None:
        """Before the first event: an error message. What nobody expected is the operator's."""
        if isinstance(error, ClientError | RemoteError):
            error.__traceback__ = None  # its frames hold the message and the error: a cycle
        else:
            self._session.deps.observe(Broke("request", error, None))
        code = self._session.refuse(error, self.lane.name)
        self._evict()
        self._ended(problem_of(error, self._session.request_id).status, code)

    def write(self, events: Sequence[Event]) -> None:
        session = self._session
        shown = obfuscated(events, session.deps.random) if self._veiled else events
        told = session.messages(shown, mark=self._mark)
        if not self._told:
            self._tell_downgrades(told)
        session.wire.put(told)

    def end(self, events: Sequence[Event]) -> None:
        live, session = self._live, self._session
        assert live is not None
        shown = obfuscated(events, session.deps.random) if self._veiled else events
        told = session.messages(shown, live.spelled(), self._mark)
        if not self._told:
            self._tell_downgrades(told)
        self._remember(live)
        session.wire.put(told)
        self._ended(200)

    def _tell_downgrades(self, told: list[bytes]) -> None:
        """What an HTTP answer says in a header, in the first event."""
        self._told = True
        assert self._context is not None
        if self._context.downgrades:
            names = encode(list(self._context.downgrades))
            told[0] = b'%b,"x_antiphon_downgrades":%b}' % (told[0][:-1], names)

    # -- the end ------------------------------------------------------------------------------

    def _remember(self, live: Live) -> None:
        """What the connection knows of this lane from now on."""
        session, response = self._session, live.response
        if response.status in _FAILED or live.unstored is not None:
            self._evict()
        elif response.store:
            session.local.pass_by(self.lane.name)
        elif self._context is not None:
            session.local.keep(self.lane.name, self._context, response)

    def _evict(self) -> None:
        asked, session = self._asked, self._session
        parent = continued_by(self._message) if asked is None else asked.previous_response_id
        if parent is not None:
            session.local.evict(self.lane.name, session.project, parent)

    def _ended(self, status: int, code: str | None = None) -> None:
        if self._over:
            return
        self._over = True
        self._live = self._context = None
        deps = self._session.deps
        deps.under_way.leave()
        seconds = deps.seconds() - self._began_at
        project = self._session.project or None
        deps.observe(
            RequestFinished(self._session.request_id, METHOD, ROUTE, status, seconds, project, code)
        )
        self._session.made(self)


def _check(asked: CreateEvent) -> None:
    """Refuse what only makes sense over HTTP."""
    if asked.background:
        raise ClientError(
            "'background' is not available over WebSocket; create background responses with "
            "POST /v1/responses.",
            code="unsupported_parameter",
            param="background",
        )
    if asked.stream is False:
        raise ClientError(
            "Over WebSocket every response is streamed; leave 'stream' out.",
            code="unsupported_value",
            param="stream",
        )
