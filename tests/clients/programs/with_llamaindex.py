"""LlamaIndex: ``OpenAIResponses`` by itself and in a workflow agent."""

from __future__ import annotations

from typing import Any

from checking import MCP, URL, check, run
from llama_index.core.agent.workflow import AgentStream, FunctionAgent
from llama_index.core.base.llms.types import ImageBlock
from llama_index.core.llms import ChatMessage, TextBlock
from llama_index.core.memory import Memory
from llama_index.core.prompts import PromptTemplate
from llama_index.core.tools import FunctionTool
from llama_index.llms.openai import OpenAIResponses
from pydantic import BaseModel

PNG = (
    b"iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJg"
    b"gg=="
)


class Person(BaseModel):
    name: str
    age: int


def get_weather(city: str) -> str:
    """The weather of a city."""
    return f"sunny in {city}"


WEATHER = FunctionTool.from_defaults(get_weather)


def model(script: str, **more: Any) -> OpenAIResponses:
    # It looks context windows up by the model's name unless it is told.
    asked: Any = {"api_base": URL, "context_window": 100_000, "max_retries": 0, **more}
    return OpenAIResponses(model=f"scripted/{script}", **asked)


@check
def complete() -> None:
    assert model("echo").complete("Say this back.").text == "Say this back."


@check
async def chat_async() -> None:
    said = await model("instructions", instructions="Be brief.").achat([ChatMessage("Now?")])
    assert said.message.content == "Be brief."


@check
def streams_the_text() -> None:
    pieces = list(model("long-20").stream_complete("Go."))
    said = "".join(piece.delta or "" for piece in pieces)
    assert said == model("long-20").complete("Go.").text
    assert pieces[-1].text == said


@check
async def streams_async() -> None:
    stream = await model("echo").astream_chat([ChatMessage("Stream this.")])
    assert "".join([piece.delta or "" async for piece in stream]) == "Stream this."


@check
def tool_round_trip() -> None:
    llm = model("tool")
    said = llm.predict_and_call([WEATHER], user_msg="Weather?")
    assert said.response == "sunny in example"
    history = [ChatMessage("Weather?")]
    first = llm.chat_with_tools([WEATHER], chat_history=history)
    call = llm.get_tool_calls_from_response(first)[0]
    assert call.tool_kwargs == {"city": "example"}
    result = ChatMessage(role="tool", content="sunny", additional_kwargs={"call_id": call.tool_id})
    second = llm.chat_with_tools([WEATHER], chat_history=[*history, first.message, result])
    assert second.message.content == "The tool said: sunny"


@check
async def an_agent() -> None:
    for script in ("each-tool", "reasoning-tool"):
        agent = FunctionAgent(tools=[WEATHER], llm=model(script))
        running = agent.run("Weather?")
        said = "".join([e.delta async for e in running.stream_events() if type(e) is AgentStream])
        answer = str(await running)
        assert answer.endswith("said: sunny in example") and said == answer


@check
async def an_agent_remembers() -> None:
    agent = FunctionAgent(tools=[WEATHER], llm=model("recall"))
    memory = Memory.from_defaults(session_id="ada")
    await agent.run("My name is Ada.", memory=memory)
    assert "Ada" in str(await agent.run("Who am I?", memory=memory))


@check
def structured_output() -> None:
    made = model("json").as_structured_llm(Person).complete("Who?")
    assert made.raw == Person(name="example", age=1)
    predicted = model("json").structured_predict(Person, PromptTemplate("Who is {it}?"), it="it")
    assert predicted == Person(name="example", age=1)


@check
def tracks_previous_responses() -> None:
    llm = model("recall", track_previous_responses=True, store=True)
    llm.chat([ChatMessage("My name is Ada.")])
    assert "Ada" in (llm.chat([ChatMessage("Who am I?")]).message.content or "")


@check
def mcp_server_run_by_ours() -> None:
    tool = {"type": "mcp", "server_label": "it", "server_url": MCP, "require_approval": "never"}
    said = model("tool", built_in_tools=[tool]).chat([ChatMessage("Weather?")])
    assert "sunny in example" in (said.message.content or "")


@check
def images() -> None:
    blocks: Any = [TextBlock(text="What is it?"), ImageBlock(image=PNG, image_mimetype="image/png")]
    said = model("vision").chat([ChatMessage(role="user", blocks=blocks)])
    assert said.message.content == "I see 1 image(s)."


if __name__ == "__main__":
    run("llama-index-llms-openai", "cat")
