"""The shared suite on SQLite, in a file and in memory, and what only SQLite can be asked."""

from __future__ import annotations

import asyncio
import os
import stat
import threading
from pathlib import Path

import apsw
import pytest

from antiphon.errors import RemoteError
from antiphon.observe import Observation, StoreCommitted
from antiphon.store import sqlite_file
from antiphon.store.commits import BATCH_ROWS_MAX
from antiphon.store.sqlite import SqliteStore
from tests.store.sqlite_harness import SqliteHarness
from tests.suites.store import *  # noqa: F403 - the tests
from tests.suites.store import (
    GRACE_AT_MOST_MS,
    opened,
    past,
    save_chain,
    told_to_the_loop,
    turn,
)
from tests.suites.store_machine import machine_case

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["file", "memory"])
def harness(request: pytest.FixtureRequest, tmp_path: Path) -> SqliteHarness:
    return SqliteHarness(":memory:" if request.param == "memory" else tmp_path / "antiphon.db")


@pytest.fixture
def on_disk(tmp_path: Path) -> SqliteHarness:
    return SqliteHarness(tmp_path / "antiphon.db")


TestRandomSequences = pytest.mark.requirement("store:tenant:isolation")(
    machine_case(lambda: SqliteHarness(":memory:"))
)


# --- batches ------------------------------------------------------------------------------------


async def test_what_is_saved_together_is_one_commit(on_disk: SqliteHarness) -> None:
    async with opened(on_disk) as store:
        rows = [turn(f"r{index}") for index in range(BATCH_ROWS_MAX)]
        await asyncio.gather(*map(store.save, rows))
        assert on_disk.statements.count("COMMIT") == 1
        (commit,) = on_disk.observed
        assert isinstance(commit, StoreCommitted)
        assert commit.rows == BATCH_ROWS_MAX and commit.seconds > 0


async def test_saves_during_a_flush_are_one_commit_after_it(on_disk: SqliteHarness) -> None:
    flushing, go_on = threading.Event(), threading.Event()

    def gated(descriptor: int) -> None:
        flushing.set()
        assert go_on.wait(5)

    on_disk.sync = gated
    async with opened(on_disk) as store:
        first = asyncio.ensure_future(store.save(turn("first")))
        await asyncio.to_thread(flushing.wait, 5)
        others = asyncio.gather(*(store.save(turn(f"r{index}")) for index in range(20)))
        await asyncio.sleep(0)
        go_on.set()
        await asyncio.gather(first, others)
        assert [one.rows for one in on_disk.observed if isinstance(one, StoreCommitted)] == [1, 20]


@pytest.mark.requirement("store:put:settled")
async def test_an_observer_that_raises_loses_no_caller(tmp_path: Path) -> None:
    def fail(observation: Observation) -> None:
        raise ZeroDivisionError

    store = SqliteStore(tmp_path / "antiphon.db", observe=fail)
    await store.open()
    async with told_to_the_loop() as raised:
        for index in range(3):
            await asyncio.wait_for(store.save(turn(f"r{index}")), 5)
    await store.close()
    assert [type(one) for one in raised] == [ZeroDivisionError] * 3


@pytest.mark.requirement("store:save:failure")
async def test_a_bug_inside_a_transaction_fails_its_batch_and_no_other(
    on_disk: SqliteHarness,
) -> None:
    def buggy(statement: str) -> None:
        on_disk.store.seen = on_disk.statements.append
        raise ZeroDivisionError

    async with told_to_the_loop() as raised, opened(on_disk) as store:
        on_disk.store.seen = buggy
        with pytest.raises(RemoteError, match="failed while it was writing"):
            await asyncio.wait_for(store.save(turn("unlucky")), 5)
        await asyncio.wait_for(store.save(turn("next")), 5)
        assert await store.load("ours", "unlucky") is None
    assert [type(one) for one in raised] == [ZeroDivisionError]


async def test_large_rows_do_not_share_one_long_transaction(on_disk: SqliteHarness) -> None:
    async with opened(on_disk) as store:
        rows = [turn(f"r{index}", output=b"x" * 700_000) for index in range(4)]
        await asyncio.gather(*map(store.save, rows))
        assert on_disk.statements.count("COMMIT") == 4
        for row in rows:
            assert await store.load("ours", row.id) == row


async def test_sweeping_large_rows_is_cut_into_short_transactions(on_disk: SqliteHarness) -> None:
    async with opened(on_disk) as store:
        expires_at = on_disk.clock.now + 1
        for index in range(4):
            await store.save(turn(f"r{index}", output=b"x" * 700_000, expires_at=expires_at))
        on_disk.clock.now = expires_at
        on_disk.statements.clear()
        assert await store.sweep(on_disk.clock.now) == 4
        assert on_disk.statements.count("COMMIT") == 4


async def test_the_log_is_folded_in_while_saving_and_gone_after_closing(
    on_disk: SqliteHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_file, "CHECKPOINT_PAGES", 40)
    async with opened(on_disk) as store:
        sizes = []
        for index in range(60):
            await store.save(turn(f"r{index}", output=b"x" * 90_000))
            sizes.append(os.stat(f"{on_disk.path}-wal").st_size)
        assert max(sizes) < 60 * 90_000 / 4
    assert sorted(os.listdir(Path(on_disk.path).parent)) == ["antiphon.db", "antiphon.db.lock"]
    async with opened(on_disk) as store:
        assert await store.load("ours", "r0") == turn("r0", output=b"x" * 90_000)


# --- space --------------------------------------------------------------------------------------


@pytest.mark.requirement("store:history:linear-storage")
async def test_turn_1000_stores_as_much_as_turn_10() -> None:
    harness = SqliteHarness(":memory:")
    async with opened(harness) as store:
        pages = "SELECT page_count FROM pragma_page_count()"
        await save_chain(store, 500, "a")
        middle = harness.count(pages)
        last = (await save_chain(store, 1, "b"))[0]
        for index in range(500):
            id = f"c{index:05}"
            await store.save(turn(id, last))
            last = id
        assert harness.count(pages) - middle <= middle * 1.1


def content(path: Path) -> bytes:
    return path.read_bytes()


@pytest.mark.requirement("store:delete:erased")
async def test_erased_items_are_not_in_the_file_any_more(on_disk: SqliteHarness) -> None:
    path = Path(on_disk.path)
    secret = b"the launch code is 12345 "
    async with opened(on_disk) as store:
        await store.save(turn("kept", input=b'["harmless"]'))
        large = secret * 2_000
        await store.save(turn("a", "kept", input=large, output=large, head=large, cuts=large))
        await store.save(turn("b", "a"))
    assert secret in content(path)
    async with opened(on_disk) as store:
        assert await store.delete("ours", "a")
        history = await store.history("ours", "b")
        assert history is not None and history[1].input == large
        assert await store.delete("ours", "b")
        await store.sweep(on_disk.clock.now)  # the last living descendant is gone
    assert secret not in content(path)
    async with opened(on_disk) as store:
        for _ in range(4):
            on_disk.clock.now += GRACE_AT_MOST_MS
            await store.sweep(on_disk.clock.now)
        assert on_disk.leftovers() == 1
    assert b"ask b" not in content(path)


# --- the file -----------------------------------------------------------------------------------


async def test_folders_and_files_are_their_owners_only(tmp_path: Path) -> None:
    path = tmp_path / "one" / "two" / "antiphon.db"
    async with opened(SqliteHarness(path)) as store:
        await store.save(turn("a"))
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
        assert stat.S_IMODE(path.parent.parent.stat().st_mode) == 0o700
        for file in (path, Path(f"{path}-wal")):
            assert stat.S_IMODE(file.stat().st_mode) == 0o600


@pytest.mark.requirement("store:life:one-process")
async def test_a_file_in_use_is_refused_naming_its_owner(on_disk: SqliteHarness) -> None:
    async with opened(on_disk) as store:
        await store.save(turn("a"))
        second = SqliteStore(Path(on_disk.path))
        with pytest.raises(RemoteError, match=f"in use by another .*pid {os.getpid()}"):
            await second.open()
        with pytest.raises(RemoteError, match="not open"):
            await second.save(turn("b"))
        await second.close()
        await store.save(turn("c"))
    async with opened(on_disk) as store:
        assert await store.load("ours", "c") is not None


@pytest.mark.requirement("store:life:newer-schema")
async def test_a_newer_database_is_refused_and_left_alone(on_disk: SqliteHarness) -> None:
    async with opened(on_disk) as store:
        await store.save(turn("a"))
    db = apsw.Connection(str(on_disk.path))
    db.execute("INSERT INTO migrations VALUES (9999, 'later', 'abc', 0)")
    db.close()
    with pytest.raises(
        RemoteError, match=r"schema version 9999, this antiphon knows .* up to \d+:"
    ):
        await on_disk.create().open()
    db = apsw.Connection(str(on_disk.path))
    db.execute("DELETE FROM migrations WHERE number = 9999")
    db.close()
    async with opened(on_disk) as store:
        assert await store.load("ours", "a") == turn("a")


async def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("Dear diary, " * 1_000)
    with pytest.raises(RemoteError, match=r"notes\.txt: the file is not an SQLite database"):
        await SqliteStore(path).open()
    assert path.read_text() == "Dear diary, " * 1_000


async def test_a_path_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RemoteError, match=r"cannot open .*antiphon\.db"):
        await SqliteStore(tmp_path / "file" / "antiphon.db").open()


async def test_a_database_held_by_a_backup_fails_as_retryable(on_disk: SqliteHarness) -> None:
    async with opened(on_disk) as store:
        on_disk.store.connection.set_busy_timeout(10)
        backup = apsw.Connection(str(on_disk.path))
        backup.execute("BEGIN IMMEDIATE")
        with pytest.raises(RemoteError, match="another program holds") as caught:
            await store.save(turn("a"))
        assert caught.value.retryable and caught.value.status == 500
        backup.execute("ROLLBACK")
        backup.close()
        await store.save(turn("a"))
        assert await store.history("ours", "a") == [past("a")]
