"""Conversations and idempotency keys of responses made in the background, on both databases."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI

from antiphon.app import App, running
from antiphon.config import OPEN_PROJECT, StoreSettings
from antiphon.errors import ClientError
from antiphon.observe import ResponseFinished
from antiphon.runs.order import context_of
from tests.server.test_background import all_of, client_of, config, ended, started
from tests.server.test_conversations import texts
from tests.server.test_idempotency import REPLAYED, key

pytestmark = pytest.mark.anyio


@pytest.fixture
async def app(store_settings: StoreSettings) -> AsyncIterator[App]:
    """A server on either database."""
    async with running(config(store_settings)) as app:
        yield app


@pytest.fixture
async def client(app: App) -> AsyncIterator[AsyncOpenAI]:
    async with client_of(app) as client:
        yield client


@pytest.mark.requirement("conversations:background")
async def test_a_background_response_holds_its_conversation_until_it_ends(
    client: AsyncOpenAI,
) -> None:
    conversation = await client.conversations.create()
    made = await started(client, "slow-20ms", conversation=conversation.id)
    assert made.conversation is not None and made.conversation.id == conversation.id
    with pytest.raises(openai.ConflictError) as busy:
        await started(client, "hello", conversation=conversation.id)
    assert busy.value.code == "conversation_locked"
    with pytest.raises(openai.ConflictError):
        await client.responses.create(
            model="scripted/hello", input="x", conversation=conversation.id
        )
    assert await texts(client, conversation.id) == []
    response = await ended(client, made.id)
    assert response.status == "completed"
    assert await texts(client, conversation.id) == ["Hi.", response.output_text]
    again = await ended(client, (await started(client, conversation=conversation.id)).id)
    assert len(await texts(client, conversation.id)) == 4 and again.status == "completed"


@pytest.mark.requirement("conversations:background")
async def test_cancelled_or_failed_it_gives_the_conversation_back(client: AsyncOpenAI) -> None:
    conversation = await client.conversations.create()
    made = await started(client, "endless", conversation=conversation.id)
    await client.responses.cancel(made.id)
    assert (await ended(client, made.id)).status == "cancelled"
    failing = await started(client, "error-after-3", conversation=conversation.id)
    assert (await ended(client, failing.id)).status == "failed"
    assert await texts(client, conversation.id) == []
    refused = {"conversation": conversation.id, "store": False}
    with pytest.raises(openai.BadRequestError):
        await started(client, "hello", **refused)
    last = await started(client, "hello", conversation=conversation.id)
    assert (await ended(client, last.id)).status == "completed"
    assert len(await texts(client, conversation.id)) == 2


@pytest.mark.requirement("conversations:deleted_meanwhile")
async def test_it_ends_although_its_conversation_was_deleted(client: AsyncOpenAI) -> None:
    conversation = await client.conversations.create()
    made = await started(client, "slow-20ms", conversation=conversation.id)
    async with asyncio.timeout(5):
        while (await client.responses.retrieve(made.id)).status == "queued":  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)
    await client.conversations.delete(conversation.id)
    assert (await ended(client, made.id)).status == "completed"


@pytest.mark.requirement("background:delete")
async def test_wherever_a_deletion_is_broken_off_no_conversation_stays_locked() -> None:
    async with running(config()) as app, client_of(app) as client:
        conversation = await client.conversations.create()
        over, turns = False, 0
        while not over:
            made = await started(client, "endless", conversation=conversation.id)
            deleting = asyncio.create_task(app.background.delete(OPEN_PROJECT, made.id))
            for _ in range(turns):
                await asyncio.sleep(0)
            over = deleting.done()
            deleting.cancel()  # as if the process had ended there
            await asyncio.wait([deleting])
            if await app.background.rows.load(OPEN_PROJECT, made.id) is not None:
                await app.runs.delete(OPEN_PROJECT, made.id)
            turns += 1
        assert turns > 2


@pytest.mark.requirement("background:delete")
async def test_who_begins_what_was_deleted_does_not_lock_its_conversation(
    store_settings: StoreSettings,
) -> None:
    async with running(config(store_settings, runs_max=0)) as app, client_of(app) as client:
        conversation = await client.conversations.create()
        made = await started(client, "hello", conversation=conversation.id)
        (run,) = await app.background.rows.claim("somebody who has not heard", 1)
        await client.responses.delete(made.id)
        with pytest.raises(ClientError, match="A response is being made"):
            await context_of(app.runs, run, [])
        hello: dict[str, Any] = {"model": "scripted/hello", "input": "x"}
        await client.responses.create(**hello, conversation=conversation.id)
        assert len(await texts(client, conversation.id)) == 2


@pytest.mark.requirement("conversations:background")
async def test_who_fails_to_begin_a_response_leaves_its_conversation_locked() -> None:
    async with running(config(runs_max=0)) as app, client_of(app) as client:
        conversation = await client.conversations.create()
        await started(client, "hello", conversation=conversation.id)
        (run,) = await app.background.rows.claim("somebody who ends", 1)
        over, turns = False, 0
        while not over:
            beginning = asyncio.create_task(context_of(app.runs, run, []))
            for _ in range(turns):
                await asyncio.sleep(0)
            over = beginning.done()
            beginning.cancel()
            await asyncio.wait([beginning])
            await asyncio.sleep(0.01)
            with pytest.raises(openai.ConflictError):
                await started(client, "hello", conversation=conversation.id)
            turns += 1
        assert turns > 2


@pytest.mark.requirement("idempotency:background")
async def test_a_repeat_is_told_how_it_stands_now(app: App, client: AsyncOpenAI) -> None:
    made_by: list[Any] = []
    app.observe.subscribe(made_by.append, ResponseFinished)
    asked: Any = {"model": "scripted/slow-20ms", "input": "Hi.", "background": True, **key("k")}
    first = await client.responses.create(**asked)
    raw = await client.responses.with_raw_response.create(**asked)
    early = raw.parse()
    assert raw.headers[REPLAYED] == "true" and early.id == first.id
    assert early.status in ("queued", "in_progress")
    response = await ended(client, first.id)
    assert (await client.responses.create(**asked)).to_dict() == response.to_dict()
    assert len(made_by) == 1


@pytest.mark.requirement("idempotency:background")
async def test_a_repeated_background_stream_is_followed(client: AsyncOpenAI) -> None:
    asked: Any = {"model": "scripted/slow-20ms", "input": "Hi.", "background": True}
    asked |= {"stream": True, **key("k")}
    first = await client.responses.create(**asked)
    begun = await anext(aiter(first))
    again = await all_of(await client.responses.create(**asked))
    assert again[0] == begun and again[-1].type == "response.completed"
    assert [event.sequence_number for event in again] == list(range(len(again)))
    assert (await all_of(first))[-1] == again[-1]
