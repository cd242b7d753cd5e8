"""Background responses of two replicas on one PostgreSQL: whoever is asked, whoever makes them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, NamedTuple

import openai
import pytest
from openai import AsyncOpenAI

from antiphon.app import App, running
from antiphon.config import StoreSettings
from antiphon.errors import RemoteError
from antiphon.observe import Broke, Observers, RunChanged
from antiphon.runs.journal import RETRY_SECONDS
from antiphon.store.postgres import PostgresStore
from antiphon.types.events import Created
from tests.server.test_background import (
    SPOKEN,
    all_of,
    client_of,
    config,
    ended,
    numbers,
    started,
)
from tests.store import postgres

pytestmark = pytest.mark.anyio

LEASE_SECONDS = 0.5
LONG_LEASE_SECONDS = 60.0
PATIENCE_SECONDS = 10.0
"""Far less than what would happen otherwise takes; how long it takes is for ``make chaos``."""


class Replica(NamedTuple):
    app: App
    client: AsyncOpenAI
    life: AsyncExitStack


async def replica(url: str, data: Path, **background: Any) -> Replica:
    life = AsyncExitStack()
    settings = config(
        StoreSettings(data=str(data), url=url), **{"lease_seconds": LEASE_SECONDS, **background}
    )
    app = await life.enter_async_context(running(settings))
    return Replica(app, await life.enter_async_context(client_of(app)), life)


@pytest.fixture
async def makes(postgres_url: str, tmp_path: Path) -> AsyncIterator[Replica]:
    """The replica that was asked and makes it."""
    made = await replica(postgres_url, tmp_path)
    yield made
    await made.life.aclose()


@pytest.fixture
async def other(postgres_url: str, tmp_path: Path) -> AsyncIterator[Replica]:
    made = await replica(postgres_url, tmp_path)
    yield made
    await made.life.aclose()


async def begun(one: Replica, script: str) -> tuple[Any, list[Any]]:
    """A stream of which the first events were read: it is being made."""
    stream: Any = await one.client.responses.create(
        model=f"scripted/{script}", input="Hi.", background=True, stream=True
    )
    return stream, [await anext(stream) for _ in range(7)]


@pytest.mark.requirement("background:replicas:tail")
async def test_another_replica_shows_what_was_and_what_comes(
    makes: Replica, other: Replica
) -> None:
    stream, first = await begun(makes, "slow-30ms")
    response_id = first[0].response.id
    assert (await other.client.responses.retrieve(response_id)).status == "in_progress"
    rest: Any = await other.client.responses.retrieve(response_id, stream=True, starting_after=3)
    followed = await all_of(rest)
    own = [*first, *await all_of(stream)]
    assert [e.to_dict() for e in followed] == [e.to_dict() for e in own[4:]]
    assert (await other.client.responses.retrieve(response_id)).output_text == SPOKEN


@pytest.mark.requirement("background:replicas:cancel")
async def test_another_replica_cancels_what_would_never_end(makes: Replica, other: Replica) -> None:
    stream, first = await begun(makes, "endless")
    async with asyncio.timeout(PATIENCE_SECONDS):
        cancelled = await other.client.responses.cancel(first[0].response.id)
    assert cancelled.status == "cancelled"
    events = [*first, *await all_of(stream)]
    assert numbers(events) == list(range(len(events)))
    assert events[-1].item.to_dict() == cancelled.output[0].to_dict()


@pytest.mark.requirement("background:replicas:never-claims")
async def test_a_replica_that_makes_nothing_leaves_it_to_the_others(
    makes: Replica, postgres_url: str, tmp_path: Path
) -> None:
    asked = await replica(postgres_url, tmp_path, runs_max=0)
    try:
        stream: Any = await asked.client.responses.create(
            model="scripted/slow-5ms", input="Hi.", background=True, stream=True
        )
        events = await all_of(stream)
        assert numbers(events) == list(range(len(events)))
        assert events[-1].response.output_text == SPOKEN
    finally:
        await asked.life.aclose()


@pytest.mark.requirement("background:replicas:fenced")
async def test_a_replica_that_lost_its_lease_writes_nothing_more(
    makes: Replica, other: Replica
) -> None:
    """The heart of the first stops, its hands do not."""
    stream, first = await begun(makes, "slow-200ms")
    beating = next(t for t in makes.app.background.maker._loops if "beat" in t.get_name())
    beating.cancel()
    makes.app.background.stop_claiming(0)
    response_id = first[0].response.id
    final = await ended(other.client, response_id)
    assert final.status == "completed"
    cut, whole = final.output
    assert (cut.status, whole.status) == ("incomplete", "completed")  # type: ignore[union-attr]
    assert whole.content[0].text == SPOKEN  # type: ignore[union-attr, index]
    events = [*first, *await all_of(stream)]
    assert numbers(events) == list(range(len(events)))
    assert [event.type for event in events].count("response.completed") == 1
    assert events[-1].response.to_dict() == final.to_dict()
    for one in (makes, other):
        replayed: Any = await one.client.responses.retrieve(response_id, stream=True)
        assert [e.to_dict() for e in await all_of(replayed)] == [e.to_dict() for e in events]
        assert not one.app.background.maker.making


@pytest.mark.requirement("background:replicas:drain")
async def test_a_replica_that_ends_hands_over_long_before_its_lease_is_over(
    postgres_url: str, tmp_path: Path, other: Replica
) -> None:
    ending = await replica(postgres_url, tmp_path, lease_seconds=LONG_LEASE_SECONDS)
    made = await started(ending.client, "slow-100ms")
    closing = asyncio.create_task(ending.life.aclose())
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not other.app.background.maker.has(made.id):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        await closing
    assert (await ended(other.client, made.id)).output_text == SPOKEN


@pytest.mark.requirement("background:replicas:forget")
async def test_what_one_replica_deletes_no_other_remembers(makes: Replica, other: Replica) -> None:
    parent = await makes.client.responses.create(model="scripted/hello", input="Hi.")
    await other.client.responses.delete(parent.id)
    async with asyncio.timeout(5):
        while makes.app.runs.memory.peek("default", parent.id) is not None:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    with pytest.raises(openai.BadRequestError) as refused:
        await makes.client.responses.create(
            model="scripted/hello", input="Hi.", previous_response_id=parent.id
        )
    assert refused.value.code == "previous_response_not_found"


@pytest.mark.requirement("background:replicas:outage")
async def test_a_database_that_restarts_costs_nothing_but_time(
    makes: Replica, other: Replica
) -> None:
    stream, first = await begun(makes, "slow-100ms")
    response_id = first[0].response.id
    await asyncio.to_thread(postgres.server().restart)
    events = [*first, *await all_of(stream)]
    assert numbers(events) == list(range(len(events)))
    assert [event.type for event in events].count("response.completed") == 1
    final = await ended(other.client, response_id)
    assert events[-1].response.to_dict() == final.to_dict()


@pytest.mark.requirement("background:replicas:outage")
async def test_a_database_that_stays_away_is_told_once_for_each_response(
    postgres_url: str, tmp_path: Path
) -> None:
    told: list[Broke] = []
    observers = Observers()
    observers.subscribe(told.append, Broke)  # type: ignore[arg-type]
    settings = config(StoreSettings(data=str(tmp_path), url=postgres_url))
    async with running(settings, observe=observers) as app, client_of(app) as client:
        assert isinstance(app.store, PostgresStore)
        for queue in (app.store._rows_queue, app.store._works_queue):
            queue._patience_seconds = 0.1
        made = await client.responses.create(
            model="scripted/slow-100ms", input="Hi.", background=True
        )
        async with asyncio.timeout(5):
            while not app.runs.live:  # noqa: ASYNC110 - nothing tells
                await asyncio.sleep(0.001)
        postgres.server().stop()
        try:
            async with asyncio.timeout(10):
                while not any(one.response_id == made.id for one in told):  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
            await asyncio.sleep(3 * RETRY_SECONDS)
        finally:
            postgres.server().start()
        assert (await ended(client, made.id)).status == "completed"
    assert [one.response_id for one in told].count(made.id) == 1


@pytest.mark.requirement("background:replicas:outage")
async def test_who_has_created_it_is_not_refused_when_the_database_goes_away(
    makes: Replica,
) -> None:
    stream, first = await begun(makes, "slow-100ms")
    response_id = first[0].response.id
    tails = makes.app.background.tails
    postgres.server().stop()
    try:
        with pytest.raises(RemoteError):
            await anext(tails.follow("default", response_id))
        following = tails.follow("default", response_id, patient=True)
        waits = asyncio.ensure_future(anext(following))
        await asyncio.sleep(0.1)
        assert not waits.done()
    finally:
        postgres.server().start()
    async with asyncio.timeout(10):
        assert isinstance((await waits)[0], Created)
    await all_of(stream)


@pytest.mark.requirement("background:replicas:fenced")
async def test_a_heartbeat_in_the_moment_of_the_end_loses_nothing(makes: Replica) -> None:
    changes: list[Any] = []
    makes.app.observe.subscribe(changes.append, RunChanged)

    async def beat_again() -> None:
        while True:
            await makes.app.background.maker._beat()
            await asyncio.sleep(0)

    beating = asyncio.create_task(beat_again())
    for _ in range(4):
        asked = [started(makes.client, "hello") for _ in range(16)]
        for made in await asyncio.gather(*asked):
            assert (await ended(makes.client, made.id)).status == "completed"
    beating.cancel()
    await asyncio.wait([beating])
    assert {one.change for one in changes} == {"claimed"}
