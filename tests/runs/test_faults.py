"""Fault loops: whatever breaks, and whenever, a response is finished, failed or absent."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

from antiphon.backends.base import Call, Sink, Turn
from antiphon.backends.scripted import Scripted
from antiphon.errors import ClientError, RemoteError
from antiphon.runs.context import at_once
from antiphon.runs.listener import Listener
from antiphon.store.sqlite import SqliteStore
from antiphon.stream.fold import fold
from antiphon.types.codec import decode_create, encode
from antiphon.types.events import Completed, Event, Failed, Incomplete, Lifecycle
from tests.runs.rig import PROJECT, Rig, rig

pytestmark = pytest.mark.anyio

TERMINAL = (Completed, Failed, Incomplete)


def wire(events: Sequence[Event]) -> list[bytes]:
    """The events as they are sent."""
    return [encode(event) for event in events]


def settled(events: Sequence[Event]) -> str:
    """The status the stream ended with; asserts that it is one whole stream."""
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert isinstance(events[-1], TERMINAL)
    assert sum(isinstance(event, TERMINAL) for event in events) == 1
    assert fold(events) == events[-1].response
    return events[-1].response.status


@pytest.mark.requirement("runs:faults:upstream-cut")
@pytest.mark.parametrize("after", range(1, 8))
async def test_an_upstream_cut_after_any_batch_fails_the_response(after: int) -> None:
    async with rig() as r:
        events = await r.stream(f"error-after-{after}")
        assert settled(events) == "failed"
        stored = await r.retrieve(events[0].response.id)  # type: ignore[attr-defined]
        assert stored["status"] == "failed" and stored["error"]["code"] == "server_error"
        assert wire(await r.replay(stored["id"])) == wire(events)


@pytest.mark.requirement("runs:faults:contract")
async def test_a_backend_that_just_ends_fails_the_response() -> None:
    async with rig() as r:
        assert settled(await r.stream("no-finish")) == "failed"


class Refusing(Scripted):
    """A backend that fails before it has begun."""

    def begin(self, turn: Turn, sink: Sink) -> Call | None:
        raise KeyError("a bug")


@pytest.mark.requirement("runs:faults:contract")
async def test_a_backend_that_cannot_begin_leaves_nothing_behind() -> None:
    async with rig() as r:
        r.runs.backend = Refusing()
        with pytest.raises(KeyError):
            await r.start("hello")
        assert not r.runs.live and r.seen == []


@pytest.mark.requirement("runs:faults:contract")
@pytest.mark.parametrize("error", [RemoteError("late"), KeyError("late")])
async def test_a_call_that_breaks_after_the_end_is_not_heard(error: Exception) -> None:
    async with rig() as r:
        body = msgspec.json.encode({"model": "scripted/hello", "input": "hi", "stream": True})
        context = await r.runs.resolve(decode_create(body), PROJECT, "openai")
        listener = Listener()
        live = r.runs.start(context, listener)
        listener.hear(live)
        events = [event async for group in listener.groups() for event in group]
        told = list(r.seen)
        live.broke(error)
        assert settled(events) == "completed" and r.seen == told
        assert (await r.retrieve(live.response.id))["status"] == "completed"


@pytest.mark.requirement("runs:faults:reader-leaves")
@pytest.mark.parametrize("after", range(1, 9))
async def test_a_reader_leaving_after_any_group_cancels_the_run(after: int) -> None:
    async with rig() as r:
        live = await r.start("endless", stream=True)
        seen: list[Event] = []
        enough = asyncio.Event()

        async def read() -> None:
            async for group in live.groups():
                seen.extend(group)
                if len(seen) >= after + 2:
                    enough.set()

        task = asyncio.ensure_future(read())
        await asyncio.wait_for(enough.wait(), 5)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await r.runs.close()
        stored = await r.retrieve(live.response.id)
        assert stored["status"] == "cancelled" and stored["completed_at"] is None
        assert all(item["status"] != "in_progress" for item in stored["output"])
        replayed = list(await r.replay(stored["id"]))
        assert wire(replayed)[: len(seen)] == wire(seen)[: len(replayed)]
        assert not any(isinstance(event, TERMINAL) for event in replayed)


class Witness:
    """A reader that looks for the row of its response whenever it is told something."""

    def __init__(self, r: Rig, response_id: str) -> None:
        self.seen: list[tuple[bool, bool]] = []
        self.over = asyncio.Event()
        self._look = lambda: at_once(r.store.load(PROJECT, response_id)) is not None

    def refuse(self, error: Exception) -> None:
        raise error

    def write(self, events: Sequence[Event]) -> None:
        ends = any(isinstance(event, TERMINAL) for event in events)
        self.seen.append((ends, self._look()))

    def end(self, events: Sequence[Event]) -> None:
        self.write(events)
        self.over.set()


@pytest.mark.requirement("runs:order:stored-before-terminal")
async def test_the_row_is_there_before_the_terminal_event_leaves() -> None:
    async with rig() as r:
        body = encode({"model": "scripted/long-5", "input": "hello", "stream": True})
        context = await r.runs.resolve(decode_create(body), PROJECT, "openai")
        witness = Witness(r, context.response.id)
        r.runs.start(context, witness)
        await asyncio.wait_for(witness.over.wait(), 5)
        assert len(witness.seen) > 4
        for ended, stored in witness.seen:
            assert stored is ended


@pytest.mark.requirement("runs:faults:store")
@pytest.mark.parametrize("stream", [False, True])
async def test_a_store_that_cannot_keep_it_fails_the_response(stream: bool) -> None:
    async with rig() as r:
        await r.store.close()
        try:
            if stream:
                events = await r.stream("echo")
                assert settled(events) == "failed"
                assert not any(isinstance(event, Completed) for event in events)
            else:
                with pytest.raises(RemoteError) as failure:
                    await r.create("echo")
                assert failure.value.status == 500
            assert (await r.create("echo", store=False)).status == "completed"
        finally:
            await r.store.open()


@pytest.mark.requirement("runs:faults:store-nth")
@pytest.mark.parametrize("nth", range(1, 7))
async def test_a_disk_that_fails_at_the_nth_flush_never_leaves_half_a_response(
    tmp_path: Path, nth: int
) -> None:
    flushes = 0

    def failing(descriptor: int) -> None:
        nonlocal flushes
        flushes += 1
        if flushes == nth:
            raise OSError(28, "No space left on device")
        os.fsync(descriptor)

    async with rig() as r:
        await r.store.close()
        r.store = r.runs.store = SqliteStore(tmp_path / "a.db", sync=failing)
        await r.store.open()
        ends = []
        for _ in range(4):
            events = await r.stream("echo")
            ends.append((events[0].response.id, settled(events)))  # type: ignore[attr-defined]
        await r.store.close()
        await r.store.open()
        assert {status for _, status in ends} <= {"completed", "failed"}
        for response_id, status in ends:
            row = await r.store.load("proj_a", response_id)
            assert row is not None or status == "failed"
            if row is not None:
                assert fold(await r.replay(response_id)).status == row.status


@pytest.mark.requirement("runs:faults:slow-start")
async def test_a_stream_opens_before_a_slow_model_has_answered() -> None:
    async with rig(first_event_wait_seconds=0.01) as r:
        live = await r.start("silent", stream=True)
        groups = live.groups()
        first = await anext(groups)
        assert [type(event).__name__ for event in first] == ["Created", "InProgress"]
        await groups.aclose()  # type: ignore[attr-defined]
        await r.runs.close()
        assert (await r.retrieve(live.response.id))["status"] == "cancelled"


@pytest.mark.requirement("runs:retrieve:missing")
@pytest.mark.parametrize("project", ["proj_a", "proj_b"])
async def test_a_foreign_id_looks_exactly_like_a_missing_one(project: str) -> None:
    async with rig() as r:
        made = await r.create("echo")
        asked = made.id if project == "proj_b" else made.id[:-1] + "x"
        with pytest.raises(ClientError) as gone:
            await r.retrieve(asked, project)
        error = gone.value
        assert (error.status, error.code) == (404, "response_not_found")
        assert error.message == f"Response with id '{asked}' not found."


async def test_lifecycle_snapshots_do_not_change_afterwards() -> None:
    async with rig() as r:
        events = await r.stream("echo")
        first = events[0]
        assert isinstance(first, Lifecycle)
        assert first.response.status == "in_progress" and first.response.output == []
        assert first.response.usage is None


def test_rig_is_not_a_mock() -> None:
    assert Rig().store.__class__.__module__.startswith("antiphon.")
