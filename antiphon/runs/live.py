"""A response being made: a callback machine between its model calls, the store and its reader.

A ``Live`` is called from three sides, always in the loop: by the model call (``take``,
``broke``), by the store (``_stored``) and by the reader (``pause``, ``resume``, ``cancel``).

Order of the end: the run closes the response → the row is committed and on the disk → the group
with the terminal event leaves. So whoever has seen the end can retrieve and continue it, and a
crash before that leaves no trace: a response is finished, failed, cancelled or absent.

Until the first batch of the model (or, for a stream, until ``first_event_wait_seconds``) a
failure refuses the request: it is an HTTP status. What fails later is ``response.failed``. A
reader that leaves cancels the response: the upstream call is closed and, once the response had
begun, it is recorded as ``cancelled`` with what was written so far.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from math import inf
from time import monotonic
from typing import TYPE_CHECKING, Protocol

import msgspec

from antiphon.backends.base import Call, Turn
from antiphon.errors import ContextOverflow, LocalProtocolError, RemoteError
from antiphon.observe import Broke, ResponseFinished, Retried
from antiphon.runs.calling import Calling
from antiphon.runs.compacting import CallModel, Step
from antiphon.runs.context import Context
from antiphon.runs.mcp_plan import Listing, Prepare
from antiphon.runs.rounds import Asked, CallTools
from antiphon.runs.run import Run
from antiphon.runs.truncation import shortened
from antiphon.store.base import StoredResponse
from antiphon.store.work import Fenced
from antiphon.stream.deltas import Delta
from antiphon.stream.spelling import head_and_output, joined
from antiphon.tools.base import Output
from antiphon.tools.mcp_base import McpFailed, McpListed
from antiphon.types.codec import encode
from antiphon.types.events import Event
from antiphon.types.response import Response
from antiphon.types.tools import TextFormat

if TYPE_CHECKING:
    from antiphon.runs.driver import Runs

_SHORTENINGS_MAX = 8


class Reader(Protocol):
    """Whoever asked for a response. Its methods neither wait nor raise; one of ``refuse`` and
    ``end`` is the last that is called, unless the reader has cancelled."""

    def refuse(self, error: Exception) -> None:
        """There will be no response: ``ClientError``, ``RemoteError``, or what nobody expected."""

    def write(self, events: Sequence[Event]) -> None:
        """A group of events that should leave in one write."""

    def end(self, events: Sequence[Event]) -> None:
        """The last group. The response is final and, if it had to be, stored."""


class Live:
    """A response being made: a sink for its model calls, a source for its reader."""

    __slots__ = (
        "_call",
        "_context",
        "_first_delta_ms",
        "_last",
        "_opener",
        "_paused",
        "_reader",
        "_run",
        "_runs",
        "_shortened",
        "_spelled",
        "begun",
        "deadline",
        "unstored",
    )

    def __init__(self, runs: Runs, context: Context, reader: Reader) -> None:
        self._runs = runs
        self._context = context
        self._reader: Reader | None = reader
        settings = runs.settings
        self._run = Run(context, attempts=settings.attempts, rounds=settings.tool_rounds_max)
        self._call: Call | None = None
        self._opener: asyncio.Handle | None = None
        self._paused = False
        self._first_delta_ms: int | None = None
        self.deadline = 0.0
        self._last: list[Event] = []
        self._shortened = 0
        self._spelled: tuple[bytes, bytes] | None = None
        self.begun = False
        self.unstored: str | None = None

    @property
    def response(self) -> Response:
        return self._run.response

    @property
    def downgrades(self) -> Sequence[str]:
        return self._context.downgrades

    def spelled(self) -> bytes:
        """The response as JSON; it shares the work with the stored row."""
        if self._spelled is None or self.unstored is not None:
            return encode(self._run.response)
        return joined(*self._spelled)

    def open(self) -> None:
        """Begin the first model call, and see that a stream's reader is not kept in the dark."""
        self._perform()
        if self._context.turn.live:
            wait = self._runs.settings.first_event_wait_seconds
            self._opener = asyncio.get_running_loop().call_later(wait, self._begin_anyway)

    def warm(self) -> None:
        """Make the response without the model: it is over as soon as it has begun."""
        self.deadline = inf
        self._opener = asyncio.get_running_loop().call_soon(self._end_warm)

    def _end_warm(self) -> None:
        events = self._begin()
        self._run.leave_empty()
        self._end(events)

    # -- the reader -------------------------------------------------------------------------

    def pause(self) -> None:
        """The reader is slow: read nothing more from the model until ``resume``."""
        self._paused = True
        if self._call is not None:
            self._call.pause()

    def resume(self) -> None:
        self._paused = False
        if self._call is not None:
            self._call.resume()

    def cancel(self) -> None:
        """The reader has left, and hears nothing more."""
        if self._context.outlives:
            self._reader = None
            self.resume()
        else:
            self.break_off()

    def break_off(self) -> None:
        """The response is to end now, and the reader hears nothing more."""
        self._reader = None
        if self._run.over:
            return  # being stored; that is not broken off
        self._stop()
        if self.begun:
            self._run.cancel()
            self._end([])
        else:
            self._abandon(partial(self._runs.forget, self))

    # -- the model call ---------------------------------------------------------------------

    def take(self, deltas: Sequence[Delta]) -> None:
        """One network read of the current model call."""
        run = self._run
        step = run.step
        if step is None:
            return
        if monotonic() > self.deadline:
            return self.broke(too_slow())
        opening = self._first() if self._first_delta_ms is None else None
        try:
            events = run.feed(deltas)
        except RemoteError as error:
            return self._fail(error, opening or ())
        except Exception as error:
            return self._crash(error, opening or ())
        if opening:
            events = opening + events
        if run.step is not step:
            self._follow(events)
        elif events and self._reader is not None:
            self._reader.write(events)

    def _follow(self, events: list[Event]) -> None:
        """The run's step is over, and these are its last events."""
        step = self._run.step
        if step is None:
            return self._end(events)
        if events and self._reader is not None:
            self._reader.write(events)
        if self._run.step is step:  # else the reader has left
            self._again(step)

    def broke(self, error: Exception) -> None:
        """The model call failed, or something of ours in it."""
        if self._run.over:
            return  # a reader failed in hearing the end; that is told, and only once
        overflow = isinstance(error, ContextOverflow)
        if self._run.compacting and isinstance(error, RemoteError):
            step = self._run.compact_otherwise(overflow)
            if step is not None:
                return self._again(step)
        if overflow and not self.begun and self._shorten():
            return
        if not self.begun:
            self._refuse(error)
        elif isinstance(error, RemoteError):
            self._fail(error)
        else:
            self._crash(error)

    def _crash(self, error: Exception, events: Sequence[Event] = ()) -> None:
        """Nobody expected this: the operator hears of it, the reader that it failed."""
        self._runs.observe(Broke("run", error, self.response.id))
        self._fail(RemoteError("The server failed to make this response."), events)

    def _begin_call(self, turn: Turn) -> None:
        limit = self._runs.settings.turn_seconds_max
        self.deadline = monotonic() + limit  # asking for the loop is a system call before 3.12
        self._call = self._runs.call(turn, self)
        if self._paused:
            self._call.pause()

    def _first(self) -> list[Event]:
        """The model has begun to answer."""
        self._first_delta_ms = self._context.clock()
        self._agree()
        return self._begin()

    def _begin(self) -> list[Event]:
        """The opening events, once."""
        if self.begun:
            return []
        self.begun = True
        self._keep_waiting_no_longer()
        return self._run.begin()

    def _begin_anyway(self) -> None:
        events = self._begin()
        if self._reader is not None:
            self._reader.write(events)

    def _keep_waiting_no_longer(self) -> None:
        if self._opener is not None:
            self._opener.cancel()
            self._opener = None

    def _agree(self) -> None:
        """Judge the answer by what the backend really does: in making the first call it may have
        learned that its upstream does not take a schema it was thought to enforce."""
        turn = self._context.turn
        if turn.tools or not isinstance(turn.format, TextFormat):
            able = self._runs.backend.capabilities(turn.model)
            if able != self._context.able:
                self._run.demand(self._context.demands_on(able))

    def _again(self, step: Step) -> None:
        self._close_call()  # a reader that has heard nothing yet goes on waiting for an event
        if isinstance(step, CallModel) and step.reason:
            self._runs.observe(Retried("run", step.turn.model, "demand", step.attempt))
        self._perform()

    def _perform(self) -> None:
        """Begin what the run wants done."""
        self._context = self._run.context
        match self._run.step:
            case CallModel(turn=turn):
                self._begin_call(turn)
            case CallTools(calls=calls):
                self.deadline = inf  # each has its own
                self._call_tools(calls)
            case Prepare(labels=labels):
                self.deadline = inf  # each list has its own
                plan = self._context.mcp
                assert plan is not None, "who prepares has a plan"
                self._call = Listing(labels, plan.sessions, self)
            case None:
                raise LocalProtocolError("a run that is over wants nothing done")

    # -- tools of MCP servers ---------------------------------------------------------------

    def preparing(self) -> None:
        """The response begins before the model is asked, and shows what is done first."""
        step = self._run.step
        events = [*self._begin(), *self._run.prepare()]
        self._tell_of(step, events)

    def listed(self, label: str, heard: Sequence[McpListed] | McpFailed) -> None:
        """What came of the list of a server."""
        step = self._run.step
        self._tell_of(step, self._run.listed(label, heard))

    def _tell_of(self, step: Step | None, events: list[Event]) -> None:
        if self._run.step is not step:
            self._follow(events)
        elif events and self._reader is not None:
            self._reader.write(events)

    # -- calls the server answers -----------------------------------------------------------

    def _call_tools(self, calls: Sequence[Asked]) -> None:
        context = self._context
        self._call = Calling(
            calls,
            context.served,
            self,
            response_id=self.response.id,
            steps=context.steps,
            observe=self._runs.observe,
        )

    def answered(self, call_id: str, output: Output) -> None:
        """The output of one of the calls under way."""
        run = self._run
        step = run.step
        try:
            events = run.answered({call_id: output})
        except RemoteError as error:  # what the model said after the call is nonsense
            return self._fail(error)
        except Exception as error:
            return self._crash(error)
        self._tell_of(step, events)

    def _shorten(self) -> bool:
        """The input was too long for the model: begin anew with less of it, if that is wanted."""
        context = self._context
        if not context.truncates or self._shortened >= _SHORTENINGS_MAX:
            return False
        items = shortened(context.turn.items, context.new)
        if items is None:
            return False
        self._shortened += 1
        turn = msgspec.structs.replace(context.turn, items=items, known=None)
        self._context = msgspec.structs.replace(context, turn=turn)
        self._run.rewind(self._context)
        self._begin_call(turn)
        return True

    def _stop(self) -> None:
        """Close the current model call, at once."""
        self._keep_waiting_no_longer()
        self._close_call()
        if self._context.mcp is not None:
            self._context.mcp.leave()

    def _close_call(self) -> None:
        call, self._call = self._call, None
        if call is not None:
            call.close()

    # -- the end ----------------------------------------------------------------------------

    def _refuse(self, error: Exception) -> None:
        self._stop()
        self._abandon(partial(self._tell_refusal, error))

    def _abandon(self, then: Callable[[], None]) -> None:
        """There will be no response: what was held for it is given back first, because who is
        refused may come again at once."""
        gone = self._context.abandon()
        if gone:
            asyncio.gather(*gone).add_done_callback(lambda _: then())
        else:
            then()

    def _tell_refusal(self, error: Exception) -> None:
        reader, self._reader = self._reader, None
        self._runs.forget(self)
        if reader is not None:
            reader.refuse(error)

    def _fail(self, error: RemoteError, events: Sequence[Event] = ()) -> None:
        self._end([*events, *self._begin(), *self._run.fail(error)])

    def _end(self, events: list[Event]) -> None:
        """Store the response if the request wants it; then say that it is over."""
        self._stop()
        self._last = events
        self._store()

    def _store(self) -> None:
        stored, endings = self.response.store, self._context.also
        if stored or endings:
            row = self._row()
            try:
                also = [begin for ending in endings for begin in ending(row)]
            except RemoteError as error:  # the key of what is to be written was dropped
                return self._stored(row, error)
            self._runs.store.put(row if stored else None, partial(self._stored, row), also)
        else:
            self._settled()

    def _stored(self, row: StoredResponse, error: Exception | None) -> None:
        held = self._context.held
        if error is None:
            if held is not None:
                held.remember(self._context, row)
            elif self.response.store:
                self._runs.memory.keep(self._context, row)
        else:
            if not isinstance(error, Fenced):  # else it is another's to end
                self._context.abandon()
            self._runs.observe(Broke("store", error, self.response.id))
            self.unstored = "The response was made but could not be stored."
        self._settled()

    def _settled(self) -> None:
        events = self._last + self._run.conclude(unstored=self.unstored)
        self._tell()
        self._runs.forget(self)
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.end(events)

    def _tell(self) -> None:
        context = self._context
        response = self.response
        now = context.clock()
        first = self._first_delta_ms
        usage = response.usage
        self._runs.observe(
            ResponseFinished(
                response.id,
                context.project,
                response.model,
                response.status if self.unstored is None else "failed",
                (now - context.started_ms) / 1000,
                None if first is None else (first - context.started_ms) / 1000,
                usage.input_tokens if usage else 0,
                usage.output_tokens if usage else 0,
                self._run.events,
                context.turn.live,
                response.store and self.unstored is None,
            )
        )

    def _row(self) -> StoredResponse:
        response = self.response
        context = self._context
        head, output = self._spelled = head_and_output(response)
        retention = self._runs.retention.of(context.project)
        started = context.started_ms
        cuts = self._run.cuts
        return StoredResponse(
            id=response.id,
            project=context.project,
            parent=response.previous_response_id,
            created_at=started,
            expires_at=None if retention is None else started + retention,
            status=response.status,
            head=head,
            input=context.brought,
            output=output,
            cuts=None if cuts is None else cuts.packed(),
        )


def too_slow() -> RemoteError:
    """What a model call that exceeds ``turn_seconds_max`` ends with."""
    return RemoteError(
        "The model backend took too long to finish its answer.",
        status=504,
        code="upstream_timeout",
    )
