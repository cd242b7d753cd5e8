"""The rounds of a response: a turn of the model, then the outputs of the calls the server answers.

No I/O and no events: what is to be called, what was answered, what the model is shown next. A
call the server answers never stays without an output: one that is not made gets an output that
says so. Those of the caller's own functions end the response; the caller answers them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Literal

import msgspec
from msgspec import Struct

from antiphon.backends.base import Known
from antiphon.runs.context import Context
from antiphon.runs.wishes import Gaining, Wishes
from antiphon.stream.calls import is_object
from antiphon.stream.forms import TOOL_SEARCH
from antiphon.tools.base import Failure, Output
from antiphon.types.codec import encode, open_stored
from antiphon.types.items import (
    Compaction,
    CustomToolCall,
    FunctionCall,
    FunctionCallOutput,
    OutputItem,
)
from antiphon.types.tool_items import (
    McpApprovalRequest,
    McpCall,
    NativeCall,
    ToolSearchCall,
    ToolSearchOutput,
)
from antiphon.types.tools import called, mcp_name

NOT_AN_OBJECT = (
    "This call was not made: its arguments are not a JSON object. Call again with valid arguments."
)
TOO_MANY = (
    "This call was not made: no more calls are allowed in this response (max_tool_calls). Answer "
    "with what you have."
)
UNMADE = "This call was not made: the response ended before it."
UNKNOWN = (
    "The response ended before the outcome of this call was known. It may or may not have taken "
    "effect."
)
"""What calls that nobody ran are answered with."""


class Asked(Struct, frozen=True):
    """A call the server has to answer. ``name``: as the model knows the tool; ``call_id``: by
    which its output is told; ``key``: the id of its item, the same for every attempt at it."""

    kind: Literal["function", "mcp", "tool_search"]
    name: str
    arguments: str
    call_id: str
    key: str


class CallTools(Struct, frozen=True):
    """Make these calls, side by side, and tell each output (``Run.answered``)."""

    calls: tuple[Asked, ...]


class Rounds(Struct, eq=False):
    """The rounds of one response: a struct, because every response has one and few have rounds.

    ``served``: names of the tools the server answers. Then how many calls may be made in all
    (None: any number), and in how many turns the model may call. ``shown``: how many items of the
    output the next model call's context has already, or never gets.
    """

    served: Collection[str]
    _calls_left: int | None
    _left: int
    shown: int = 0
    _waiting: list[Asked] = []
    _known: dict[str, Output] = {}

    @property
    def waiting(self) -> bool:
        """Whether calls of this round are under way."""
        return bool(self._waiting)

    @property
    def exhausted(self) -> bool:
        """Whether the model has called in as many turns as it may."""
        return self._left < 1

    def asked(self, output: Sequence[OutputItem], open: McpCall | None = None) -> list[Asked]:
        """Calls of the newest turn that the server has to answer and has not. ``open``: the one
        whose item is still open."""
        if open is not None:
            return [asked_of_mcp(open)]
        if not self.served:
            return []
        turn = output[self.shown :]
        answered = _answered(turn)
        return [call for call in self._calls(turn) if call.call_id not in answered]

    def leaves_open(self, output: Sequence[OutputItem]) -> bool:
        """Whether there are calls that the caller must answer, the server's own being answered."""
        return _has_open(output)

    def begin_turn(self) -> None:
        """A turn is over in which the model called."""
        self._left -= 1

    def begin(self, calls: Sequence[Asked]) -> CallTools:
        """What of these has to be called, perhaps nothing. What is known without a call is told
        by ``take``."""
        self._waiting = list(calls)
        to_make = []
        for call in calls:
            problem = self._problem(call)
            if problem is None:
                to_make.append(call)
            else:
                self._known[call.call_id] = problem
        return CallTools(tuple(to_make))

    def take(self, outputs: Mapping[str, Output]) -> list[tuple[Asked, Output]]:
        """Take outputs in, by call_id; those that can be told now, in the order of the calls."""
        self._known.update(outputs)
        told: list[tuple[Asked, Output]] = []
        while self._waiting and self._waiting[0].call_id in self._known:
            call = self._waiting.pop(0)
            told.append((call, self._known.pop(call.call_id)))
        return told

    def unmade(self, output: Sequence[OutputItem]) -> list[tuple[Asked, Output]]:
        """What calls without an output are answered with when the response ends."""
        words = Failure(UNKNOWN if self._waiting else UNMADE)
        left = [(call, self._known.get(call.call_id, words)) for call in self.asked(output)]
        self._waiting = []
        return left

    def relive(self, output: Sequence[OutputItem]) -> Sequence[OutputItem]:
        """Know again what happened in a response that is taken over; the items of the rounds that
        are over, of which ``shown`` is the count."""
        last = 0
        for at in range(1, len(output)):
            ends = _is_answer(output[at - 1]) and not _is_answer(output[at])
            if ends and not _has_open(output[last:at]):
                self._count(output[last:at])
                last = at
                self._left -= 1
        self._count(output[last:])
        self.shown = last
        return output[:last]

    def _count(self, turn: Sequence[OutputItem]) -> None:
        """Count the calls of a turn that were made."""
        answered = _answered(turn)
        for call in self._calls(turn):
            if call.call_id in answered:
                self._problem(call)
        for item in turn:
            if type(item) is McpCall:
                self._problem(asked_of_mcp(item))

    def _calls(self, turn: Sequence[OutputItem]) -> list[Asked]:
        """Those that the server answers, answered or not."""
        found = []
        for item in turn:
            call = _asked_of(item)
            if call is not None and call.name in self.served:
                found.append(call)
        return found

    def _problem(self, call: Asked) -> Output | None:
        """Why a call is not made; it counts if it is."""
        if not is_object(call.arguments):
            return Failure(NOT_AN_OBJECT)
        if self._calls_left is not None:
            if self._calls_left < 1:
                return Failure(TOO_MANY)
            self._calls_left -= 1
        return None


def asked_of_mcp(item: McpCall) -> Asked:
    """The call of an MCP server's tool."""
    id = str(item.id)
    return Asked("mcp", mcp_name(item.server_label, item.name), item.arguments or "{}", id, id)


def _asked_of(item: OutputItem) -> Asked | None:
    match item:
        case FunctionCall() if item.status == "completed":
            name = called(item.namespace, item.name)
            return Asked("function", name, item.arguments, item.call_id, str(item.id))
        case ToolSearchCall() if item.execution == "server" and item.status == "completed":
            text = encode(item.arguments).decode()
            return Asked("tool_search", TOOL_SEARCH, text, str(item.call_id), str(item.id))
    return None


def _answered(turn: Sequence[OutputItem]) -> set[str]:
    return {
        str(item.call_id)
        for item in turn
        if isinstance(item, FunctionCallOutput | ToolSearchOutput)
    }


def _has_open(items: Sequence[OutputItem]) -> bool:
    """Whether one of the calls among the items has no answer there."""
    answered = _answered(items)
    return any(
        type(item) is McpApprovalRequest or (_is_done(item) and item.call_id not in answered)  # type: ignore[union-attr,operator]
        for item in items
    )


def _is_answer(item: OutputItem) -> bool:
    return isinstance(item, FunctionCallOutput | ToolSearchOutput | McpCall)


def _is_done(item: OutputItem) -> bool:
    return isinstance(item, _CALLS) and item.status == "completed"


_CALLS = FunctionCall | CustomToolCall | NativeCall | ToolSearchCall
"""Calls that somebody has to answer with an item of its own."""


def behind(context: Context, said: Sequence[OutputItem], *, asked: bool = True) -> Context:
    """The context of the next model call, after these items of the output.

    Cut items are left out: nobody continues them. A call that was demanded has been made, unless
    the model was not ``asked`` yet.
    """
    turn = context.turn
    whole = [item for item in said if _is_whole(item)]
    items = open_stored(encode(whole))
    if context.unseal is not None:
        items = list(context.unseal(items))
    known = None
    if turn.known is not None and len(whole) == len(said):
        known = Known(len(turn.items), turn.known.memo)
    turn = msgspec.structs.replace(turn, items=[*turn.items, *items], known=known)
    context = msgspec.structs.replace(context, turn=turn, new=context.new + len(items))
    if not asked:
        return context
    choice: Any = "none" if turn.tool_choice == "none" else "auto"
    context.turn = msgspec.structs.replace(turn, tool_choice=choice)
    context.demands = msgspec.structs.replace(context.demands, must_call=False)
    after = None if context.gaining is None else context.gaining.after(items)
    return context if after is None else _equipped(context, *after)


def _equipped(context: Context, gaining: Gaining, wishes: Wishes) -> Context:
    """The context with the tools that these wishes have."""
    turn = msgspec.structs.replace(
        context.turn, tools=wishes.shown, native=wishes.native, tool_choice=wishes.mode
    )
    return msgspec.structs.replace(
        context,
        turn=turn,
        demands=wishes.demands,
        demands_on=wishes.demands_on,
        served={**context.served, **wishes.offer.served},
        forms=wishes.offer.forms,
        gaining=gaining,
    )


def _is_whole(item: OutputItem) -> bool:
    if type(item) is ToolSearchOutput:  # a search that failed has its answer all the same
        return True
    return type(item) is not Compaction and getattr(item, "status", "") != "incomplete"
