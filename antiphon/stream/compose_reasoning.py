"""The composer's third for reasoning that is more than raw text: summaries an upstream makes of it,
and what only that upstream can read.

A reasoning item is told in one order: the parts of its summary, then its texts. A summary that
comes after texts therefore begins an item of its own, so that a replay, which knows nothing but the
items, has the same events.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from operator import attrgetter

from antiphon.ids import ItemIds
from antiphon.stream.compose_calls import CallComposer
from antiphon.stream.deltas import Opened, Sealed, Summary
from antiphon.stream.gate import Gate
from antiphon.types.base import UNSET, UnsetType
from antiphon.types.content import SummaryText
from antiphon.types.events import (
    SummaryPartAdded,
    SummaryPartDone,
    SummaryTextDelta,
    SummaryTextDone,
)
from antiphon.types.items import Phase, Reasoning

SUMMARY = "summary_text"

_part_of = attrgetter("part")


class ReasoningComposer(CallComposer):
    """What ``Composer`` is made of besides text and calls. ``hides``: a reasoning item does not
    show its texts."""

    __slots__ = ("_part", "_sealed", "_summaries", "_summarised", "hides", "phase")

    def __init__(self, gate: Gate, ids: ItemIds, taken: frozenset[str], hides: bool) -> None:
        super().__init__(gate, ids, taken)
        self.hides = hides
        self.phase: Phase | UnsetType = UNSET
        self._part = ""
        self._summaries: list[SummaryText] = []
        self._summarised = 0
        self._sealed = ""

    def _opened(self, deltas: Sequence[Opened]) -> None:
        for delta in deltas:
            self._close_item("completed")
            if delta.type == "message":
                self.phase = delta.phase or UNSET

    def _summary(self, deltas: Sequence[Summary]) -> None:
        for part, run in groupby(deltas, _part_of):
            texts = [delta.text for delta in run if delta.text]
            if texts:
                if self._part != SUMMARY or self._summarised != part:
                    self._open_summary(part)
                self._gate.pieces(
                    SummaryTextDelta, self._item_id, self._index, len(self._summaries), texts
                )

    def _sealed_as(self, deltas: Sequence[Sealed]) -> None:
        for delta in deltas:
            if self._item != "reasoning":
                self._begin_reasoning()
            self._sealed = delta.content

    def _begin_reasoning(self) -> None:
        self._close_item("completed")
        self._begin("reasoning", "rs")
        begun = Reasoning(id=self._item_id, summary=[], status="in_progress")
        if not self.hides:
            begun.content = []
        self._add(begun)

    def _open_summary(self, part: int) -> None:
        if self._item != "reasoning" or self._has_texts():
            self._begin_reasoning()
        elif self._part == SUMMARY:
            self._close_summary()
        self._part, self._summarised = SUMMARY, part
        self._gate.emit(
            SummaryPartAdded(**self._at(), summary_index=len(self._summaries), part=SummaryText(""))
        )

    def _close_summary(self) -> None:
        part = SummaryText(self._gate.open_item(self._index).text)
        at = {**self._at(), "summary_index": len(self._summaries)}
        self._gate.emit(SummaryTextDone(**at, text=part.text))
        self._gate.emit(SummaryPartDone(**at, part=part))
        self._summaries.append(part)
        self._part = ""

    def _has_texts(self) -> bool:
        raise NotImplementedError
