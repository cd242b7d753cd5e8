"""Random lives of background runs under several owners, compared with an oracle.

Owners claim, write, fall silent past their lease, are killed, and go on writing with claims they
lost. After each step the store and the oracle agree about every run and every event; in the end
nothing is stuck and nothing is left.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from functools import partial
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from msgspec import Struct

from antiphon.errors import LocalProtocolError
from antiphon.store.base import Store
from antiphon.store.log import Chunk, Claim
from antiphon.store.runs import OVER, ClaimedRun, Step
from antiphon.store.work import Fenced
from tests.suites.runs import LEASE_MS, LOG_MS, RunsRig, new, rows
from tests.suites.store import turn

OWNERS = ("ann", "bob", "cyd")
PROJECTS = ("ours", "theirs")
STATUSES = ("completed", "failed", "incomplete", "cancelled")
STEPS = ("search", "shell")

MakeStore = Callable[[], AbstractContextManager[Store]]
"""A store that is not open, over an empty database which is gone afterwards."""


class Known(Struct):
    """What the oracle knows of one run. ``log``: the epoch that wrote each event."""

    project: str
    id: str
    place: int
    status: str = "queued"
    epoch: int = 0
    lease_until: int = 0
    cancel_asked: bool = False
    attempt: int = 0
    claimed: bool = False
    log: list[int] = []
    steps: dict[str, Step] = {}
    ends: int = 0
    log_until: int | None = None

    @property
    def over(self) -> bool:
        return self.status in OVER


class RunsMachine(RuleBasedStateMachine):
    """Subclass with ``make_store``; run its ``TestCase``."""

    make_store: MakeStore

    def __init__(self) -> None:
        super().__init__()
        self.closing = ExitStack()
        self.runner = self.closing.enter_context(asyncio.Runner())
        store = self.closing.enter_context(type(self).make_store())
        self.runner.run(store.open())
        self.closing.callback(lambda: self.runner.run(store.close()))
        self.rig = RunsRig(store)
        self.known: dict[tuple[str, str], Known] = {}
        self.claims: list[Claim] = []  # every one ever given
        self.believed: dict[str, list[Claim]] = {owner: [] for owner in OWNERS}
        self.minted = 0

    @initialize(owners=st.lists(st.sampled_from([None, *OWNERS]), min_size=3, max_size=6))
    def begin(self, owners: list[str | None]) -> None:
        for place, owner in enumerate(owners):
            self.enqueue_one(PROJECTS[place % 2], owner)

    # --- what owners do ---

    @rule(project=st.sampled_from(PROJECTS), owner=st.sampled_from([None, *OWNERS]))
    def enqueue(self, project: str, owner: str | None) -> None:
        self.enqueue_one(project, owner)

    def enqueue_one(self, project: str, owner: str | None) -> None:
        self.minted += 1
        run = self.do(self.rig.runs.enqueue(new(f"r{self.minted}", project), owner=owner))
        known = Known(project, f"r{self.minted}", self.minted)
        self.known[project, known.id] = known
        if owner is None:
            assert run is None
        else:
            assert run is not None
            known.status, known.attempt, known.claimed = "in_progress", 1, True
            self.took(run, owner)

    @rule(owner=st.sampled_from(OWNERS), limit=st.integers(1, 4), expired=st.booleans())
    def claim(self, owner: str, limit: int, expired: bool) -> None:
        free = [one for one in self.known.values() if self.claimable(one, expired)]
        since = {one.id: one.lease_until for one in free}
        orphans = {one.id for one in free if one.status == "in_progress"}
        runs = self.do(self.rig.runs.claim(owner, limit, expired=expired))
        assert len(runs) == min(limit, len(free))
        taken = [self.known[run.claim.project, run.claim.id] for run in runs]
        assert all(one in free for one in taken)
        lost = [one for one in taken if one.id in orphans]
        assert len(lost) == min(limit, len(orphans)) and taken[: len(lost)] == lost
        for run, one in zip(runs, taken, strict=True):
            assert run.cancel_asked == one.cancel_asked
            one.attempt += 1
            one.claimed = True
            if not one.cancel_asked:
                one.status = "in_progress"
            assert (run.status, run.attempt) == (one.status, one.attempt)
            self.took(run, owner)
        begun = [one for one in taken if one.id not in orphans]
        for left in (one for one in free if one not in taken):
            for one in begun:
                if one.project == left.project:
                    assert (since[one.id], one.place) < (since[left.id], left.place)
        self.check_fair(begun, free, taken)

    def check_fair(self, begun: list[Known], free: list[Known], taken: list[Known]) -> None:
        """Nobody got a run while somebody with fewer was left waiting."""
        running = {
            project: sum(
                one.project == project and (one.status == "in_progress" or one in taken)
                for one in self.known.values()
            )
            for project in PROJECTS
        }
        for left in free:
            if left in taken:
                continue
            for one in begun:
                assert running[one.project] <= running[left.project] + 1

    @rule(owner=st.sampled_from(OWNERS), limit=st.integers(2, 9))
    def take_over(self, owner: str, limit: int) -> None:
        """Everybody was silent for a lease."""
        self.rig.clock.now += LEASE_MS
        self.claim(owner, limit, True)

    @rule(owner=st.sampled_from(OWNERS))
    def beat(self, owner: str) -> None:
        claims = self.believed[owner]
        found = self.do(self.rig.runs.beat(claims))
        ours = [claim for claim in claims if self.valid(claim)]
        assert found.lost == set(claims) - set(ours)
        assert found.cancel_asked == {one for one in ours if self.of(one).cancel_asked}
        for claim in ours:
            self.of(claim).lease_until = self.now + LEASE_MS
        self.believed[owner] = ours

    @rule(owner=st.sampled_from(OWNERS))
    def kill(self, owner: str) -> None:
        """It forgets all it had; what it sent before may still arrive (the other rules)."""
        self.believed[owner] = []

    @rule(owner=st.sampled_from(OWNERS))
    def drain(self, owner: str) -> None:
        claims = self.believed[owner]
        self.do(self.rig.runs.release(claims))
        for claim in claims:
            if self.valid(claim):
                known = self.of(claim)
                known.epoch += 1
                known.lease_until = 0
                known.attempt = max(0, known.attempt - 1)  # ending in peace is none
        self.believed[owner] = []

    @rule(data=st.data(), count=st.integers(1, 5), offset=st.sampled_from([0, 0, 0, -1, 1]))
    def append(self, data: st.DataObject, count: int, offset: int) -> None:
        claim = self.some_claim(data)
        if claim is None:
            return
        known = self.known.get((claim.project, claim.id))
        first = max(0, (len(known.log) if known else 0) + offset)
        lines = [json.dumps([claim.epoch, number]) for number in range(first, first + count)]
        chunk = Chunk(first, count, "\n".join(lines).encode())
        for _ in range(2):  # the second time as after an answer that got lost
            refused = self.do(self.rig.log.append([(claim, chunk)])).get(claim.id)
            if not self.writable(claim):
                assert type(refused) is Fenced
                return
            if offset and first != len(self.of(claim).log):
                # Perhaps exactly this chunk is there already: then nothing happens.
                assert refused is None or type(refused) is LocalProtocolError
                return
            assert refused is None
        self.of(claim).log += [claim.epoch] * count

    @rule(data=st.data(), key=st.sampled_from(STEPS), end=st.booleans())
    def step(self, data: st.DataObject, key: str, end: bool) -> None:
        claim = self.some_claim(data)
        if claim is None:
            return
        runs = self.rig.runs
        try:
            if end:
                before = self.do(runs.end_step(claim, key, b"%d" % claim.epoch))
            else:
                before = self.do(runs.begin_step(claim, key))
        except Fenced:
            assert not self.writable(claim) or (
                end
                and self.of(claim).steps.get(key, Step("", -1, False, None)).epoch != claim.epoch
            )
            return
        assert self.writable(claim)
        known = self.of(claim)
        if end:
            known.steps[key] = Step(key, claim.epoch, True, b"%d" % claim.epoch)
            return
        there = known.steps.get(key)
        ours = there is not None and not there.done and there.epoch == claim.epoch
        assert before == (None if ours else there)
        if there is None or not there.done:
            known.steps[key] = Step(key, claim.epoch, False, None)

    @rule(data=st.data(), status=st.sampled_from(STATUSES))
    def finish(self, data: st.DataObject, status: str) -> None:
        claim = self.some_claim(data)
        if claim is None:
            return
        known = self.known.get((claim.project, claim.id))
        count = len(known.log) if known else 0
        end = self.rig.runs.finishing(claim, status, count)
        row = None  # a second row of an id is refused in any case; here the run must do it
        if known is not None and not known.over:
            row = turn(claim.id, project=claim.project, status=status)
        refused = self.do(self.rig.put(row, [end]))
        may = self.valid(claim) and (
            self.of(claim).status == "in_progress" or status in ("cancelled", "failed")
        )
        assert (refused is None) == may
        if may:
            self.ended(self.of(claim), status)
        else:
            assert type(refused) is Fenced

    # --- what callers and time do ---

    @rule(data=st.data(), project=st.sampled_from(PROJECTS), owner=st.sampled_from(OWNERS))
    def cancel(self, data: st.DataObject, project: str, owner: str) -> None:
        queued = [one.id for one in self.known.values() if one.status == "queued"]
        everything = [f"r{number}" for number in range(1, self.minted + 1)]
        id = data.draw(st.sampled_from([*queued, *everything]))
        asked = self.do(self.rig.runs.cancel(project, id, owner))
        known = self.known.get((project, id))
        if known is None:
            assert asked is None
            return
        assert asked is not None and asked.status == known.status
        free = known.status == "queued" and known.lease_until <= self.now
        assert (asked.claimed is not None) == free
        if not known.over:
            known.cancel_asked = True
        if asked.claimed is not None:
            self.took(asked.claimed, owner)

    @rule(milliseconds=st.sampled_from([1, LEASE_MS // 2, LEASE_MS, LOG_MS]))
    def wait(self, milliseconds: int) -> None:
        self.rig.clock.now += milliseconds

    @rule(data=st.data(), project=st.sampled_from(PROJECTS))
    def delete(self, data: st.DataObject, project: str) -> None:
        id = f"r{data.draw(st.integers(1, self.minted))}"
        there = self.do(self.rig.runs.delete(project, id))
        assert there is (self.known.pop((project, id), None) is not None)

    @rule()
    def sweep(self) -> None:
        due = {
            key
            for key, one in self.known.items()
            if one.log_until is not None and one.log_until <= self.now
        }
        assert set(self.do(self.rig.runs.sweep())) == due
        for key in due:
            del self.known[key]

    # --- what must hold after each ---

    @invariant()
    def every_read_agrees(self) -> None:
        for (project, id), known in self.known.items():
            state = self.do(self.rig.runs.load(project, id))
            assert state is not None
            assert (state.status, state.attempt) == (known.status, known.attempt)
            assert (state.events, state.log_until) == (len(known.log), known.log_until)
            assert state.cancel_asked == known.cancel_asked
            assert known.ends == int(known.over)
            if known.cancel_asked and not known.claimed:
                assert state.started_at is None
            lines = [
                json.loads(line)
                for chunk in self.do(self.rig.log.read(project, id, -1, 1_000))
                for line in chunk.events.split(b"\n")
            ]
            assert lines == [[epoch, number] for number, epoch in enumerate(known.log)]
            assert known.log == sorted(known.log)

    @invariant()
    def at_most_one_claim_is_good(self) -> None:
        for known in self.known.values():
            good = [claim for claim in self.claims if self.valid(claim) and self.of(claim) is known]
            assert len(good) <= 1

    def teardown(self) -> None:
        """Whatever happened, one process that lives ends every run; then nothing is left."""
        self.rig.clock.now += LEASE_MS
        for _ in range(len(self.known) + 1):
            for run in self.do(self.rig.runs.claim("heir", 3)):
                claim = run.claim
                self.took(run, "heir")
                known = self.of(claim)
                assert self.do(self.rig.log.read(claim.project, claim.id, len(known.log))) == []
                status = "cancelled" if run.cancel_asked else "completed"
                end = self.rig.runs.finishing(claim, status, len(known.log))
                assert self.do(self.rig.put(None, [end])) is None
                self.ended(known, status)
        assert all(known.over for known in self.known.values())
        self.rig.clock.now += LOG_MS
        self.sweep()
        for table in ("runs", "run_bodies", "run_chunks", "run_steps"):
            count = partial(rows, f"SELECT count(*) FROM {table}")
            assert self.do(self.rig.store.read(count)) == [(0,)], table
        self.closing.close()

    # --- the oracle ---

    @property
    def now(self) -> int:
        return self.rig.clock.now

    def do(self, coroutine: Any) -> Any:
        return self.runner.run(coroutine)

    def of(self, claim: Claim) -> Known:
        return self.known[claim.project, claim.id]

    def took(self, run: ClaimedRun, owner: str) -> None:
        known = self.of(run.claim)
        known.epoch += 1
        known.lease_until = self.now + LEASE_MS
        assert run.claim.epoch == known.epoch
        self.claims.append(run.claim)
        if owner in self.believed:
            self.believed[owner].append(run.claim)

    def claimable(self, known: Known, expired: bool) -> bool:
        return not known.over and known.lease_until <= (self.now if expired else 0)

    def valid(self, claim: Claim) -> bool:
        known = self.known.get((claim.project, claim.id))
        return known is not None and not known.over and known.epoch == claim.epoch

    def writable(self, claim: Claim) -> bool:
        return self.valid(claim) and self.of(claim).status == "in_progress"

    def some_claim(self, data: st.DataObject) -> Claim | None:
        """Mostly one that is good, often one that no longer is."""
        if not self.claims:
            return None
        good = [claim for claim in self.claims if self.valid(claim)]
        return data.draw(st.sampled_from([*good, *self.claims]))

    def ended(self, known: Known, status: str) -> None:
        known.status = status
        known.ends += 1
        known.lease_until = 0
        known.log_until = self.now + LOG_MS
        known.steps = {}


def machine_case(make_store: MakeStore, examples: int) -> Any:
    """The unittest class pytest collects."""

    class Machine(RunsMachine):
        pass

    Machine.make_store = staticmethod(make_store)
    case = Machine.TestCase
    case.settings = settings(
        max_examples=examples,
        stateful_step_count=60,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        derandomize=True,
    )
    return case
