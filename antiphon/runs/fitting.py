"""A context made fit for its model: windows of compacted histories, reasoning opened again, what
is too long compacted or cut. Between gathering items and making the turn of them.

Everything here is skipped by a request that asks for none of it and has none of it in its past.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from antiphon.backends.base import Backend, Capabilities, Turn
from antiphon.backends.estimate import Estimator
from antiphon.config_state import CompactionSettings
from antiphon.errors import ClientError
from antiphon.runs.compaction import Plan, new_window, newest, past_window, plan, threshold
from antiphon.runs.history import Brought
from antiphon.runs.reasoning import Removed, reopened
from antiphon.runs.said import Said
from antiphon.runs.sealed import Keeper
from antiphon.runs.truncation import fitted
from antiphon.sealing.base import Seals
from antiphon.types.items import Compaction, Item, Reasoning
from antiphon.types.request import CreateResponse

WINDOW_SHARE = 0.8
"""Of a window whose size is known: from there on a request without a threshold is compacted."""


class Fitting(Struct, frozen=True, eq=False):
    """What it takes: the seals, the settings, and what counts where the backend cannot."""

    seals: Seals | None
    settings: CompactionSettings
    estimator: Estimator

    def keeper(self, project: str) -> Keeper:
        return Keeper(self.seals, project)


NOTHING = Fitting(None, CompactionSettings(), Estimator())
"""For who needs none of it."""


class Shown(Struct):
    """A context's items, the last ``new`` of which are the request's. ``removed`` and
    ``downgrades`` tell what is not shown."""

    items: Sequence[Item]
    new: int
    removed: list[Removed] = []
    downgrades: Sequence[str] = ()


def windowed(past: Said, brought: Brought, keeper: Keeper) -> Said:
    """The history as it is shown; the brought items become what is shown of them."""
    if Compaction in brought.kinds:
        past = Said()
        sent, at = len(brought.items), newest(brought.items)
        items = new_window(brought, keeper)
        behind = [brought.place(index) for index in range(at + 1, sent)]
        brought.places = [brought.place(at)] * (len(items) - len(behind)) + behind
        brought.items = items
        brought.kinds = set(map(type, brought.items))
    return past_window(past, keeper) if past.compacted else past


def with_reasoning(
    past: Said,
    brought: Brought,
    *,
    keeper: Keeper,
    able: Capabilities,
    model: str,
    all_turns: bool,
) -> Shown:
    """The items with sealed reasoning opened, where the model may see it."""
    items: Sequence[Item] = [*past.items, *brought.items]
    new = len(brought.items)
    thinks = Reasoning in brought.kinds
    if not (past.sealed or thinks):
        return Shown(items, new)
    if not able.takes_reasoning:
        return Shown(items, new, downgrades=("input:reasoning",) if thinks else ())
    found = reopened(
        items,
        new,
        keeper=keeper,
        model=model,
        all_turns=all_turns,
        carries=able.carries,
        place=brought.place,
    )
    unreadable = ("input:reasoning",) if found.unreadable else ()
    return Shown(found.items, new, found.removed, unreadable)


async def tokens_of(turn: Turn, backend: Backend, estimator: Estimator) -> int:
    """The input tokens of a turn: the backend's count, else the estimate."""
    exact = await backend.count(turn)
    return estimator.input(turn) if exact is None else exact


async def compacting(
    asked: CreateResponse,
    turn: Turn,
    *,
    alone: bool,
    able: Capabilities,
    backend: Backend,
    keeper: Keeper,
    fitting: Fitting,
) -> tuple[Plan | None, Sequence[str]]:
    """How the turn is compacted first, if it is, and what could not be honoured. ``alone``: a
    trigger asks for nothing else. Raises ``ClientError``."""
    if alone:
        found = plan(turn, alone=True, keeper=keeper, settings=fitting.settings, live=turn.live)
        if found is None:
            raise ClientError(
                "There is nothing to compact: send the conversation before the "
                "'compaction_trigger', or continue it with 'previous_response_id'.",
                param="input",
            )
        return found, ()
    limit = threshold(asked.context_management)
    if limit is None and able.context_tokens is not None:
        limit = round(able.context_tokens * WINDOW_SHARE)
    if limit is None:
        return None, ("context_management",)
    if await tokens_of(turn, backend, fitting.estimator) < limit:
        return None, ()
    made = plan(turn, alone=False, keeper=keeper, settings=fitting.settings, live=turn.live)
    return made, ()


def cut_to_window(turn: Turn, new: int, able: Capabilities, estimator: Estimator) -> Turn:
    """The turn without its oldest items, where the window is known and they do not fit."""
    window = able.context_tokens
    return turn if window is None else fitted(turn, new, window, estimator.input)


async def made_to_fit(
    asked: CreateResponse,
    turn: Turn,
    new: int,
    triggered: bool,
    able: Capabilities,
    backend: Backend,
    keeper: Keeper,
    fitting: Fitting,
) -> tuple[Turn, Plan | None, Sequence[str]]:
    """The turn, how it is compacted before it is asked, and what of that cannot be honoured."""
    made: Plan | None = None
    unmet: Sequence[str] = ()
    if triggered or asked.context_management:
        made, unmet = await compacting(
            asked,
            turn,
            alone=triggered,
            able=able,
            backend=backend,
            keeper=keeper,
            fitting=fitting,
        )
    if made is None and asked.truncation == "auto":
        turn = cut_to_window(turn, new, able, fitting.estimator)
    return turn, made, unmet
