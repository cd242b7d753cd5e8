"""Microsoft Agent Framework: ``OpenAIChatClient``, which speaks the Responses API."""

from __future__ import annotations

from typing import Annotated, Any

from agent_framework import Agent, AgentSession, Message, tool
from agent_framework.openai import OpenAIChatClient
from checking import KEY, MCP, ROOT, check, run
from pydantic import BaseModel, Field


class Person(BaseModel):
    name: str
    age: int


@tool
def get_weather(city: Annotated[str, Field(description="its name")]) -> str:
    """The weather of a city."""
    return f"sunny in {city}"


def agent(script: str, **more: Any) -> Agent[Any]:
    client = OpenAIChatClient(model=f"scripted/{script}")
    return Agent(client, instructions="Be brief.", name="Helper", **more)


@check
async def text() -> None:
    made = await agent("echo").run("Say this back.")
    assert made.text == "Say this back."
    assert (await agent("instructions").run("x")).text == "Be brief."


@check
async def streams_the_text() -> None:
    stream = agent("long-20").run("Go.", stream=True)
    contents = [content async for update in stream for content in update.contents]
    final = await stream.get_final_response()
    # Behind its pieces it tells each text again, marked so.
    said: dict[str, list[str]] = {"append": [], "replace": []}
    for content in contents:
        if content.type == "text":
            said[content.merge_mode or "append"].append(content.text or "")
    assert "".join(said["append"]) == "".join(said["replace"]) == final.text
    assert final.text.endswith("word20")


@check
async def tool_round_trip() -> None:
    for script in ("tool", "reasoning-tool", "text-then-tool"):
        made = await agent(script, tools=[get_weather]).run("Weather?")
        assert made.text.endswith("The tool said: sunny in example")


@check
async def parallel_calls_streamed() -> None:
    stream = agent("tools-parallel", tools=[get_weather]).run("Weather?", stream=True)
    async for _ in stream:
        pass
    final = await stream.get_final_response()
    assert final.text == "The tool said: sunny in example; sunny in example"


@check
async def structured_output() -> None:
    made = await agent("json").run("Who?", options={"response_format": Person})
    assert made.value == Person(name="example", age=1)


@check
async def a_session() -> None:
    who = agent("recall")
    session = who.create_session()
    await who.run("My name is Ada.", session=session)
    assert "Ada" in (await who.run("Who am I?", session=session)).text
    kept = AgentSession.from_dict(session.to_dict())
    assert "Ada" in (await who.run("And again?", session=kept)).text


@check
async def a_session_with_tools() -> None:
    session = agent("tool").create_session()
    await agent("tool", tools=[get_weather]).run("Weather?", session=session)
    told = (await agent("transcript").run("And now?", session=session)).text
    assert told.count("Weather?") == 1 and told.count("result: sunny in example") == 1


@check
async def a_session_without_storage() -> None:
    asked: Any = {"store": False, "include": ["reasoning.encrypted_content"]}
    who = agent("reasoning-tool", tools=[get_weather], default_options=asked)
    session = who.create_session()
    for _ in range(2):
        made = await who.run("Weather?", session=session)
        assert made.text == "The tool said: sunny in example"


@check
async def a_conversation_of_the_server() -> None:
    from openai import AsyncOpenAI

    talk = await AsyncOpenAI().conversations.create()
    who = agent("recall")
    asked: Any = {"conversation_id": talk.id}
    await who.run("My name is Ada.", options=asked)
    assert "Ada" in (await who.run("Who am I?", options=asked)).text


@check
async def the_chat_client_by_itself() -> None:
    client = OpenAIChatClient(model="scripted/vision")
    made = await client.get_response([Message("user", ["What is it?"])])
    assert made.text == "I see 0 image(s)."


@check
async def mcp_server_run_by_ours() -> None:
    server = OpenAIChatClient.get_mcp_tool(name="it", url=MCP, approval_mode="never_require")
    made = await agent("tool", tools=[server]).run("Weather?")
    assert "sunny in example" in made.text


@check
async def its_own_shell() -> None:
    ran: list[str] = []

    def execute(command: str) -> str:
        ran.append(command)
        return "done"

    shell = OpenAIChatClient.get_shell_tool(func=execute, approval_mode="never_require")
    made = await agent("commands", tools=[shell]).run("echo one")
    assert ran == ["echo one"] and "done" in made.text


@check
async def azure() -> None:
    client = OpenAIChatClient(
        model="my-tools", azure_endpoint=ROOT, api_key=KEY, api_version="2025-03-01-preview"
    )
    made = await Agent(client, tools=[get_weather]).run("Weather?")
    assert made.text == "The tool said: sunny in example"


if __name__ == "__main__":
    run("agent-framework-openai", "sunny")
