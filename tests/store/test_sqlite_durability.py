"""What survives: kill -9, a power cut, a full or failing disk, a failing statement."""

from __future__ import annotations

import asyncio
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

import apsw
import pytest

from antiphon.errors import RemoteError
from antiphon.store import sqlite_file
from antiphon.store.base import StoredResponse
from antiphon.store.sqlite import SqliteStore
from antiphon.store.sqlite_file import flush
from tests.store.sqlite_harness import SqliteHarness
from tests.suites.store import opened, turn

pytestmark = pytest.mark.anyio

WRITER = """
import asyncio, sys
from pathlib import Path
from antiphon.store.base import StoredResponse
from antiphon.store.sqlite import SqliteStore

def turn(id, parent):
    return StoredResponse(
        id=id, project="ours", parent=parent, created_at=1, expires_at=None, status="completed",
        head=b"{}", input=b"[]", output=b"x" * 3_000,
    )

async def talk(store, name):
    parent = None
    for index in range(100_000):
        row = turn(f"{name}-{index}", parent)
        await store.save(row)
        sys.stdout.write(row.id + "\\n")
        sys.stdout.flush()
        parent = row.id

async def main():
    store = SqliteStore(Path(sys.argv[1]))
    await store.open()
    await asyncio.gather(*(talk(store, f"{sys.argv[2]}-{n}") for n in range(3)))

asyncio.run(main())
"""


@pytest.mark.requirement("store:save:durable")
def test_every_returned_save_survives_kill_9(tmp_path: Path) -> None:
    path = tmp_path / "antiphon.db"
    acknowledged: list[str] = []
    for round in range(10):
        with subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path), str(round)],
            stdout=subprocess.PIPE,
            cwd=Path(__file__).parents[2],
        ) as writer:
            assert writer.stdout is not None
            acknowledged += [writer.stdout.readline().decode().strip() for _ in range(1 + round)]
            writer.send_signal(signal.SIGKILL)
            acknowledged += writer.stdout.read().decode().split("\n")[:-1]
        assert writer.returncode == -signal.SIGKILL
        asyncio.run(check_talks(path, acknowledged))
    assert len(acknowledged) >= 55


async def check_talks(path: Path, acknowledged: list[str]) -> None:
    store = SqliteStore(path)
    await store.open()
    for id in acknowledged:
        assert await store.load("ours", id) is not None
        history = await store.history("ours", id)
        assert history is not None and len(history) == int(id.rpartition("-")[2]) + 1
    await store.close()


@pytest.mark.requirement("store:save:durable")
async def test_every_returned_save_survives_a_power_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the disk holds is what it held at the end of the last flush: copies taken there must
    hold, at every moment, all that was acknowledged. The log starts over several times."""
    monkeypatch.setattr(sqlite_file, "CHECKPOINT_PAGES", 40)
    harness = SqliteHarness(tmp_path / "antiphon.db")
    disk = tmp_path / "disk"
    disk.mkdir()

    def flush_and_copy(descriptor: int) -> None:
        flush(descriptor)
        for name in ("antiphon.db", "antiphon.db-wal"):
            shutil.copyfile(tmp_path / name, disk / name)

    harness.sync = flush_and_copy
    async with opened(harness) as store:
        acknowledged: list[StoredResponse] = []
        for batch in range(40):
            parent = acknowledged[-1].id if acknowledged else None
            rows = [
                turn(f"r{batch:02}-{index}", parent, output=b"x" * 20_000) for index in range(3)
            ]
            await asyncio.gather(*map(store.save, rows))
            acknowledged += rows
            if batch % 4 == 3:
                await check_copy(disk, tmp_path / "cut" / str(batch), acknowledged)


async def check_copy(disk: Path, here: Path, acknowledged: list[StoredResponse]) -> None:
    shutil.copytree(disk, here)
    copy = SqliteStore(here / "antiphon.db")
    await copy.open()
    for row in acknowledged[-12:]:
        assert await copy.load("ours", row.id) == row
    for row in acknowledged:
        assert await copy.history("ours", row.id) is not None
    await copy.close()
    shutil.rmtree(here)


@pytest.mark.requirement("store:save:durable")
async def test_a_save_waits_for_a_flush_that_began_after_its_commit(tmp_path: Path) -> None:
    harness = SqliteHarness(tmp_path / "antiphon.db")
    began = [threading.Event(), threading.Event()]
    gates = [threading.Event(), threading.Event()]
    flushes = iter(zip(began, gates, strict=True))

    def gated(descriptor: int) -> None:
        begun, gate = next(flushes)
        begun.set()
        assert gate.wait(5)

    harness.sync = gated
    async with opened(harness) as store:
        first = asyncio.ensure_future(store.save(turn("first")))
        assert await asyncio.to_thread(began[0].wait, 5)
        second = asyncio.ensure_future(store.save(turn("second")))
        await asyncio.sleep(0)
        assert not first.done()
        gates[0].set()
        await asyncio.wait_for(first, 5)
        assert await asyncio.to_thread(began[1].wait, 5)
        assert not second.done()
        gates[1].set()
        await asyncio.wait_for(second, 5)


@pytest.mark.requirement("store:save:failure")
async def test_any_statement_may_fail_and_no_row_is_half_written(tmp_path: Path) -> None:
    """The Nth statement fails, for N = 1, 2, … until the whole scenario passes without."""
    for fatal in range(1, 200):
        harness = SqliteHarness(":memory:")
        async with opened(harness) as store:
            await store.save(turn("root"))
            await store.save(turn("child", "root"))
            countdown = fatal

            def fail(statement: str) -> None:
                nonlocal countdown
                countdown -= 1
                if countdown == 0:
                    raise apsw.IOError("injected")

            harness.store.seen = fail
            rows = [turn("a", "child"), turn("b", "root"), turn("child"), turn("c", "b")]
            results = await asyncio.gather(*map(store.save, rows), return_exceptions=True)
            harness.store.seen = harness.statements.append
            await check_outcomes(harness, rows, results)
            if countdown > 0:
                assert fatal > 10
                return
    raise AssertionError("the scenario never passed")


async def check_outcomes(
    harness: SqliteHarness, rows: list[StoredResponse], results: list[BaseException | None]
) -> None:
    store = harness.store
    for row, result in zip(rows, results, strict=True):
        if result is None:
            assert await store.load("ours", row.id) == row
        else:
            assert isinstance(result, RemoteError) and result.code == "server_error"
            if row.id != "child":
                assert await store.load("ours", row.id) is None
                await store.save(row)
    history = await store.history("ours", "c")
    assert history is not None
    assert [one.response_id for one in history] == ["root", "b", "c"]
    assert harness.count("SELECT count(*) FROM responses") == 5
    assert harness.count("SELECT count(*) FROM chains") == 1


@pytest.mark.requirement("store:save:failure")
async def test_a_full_disk_fails_the_save_says_so_and_recovers(tmp_path: Path) -> None:
    harness = SqliteHarness(tmp_path / "antiphon.db")
    async with opened(harness) as store:
        await store.save(turn("before"))
        db = harness.store.connection
        roomy = db.pragma("max_page_count")
        db.pragma("max_page_count", db.pragma("page_count") + 1)
        large = turn("large", input=b"x" * 100_000)
        with pytest.raises(RemoteError, match="disk or its quota is full"):
            await store.save(large)
        assert await store.load("ours", "large") is None
        assert await store.load("ours", "before") is not None
        db.pragma("max_page_count", roomy)
        await store.save(large)
        assert await store.load("ours", "large") == large


@pytest.mark.requirement("store:save:failure")
@pytest.mark.requirement("store:life:readiness")
async def test_after_a_failed_flush_nothing_is_written_until_reopened(tmp_path: Path) -> None:
    harness = SqliteHarness(tmp_path / "antiphon.db")

    def broken(descriptor: int) -> None:
        raise OSError(5, "Input/output error")

    async with opened(harness) as store:
        await store.save(turn("before"))
        await store.ping()
        harness.sync = broken
        saves = [store.save(turn("doubtful")), store.save(turn("doubtful too"))]
        results = await asyncio.gather(*saves, return_exceptions=True)
        assert [type(result) for result in results] == [RemoteError, RemoteError]
        harness.sync = flush  # too late: what the disk kept of the last batch is unknown
        for refused in (store.save(turn("next")), store.ping(), store.delete("ours", "before")):
            with pytest.raises(RemoteError, match="disk failed"):
                await refused
        assert await store.load("ours", "before") is not None
    assert (tmp_path / "antiphon.db-wal").stat().st_size > 0  # kept for verification
    async with opened(harness) as store:
        assert await store.load("ours", "before") is not None
        await store.save(turn("next"))
        await store.ping()


@pytest.mark.requirement("store:save:failure")
async def test_what_was_queued_during_a_failing_flush_is_not_written(tmp_path: Path) -> None:
    harness = SqliteHarness(tmp_path / "antiphon.db")
    flushing, go_on = threading.Event(), threading.Event()

    def broken(descriptor: int) -> None:
        flushing.set()
        assert go_on.wait(5)
        raise OSError(5, "Input/output error")

    async with opened(harness) as store:
        harness.sync = broken
        first = asyncio.ensure_future(store.save(turn("first")))
        assert await asyncio.to_thread(flushing.wait, 5)
        second = asyncio.ensure_future(store.save(turn("second")))
        await asyncio.sleep(0)
        harness.sync = flush
        go_on.set()
        results = await asyncio.gather(first, second, return_exceptions=True)
        assert [type(result) for result in results] == [RemoteError, RemoteError]
        assert await store.load("ours", "second") is None


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
async def test_a_bug_in_the_disk_thread_fails_saves_instead_of_hanging(tmp_path: Path) -> None:
    harness = SqliteHarness(tmp_path / "antiphon.db")

    def buggy(descriptor: int) -> None:
        raise ZeroDivisionError

    async with opened(harness) as store:
        harness.sync = buggy
        for id in ("first", "second"):
            with pytest.raises(RemoteError, match="thread has ended"):
                await asyncio.wait_for(store.save(turn(id)), 5)


@pytest.mark.requirement("store:save:failure")
async def test_a_row_that_cannot_be_written_fails_alone(tmp_path: Path) -> None:
    harness = SqliteHarness(tmp_path / "antiphon.db")
    async with opened(harness) as store:
        poison = turn("poison", status="lone surrogate \ud800")
        rows = [turn("a"), poison, turn("b", "poison"), turn("c", "a")]
        results = await asyncio.gather(*map(store.save, rows), return_exceptions=True)
        assert [type(result) for result in results] == [type(None), RemoteError, *[type(None)] * 2]
        assert "surrogate" not in str(results[1])
        history = await store.history("ours", "c")
        assert history is not None and [one.response_id for one in history] == ["a", "c"]


async def test_a_loop_that_cannot_watch_pipes_is_told_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: object) -> None:
        raise NotImplementedError  # as Windows' loop does

    monkeypatch.setattr(asyncio.get_running_loop(), "add_reader", refuse)
    async with opened(SqliteHarness(tmp_path / "antiphon.db")) as store:
        await asyncio.wait_for(store.save(turn("a")), 5)
        await asyncio.wait_for(store.ping(), 5)
        assert await store.load("ours", "a") == turn("a")
