"""Performs runs: all waiting, all time-outs, all cancellation, and the one write at the end.

Rules. The driver holds no knowledge of items or events: it asks the run what it wants, performs
it against the backend, feeds what came back, and hands the events on in the groups in which the
network delivered them. It never looks whether the reader streams.

Order of the end: the run closes the response → the row is committed and on the disk → the group
with the terminal event leaves. So whoever has seen the end can retrieve and continue it, and a
crash before that leaves no trace: a response is finished, failed, cancelled or absent.

``Runs.create`` returns when the first batch of the model is there (or, for a stream, after
``first_event_wait_seconds``): what fails until then is an HTTP status, what fails later is
``response.failed``. A reader that leaves cancels the task; the upstream call is closed and the
response recorded as ``cancelled`` with what was written so far.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine, Sequence
from copy import copy
from typing import Any

import msgspec

from antiphon.backends.base import Backend, Turn
from antiphon.backends.estimate import Estimator
from antiphon.config import RunSettings
from antiphon.errors import AntiphonError, ClientError, ContextOverflow, RemoteError
from antiphon.ids import Ids
from antiphon.observe import Broke, Observe, ResponseFinished, Retried, nobody
from antiphon.runs.context import Context, resolve
from antiphon.runs.documents import Documents
from antiphon.runs.echo import Flavour
from antiphon.runs.history import shortened
from antiphon.runs.run import CallModel, Run
from antiphon.store.base import Store, StoredResponse
from antiphon.stream.deltas import Delta
from antiphon.types.codec import encode
from antiphon.types.events import Event
from antiphon.types.request import CreateResponse
from antiphon.types.response import Response
from antiphon.types.tools import TextFormat

_SHORTENINGS_MAX = 8


class Runs:
    """Starts responses; one per process. ``retention_ms`` None keeps them for ever;
    ``estimator`` counts tokens where the backend cannot."""

    def __init__(
        self,
        *,
        backend: Backend,
        store: Store,
        ids: Ids,
        settings: RunSettings,
        retention_ms: int | None,
        observe: Observe = nobody,
        estimator: Estimator | None = None,
    ) -> None:
        self.backend = backend
        self.store = store
        self.ids = ids
        self.settings = settings
        self.observe = observe
        self.retention_ms = retention_ms
        self._estimator = estimator or Estimator()
        self._documents = Documents()
        self._last_words: set[asyncio.Task[Any]] = set()

    async def create(
        self, asked: CreateResponse, *, project: str, flavour: Flavour = "openai"
    ) -> Live:
        """Begin a response. Raises ``ClientError`` or ``RemoteError`` before its first event."""
        context = await self._resolve(asked, project, flavour)
        live = Live(self, context)
        await live.open()
        return live

    async def count(self, asked: CreateResponse, *, project: str) -> tuple[int, bool]:
        """Input tokens a create with these fields would use, and whether that is exact."""
        context = await self._resolve(asked, project, "openai")
        exact = await self.backend.count(context.turn)
        if exact is not None:
            return exact, True
        return self._estimator.input(context.turn), False

    async def _resolve(self, asked: CreateResponse, project: str, flavour: Flavour) -> Context:
        return await resolve(
            asked,
            project=project,
            flavour=flavour,
            store=self.store,
            backend=self.backend,
            ids=self.ids,
            documents=self._documents,
            settings=self.settings,
        )

    async def finish(self, work: Coroutine[Any, Any, None]) -> None:
        """Do the last work of a run so that no second cancellation can break it off."""
        task = asyncio.ensure_future(work)
        self._last_words.add(task)
        task.add_done_callback(self._last_words.discard)
        await asyncio.shield(task)

    async def close(self) -> None:
        """Wait for the last writes of runs that were cancelled."""
        while self._last_words:
            await asyncio.wait(self._last_words)


class Live:
    """A response being made. Iterate ``groups`` once, or call ``finish`` once."""

    def __init__(self, runs: Runs, context: Context) -> None:
        self._runs = runs
        self._context = context
        self._run = Run(context, attempts=runs.settings.attempts)
        self._deltas: AsyncIterator[Sequence[Delta]] | None = None
        self._first: asyncio.Task[Sequence[Delta]] | None = None
        self._batch: Sequence[Delta] | None = None
        self._attempt = 0
        self._agreed = False
        self._first_delta_ms: int | None = None
        self._deadline = 0.0
        self._unstored: str | None = None

    @property
    def response(self) -> Response:
        return self._run.response

    @property
    def downgrades(self) -> Sequence[str]:
        return self._context.downgrades

    async def open(self) -> None:
        """Start the first model call; returns with its first batch, or when waiting any longer
        would keep a stream's reader in the dark."""
        context = self._context
        for _ in range(_SHORTENINGS_MAX):
            try:
                await self._first_batch(context)
                return
            except ContextOverflow:
                items = shortened(context.turn.items, context.new) if context.truncates else None
                if items is None:
                    raise
                turn = msgspec.structs.replace(context.turn, items=items)
                self._context = context = msgspec.structs.replace(context, turn=turn)
                self._run = Run(context, attempts=self._runs.settings.attempts)
        raise ContextOverflow("The input is too long for the model's context window.")

    async def _first_batch(self, context: Context) -> None:
        self._call(context.turn)
        self._attempt = 1
        wait = self._runs.settings.first_event_wait_seconds
        begun = False
        try:
            if not context.turn.live:
                self._batch = await self._next_batch()
            else:
                self._first = asyncio.ensure_future(self._next_batch())
                done, _ = await asyncio.wait({self._first}, timeout=wait)
                if done:
                    self._batch = self._first.result()
                    self._first = None
            begun = True
        finally:
            if not begun:
                await self._stop()

    async def _next_batch(self) -> Sequence[Delta]:
        """The next batch of the current model call. Raises ``RemoteError`` if there is none."""
        assert self._deltas is not None
        try:
            batch = await anext(self._deltas)
        except StopAsyncIteration:
            raise RemoteError(
                "The model backend ended its answer without saying so.",
                code="upstream_invalid_response",
            ) from None
        now = self._context.clock()
        if asyncio.get_running_loop().time() > self._deadline:
            raise RemoteError(
                "The model backend took too long to finish its answer.",
                status=504,
                code="upstream_timeout",
            )
        if self._first_delta_ms is None:
            self._first_delta_ms = now
        return batch

    def _call(self, turn: Turn) -> None:
        """Begin a model call."""
        limit = self._runs.settings.turn_seconds_max
        self._deadline = asyncio.get_running_loop().time() + limit
        self._deltas = self._runs.backend.stream(turn)

    async def groups(self) -> AsyncIterator[Sequence[Event]]:
        """The events, in the groups in which they should be written. Never raises
        ``RemoteError``: a failure is an event."""
        try:
            first = self._run.begin()
            if self._batch is None:
                yield first
                first = []
            while True:
                events = first + await self._step()
                first = []
                if self._run.over:
                    await self._end()
                    yield events + self._run.conclude(unstored=self._unstored)
                    return
                if events:
                    yield events
        except (asyncio.CancelledError, GeneratorExit):
            if not self._run.over:
                self._run.cancel()
                await self._end()
            raise
        finally:
            await self._stop()

    async def _step(self) -> list[Event]:
        """Perform one read of the current model call and feed it."""
        try:
            batch = await self._take()
            if not self._agreed:
                self._agree()
            events = self._run.feed(batch)
        except RemoteError as error:
            return self._run.fail(error)
        except ClientError as error:
            return self._run.fail(RemoteError(error.message, status=400, code=error.code or ""))
        except Exception as error:
            self._runs.observe(Broke("run", error, self.response.id))
            return self._run.fail(RemoteError("The server failed to make this response."))
        step = self._run.next()
        if isinstance(step, CallModel) and step.attempt != self._attempt:
            await self._again(step)
        return events

    def _agree(self) -> None:
        """Judge the answer by what the backend really does: in making the first call it may have
        learned that its upstream does not take a schema it was thought to enforce."""
        self._agreed = True
        turn = self._context.turn
        if turn.tools or not isinstance(turn.format, TextFormat):
            able = self._runs.backend.capabilities(turn.model)
            if able != self._context.able:
                self._run.demand(self._context.demands_on(able))

    async def _take(self) -> Sequence[Delta]:
        if self._batch is not None:
            batch, self._batch = self._batch, None
            return batch
        if self._first is not None:
            first, self._first = self._first, None
            return await first
        return await self._next_batch()

    async def _again(self, step: CallModel) -> None:
        await self._stop()
        self._attempt = step.attempt
        self._runs.observe(Retried("run", step.turn.model, "demand", step.attempt))
        self._call(step.turn)

    async def _stop(self) -> None:
        """Close the current model call, at once."""
        first, self._first = self._first, None
        if first is not None:
            first.cancel()
            await asyncio.wait({first})
            if not first.cancelled():
                first.exception()
        deltas, self._deltas = self._deltas, None
        if isinstance(deltas, AsyncGenerator):
            await deltas.aclose()

    async def finish(self) -> Response:
        """Drive to the end; the response as a whole, whatever its status. Raises
        ``RemoteError`` only if it had to be stored and could not be."""
        async for _ in self.groups():
            pass
        if self._unstored is not None:
            raise RemoteError(self._unstored, status=500)
        return self.response

    # -- the end ----------------------------------------------------------------------------

    async def _end(self) -> None:
        """Store the response if the request wants it, and say that it is over."""
        if self.response.store:
            await self._runs.finish(self._store())
        else:
            self._tell()

    async def _store(self) -> None:
        try:
            await self._runs.store.save(self._row())
        except AntiphonError as error:
            self._runs.observe(Broke("store", error, self.response.id))
            self._unstored = "The response was made but could not be stored."
        self._tell()

    def _tell(self) -> None:
        response = self.response
        now = self._context.clock()
        first = self._first_delta_ms
        usage = response.usage
        self._runs.observe(
            ResponseFinished(
                response_id=response.id,
                project=self._context.project,
                model=response.model,
                status=response.status if self._unstored is None else "failed",
                seconds=(now - self._context.started_ms) / 1000,
                first_delta_seconds=(
                    None if first is None else (first - self._context.started_ms) / 1000
                ),
                input_tokens=usage.input_tokens if usage else 0,
                output_tokens=usage.output_tokens if usage else 0,
                events=self._run.events,
                streamed=self._context.turn.live,
                stored=response.store and self._unstored is None,
            )
        )

    def _row(self) -> StoredResponse:
        response = self.response
        head = copy(response)
        head.output = []
        retention = self._runs.retention_ms
        started = self._context.started_ms
        cuts = self._run.cuts
        return StoredResponse(
            id=response.id,
            project=self._context.project,
            parent=response.previous_response_id,
            created_at=started,
            expires_at=None if retention is None else started + retention,
            status=response.status,
            head=encode(head),
            input=self._context.brought,
            output=encode(response.output),
            cuts=None if cuts is None else cuts.packed(),
        )
