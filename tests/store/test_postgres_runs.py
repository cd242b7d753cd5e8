"""Background runs of several replicas on one PostgreSQL, at the same time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from antiphon.app import store_of
from antiphon.config import StoreSettings
from antiphon.errors import RemoteError
from antiphon.store.base import Store
from antiphon.store.log import Chunk, Claim
from antiphon.store.log_table import TableLog
from antiphon.store.runs import ClaimedRun, StoredRuns
from antiphon.store.work import Fenced
from tests.store.postgres import server
from tests.suites.runs import RunsRig, new
from tests.suites.store import turn

pytestmark = pytest.mark.anyio

REPLICAS = 3


@pytest.fixture
async def replicas(postgres_url: str) -> AsyncIterator[list[Store]]:
    stores = [store_of(StoreSettings(url=postgres_url)) for _ in range(REPLICAS)]
    for store in stores:
        await store.open()
    yield stores
    for store in stores:
        await store.close()


@pytest.mark.requirement("durable-runs:queue:once")
async def test_no_run_is_given_to_two_replicas(replicas: list[Store]) -> None:
    runs = [StoredRuns(store) for store in replicas]
    queued = [
        await runs[0].enqueuing(new(f"{project}{index}", project))
        for project in ("ours", "theirs")
        for index in range(120)
    ]
    assert await RunsRig(replicas[0]).put(None, queued) is None

    async def claim_all(number: int, claimer: int) -> list[ClaimedRun]:
        mine: list[ClaimedRun] = []
        empty = 0
        while empty < 3:
            got = await runs[number].claim(f"{number}:{claimer}", 5)
            empty = 0 if got else empty + 1
            mine += got
        return mine

    async with asyncio.timeout(30):
        everybody = await asyncio.gather(
            *(claim_all(number, claimer) for number in range(REPLICAS) for claimer in range(3))
        )
    ids = sorted(run.claim.id for mine in everybody for run in mine)
    assert ids == sorted(f"{p}{index}" for p in ("ours", "theirs") for index in range(120))
    assert {run.claim.epoch for mine in everybody for run in mine} == {1}
    assert sum(bool(mine) for mine in everybody) > 1


@pytest.mark.requirement("durable-runs:queue:once")
async def test_a_lost_run_has_one_heir(replicas: list[Store]) -> None:
    runs = [StoredRuns(store, lease_ms=1) for store in replicas]
    lost = [await runs[0].enqueue(new(f"r{index}"), owner="dead") for index in range(30)]
    assert all(lost)
    long = [StoredRuns(store) for store in replicas]
    await asyncio.sleep(0.01)
    taken = await asyncio.gather(*(one.claim(str(number), 20) for number, one in enumerate(long)))
    ids = [run.claim.id for mine in taken for run in mine]
    assert len(ids) == len(set(ids))
    rest = await long[0].claim("rest", 30)
    assert sorted([*ids, *(run.claim.id for run in rest)]) == sorted(f"r{n}" for n in range(30))


@pytest.mark.requirement("durable-runs:lease:takeover")
async def test_a_zombie_writing_during_a_takeover_leaves_no_gap_and_no_double(
    replicas: list[Store],
) -> None:
    runs = [StoredRuns(store, lease_ms=1) for store in replicas]
    first = await runs[0].enqueue(new("r1"), owner="0")
    assert first is not None
    stop = asyncio.Event()

    async def write(number: int, claim: Claim) -> None:
        """As the owner would, until it is refused."""
        log = TableLog(replicas[number])
        try:
            at = await log.begin(claim)
        except Fenced:
            return
        while not stop.is_set():
            refused = await log.append([(claim, Chunk(at, 2, b"%d," % claim.epoch))])
            if refused:
                assert isinstance(refused["r1"], Fenced)
                return
            at += 2

    writers = [asyncio.create_task(write(0, first.claim))]
    async with asyncio.timeout(20):
        for turn_number in range(12):
            await asyncio.sleep(0.02)
            number = (turn_number + 1) % REPLICAS
            for run in await runs[number].claim(str(number), 1):
                writers.append(asyncio.create_task(write(number, run.claim)))
        stop.set()
        await asyncio.gather(*writers)
    chunks = await TableLog(replicas[0]).read("ours", "r1", -1, 100_000)
    assert [chunk.first for chunk in chunks] == list(range(0, 2 * len(chunks), 2))
    epochs = [int(chunk.events.strip(b",")) for chunk in chunks]
    assert epochs == sorted(epochs) and len(set(epochs)) > 1
    state = await runs[0].load("ours", "r1")
    assert state is not None and state.events == 2 * len(chunks)


@pytest.mark.requirement("durable-runs:end:once")
async def test_of_two_replicas_that_end_a_run_one_writes_its_row(replicas: list[Store]) -> None:
    runs = [StoredRuns(store, lease_ms=1) for store in replicas]
    for index in range(10):
        old = await runs[0].enqueue(new(f"r{index}"), owner="0")
        assert old is not None
        await asyncio.sleep(0.005)
        (heir,) = await runs[1].claim("1", 1)
        told = await asyncio.gather(
            *(
                RunsRig(replicas[number]).put(
                    turn(f"r{index}", status=status),
                    [runs[number].finishing(run.claim, status, 0)],
                )
                for number, run, status in ((0, old, "failed"), (1, heir, "completed"))
            )
        )
        assert told[1] is None  # the other one is told that, or that there is a row already
        assert isinstance(told[0], (Fenced, RemoteError))
        row = await replicas[2].load("ours", f"r{index}")
        assert row is not None and row.status == "completed"


@pytest.mark.requirement("durable-runs:log:group")
async def test_beats_and_appends_of_many_runs_do_not_stop_each_other(
    replicas: list[Store],
) -> None:
    """Both lock the rows of all runs of a process, in whatever order."""
    runs, log = StoredRuns(replicas[0]), TableLog(replicas[0])
    claims = []
    for index in range(40):
        run = await runs.enqueue(new(f"r{index}"), owner="me")
        assert run is not None
        claims.append(run.claim)

    async def append() -> None:
        for number in range(30):
            forwards = claims if number % 2 else claims[::-1]
            refused = await log.append([(claim, Chunk(number, 1, b"{}")) for claim in forwards])
            assert refused == {}

    async def beat() -> None:
        for number in range(30):
            assert not (await runs.beat(claims if number % 3 else claims[::-1])).lost

    async with asyncio.timeout(30):
        await asyncio.gather(append(), beat(), beat())
    for claim in claims:
        state = await runs.load("ours", claim.id)
        assert state is not None and state.events == 30


@pytest.mark.requirement("durable-runs:log:dense")
async def test_a_restart_of_the_database_costs_no_event_and_doubles_none(
    replicas: list[Store],
) -> None:
    runs, log = StoredRuns(replicas[0], lease_ms=60_000), TableLog(replicas[0])
    claims = []
    for index in range(10):
        run = await runs.enqueue(new(f"r{index}"), owner="me")
        assert run is not None
        claims.append(run.claim)
    restarting = asyncio.create_task(asyncio.to_thread(server().restart))
    at = after = 0
    async with asyncio.timeout(30):
        while after < 20:
            after += restarting.done()
            try:
                chunk = Chunk(at, 2, b"%d" % at)
                assert await log.append([(claim, chunk) for claim in claims]) == {}
                at += 2
            except RemoteError:  # perhaps it went: the same again
                await asyncio.sleep(0.02)
    await restarting
    assert (await runs.beat(claims)).lost == frozenset()
    for claim in claims:
        chunks = await TableLog(replicas[1]).read("ours", claim.id, -1, 100_000)
        assert [one.events for one in chunks] == [b"%d" % first for first in range(0, at, 2)]
