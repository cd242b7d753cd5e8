"""Stands between a model's deltas and the composer, one per model call.

Rules. What breaks a demand of the request never becomes an event. What can be judged by name
(a call of a tool that was not offered, a second call where one is allowed) is dropped at once;
what can only be judged whole (a text that must be JSON, the calls of a turn in which arguments
are checked) is held back from its first piece until the turn ends, and then released in the
pieces it came in, or dropped, and the model is asked again. Everything no demand speaks of
passes at once.

After text of an earlier attempt has reached the reader it cannot be taken back: a later attempt
is ``muted``, only its calls count.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from antiphon.runs.demands import Demands
from antiphon.stream.deltas import (
    Annotated,
    CallArguments,
    CallStart,
    Declined,
    Delta,
    ItemStart,
    Opened,
    Sealed,
    Summary,
    Text,
    Thought,
)

# Sets of kinds; shared, because an idle stream should not keep one of its own.
_NOTHING: frozenset[type[Any]] = frozenset()
_ANNOTATIONS: frozenset[type[Any]] = frozenset({Annotated})
_THOUGHTS: frozenset[type[Any]] = frozenset({Annotated, Thought, Summary, Sealed})
_AND_TEXT = {free: free | {Text} for free in (_ANNOTATIONS, _THOUGHTS)}


class Warden:
    """Judges one turn. ``admit`` each batch, then ``verdict``, then ``release``.

    ``free`` are the kinds of deltas nothing more has to be known of now: a batch of nothing else
    may be composed without asking.
    """

    __slots__ = (
        "_accepted",
        "_declined",
        "_demands",
        "_foreign",
        "_held",
        "_holding",
        "_hosted",
        "_muted",
        "_wrote",
        "free",
    )

    def __init__(self, demands: Demands, *, muted: bool = False) -> None:
        self._demands = demands
        self._muted = muted
        self._holding = False
        self._hosted = False  # the backend made a call itself
        self._held: list[Delta] = []
        self._accepted: dict[int, str] = {}
        self._foreign = ""
        self._wrote = False
        self._declined = False
        self.free = _ANNOTATIONS if muted or demands.no_thoughts else _THOUGHTS

    def admit(self, deltas: Sequence[Delta]) -> Sequence[Delta]:
        """The part of a batch that may be composed now (``Spent`` and ``Finish`` excluded)."""
        passed: list[Delta] = []
        for delta in deltas:
            if self._welcome(delta):
                if not self._holding and self._must_wait(delta):
                    self._holding = True
                    self.free = _NOTHING
                (self._held if self._holding else passed).append(delta)
        return passed

    def _welcome(self, delta: Delta) -> bool:
        if isinstance(delta, Text):
            if delta.text and not self._wrote:
                self._wrote = True
                if not (self._muted or self._holding or self._demands.text is not None):
                    self.free = _AND_TEXT[self.free]
            return not self._muted
        if isinstance(delta, CallStart):
            return self._accepts(delta)
        if isinstance(delta, CallArguments):
            return delta.index in self._accepted
        if isinstance(delta, Declined):
            self._declined = self._declined or bool(delta.text)
        if isinstance(delta, ItemStart):
            self._hosted = True
        silent = self._muted or self._demands.no_thoughts
        if isinstance(delta, Thought):
            return not silent
        return not (self._muted and isinstance(delta, Summary | Sealed | Opened))

    def _accepts(self, call: CallStart) -> bool:
        if call.name not in self._demands.callable:
            self._foreign = call.name
            return False
        if self._demands.one_call and self._accepted and call.index not in self._accepted:
            return False
        self._accepted[call.index] = call.name
        return True

    def _must_wait(self, delta: Delta) -> bool:
        if isinstance(delta, Text):
            return self._demands.text is not None
        # Any call, also of a tool nobody checks: had it been composed, then a broken call after
        # it would make the model call both again.
        return isinstance(delta, CallStart) and bool(self._demands.arguments)

    def verdict(self) -> str | None:
        """What the finished turn broke, in words for the model, or None."""
        if self._declined:
            return None
        if self._accepted:
            return self._arguments_problem()
        if self._demands.must_call and not self._hosted:
            called = f" ('{self._foreign}' does not exist)" if self._foreign else ""
            return f"You must call one of the offered tools now{called}; do not answer in text."
        if self._foreign and not self._wrote:
            return f"There is no tool '{self._foreign}'. Use an offered tool or answer in text."
        return self._text_problem()

    def _arguments_problem(self) -> str | None:
        for index, name in self._accepted.items():
            check = self._demands.arguments.get(name)
            if check is None:
                continue
            problem = check.problem(self._arguments(index) or "{}")
            if problem:
                return f"The arguments of your call of '{name}' are invalid: {problem}."
        return None

    def _arguments(self, index: int) -> str:
        return "".join(
            d.text for d in self._held if isinstance(d, CallArguments) and d.index == index
        )

    def _text_problem(self) -> str | None:
        check = self._demands.text
        if check is None or self._muted:
            return None
        text = self.text
        problem = check.problem(text)
        if problem is None:
            return None
        bare = _unfenced(text)
        if bare is not None and check.problem(bare) is None:
            others = [d for d in self._held if not isinstance(d, Text)]
            self._held = [*others, Text(bare)]
            return None
        return f"Your answer does not have the demanded format: {problem}."

    @property
    def has_asides(self) -> bool:
        """Whether the text held back only accompanies calls: the demanded format is of the final
        answer, and parsers must know that this is not it."""
        return self._demands.text is not None and bool(self._accepted)

    @property
    def text(self) -> str:
        """The text held back so far."""
        return "".join(d.text for d in self._held if isinstance(d, Text))

    def release(self) -> Sequence[Delta]:
        """What was held back, to be composed after a good verdict (or a cut turn)."""
        held, self._held = self._held, []
        return held


def _unfenced(text: str) -> str | None:
    """The inside of a Markdown code fence, if the text is one (weak models add them)."""
    lines = text.strip().splitlines()
    if len(lines) < 2 or not lines[0].startswith("```") or lines[-1].strip() != "```":
        return None
    return "\n".join(lines[1:-1])
