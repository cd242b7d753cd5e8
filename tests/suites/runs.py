"""What background runs in the store must do, on any database.

A test file imports these tests and says what ``rig`` is: a ``RunsRig`` over an open store.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import Any

import pytest

from antiphon.errors import ClientError, LocalProtocolError, RemoteError
from antiphon.store.base import Store, StoredResponse
from antiphon.store.log import Chunk, Claim
from antiphon.store.log_table import TableLog
from antiphon.store.runs import ClaimedRun, NewRun, RunState, Step, StoredRuns
from antiphon.store.work import Begin, Fenced, Work
from tests.suites.store import START_MS, Clock, turn

LEASE_MS = 10_000
LOG_MS = 3_600_000


class RunsRig:
    """An open store, and the runs of one process on it. Time passes when ``clock`` is told to."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.clock = Clock()
        self.log = TableLog(store)
        self.runs = self.process()

    def process(self, **settings: Any) -> StoredRuns:
        """The runs as another process, or one with other settings, has them."""
        common: dict[str, Any] = {"lease_ms": LEASE_MS, "log_ms": LOG_MS, "clock": self.clock}
        return StoredRuns(self.store, **(common | settings))

    async def put(
        self, row: StoredResponse | None, also: Sequence[Begin[object]]
    ) -> Exception | None:
        """``Store.put``, waited for: what it was told in the end."""
        done: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()
        self.store.put(row, done.set_result, also)
        return await asyncio.wait_for(done, 5)

    async def state(self, id: str, project: str = "ours") -> RunState:
        state = await self.runs.load(project, id)
        assert state is not None
        return state


def new(id: str, project: str = "ours", **changes: Any) -> NewRun:
    request, head = f'{{"for":"{id}"}}'.encode(), f'{{"id":"{id}"}}'.encode()
    fields: dict[str, Any] = {"request": request, "head": head, "created_at": START_MS}
    return NewRun(project=project, id=id, **(fields | changes))


async def begun(rig: RunsRig, id: str, project: str = "ours", owner: str = "me") -> Claim:
    """A run its owner has begun."""
    run = await rig.runs.enqueue(new(id, project), owner=owner)
    assert run is not None
    return run.claim


async def appended(rig: RunsRig, claim: Claim, first: int, count: int = 1) -> Exception | None:
    events = b"".join(b'{"n":%d}\n' % number for number in range(first, first + count))
    refused = await rig.log.append([(claim, Chunk(first, count, events))])
    return refused.get(claim.id)


def ids(runs: Sequence[ClaimedRun]) -> list[str]:
    return [run.claim.id for run in runs]


# --- the queue ------------------------------------------------------------------------------------


@pytest.mark.requirement("durable-runs:queue:order")
async def test_a_run_is_claimed_as_it_was_asked_for(rig: RunsRig) -> None:
    asked = new("r1", streamed=True, conversation="conv_1", created_at=START_MS - 5)
    assert await rig.runs.enqueue(asked) is None
    queued = await rig.state("r1")
    assert (queued.status, queued.head, queued.started_at) == ("queued", asked.head, None)
    assert not queued.over and queued.attempt == 0
    (run,) = await rig.runs.claim("me", 5)
    assert (run.claim.project, run.claim.id, run.claim.epoch) == ("ours", "r1", 1)
    assert (run.request, run.head, run.streamed) == (asked.request, asked.head, True)
    assert (run.status, run.attempt, run.cancel_asked) == ("in_progress", 1, False)
    assert (run.conversation, run.created_at) == ("conv_1", START_MS - 5)
    assert run.started_at == rig.clock.now
    assert (await rig.state("r1")).status == "in_progress"
    assert await rig.runs.load_request("ours", "r1") == asked.request


@pytest.mark.requirement("durable-runs:queue:order")
async def test_a_queue_keeps_its_order_and_gives_each_run_once(rig: RunsRig) -> None:
    for index in range(5):
        await rig.runs.enqueue(new(f"r{index}"))
    assert await rig.runs.waiting() == {"queued": 5, "in_progress": 0}
    assert ids(await rig.runs.claim("me", 2)) == ["r0", "r1"]
    assert ids(await rig.runs.claim("you", 2)) == ["r2", "r3"]
    assert await rig.runs.claim("me", 0) == []
    assert ids(await rig.runs.claim("me", 9)) == ["r4"]
    assert await rig.runs.claim("me", 9) == []
    assert await rig.runs.waiting() == {"queued": 0, "in_progress": 5}


@pytest.mark.requirement("durable-runs:queue:at-once")
async def test_an_owner_that_has_room_never_waits_for_its_own_run(rig: RunsRig) -> None:
    run = await rig.runs.enqueue(new("r1"), owner="me")
    assert run is not None and run.status == "in_progress" and run.claim.epoch == 1
    assert run.started_at == rig.clock.now and run.request == new("r1").request
    assert await rig.runs.claim("you", 5) == []
    assert await appended(rig, run.claim, 0) is None


@pytest.mark.requirement("durable-runs:queue:together")
async def test_what_goes_along_with_a_run_is_written_with_it_or_neither_is(rig: RunsRig) -> None:
    def refuse() -> Work[None]:
        yield "SELECT count(*) FROM runs", ()
        raise ClientError("not twice")

    second = await rig.runs.enqueuing(new("r2"))
    await rig.runs.enqueue(new("r1"), also=[second])
    assert ids(await rig.runs.claim("me", 5)) == ["r1", "r2"]
    with pytest.raises(ClientError, match="not twice"):
        await rig.runs.enqueue(new("r3"), also=[refuse])
    assert await rig.runs.load("ours", "r3") is None
    assert await rig.runs.claim("me", 5) == []


@pytest.mark.requirement("durable-runs:queue:together")
async def test_a_run_enqueued_again_after_a_lost_answer_is_one_run(rig: RunsRig) -> None:
    again = [await rig.runs.enqueue(new("r1"), owner="me") for _ in range(2)]
    assert again[0] is not None and again[1] is not None and again[0].claim == again[1].claim
    with pytest.raises(RemoteError, match="exists already"):
        await rig.runs.enqueue(new("r1", created_at=START_MS + 1))
    for _ in range(2):
        await rig.runs.enqueue(new("r2"))
    assert await rig.runs.waiting() == {"queued": 1, "in_progress": 1}
    assert await rig.runs.begin_step(again[0].claim, "step") is None
    assert await rig.runs.begin_step(again[0].claim, "step") is None


@pytest.mark.requirement("durable-runs:queue:fair")
async def test_a_thousand_runs_of_one_tenant_do_not_starve_another(rig: RunsRig) -> None:
    many = [await rig.runs.enqueuing(new(f"a{index:04}", "many")) for index in range(1_000)]
    assert await rig.put(None, many) is None
    await rig.runs.enqueue(new("one", "few"))
    assert sorted(ids(await rig.runs.claim("me", 2))) == ["a0000", "one"]
    await rig.runs.enqueue(new("two", "few"))
    await rig.runs.enqueue(new("three", "few"))
    # "many" has one running and "few" one: they take turns, whoever came first
    assert sorted(ids(await rig.runs.claim("me", 3))) == ["a0001", "a0002", "two"]
    assert ids(await rig.runs.claim("me", 1)) == ["three"]
    assert len(await rig.runs.claim("me", 100)) == 100


@pytest.mark.requirement("durable-runs:queue:fair")
async def test_a_project_with_twice_the_weight_has_twice_as_many_running(rig: RunsRig) -> None:
    runs = rig.process(weights={"heavy": 2.0})
    for index in range(10):
        for project in ("heavy", "light"):
            await runs.enqueue(new(f"{project}{index}", project))
    claimed = await runs.claim("me", 9)
    heavy = [run for run in claimed if run.claim.project == "heavy"]
    assert len(heavy) == 6 and len(claimed) == 9


@pytest.mark.requirement("durable-runs:queue:version")
async def test_a_process_leaves_alone_what_it_does_not_understand(rig: RunsRig) -> None:
    newer = rig.process(version=2)
    await newer.enqueue(new("new-format"))
    await rig.runs.enqueue(new("old-format"))
    assert ids(await rig.runs.claim("old", 5)) == ["old-format"]
    assert ids(await newer.claim("new", 5)) == ["new-format"]
    rig.clock.now += LEASE_MS
    assert ids(await rig.runs.claim("old", 5)) == ["old-format"]
    both = await newer.claim("new", 5)
    assert ids(both) == ["new-format"] and both[0].version == 2


@pytest.mark.requirement("durable-runs:tenant")
async def test_a_foreign_run_is_like_none(rig: RunsRig) -> None:
    claim = await begun(rig, "r1", "theirs")
    assert await appended(rig, claim, 0, 3) is None
    assert await rig.runs.load("ours", "r1") is None
    assert await rig.runs.load_request("ours", "r1") is None
    assert await rig.log.read("ours", "r1") == []
    assert await rig.runs.cancel("ours", "r1", "me") is None
    assert await rig.runs.delete("ours", "r1") is False
    assert await rig.runs.enqueue(new("r1", "ours")) is None  # the same id is free for others
    assert (await rig.state("r1", "theirs")).events == 3
    assert (await rig.state("r1", "ours")).events == 0


# --- leases and epochs ----------------------------------------------------------------------------


@pytest.mark.requirement("durable-runs:lease:takeover")
async def test_a_run_whose_owner_is_silent_is_taken_over_and_its_owner_shut_out(
    rig: RunsRig,
) -> None:
    old = await begun(rig, "r1", owner="old")
    assert await appended(rig, old, 0, 2) is None
    rig.clock.now += LEASE_MS - 1
    assert await rig.runs.claim("new", 5) == []
    rig.clock.now += 1
    (run,) = await rig.runs.claim("new", 5)
    assert (run.claim.epoch, run.attempt, run.events) == (2, 2, 2)
    assert run.started_at == START_MS  # it began once
    assert await rig.log.begin(run.claim) == 2
    # the zombie
    assert isinstance(await appended(rig, old, 2), Fenced)
    with pytest.raises(Fenced):
        await rig.log.begin(old)
    with pytest.raises(Fenced):
        await rig.runs.begin_step(old, "step")
    with pytest.raises(Fenced):
        await rig.runs.end_step(old, "step", b"{}")
    await rig.runs.show([(old, b"zombie")])
    await rig.runs.release([old])
    assert (await rig.runs.beat([old, run.claim])).lost == {old}
    row = turn("r1")
    assert isinstance(await rig.put(row, [rig.runs.finishing(old, "completed", 2)]), Fenced)
    assert await rig.store.load("ours", "r1") is None
    # the owner
    assert (await rig.state("r1")).head == new("r1").head
    assert await appended(rig, run.claim, 2) is None
    assert await rig.put(row, [rig.runs.finishing(run.claim, "completed", 3)]) is None


@pytest.mark.requirement("durable-runs:lease:beat")
async def test_a_heartbeat_keeps_all_runs_of_a_process(rig: RunsRig) -> None:
    claims = [await begun(rig, f"r{index}") for index in range(20)]
    for _ in range(3):
        rig.clock.now += LEASE_MS - 1
        beat = await rig.runs.beat(claims)
        assert beat.lost == beat.cancel_asked == frozenset()
    assert await rig.runs.claim("you", 50) == []
    gone = Claim(9_999, "ours", "unknown", 1)
    assert (await rig.runs.beat([*claims, gone])).lost == {gone}
    assert (await rig.runs.beat([])).lost == frozenset()


@pytest.mark.requirement("durable-runs:lease:outage")
async def test_after_an_outage_owners_renew_before_others_may_claim(rig: RunsRig) -> None:
    claim = await begun(rig, "r1")
    handed = await begun(rig, "r2")
    await rig.runs.enqueue(new("r3"))
    await rig.runs.release([handed])
    rig.clock.now += 5 * LEASE_MS  # nobody could reach the database
    assert ids(await rig.runs.claim("you", 5, expired=False)) == ["r2", "r3"]
    assert (await rig.runs.beat([claim])).lost == frozenset()
    assert await rig.runs.claim("you", 5) == []
    assert await appended(rig, claim, 0) is None


@pytest.mark.requirement("durable-runs:lease:drain")
async def test_a_run_that_is_handed_over_goes_on_at_once(rig: RunsRig) -> None:
    claim = await begun(rig, "r1")
    assert await appended(rig, claim, 0) is None
    await rig.runs.release([claim])
    assert isinstance(await appended(rig, claim, 1), Fenced)
    assert (await rig.runs.beat([claim])).lost == {claim}
    (run,) = await rig.runs.claim("you", 5, expired=False)
    assert run.claim.epoch > claim.epoch and run.events == 1
    await rig.runs.release([])


@pytest.mark.requirement("durable-runs:lease:drain")
async def test_handing_over_is_no_attempt_but_giving_up_is(rig: RunsRig) -> None:
    claim = await begun(rig, "r1")
    for failed, attempt in [(False, 1), (False, 1), (True, 2), (False, 2), (True, 3)]:
        await rig.runs.release([claim], failed=failed)
        (run,) = await rig.runs.claim("you", 5)
        claim = run.claim
        assert run.attempt == attempt
    await rig.runs.enqueue(new("r2"))
    cancelled = await rig.runs.cancel("ours", "r2", "me")
    assert cancelled is not None and cancelled.claimed is not None
    await rig.runs.release([cancelled.claimed.claim])
    (run,) = await rig.runs.claim("you", 5)
    assert run.attempt == 1


@pytest.mark.requirement("durable-runs:lease:restart")
async def test_after_a_restart_of_the_only_process_all_it_had_goes_on_at_once(
    rig: RunsRig,
) -> None:
    before = [await begun(rig, f"r{index}", owner="before") for index in range(3)]
    await rig.runs.enqueue(new("queued"))
    assert await rig.runs.release_all() == 3
    assert await rig.runs.release_all() == 0
    runs = await rig.runs.claim("after", 5)
    assert sorted(ids(runs)) == ["queued", "r0", "r1", "r2"]
    assert isinstance(await appended(rig, before[0], 0), Fenced)


@pytest.mark.requirement("durable-runs:lease:takeover")
async def test_lost_runs_come_before_queued_ones(rig: RunsRig) -> None:
    for index in range(5):
        await rig.runs.enqueue(new(f"queued{index}"))
    await begun(rig, "lost", "theirs", owner="dead")
    rig.clock.now += LEASE_MS
    assert ids(await rig.runs.claim("me", 2)) == ["lost", "queued0"]


# --- cancelling -----------------------------------------------------------------------------------


@pytest.mark.requirement("durable-runs:cancel:queued")
async def test_a_queued_run_that_is_cancelled_never_begins(rig: RunsRig) -> None:
    await rig.runs.enqueue(new("r1"))
    asked = await rig.runs.cancel("ours", "r1", "me")
    assert asked is not None and asked.status == "queued" and asked.claimed is not None
    run = asked.claimed
    assert run.cancel_asked and run.status == "queued" and run.started_at is None
    assert await rig.runs.claim("you", 5) == []
    again = await rig.runs.cancel("ours", "r1", "me")
    assert again is not None and again.claimed is None and again.status == "queued"
    assert isinstance(await appended(rig, run.claim, 0), Fenced)
    with pytest.raises(Fenced):
        await rig.runs.begin_step(run.claim, "step")
    row = turn("r1", status="completed")
    assert isinstance(await rig.put(row, [rig.runs.finishing(run.claim, "completed", 0)]), Fenced)
    row = turn("r1", status="cancelled")
    assert await rig.put(row, [rig.runs.finishing(run.claim, "cancelled", 0)]) is None
    assert (await rig.state("r1")).status == "cancelled"
    over = await rig.runs.cancel("ours", "r1", "me")
    assert over is not None and over.status == "cancelled" and over.claimed is None
    assert await rig.runs.cancel("ours", "unknown", "me") is None


@pytest.mark.requirement("durable-runs:cancel:queued")
async def test_a_cancelled_run_whose_canceller_died_is_still_only_ended(rig: RunsRig) -> None:
    await rig.runs.enqueue(new("r1"))
    asked = await rig.runs.cancel("ours", "r1", "dies")
    assert asked is not None and asked.claimed is not None
    rig.clock.now += LEASE_MS
    (run,) = await rig.runs.claim("me", 5)
    assert run.cancel_asked and run.status == "queued" and run.started_at is None
    late = rig.runs.finishing(asked.claimed.claim, "cancelled", 0)
    assert isinstance(await rig.put(turn("r1"), [late]), Fenced)
    assert await rig.put(turn("r1"), [rig.runs.finishing(run.claim, "cancelled", 0)]) is None


@pytest.mark.requirement("durable-runs:cancel:running")
async def test_cancelling_a_running_run_is_not_forgotten_by_anybody(rig: RunsRig) -> None:
    claim = await begun(rig, "r1", owner="dies")
    other = await begun(rig, "r2", owner="dies")
    asked = await rig.runs.cancel("ours", "r1", "me")
    assert asked is not None and asked.status == "in_progress" and asked.claimed is None
    assert (await rig.runs.beat([claim, other])).cancel_asked == {claim}
    assert (await rig.state("r1")).cancel_asked and not (await rig.state("r2")).cancel_asked
    rig.clock.now += LEASE_MS
    run, second = sorted(await rig.runs.claim("heir", 5), key=lambda one: one.claim.id)
    assert run.cancel_asked and not second.cancel_asked


# --- while it is made -----------------------------------------------------------------------------


@pytest.mark.requirement("durable-runs:shown")
async def test_what_is_shown_of_a_run_follows_its_owner(rig: RunsRig) -> None:
    one, two = await begun(rig, "r1"), await begun(rig, "r2")
    await rig.runs.show([(one, b'{"new":1}'), (two, b'{"new":2}')])
    assert (await rig.state("r1")).head == b'{"new":1}'
    assert (await rig.state("r2")).head == b'{"new":2}'
    await rig.runs.show([])


@pytest.mark.requirement("durable-runs:steps:journal")
async def test_a_step_that_is_done_is_known_to_every_later_owner(rig: RunsRig) -> None:
    old = await begun(rig, "r1", owner="dies")
    assert await rig.runs.begin_step(old, "1:search") is None
    await rig.runs.end_step(old, "1:search", b'{"found":3}')
    assert await rig.runs.begin_step(old, "2:shell") is None
    rig.clock.now += LEASE_MS
    (run,) = await rig.runs.claim("heir", 1)
    done = Step("1:search", 1, True, b'{"found":3}')
    assert await rig.runs.steps(run.claim) == [done, Step("2:shell", 1, False, None)]
    assert await rig.runs.begin_step(run.claim, "1:search") == done
    assert await rig.runs.begin_step(run.claim, "2:shell") == Step("2:shell", 1, False, None)
    with pytest.raises(Fenced):  # never begun
        await rig.runs.end_step(run.claim, "3:other", b"{}")
    await rig.runs.end_step(run.claim, "2:shell", b'{"code":0}')
    assert await rig.runs.begin_step(run.claim, "2:shell") == Step(
        "2:shell", 2, True, b'{"code":0}'
    )


# --- the end --------------------------------------------------------------------------------------


@pytest.mark.requirement("durable-runs:end:once")
async def test_a_run_ends_once_and_with_its_row(rig: RunsRig) -> None:
    claim = await begun(rig, "r1")
    await rig.runs.begin_step(claim, "step")
    assert await appended(rig, claim, 0, 4) is None
    assert isinstance(
        await rig.put(turn("r1"), [rig.runs.finishing(claim, "completed", 3)]), Fenced
    )
    assert await rig.store.load("ours", "r1") is None
    ends = [rig.runs.finishing(claim, status, 4) for status in ("completed", "failed", "cancelled")]
    told = await asyncio.gather(*(rig.put(None, [end]) for end in ends))
    assert [type(one) for one in told].count(Fenced) == 2 and None in told
    state = await rig.state("r1")
    assert state.over and state.events == 4 and state.log_until == rig.clock.now + LOG_MS
    assert state.head is None and await rig.runs.load_request("ours", "r1") is None
    assert await rig.runs.steps(claim) == []
    assert isinstance(await appended(rig, claim, 4), Fenced)
    assert (await rig.runs.beat([claim])).lost == {claim}
    rig.clock.now += LEASE_MS
    assert await rig.runs.claim("you", 5) == []
    assert [chunk.count for chunk in await rig.log.read("ours", "r1")] == [4]


@pytest.mark.requirement("durable-runs:end:unstored")
async def test_a_response_without_a_row_is_shown_until_its_log_goes(rig: RunsRig) -> None:
    claim = await begun(rig, "r1")
    end = rig.runs.finishing(claim, "completed", 0, head=b'{"whole":"response"}')
    assert await rig.put(None, [end]) is None
    assert (await rig.state("r1")).head == b'{"whole":"response"}'
    rig.clock.now += LOG_MS
    assert await rig.runs.sweep() == [("ours", "r1")]
    assert await rig.runs.load("ours", "r1") is None


def test_only_an_end_ends_a_run() -> None:
    runs = StoredRuns(None)  # type: ignore[arg-type]
    with pytest.raises(LocalProtocolError, match="in_progress"):
        runs.finishing(Claim(1, "ours", "r1", 1), "in_progress", 0)


@pytest.mark.requirement("durable-runs:sweep")
async def test_a_log_goes_when_its_time_is_over_and_not_later_than_its_response(
    rig: RunsRig,
) -> None:
    running = await begun(rig, "running")
    for id, expires_at in (("long", None), ("short", rig.clock.now + 1_000)):
        claim = await begun(rig, id)
        assert await appended(rig, claim, 0, 2) is None
        end = rig.runs.finishing(claim, "completed", 2, expires_at=expires_at)
        assert await rig.put(turn(id, expires_at=expires_at), [end]) is None
    assert await rig.runs.sweep() == []
    rig.clock.now += 1_000
    assert await rig.runs.sweep() == [("ours", "short")]
    assert await rig.log.read("ours", "short") == []
    assert len(await rig.log.read("ours", "long")) == 1
    rig.clock.now += LOG_MS
    assert await rig.runs.sweep() == [("ours", "long")]
    assert await rig.runs.load("ours", "long") is None
    assert await rig.store.load("ours", "long") is not None
    assert (await rig.state("running")).status == "in_progress"
    assert (await rig.runs.beat([running])).lost == frozenset()


@pytest.mark.requirement("durable-runs:sweep")
async def test_a_long_log_is_swept_in_parts(rig: RunsRig) -> None:
    claim = await begun(rig, "r1")
    for number in range(600):
        assert await appended(rig, claim, number) is None
    assert await rig.put(None, [rig.runs.finishing(claim, "completed", 600)]) is None
    rig.clock.now += LOG_MS
    assert await rig.runs.sweep() == [("ours", "r1")]
    left = await rig.store.read(partial(rows, "SELECT count(*) FROM run_chunks"))
    assert left == [(0,)]


@pytest.mark.requirement("durable-runs:delete")
async def test_deleting_a_run_leaves_nothing_and_stops_its_owner(rig: RunsRig) -> None:
    claim = await begun(rig, "r1")
    await rig.runs.begin_step(claim, "step")
    assert await appended(rig, claim, 0, 3) is None
    assert await rig.runs.delete("ours", "r1") is True
    assert await rig.runs.delete("ours", "r1") is False
    for table in ("runs", "run_bodies", "run_chunks", "run_steps"):
        left = await rig.store.read(partial(rows, f"SELECT count(*) FROM {table}"))
        assert left == [(0,)], table
    assert (await rig.runs.beat([claim])).lost == {claim}
    # The next run may have the same number: still the old owner is nobody.
    other = await begun(rig, "r2")
    assert isinstance(await appended(rig, claim, 0), Fenced)
    assert isinstance(await rig.put(None, [rig.runs.finishing(claim, "completed", 0)]), Fenced)
    assert await appended(rig, other, 0) is None
    assert await rig.log.read("ours", "r1") == []


@pytest.mark.requirement("durable-runs:delete")
async def test_deleting_goes_along_with_other_work(rig: RunsRig) -> None:
    await begun(rig, "r1")
    assert await rig.put(turn("other"), [rig.runs.deleting("ours", "r1")]) is None
    assert await rig.runs.load("ours", "r1") is None


# --- time -----------------------------------------------------------------------------------------


@pytest.mark.requirement("durable-runs:lease:clock")
async def test_without_a_clock_the_database_says_what_time_it_is(rig: RunsRig) -> None:
    runs = rig.process(clock=None, lease_ms=600_000)
    run = await runs.enqueue(new("r1"), owner="me")
    assert run is not None and run.started_at is not None
    assert abs(run.started_at - (await database_time(rig))) < 60_000
    assert await runs.claim("you", 1) == []
    short = rig.process(clock=None, lease_ms=1)
    assert (await short.beat([run.claim])).lost == frozenset()
    await asyncio.sleep(0.02)
    taken = await runs.claim("you", 1)
    assert taken[0].claim.epoch == 2 and taken[0].started_at == run.started_at


async def database_time(rig: RunsRig) -> int:
    return int((await rig.store.read(partial(rows, "SELECT {now}")))[0][0])


def rows(statement: str) -> Work[list[tuple[Any, ...]]]:
    found = yield statement, ()
    return [tuple(row) for row in found]
