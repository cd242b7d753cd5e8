"""The official client, over both roads, refusing every answer that is not exactly typed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import openai
import pytest
from openai import AsyncOpenAI
from pydantic import BaseModel

from tests.server.conftest import House, dialled

pytestmark = pytest.mark.anyio

WEATHER: Any = {
    "type": "function",
    "name": "get_weather",
    "description": "The weather in a city.",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
        "additionalProperties": False,
    },
    "strict": True,
}


@asynccontextmanager
async def client_of(house: House, key: str = "sk-any") -> AsyncIterator[AsyncOpenAI]:
    async with (
        dialled(house, house.road) as (origin, transport),
        AsyncOpenAI(
            api_key=key,
            base_url=f"{origin}/v1",
            http_client=httpx2.AsyncClient(transport=transport),
            max_retries=0,
            _strict_response_validation=True,
        ) as client,
    ):
        yield client


@pytest.fixture
async def client(house: House) -> AsyncIterator[AsyncOpenAI]:
    async with client_of(house) as client:
        yield client


@pytest.mark.requirement("sdk:create:strict")
@pytest.mark.parametrize(
    "script",
    [
        "hello",
        "reasoning",
        "refusal",
        "length",
        "filter",
        "empty",
        "cited",
        "unicode",
        "tool",
        "custom",
        "error-after-3",
    ],
)
async def test_every_kind_of_answer_is_typed_exactly(client: AsyncOpenAI, script: str) -> None:
    tools: Any = [WEATHER, {"type": "custom", "name": "shell"}]
    made = await client.responses.create(model=f"scripted/{script}", input="Hi.", tools=tools)
    again = await client.responses.retrieve(made.id)
    assert again.to_dict() == made.to_dict()
    assert made._request_id and again._request_id != made._request_id


@pytest.mark.requirement("sdk:stream:events")
@pytest.mark.parametrize(
    "script", ["hello", "reasoning", "tool", "unicode", "length", "error-after-3"]
)
async def test_every_event_of_a_stream_is_typed_exactly(client: AsyncOpenAI, script: str) -> None:
    stream = await client.responses.create(
        model=f"scripted/{script}", input="Hi.", tools=[WEATHER], stream=True
    )
    events = [event async for event in stream]
    assert events[0].type == "response.created"
    last = events[-1]
    assert last.type in ("response.completed", "response.incomplete", "response.failed")
    assert [event.sequence_number for event in events] == list(range(len(events)))
    replayed = await client.responses.retrieve(last.response.id, stream=True, starting_after=1)
    assert [event.to_dict() async for event in replayed] == [e.to_dict() for e in events[2:]]


@pytest.mark.requirement("sdk:stream:helper")
async def test_the_stream_helper_accumulates_what_the_response_says(client: AsyncOpenAI) -> None:
    async with client.responses.stream(model="scripted/echo", input="One two three.") as stream:
        texts = [e.delta async for e in stream if e.type == "response.output_text.delta"]
        final = await stream.get_final_response()
    assert final.output_text == "".join(texts) == "One two three."
    async with client.responses.stream(response_id=final.id, starting_after=3) as stream:
        assert (await stream.get_final_response()).id == final.id


class Person(BaseModel):
    name: str
    age: int


@pytest.mark.requirement("sdk:parse:structured")
async def test_structured_output_is_parsed_by_the_client(client: AsyncOpenAI) -> None:
    parsed = await client.responses.parse(model="scripted/json", input="Who?", text_format=Person)
    assert isinstance(parsed.output_parsed, Person)
    async with client.responses.stream(
        model="scripted/json", input="Who?", text_format=Person
    ) as stream:
        assert isinstance((await stream.get_final_response()).output_parsed, Person)


@pytest.mark.requirement("sdk:chain:tools")
async def test_a_tool_call_is_answered_by_id_and_by_items(client: AsyncOpenAI) -> None:
    asked = await client.responses.create(
        model="scripted/tool", input="Weather in Paris?", tools=[WEATHER]
    )
    (call,) = asked.output
    assert call.type == "function_call"
    result: Any = {"type": "function_call_output", "call_id": call.call_id, "output": "sunny"}
    chained = await client.responses.create(
        model="scripted/tool", input=[result], tools=[WEATHER], previous_response_id=asked.id
    )
    assert "sunny" in chained.output_text
    history: Any = [{"role": "user", "content": "Weather in Paris?"}, *asked.output, result]
    by_items = await client.responses.create(
        model="scripted/tool", input=history, tools=[WEATHER], store=False
    )
    assert by_items.output_text == chained.output_text


@pytest.mark.requirement("sdk:input-items:pages")
async def test_input_items_are_paged_to_the_end(client: AsyncOpenAI) -> None:
    messages: Any = [{"role": "user", "content": f"Message {n}."} for n in range(7)]
    made = await client.responses.create(model="scripted/hello", input=messages)
    orders: Any = (("asc", range(7)), ("desc", range(6, -1, -1)))
    for order, expected in orders:
        pages: Any = client.responses.input_items.list(made.id, limit=3, order=order)
        texts = [item.content[0].text async for item in pages]
        assert texts == [f"Message {n}." for n in expected]


@pytest.mark.requirement("sdk:delete:none")
async def test_delete_and_then_not_found(client: AsyncOpenAI) -> None:
    made = await client.responses.create(model="scripted/hello", input="Hi.")
    await client.responses.delete(made.id)
    with pytest.raises(openai.NotFoundError):
        await client.responses.retrieve(made.id)


@pytest.mark.requirement("sdk:count:tokens")
async def test_tokens_are_counted(client: AsyncOpenAI) -> None:
    counted = await client.responses.input_tokens.count(model="scripted/hello", input="Hi.")
    assert counted.input_tokens > 0


@pytest.mark.requirement("sdk:models:list")
async def test_models_are_listed_and_retrieved(client: AsyncOpenAI) -> None:
    names = [model.id async for model in client.models.list()]
    assert "scripted/hello" in names
    assert (await client.models.retrieve("scripted/hello")).id == "scripted/hello"


@pytest.mark.requirement("sdk:errors:classes")
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("parameters", "kind", "code", "param"),
    [
        ({"temperature": 9}, openai.BadRequestError, "decimal_above_max_value", "temperature"),
        (
            {"previous_response_id": "resp_0"},
            openai.BadRequestError,
            "previous_response_not_found",
            "previous_response_id",
        ),
        ({"model": "scripted/none"}, openai.NotFoundError, "model_not_found", "model"),
        ({"model": "scripted/error-429"}, openai.RateLimitError, "rate_limit_exceeded", None),
        ({"model": "scripted/error-500"}, openai.InternalServerError, None, None),
        ({"model": "scripted/error-503"}, openai.InternalServerError, None, None),
    ],
)
async def test_errors_arrive_as_the_right_exceptions(
    client: AsyncOpenAI,
    parameters: dict[str, Any],
    kind: type[openai.APIStatusError],
    code: str | None,
    param: str | None,
    stream: bool,
) -> None:
    asked: Any = {"model": "scripted/hello", "input": "Hi.", **parameters}
    with pytest.raises(kind) as raised:
        await client.responses.create(**asked, stream=stream)
    assert raised.value.request_id
    assert code is None or raised.value.code == code
    assert param is None or raised.value.param == param


@pytest.mark.requirement("sdk:errors:cancel")
async def test_cancelling_a_synchronous_response_is_a_bad_request(client: AsyncOpenAI) -> None:
    made = await client.responses.create(model="scripted/hello", input="Hi.")
    with pytest.raises(openai.BadRequestError):
        await client.responses.cancel(made.id)


@pytest.mark.requirement("sdk:errors:auth")
async def test_a_wrong_key_is_an_authentication_error(locked: House) -> None:
    async with client_of(locked, "sk-wrong") as stranger:
        with pytest.raises(openai.AuthenticationError) as raised:
            await stranger.responses.create(model="scripted/hello", input="Hi.")
        assert raised.value.code == "invalid_api_key"
    async with client_of(locked, "sk-alpha") as friend:
        assert (await friend.responses.create(model="scripted/hello", input="Hi.")).output_text


@pytest.mark.requirement("sdk:retries:advice")
@pytest.mark.parametrize(
    ("script", "attempts"), [("error-429", 3), ("error-400", 1), ("error-after-0", 1)]
)
async def test_the_client_repeats_only_what_may_help(
    house: House, script: str, attempts: int
) -> None:
    async with client_of(house) as plain:
        client = plain.with_options(max_retries=2)
        client._calculate_retry_timeout = lambda *_, **__: 0.0  # type: ignore[method-assign]
        with pytest.raises(openai.APIStatusError):
            await client.responses.create(model=f"scripted/{script}", input="Hi.")
    assert len(house.finished()) == attempts
