"""Deltas become items and events.

Rules. The composer decides which item and part a delta belongs to, opens and closes them, and
mints their ids, once. It does not decide whether a delta is welcome (``runs/``) nor whether an
order is legal (``grammar.py``): each event it makes goes through the gate, and it keeps no
text of its own: what was said so far is asked back from the gate's fold.

Theory of operation. At most one item is open. Text, refusal and reasoning open a part of a
message or reasoning item; a call opens a call item (``compose_calls.py``); anything of another
kind closes what is open. Two cases need care:

* Blank text before a call makes no message: blank pieces wait until something is written.
* A completed turn never ends in a dangling reasoning item or in nothing at all: an empty
  message closes it, so that a reader always finds an answer where the API promises one.

What comes in runs is composed in runs: a batch is cut where the kind of its deltas changes, and
a run of pieces of one part passes the gate in one step. A turn that comes as a whole and is
nothing but text passes it as a whole.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby
from typing import Any

from antiphon.ids import ItemIds
from antiphon.stream.compose_reasoning import SUMMARY, ReasoningComposer
from antiphon.stream.deltas import (
    Annotated,
    CallArguments,
    CallStart,
    Declined,
    Delta,
    ItemEnd,
    ItemStage,
    ItemStart,
    Opened,
    Sealed,
    Summary,
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
    Event,
    OutputItemAdded,
    OutputItemDone,
    OutputTextDelta,
    ReasoningTextDelta,
    RefusalDelta,
)
from antiphon.types.items import (
    Compaction,
    FunctionCallOutput,
    OutputItem,
    OutputMessage,
    Reasoning,
    Status,
)
from antiphon.types.tool_items import McpCall, McpListTools, ToolSearchOutput

Seal = Callable[[Sequence[str]], str | UnsetType]

_ITEM_OF_PART = {"output_text": "message", "refusal": "message", "reasoning_text": "reasoning"}


class Composer(ReasoningComposer):
    """Composes one response; ``feed`` once per batch, ``close`` at the end of each turn.

    ``taken`` are the call ids the context already uses: a backend's own id is kept unless it is
    empty, too long or taken. ``logprobs``: text parts carry them. ``phase`` is given to every
    message opened while it is set. ``seal`` makes the ``encrypted_content`` of a reasoning item
    from its texts (None: it gets none), unless the upstream sealed it itself; ``hides``: such an
    item does not show them.
    """

    __slots__ = (
        "_blank",
        "_logprobs",
        "_part_index",
        "_parts",
        "_secret",
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
        super().__init__(gate, ids, taken, hides)
        self.seal = seal
        self._secret: list[str] = []
        self._logprobs = logprobs
        self._part_index = 0
        self._parts: list[Any] = []
        self._blank: list[Text] = []

    def after(self, output: Sequence[OutputItem]) -> None:
        """Go on behind these items, which are closed; before the first ``feed``."""
        self._index = len(output) - 1
        calls = (getattr(item, "call_id", None) for item in output)
        self._taken = {*self._taken, *(id for id in calls if isinstance(id, str))}

    def feed(self, deltas: Sequence[Delta]) -> None:
        """Compose one batch. ``Spent`` and ``Finish`` are the run's business, not ours.

        Raises ``RemoteError`` for what no response can say.
        """
        if len(deltas) == 1:  # a paced stream: nearly all batches
            delta = deltas[0]
            if type(delta) is not Text or self._part != "output_text" or self._logprobs:
                self._run(type(delta), deltas)
            elif delta.text:
                self._gate.pieces(
                    OutputTextDelta, self._item_id, self._index, self._part_index, [delta.text]
                )
            return
        for kind, run in groupby(deltas, type):
            self._run(kind, list(run))

    def _run(self, kind: type[Any], deltas: Sequence[Delta]) -> None:
        """Deltas of one kind. While a call waits for its answer, others may go on to arrive, and
        all else waits with it."""
        if self._waits and kind is not CallStart and kind is not CallArguments:
            self._held += deltas
        else:
            _COMPOSE[kind](self, deltas)

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
        if not self._close_next(cut=cut):
            return  # ``conclude`` goes on
        if answer and not cut and not self._calls:
            output = self._gate.response.output
            if not output or isinstance(output[-1], _UNSAID):
                self._open_part("output_text")
                self._close_item("completed")
        self._blank.clear()
        self._calls.clear()
        self._held.clear()
        self._live = None

    def _go_on(self) -> None:
        if not self._close_next(cut=False):
            return
        held, self._held = self._held, []
        if held:
            self.feed(held)
        if self._calls or held:
            self.close(cut=False)

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
            self._begin_reasoning()
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
        super()._call_start(deltas)

    def _opened_as_said(self, deltas: list[Opened]) -> None:
        self._blank.clear()
        self._opened(deltas)

    def _item_start(self, deltas: list[ItemStart]) -> None:
        for delta in deltas:
            self._blank.clear()
            self._hosted_start(delta.item)

    def _item_stage(self, deltas: list[ItemStage]) -> None:
        for delta in deltas:
            if delta.code:
                self._hosted_code([delta.code])
            else:
                self._hosted_reached(delta.stage)

    def _item_end(self, deltas: list[ItemEnd]) -> None:
        for delta in deltas:
            if self._hosted is None:
                self._hosted_start(delta.item)
            self._hosted_end(delta.item)

    # -- items ------------------------------------------------------------------------------

    def _open_part(self, part: str) -> None:
        """Make ``part`` the open part, in the open item if it fits, else in a new one."""
        kind = _ITEM_OF_PART[part]
        if self._item == kind:
            if self._part:
                self._close_part()
            self._part_index = len(self._parts)
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
        super()._begin(kind, prefix)
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

    def _has_texts(self) -> bool:
        return bool(self._parts) or self._part == "reasoning_text"

    def _close_part(self) -> None:
        if self._part == SUMMARY:
            return self._close_summary()
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
        if self._live is not None:
            self._close_live(self._live, status)
        elif self._hosted is not None:
            self._cut_hosted(self._hosted, status)
        elif self._item:
            if self._part:
                self._close_part()
            item: OutputItem = (
                OutputMessage(
                    id=self._item_id, status=status, content=self._parts, phase=self.phase
                )
                if self._item == "message"
                else self._thoughts(status)
            )
            self._gate.emit(OutputItemDone(output_index=self._index, item=item))
            self._item = ""
            self._part = ""

    def _thoughts(self, status: Status) -> Reasoning:
        """The reasoning item that is being closed."""
        summaries, self._summaries = self._summaries, []
        sealed, self._sealed = self._sealed, ""
        item = Reasoning(id=self._item_id, summary=summaries, status=status)
        texts = [part.text for part in self._parts]
        if self.hides:
            texts, self._secret = ["".join(self._secret)], []
        else:
            item.content = self._parts
        if sealed:
            item.encrypted_content = sealed
        elif self.seal is not None:
            item.encrypted_content = self.seal(texts)
        return item


_UNSAID = (Reasoning, Compaction, FunctionCallOutput, ToolSearchOutput, McpListTools, McpCall)
"""Items after which a turn that is over still owes an answer."""

_COMPOSE: dict[type[Any], Callable[[Composer, Any], None]] = {
    Text: Composer._text,
    Thought: Composer._thought,
    Summary: Composer._summary,
    Sealed: Composer._sealed_as,
    Opened: Composer._opened_as_said,
    Declined: Composer._declined,
    Annotated: Composer._annotated,
    CallStart: Composer._call_start,
    CallArguments: Composer._call_arguments,
    ItemStart: Composer._item_start,
    ItemStage: Composer._item_stage,
    ItemEnd: Composer._item_end,
}
