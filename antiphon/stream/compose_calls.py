"""The composer's half for calls and all other items of tools (``compose.py`` is the other).

Calls may come interleaved from some upstreams, while no client expects interleaved items. The
first call streams live; pieces of later calls wait. When a later call starts and the live one is
already a complete JSON object, it is closed and the later one goes live.

What a call becomes is said by its form (``forms.py``): a call that is *collected* is shown when it
is whole; one that the server *answers* stays open until ``conclude``, and all that the model said
after it waits until then. So there is at most one open item, a replay needs to know nothing but
the items, and a response that is taken over has at most one call whose end nobody saw.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from itertools import groupby
from operator import attrgetter
from typing import Any

import msgspec

from antiphon.errors import RemoteError
from antiphon.ids import ItemIds
from antiphon.stream.calls import CallPieces, call_item, is_object
from antiphon.stream.deltas import CallArguments, CallStart, Delta
from antiphon.stream.forms import Answered, Collected, Form, begun, collected, cut, unfinished
from antiphon.stream.gate import Gate
from antiphon.types.events import (
    CustomToolCallInputDelta,
    CustomToolCallInputDone,
    Event,
    FunctionCallArgumentsDelta,
    FunctionCallArgumentsDone,
    OutputItemAdded,
    OutputItemDone,
)
from antiphon.types.items import (
    ID_PREFIX,
    CustomToolCall,
    FunctionCall,
    FunctionCallOutput,
    OutputItem,
    Status,
)
from antiphon.types.tool_events import (
    STAGES,
    CodeDelta,
    CodeDone,
    McpCallArgumentsDelta,
    McpCallArgumentsDone,
    McpCallCompleted,
    McpCallFailed,
    McpCallInProgress,
    McpListToolsCompleted,
    McpListToolsFailed,
    McpListToolsInProgress,
    ShellCommandAdded,
    ShellCommandDelta,
    ShellCommandDone,
)
from antiphon.types.tool_items import (
    CodeInterpreterCall,
    HostedCall,
    McpCall,
    McpListTools,
    ShellCall,
    ToolSearchOutput,
)

CALL_ID_LENGTH_MAX = 64
_CODE_STAGE = STAGES["code_interpreter_call"].index(CodeDone)

_index_of = attrgetter("index")


class CallComposer:
    """What ``Composer`` is made of besides text. ``forms``: by the name a model calls, what its
    calls become; a name without one is a plain function or freeform tool."""

    __slots__ = (
        "_answering",
        "_call_id",
        "_calls",
        "_gate",
        "_held",
        "_hosted",
        "_ids",
        "_index",
        "_item",
        "_item_id",
        "_live",
        "_queue",
        "_staged",
        "_taken",
        "_waits",
        "forms",
    )

    def __init__(self, gate: Gate, ids: ItemIds, taken: frozenset[str]) -> None:
        self._gate = gate
        self._ids = ids
        self._taken: AbstractSet[str] = taken
        self.forms: Mapping[str, Form] = {}
        self._index = -1
        self._item_id = ""
        self._item = ""
        self._calls: dict[int, CallPieces] = {}
        self._queue: list[CallPieces] = []
        self._live: CallPieces | None = None
        self._call_id = ""
        self._answering: McpCall | None = None
        self._held: list[Delta] = []
        self._waits = False
        self._hosted: HostedCall | None = None
        self._staged = 0

    @property
    def answering(self) -> McpCall | None:
        """The open call whose answer the response waits for, arguments and all."""
        return self._answering

    # -- calls ------------------------------------------------------------------------------

    def _call_start(self, deltas: list[CallStart]) -> None:
        for delta in deltas:
            call = CallPieces(delta, self.forms.get(delta.name))
            self._calls[delta.index] = call
            if self._queue or (self._live is not None and not self._live_is_complete()):
                self._queue.append(call)
            else:
                self._close_item("completed")
                self._open_call(call)

    def _call_arguments(self, deltas: list[CallArguments]) -> None:
        for index, run in groupby(deltas, _index_of):
            call = self._calls[index]
            texts = [delta.text for delta in run]
            if call is self._live and not call.closed:
                self._write_call(call, texts)
            elif not call.closed:
                call.waiting += texts
            elif any(text.strip() for text in texts):
                raise RemoteError(
                    f"The model backend went on writing the call of '{call.start.name}' after "
                    "its end.",
                    code="upstream_invalid_response",
                )

    def _live_is_complete(self) -> bool:
        """Complete means: its arguments are a whole JSON object. Raw text never tells. A call
        that the server answers is not complete before that."""
        call = self._live
        if call is None or call.start.kind == "custom" or isinstance(call.form, Answered):
            return False
        if isinstance(call.form, Collected):
            return is_object("".join(call.waiting))
        return is_object(self._gate.open_item(self._index).text)

    def _open_call(self, call: CallPieces) -> None:
        start, form = call.start, call.form
        self._live = call
        if isinstance(form, Answered):
            self._begin("mcp_call", "mcp")
            self._waits = True
            self._add(begun(form, self._item_id))
            self._gate.emit(McpCallInProgress(**self._at()))
        else:
            self._call_id = self._new_call_id(start.call_id)
            if isinstance(form, Collected):
                return
            kind = "function_call" if start.kind == "function" else "custom_tool_call"
            self._begin(kind, "fc" if start.kind == "function" else "ctc")
            self._add(self._call_item("", "in_progress"))
        waiting, call.waiting = call.waiting, []
        self._write_call(call, waiting)

    def _new_call_id(self, call_id: str) -> str:
        if not 0 < len(call_id) <= CALL_ID_LENGTH_MAX or call_id in self._taken:
            call_id = self._ids.mint("call")
        if not isinstance(self._taken, set):  # the context's; few responses need their own
            self._taken = set(self._taken)
        self._taken.add(call_id)
        return call_id

    def _call_item(self, text: str, status: Status) -> FunctionCall | CustomToolCall:
        assert self._live is not None
        return call_item(
            self._live.start, self._live.form, self._call_id, self._item_id, text, status
        )

    def _write_call(self, call: CallPieces, texts: Sequence[str]) -> None:
        """Arguments of the live call."""
        texts = [text for text in texts if text]
        if not texts:
            return
        kind: type[Event]
        if isinstance(call.form, Collected):
            call.waiting += texts
            return
        if isinstance(call.form, Answered):
            kind = McpCallArgumentsDelta
        elif call.start.kind == "function":
            kind = FunctionCallArgumentsDelta
        else:
            kind = CustomToolCallInputDelta
        self._gate.pieces(kind, self._item_id, self._index, 0, texts)

    def _close_live(self, call: CallPieces, status: Status) -> None:
        """The live call is over as far as the model goes."""
        form = call.form
        if isinstance(form, Collected):
            self._live = None
            call.closed = True
            self._show_collected(form, call, status)
            return
        text = self._gate.open_item(self._index).text
        if not text.strip() and call.start.kind == "function" and status == "completed":
            self._write_call(call, ["{}"])
            text += "{}"
        call.closed = True
        if isinstance(form, Answered):
            self._gate.emit(McpCallArgumentsDone(**self._at(), arguments=text))
            self._answering = begun(form, self._item_id, text)
            if status == "incomplete":
                self._close_unanswered()
            return
        done: Event = (
            FunctionCallArgumentsDone(**self._at(), name=call.start.name, arguments=text)
            if call.start.kind == "function"
            else CustomToolCallInputDone(**self._at(), input=text)
        )
        item = self._call_item(text, status)
        if isinstance(done, FunctionCallArgumentsDone):
            done.name = item.name
        self._gate.emit(done)
        self._live = None
        self._done(item)

    def _close_next(self, *, cut: bool) -> bool:
        """Close what is open and then the calls that wait, one after the other, as far as can be.
        Whether nothing is left: it is not while the server has a call to answer."""
        while True:
            if self._answering is not None and not cut:
                return False
            if self._answering is not None:
                self._close_unanswered()
            else:
                last = not self._queue
                unfinished = cut and (last or self._is_unanswered())
                self._close_item("incomplete" if unfinished else "completed")
            if self._answering is not None:
                return False
            if not self._queue:
                return True
            self._open_call(self._queue.pop(0))

    def _is_unanswered(self) -> bool:
        return self._live is not None and isinstance(self._live.form, Answered)

    # -- answers of the server ----------------------------------------------------------------

    def conclude(
        self, *, output: str | None = None, error: Any = None, approved: str | None = None
    ) -> None:
        """The answer of the open call (``answering``), which closes it. The calls that waited for
        it follow; the turn is closed once there is none left to answer. ``approved``: by which
        request for approval."""
        call = self._answering
        assert call is not None
        self._answering = self._live = None
        self._waits = False
        failed = error is not None
        stage = McpCallFailed if failed else McpCallCompleted
        self._gate.emit(stage(**self._at()))
        self._done(
            msgspec.structs.replace(
                call,
                status="failed" if failed else "completed",
                output=output,
                error=error,
                approval_request_id=approved or call.approval_request_id,
            )
        )
        self._go_on()

    def _go_on(self) -> None:
        raise NotImplementedError

    def _close_unanswered(self) -> None:
        call = self._answering
        assert call is not None
        self._answering = self._live = None
        self._waits = False
        self._done(msgspec.structs.replace(call, status="incomplete"))

    def abandon(self) -> None:
        """Whatever waits for an answer of the server gets none, and nothing else is said."""
        if self._answering is not None:
            self._close_unanswered()
        self._queue.clear()
        self._held.clear()
        self._calls.clear()

    def reopen(self, call: McpCall, index: int) -> None:
        """Go on with a call that whoever had the response before has begun; its item is open."""
        self._answering, self._index, self._item_id = call, index, str(call.id)
        self._item, self._waits = "mcp_call", True

    def approved(self, request_id: str, call: Answered, arguments: str) -> None:
        """A call that was approved is made now: its item is opened, ``answering`` has it."""
        self._begin("mcp_call", "mcp")
        item = begun(call, self._item_id)
        item.approval_request_id = request_id
        self._add(item)
        self._gate.emit(McpCallInProgress(**self._at()))
        self._gate.pieces(McpCallArgumentsDelta, self._item_id, self._index, 0, [arguments])
        self._gate.emit(McpCallArgumentsDone(**self._at(), arguments=arguments))
        self._answering, self._waits = msgspec.structs.replace(item, arguments=arguments), True

    def answer(self, call_id: str, output: Any) -> None:
        """What a function of the server gave for a call of the turn before."""
        self._begin("function_call_output", "fco")
        self._add(FunctionCallOutput(call_id, "", self._item_id, "in_progress"))
        self._done(FunctionCallOutput(call_id, output, self._item_id, "completed"))

    def found(self, call_id: str, tools: list[dict[str, Any]], status: Status) -> None:
        """What a search for tools gave."""
        self.show(ToolSearchOutput(tools, call_id, "server", status=status))

    # -- items that are there as a whole --------------------------------------------------------

    def _show_collected(self, form: Collected, call: CallPieces, status: Status) -> None:
        text = "".join(call.waiting)
        id = self._ids.mint(form.prefix)
        try:
            item = collected(form, id, self._call_id, text, status)
        except (ValueError, KeyError, TypeError) as problem:
            if status == "incomplete":
                return  # cut before it said anything
            raise RemoteError(
                f"The model called '{call.start.name}' with arguments that say nothing: {problem}",
                code="upstream_invalid_response",
            ) from None
        self._show(item, id)

    def show(self, item: OutputItem) -> None:
        """An item from its beginning to its end, under an id of its own."""
        kind = str(item.__struct_config__.tag)
        id = self._ids.mint(ID_PREFIX.get(kind, "item"))
        self._show(msgspec.structs.replace(item, id=id), id)

    def _show(self, item: OutputItem, id: str) -> None:
        self._close_item("completed")
        self._index += 1
        self._item, self._item_id = str(item.__struct_config__.tag), id
        first: Any = item
        if "status" in item.__struct_fields__:
            first = msgspec.structs.replace(item, status="in_progress")
        self._add(first)
        if isinstance(item, ShellCall):
            self._commands(item.action.commands)
        self._done(item)

    def _commands(self, commands: Sequence[str]) -> None:
        for number, command in enumerate(commands):
            at: dict[str, Any] = {"output_index": self._index, "command_index": number}
            self._gate.emit(ShellCommandAdded(**at, command=""))
            self._gate.emit(ShellCommandDelta(**at, delta=command))
            self._gate.emit(ShellCommandDone(**at, command=command))

    def listing(self, server_label: str) -> None:
        """The tools of an MCP server are asked for; ``listed`` says what they are."""
        self._begin("mcp_list_tools", "mcpl")
        self._add(McpListTools(server_label, [], self._item_id))
        self._gate.emit(McpListToolsInProgress(**self._at()))

    def listed(self, item: McpListTools) -> None:
        failed = bool(item.error)
        self._gate.emit((McpListToolsFailed if failed else McpListToolsCompleted)(**self._at()))
        self._done(msgspec.structs.replace(item, id=self._item_id))

    # -- calls of tools that the backend runs -----------------------------------------------------

    def _hosted_start(self, item: HostedCall) -> None:
        self._close_item("completed")
        kind = str(item.__struct_config__.tag)
        self._begin(kind, ID_PREFIX[kind])
        self._add(unfinished(item, self._item_id))
        self._hosted, self._staged = item, 0
        self._hosted_stage(1)

    def _hosted_code(self, texts: Sequence[str]) -> None:
        """Pieces of the code it runs; what comes when the code is over is none of it."""
        if isinstance(self._hosted, CodeInterpreterCall) and self._staged <= _CODE_STAGE:
            self._gate.pieces(CodeDelta, self._item_id, self._index, 0, texts)

    def _hosted_reached(self, stage: int) -> None:
        """How far it is. Its last stage is told with its end, which may yet be another."""
        if self._hosted is not None:
            self._hosted_stage(min(stage, len(STAGES[self._item]) - 1))

    def _hosted_stage(self, count: int, code: str = "", *, ended: bool = False) -> None:
        """The first ``count`` stages, of which some may have been told."""
        for stage in STAGES[self._item][self._staged : count]:
            extra = {}
            if stage is CodeDone:
                extra["code"] = code or self._gate.open_item(self._index).text
                if not extra["code"] and not ended:
                    return  # what it is may come with the end
            self._gate.emit(stage(**self._at(), **extra))
            self._staged += 1

    def _hosted_end(self, item: HostedCall) -> None:
        if isinstance(item, CodeInterpreterCall):
            item = self._with_told_code(item)
        whole = item.status == "completed"
        code = getattr(item, "code", None) or ""
        self._hosted_stage(len(STAGES[self._item]) - (not whole), code, ended=True)
        self._hosted = None
        self._done(msgspec.structs.replace(item, id=self._item_id))

    def _with_told_code(self, item: CodeInterpreterCall) -> CodeInterpreterCall:
        """The code a call ends with is the code that was told."""
        told, code = self._gate.open_item(self._index).text, item.code or ""
        if code.startswith(told) and self._staged <= _CODE_STAGE:
            if code != told:
                self._hosted_code([code[len(told) :]])
            return item
        return msgspec.structs.replace(item, code=told)

    def _cut_hosted(self, item: HostedCall, status: Status) -> None:
        """Its end does not come. ``status``: of what else is open; what follows it has none."""
        self._hosted_end(cut(item, self._gate.open_item(self._index).text, status))

    # -- items ------------------------------------------------------------------------------

    def _begin(self, kind: str, prefix: str) -> None:
        self._index += 1
        self._item = kind
        self._item_id = self._ids.mint(prefix)

    def _at(self) -> dict[str, Any]:
        return {"item_id": self._item_id, "output_index": self._index}

    def _add(self, item: OutputItem) -> None:
        self._gate.emit(OutputItemAdded(output_index=self._index, item=item))

    def _done(self, item: OutputItem) -> None:
        self._gate.emit(OutputItemDone(output_index=self._index, item=item))
        self._item = ""

    def _close_item(self, status: Status) -> None:
        raise NotImplementedError
