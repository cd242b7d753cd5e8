"""The official client's ways to a chat completion, refusing answers that are not exactly typed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI, OpenAI
from pydantic import BaseModel

from tests.server.completions import HI, WEATHER
from tests.server.conftest import House, dialled, over_socket
from tests.server.test_openai_client import client_of

pytestmark = pytest.mark.anyio


class City(BaseModel):
    """What is asked for, in the client's own way."""

    city: str


@pytest.fixture
async def client(house: House) -> AsyncIterator[AsyncOpenAI]:
    async with client_of(house) as client:
        yield client


@pytest.mark.requirement("completions:client")
async def test_create_and_its_stream(client: AsyncOpenAI) -> None:
    answer = await client.chat.completions.create(
        model="scripted/echo", messages=HI, logprobs=True, top_logprobs=1
    )
    (choice,) = answer.choices
    assert (choice.message.content, choice.finish_reason) == ("hi", "stop")
    assert choice.logprobs is not None and choice.logprobs.content is not None
    assert [token.token for token in choice.logprobs.content] == ["hi"]
    stream = await client.chat.completions.create(
        model="scripted/hello", messages=HI, stream=True, stream_options={"include_usage": True}
    )
    chunks = [chunk async for chunk in stream]
    words = [chunk.choices[0].delta.content or "" for chunk in chunks[:-1]]
    assert "".join(words) == "Hello! How can I help you today?"
    assert chunks[-1].usage is not None and chunks[-1].usage.completion_tokens == 7


@pytest.mark.requirement("completions:client")
async def test_parse_gives_the_object_that_was_asked_for(client: AsyncOpenAI) -> None:
    answer = await client.chat.completions.parse(
        model="scripted/json", messages=HI, response_format=City
    )
    assert answer.choices[0].message.parsed == City(city="example")


@pytest.mark.requirement("completions:client")
async def test_the_streaming_helper_builds_the_same_completion(client: AsyncOpenAI) -> None:
    tools: Any = [openai.pydantic_function_tool(City, name="get_weather")]
    async with client.chat.completions.stream(
        model="scripted/tools-parallel", messages=HI, tools=tools
    ) as stream:
        kinds = {event.type async for event in stream}
        final = await stream.get_final_completion()
    assert {"chunk", "tool_calls.function.arguments.done"} <= kinds
    calls = final.choices[0].message.tool_calls or []
    assert [call.function.parsed_arguments for call in calls] == [City(city="example")] * 2
    async with client.chat.completions.stream(
        model="scripted/json", messages=HI, response_format=City
    ) as stream:
        assert "content.done" in {event.type async for event in stream}
        parsed = (await stream.get_final_completion()).choices[0].message.parsed
    assert parsed == City(city="example")


@pytest.mark.requirement("completions:client")
async def test_a_tool_turn_goes_round(client: AsyncOpenAI) -> None:
    messages = list(HI)
    first = await client.chat.completions.create(
        model="scripted/tool", messages=messages, tools=[WEATHER]
    )
    message = first.choices[0].message
    assert message.tool_calls
    messages.append(message)
    messages += [
        {"role": "tool", "tool_call_id": call.id, "content": "It rains."}
        for call in message.tool_calls
    ]
    last = await client.chat.completions.create(
        model="scripted/tool", messages=messages, tools=[WEATHER]
    )
    assert "It rains." in (last.choices[0].message.content or "")


@pytest.mark.requirement("completions:client")
async def test_errors_are_the_clients_own(client: AsyncOpenAI) -> None:
    create = client.chat.completions.create
    with pytest.raises(openai.BadRequestError) as refused:
        await create(model="scripted/hello", messages=HI, n=2)
    assert (refused.value.code, refused.value.param) == ("unsupported_value", "n")
    with pytest.raises(openai.RateLimitError):
        await create(model="scripted/error-429", messages=HI, stream=True)
    stream = await create(model="scripted/error-after-2", messages=HI, stream=True)
    with pytest.raises(openai.APIError, match="broke off"):
        [chunk async for chunk in stream]


@pytest.mark.requirement("completions:client")
@over_socket
async def test_the_client_that_waits_works_too(house: House) -> None:
    def talk(origin: str) -> tuple[str | None, str, list[str]]:
        with OpenAI(api_key="k", base_url=f"{origin}/v1", max_retries=0) as client:
            answer = client.chat.completions.create(
                model="scripted/echo", messages=HI, store=True, metadata={"a": "b"}
            )
            stream = client.chat.completions.create(model="scripted/echo", messages=HI, stream=True)
            said = "".join(c.choices[0].delta.content or "" for c in stream)
            listed = [one.id for one in client.chat.completions.list(metadata={"a": "b"})]
            return answer.choices[0].message.content, said, listed

    async with dialled(house, house.road) as (origin, _):
        plain, streamed, listed = await asyncio.wait_for(asyncio.to_thread(talk, origin), 10)
    assert (plain, streamed, len(listed)) == ("hi", "hi", 1)
