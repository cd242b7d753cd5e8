"""Compaction and sealed reasoning in the background, over a WebSocket, on both databases and at
rest: the same as over HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from openai import AsyncOpenAI

from antiphon.app import running
from antiphon.config import Config, ScriptedSettings, StoreSettings
from antiphon.config_state import EncryptionSettings
from antiphon.process import _uvicorn_config
from tests.server.socket_client import Front
from tests.server.test_background import SECONDS_MAX, all_of, client_of, ended, started, streamed

pytestmark = pytest.mark.anyio

LONG = "My dog is called Rex. " + "and so on " * 600
WANTED: Any = [{"type": "compaction", "compact_threshold": 1_000}]
SEALED: Any = ["reasoning.encrypted_content"]
KEY = "a" * 64


def config(store: StoreSettings, **encryption: Any) -> Config:
    return Config(
        backends=(ScriptedSettings(),),
        store=store,
        encryption=EncryptionSettings(key=KEY, **encryption),
    )


@pytest.fixture(params=["plain", "at rest"])
async def client(
    request: pytest.FixtureRequest, store_settings: StoreSettings
) -> AsyncIterator[AsyncOpenAI]:
    made = config(store_settings, at_rest=request.param == "at rest")
    async with running(made) as app, client_of(app) as client:
        yield client


@pytest.mark.requirement("compaction:background")
async def test_a_background_response_is_compacted(client: AsyncOpenAI) -> None:
    first = await started(client, "summary", input=LONG)
    await ended(client, first.id)
    said: Any = {"previous_response_id": first.id, "context_management": WANTED}
    made = await ended(client, (await started(client, "summary", **said)).id)
    assert [item.type for item in made.output] == ["compaction", "message"]
    assert made.output_text.startswith("I was told: Summary of 2: My dog is called Rex.")
    events = await streamed(client, "summary", **said)
    assert [event.sequence_number for event in events] == list(range(len(events)))
    kinds = [event.type for event in events]
    assert kinds.index("response.compaction.compacting") == 4
    rest: Any = await client.responses.retrieve(
        events[-1].response.id, stream=True, starting_after=3
    )
    assert [event.type for event in await all_of(rest)] == kinds[4:]
    third = await started(client, "summary", input="c", previous_response_id=made.id)
    assert (await ended(client, third.id)).output_text.startswith("I was told: Summary of 2")


@pytest.mark.requirement("reasoning:sealed:background")
async def test_a_background_response_seals_its_reasoning_once(client: AsyncOpenAI) -> None:
    events = await streamed(client, "rethink", include=SEALED)
    (done,) = (
        event.item
        for event in events
        if event.type == "response.output_item.done" and event.item.type == "reasoning"
    )
    assert done.encrypted_content
    stored = await client.responses.retrieve(events[-1].response.id)
    assert stored.output[0] == done == events[-1].response.output[0]


@pytest.mark.requirement("compaction:websocket")
async def test_a_trigger_and_what_follows_over_one_connection(tmp_path: Path) -> None:
    made = config(StoreSettings(data=str(tmp_path)))
    async with (
        running(made) as app,
        Front(_uvicorn_config(app)).listening() as port,
        AsyncOpenAI(
            base_url=f"http://127.0.0.1:{port}/v1", api_key="sk-any", timeout=SECONDS_MAX
        ) as client,
        client.responses.connect() as connection,
    ):
        said: Any = {"model": "scripted/summary", "store": False}
        history: Any = [{"role": "user", "content": "My dog is called Rex."}]
        await connection.response.create(**said, input=[*history, {"type": "compaction_trigger"}])
        shorter = await _answer(connection)
        assert [item.type for item in shorter.output] == ["compaction"]
        chained: Any = {**said, "previous_response_id": shorter.id}
        await connection.response.create(**chained, input="Who?")
        told = "I was told: My dog is called Rex. / Summary of 1: My dog is called Rex. / Who?"
        assert (await _answer(connection)).output_text == told
        sent = [*history, shorter.output[0].model_dump(), {"role": "user", "content": "Who?"}]
        await connection.response.create(**said, input=sent)
        assert (await _answer(connection)).output_text == told


async def _answer(connection: Any) -> Any:
    async for event in connection:
        if event.type == "response.completed":
            return event.response
        assert event.type != "error", event
    raise AssertionError("the connection ended")
