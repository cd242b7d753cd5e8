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

import msgspec
from msgspec import Struct

from antiphon.backends.base import Backend, Capabilities, Model, Turn
from antiphon.backends.estimate import MODELS_MAX, Estimator, turn_tokens
from antiphon.errors import ClientError, RemoteError
from antiphon.observe import Observe, Retried, TurnFinished, nobody
from antiphon.stream.deltas import Delta, Finish, Spent

BACK_OFF_SECONDS = 0.25
BACK_OFF_SECONDS_MAX = 4.0
RETRY_AFTER_SECONDS_MAX = 15.0
"""A longer wish of the upstream is not waited for: the caller gets the error and the wish."""

_PROMISES = ("enforced", "asked", "none")

LEARNED_FIRST, LEARNED_EVERY = 3, 64
"""Which of a model's turns teach the estimator: estimating a long context is not free."""


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
        self._observe = observe
        self._sleep = sleep
        self._jitter = jitter
        self.estimator = Estimator()
        self._reports: dict[tuple[str, str], int] = {}

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
        named = [route for route in self.routes if route.serves(model)]
        routes = named or [route for route in self.routes if not route.models]
        if not routes:
            raise ClientError(
                f"The model '{model[:128]}' does not exist; GET /v1/models lists those that do.",
                code="model_not_found",
                param="model",
                status=404,
            )
        return routes

    def capabilities(self, model: str) -> Capabilities:
        """Those of the route tried first, but enforcing only what every route enforces: the
        run checks nothing that is enforced, and any of them may answer."""
        first, *others = self.routes_of(model)
        known = first.backend.capabilities(first.rename.get(model, model))
        for route in others:
            known = _weaker(known, route.backend.capabilities(route.rename.get(model, model)))
        return known

    async def count(self, turn: Turn) -> int | None:
        """The count of the route tried first, if it can tell."""
        route = self.routes_of(turn.model)[0]
        return await route.backend.count(_for(route, turn))

    async def stream(self, turn: Turn) -> AsyncIterator[Sequence[Delta]]:
        """The turn's deltas from the first route that gives any."""
        call = await self._begun(turn)
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
            yield self._with_usage(call, batch)
        except RemoteError as error:
            call.outcome = error.code
            raise
        finally:
            await call.close(self._observe)

    async def _begun(self, turn: Turn) -> _Call:
        """The first call that says anything, or the failure that counts."""
        failure: RemoteError | None = None
        for route in self.routes_of(turn.model):
            for attempt in range(1, route.retries + 2):
                call = _Call(route, _for(route, turn), attempt)
                try:
                    await call.begin(self._observe)
                except RemoteError as error:
                    failure = _worse(failure, error)
                    if attempt > route.retries or not _invites_retry(error):
                        break
                    await self._before_retry(call, error)
                else:
                    if call.key in self._reports:
                        call.seen = None
                    call.asked = turn
                    return call
            if failure and not failure.retryable and failure.code != "model_not_found":
                raise failure
        assert failure is not None, "a route ends with an answer or a failure"
        raise failure

    async def _before_retry(self, call: _Call, error: RemoteError) -> None:
        name, attempt = call.route.name, call.attempt
        self._observe(Retried(name, call.turn.model, error.code, attempt))
        wait = min(BACK_OFF_SECONDS_MAX, BACK_OFF_SECONDS * 2 ** (attempt - 1))
        wait *= 0.5 + self._jitter() / 2
        await self._sleep(max(wait, error.retry_after_seconds or 0))

    def _with_usage(self, call: _Call, last: Sequence[Delta]) -> Sequence[Delta]:
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

    def _learn(self, call: _Call, spent: Spent) -> None:
        """Compare a report with our estimate: the first few of a model, then some."""
        count = self._reports.get(call.key, 0) + 1
        if count > 1 or len(self._reports) < MODELS_MAX:
            self._reports[call.key] = count
        if count <= LEARNED_FIRST or count % LEARNED_EVERY == 0:
            estimated = turn_tokens(call.asked)
            model = call.asked.model
            self.estimator.learn(model, estimated=estimated, reported=spent.input_tokens)


class _Call:
    """One turn at one route. ``seen`` is kept for models not known to report their usage."""

    def __init__(self, route: Route, turn: Turn, attempt: int) -> None:
        self.route = route
        self.turn = turn
        self.asked = turn  # under the name the caller used
        self.attempt = attempt
        self.key = (route.name, turn.model)
        self.outcome = "abandoned"
        self.deltas = route.backend.stream(turn)
        self.first: Sequence[Delta] = ()
        self.seen: list[Sequence[Delta]] | None = []
        self._began = time.monotonic()

    async def begin(self, observe: Observe) -> None:
        """Wait for the first batch; raises the ``RemoteError`` there is instead of it."""
        begun = False
        try:
            first = await anext(self.deltas, None)
            if first is None:
                raise RemoteError("The backend ended without a word.", code="upstream_broke_off")
            self.first, self.seen, begun = first, [first], True
        except RemoteError as error:
            self.outcome = error.code
            raise
        finally:
            if not begun:
                await self.close(observe)

    async def close(self, observe: Observe) -> None:
        """Stop the backend at once, and say how the call ended."""
        seconds = time.monotonic() - self._began
        observe(TurnFinished(self.route.name, self.turn.model, self.outcome, seconds, self.attempt))
        close = getattr(self.deltas, "aclose", None)
        if close is not None:
            await close()


def _invites_retry(error: RemoteError) -> bool:
    return error.retryable and (error.retry_after_seconds or 0) <= RETRY_AFTER_SECONDS_MAX


def _weaker(known: Capabilities, other: Capabilities) -> Capabilities:
    """``known`` with the weaker of both promises in each field."""
    weaker = {
        field: max(getattr(known, field), getattr(other, field), key=_PROMISES.index)
        for field in ("json_schema", "strict_tools", "grammar", "tool_choice")
    }
    return msgspec.structs.replace(known, **weaker)


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
