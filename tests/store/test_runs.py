"""The shared suites of background runs and their logs, on SQLite and on PostgreSQL."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from functools import partial

import pytest

from antiphon.app import store_of
from antiphon.config import StoreSettings
from antiphon.errors import RemoteError
from antiphon.sealing.aes import Sealer
from antiphon.store.base import Store
from antiphon.store.keys import ProjectContent
from antiphon.store.log import Chunk
from antiphon.store.log_table import TableLog
from antiphon.store.runs import StoredRuns
from tests.suites.runs import *  # noqa: F403 - the tests
from tests.suites.runs import LEASE_MS, RunsRig, new, rows

pytestmark = pytest.mark.anyio


@pytest.fixture
async def store(store_settings: StoreSettings) -> AsyncIterator[Store]:
    store = store_of(store_settings)
    await store.open()
    yield store
    await store.close()


@pytest.fixture
def rig(store: Store) -> RunsRig:
    return RunsRig(store)


class Sealed:
    """The runs of a process that encrypts what they say."""

    def __init__(self, rig: RunsRig) -> None:
        sealer = Sealer(lambda: (b"k" * 32,))
        self.keys = ProjectContent(rig.store, sealer, clock=rig.clock, random=os.urandom)
        self.runs = StoredRuns(rig.store, self.keys, lease_ms=LEASE_MS, clock=rig.clock)
        self.log = TableLog(rig.store, self.keys)


@pytest.mark.requirement("durable-runs:content")
async def test_what_a_run_says_is_readable_with_its_key_only(rig: RunsRig) -> None:
    sealed = Sealed(rig)
    said = b'{"umbrella":1}'
    await sealed.runs.enqueue(new("r1", request=said, head=said))
    (run,) = await sealed.runs.claim("me", 1)
    assert (run.request, run.head) == (said, said)
    await sealed.runs.begin_step(run.claim, "step")
    await sealed.runs.end_step(run.claim, "step", said)
    assert await sealed.log.append([(run.claim, Chunk(0, 1, said))]) == {}
    await sealed.runs.show([(run.claim, said)])
    contents = (
        "SELECT request, head FROM run_bodies",
        "SELECT events FROM run_chunks",
        "SELECT result FROM run_steps",
    )
    for statement in contents:
        for row in await rig.store.read(partial(rows, statement)):
            assert all(value and b"umbrella" not in value for value in row)
    other = Sealed(rig)  # another process with the same master key
    state = await other.runs.load("ours", "r1")
    assert state is not None and state.head == said
    assert await other.runs.load_request("ours", "r1") == said
    assert await other.log.read("ours", "r1") == [Chunk(0, 1, said)]
    (step,) = await other.runs.steps(run.claim)
    assert step.result == said
    end = sealed.runs.finishing(run.claim, "completed", 1, head=said)
    assert await rig.put(None, [end]) is None
    state = await other.runs.load("ours", "r1")
    assert state is not None and state.head == said


@pytest.mark.requirement("durable-runs:content:erased")
async def test_a_run_nobody_can_read_any_more_is_erased_and_holds_up_nobody(rig: RunsRig) -> None:
    sealed = Sealed(rig)
    await sealed.runs.enqueue(new("lost"))
    await sealed.runs.enqueue(new("asked", "theirs"))
    await sealed.keys.drop("ours")
    runs = await sealed.runs.claim("me", 5)
    assert [run.claim.id for run in runs] == ["asked"]
    assert await sealed.runs.load("ours", "lost") is None
    assert await sealed.runs.waiting() == {"queued": 0, "in_progress": 1}


@pytest.mark.requirement("durable-runs:content")
async def test_a_project_whose_key_does_not_open_here_holds_up_nobody_else(rig: RunsRig) -> None:
    sealed = Sealed(rig)
    other = Sealer(lambda: (b"o" * 32,))
    keys = ProjectContent(rig.store, other, clock=rig.clock, random=os.urandom)
    elsewhere = StoredRuns(rig.store, keys, lease_ms=LEASE_MS, clock=rig.clock)
    theirs = await elsewhere.enqueue(new("r0", "theirs"), owner="elsewhere")
    await elsewhere.enqueue(new("r1", "theirs"))
    await sealed.runs.enqueue(new("r2"))
    (run,) = await sealed.runs.claim("me", 5)
    assert run.claim.id == "r2" and run.request == new("r2").request
    assert theirs is not None
    appends = [(theirs.claim, Chunk(0, 1, b"{}\n")), (run.claim, Chunk(0, 1, b"{}\n"))]
    refused = await sealed.log.append(appends)
    assert list(refused) == ["r0"] and isinstance(refused["r0"], RemoteError)
    assert len(await sealed.log.read("ours", "r2")) == 1
