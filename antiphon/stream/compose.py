"""Deltas become items and events.

Rules. The composer decides which item and part a delta belongs to, opens and closes them, and
mints their ids, once. It does not decide whether a delta is welcome (``runs/``) nor whether an
order is legal (``grammar.py``): each event it makes goes through the gate, and it keeps no
text of its own: what was said so far is asked back from the gate's fold.

Theory of operation. At most one item is open. Text, refusal and reasoning open a part of a
message or reasoning item; a call opens a call item; anything of another kind closes what is
open. Three cases need care:

* Blank text before a call makes no message: blank pieces wait until something is written.
* Calls may come interleaved from some upstreams, while no client expects interleaved items.
  The first call streams live; pieces of later calls wait. When a later call starts and the
  live one is already a complete JSON object, it is closed and the later one goes live.
* A completed turn never ends in a dangling reasoning item or in nothing at all: an empty
  message closes it, so that a reader always finds an answer where the API promises one.

What comes in runs is composed in runs: a batch is cut where the kind of its deltas changes, and
a run of pieces of one part passes the gate in one step. A turn that comes as a whole and is
nothing but text passes it as a whole.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from itertools import groupby
from operator import attrgetter
from typing import Any

from antiphon.errors import RemoteError
from antiphon.ids import ItemIds
from antiphon.stream.calls import CallPieces, call_item, is_object
from antiphon.stream.deltas import (
    Annotated,
    CallArguments,
    CallStart,
    Declined,
    Delta,
    Text,
    Thought,
)
from antiphon.stream.gate import Gate
from antiphon.stream.whole import text_done, thoughts_and_texts
from antiphon.types.base import UNSET, UnsetType
from antiphon.types.content import OutputText, ReasoningText, Refusal
from antiphon.types.events import (
    AnnotationAdded,
    Compacting,
    ContentPartAdded,
    ContentPartDone,
    CustomToolCallInputDelta,
    CustomToolCallInputDone,
    Event,
    FunctionCallArgumentsDelta,
    FunctionCallArgumentsDone,
    OutputItemAdded,
    OutputItemDone,
    OutputTextDelta,
    ReasoningTextDelta,
    RefusalDelta,
)
from antiphon.types.items import (
    Compaction,
    CustomToolCall,
    FunctionCall,
    FunctionCallOutput,
    OutputItem,
    OutputMessage,
    Phase,
    Reasoning,
    Status,
)

CALL_ID_LENGTH_MAX = 64

Seal = Callable[[Sequence[str]], str | UnsetType]

_index_of = attrgetter("index")
_ITEM_OF_PART = {"output_text": "message", "refusal": "message", "reasoning_text": "reasoning"}


class Composer:
    """Composes one response; ``feed`` once per batch, ``close`` at the end of each turn.

    ``taken`` are the call ids the context already uses: a backend's own id is kept unless it is
    empty, too long or taken. ``logprobs``: text parts carry them. ``phase`` is given to every
    message opened while it is set. ``seal`` makes the ``encrypted_content`` of a reasoning item
    from its texts (None: it gets none); ``hides``: such an item shows nothing else.
    """

    __slots__ = (
        "_blank",
        "_call_id",
        "_calls",
        "_gate",
        "_ids",
        "_index",
        "_item",
        "_item_id",
        "_live",
        "_logprobs",
        "_part",
        "_part_index",
        "_parts",
        "_queue",
        "_secret",
        "_taken",
        "hides",
        "phase",
        "seal",
    )

    def __init__(
        self,
        gate: Gate,
        ids: ItemIds,
        *,
        taken: frozenset[str] = frozenset(),
        logprobs: bool = False,
        seal: Seal | None = None,
        hides: bool = False,
    ) -> None:
        self._gate = gate
        self._ids = ids
        self.seal = seal
        self.hides = hides
        self._secret: list[str] = []
        self.phase: Phase | UnsetType = UNSET
        self._taken: AbstractSet[str] = taken
        self._logprobs = logprobs
        self._index = -1
        self._item_id = ""
        self._item = ""
        self._part = ""
        self._part_index = 0
        self._parts: list[Any] = []
        self._blank: list[Text] = []
        self._calls: dict[int, CallPieces] = {}
        self._queue: list[CallPieces] = []
        self._live: CallPieces | None = None
        self._call_id = ""

    def after(self, output: Sequence[OutputItem]) -> None:
        """Go on behind these items, which are closed; before the first ``feed``."""
        self._index = len(output) - 1
        calls = (i.call_id for i in output if isinstance(i, FunctionCall | CustomToolCall))
        self._taken = {*self._taken, *calls}

    def feed(self, deltas: Sequence[Delta]) -> None:
        """Compose one batch. ``Spent`` and ``Finish`` are the run's business, not ours.

        Raises ``RemoteError`` for what no response can say.
        """
        if len(deltas) == 1:  # a paced stream: nearly all batches
            delta = deltas[0]
            if type(delta) is not Text or self._part != "output_text" or self._logprobs:
                _COMPOSE[type(delta)](self, deltas)
            elif delta.text:
                self._gate.pieces(
                    OutputTextDelta, self._item_id, self._index, self._part_index, [delta.text]
                )
            return
        for kind, run in groupby(deltas, type):
            _COMPOSE[kind](self, list(run))

    def finish(self, deltas: Sequence[Delta], *, cut: bool) -> None:
        """Compose the last batch of a turn and close it."""
        if not self._whole(deltas, "incomplete" if cut else "completed"):
            self.feed(deltas)
            self.close(cut=cut)

    def _whole(self, deltas: Sequence[Delta], status: Status) -> bool:
        """Make the turn in one step per item if this is all of it and nothing but an answer,
        perhaps after thoughts; otherwise do nothing and say so. ``status`` is the answer's."""
        if self._item or self._blank or self._calls or self._logprobs:
            return False
        parted = thoughts_and_texts(deltas)
        if parted is None or (self.hides and parted[0]):
            return False
        thoughts, texts = parted
        if thoughts:
            part = ReasoningText("".join(thoughts))
            thought = Reasoning([], self._ids.mint("rs"), [part], status="completed")
            if self.seal is not None:
                thought.encrypted_content = self.seal([part.text])
            self._gate.whole(thought, thoughts)
        answer = OutputText("".join(texts))
        said = OutputMessage(self._ids.mint("msg"), status, [answer], phase=self.phase)
        self._gate.whole(said, texts)
        self._index = len(self._gate.response.output) - 1
        return True

    def close(self, *, cut: bool, answer: bool = True) -> None:
        """End the turn: close what is open, then the calls that waited.

        ``cut``: the model was stopped inside its answer, so the last item is ``incomplete``.
        ``answer``: if nothing but reasoning was written, add an empty message.
        """
        if self._blank and not self._calls:
            self._write_blank()
        while self._queue:
            self._close_item("completed")
            self._open_call(self._queue.pop(0))
        self._close_item("incomplete" if cut else "completed")
        if answer and not cut and not self._calls:
            output = self._gate.response.output
            if not output or isinstance(output[-1], (Reasoning, Compaction, FunctionCallOutput)):
                self._open_part("output_text")
                self._close_item("completed")
        self._blank.clear()
        self._calls.clear()
        self._live = None

    # -- one method per kind of delta, for a run of them ---------------------------------------

    def _text(self, deltas: list[Text]) -> None:
        if self._part == "output_text":
            if self._logprobs:
                self._write(deltas)
            else:  # nearly all deltas of nearly all streams
                self._pieces(OutputTextDelta, deltas)
            return
        self._blank += [delta for delta in deltas if delta.text]
        if any(delta.text.strip() for delta in deltas):
            self._write_blank()

    def _write_blank(self) -> None:
        waiting, self._blank = self._blank, []
        if waiting and self._part != "output_text":
            self._open_part("output_text")
        self._write(waiting)

    def _write(self, deltas: list[Text]) -> None:
        """Text of the open part."""
        if not self._logprobs:
            self._pieces(OutputTextDelta, deltas)
            return
        for delta in deltas:
            if delta.text:
                self._gate.emit(
                    OutputTextDelta(
                        item_id=self._item_id,
                        output_index=self._index,
                        content_index=self._part_index,
                        delta=delta.text,
                        logprobs=delta.logprobs or [],
                    )
                )

    def _thought(self, deltas: list[Thought]) -> None:
        if self.hides:
            self._think_secretly(deltas)
        elif any(delta.text for delta in deltas):
            if self._part != "reasoning_text":
                self._open_part("reasoning_text")
            self._pieces(ReasoningTextDelta, deltas)

    def _think_secretly(self, deltas: list[Thought]) -> None:
        """An item is opened, and all of it will be in what is sealed."""
        texts = [delta.text for delta in deltas if delta.text]
        if texts and self._item != "reasoning":
            self._close_item("completed")
            self._begin("reasoning", "rs")
            added = Reasoning(id=self._item_id, summary=[], status="in_progress")
            self._gate.emit(OutputItemAdded(output_index=self._index, item=added))
        self._secret += texts

    def compact(self, sealed: str) -> None:
        """A compaction item, between two turns of the model. ``sealed`` is its content."""
        self._close_item("completed")
        self._begin("compaction", "cmp")
        at, id = self._index, self._item_id
        self._gate.emit(OutputItemAdded(output_index=at, item=Compaction("", id)))
        self._gate.emit(Compacting(output_index=at, item_id=id))
        self._gate.emit(OutputItemDone(output_index=at, item=Compaction(sealed, id)))
        self._item = ""

    def answer(self, call_id: str, output: Any) -> None:
        """What a call of an earlier turn was answered with, between two turns of the model."""
        self._begin("function_call_output", "fco")
        index, id = self._index, self._item_id
        item = FunctionCallOutput(call_id, "", id, "in_progress")
        self._gate.emit(OutputItemAdded(output_index=index, item=item))
        item = FunctionCallOutput(call_id, output, id, "completed")
        self._gate.emit(OutputItemDone(output_index=index, item=item))
        self._item = ""

    def _declined(self, deltas: list[Declined]) -> None:
        if any(delta.text for delta in deltas):
            self._blank.clear()
            if self._part != "refusal":
                self._open_part("refusal")
            self._pieces(RefusalDelta, deltas)

    def _pieces(self, kind: type[Event], deltas: Sequence[Text | Thought | Declined]) -> None:
        """Pieces of the open part."""
        texts = [delta.text for delta in deltas if delta.text]
        if texts:
            self._gate.pieces(kind, self._item_id, self._index, self._part_index, texts)

    def _annotated(self, deltas: list[Annotated]) -> None:
        if self._part != "output_text":
            return
        annotations = self._gate.open_item(self._index).annotations
        for delta in deltas:
            self._gate.emit(
                AnnotationAdded(
                    item_id=self._item_id,
                    output_index=self._index,
                    content_index=self._part_index,
                    annotation_index=len(annotations),
                    annotation=delta.annotation,
                )
            )

    def _call_start(self, deltas: list[CallStart]) -> None:
        self._blank.clear()
        for delta in deltas:
            call = CallPieces(delta)
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
            if call is self._live:
                self._write_call(call, texts)
            elif not call.closed:
                call.waiting += texts
            elif any(text.strip() for text in texts):
                raise RemoteError(
                    f"The model backend went on writing the call of '{call.start.name}' after "
                    "its end.",
                    code="upstream_invalid_response",
                )

    # -- items ------------------------------------------------------------------------------

    def _live_is_complete(self) -> bool:
        """Complete means: its arguments are a whole JSON object. Raw text never tells."""
        if self._live is None or self._live.start.kind == "custom":
            return False
        return is_object(self._gate.open_item(self._index).text)

    def _open_part(self, part: str) -> None:
        """Make ``part`` the open part, in the open item if it fits, else in a new one."""
        kind = _ITEM_OF_PART[part]
        if self._item == kind:
            self._close_part()
            self._part_index += 1
        else:
            self._close_item("completed")
            self._begin(kind, "msg" if kind == "message" else "rs")
            added: OutputItem = (
                OutputMessage(id=self._item_id, status="in_progress", content=[], phase=self.phase)
                if kind == "message"
                else Reasoning(id=self._item_id, summary=[], content=[], status="in_progress")
            )
            self._gate.emit(OutputItemAdded(output_index=self._index, item=added))
        self._part = part
        self._gate.emit(
            ContentPartAdded(
                item_id=self._item_id,
                output_index=self._index,
                content_index=self._part_index,
                part=self._part_with(""),
            )
        )

    def _begin(self, kind: str, prefix: str) -> None:
        self._index += 1
        self._item = kind
        self._item_id = self._ids.mint(prefix)
        self._part = ""
        self._part_index = 0
        self._parts = []

    def _part_with(self, text: str) -> OutputText | Refusal | ReasoningText:
        if self._part == "refusal":
            return Refusal(refusal=text)
        if self._part == "reasoning_text":
            return ReasoningText(text=text)
        open_item = self._gate.open_item(self._index)
        begun = open_item.part is not None
        return OutputText(
            text=text,
            annotations=list(open_item.annotations) if begun else [],
            logprobs=(list(open_item.logprobs) if begun else []) if self._logprobs else UNSET,
        )

    def _close_part(self) -> None:
        part = self._part_with(self._gate.open_item(self._index).text)
        at: dict[str, Any] = {
            "item_id": self._item_id,
            "output_index": self._index,
            "content_index": self._part_index,
        }
        self._gate.emit(text_done(part, at))
        self._gate.emit(ContentPartDone(**at, part=part))
        self._parts.append(part)
        self._part = ""

    def _close_item(self, status: Status) -> None:
        """Close the open item, if any; ``status`` is what it ends as."""
        if not self._item:
            return
        item: OutputItem
        if self._live is not None:
            item = self._close_call(self._live, status)
        else:
            if self._part:
                self._close_part()
            item = (
                OutputMessage(
                    id=self._item_id, status=status, content=self._parts, phase=self.phase
                )
                if self._item == "message"
                else self._thoughts(status)
            )
        self._gate.emit(OutputItemDone(output_index=self._index, item=item))
        self._item = ""
        self._part = ""
        self._live = None

    def _thoughts(self, status: Status) -> Reasoning:
        """The reasoning item that is being closed."""
        item = Reasoning(id=self._item_id, summary=[], status=status)
        texts = [part.text for part in self._parts]
        if self.hides:
            texts, self._secret = ["".join(self._secret)], []
        else:
            item.content = self._parts
        if self.seal is not None:
            item.encrypted_content = self.seal(texts)
        return item

    # -- calls ------------------------------------------------------------------------------

    def _open_call(self, call: CallPieces) -> None:
        start = call.start
        kind = "function_call" if start.kind == "function" else "custom_tool_call"
        self._begin(kind, "fc" if start.kind == "function" else "ctc")
        self._live = call
        self._call_id = start.call_id
        if not 0 < len(start.call_id) <= CALL_ID_LENGTH_MAX or start.call_id in self._taken:
            self._call_id = self._ids.mint("call")
        if not isinstance(self._taken, set):  # the context's; few responses need their own
            self._taken = set(self._taken)
        self._taken.add(self._call_id)
        added = self._call_item("", "in_progress")
        self._gate.emit(OutputItemAdded(output_index=self._index, item=added))
        waiting, call.waiting = call.waiting, []
        self._write_call(call, waiting)

    def _call_item(self, text: str, status: Status) -> FunctionCall | CustomToolCall:
        assert self._live is not None
        return call_item(self._live.start, self._call_id, self._item_id, text, status)

    def _write_call(self, call: CallPieces, texts: Sequence[str]) -> None:
        """Arguments of the live call."""
        texts = [text for text in texts if text]
        if texts:
            kind: type[Event] = (
                FunctionCallArgumentsDelta
                if call.start.kind == "function"
                else CustomToolCallInputDelta
            )
            self._gate.pieces(kind, self._item_id, self._index, 0, texts)

    def _close_call(self, call: CallPieces, status: Status) -> FunctionCall | CustomToolCall:
        text = self._gate.open_item(self._index).text
        if not text.strip() and call.start.kind == "function" and status == "completed":
            self._write_call(call, ["{}"])
            text += "{}"
        at: dict[str, Any] = {"item_id": self._item_id, "output_index": self._index}
        done: Event = (
            FunctionCallArgumentsDone(**at, name=call.start.name, arguments=text)
            if call.start.kind == "function"
            else CustomToolCallInputDone(**at, input=text)
        )
        self._gate.emit(done)
        call.closed = True
        return self._call_item(text, status)


_COMPOSE: dict[type[Any], Callable[[Composer, Any], None]] = {
    Text: Composer._text,
    Thought: Composer._thought,
    Declined: Composer._declined,
    Annotated: Composer._annotated,
    CallStart: Composer._call_start,
    CallArguments: Composer._call_arguments,
}
