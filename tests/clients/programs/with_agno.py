"""Agno: ``OpenAIResponses`` in agents."""

from __future__ import annotations

from typing import Any

from agno.agent import Agent, RunEvent
from agno.db.in_memory import InMemoryDb
from agno.models.openai import OpenAIResponses
from checking import URL, check, run
from pydantic import BaseModel


class Person(BaseModel):
    name: str
    age: int


def get_weather(city: str) -> str:
    """The weather of a city."""
    return f"sunny in {city}"


def agent(script: str, model: Any = None, **more: Any) -> Agent:
    llm = OpenAIResponses(id=f"scripted/{script}", base_url=URL, max_retries=0, **(model or {}))
    return Agent(model=llm, telemetry=False, **more)


@check
def text() -> None:
    assert agent("echo").run("Say this back.").content == "Say this back."


@check
async def text_async() -> None:
    made = await agent("echo").arun("Say this back.")
    assert made.content == "Say this back." and made.metrics.output_tokens > 0


@check
def streams_the_text() -> None:
    pieces = [
        event.content or ""
        for event in agent("long-20").run("Go.", stream=True)
        if event.event == RunEvent.run_content.value
    ]
    assert len(pieces) >= 20 and "".join(pieces).endswith("word20")


@check
def tool_round_trip() -> None:
    for script in ("tool", "reasoning-tool", "text-then-tool"):
        made = agent(script, tools=[get_weather]).run("Weather?")
        assert made.content.endswith("The tool said: sunny in example")


@check
def parallel_calls_streamed() -> None:
    events = agent("tools-parallel", tools=[get_weather]).run("Weather?", stream=True)
    said = "".join(e.content or "" for e in events if e.event == RunEvent.run_content.value)
    assert said == "The tool said: sunny in example; sunny in example"


@check
def structured_output() -> None:
    made = agent("json", output_schema=Person).run("Who?")
    assert made.content == Person(name="example", age=1)


@check
def a_session() -> None:
    who = agent("recall", db=InMemoryDb(), session_id="ada", add_history_to_context=True)
    who.run("My name is Ada.")
    assert "Ada" in who.run("Who am I?").content


@check
def without_storage() -> None:
    more = {"store": False, "include": ["reasoning.encrypted_content"]}
    made = agent("reasoning-tool", more, tools=[get_weather]).run("Weather?")
    assert made.content == "The tool said: sunny in example"


@check
def in_the_background() -> None:
    more = {"background": True, "background_poll_interval": 0.05}
    assert agent("slow-5ms", more).run("Count.").content.endswith("ten")


if __name__ == "__main__":
    run("agno", "sunny")
