"""The part of a run that compacts: a model call of its own before the first one, whose summary
becomes an item. ``Run`` (``run.py``) is the other part."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import msgspec
from msgspec import Struct

from antiphon.backends.base import Turn
from antiphon.runs.compaction import Compacted, Summary
from antiphon.runs.context import Context
from antiphon.runs.mcp_plan import Prepare
from antiphon.runs.rounds import CallTools, Rounds
from antiphon.runs.truncation import shortened
from antiphon.runs.warden import Warden
from antiphon.sealing.base import Unsealable
from antiphon.stream.compose import Composer
from antiphon.types.items import Compaction, OutputItem
from antiphon.types.response import Response, Usage


class CallModel(Struct, frozen=True):
    """Perform this model call. ``attempt`` counts from 1; ``reason`` says why it is repeated."""

    turn: Turn
    attempt: int = 1
    reason: str = ""


Step = CallModel | CallTools | Prepare
"""What a run wants done."""


class Compacting(ABC):
    """See the module. The attributes are those of ``Run``."""

    __slots__ = (
        "_aside_tokens",
        "_composer",
        "_rounds",
        "_usage",
        "_warden",
        "context",
        "step",
    )

    context: Context
    step: Step | None
    _aside_tokens: int
    _composer: Composer
    _rounds: Rounds
    _usage: Usage | None
    _warden: Warden | Summary

    @property
    @abstractmethod
    def response(self) -> Response: ...

    @abstractmethod
    def _complete(self) -> None: ...

    @abstractmethod
    def _fail(self, message: str) -> None: ...

    @abstractmethod
    def _add_usage(self) -> None: ...

    @abstractmethod
    def _prepare_first(self) -> None: ...

    @property
    def compacting(self) -> bool:
        """Whether the current step writes the summary of a compaction."""
        return isinstance(self._warden, Summary)

    def _compact_first(self) -> None:
        plan = self.context.compaction
        assert plan is not None
        self._warden = Summary()
        self.step = CallModel(plan.asking)

    def _compacted(self, summary: str) -> None:
        """The summary is there: its item is made, and the response goes on behind it."""
        plan = self.context.compaction
        assert plan is not None
        self._aside_tokens = self._usage.output_tokens if self._usage else 0
        if not summary:
            return self._go_on(None)
        try:
            done = plan.finish(summary)
        except Unsealable:
            return self._go_on(None)
        self._composer.compact(done.sealed)
        self._rounds.shown = len(self.response.output)
        self._go_on(done)

    def _compacted_before(self, output: Sequence[OutputItem]) -> None:
        """Whoever had this response before may have compacted already: not twice."""
        plan = self.context.compaction
        made = [i for i in output if isinstance(i, Compaction) and i.encrypted_content]
        if made and plan is not None:
            self._go_on(plan.reopened(made[0].encrypted_content))
        elif output and plan is not None and not plan.alone:
            self._go_on(None)  # it could not be made

    def compact_otherwise(self, overflow: bool) -> Step | None:
        """The summary's model call failed (``overflow``: its input was too long): the next step,
        with less to sum up or without a summary. None where nothing is left to do but that."""
        plan = self.context.compaction
        if plan is None:
            return None
        items = shortened(plan.asking.items, 1) if overflow else None
        if items is not None:
            asking = msgspec.structs.replace(plan.asking, items=items, known=None)
            plan = msgspec.structs.replace(plan, asking=asking)
            self.context = msgspec.structs.replace(self.context, compaction=plan)
            self._compact_first()
        elif plan.alone:
            return None
        else:
            self._add_usage()
            self._go_on(None)
        return self.step

    def _go_on(self, done: Compacted | None) -> None:
        plan = self.context.compaction
        assert plan is not None
        turn = plan.turn if done is None else done.turn
        self.context = msgspec.structs.replace(self.context, compaction=None, turn=turn)
        self._warden = Warden(self.context.demands)
        if not plan.alone:
            self.step = CallModel(turn)
            if self.context.mcp is not None:
                self._prepare_first()
        elif done is not None:
            self._complete()
        else:
            message = "The model wrote no summary, so the conversation could not be compacted."
            self._fail(message)
