"""Strands Agents: ``OpenAIResponsesModel`` with the history here and with the history there."""

from __future__ import annotations

from typing import Any

from checking import KEY, URL, check, run
from pydantic import BaseModel
from strands import Agent, tool
from strands.models.openai_responses import OpenAIResponsesModel


class Person(BaseModel):
    """A person."""

    name: str
    age: int


@tool
def get_weather(city: str) -> str:
    """The weather of a city."""
    return f"sunny in {city}"


def model(script: str, **more: Any) -> OpenAIResponsesModel:
    arguments = {"base_url": URL, "api_key": KEY, "max_retries": 0}
    return OpenAIResponsesModel(arguments, model_id=f"scripted/{script}", **more)


def agent(script: str, asked: Any = None, **more: Any) -> Agent:
    return Agent(model=model(script, **(asked or {})), callback_handler=None, **more)


def text_of(result: Any) -> str:
    return str(result).strip()


@check
def text() -> None:
    assert text_of(agent("echo")("Say this back.")) == "Say this back."
    assert text_of(agent("instructions", system_prompt="Be brief.")("x")) == "Be brief."


@check
async def streams_the_text() -> None:
    pieces = [e["data"] async for e in agent("long-20").stream_async("Go.") if "data" in e]
    assert len(pieces) == 20 and "".join(pieces).endswith("word20")


@check
def tool_round_trip() -> None:
    for script in ("tool", "reasoning-tool", "text-then-tool"):
        said = text_of(agent(script, tools=[get_weather])("Weather?"))
        assert said.endswith("The tool said: sunny in example")


@check
def parallel_calls() -> None:
    said = text_of(agent("tools-parallel", tools=[get_weather])("Weather?"))
    assert said == "The tool said: sunny in example; sunny in example"


@check
def structured_output() -> None:
    asked = agent("tool")("Who?", structured_output_model=Person)  # by a tool
    assert asked.structured_output == Person(name="example", age=1)


@check
async def structured_output_by_schema() -> None:
    messages: Any = [{"role": "user", "content": [{"text": "Who?"}]}]
    events = [event async for event in model("json").structured_output(Person, messages)]
    assert events[-1] == {"output": Person(name="example", age=1)}


@check
def many_turns() -> None:
    who = agent("recall")
    who("My name is Ada.")
    assert "Ada" in text_of(who("Who am I?"))


@check
def many_turns_with_state_at_the_server() -> None:
    who = agent("recall", {"stateful": True})
    who("My name is Ada.")
    assert "Ada" in text_of(who("Who am I?"))
    tooled = agent("tool", {"stateful": True}, tools=[get_weather])
    assert text_of(tooled("Weather?")) == "The tool said: sunny in example"


@check
async def counts_tokens_at_the_server() -> None:
    counting = model("echo", use_native_token_count=True)
    messages: Any = [{"role": "user", "content": [{"text": "How many are these?"}]}]
    assert await counting.count_tokens(messages) > 0


if __name__ == "__main__":
    run("strands-agents", "sunny")
