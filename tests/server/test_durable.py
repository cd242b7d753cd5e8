"""What an answer promises: its row is on the disk, not only written."""

from __future__ import annotations

import asyncio
import shutil
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from antiphon.config import RunSettings
from antiphon.runs.driver import Runs
from antiphon.store.sqlite import SqliteStore
from antiphon.store.sqlite_file import flush
from tests.server.asgi_client import events_of
from tests.server.conftest import Client, House

pytestmark = pytest.mark.anyio


class Disk:
    """A database whose flushes wait until they are let through. What a power cut would leave,
    as of the end of the last flush, is in ``kept``."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "antiphon.db"
        self.kept = folder / "kept"
        self.kept.mkdir()
        self._begun = threading.Semaphore(0)
        self._let_through = threading.Semaphore(0)

    def sync(self, descriptor: int) -> None:
        self._begun.release()
        assert self._let_through.acquire(timeout=5)
        flush(descriptor)
        for name in ("antiphon.db", "antiphon.db-wal"):
            shutil.copyfile(self.path.with_name(name), self.kept / name)

    async def begun(self) -> None:
        """A flush has begun, and everything that could happen meanwhile has happened."""
        assert await asyncio.to_thread(self._begun.acquire, timeout=5)
        for _ in range(50):
            await asyncio.sleep(0)

    def let_through(self) -> None:
        self._let_through.release()

    async def survivors(self, *response_ids: str) -> int:
        """How many of these are there after the power is back."""
        here = self.path.with_name("restarted")
        shutil.copytree(self.kept, here)
        store = SqliteStore(here / "antiphon.db")
        await store.open()
        try:
            return sum([await store.load("default", id) is not None for id in response_ids])
        finally:
            await store.close()
            shutil.rmtree(here)


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    return Disk(tmp_path)


@pytest.fixture
async def client(house: House, disk: Disk) -> AsyncIterator[Client]:
    """Of the house, with a database on this disk."""
    store = SqliteStore(disk.path, sync=disk.sync)
    await store.open()
    deps = house.deps
    runs = Runs(
        backend=deps.backend,
        store=store,
        ids=deps.ids,
        settings=RunSettings(),
        retention_ms=None,
        observe=deps.observe,
    )
    yield house.having(runs=runs, store=store)
    await runs.close()
    await store.close()


def hello(*, stream: bool) -> dict[str, object]:
    return {"model": "scripted/hello", "input": "Hi.", "stream": stream}


@pytest.mark.requirement("store:put:flushed")
async def test_an_answer_waits_for_the_disk(client: Client, disk: Disk) -> None:
    made: list[str] = []
    for _ in range(3):
        asking = client.request("POST", "/v1/responses", body=hello(stream=False))
        answer = asyncio.ensure_future(asking)
        await disk.begun()
        assert not answer.done()
        disk.let_through()
        made.append((await asyncio.wait_for(answer, 5)).json()["id"])
        assert await disk.survivors(*made) == len(made)


@pytest.mark.requirement("store:put:flushed")
async def test_the_terminal_event_of_a_stream_waits_for_the_disk(
    client: Client, disk: Disk
) -> None:
    seen: list[bytes] = []

    async def read() -> None:
        async with client.stream("POST", "/v1/responses", body=hello(stream=True)) as answer:
            async for chunk in answer:
                seen.append(chunk)

    reading = asyncio.ensure_future(read())
    await disk.begun()
    before = events_of(b"".join(seen))
    assert before and not any(name == "response.completed" for name, _ in before)
    assert not reading.done()
    disk.let_through()
    await asyncio.wait_for(reading, 5)
    name, last = events_of(b"".join(seen))[-1]
    assert name == "response.completed"
    assert await disk.survivors(last["response"]["id"]) == 1
