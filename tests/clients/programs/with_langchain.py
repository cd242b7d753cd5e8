"""LangChain: ``ChatOpenAI`` and ``AzureChatOpenAI`` over the Responses API, and an agent on top."""

from __future__ import annotations

from typing import Any

from checking import MCP, ROOT, check, run
from langchain.agents import create_agent
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import AzureChatOpenAI, ChatOpenAI
from pydantic import BaseModel


class Person(BaseModel):
    name: str
    age: int


@tool
def get_weather(city: str) -> str:
    """The weather of a city."""
    return f"sunny in {city}"


def model(script: str, **more: Any) -> ChatOpenAI:
    return ChatOpenAI(model=f"scripted/{script}", use_responses_api=True, max_retries=0, **more)


def text_of(message: Any) -> str:
    return str(message.text)


@check
def invoke() -> None:
    said = model("echo").invoke("Say this back.")
    assert text_of(said) == "Say this back."
    assert said.response_metadata["id"].startswith("resp_")
    assert said.usage_metadata["total_tokens"] > 0


@check
async def invoke_async() -> None:
    assert text_of(await model("echo").ainvoke("Say this back.")) == "Say this back."


@check
def streams_the_text() -> None:
    pieces = list(model("long-20").stream("Go."))
    said = "".join(text_of(piece) for piece in pieces)
    assert said == text_of(model("long-20").invoke("Go.")) and len(pieces) > 20


@check
def streams_typed_blocks() -> None:
    whole: Any = None
    for piece in model("reasoning", output_version="v1").stream("Hear me."):
        whole = piece if whole is None else whole + piece
    assert text_of(whole) == "Hear me."
    assert [block["type"] for block in whole.content_blocks] == ["reasoning", "text"]


@check
def tool_round_trip() -> None:
    bound = model("tool").bind_tools([get_weather])
    messages: list[Any] = [HumanMessage("Weather?")]
    first = bound.invoke(messages)
    call = first.tool_calls[0]
    assert call["args"] == {"city": "example"}
    messages += [first, ToolMessage(get_weather.invoke(call["args"]), tool_call_id=call["id"])]
    assert text_of(bound.invoke(messages)) == "The tool said: sunny in example"


@check
def streamed_calls_round_trip() -> None:
    bound = model("tools-parallel").bind_tools([get_weather])
    first: Any = None
    for piece in bound.stream("Weather?"):
        first = piece if first is None else first + piece
    assert [call["args"] for call in first.tool_calls] == [{"city": "example"}] * 2
    results = [ToolMessage("sunny", tool_call_id=call["id"]) for call in first.tool_calls]
    said = bound.invoke([HumanMessage("Weather?"), first, *results])
    assert text_of(said) == "The tool said: sunny; sunny"


@check
def structured_output() -> None:
    made = model("json").with_structured_output(Person, method="json_schema")
    assert made.invoke("Who?") == Person(name="example", age=1)
    called = model("tool").with_structured_output(Person, method="function_calling")
    assert called.invoke("Who?") == Person(name="example", age=1)


@check
def previous_response_id() -> None:
    asked = model("recall")
    first = asked.invoke("My name is Ada.")
    chained = asked.invoke("Who am I?", previous_response_id=first.response_metadata["id"])
    assert "Ada" in text_of(chained)
    itself = model("recall", use_previous_response_id=True)
    assert "Ada" in text_of(itself.invoke([HumanMessage("x"), first, HumanMessage("Who am I?")]))


@check
def many_turns_without_storage() -> None:
    asked = model(
        "rethink", store=False, include=["reasoning.encrypted_content"], output_version="v1"
    )
    messages: list[Any] = [SystemMessage("Be brief."), HumanMessage("First.")]
    messages += [asked.invoke(messages), HumanMessage("Second.")]
    assert isinstance(messages[2], AIMessage)
    assert text_of(asked.invoke(messages)) == "I remember: Thought number 1."


@check
def an_agent() -> None:
    agent = create_agent(model("each-tool"), tools=[get_weather])
    asked: Any = {"messages": [HumanMessage("Weather?")]}
    assert text_of(agent.invoke(asked)["messages"][-1]) == "The tools said: sunny in example"


@check
def mcp_server_run_by_ours() -> None:
    tool = {"type": "mcp", "server_label": "it", "server_url": MCP, "require_approval": "never"}
    bound = model("tool", output_version="responses/v1").bind_tools([tool])
    said = bound.invoke("Weather?")
    assert "sunny in example" in text_of(said)
    kinds = [block["type"] for block in said.content if isinstance(block, dict)]
    assert kinds == ["mcp_list_tools", "mcp_call", "text"]
    again = bound.invoke([HumanMessage("Weather?"), said, HumanMessage("And now?")])
    assert "sunny in example" in text_of(again)


@check
def azure() -> None:
    asked: Any = {
        "azure_deployment": "my-deployment",
        "azure_endpoint": ROOT,
        "api_version": "2025-03-01-preview",
        "use_responses_api": True,
    }
    client = AzureChatOpenAI(**asked)
    assert text_of(client.invoke("Say this back.")) == "Say this back."
    assert "".join(text_of(it) for it in client.stream("Stream this.")) == "Stream this."


if __name__ == "__main__":
    run("langchain-openai", "sunny")
