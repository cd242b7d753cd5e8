"""The Agents SDK: its agents, tools, handoffs, sessions, both transports and MCP servers."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import agents
from agents import (
    Agent,
    ModelSettings,
    MultiProvider,
    OpenAIConversationsSession,
    OpenAIResponsesCompactionSession,
    RunConfig,
    Runner,
    SQLiteSession,
    function_tool,
    responses_websocket_session,
)
from agents.mcp import MCPServerStdio
from checking import ROOT, check, run
from openai import AsyncOpenAI
from pydantic import BaseModel

# Our model names have a slash, which this SDK would take for the name of a provider.
PROVIDER = MultiProvider(unknown_prefix_mode="model_id")
CONFIG = RunConfig(model_provider=PROVIDER, tracing_disabled=True)


class Person(BaseModel):
    name: str
    age: int


@function_tool
def get_weather(city: str) -> str:
    """The weather of a city."""
    return f"sunny in {city}"


def agent(script: str, **more: Any) -> Agent[Any]:
    return Agent(name="Helper", instructions="Be brief.", model=f"scripted/{script}", **more)


async def ask(who: Agent[Any], said: Any, **more: Any) -> Any:
    return await Runner.run(who, said, run_config=CONFIG, **more)


@check
async def text() -> None:
    assert (await ask(agent("echo"), "Say this back.")).final_output == "Say this back."
    assert (await ask(agent("instructions"), "What now?")).final_output == "Be brief."


@check
async def streams_the_text() -> None:
    result = Runner.run_streamed(agent("echo"), "Stream this.", run_config=CONFIG)
    said = [
        event.data.delta
        async for event in result.stream_events()
        if event.type == "raw_response_event" and event.data.type == "response.output_text.delta"
    ]
    assert "".join(said) == result.final_output == "Stream this."


@check
async def tool_round_trip() -> None:
    for script in ("tool", "reasoning-tool", "text-then-tool"):
        result = await ask(agent(script, tools=[get_weather]), "Weather?")
        assert result.final_output == "The tool said: sunny in example"


@check
async def parallel_calls_streamed() -> None:
    who = agent("tools-parallel", tools=[get_weather])
    result = Runner.run_streamed(who, "Weather?", run_config=CONFIG)
    kinds = [e.item.type async for e in result.stream_events() if e.type == "run_item_stream_event"]
    assert kinds.count("tool_call_item") == kinds.count("tool_call_output_item") == 2
    assert result.final_output == "The tool said: sunny in example; sunny in example"


@check
async def structured_output() -> None:
    result = await ask(agent("json", output_type=Person), "Who?")
    assert result.final_output == Person(name="example", age=1)


@check
async def handoff() -> None:
    specialist = Agent(name="Specialist", instructions="Help.", model="scripted/transcript")
    result = await ask(agent("tool", handoffs=[specialist]), "I need a specialist.")
    assert result.last_agent.name == "Specialist"
    assert "I need a specialist." in result.final_output
    assert "transfer_to_specialist" in result.final_output


@check
async def agent_as_a_tool() -> None:
    helper = agent("hello").as_tool("ask_helper", "Asks the helper.")
    result = await ask(agent("each-tool", tools=[helper, get_weather]), "Both.")
    assert result.final_output == (
        "The tools said: Hello! How can I help you today?; sunny in example"
    )


@check
async def sqlite_session() -> None:
    session = SQLiteSession("ada", Path("session.db"))
    await ask(agent("recall"), "My name is Ada.", session=session)
    assert "Ada" in (await ask(agent("recall"), "Who am I?", session=session)).final_output
    assert len(await session.get_items()) == 4


@check
async def conversations_session() -> None:
    session = OpenAIConversationsSession()
    first = await ask(agent("tool", tools=[get_weather]), "My name is Ada.", session=session)
    assert first.final_output == "The tool said: sunny in example"
    assert "Ada" in (await ask(agent("recall"), "Who am I?", session=session)).final_output
    items: Any = await session.get_items()
    assert [item.get("role", item["type"]) for item in items] == [
        *("user", "function_call", "function_call_output", "assistant"),
        *("user", "assistant"),
    ]
    assert (await session.pop_item())["role"] == "assistant"
    assert len(await session.get_items()) == 5
    await session.clear_session()


@check
async def compaction_session() -> None:
    session = OpenAIResponsesCompactionSession(
        "ada",
        SQLiteSession("ada", Path("compacted.db")),
        # It takes the names of OpenAI's models only; a deployment of Azure's flavour may have one.
        client=AsyncOpenAI(base_url=f"{ROOT}/openai/v1/"),
        model="gpt-4.1",
        should_trigger_compaction=lambda asked: len(asked["compaction_candidate_items"]) >= 2,
    )
    who = agent("summary")
    for said in ("My dog is called Rex.", "He is brown.", "He likes walks."):
        result = await ask(who, said, session=session)
    assert "Rex" in result.final_output
    assert "compaction" in [item.get("type") for item in await session.get_items()]


@check
async def server_side_state() -> None:
    first = await ask(agent("recall"), "My name is Ada.")
    asked = {"previous_response_id": first.last_response_id}
    assert "Ada" in (await ask(agent("recall"), "Who am I?", **asked)).final_output
    talk = await AsyncOpenAI().conversations.create()
    await ask(agent("recall"), "My name is Bo.", conversation_id=talk.id)
    second = await ask(agent("recall"), "Who am I?", conversation_id=talk.id)
    assert "Bo" in second.final_output


@check
async def stateless() -> None:
    settings = ModelSettings(store=False, response_include=["reasoning.encrypted_content"])
    who = agent("reasoning-tool", tools=[get_weather], model_settings=settings)
    assert (await ask(who, "Weather?")).final_output == "The tool said: sunny in example"


@check
async def websocket_transport() -> None:
    async with responses_websocket_session(unknown_prefix_mode="model_id") as session:
        first = session.run_streamed(agent("tool", tools=[get_weather]), "Weather?")
        async for _ in first.stream_events():
            pass
        assert first.final_output == "The tool said: sunny in example"
        second = await session.run(
            agent("recall"), "My name is Ada.", previous_response_id=first.last_response_id
        )
        assert "Ada" in second.final_output


@check
async def mcp_server_of_the_client() -> None:
    program = Path(__file__).with_name("weather_mcp.py")
    async with MCPServerStdio({"command": sys.executable, "args": [str(program)]}) as server:
        result = await ask(agent("tool", mcp_servers=[server]), "Weather?")
    assert "sunny in example" in result.final_output


@check
async def ends_an_endless_agent() -> None:
    try:
        await ask(agent("endless-tools", tools=[get_weather]), "Go.", max_turns=3)
    except agents.MaxTurnsExceeded:
        return
    raise AssertionError("it went on")


if __name__ == "__main__":
    run("openai-agents", "sunny")
