"""Which backend answers a model, and what happens when it fails before its first word.

Theory of operation. A route is a backend with the names it serves; a route without names takes
whatever no other route names. The routes of a model are tried in order: each as often as its
``retries`` allow, then the next one, as long as nothing was produced and the failure invites
it. After the first batch a failure is final.

What the outside hears (``observe``): ``TurnFinished`` for every call, ``Retried`` before every
call made again. A turn for which the upstream reports no usage gets an estimate; what others
report teaches the ``estimator``, by the names callers use.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from fnmatch import fnmatchcase
from functools import reduce

import msgspec
from msgspec import Struct

from antiphon.backends.base import Backend, Call, Capabilities, Model, Pump, Sink, Turn
from antiphon.backends.estimate import MODELS_MAX, Estimator, turn_tokens
from antiphon.errors import ClientError, RemoteError
from antiphon.observe import Observe, Retried, TurnFinished, nobody
from antiphon.stream.deltas import Delta, Finish, Spent

BACK_OFF_SECONDS = 0.25
BACK_OFF_SECONDS_MAX = 4.0
RETRY_AFTER_SECONDS_MAX = 15.0
"""A longer wish of the upstream is not waited for: the caller gets the error and the wish."""

WAYS_MAX = 1_000
"""Names of models whose routes are remembered."""

_PROMISES = ("enforced", "asked", "none")

LEARNED_EVERY = 512
"""The turns of a model that teach the estimator are the 1st, 2nd, 4th … and then every so many:
estimating a context of 100 KB takes 3 ms."""


class Route(Struct, frozen=True, kw_only=True):
    """One backend. ``models`` are names it serves, ``*`` and ``?`` allowed; empty: whatever no
    other route names. ``rename`` maps a caller's name to the backend's. ``retries`` are calls
    made again after a failure that invites it."""

    name: str
    backend: Backend
    models: Sequence[str] = ()
    rename: Mapping[str, str] = {}
    retries: int = 2

    def serves(self, model: str) -> bool:
        """True if the route names this model."""
        return model in self.rename or any(fnmatchcase(model, name) for name in self.models)


class Router:
    """The backend of all backends. ``sleep`` and ``jitter`` (0 to 1) are replaced in tests."""

    def __init__(
        self,
        routes: Sequence[Route],
        *,
        observe: Observe = nobody,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self.routes = tuple(routes)
        self.observe = observe
        self._sleep = sleep
        self._jitter = jitter
        self.estimator = Estimator()
        self._ways: dict[str, _Way] = {}
        self.reports: dict[tuple[str, str], int] = {}

    async def open(self) -> None:
        """Opens every backend; those already open are closed again if one fails."""
        opened: list[Backend] = []
        try:
            for route in self.routes:
                await route.backend.open()
                opened.append(route.backend)
        except BaseException:
            for backend in reversed(opened):
                await backend.close()
            raise

    async def close(self) -> None:
        """Closes every backend, in reverse."""
        for route in reversed(self.routes):
            await route.backend.close()

    async def models(self) -> Sequence[Model]:
        """What all backends name, asked at the same time; renamed models by both names'
        rules: a caller's name is listed, the name behind it only if callers may use it."""
        async with asyncio.TaskGroup() as group:
            lists = [group.create_task(route.backend.models()) for route in self.routes]
        found: dict[str, Model] = {}
        for route, listed in zip(self.routes, lists, strict=True):
            for model in _listed(route, listed.result()):
                found.setdefault(model.id, model)
        return list(found.values())

    def routes_of(self, model: str) -> Sequence[Route]:
        """The routes to try, in order. ``ClientError`` 404 ``model_not_found`` if there is none."""
        way = self._ways.get(model) or self._find(model)
        return way.routes

    def capabilities(self, model: str) -> Capabilities:
        """Those of the route tried first, but enforcing only what every route enforces: the
        run checks nothing that is enforced, and any of them may answer."""
        way = self._ways.get(model) or self._find(model)
        known = way.backend.capabilities(way.behind)
        return known if way.alone else way.weakest(known, model)

    def _find(self, model: str) -> _Way:
        """The way of a model that was not asked for lately; it is remembered."""
        named = [route for route in self.routes if route.serves(model)]
        routes = named or [route for route in self.routes if not route.models]
        if not routes:
            raise ClientError(
                f"The model '{model[:128]}' does not exist; GET /v1/models lists those that do.",
                code="model_not_found",
                param="model",
                status=404,
            )
        if len(self._ways) >= WAYS_MAX:
            del self._ways[next(iter(self._ways))]
        way = self._ways[model] = _Way(routes, model)
        return way

    async def count(self, turn: Turn) -> int | None:
        """The count of the route tried first, if it can tell."""
        route = self.routes_of(turn.model)[0]
        return await route.backend.count(_for(route, turn))

    def begin(self, turn: Turn, sink: Sink) -> Call | None:
        """By the first route, if its backend pushes. ``ClientError`` 404 as ``routes_of``."""
        routes = self.routes_of(turn.model)
        pushed = _Pushed(self, routes, turn, sink)
        return pushed if pushed.begin() else None

    def stream(self, turn: Turn) -> AsyncIterator[Sequence[Delta]]:
        """The turn's deltas from the first route that gives any."""
        return self.stream_from(turn, None, None)

    async def stream_from(
        self, turn: Turn, tries: _Tries | None, failed: tuple[_Try, RemoteError] | None
    ) -> AsyncIterator[Sequence[Delta]]:
        """The same from where a turn stands: ``failed`` is to be tried again after a pause."""
        call = await self._begun(turn, tries or _Tries(self.routes_of(turn.model)), failed)
        try:
            batch = call.first
            while not (batch and isinstance(batch[-1], Finish)):
                yield batch
                following = await anext(call.deltas, None)
                if following is None:
                    raise RemoteError("The answer has no end.", code="upstream_broke_off")
                batch = following
                if call.seen is not None:
                    call.seen.append(batch)
            call.outcome = "ok"
            yield self.with_usage(call, batch)
        except RemoteError as error:
            call.outcome = error.code
            raise
        finally:
            await call.close()

    async def _begun(
        self, turn: Turn, tries: _Tries, failed: tuple[_Try, RemoteError] | None
    ) -> _Call:
        """The first call that says anything, or the failure that counts."""
        while True:
            if failed is not None:
                await self._before_retry(*failed)
            call = _Call(self, tries.route, turn, tries.attempt)
            try:
                await call.begin()
                return call
            except RemoteError as error:
                failed = (call, error) if tries.again_after(error) else None

    async def _before_retry(self, call: _Try, error: RemoteError) -> None:
        name, attempt = call.route.name, call.attempt
        self.observe(Retried(name, call.turn.model, error.code, attempt))
        wait = min(BACK_OFF_SECONDS_MAX, BACK_OFF_SECONDS * 2 ** (attempt - 1))
        wait *= 0.5 + self._jitter() / 2
        await self._sleep(max(wait, error.retry_after_seconds or 0))

    def with_usage(self, call: _Try, last: Sequence[Delta]) -> Sequence[Delta]:
        """The last batch, with an estimate before ``Finish`` if nothing was reported."""
        for delta in reversed(last):  # it stands at the end of what may be a whole answer
            if isinstance(delta, Spent):
                self._learn(call, delta)
                return last
        seen = [delta for batch in call.seen or [last] for delta in batch]
        if any(isinstance(delta, Spent) for delta in seen):
            return last
        output = self.estimator.output(call.asked.model, seen)
        return [*last[:-1], Spent(self.estimator.input(call.asked), output), last[-1]]

    def _learn(self, call: _Try, spent: Spent) -> None:
        """Compare a report with our estimate: at first often, then ever more seldom."""
        count = self.reports.get(call.key, 0) + 1
        if count > 1 or len(self.reports) < MODELS_MAX:
            self.reports[call.key] = count
        if count & (min(count, LEARNED_EVERY) - 1) == 0:  # it is a power of two, or a multiple
            estimated = turn_tokens(call.asked)
            model = call.asked.model
            self.estimator.learn(model, estimated=estimated, reported=spent.input_tokens)


class _Way:
    """The routes of one model, and what they promise together: asked for at every request."""

    def __init__(self, routes: Sequence[Route], model: str) -> None:
        self.routes = routes
        self.alone = len(routes) == 1
        self.backend = routes[0].backend
        self.behind = routes[0].rename.get(model, model)
        self._compared: list[Capabilities] = []
        self._weakest = Capabilities()

    def weakest(self, first: Capabilities, model: str) -> Capabilities:
        """The weakest promise of all, compared again only if a backend has learned."""
        rest = [
            route.backend.capabilities(route.rename.get(model, model)) for route in self.routes[1:]
        ]
        promised = [first, *rest]
        if promised != self._compared:
            self._compared = promised
            self._weakest = reduce(_weaker, rest, first)
        return self._weakest


class _Tries:
    """Where a turn stands: which route is asked, for which time, and which failure counts."""

    def __init__(self, routes: Sequence[Route]) -> None:
        self._routes = routes
        self._at = 0
        self._failure: RemoteError | None = None
        self.attempt = 1

    @property
    def route(self) -> Route:
        return self._routes[self._at]

    def again_after(self, error: RemoteError) -> bool:
        """True: the same route again, after a pause; False: the next one, at once. Raises the
        failure that counts if there is nothing left to try."""
        failure = self._failure = _worse(self._failure, error)
        if self.attempt <= self.route.retries and _invites_retry(error):
            self.attempt += 1
            return True
        last = self._at + 1 == len(self._routes)
        if last or not (failure.retryable or failure.code == "model_not_found"):
            raise failure
        self._at += 1
        self.attempt = 1
        return False


class _Try:
    """One turn at one route. ``seen`` is kept for models not known to report their usage."""

    __slots__ = ("_began", "asked", "attempt", "key", "outcome", "route", "router", "seen", "turn")

    def __init__(self, router: Router, route: Route, turn: Turn, attempt: int) -> None:
        self.router = router
        self.route = route
        self.asked = turn  # under the name the caller used
        self.turn = turn = _for(route, turn)
        self.attempt = attempt
        self.key = (route.name, turn.model)
        self.outcome = "abandoned"
        self.seen: list[Sequence[Delta]] | None = None if self.key in router.reports else []
        self._began = time.monotonic()

    def tell(self) -> None:
        """Say how the call ended."""
        seconds = time.monotonic() - self._began
        self.router.observe(
            TurnFinished(self.route.name, self.turn.model, self.outcome, seconds, self.attempt)
        )


class _Call(_Try):
    """One that is waited for."""

    __slots__ = ("deltas", "first")

    def __init__(self, router: Router, route: Route, turn: Turn, attempt: int) -> None:
        super().__init__(router, route, turn, attempt)
        self.deltas = route.backend.stream(self.turn)
        self.first: Sequence[Delta] = ()

    async def begin(self) -> None:
        """Wait for the first batch; raises the ``RemoteError`` there is instead of it."""
        begun = False
        try:
            first = await anext(self.deltas, None)
            if first is None:
                raise RemoteError("The backend ended without a word.", code="upstream_broke_off")
            self.first, begun = first, True
            if self.seen is not None:
                self.seen.append(first)
        except RemoteError as error:
            self.outcome = error.code
            raise
        finally:
            if not begun:
                await self.close()

    async def close(self) -> None:
        """Stop the backend at once, and say how the call ended."""
        self.tell()
        close = getattr(self.deltas, "aclose", None)
        if close is not None:
            await close()


class _Pushed(_Try):
    """One that is pushed: the ``Call`` of who asked, and the ``Sink`` of the backend.

    After a failure that invites another try a task goes on from where the turn stands, into
    the same sink.
    """

    __slots__ = ("_begun", "_call", "_paused", "_routes", "_sink", "_told")

    def __init__(self, router: Router, routes: Sequence[Route], turn: Turn, sink: Sink) -> None:
        super().__init__(router, routes[0], turn, 1)
        self._routes = routes
        self._sink = sink
        self._call: Call | None = None  # None once there is nothing to stop
        self._begun = False
        self._paused = False
        self._told = False  # a call after the first one says itself how it ended

    def begin(self) -> bool:
        """False if the backend does not push; then nothing was done."""
        self._call = self.route.backend.begin(self.turn, self)
        return self._call is not None

    # Call

    def pause(self) -> None:
        self._paused = True
        if self._call is not None:
            self._call.pause()

    def resume(self) -> None:
        self._paused = False
        if self._call is not None:
            self._call.resume()

    def close(self) -> None:
        call, self._call = self._call, None
        if call is not None:
            call.close()
            if not self._told:
                self.tell()

    # Sink

    def take(self, deltas: Sequence[Delta]) -> None:
        self._begun = True
        if self.seen is not None:
            self.seen.append(deltas)
        if deltas and type(deltas[-1]) is Finish:
            self.outcome = "ok"
            self._call = None
            self._sink.take(self.router.with_usage(self, deltas))
            self.tell()
        else:
            self._sink.take(deltas)

    def broke(self, error: Exception) -> None:
        self._call = None
        self._told = True
        if isinstance(error, RemoteError):
            self.outcome = error.code
        self.tell()
        if self._begun or not isinstance(error, RemoteError):
            self._sink.broke(error)
            return
        tries = _Tries(self._routes)
        try:
            failed = (self, error) if tries.again_after(error) else None
        except RemoteError as final:
            self._sink.broke(final)
            return
        stream = self.router.stream_from(self.asked, tries, failed)
        self._call = Pump(stream, self._sink, paused=self._paused)


def _invites_retry(error: RemoteError) -> bool:
    return error.retryable and (error.retry_after_seconds or 0) <= RETRY_AFTER_SECONDS_MAX


def _weaker(known: Capabilities, other: Capabilities) -> Capabilities:
    """``known`` with the weaker of both promises in each field."""
    weaker = {
        field: max(getattr(known, field), getattr(other, field), key=_PROMISES.index)
        for field in ("json_schema", "strict_tools", "grammar", "tool_choice")
    }
    both = known.summaries and other.summaries
    native = known.native & other.native  # any of them may be asked
    return msgspec.structs.replace(known, native=native, summaries=both, **weaker)


def _for(route: Route, turn: Turn) -> Turn:
    """The turn under the name the backend knows the model by."""
    renamed = route.rename.get(turn.model)
    return msgspec.structs.replace(turn, model=renamed) if renamed else turn


def _worse(known: RemoteError | None, error: RemoteError) -> RemoteError:
    """The failure to report: that a model does not exist only if nobody says otherwise."""
    return known if known and error.code == "model_not_found" else error


def _listed(route: Route, models: Sequence[Model]) -> list[Model]:
    """The models of a route under the names callers use."""
    by_id = {model.id: model for model in models}
    named = [
        msgspec.structs.replace(by_id.get(behind, Model(id=behind)), id=name)
        for name, behind in route.rename.items()
    ]
    if not route.models:
        return named + list(models)
    plain = [name for name in route.models if not set(name) & set("*?[")]
    served = [model for model in models if route.serves(model.id)]
    missing = [Model(id=name) for name in plain if name not in by_id]
    return named + served + missing
