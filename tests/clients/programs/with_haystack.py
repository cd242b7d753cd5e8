"""Haystack: ``OpenAIResponsesChatGenerator``, Azure's, and an agent on top."""

from __future__ import annotations

import json
from typing import Any

from checking import KEY, ROOT, URL, check, run
from haystack.components.agents import Agent
from haystack.components.generators.chat import (
    AzureOpenAIResponsesChatGenerator,
    OpenAIResponsesChatGenerator,
)
from haystack.dataclasses import ChatMessage
from haystack.tools import create_tool_from_function
from haystack.utils import Secret
from pydantic import BaseModel


class Person(BaseModel):
    name: str
    age: int


def get_weather(city: str) -> str:
    """The weather of a city."""
    return f"sunny in {city}"


WEATHER = create_tool_from_function(get_weather)


def model(script: str, **more: Any) -> OpenAIResponsesChatGenerator:
    return OpenAIResponsesChatGenerator(
        model=f"scripted/{script}", api_base_url=URL, max_retries=0, **more
    )


def reply(generator: Any, messages: Any, **more: Any) -> ChatMessage:
    if isinstance(messages, str):
        messages = [ChatMessage.from_user(messages)]
    replies: list[ChatMessage] = generator.run(messages=messages, **more)["replies"]
    assert len(replies) == 1
    return replies[0]


@check
def text() -> None:
    said = reply(model("echo"), "Say this back.")
    assert said.text == "Say this back." and said.meta["usage"]["total_tokens"] > 0


@check
async def text_async() -> None:
    made = await model("echo").run_async(messages=[ChatMessage.from_user("Say this back.")])
    assert made["replies"][0].text == "Say this back."


@check
def streams_the_text() -> None:
    pieces: list[str] = []
    said = reply(model("long-20", streaming_callback=lambda it: pieces.append(it.content)), "Go.")
    assert "".join(pieces) == said.text == reply(model("long-20"), "Go.").text


@check
def tool_round_trip() -> None:
    for more in ({}, {"streaming_callback": lambda _: None}, {"tools_strict": True}):
        generator = model("tools-parallel", tools=[WEATHER], **more)
        messages = [ChatMessage.from_user("Weather?")]
        first = reply(generator, messages)
        assert [call.arguments for call in first.tool_calls] == [{"city": "example"}] * 2
        results = [ChatMessage.from_tool("sunny", origin=call) for call in first.tool_calls]
        said = reply(generator, [*messages, first, *results])
        assert said.text == "The tool said: sunny; sunny"


@check
def structured_output() -> None:
    said = reply(model("json", generation_kwargs={"text_format": Person}), "Who?")
    assert json.loads(said.text or "") == {"name": "example", "age": 1}


@check
def previous_response_id() -> None:
    first = reply(model("recall"), "My name is Ada.")
    asked = {"previous_response_id": first.meta["id"]}
    assert "Ada" in (reply(model("recall"), "Who am I?", generation_kwargs=asked).text or "")


@check
def reasoning_comes_back() -> None:
    kept = {"store": False, "include": ["reasoning.encrypted_content"]}
    generator = model("rethink", generation_kwargs=kept)
    messages = [ChatMessage.from_user("First.")]
    messages += [reply(generator, messages), ChatMessage.from_user("Second.")]
    assert messages[1].reasoning is not None
    assert reply(generator, messages).text == "I remember: Thought number 1."


@check
def an_agent() -> None:
    agent = Agent(chat_generator=model("reasoning-tool"), tools=[WEATHER])
    made = agent.run(messages=[ChatMessage.from_user("Weather?")])
    assert made["last_message"].text == "The tool said: sunny in example"


@check
def azure() -> None:
    generator = AzureOpenAIResponsesChatGenerator(
        api_key=Secret.from_token(KEY),
        azure_endpoint=ROOT,
        azure_deployment="my-deployment",
    )
    assert reply(generator, "Say this back.").text == "Say this back."


if __name__ == "__main__":
    run("haystack-ai", "cat")
