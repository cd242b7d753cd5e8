"""Background responses without a server: what is given up, what is not done twice."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import msgspec
import pytest

from antiphon.bus.local import LocalBus
from antiphon.config_state import BackgroundSettings
from antiphon.ids import now_ms
from antiphon.observe import Broke, Observation
from antiphon.runs.background import Background
from antiphon.runs.journal import Journal, Record
from antiphon.runs.maker import ATTEMPTS_MAX
from antiphon.runs.steps import Interrupted, Steps
from antiphon.runs.tail import Tails
from antiphon.store.log import Chunk
from antiphon.store.log_table import TableLog
from antiphon.store.runs import StoredRuns
from antiphon.store.work import Fenced
from antiphon.types.codec import decode_create
from antiphon.types.events import OutputTextDelta
from tests.runs.rig import PROJECT, Rig, rig

pytestmark = pytest.mark.anyio


class House:
    """A rig with a background that claims nothing by itself before ``work``."""

    def __init__(self, made: Rig) -> None:
        self.rig = made
        self.rows = StoredRuns(made.store, clock=now_ms)
        self.background = self._background(0)
        self._working: Background | None = None

    def _background(self, runs_max: int) -> Background:
        settings = BackgroundSettings(runs_max=runs_max)
        log = TableLog(self.rig.store)
        return Background(self.rig.runs, self.rows, log, LocalBus(), settings)

    async def queue(self, script: str) -> str:
        asked = decode_create(
            msgspec.json.encode({"model": f"scripted/{script}", "input": "Hi.", "background": True})
        )
        return (await self.background.create(asked, project=PROJECT)).response_id

    async def work(self) -> None:
        self._working = self._background(8)
        await self._working.open()

    async def status(self, response_id: str) -> str:
        async with asyncio.timeout(5):
            while True:
                state = await self.rows.load(PROJECT, response_id)
                assert state is not None
                if state.over:
                    return state.status
                await asyncio.sleep(0.01)

    async def close(self) -> None:
        if self._working is not None:
            await self._working.close()


@pytest.fixture
async def house() -> AsyncIterator[House]:
    async with rig() as made:
        house = House(made)
        yield house
        await house.close()


@pytest.mark.requirement("background:takeover:too-often")
async def test_a_run_that_was_claimed_too_often_fails(house: House) -> None:
    doomed = await house.queue("hello")
    for _ in range(ATTEMPTS_MAX):
        claimed = await house.rows.claim("somebody who dies", 1)
        await house.rows.release([run.claim for run in claimed], failed=True)
    fresh = await house.queue("hello")
    await house.work()
    assert await house.status(doomed) == "failed"
    assert await house.status(fresh) == "completed"
    response = await house.rig.retrieve(doomed)
    assert response["error"]["code"] == "server_error"


async def test_what_waits_for_a_parent_that_is_deleted_fails(house: House) -> None:
    parent = await house.rig.create("hello")
    asked = {
        "model": "scripted/hello",
        "input": "Hi.",
        "background": True,
        "previous_response_id": parent.id,
    }
    child = await house.background.create(
        decode_create(msgspec.json.encode(asked)), project=PROJECT
    )
    await house.rig.delete(parent.id)
    await house.work()
    assert await house.status(child.response_id) == "failed"
    error = (await house.rig.retrieve(child.response_id))["error"]
    assert error["code"] == "invalid_prompt" and parent.id in error["message"]


@pytest.mark.requirement("background:steps")
async def test_a_step_that_ended_is_not_done_again(house: House) -> None:
    await house.queue("hello")
    (run,) = await house.rows.claim("first", 1)
    calls: list[str] = []

    async def call() -> bytes:
        calls.append("called")
        return b"found"

    async def dies() -> bytes:
        raise KeyError("the process died here")

    first = Steps(house.rows, run.claim)
    assert await first.step("search:1", "again", call) == b"found"
    for key in ("search:2", "shell:1"):
        with pytest.raises(KeyError):
            await first.step(key, "once", dies)
    await house.rows.release([run.claim])
    (run,) = await house.rows.claim("second", 1)
    second = Steps(house.rows, run.claim)
    assert await second.step("search:1", "again", call) == b"found"
    assert calls == ["called"]
    assert await second.step("search:2", "again", call) == b"found"
    assert calls == ["called", "called"]
    with pytest.raises(Interrupted):
        await second.step("shell:1", "once", call)
    with pytest.raises(Fenced):
        await first.step("search:3", "again", call)


@pytest.mark.requirement("background:takeover:too-often")
async def test_a_log_nobody_can_go_on_with_ends_all_the_same(house: House) -> None:
    doomed = await house.queue("hello")
    (run,) = await house.rows.claim("a newer version", 1)
    log = TableLog(house.rig.store)
    told = b'{"type":"response.of_a_kind_to_come","sequence_number":0}\n'
    assert await log.append([(run.claim, Chunk(0, 1, told))]) == {}
    for _ in range(2 * ATTEMPTS_MAX - 1):
        await house.rows.release([run.claim], failed=True)
        (run,) = await house.rows.claim("somebody who cannot read it", 1)
    await house.rows.release([run.claim], failed=True)
    await house.work()
    assert await house.status(doomed) == "failed"
    response = await house.rig.retrieve(doomed)
    assert response["error"]["code"] == "server_error" and response["output"] == []


class Heard:
    """A response whose record is written by hand; what became of it."""

    def __init__(self) -> None:
        self.abandoned = False

    def pause(self) -> None: ...
    def resume(self) -> None: ...
    def abandon(self) -> None:
        self.abandoned = True


async def test_what_one_response_cannot_write_down_holds_up_no_other(house: House) -> None:
    for _ in range(3):
        await house.queue("hello")
    log, bus, broken = TableLog(house.rig.store), LocalBus(), list[Observation]()
    tails = Tails(house.rows, log, house.rig.store, bus)
    journal = Journal(log, bus, tails, observe=broken.append, over=lambda claim: None)
    runs = await house.rows.claim("me", 3)
    records = [Record(journal, run.claim, 0) for run in runs]
    lives = [Heard() for _ in records]
    went: list[str] = []
    for record, live, text in zip(records, lives, ["\ud800", "fails next", "good"], strict=True):
        record.live = live
        record.write([OutputTextDelta(item_id="i", output_index=0, content_index=0, delta=text)])
    records[1].when_logged(lambda: went[1])
    records[2].when_logged(lambda: went.append("good"))
    await journal.write()
    assert went == ["good"] and [live.abandoned for live in lives] == [True, True, False]
    assert len(broken) == 2 and all(isinstance(one, Broke) for one in broken)
    assert [len(await log.read(PROJECT, run.claim.id)) for run in runs] == [0, 1, 1]
