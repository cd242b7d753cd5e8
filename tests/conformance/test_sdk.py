"""The helpers of the official client, which raise at every slip of the server."""

from __future__ import annotations

import asyncio
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI
from pydantic import BaseModel

from tests.conformance.conftest import House
from tests.conformance.test_objects import SHELL, WEATHER

pytestmark = pytest.mark.anyio


class Person(BaseModel):
    name: str
    age: int
    tags: list[str]


@pytest.mark.requirement("conformance:sdk:parse")
@pytest.mark.parametrize("script", ["json", "bad-json", "refusal", "never-json", "empty"])
async def test_parsing_gives_the_model_or_nothing(house: House, script: str) -> None:
    async with house.openai() as client:
        asked: Any = {"model": f"scripted/{script}", "input": "Hi.", "text_format": Person}
        made = await client.responses.parse(**asked)
        async with client.responses.stream(**asked) as stream:
            last = [event async for event in stream][-1]
        assert isinstance(last, openai.types.responses.ResponseCompletedEvent) == (
            made.status == "completed"
        )
        if script.endswith("json") and made.status == "completed":
            assert made.output_parsed == Person(name="example", age=1, tags=[])
            assert (await stream.get_final_response()).output_parsed == made.output_parsed
        else:
            assert made.output_parsed is None


@pytest.mark.requirement("conformance:sdk:parse")
@pytest.mark.parametrize(
    ("script", "count"),
    [("tool", 1), ("tools-parallel", 2), ("tools-interleaved", 2), ("bad-arguments", 1)],
)
async def test_arguments_are_parsed(house: House, script: str, count: int) -> None:
    async with house.openai() as client:
        made = await client.responses.parse(
            model=f"scripted/{script}", input="Hi.", tools=[WEATHER]
        )
    calls: Any = made.output
    assert [call.parsed_arguments for call in calls] == [{"city": "example"}] * count


@pytest.mark.requirement("conformance:sdk:parse")
async def test_a_call_without_arguments_has_an_empty_object(house: House) -> None:
    free: Any = {"type": "function", "name": "ping", "parameters": {}}
    made = await house.streamed("scripted/no-arguments", tools=[free])
    assert made["output"][0]["arguments"] == "{}"


@pytest.mark.requirement("conformance:sdk:resume")
async def test_a_stream_is_resumed_by_both_ways_of_the_client(house: House) -> None:
    async with house.openai() as client:
        made = await client.responses.create(
            model="scripted/reasoning-tool", input="Hi.", tools=[WEATHER, SHELL]
        )
        replay = await client.responses.retrieve(made.id, stream=True, starting_after=3)
        numbers = [event.sequence_number async for event in replay]
        async with client.responses.stream(response_id=made.id, starting_after=3) as stream:
            again = [event.sequence_number async for event in stream]
            final = await stream.get_final_response()
    assert numbers == again == list(range(4, numbers[-1] + 1))
    outputs: Any = (made.output, final.output)
    assert [item.id for item in outputs[0]] == [item.id for item in outputs[1]]


async def _told(client: AsyncOpenAI, number: int) -> str:
    script = "slow-2ms" if number % 2 else "echo"
    said = f"This is text number {number}."
    async with client.responses.stream(model=f"scripted/{script}", input=said) as stream:
        text = ""
        async for event in stream:
            if event.type == "response.output_text.delta":
                text += event.delta
        final = await stream.get_final_response()
    assert final.output_text == text
    assert text == said or number % 2
    return final.id


@pytest.mark.requirement("conformance:sdk:concurrent")
async def test_fifty_streams_at_once_keep_apart(house: House, port: int) -> None:
    url = f"http://127.0.0.1:{port}/v1"
    async with AsyncOpenAI(
        base_url=url, api_key="any", max_retries=0, _strict_response_validation=True
    ) as client:
        ids = await asyncio.gather(*(_told(client, number) for number in range(50)))
    assert len(set(ids)) == 50
