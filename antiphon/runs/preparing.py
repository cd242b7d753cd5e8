"""The part of a run before its first model call: tools of MCP servers, approved calls.

``Run`` (``run.py``) is the part after it; what is left to do is in ``mcp_plan.Before``.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

from antiphon.runs.compacting import CallModel, Compacting
from antiphon.runs.mcp_plan import Before, Prepare
from antiphon.runs.rounds import behind
from antiphon.runs.warden import Warden
from antiphon.stream.gate import Gate
from antiphon.tools.mcp_base import McpFailed, McpListed
from antiphon.types.events import Event


class Preparing(Compacting):
    """See the module. The attributes are those of ``Run``."""

    __slots__ = ("_before", "_gate")

    _before: Before | None
    _gate: Gate

    @abstractmethod
    def _make_calls(self) -> None: ...

    @abstractmethod
    def _ask(self) -> None: ...

    def _prepare_first(self) -> None:
        """The context has a plan, which comes before the first model call."""
        plan = self.context.mcp
        assert plan is not None
        self._before = Before(plan, self._composer)
        self.step = Prepare(self._before.labels)

    def prepare(self) -> list[Event]:
        """Begin with what the step says."""
        assert self._before is not None, "the step says what to prepare"
        self._before.begin()
        self._go_before(self._before)
        return self._gate.take()

    def listed(self, label: str, heard: Sequence[McpListed] | McpFailed) -> list[Event]:
        """What came of the list of one server."""
        assert self._before is not None, "somebody asked for the list"
        self._before.hear(label, heard)
        self._go_before(self._before)
        return self._gate.take()

    def _go_before(self, before: Before) -> None:
        if before.labels:
            return
        self._take_tools(before)
        if before.call():
            return self._make_calls()
        before.over = True
        output = self.response.output
        self.context = behind(self.context, output[self._rounds.shown :], asked=False)
        self._rounds.shown = len(output)
        self._ask()

    def _take_tools(self, before: Before) -> None:
        """Every list is there: the model has what they name."""
        self.context = before.amended(self.context)
        self._composer.forms = self.context.forms
        self._rounds.served = self.context.served
        if not self.compacting:
            self._warden = Warden(self.context.demands)

    def _resumes_behind(self, before: Before) -> bool:
        """Whether the log ends behind what is done first, or in the last of it."""
        before.after(self.response.output)
        if not before.labels:
            self._take_tools(before)
        if self._composer.answering is None and not before.over:
            self.step = Prepare(before.labels)
            return False
        if isinstance(self.step, Prepare):
            self.step = CallModel(self.context.turn)
        return True

    def _stop_preparing(self) -> None:
        """The response ends before it has begun to be made."""
        if self._before is not None:
            self._before.stop()
