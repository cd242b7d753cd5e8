"""Compaction over HTTP with the official client, strict about every type."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI

from tests.server.conftest import House
from tests.server.test_openai_client import client_of

pytestmark = pytest.mark.anyio

LONG = "My dog is called Rex. " + "and so on " * 600
WANTED: Any = [{"type": "compaction", "compact_threshold": 1_000}]


@pytest.fixture
async def client(house: House) -> AsyncIterator[AsyncOpenAI]:
    async with client_of(house) as client:
        yield client


@pytest.mark.requirement("compaction:endpoint:sdk")
async def test_the_output_of_compact_is_sent_on_as_it_is(client: AsyncOpenAI) -> None:
    first = await client.responses.create(model="scripted/summary", input="alpha")
    lenient = client.copy()  # the client's type of the output has no room for a user's message
    made = await lenient.responses.compact(
        model="scripted/summary",
        previous_response_id=first.id,
        input="beta",
        instructions="Be exact.",
    )
    assert made.object == "response.compaction" and made.usage.total_tokens > 0
    assert [item.type for item in made.output] == ["message", "message", "compaction"]
    kept = [item.model_dump(warnings=False, exclude_none=True) for item in made.output]
    following: Any = [*kept, {"role": "user", "content": "c"}]
    answer = await client.responses.create(model="scripted/summary", input=following)
    assert answer.output_text.startswith("I was told: alpha / beta / Summary of 2: alpha / beta")
    with pytest.raises(openai.NotFoundError):
        await client.responses.retrieve(made.id)


@pytest.mark.requirement("compaction:endpoint:refusals")
async def test_a_model_is_required(house: House) -> None:
    answer = await house.client.request("POST", "/v1/responses/compact", body={"input": "x"})
    assert answer.status == 400
    error = answer.json()["error"]
    assert (error["code"], error["param"]) == ("missing_required_parameter", "model")
    answer = await house.client.request(
        "POST", "/v1/responses/compact", body={"model": "m", "input": "x", "stream": True}
    )
    assert (answer.status, answer.json()["error"]["code"]) == (400, "unknown_parameter")


@pytest.mark.requirement("compaction:automatic")
async def test_a_stream_shows_the_compaction_before_the_answer(client: AsyncOpenAI) -> None:
    first = await client.responses.create(model="scripted/summary", input=LONG)
    async with client.responses.stream(
        model="scripted/summary",
        input="And my cat?",
        previous_response_id=first.id,
        context_management=WANTED,
    ) as stream:
        kinds = [event.type async for event in stream]
        final = await stream.get_final_response()
    assert kinds.index("response.compaction.compacting") < kinds.index("response.output_text.delta")
    assert [item.type for item in final.output] == ["compaction", "message"]
    third = await client.responses.create(
        model="scripted/summary", input="c", previous_response_id=final.id
    )
    assert third.output_text.startswith("I was told: Summary of 2: My dog is called Rex.")


@pytest.mark.requirement("compaction:conversation")
async def test_a_conversation_is_compacted_and_goes_on(client: AsyncOpenAI) -> None:
    conversation = (await client.conversations.create()).id
    said: Any = {"model": "scripted/summary", "conversation": conversation}
    await client.responses.create(**said, input=LONG)
    made = await client.responses.create(**said, input="b", context_management=WANTED)
    assert [item.type for item in made.output] == ["compaction", "message"]
    third = await client.responses.create(**said, input="c")
    assert third.output_text.startswith("I was told: Summary of 2: My dog is called Rex.")
    items = [item.type async for item in client.conversations.items.list(conversation)]
    assert items.count("compaction") == 1


@pytest.mark.requirement("reasoning:sealed:carried")
async def test_sealed_reasoning_goes_round_by_the_client(client: AsyncOpenAI) -> None:
    asked: Any = {"model": "scripted/rethink", "store": False}
    asked["include"] = ["reasoning.encrypted_content"]
    first = await client.responses.create(**asked, input="one")
    history: Any = [
        {"role": "user", "content": "one"},
        *(
            item.model_dump(exclude={"content"} if item.type == "reasoning" else None)
            for item in first.output
        ),
        {"role": "user", "content": "two"},
    ]
    again = await client.responses.create(
        **asked, input=history, reasoning={"context": "all_turns"}
    )
    assert again.output_text == "I remember: Thought number 1."
    assert again.reasoning is not None and again.reasoning.context == "all_turns"
    current = await client.responses.create(**asked, input=history)
    assert current.input_transformations is not None
    assert current.input_transformations[0].reason == "turn_boundary"


@pytest.mark.requirement("compaction:counted")
async def test_counting_sees_what_the_model_would_be_shown(client: AsyncOpenAI) -> None:
    said: Any = {"model": "scripted/summary", "input": "c"}
    first = await client.responses.create(model="scripted/summary", input=LONG)
    made = await client.responses.create(
        model="scripted/summary",
        input="b",
        previous_response_id=first.id,
        context_management=WANTED,
    )
    asked = client.responses.input_tokens.with_raw_response
    for parent, least, most in ((first.id, 1_000, 4_000), (made.id, 20, 200)):
        raw = await asked.count(**said, previous_response_id=parent)
        assert raw.headers["x-antiphon-token-count"] == "exact"
        counted = raw.parse().input_tokens
        assert least < counted < most
        went_on = await client.responses.create(**said, previous_response_id=parent)
        assert went_on.usage is not None and went_on.usage.input_tokens == counted
