"""What is particular to notifications: who gets how many, and who is there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from antiphon.bus import letters
from antiphon.bus.letters import SAY
from antiphon.bus.notify import PostgresBus, back_off_seconds
from antiphon.errors import RemoteError
from antiphon.observe import Broke
from tests.bus.rigs import Ear, PostgresRig, reached
from tests.store import postgres

pytestmark = pytest.mark.anyio


@pytest.fixture
async def rig() -> AsyncIterator[PostgresRig]:
    postgres.server()
    rig = PostgresRig()
    yield rig
    await rig.close()


class Spy:
    """Listens at the mailbox of somebody else."""

    def __init__(self, connection: Any, bus: Any) -> None:
        self.texts: list[str] = []
        self.channel = f"antiphon_{bus._box:08x}"
        self._connection = connection

    async def listen(self) -> Spy:
        await self._connection.add_listener(self.channel, self._heard)
        return self

    def _heard(self, connection: object, pid: int, channel: str, text: str) -> None:
        self.texts.append(text)

    def said(self, topic: str) -> list[bytes]:
        entries = [
            entry for text in self.texts for entry in (letters.opened(text) or (0, 0, []))[2]
        ]
        return [payload for kind, about, payload in entries if (kind, about) == (SAY, topic)]


@pytest.mark.requirement("bus:notify:interest")
async def test_a_run_is_told_only_to_replicas_with_a_subscriber_and_a_burst_in_few_letters(
    rig: PostgresRig,
) -> None:
    one, caring, careless = await rig.bus(), await rig.bus(), await rig.bus()
    ear, other = Ear(caring, "run.a", "queue"), Ear(careless, "queue")
    await reached(one, caring)
    await reached(one, careless)
    connection = await asyncpg.connect(rig.url)
    to_caring = await Spy(connection, caring).listen()
    to_careless = await Spy(connection, careless).listen()
    for number in range(200):
        one.publish("run.a", b"%d" % number)
    await ear.until(200, "run.a")
    one.publish("queue", b"all")
    await ear.until(1, "queue")
    await other.until(1, "queue")
    await connection.fetchval("SELECT 1")  # what was notified before has arrived by now
    assert len(to_caring.said("run.a")) == 200
    assert len(to_caring.texts) < 15
    assert max(len(text.encode()) for text in to_caring.texts) <= letters.LETTER_BYTES_MAX < 8_000
    assert to_careless.said("run.a") == []
    assert to_careless.said("queue") == [b"all"]
    await connection.close()


@pytest.mark.requirement("bus:notify:nobody-else")
async def test_a_replica_alone_sends_nothing(rig: PostgresRig) -> None:
    bus = await rig.bus()
    assert isinstance(bus, PostgresBus)
    ear = Ear(bus, "queue", "run.a")
    sent = bus._number
    bus.publish("queue")
    bus.publish("run.a")
    await ear.until(2)
    await asyncio.sleep(0.05)
    assert bus._number == sent


@pytest.mark.requirement("bus:notify:peers")
async def test_a_replica_that_loses_its_connection_is_met_again_under_a_new_mailbox(
    rig: PostgresRig,
) -> None:
    one, other = await rig.bus(), await rig.bus()
    assert isinstance(one, PostgresBus)
    assert isinstance(other, PostgresBus)
    there = Ear(other, "run.a")
    await reached(one, other)
    box = other._box
    postgres.server().execute(
        "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' "
        f"AND objid = {box}"
    )
    async with asyncio.timeout(10):
        while not there.heard:
            one.publish("run.a", b"1")
            await asyncio.sleep(0.02)
    assert other._box != box
    assert other._box in one._peers
    await one._look()
    assert box not in one._peers
    assert any(isinstance(seen, Broke) and seen.where == "bus" for seen in rig.observed)


@pytest.mark.requirement("bus:notify:strangers")
async def test_what_strangers_notify_is_ignored(rig: PostgresRig) -> None:
    one, other = await rig.bus(), await rig.bus()
    assert isinstance(other, PostgresBus)
    there = Ear(other, "queue")
    await reached(one, other)
    connection = await asyncpg.connect(rig.url)
    for text in ("", "{}", "[1,2,[]]", '[1,2,[["say"]]]', '[1,2,[["odd","queue",""]]]', "\\"):
        await connection.execute(f"NOTIFY antiphon_{other._box:08x}, '{text}'")
    await connection.close()
    await reached(one, other, "run.later")
    one.publish("queue", b"1")
    await there.until(1)
    assert there.of("queue") == [b"1"]


@pytest.mark.requirement("bus:notify:too-long")
async def test_a_message_no_letter_can_hold_is_told_and_stays_here(rig: PostgresRig) -> None:
    one, other = await rig.bus(), await rig.bus()
    here, there = Ear(one, "queue"), Ear(other, "queue")
    await reached(one, other)
    one.publish("queue", b"x" * 8_000)
    one.publish("queue", b"short")
    await here.until(2)
    await there.until(1)
    assert there.of("queue") == [b"short"]
    assert [seen.where for seen in rig.observed if isinstance(seen, Broke)] == ["bus"]


@pytest.mark.requirement("bus:open:unreachable")
@pytest.mark.parametrize(
    "url",
    ["postgresql://me:s3cret@127.0.0.1:1/x", "postgresql://me:s3cret@127.0.0.1:one/x"],
    ids=["nobody", "nonsense"],
)
async def test_a_database_that_cannot_be_reached_is_told_without_its_password(url: str) -> None:
    with pytest.raises(RemoteError) as caught:
        await PostgresBus(url).open()
    assert "PostgreSQL" in caught.value.message
    assert "s3cret" not in caught.value.message


def test_the_wait_before_the_next_attempt_doubles_up_to_five_seconds() -> None:
    waits = [back_off_seconds(failures, lambda: 1.0) for failures in range(9)]
    assert waits == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0, 5.0]
    assert back_off_seconds(0, lambda: 0.0) == 0.05


def test_letters_hold_as_much_as_fits_and_lose_nothing() -> None:
    entries = [letters.written((SAY, f"run.{n}", b"x" * (n * 37 % 3_000))) for n in range(200)]
    sealed = letters.sealed(5, 10, entries)
    assert all(len(text.encode()) < 8_000 for text in sealed)
    opened = [letters.opened(text) for text in sealed]
    assert [letter[:2] for letter in opened if letter] == [
        (5, 10 + number) for number in range(len(sealed))
    ]
    assert [entry[1] for letter in opened if letter for entry in letter[2]] == [
        f"run.{number}" for number in range(200)
    ]
