"""One request over ASGI and its answer: what every route needs and nothing of any route.

An ``Exchange`` reads the request and sends the answer, once: either whole (``answer``) or as a
stream (``begin``, ``write`` …, ``end``). It adds the headers every answer carries and
remembers what ``RequestFinished`` will tell. Requests that ``hot.py`` answers never get one.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from starlette.types import Receive, Scope, Send

from antiphon.backends.base import Backend
from antiphon.config_state import WebSocketSettings
from antiphon.ids import Ids
from antiphon.observe import Observe, RequestFinished, nobody
from antiphon.runs.driver import Runs
from antiphon.runs.echo import Flavour
from antiphon.runs.webhooks import Webhooks
from antiphon.server import open_responses, presence
from antiphon.server.auth import Keys
from antiphon.server.body import read_body
from antiphon.server.errors import Headers, overcrowded, problem_of
from antiphon.server.presence import CallerLeft, Presence
from antiphon.store.base import Responses

OPENAI_VERSION = b"2020-10-01"
LEFT_STATUS = 499
REQUEST_ID_MAX = 128
UNROUTED = "(none)"
"""Route of a request that reached no route."""

_JSON = b"application/json"
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class Settings(Protocol):
    """The part of the server's settings that is used here (``config.ServerSettings``)."""

    @property
    def body_limit_bytes(self) -> int: ...
    @property
    def keepalive_seconds(self) -> float: ...
    @property
    def requests_max(self) -> int: ...
    @property
    def lenient_clients(self) -> Sequence[str]: ...


class UnderWay:
    """The requests being answered: how many, and when there are none any more."""

    def __init__(self) -> None:
        self.count = 0
        self._none = asyncio.Event()

    def leave(self) -> None:
        """One of them was answered."""
        self.count -= 1
        if not self.count:
            self._none.set()

    async def drained(self) -> None:
        """Returns when there are none."""
        self._none.clear()
        if self.count:
            await self._none.wait()


async def always_ready() -> Mapping[str, str]:
    """No problems."""
    return {}


@dataclass(frozen=True, kw_only=True, slots=True)
class Deps:
    """What the server is made of. ``app.py`` builds it; tests build it by hand.

    ``ready`` says what keeps the server from working: part → problem, empty when all is well.
    ``metrics`` renders the metrics page: body and content type; None means there is none.
    ``seconds`` is a monotonic clock; ``random(n)`` gives n random bytes. ``open_responses``: the
    server's profile, see ``open_responses.py``.
    """

    runs: Runs
    store: Responses
    backend: Backend
    keys: Keys
    settings: Settings
    ids: Ids
    version: str
    observe: Observe = nobody
    ready: Callable[[], Awaitable[Mapping[str, str]]] = always_ready
    metrics: Callable[[], tuple[bytes, str]] | None = None
    seconds: Callable[[], float] = time.perf_counter
    random: Callable[[int], bytes] = os.urandom
    under_way: UnderWay = field(default_factory=UnderWay)
    webhooks: Webhooks | None = None
    open_responses: bool = False
    websocket: WebSocketSettings = field(default_factory=WebSocketSettings)

    def crowded(self) -> bool:
        """Whether as many requests are being answered as the operator allows."""
        return self.under_way.count >= self.settings.requests_max


class Exchange:
    """A request being answered. ``headers`` has lower-case names; of a repeated one, the last.

    ``route`` is the template of the path, ``project`` the caller's, empty until it is known;
    ``downgrades`` are told in a header of the answer, and so is that it is ``replayed``: it was
    made for an earlier request with this idempotency key.
    """

    __slots__ = (
        "_code",
        "_presence",
        "_receive",
        "_send",
        "_started_at",
        "_status",
        "complete",
        "crowded",
        "deps",
        "downgrades",
        "flavour",
        "headers",
        "method",
        "project",
        "replayed",
        "request_id",
        "response_id",
        "route",
        "scope",
    )

    def __init__(self, deps: Deps, scope: Scope, receive: Receive, send: Send) -> None:
        self.deps = deps
        self.scope = scope
        self.headers: dict[bytes, bytes] = dict(scope["headers"])
        self.method: str = scope.get("method", "GET")
        self.request_id = sane(self.headers.get(b"x-request-id", b"")) or deps.ids.mint("req")
        self.flavour: Flavour = (scope.get("state") or {}).get("flavour", "openai")
        self.route = UNROUTED
        self.project = ""
        self.response_id: str | None = None
        self.downgrades: Sequence[str] = ()
        self.crowded = False
        self.replayed = False
        self.complete = False
        self._receive = receive
        self._send = send
        self._presence: Presence | None = None
        self._started_at = deps.seconds()
        self._status = 0
        self._code: str | None = None

    @property
    def started(self) -> bool:
        """Whether the status line is on its way: too late for an error as an HTTP status."""
        return self._status != 0

    @property
    def lenient(self) -> bool:
        """Whether tools that coding agents always send are left out where they cannot be run."""
        return from_agent(self.headers, self.deps.settings.lenient_clients)

    # The request

    def admit(self) -> None:
        """Let the caller in: ClientError 401 without a valid key, RemoteError 503 if crowded."""
        self.project = self.deps.keys.project_of(self.headers)
        if self.crowded:
            raise overcrowded()

    def path_parameter(self, name: str) -> str:
        return str(self.scope["path_params"][name])

    async def body(self) -> bytes:
        """The decompressed body; see ``read_body`` for what it raises."""
        return await read_body(self._receive, self.headers, self.deps.settings.body_limit_bytes)

    def presence(self) -> Presence:
        """For the time the answer is made: cancels the making if the caller leaves."""
        self._presence = Presence(
            self._receive,
            ping=self._keep_alive,
            silence_seconds=self.deps.settings.keepalive_seconds,
        )
        return self._presence

    # The answer

    async def answer(
        self,
        body: bytes,
        *,
        status: int = 200,
        content_type: bytes = _JSON,
        headers: Headers | None = None,
    ) -> None:
        """Send the whole answer."""
        self._end_presence()
        every = self._common(content_type)
        every.append((b"content-length", b"%d" % len(body)))
        if headers:
            every += headers
        self._status = status
        await self._write({"type": "http.response.start", "status": status, "headers": every})
        self.complete = True
        shown = b"" if self.method == "HEAD" else body
        await self._write({"type": "http.response.body", "body": shown, "more_body": False})

    async def respond(self, body: bytes) -> None:
        """Send a response, or what ``compact`` made of one, as the server's profile has it."""
        await self.answer(open_responses.body(body) if self.deps.open_responses else body)

    async def fail(self, failure: Exception) -> None:
        """Send a failure that came before the first byte."""
        problem = problem_of(failure, self.request_id)
        if self.deps.open_responses:
            problem = open_responses.problem(problem)
        self._code = problem.error.code
        await self.answer(problem.body, status=problem.status, headers=problem.headers)

    async def begin(self, content_type: bytes, headers: Headers) -> None:
        """Send the head of a streamed answer."""
        every = self._common(content_type) + headers
        self._status = 200
        await self._write({"type": "http.response.start", "status": 200, "headers": every})

    async def write(self, chunk: bytes) -> None:
        """Send one piece of a streamed answer; waits while the caller reads too slowly."""
        await self._write({"type": "http.response.body", "body": chunk, "more_body": True})
        if self._presence is not None:
            self._presence.heard()

    async def end(self, chunk: bytes) -> None:
        """Send the last piece of a streamed answer."""
        self._end_presence()
        self.complete = True
        try:
            async with asyncio.timeout(presence.STALLED_AFTER_SECONDS):
                await self._write({"type": "http.response.body", "body": chunk, "more_body": False})
        except TimeoutError:
            raise CallerLeft from None

    def finished(self, *, left: bool) -> RequestFinished:
        """What there is to tell when the exchange is over."""
        return RequestFinished(
            request_id=self.request_id,
            method=self.method if self.method in _METHODS else "OTHER",
            route=self.route,
            status=LEFT_STATUS if left else self._status or 500,
            seconds=self.deps.seconds() - self._started_at,
            project=self.project or None,
            code=self._code,
        )

    async def _keep_alive(self) -> None:
        if self.started and not self.complete:
            await self._write(
                {"type": "http.response.body", "body": b": keep-alive\n\n", "more_body": True}
            )

    def _end_presence(self) -> None:
        presence, self._presence = self._presence, None  # each knows the other: a cycle
        if presence is not None:
            presence.stop()

    def _common(self, content_type: bytes) -> Headers:
        milliseconds = (self.deps.seconds() - self._started_at) * 1000
        headers = [
            (b"content-type", content_type),
            (b"x-request-id", self.request_id.encode()),
            (b"openai-processing-ms", b"%d" % milliseconds),
            (b"openai-version", OPENAI_VERSION),
        ]
        if self.replayed:
            headers.append((b"idempotent-replayed", b"true"))
        if self.downgrades:
            headers.append((b"x-antiphon-downgrades", ", ".join(self.downgrades).encode()))
        return headers

    async def _write(self, message: dict[str, object]) -> None:
        try:
            await self._send(message)
        except OSError:
            raise CallerLeft from None


def from_agent(headers: Mapping[bytes, bytes], beginnings: Sequence[str]) -> bool:
    """Whether the headers (names in lower case) are a coding agent's: its ``originator`` or its
    ``user-agent`` begins with one of these, which are in lower case."""
    named = (headers.get(b"originator", b""), headers.get(b"user-agent", b""))
    return any(one.decode("latin-1").lower().startswith(tuple(beginnings)) for one in named)


def sane(request_id: bytes) -> str:
    """The caller's own request id if it may be repeated in a header and a log, else empty."""
    good = 0 < len(request_id) <= REQUEST_ID_MAX and all(0x20 < byte < 0x7F for byte in request_id)
    return request_id.decode() if good else ""
