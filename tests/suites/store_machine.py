"""Random sequences of operations on a store, compared with a dictionary."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from msgspec import Struct

from antiphon.errors import RemoteError
from antiphon.store.base import Past, StoredResponse
from tests.suites.store import (
    GRACE_AT_MOST_MS,
    HOUR_MS,
    Harness,
    blank,
    joined,
    past,
    told,
    turn,
)

PROJECTS = st.sampled_from(["ours", "theirs"])


class Known(Struct):
    """What the oracle knows of one response. ``died_at`` is when it was deleted or expired;
    ``unneeded_at`` when it first was dead without a living descendant: from then its items may be
    erased, and once the grace is over its row too."""

    row: StoredResponse
    died_at: int | None = None
    unneeded_at: int | None = None


class StoreMachine(RuleBasedStateMachine):
    """Subclass with ``make_harness``; run its ``TestCase``."""

    make_harness: Callable[[], Harness]

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.harness = type(self).make_harness()
        self.store = self.harness.create()
        self.known: dict[tuple[str, str], Known] = {}
        self.minted = 0

    @initialize()
    def open(self) -> None:
        self.runner.run(self.store.open())
        self.empty = self.harness.leftovers()

    # --- operations ---

    @rule(data=st.data(), project=PROJECTS, lifetime=st.sampled_from([None, 1, 50, 2 * HOUR_MS]))
    def save_some(self, data: st.DataObject, project: str, lifetime: int | None) -> None:
        """Several at once, as many requests do; a parent is dead for less than the grace."""
        rows: list[StoredResponse] = []
        for _ in range(data.draw(st.integers(1, 3))):
            parents = [None, *self.possible_parents(project)]
            parent = data.draw(st.sampled_from(parents))
            self.minted += 1
            expires_at = None if lifetime is None else self.now + lifetime
            row = turn(f"r{self.minted}", parent, project=project, expires_at=expires_at)
            rows.append(row)
        self.runner.run(self.gather(rows))
        for row in rows:
            self.known[project, row.id] = Known(row)

    @rule(data=st.data())
    def save_a_taken_id(self, data: st.DataObject) -> None:
        visible = [key for key, known in self.known.items() if known.died_at is None]
        if not visible:
            return
        project, id = data.draw(st.sampled_from(visible))
        try:
            self.runner.run(self.store.save(turn(id, project=project, head=b"{}")))
        except RemoteError:
            return
        raise AssertionError("an id was given twice")

    @rule(data=st.data(), project=PROJECTS)
    def delete(self, data: st.DataObject, project: str) -> None:
        if not self.known:
            return
        _, id = data.draw(st.sampled_from(sorted(self.known)))
        known = self.known.get((project, id))
        visible = known is not None and known.died_at is None
        assert self.runner.run(self.store.delete(project, id)) is visible
        if known is not None and visible:
            known.died_at = self.now
            self.note_unneeded()

    @rule(milliseconds=st.sampled_from([1, 49, HOUR_MS - 1, HOUR_MS, GRACE_AT_MOST_MS]))
    def wait(self, milliseconds: int) -> None:
        """Deaths happen in order of time, because what is unneeded depends on it."""
        end = self.now + milliseconds
        deaths = {
            known.row.expires_at
            for known in self.known.values()
            if known.died_at is None and known.row.expires_at is not None
        }
        for moment in sorted(moment for moment in deaths if moment <= end):
            self.harness.clock.now = moment
            for known in self.known.values():
                if known.died_at is None and known.row.expires_at == moment:
                    known.died_at = moment
            self.note_unneeded()
        self.harness.clock.now = end

    @rule(limit=st.integers(1, 40))
    def sweep(self, limit: int) -> None:
        count = self.runner.run(self.store.sweep(self.now, limit))
        expired = [known for known in self.known.values() if known.died_at is not None]
        assert 0 <= count <= min(limit, len(expired))

    # --- what must hold after each ---

    @invariant()
    def every_read_agrees(self) -> None:
        for (project, id), known in self.known.items():
            loaded = self.runner.run(self.store.load(project, id))
            history = self.runner.run(self.store.history(project, id))
            other = "theirs" if project == "ours" else "ours"
            if (other, id) not in self.known:
                assert self.runner.run(self.store.load(other, id)) is None
                assert self.runner.run(self.store.history(other, id)) is None
            if known.died_at is not None:
                assert loaded is None and history is None
                assert self.runner.run(self.store.context(project, id)) is None
                continue
            assert loaded == known.row
            assert history is not None
            ancestors = self.ancestors(known)
            assert len(history) == len(ancestors) + 1
            for one, ancestor in zip(history, [*ancestors, known], strict=True):
                self.check(one, ancestor)
            context = self.runner.run(self.store.context(project, id))
            assert joined(context) == told(history)

    def check(self, one: Past, known: Known) -> None:
        exact = past(known.row.id, deleted=known.died_at is not None)
        if known.unneeded_at is None:
            assert one == exact
        else:
            assert one in (exact, blank(known.row.id))

    def teardown(self) -> None:
        """Delete all; enough sweeps leave nothing behind."""
        for (project, id), known in list(self.known.items()):
            if known.died_at is None:
                assert self.runner.run(self.store.delete(project, id))
        for _ in range(2 * len(self.known) + 4):
            self.harness.clock.now += GRACE_AT_MOST_MS
            self.runner.run(self.store.sweep(self.now))
            if self.harness.leftovers() == self.empty:
                break
        assert self.harness.leftovers() == self.empty
        self.runner.run(self.store.close())
        self.runner.close()

    # --- the oracle ---

    @property
    def now(self) -> int:
        return self.harness.clock.now

    def possible_parents(self, project: str) -> list[str]:
        return [
            id
            for (owner, id), known in self.known.items()
            if owner == project and (known.died_at is None or self.now - known.died_at < HOUR_MS)
        ]

    def parent(self, known: Known) -> Known | None:
        return self.known.get((known.row.project, known.row.parent or ""))

    def ancestors(self, known: Known) -> list[Known]:
        way = []
        above = self.parent(known)
        while above is not None:
            way.append(above)
            above = self.parent(above)
        return way[::-1]

    def note_unneeded(self) -> None:
        needed: set[int] = set()
        for known in self.known.values():
            if known.died_at is None:
                needed.update(map(id, self.ancestors(known)))
        for known in self.known.values():
            if known.died_at is not None and known.unneeded_at is None and id(known) not in needed:
                known.unneeded_at = self.now

    async def gather(self, rows: list[StoredResponse]) -> None:
        await asyncio.gather(*map(self.store.save, rows))


def machine_case(make_harness: Callable[[], Harness]) -> Any:
    """The unittest class pytest collects."""

    class Machine(StoreMachine):
        pass

    Machine.make_harness = staticmethod(make_harness)
    case = Machine.TestCase
    case.settings = settings(
        max_examples=25,
        stateful_step_count=25,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        derandomize=True,
    )
    return case
