"""One run: the execution of one response, as a machine without I/O.

Rules. A run never waits, reads no clock of its own and knows no backend, store or reader. It is
asked what it wants (``step``), fed what happened (``feed``, ``fail``, ``cancel``), and answers
with events, every one of them through the gate. Whether anybody streams them is not its business.

Theory of operation. ``begin`` opens the response. While ``step`` is a ``CallModel``, the driver
performs that model call and feeds its batches; the batch with ``Finish`` either ends the
response or, when the turn broke a demand and attempts are left, makes ``step`` another
model call that tells the model what was wrong. A turn that calls functions of the server makes it
a ``CallTools``; once all of them are ``answered`` the model is asked again (``rounds.py``). Usage
is summed over all calls, and ``max_output_tokens`` is the budget of all of them together.

When the response has ended, ``over`` is true and ``response`` is final, but the terminal event
does not exist yet: the driver stores first, and ``conclude`` then makes it (there is none for a
cancelled response). What could not be stored ends as failed instead.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import msgspec

from antiphon.errors import LocalProtocolError, RemoteError
from antiphon.ids import ItemIds
from antiphon.runs.compacting import CallModel, Step
from antiphon.runs.compaction import Summary
from antiphon.runs.context import Context
from antiphon.runs.demands import Demands
from antiphon.runs.preparing import Preparing
from antiphon.runs.rounds import Asked, CallTools, Rounds, behind
from antiphon.runs.usage import NONE, added
from antiphon.runs.warden import Warden
from antiphon.stream.compose import Composer
from antiphon.stream.cuts import Cuts
from antiphon.stream.deltas import Delta, Finish, Spent
from antiphon.stream.forms import execution_error
from antiphon.stream.gate import Gate
from antiphon.stream.replay import TERMINAL_EVENT
from antiphon.stream.resume import call_under_way, cut_open_items
from antiphon.tools.base import Failure, Found, Output
from antiphon.types.base import UNSET
from antiphon.types.content import InputText
from antiphon.types.events import Created, Event, InProgress, Queued
from antiphon.types.items import (
    FunctionCallOutput,
    Message,
    OutputItem,
    OutputMessage,
    Reasoning,
    Status,
)
from antiphon.types.response import (
    IncompleteDetails,
    Response,
    ResponseError,
    ResponseStatus,
    Usage,
)
from antiphon.types.tool_items import McpCall, ToolSearchOutput


class Run(Preparing):
    """Executes one context. ``attempts`` bounds the model calls a broken demand may cost,
    ``rounds`` the turns in which the model calls what the server answers.

    Unless the turn is ``live`` nobody reads the events: they are counted, but not handed out,
    and every method that returns events returns none. (Where the server makes calls in the
    background its log does, so that who takes over knows of them.)
    """

    __slots__ = (
        "_attempt",
        "_attempts",
        "_spent",
        "cuts",
    )

    def __init__(self, context: Context, *, attempts: int = 3, rounds: int = 32) -> None:
        turn = context.turn
        response = context.response
        self.context = context
        self.cuts = Cuts() if turn.live and response.store else None
        calls = bool(context.served) or context.mcp is not None
        logs_calls = context.steps is not None and calls
        self._gate = Gate(response, read=turn.live or logs_calls, cuts=self.cuts)
        ids: ItemIds = context.ids
        self._composer = Composer(
            self._gate,
            ids,
            taken=context.call_ids,
            logprobs=turn.logprobs,
            seal=context.seal,
            hides=context.hides,
        )
        self._composer.forms = context.forms
        self._attempts = attempts
        self._attempt = 1
        self.step: Step | None = CallModel(turn)
        self._rounds = Rounds(context.served, response.max_tool_calls, rounds)
        self._warden: Warden | Summary = Warden(context.demands)
        self._aside_tokens = 0
        self._before = None
        if context.mcp is not None:
            self._prepare_first()
        if context.compaction is not None:
            self._compact_first()
        self._spent: Spent | None = None
        self._usage = response.usage

    @property
    def response(self) -> Response:
        """The live snapshot; final once ``over``."""
        return self._gate.response

    @property
    def over(self) -> bool:
        return self.step is None

    @property
    def usage(self) -> Usage | None:
        """Of the model calls that are over."""
        return self._usage

    @property
    def events(self) -> int:
        """How many events there were so far."""
        return self._gate.number

    def begin(self) -> list[Event]:
        """The opening events, before any model call."""
        gate = self._gate
        gate.tell(Created, gate.response)
        gate.tell(InProgress, gate.response)
        return gate.take()

    def resume(self, log: Sequence[Event]) -> list[Event]:
        """Go on where the log of a background response ends, in place of ``begin``
        (``stream/resume.py``).

        What the last model call had begun is closed as incomplete and the call is made again. If
        it had come to its end, which shows in a call or an answer that is closed, the run is over:
        a caller who was told of a call must not be told of it twice.
        """
        gate = self._gate
        if not log:
            gate.response.status = "queued"
            gate.tell(Created, gate.response)
            gate.tell(Queued, gate.response)
        gate.again(log)
        if gate.queued:
            gate.response.status = "in_progress"
            gate.tell(InProgress, gate.response)
            return gate.take()
        ended = not gate.open_items() and self._turn_ended(gate.response.output)
        cut_open_items(gate, log)
        output = gate.response.output
        self._composer.after(output)
        under_way = call_under_way(gate, log)
        if under_way is not None:
            self._composer.reopen(under_way, len(output))
        if self.compacting:
            self._compacted_before(output)
        if not self.over:
            self._resume_round(ended)
        return gate.take()

    def skip(self, number: int) -> None:
        """In place of ``resume``: what the log holds is not known, only that it has so many
        events."""
        self.begin()
        self._gate.number = number

    def _resume_round(self, ended: bool) -> None:
        """Go on in the round that was under way. ``ended``: its answer is there."""
        rounds, output = self._rounds, self.response.output
        if self._before is not None and not self._resumes_behind(self._before):
            return
        before = rounds.relive(output)
        if before:
            self._go_behind(before)
        last = output[rounds.shown :]
        if self._asked():
            self._call_tools()
        elif last and isinstance(last[-1], FunctionCallOutput | ToolSearchOutput | McpCall):
            rounds.begin_turn()
            self._next_round()
        elif ended or rounds.leaves_open(output):
            self._complete()
        else:
            rounds.shown = len(output)  # what was cut is no part of the context
            if before:
                self._ask()

    def _turn_ended(self, output: Sequence[OutputItem]) -> bool:
        last = output[-1] if output else None
        if not isinstance(last, OutputMessage) or self.context.demands.must_call:
            return False
        return last.status == "completed" and last.phase != "commentary"

    def rewind(self, context: Context) -> None:
        """Another context, before the first batch is fed."""
        self.context = context
        self.step = CallModel(context.turn)
        if context.compaction is not None:
            self._compact_first()

    def demand(self, demands: Demands) -> None:
        """Other demands than the context's, before the first batch is fed."""
        must_call = demands.must_call and self.context.demands.must_call
        demands = msgspec.structs.replace(demands, must_call=must_call)
        self.context = msgspec.structs.replace(self.context, demands=demands)
        if not self.compacting:
            self._warden = Warden(demands)

    def feed(self, deltas: Sequence[Delta]) -> list[Event]:
        """Take one batch of the current model call in."""
        if type(self.step) is not CallModel:
            raise LocalProtocolError("a batch came while no model call is under way")
        free = self._warden.free
        if type(deltas[0]) in free if len(deltas) == 1 else free.issuperset(map(type, deltas)):
            self._composer.feed(deltas)
            return self._gate.take()
        finish: Finish | None = None
        content: list[Delta] = []
        for delta in deltas:
            if isinstance(delta, Spent):
                self._spent = delta
            elif isinstance(delta, Finish):
                finish = delta
            else:
                content.append(delta)
        admitted = self._warden.admit(content)
        if finish is None:
            self._composer.feed(admitted)
        else:
            self._finish(finish.reason, admitted)
        return self._gate.take()

    def _finish(self, reason: str, admitted: Sequence[Delta]) -> None:
        """The turn is over, ``admitted`` being what is still to be composed of it."""
        self._add_usage()
        if isinstance(self._warden, Summary):
            self._compacted(self._warden.text)
            return
        cut = reason in ("length", "filter")
        problem = None if cut else self._warden.verdict()
        if problem is not None:
            self._composer.feed(admitted)
            self._again(problem)
            return
        released = self._warden.release()
        if released:
            self._composer.feed(admitted)
            admitted = released
            if self._warden.has_asides:
                self._composer.phase = "commentary"
        self._composer.finish(admitted, cut=cut)
        if reason == "length":
            self._end("incomplete", cut=_cut("max_output_tokens"))
        elif reason == "filter":
            self._end("incomplete", cut=_cut("content_filter"))
        elif self._rounds.served and self._asked():
            self._call_tools()
        else:
            self._complete()

    def _complete(self) -> None:
        output = self.response.output
        if output and isinstance(output[-1], Reasoning):  # behind calls: nothing may end in it
            self._composer.close(cut=False)
        self._end("completed", completed_at=self.context.clock() // 1000)

    # -- tools of the server -------------------------------------------------------------------

    def answered(self, outputs: Mapping[str, Output]) -> list[Event]:
        """Outputs of the calls of the current step by call_id, some or all; told in the order of
        the calls, each as soon as those before it are."""
        if not isinstance(self.step, CallTools):
            raise LocalProtocolError("an output came while no calls are under way")
        self._tell(outputs)
        return self._gate.take()

    def _asked(self) -> list[Asked]:
        return self._rounds.asked(self.response.output, self._composer.answering)

    def _call_tools(self) -> None:
        """The turn is over, and has calls that the server answers."""
        if self._rounds.exhausted:
            message = (
                "The model went on calling functions and gave no answer (runs.tool_rounds_max)."
            )
            self._composer.abandon()
            self._fail(message)
            return
        self._rounds.begin_turn()
        self._make_calls()

    def _make_calls(self) -> None:
        self.step = self._rounds.begin(self._asked())
        self._tell({})

    def _tell(self, outputs: Mapping[str, Output]) -> None:
        for call, output in self._rounds.take(outputs):
            self._answer(call, output)
        if self._rounds.waiting:
            return
        if self._asked():
            self._make_calls()  # those of the turn that waited until one of an MCP server was made
        elif self._before is not None and not self._before.over:
            self._go_before(self._before)
        else:
            self._next_round()

    def _answer(self, call: Asked, output: Output) -> None:
        text = output.text if isinstance(output, Failure) else output
        match call.kind:
            case "function":
                self._composer.answer(call.call_id, text)
            case "tool_search":
                found = output.tools if isinstance(output, Found) else []
                status: Status = "completed" if isinstance(output, Found) else "incomplete"
                self._composer.found(call.call_id, found, status)
            case "mcp":
                error = None
                if isinstance(output, Failure):
                    error = output.detail or execution_error(output.text)
                self._composer.conclude(output=None if error else str(text), error=error)

    def _next_round(self) -> None:
        """Every call of the server's is answered: the model goes on, unless the caller is next."""
        output = self.response.output
        if self._rounds.leaves_open(output):
            return self._complete()
        self._go_behind(output[self._rounds.shown :])
        self._rounds.shown = len(output)
        self._attempt = 1
        self._composer.phase = UNSET
        self._ask()

    def _go_behind(self, said: Sequence[OutputItem]) -> None:
        """The next model call comes behind these items, with the tools they brought."""
        context = self.context = behind(self.context, said)
        self._composer.forms = context.forms
        self._rounds.served = context.served
        self._warden = Warden(context.demands)

    def _ask(self) -> None:
        """The next model call, with what is left of the budget."""
        left = self._budget_left()
        if left is not None and left < 1:
            return self._end("incomplete", cut=_cut("max_output_tokens"))
        self.step = CallModel(msgspec.structs.replace(self.context.turn, max_output_tokens=left))

    # -- demands -------------------------------------------------------------------------------

    def _again(self, problem: str) -> None:
        """Ask the model again, telling it what was wrong, or give up."""
        self._composer.close(cut=False, answer=False)
        self._composer.abandon()
        if self._attempt >= self._attempts:
            message = f"The model broke a demand of the request {self._attempt} times. {problem}"
            self._fail(message)
            return
        left = self._budget_left()
        if left is not None and left < 1:
            self._end("incomplete", cut=_cut("max_output_tokens"))
            return
        self._attempt += 1
        turn = self.context.turn
        said = self._warden.text
        items: list[Any] = list(turn.items)
        if said:
            items.append(Message(role="assistant", content=said))
        items.append(Message(role="user", content=[InputText(text=problem)]))
        turn = msgspec.structs.replace(turn, items=items, max_output_tokens=left)
        self.step = CallModel(turn, attempt=self._attempt, reason=problem)
        wrote = any(isinstance(item, OutputMessage) for item in self.response.output)
        self._warden = Warden(self.context.demands, muted=wrote)

    def _budget_left(self) -> int | None:
        budget = self.context.turn.max_output_tokens
        if budget is None or self._usage is None:
            return budget
        return budget - (self._usage.output_tokens - self._aside_tokens)

    def fail(self, error: RemoteError) -> list[Event]:
        """Close what is open and end as failed."""
        self._add_usage()
        self._stop_preparing()
        self._composer.close(cut=True)
        self._end("failed", error=ResponseError(code=error.event_code, message=error.message))
        return self._gate.take()

    def leave_empty(self) -> None:
        """End as completed without a model call (a warm-up)."""
        self._usage = NONE
        self._complete()

    def cancel(self) -> list[Event]:
        """Close what is open and end as cancelled; no event of the API says so."""
        if self.over:
            return []
        self._add_usage()
        self._stop_preparing()
        self._composer.close(cut=True)
        self._end("cancelled")
        return self._gate.take()

    def _end(
        self,
        status: ResponseStatus,
        *,
        error: ResponseError | None = None,
        cut: IncompleteDetails | None = None,
        completed_at: int | None = None,
    ) -> None:
        final = self._gate.response
        final.status = status
        final.usage = self._usage
        final.error = error
        final.incomplete_details = cut
        final.completed_at = completed_at
        self.step = None
        if self._rounds.served:
            for call, output in self._rounds.unmade(final.output):
                self._answer(call, output)

    def _fail(self, message: str) -> None:
        self._end("failed", error=ResponseError(code="server_error", message=message))

    def conclude(self, *, unstored: str | None = None) -> list[Event]:
        """The terminal event of a run that is over. ``unstored``: it had to be stored and could
        not be, in these words; then it has failed, whatever the model said."""
        if self.step is not None:
            raise LocalProtocolError("a run was concluded before it was over")
        if unstored is not None:
            self._end("failed", error=ResponseError("server_error", unstored))
        response = self._gate.response
        terminal = TERMINAL_EVENT.get(response.status)
        if terminal is not None:
            self._gate.tell(terminal, response)
        return self._gate.take()

    def _add_usage(self) -> None:
        spent, self._spent = self._spent, None
        if spent is not None:
            self._usage = added(self._usage, spent)


def _cut(reason: Literal["max_output_tokens", "content_filter"]) -> IncompleteDetails:
    return IncompleteDetails(reason=reason)
