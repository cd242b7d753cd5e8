"""The whole server over each database it can keep its state in, asked by the official client."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import pytest
from click.testing import CliRunner
from openai import AsyncOpenAI, BadRequestError, NotFoundError

from antiphon.app import App, running
from antiphon.cli import main
from antiphon.config import Config, ScriptedSettings, StoreSettings
from tests.server.conftest import dialled, over_socket
from tests.store import postgres

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def client_of(app: App, road: str) -> AsyncIterator[AsyncOpenAI]:
    async with (
        dialled(app, road) as (origin, transport),
        AsyncOpenAI(
            api_key="any",
            base_url=f"{origin}/v1",
            http_client=httpx2.AsyncClient(transport=transport),
            max_retries=0,
        ) as client,
    ):
        yield client


@asynccontextmanager
async def served(store: StoreSettings, road: str = "asgi") -> AsyncIterator[AsyncOpenAI]:
    config = Config(store=store, backends=(ScriptedSettings(),))
    async with running(config) as app, client_of(app, road) as client:
        yield client


def texts(items: Sequence[Any]) -> list[str]:
    return [part.text for item in items for part in item.content]


@pytest.mark.requirement("store:databases:whole-server")
async def test_turns_are_made_continued_forked_listed_and_deleted(
    store_settings: StoreSettings, road: str
) -> None:
    async with served(store_settings, road) as client:
        create, responses = client.responses.create, client.responses
        first = await create(model="scripted/hello", input="one")
        second = await create(model="scripted/hello", input="two", previous_response_id=first.id)
        fork = await create(model="scripted/hello", input="three", previous_response_id=first.id)
        assert (await responses.retrieve(second.id)).output == second.output
        listed = await responses.input_items.list(fork.id, order="asc")
        assert texts(listed.data) == ["one", first.output_text, "three"]
        await responses.delete(first.id)
        with pytest.raises(NotFoundError):
            await responses.retrieve(first.id)
        with pytest.raises(BadRequestError) as refused:
            await create(model="scripted/hello", input="four", previous_response_id=first.id)
        assert refused.value.code == "previous_response_not_found"
        third = await create(model="scripted/hello", input="five", previous_response_id=second.id)
        listed = await responses.input_items.list(third.id, order="asc")
        assert texts(listed.data) == ["two", second.output_text, "five"]


@pytest.mark.requirement("store:databases:whole-server")
async def test_a_stream_is_stored_and_replayed_after_a_restart(
    store_settings: StoreSettings, road: str
) -> None:
    async with served(store_settings, road) as client:
        stream = await client.responses.create(model="scripted/hello", input="Hi", stream=True)
        events = [event async for event in stream]
        id = events[-1].response.id  # type: ignore[union-attr]
    async with served(store_settings, road) as client:
        replay = await client.responses.retrieve(id, stream=True)
        assert [event.to_dict() async for event in replay] == [event.to_dict() for event in events]


@over_socket
@pytest.mark.requirement("store:databases:hot-road")
async def test_what_needs_nothing_from_the_store_is_begun_without_a_task(
    store_settings: StoreSettings, road: str
) -> None:
    """A first turn, wherever the store is, and one that is remembered, where nobody else could
    have deleted it."""
    waited: list[str] = []

    def noting(loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, Any], **how: Any) -> Any:
        waited.append(work.__qualname__)
        return asyncio.Task(work, loop=loop, **how)

    async with served(store_settings, road) as client:
        first = await client.responses.create(model="scripted/hello", input="Hi")
        loop = asyncio.get_running_loop()
        loop.set_task_factory(noting)
        try:
            await client.responses.create(model="scripted/hello", input="Hi")
            assert not [name for name in waited if "_wait_and_start" in name]
            await client.responses.create(
                model="scripted/hello", input="And?", previous_response_id=first.id
            )
            alone = store_settings.url is None
            assert [name for name in waited if "_wait_and_start" in name] == (
                [] if alone else ["_Answer._wait_and_start"]
            )
            await client.responses.create(
                model="scripted/hello", input="Again?", previous_response_id=first.id
            )
            assert [name for name in waited if "_wait_and_start" in name]
        finally:
            loop.set_task_factory(None)


@pytest.mark.requirement("store:databases:replicas")
async def test_what_one_replica_made_the_other_continues_and_deletes(postgres_url: str) -> None:
    settings = StoreSettings(url=postgres_url)
    async with served(settings) as one, served(settings) as other:
        first = await one.responses.create(model="scripted/hello", input="one")
        second = await other.responses.create(
            model="scripted/hello", input="two", previous_response_id=first.id
        )
        listed = await one.responses.input_items.list(second.id, order="asc")
        assert texts(listed.data) == ["one", first.output_text, "two"]
        await one.responses.delete(second.id)
        with pytest.raises(NotFoundError):
            await other.responses.retrieve(second.id)


@pytest.mark.requirement("store:life:readiness")
async def test_readiness_tells_that_the_database_is_away(postgres_url: str) -> None:
    config = Config(store=StoreSettings(url=postgres_url), backends=(ScriptedSettings(),))
    async with (
        running(config) as app,
        httpx2.AsyncClient(
            transport=httpx2.ASGITransport(app=app.asgi), base_url="http://antiphon"
        ) as client,
    ):
        assert (await client.get("/readyz")).status_code == 200
        postgres.server().stop()
        try:
            unready = await client.get("/readyz")
        finally:
            postgres.server().start()
        assert unready.status_code == 503 and "PostgreSQL" in unready.text
        assert (await client.get("/readyz")).status_code == 200


@pytest.mark.requirement("store:life:migrate-command")
def test_the_command_tells_what_is_pending_and_applies_it(store_settings: StoreSettings) -> None:
    options = ["--data", str(store_settings.data)]
    if store_settings.url is not None:
        options += ["--database", store_settings.url]

    def migrate(*more: str) -> tuple[int, str]:
        result = CliRunner().invoke(main, ["migrate", *options, *more])
        return result.exit_code, result.output

    code, said = migrate("--check")
    assert code == 1 and "0001 responses: pending" in said
    assert migrate("--check") == (code, said)  # it changed nothing
    code, said = migrate()
    assert code == 0 and "0001 responses: applied" in said
    assert migrate("--check") == (0, "The schema is up to date.\n")
    assert migrate() == (0, "The schema is up to date.\n")


def test_a_database_that_cannot_be_reached_is_told_without_its_password() -> None:
    url = "postgresql://someone:s3cret@127.0.0.1:1/antiphon?password=s3cret"
    for command in ("serve", "migrate", "doctor"):
        line = [sys.executable, "-m", "antiphon", command, "--port", "0", "--database", url]
        ended = subprocess.run(line, capture_output=True, text=True, timeout=30, check=False)
        said = ended.stdout + ended.stderr
        assert ended.returncode == 1
        assert "antiphon on 127.0.0.1:1" in said and "s3cret" not in said
    shown = CliRunner().invoke(main, ["config", "show", "--database", url])
    assert shown.exit_code == 0 and "s3cret" not in shown.output
    refused = CliRunner().invoke(main, ["serve", "--database", "mysql://root:s3cret@h/db"])
    assert refused.exit_code == 2 and "postgresql://" in refused.output
    assert "s3cret" not in refused.output
