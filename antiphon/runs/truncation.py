"""``truncation: auto``: a context that does not fit the model's window loses its oldest items.

System and developer messages stay, and so do the new input and the question it belongs to; a call
and its output go together or not at all. Whole exchanges go first (what is left begins with a
user's message); where one exchange alone is too long, as in an agent's long day of work, its oldest
steps do.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from antiphon.backends.base import Turn
from antiphon.runs.said import CALLS, OUTPUTS
from antiphon.types.items import Item, Message, Reasoning

ANSWER_TOKENS_MIN = 256
"""Room for the answer where the caller set no limit for it."""


def fitted(turn: Turn, new: int, window: int, count: Callable[[Turn], int]) -> Turn:
    """The turn with as little left out as makes it fit ``window`` tokens together with its answer,
    or as it is where that cannot be reached. ``count`` tells the tokens of a turn."""
    room = window - min(turn.max_output_tokens or ANSWER_TOKENS_MIN, window // 2)
    if count(turn) <= room:
        return turn
    cuts = _Cuts(turn.items, new)
    low, high = 0, len(cuts.starts)
    while low < high:  # the first start that is enough; what is left only gets less
        middle = (low + high) // 2
        if count(_without(turn, cuts, cuts.starts[middle])) <= room:
            high = middle
        else:
            low = middle + 1
    enough = cuts.starts[low:]
    if not enough:
        return turn
    return _without(turn, cuts, next(filter(cuts.begins, enough), enough[0]))


def shortened(items: Sequence[Item], new: int) -> list[Item] | None:
    """The context without the older half of what can go, or None if nothing can: for a window
    nobody knows, until it fits."""
    cuts = _Cuts(items, new)
    choices = list(filter(cuts.begins, cuts.starts)) or cuts.starts
    return cuts.kept(choices[(len(choices) - 1) // 2]) if choices else None


def _without(turn: Turn, cuts: _Cuts, start: int) -> Turn:
    return msgspec.structs.replace(turn, items=cuts.kept(start), known=None)


class _Cuts:
    """Where what is left of a context may begin (``starts``, ascending; something is gone at each):
    no call is parted from its output, no reasoning from what it led to."""

    def __init__(self, items: Sequence[Item], new: int) -> None:
        self._items = items
        end = len(items) - last_input(items, new)
        self._question = -1
        if not any(_is_user(item) for item in items[end:]):
            self._question = max((at for at in range(end) if _is_user(items[at])), default=-1)
        answers = {item.call_id: at for at, item in enumerate(items) if isinstance(item, OUTPUTS)}
        self.starts: list[int] = []
        goes, together = False, -1
        for at, before in enumerate(items[:end]):
            goes = goes or not self._stays(at)
            if isinstance(before, CALLS):
                together = max(together, answers.get(before.call_id, -1))
            if goes and at + 1 > together and not isinstance(before, Reasoning):
                self.starts.append(at + 1)

    def kept(self, start: int) -> list[Item]:
        """What is left from this place on, behind what always stays."""
        items = self._items
        return [*(items[at] for at in range(start) if self._stays(at)), *items[start:]]

    def begins(self, start: int) -> bool:
        """Whether an exchange begins there."""
        return start < len(self._items) and _is_user(self._items[start])

    def _stays(self, at: int) -> bool:
        item = self._items[at]
        standing = isinstance(item, Message) and item.role in ("system", "developer")
        return standing or at == self._question


def last_input(items: Sequence[Item], new: int) -> int:
    """How many items at the end are the new input: ``new``, unless that is all there is. Then the
    caller tells the whole conversation each time, and it is what the model has not answered."""
    if new < len(items):
        return new
    count = 0
    for item in reversed(items):
        said = isinstance(item, Message) and item.role != "assistant"
        if not (said or isinstance(item, OUTPUTS)):
            break
        count += 1
    return count


def _is_user(item: Item) -> bool:
    return isinstance(item, Message) and item.role == "user"
