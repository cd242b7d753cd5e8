"""Readers of a log: woken, not woken, slow, many, and behind what was swept."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest

from antiphon.bus.local import LocalBus
from antiphon.ids import Ids, now_ms
from antiphon.runs.run import Run
from antiphon.runs.tail import UNTAKEN_GROUPS_MAX, Tails
from antiphon.store.log import Chunk
from antiphon.store.log_table import TableLog
from antiphon.store.runs import ClaimedRun, NewRun, StoredRuns
from antiphon.stream.resume import logged
from antiphon.types.codec import encode
from antiphon.types.events import Event
from tests.runs.rig import PROJECT, rig
from tests.runs.test_resume import batches_of, fed, resolved

pytestmark = pytest.mark.anyio

SECONDS_MAX = 5.0


class Told:
    """A response somebody else makes: its log is written here, by hand."""

    def __init__(self, rows: StoredRuns, log: TableLog, run: ClaimedRun, events: list[Event]):
        self.rows, self.log, self.run, self.events = rows, log, run, events
        self.bus = LocalBus()
        self.first = 0

    async def write(self, count: int) -> Sequence[Event]:
        events = self.events[self.first : self.first + count]
        chunk = Chunk(self.first, len(events), logged(events))
        assert await self.log.append([(self.run.claim, chunk)]) == {}
        self.first += len(events)
        return events


@pytest.fixture
async def told() -> AsyncIterator[tuple[Told, Tails]]:
    async with rig() as house:
        context = await resolved(house, "long")
        made = Run(context)
        context.response.status = "queued"
        head = encode(context.response)
        events = [
            e for group in [made.resume([]), *fed(made, await batches_of(context))] for e in group
        ]
        rows, log = StoredRuns(house.store, clock=now_ms), TableLog(house.store)
        new = NewRun(
            project=PROJECT,
            id=context.response.id,
            request=b"{}",
            head=head,
            created_at=now_ms(),
            streamed=True,
        )
        run = await rows.enqueue(new, owner=Ids().mint("own"))
        assert run is not None
        it = Told(rows, log, run, events)
        yield it, Tails(rows, log, house.store, it.bus)


async def numbers_of(groups: AsyncIterator[Sequence[Event]], count: int) -> list[int]:
    """The numbers of the next events, at least so many."""
    found: list[int] = []
    async with asyncio.timeout(SECONDS_MAX):
        while len(found) < count:
            found += [event.sequence_number for event in await anext(groups)]
    return found


@pytest.mark.requirement("background:tail:lost-wake-up")
async def test_a_reader_whom_nobody_wakes_looks_by_itself(told: tuple[Told, Tails]) -> None:
    it, tails = told
    groups = tails.follow(PROJECT, it.run.claim.id)
    assert await numbers_of(groups, 2) == [0, 1]  # they are there before the log is
    await it.write(5)
    assert await numbers_of(groups, 3) == [2, 3, 4]
    await groups.aclose()  # type: ignore[attr-defined]


@pytest.mark.requirement("background:tail:shared-look")
async def test_many_silent_readers_look_for_each_other_and_all_hear_of_news(
    told: tuple[Told, Tails], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("antiphon.runs.tail.LOOK_SECONDS", 0.2)
    it, tails = told
    looks = 0
    real = it.rows.load

    async def counted(project: str, id: str) -> object:
        nonlocal looks
        looks += 1
        return await real(project, id)

    monkeypatch.setattr(it.rows, "load", counted)
    readers = [tails.follow(PROJECT, it.run.claim.id) for _ in range(30)]
    for reader in readers:
        assert await numbers_of(reader, 2) == [0, 1]
    looks = 0
    waiting = [asyncio.create_task(numbers_of(reader, 3)) for reader in readers]
    await asyncio.sleep(1.0)
    assert 2 <= looks <= 60, "each by itself would have been 150"
    await it.write(5)  # and nobody is woken
    for found in waiting:
        assert await found == [2, 3, 4]
    for reader in readers:
        await reader.aclose()  # type: ignore[attr-defined]


@pytest.mark.requirement("background:tail:woken")
async def test_a_message_wakes_it_at_once_and_twice_told_is_told_once(
    told: tuple[Told, Tails], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("antiphon.runs.tail.LOOK_SECONDS", 60.0)
    it, tails = told
    groups = tails.follow(PROJECT, it.run.claim.id, starting_after=1)
    waiting = asyncio.create_task(numbers_of(groups, 1))
    await asyncio.sleep(0.05)
    events = await it.write(4)
    it.bus.publish(f"run.{it.run.claim.id}", b"4")
    tails.feed(PROJECT, it.run.claim.id, 0, events)
    async with asyncio.timeout(5):
        assert await waiting == [2, 3]
    events = await it.write(2)
    tails.feed(PROJECT, it.run.claim.id, 4, events)
    assert await numbers_of(groups, 2) == [4, 5]
    await groups.aclose()  # type: ignore[attr-defined]


@pytest.mark.requirement("background:tail:slow")
async def test_a_reader_that_takes_nothing_is_handed_no_more_and_misses_nothing(
    told: tuple[Told, Tails],
) -> None:
    it, tails = told
    groups = tails.follow(PROJECT, it.run.claim.id)
    assert await numbers_of(groups, 1) == [0, 1]
    while it.first < len(it.events):
        first = it.first
        tails.feed(PROJECT, it.run.claim.id, first, await it.write(1))
    (tail,) = tails._open[PROJECT, it.run.claim.id].readers
    assert len(tail._groups) <= UNTAKEN_GROUPS_MAX
    rest = len(it.events) - 2
    assert await numbers_of(groups, rest) == list(range(2, len(it.events)))
    await groups.aclose()  # type: ignore[attr-defined]
    assert not tails._open
