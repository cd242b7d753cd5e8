"""pydantic-ai: ``OpenAIResponsesModel`` in agents."""

from __future__ import annotations

import warnings
from typing import Any

from checking import MCP, check, run
from pydantic import BaseModel
from pydantic_ai import Agent, DeferredToolRequests, NativeOutput
from pydantic_ai.capabilities import NativeTool
from pydantic_ai.messages import ModelMessagesTypeAdapter, ThinkingPart
from pydantic_ai.models.openai import OpenAIResponsesModel, OpenAIResponsesModelSettings
from pydantic_ai.native_tools import MCPServerTool


class Person(BaseModel):
    name: str
    age: int


def get_weather(city: str) -> str:
    """The weather of a city."""
    return f"sunny in {city}"


def agent(script: str, settings: Any = None, **more: Any) -> Agent[None, Any]:
    model = OpenAIResponsesModel(f"scripted/{script}")
    return Agent(model, model_settings=OpenAIResponsesModelSettings(**(settings or {})), **more)


@check
async def text() -> None:
    made = await agent("echo").run("Say this back.")
    assert made.output == "Say this back."
    assert made.usage.output_tokens > 0
    told = await agent("instructions", instructions="Be brief.").run("What now?")
    assert told.output == "Be brief."


@check
async def streams_the_text() -> None:
    async with agent("long-20").run_stream("Go.") as stream:
        pieces = [piece async for piece in stream.stream_text(delta=True, debounce_by=None)]
        said = await stream.get_output()
    assert "".join(pieces) == said and len(pieces) == 20


@check
async def tool_round_trip() -> None:
    for script in ("tool", "reasoning-tool", "text-then-tool"):
        made = await agent(script, tools=[get_weather]).run("Weather?")
        assert made.output == "The tool said: sunny in example"


@check
async def tool_round_trip_streamed() -> None:
    async with agent("tools-parallel", tools=[get_weather]).run_stream("Weather?") as stream:
        said = await stream.get_output()
    assert said == "The tool said: sunny in example; sunny in example"


@check
async def structured_output() -> None:
    person = Person(name="example", age=1)
    assert (await agent("tool", output_type=Person).run("Who?")).output == person
    assert (await agent("json", output_type=NativeOutput(Person)).run("Who?")).output == person
    async with agent("json", output_type=NativeOutput(Person)).run_stream("Who?") as stream:
        assert await stream.get_output() == person


@check
async def many_turns() -> None:
    who = agent("recall")
    first = await who.run("My name is Ada.")
    kept = ModelMessagesTypeAdapter.validate_json(first.all_messages_json())
    assert "Ada" in (await who.run("Who am I?", message_history=kept)).output


@check
async def previous_response_id() -> None:
    who = agent("recall", {"openai_previous_response_id": "auto"})
    first = await who.run("My name is Ada.")
    second = await who.run("Who am I?", message_history=first.all_messages())
    assert "Ada" in second.output
    told = await agent("transcript", {"openai_previous_response_id": "auto"}).run(
        "And?", message_history=second.all_messages()
    )
    assert told.output.count("My name is Ada.") == 1


@check
async def a_conversation_of_the_server() -> None:
    from openai import AsyncOpenAI

    talk = await AsyncOpenAI().conversations.create()
    who = agent("recall", {"openai_conversation_id": talk.id})
    await who.run("My name is Ada.")
    assert "Ada" in (await who.run("Who am I?")).output


@check
async def reasoning_comes_back() -> None:
    who = agent("rethink", {"openai_store": False})
    first = await who.run("First.")
    assert any(isinstance(part, ThinkingPart) for part in first.all_messages()[-1].parts)
    second = await who.run("Second.", message_history=first.all_messages())
    assert second.output == "I remember: Thought number 1."


@check
async def in_the_background() -> None:
    made = await agent("slow-5ms", {"openai_background": True}).run("Count.")
    assert made.output.endswith("nine ten")


@check
async def over_a_websocket() -> None:
    who = agent("tool", {"openai_transport": "websocket"}, tools=[get_weather])
    # It warns when it falls back to HTTP.
    with warnings.catch_warnings(action="error", category=UserWarning):
        assert (await who.run("Weather?")).output == "The tool said: sunny in example"


@check
async def mcp_server_run_by_ours() -> None:
    server = MCPServerTool(id="it", url=MCP)
    who = agent("tool", capabilities=[NativeTool(server)])
    made = await who.run("Weather?")
    assert "sunny in example" in made.output
    again = await who.run("And now?", message_history=made.all_messages())
    assert "sunny in example" in again.output


@check
async def a_call_somebody_else_answers() -> None:
    who = agent("tool", output_type=[str, DeferredToolRequests])

    @who.tool_plain(requires_approval=True)
    def erase(path: str) -> str:
        return f"erased {path}"

    made = await who.run("Erase it.")
    assert isinstance(made.output, DeferredToolRequests)
    call = made.output.approvals[0]
    assert call.args_as_dict() == {"path": "example"}
    approved = made.output.build_results(approve_all=True)
    done = await who.run(message_history=made.all_messages(), deferred_tool_results=approved)
    assert done.output == "The tool said: erased example"


if __name__ == "__main__":
    run("pydantic-ai-slim", "sunny")
