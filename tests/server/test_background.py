"""Background responses with the official client: run, poll, stream, resume, cancel, delete.

Over a socket, because a caller over one can leave, and sees an event when it happens.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import openai
import pytest
from openai import AsyncOpenAI
from openai.types.responses import Response

from antiphon.app import App, running
from antiphon.config import Config, ScriptedSettings, StoreSettings
from antiphon.config_state import BackgroundSettings
from tests.server.conftest import dialled

pytestmark = pytest.mark.anyio

MEMORY = StoreSettings(file=":memory:")
SECONDS_MAX = 5.0
SPOKEN = "one two three four five six seven eight nine ten"


def config(store: StoreSettings = MEMORY, **background: Any) -> Config:
    return Config(
        backends=(ScriptedSettings(),),
        store=store,
        background=BackgroundSettings(**background),
    )


@asynccontextmanager
async def client_of(app: App) -> AsyncIterator[AsyncOpenAI]:
    async with (
        dialled(app, "socket") as (origin, transport),
        AsyncOpenAI(
            api_key="sk-any",
            base_url=f"{origin}/v1",
            http_client=httpx2.AsyncClient(transport=transport),
            max_retries=0,
            timeout=SECONDS_MAX,
            _strict_response_validation=True,
        ) as client,
    ):
        yield client


@pytest.fixture
async def app(store_settings: StoreSettings) -> AsyncIterator[App]:
    """A server on either database."""
    async with running(config(store_settings)) as app:
        yield app


@pytest.fixture
async def client(app: App) -> AsyncIterator[AsyncOpenAI]:
    async with client_of(app) as client:
        yield client


@pytest.fixture
async def quick() -> AsyncIterator[AsyncOpenAI]:
    """A client of a server in memory."""
    async with running(config()) as app, client_of(app) as client:
        yield client


async def ended(client: AsyncOpenAI, response_id: str) -> Response:
    """Poll as the API's guide does."""
    async with asyncio.timeout(SECONDS_MAX):
        while True:
            response = await client.responses.retrieve(response_id)
            if response.status not in ("queued", "in_progress"):
                return response
            await asyncio.sleep(0.02)


async def started(client: AsyncOpenAI, model: str = "slow-20ms", **more: Any) -> Response:
    asked: dict[str, Any] = {"input": "Hi.", "background": True, **more}
    made = await client.responses.create(model=f"scripted/{model}", **asked)
    assert isinstance(made, Response)
    return made


async def all_of(stream: Any) -> list[Any]:
    async with asyncio.timeout(SECONDS_MAX):
        return [event async for event in stream]


async def streamed(client: AsyncOpenAI, model: str, **more: Any) -> list[Any]:
    stream: Any = await client.responses.create(
        model=f"scripted/{model}", input="Hi.", background=True, stream=True, **more
    )
    return await all_of(stream)


def numbers(events: list[Any]) -> list[int]:
    return [event.sequence_number for event in events]


@pytest.mark.requirement("background:poll")
async def test_it_is_queued_at_once_and_polled_until_it_is_completed(client: AsyncOpenAI) -> None:
    made = await started(client, "slow-5ms")
    assert (made.status, made.background, made.output) == ("queued", True, [])
    done = await ended(client, made.id)
    assert (done.status, done.output_text) == ("completed", SPOKEN)
    assert done.completed_at is not None
    assert (done.id, done.created_at) == (made.id, made.created_at)
    again = await client.responses.retrieve(made.id)
    assert again.to_dict() == done.to_dict()


@pytest.mark.requirement("background:stream:order")
async def test_a_stream_begins_with_created_queued_and_in_progress(client: AsyncOpenAI) -> None:
    events = await streamed(client, "slow-5ms")
    assert [event.type for event in events[:4]] == [
        "response.created",
        "response.queued",
        "response.in_progress",
        "response.output_item.added",
    ]
    assert [event.response.status for event in events[:3]] == ["queued", "queued", "in_progress"]
    assert events[-1].type == "response.completed"
    assert numbers(events) == list(range(len(events)))
    kept = await client.responses.retrieve(events[0].response.id)
    assert kept.to_dict() == events[-1].response.to_dict()


@pytest.mark.requirement("background:leave")
async def test_the_caller_may_leave_at_any_event(quick: AsyncOpenAI) -> None:
    whole = await streamed(quick, "slow-2ms")
    for last in range(len(whole) - 1):
        stream: Any = await quick.responses.create(
            model="scripted/slow-2ms", input="Hi.", background=True, stream=True
        )
        seen: list[Any] = []
        async for event in stream:
            seen.append(event)
            if event.sequence_number >= last:
                break
        await stream.close()
        done = await ended(quick, seen[0].response.id)
        assert (done.status, done.output_text) == ("completed", SPOKEN)


@pytest.mark.requirement("background:resume")
async def test_a_stream_is_resumed_behind_any_event_without_gap_or_repetition(
    quick: AsyncOpenAI,
) -> None:
    for _ in range(2):  # while it is made, and again when it is over
        stream: Any = await quick.responses.create(
            model="scripted/slow-5ms", input="Hi.", background=True, stream=True
        )
        events = [await anext(stream) for _ in range(6)]
        await stream.close()
        response_id = events[0].response.id
        rest: Any = await quick.responses.retrieve(response_id, stream=True, starting_after=5)
        events += await all_of(rest)
        assert numbers(events) == list(range(len(events)))
        assert events[-1].type == "response.completed"
    for after in range(len(events) + 1):
        rest = await quick.responses.retrieve(response_id, stream=True, starting_after=after)
        assert [e.to_dict() for e in await all_of(rest)] == [
            event.to_dict() for event in events[after + 1 :]
        ]


@pytest.mark.requirement("background:resume:sdk-helper")
async def test_the_stream_helper_of_the_client_follows_by_id(client: AsyncOpenAI) -> None:
    stream: Any = await client.responses.create(
        model="scripted/slow-20ms", input="Hi.", background=True, stream=True
    )
    first = await anext(stream)
    await stream.close()
    async with client.responses.stream(
        response_id=first.response.id, starting_after=4
    ) as following:
        got = await all_of(following)
        final = await following.get_final_response()
    assert got[0].sequence_number == 5
    assert final.output_text == SPOKEN


@pytest.mark.requirement("background:tail:many")
async def test_any_number_of_readers_see_the_same(quick: AsyncOpenAI) -> None:
    stream: Any = await quick.responses.create(
        model="scripted/slow-5ms", input="Hi.", background=True, stream=True
    )
    first = await anext(stream)

    async def read() -> list[Any]:
        return await all_of(await quick.responses.retrieve(first.response.id, stream=True))

    readings = await asyncio.gather(*(read() for _ in range(5)))
    own = [first, *await all_of(stream)]
    wanted = [event.to_dict() for event in own]
    assert all([event.to_dict() for event in reading] == wanted for reading in readings)


@pytest.mark.requirement("background:log-is-replay")
@pytest.mark.parametrize("script", ["echo", "reasoning", "cited", "tool", "length", "empty"])
async def test_what_is_replayed_when_the_log_is_gone_is_what_was_streamed(script: str) -> None:
    tool: Any = {"type": "function", "name": "f", "parameters": None, "strict": False}
    async with running(config()) as app, client_of(app) as client:
        events = await streamed(client, script, tools=[tool])
        response_id = events[0].response.id
        assert await app.background.rows.delete("default", response_id)
        replayed: Any = await client.responses.retrieve(response_id, stream=True)
        assert [e.to_dict() for e in await all_of(replayed)] == [e.to_dict() for e in events]


@pytest.mark.requirement("background:stream:not-asked")
async def test_what_was_created_without_a_stream_has_none_before_its_end(
    quick: AsyncOpenAI,
) -> None:
    made = await started(quick)
    with pytest.raises(openai.BadRequestError) as refused:
        await quick.responses.retrieve(made.id, stream=True)
    assert (refused.value.code, refused.value.param) == ("response_not_streamed", "stream")
    done = await ended(quick, made.id)
    replayed: Any = await quick.responses.retrieve(made.id, stream=True)
    events = await all_of(replayed)
    assert events[1].type == "response.queued"
    assert events[-1].response.to_dict() == done.to_dict()


@pytest.mark.requirement("background:failed")
@pytest.mark.parametrize(
    ("script", "code"),
    [("error-400", "invalid_prompt"), ("error-after-3", "server_error"), ("crash", "server_error")],
)
async def test_a_model_that_fails_fails_the_response_and_not_the_request(
    script: str, code: str
) -> None:
    async with running(config()) as app, client_of(app) as client:
        events = await streamed(client, script)
        assert events[1].type == "response.queued"
        assert events[-1].type == "response.failed"
        assert events[-1].response.error.code == code
        assert numbers(events) == list(range(len(events)))
        polled = await ended(client, (await started(client, script)).id)
        assert polled.status == "failed" and polled.error is not None


@pytest.mark.requirement("background:refused")
@pytest.mark.parametrize(
    ("body", "param", "code"),
    [
        ({"store": False}, "store", "unsupported_value"),
        ({"previous_response_id": "resp_x"}, "previous_response_id", "previous_response_not_found"),
        (
            {"background_options": {"completion_window": "8h"}},
            "background_options",
            "unsupported_parameter",
        ),
        ({"tool_choice": "required"}, "tool_choice", "invalid_value"),
    ],
)
async def test_what_cannot_be_made_is_refused_at_once(
    quick: AsyncOpenAI, body: dict[str, Any], param: str, code: str
) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        await started(quick, "hello", **body)
    assert (refused.value.param, refused.value.code) == (param, code)


@pytest.mark.requirement("background:cancel")
async def test_cancelling_keeps_what_was_written_and_ends_the_stream(client: AsyncOpenAI) -> None:
    stream: Any = await client.responses.create(
        model="scripted/endless", input="Hi.", background=True, stream=True
    )
    events = [await anext(stream) for _ in range(8)]
    response_id = events[0].response.id
    async with asyncio.timeout(5):  # it would never end
        cancelled = await client.responses.cancel(response_id)
    events += await all_of(stream)
    assert events[-1].type == "response.output_item.done"
    assert events[-1].item.status == "incomplete"
    assert cancelled.status == "cancelled" and cancelled.completed_at is None
    assert cancelled.output[0].to_dict() == events[-1].item.to_dict()
    again = await client.responses.cancel(response_id)
    assert again.to_dict() == cancelled.to_dict()
    assert (await client.responses.retrieve(response_id)).to_dict() == cancelled.to_dict()
    replayed: Any = await client.responses.retrieve(response_id, stream=True)
    assert [e.to_dict() for e in await all_of(replayed)] == [e.to_dict() for e in events]


@pytest.mark.requirement("background:cancel:over")
async def test_cancelling_what_is_over_changes_nothing(quick: AsyncOpenAI) -> None:
    done = await ended(quick, (await started(quick, "hello")).id)
    assert (await quick.responses.cancel(done.id)).to_dict() == done.to_dict()


@pytest.mark.requirement("background:cancel:synchronous")
async def test_only_background_responses_can_be_cancelled(quick: AsyncOpenAI) -> None:
    made = await quick.responses.create(model="scripted/hello", input="Hi.")
    with pytest.raises(openai.BadRequestError) as refused:
        await quick.responses.cancel(made.id)
    assert refused.value.code == "response_not_cancellable"
    with pytest.raises(openai.NotFoundError):
        await quick.responses.cancel("resp_unknown")


@pytest.mark.requirement("background:cancel:queued")
async def test_what_nobody_has_begun_is_cancelled_at_once() -> None:
    async with running(config(runs_max=0)) as app, client_of(app) as client:
        stream: Any = await client.responses.create(
            model="scripted/hello", input="Hi.", background=True, stream=True
        )
        events = [await anext(stream) for _ in range(2)]
        waiting = await client.responses.retrieve(events[0].response.id)
        assert waiting.status == "queued"
        cancelled = await client.responses.cancel(waiting.id)
        assert (cancelled.status, cancelled.output) == ("cancelled", [])
        assert await all_of(stream) == []
        assert (await client.responses.retrieve(waiting.id)).status == "cancelled"


@pytest.mark.requirement("background:cancel:race")
async def test_a_race_of_the_end_with_cancelling_has_one_winner(quick: AsyncOpenAI) -> None:
    statuses = set()
    for pause in range(12):
        stream: Any = await quick.responses.create(
            model="scripted/slow-1ms", input="Hi.", background=True, stream=True
        )
        first = await anext(stream)
        await asyncio.sleep(pause * 0.004)
        cancelled = await quick.responses.cancel(first.response.id)
        events = await all_of(stream)
        final = await quick.responses.retrieve(first.response.id)
        assert cancelled.to_dict() == final.to_dict()
        assert (events[-1].type == "response.completed") is (final.status == "completed")
        statuses.add(final.status)
    assert statuses <= {"cancelled", "completed"}


@pytest.mark.requirement("background:parent-running")
async def test_what_is_not_over_cannot_be_continued(quick: AsyncOpenAI) -> None:
    parent = await started(quick)
    with pytest.raises(openai.BadRequestError) as refused:
        await quick.responses.create(
            model="scripted/hello", input="Hi.", previous_response_id=parent.id
        )
    assert refused.value.code == "previous_response_not_completed"
    assert refused.value.param == "previous_response_id"
    await ended(quick, parent.id)
    child = await started(quick, "transcript", previous_response_id=parent.id)
    assert SPOKEN in (await ended(quick, child.id)).output_text


@pytest.mark.requirement("background:input-items")
async def test_the_input_of_a_running_response_can_be_listed(quick: AsyncOpenAI) -> None:
    parent = await quick.responses.create(model="scripted/hello", input="First.")
    made = await started(quick, input="Second.", previous_response_id=parent.id)
    running_items = (await quick.responses.input_items.list(made.id)).data
    assert len(running_items) == 3
    await ended(quick, made.id)
    ended_items = (await quick.responses.input_items.list(made.id)).data
    assert [i.to_dict() for i in running_items] == [i.to_dict() for i in ended_items]


@pytest.mark.requirement("background:delete")
async def test_deleting_stops_it_and_leaves_nothing(client: AsyncOpenAI) -> None:
    stream: Any = await client.responses.create(
        model="scripted/endless", input="Hi.", background=True, stream=True
    )
    first = [await anext(stream) for _ in range(6)]
    response_id = first[0].response.id
    await client.responses.delete(response_id)
    await all_of(stream)  # it ends
    for gone in (
        client.responses.retrieve(response_id),
        client.responses.retrieve(response_id, stream=True),
        client.responses.cancel(response_id),
        client.responses.input_items.list(response_id),
    ):
        with pytest.raises(openai.NotFoundError):
            await gone
    with pytest.raises(openai.BadRequestError) as refused:
        await client.responses.create(
            model="scripted/hello", input="Hi.", previous_response_id=response_id
        )
    assert refused.value.code == "previous_response_not_found"


@pytest.mark.requirement("background:conversation")
async def test_a_conversation_is_locked_until_the_response_in_it_has_ended(
    quick: AsyncOpenAI,
) -> None:
    conversation = await quick.conversations.create()
    made = await started(quick, conversation=conversation.id)
    with pytest.raises(openai.ConflictError) as refused:
        await quick.responses.create(
            model="scripted/hello", input="Hi.", conversation=conversation.id
        )
    assert refused.value.code == "conversation_locked"
    await ended(quick, made.id)
    items = (await quick.conversations.items.list(conversation.id, order="asc")).data
    assert [item.type for item in items] == ["message", "message"]


@pytest.mark.requirement("background:idempotency")
async def test_an_idempotency_key_makes_one_background_response(quick: AsyncOpenAI) -> None:
    headers = {"Idempotency-Key": "once"}
    made = [await started(quick, extra_headers=headers) for _ in range(2)]
    assert made[0].id == made[1].id
    assert (await ended(quick, made[0].id)).output_text == SPOKEN


@pytest.mark.requirement("background:azure")
async def test_the_azure_client_runs_resumes_and_cancels() -> None:
    async with (
        running(config()) as app,
        dialled(app, "socket") as (origin, transport),
        openai.AsyncAzureOpenAI(
            api_key="any",
            azure_endpoint=origin,
            api_version="2025-04-01-preview",
            http_client=httpx2.AsyncClient(transport=transport),
            max_retries=0,
            timeout=SECONDS_MAX,
        ) as azure,
    ):
        done = await ended(azure, (await started(azure, "slow-5ms")).id)
        assert (done.status, done.output_text) == ("completed", SPOKEN)
        events = await streamed(azure, "slow-5ms")
        rest: Any = await azure.responses.retrieve(
            events[0].response.id, stream=True, starting_after=4
        )
        assert numbers(await all_of(rest)) == numbers(events)[5:]
        endless = await started(azure, "endless")
        assert (await azure.responses.cancel(endless.id)).status == "cancelled"
        with pytest.raises(openai.BadRequestError) as refused:
            await started(azure, "hello", store=False)
        assert refused.value.param == "store"


@pytest.mark.requirement("background:observed")
async def test_the_queue_and_what_is_made_are_counted() -> None:
    async with running(config()) as app, client_of(app) as client:
        made = await started(client, "endless")
        wanted = {
            "antiphon_background_making 1.0",
            'antiphon_background_runs_total{change="claimed"} 1.0',
        }
        async with asyncio.timeout(SECONDS_MAX):
            while not wanted <= set(app.metrics.render()[0].decode().splitlines()):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        await client.responses.cancel(made.id)
        async with asyncio.timeout(SECONDS_MAX):
            while b"antiphon_background_making 0.0" not in app.metrics.render()[0]:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
