"""Packed turns: contexts that are right with and without them, and packs that leave no trace."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from antiphon.errors import RemoteError
from antiphon.store import packs, sqlite_file
from antiphon.store.base import Store
from antiphon.store.packs import PACK_BYTES_MAX, block_of, completes_block, joined_arrays
from tests.store import postgres
from tests.store.postgres_harness import PostgresHarness
from tests.store.sqlite_harness import SqliteHarness
from tests.suites.store import (
    GRACE_AT_MOST_MS,
    Harness,
    joined,
    opened,
    save_chain,
    told,
    turn,
)
from tests.suites.store_machine import machine_case

pytestmark = pytest.mark.anyio

PACKS = "SELECT count(*) FROM packs"


@pytest.fixture
def small_packs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packs, "PACK_TURNS", 4)


@pytest.fixture
def harness(tmp_path: Path) -> Iterator[SqliteHarness]:
    yield SqliteHarness(tmp_path / "antiphon.db")


@pytest.fixture(params=["sqlite", "postgres"])
def both(request: pytest.FixtureRequest) -> Iterator[Harness]:
    if request.param == "sqlite":
        yield SqliteHarness(":memory:")
        return
    name = postgres.create_database()
    yield PostgresHarness(name)
    postgres.drop_database(name)


class TestRandomSequences(machine_case(lambda: SqliteHarness(":memory:"))):  # type: ignore[misc]
    """The store's oracle again, with packs of two turns, so that every tree has some."""

    pytestmark = pytest.mark.requirement("store:context:same")

    def setUp(self) -> None:
        self.addCleanup(setattr, packs, "PACK_TURNS", packs.PACK_TURNS)
        packs.PACK_TURNS = 2


async def same(store: Store, id: str) -> int:
    """Check that the context is the history; the number of its pieces."""
    context = await store.context("ours", id)
    assert joined(context) == told(await store.history("ours", id))
    assert context is not None
    return len(context)


def content(path: Path) -> bytes:
    return path.read_bytes()


def test_arrays_are_joined_whatever_their_spacing() -> None:
    arrays = [b"[]", b"[1, 2]", None, b" [ ] ", b'\n["a]["]', b"[ {} ]"]
    assert joined_arrays(arrays) == b'[1, 2,"a][",{}]'
    assert joined_arrays([]) == joined_arrays([b"[]", None]) == b"[]"


def test_a_block_ends_with_its_last_turn() -> None:
    ends = [position for position in range(97) if completes_block(position)]
    assert ends == [31, 63, 95]
    assert [block_of(position) for position in (0, 31, 32, 95, 96)] == [0, 0, 1, 2, 3]


@pytest.mark.requirement("store:context:same")
async def test_a_context_reads_one_piece_for_every_whole_block(both: Harness) -> None:
    async with opened(both) as store:
        ids = await save_chain(store, 100)
        assert both.count(PACKS) == 3
        for turns, pieces in ((1, 2), (31, 62), (32, 1), (33, 3), (64, 2), (100, 3 + 2 * 4)):
            assert await same(store, ids[turns - 1]) == pieces
        await store.save(turn("fork", ids[40]))
        await store.save(turn("below", "fork"))
        assert await same(store, "below") == 1 + 2 * 9 + 2 * 2


@pytest.mark.requirement("store:context:same")
@pytest.mark.usefixtures("small_packs")
async def test_turns_saved_together_are_packed_too(both: Harness) -> None:
    async with opened(both) as store:
        ids = [f"r{index}" for index in range(20)]
        await asyncio.gather(*map(store.save, map(turn, ids, [None, *ids[:-1]])))
        assert both.count(PACKS) == 5
        assert await same(store, ids[-1]) == 5


@pytest.mark.requirement("store:context:erased")
@pytest.mark.usefixtures("small_packs")
async def test_a_pack_goes_with_the_first_turn_that_is_emptied(harness: SqliteHarness) -> None:
    secret = b"the launch code is 12345 "
    path = Path(harness.path)
    async with opened(harness) as store:
        ids = await save_chain(store, 3)
        await store.save(turn("secret", ids[-1], input=b'["%b"]' % (secret * 1_000)))
        await store.save(turn("child", "secret"))
        assert harness.count(PACKS) == 1
    assert content(path).count(secret) > 1_900  # twice, but where it is cut by a page's end
    async with opened(harness) as store:
        assert await store.delete("ours", "secret")  # its child still needs what it says
        assert harness.count(PACKS) == 1
        assert await same(store, "child") == 3
        assert await store.delete("ours", "child")
        await store.sweep(harness.clock.now)  # no one does any more
        assert harness.count(PACKS) == 0
        assert await same(store, ids[-1]) == 6
    assert secret not in content(path)


@pytest.mark.requirement("store:context:erased")
@pytest.mark.usefixtures("small_packs")
async def test_an_emptied_turn_that_is_joined_later_stays_empty(both: Harness) -> None:
    async with opened(both) as store:
        ids = await save_chain(store, 2)
        assert await store.delete("ours", ids[1])
        await store.save(turn("late", ids[1]))
        await store.save(turn("later", "late"))
        assert both.count(PACKS) == 1
        assert await same(store, "later") == 1
        await store.delete("ours", "later")
        for _ in range(4):
            both.clock.now += GRACE_AT_MOST_MS
            await store.sweep(both.clock.now)
        assert both.count(PACKS) == 0
        await store.save(turn("again", "late"))
        assert both.count(PACKS) == 1
        assert await same(store, "again") == 1


@pytest.mark.requirement("store:context:same")
async def test_a_database_from_before_there_were_packs_is_read_and_goes_on(
    harness: SqliteHarness,
) -> None:
    async with opened(harness) as store:
        ids = await save_chain(store, 40)
    old = apsw.Connection(str(harness.path))
    old.execute("DROP TABLE packs; DELETE FROM migrations WHERE number = 2")
    old.close()
    async with opened(harness) as store:
        assert await same(store, ids[-1]) == 80
        for index in range(40, 65):
            ids.append(f"r{index}")
            await store.save(turn(ids[-1], ids[-2]))
        assert harness.count(PACKS) == 1
        assert await same(store, ids[-1]) == 2 * 32 + 1 + 2


@pytest.mark.usefixtures("small_packs")
async def test_large_turns_are_not_copied_into_a_pack(both: Harness) -> None:
    async with opened(both) as store:
        ids = await save_chain(store, 3)
        await store.save(turn("large", ids[-1], output=b'["%b"]' % (b"x" * PACK_BYTES_MAX)))
        assert both.count(PACKS) == 0
        assert await same(store, "large") == 8


@pytest.mark.requirement("store:save:failure")
@pytest.mark.usefixtures("small_packs")
async def test_any_statement_of_a_packing_turn_may_fail() -> None:
    for fatal in range(1, 30):
        harness = SqliteHarness(":memory:")
        async with opened(harness) as store:
            ids = await save_chain(store, 3)
            countdown = fatal

            def fail(statement: str) -> None:
                nonlocal countdown
                countdown -= 1
                if countdown == 0:
                    raise apsw.IOError("injected")

            harness.store.seen = fail
            try:
                await store.save(turn("packing", ids[-1]))
            except RemoteError:
                assert countdown <= 0
            harness.store.seen = harness.statements.append
            if await store.load("ours", "packing") is None:
                assert harness.count(PACKS) == 0
                await store.save(turn("packing", ids[-1]))
            assert harness.count(PACKS) == 1
            assert await same(store, "packing") == 1
            if countdown > 0:
                assert fatal > 5
                return
    raise AssertionError("the turn was never saved without a failure")


@pytest.mark.requirement("store:history:linear-storage")
async def test_turn_1000_writes_as_many_bytes_as_turn_10(
    harness: SqliteHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bytes of the log, averaged over 32 turns: one of them writes the pack."""
    monkeypatch.setattr(sqlite_file, "CHECKPOINT_PAGES", 1 << 30)
    harness.sync = lambda descriptor: None
    async with opened(harness) as store:
        sizes, last = [0], None
        items = b'["%b"]' % (b"x" * 400)
        for index in range(1_024):
            id = f"r{index:05}"
            await store.save(turn(id, last, input=items, output=items, head=b"{}" * 450))
            last = id
            sizes.append(os.stat(f"{harness.path}-wal").st_size)
        early, late = sizes[64] - sizes[32], sizes[1_024] - sizes[992]
        assert late <= early * 1.05
