"""Semantic Kernel: the agents over the Responses API, OpenAI's and Azure's, with threads."""

from __future__ import annotations

from typing import Annotated, Any

from checking import KEY, ROOT, check, run
from openai import AsyncAzureOpenAI, AsyncOpenAI
from pydantic import BaseModel
from semantic_kernel.agents import AzureResponsesAgent, OpenAIResponsesAgent
from semantic_kernel.agents.open_ai.openai_responses_agent import ResponsesAgentThread
from semantic_kernel.contents import FunctionCallContent, FunctionResultContent
from semantic_kernel.functions import kernel_function


class Person(BaseModel):
    name: str
    age: int


class Weather:
    """A plugin of one function."""

    @kernel_function(description="The weather of a city.")
    def get_weather(self, city: Annotated[str, "its name"]) -> Annotated[str, "the weather"]:
        return f"sunny in {city}"


def agent(script: str, **more: Any) -> OpenAIResponsesAgent:
    return OpenAIResponsesAgent(
        ai_model_id=f"scripted/{script}",
        client=AsyncOpenAI(),
        name="Helper",
        instructions="Be brief.",
        **more,
    )


@check
async def text() -> None:
    made = await agent("echo").get_response(messages="Say this back.")
    assert str(made.message) == "Say this back."
    assert str((await agent("instructions").get_response(messages="x")).message) == "Be brief."


@check
async def streams_the_text() -> None:
    pieces = [str(it.message) async for it in agent("long-20").invoke_stream(messages="Go.")]
    assert "".join(pieces).endswith("word19 word20") and len(pieces) >= 20


@check
async def a_thread() -> None:
    who, thread = agent("recall"), None
    for said in ("My name is Ada.", "What a day.", "Who am I?"):
        made = await who.get_response(messages=said, thread=thread)
        thread = made.thread
    assert "Ada" in str(made.message)
    assert isinstance(thread, ResponsesAgentThread) and thread.response_id.startswith("resp_")


@check
async def a_thread_without_storage() -> None:
    who, thread = agent("recall", store_enabled=False), None
    for said in ("My name is Ada.", "What a day.", "Who am I?"):
        made = await who.get_response(messages=said, thread=thread)
        thread = made.thread
    assert "Ada" in str(made.message)


@check
async def a_streamed_thread() -> None:
    who, thread = agent("recall"), None
    for said in ("My name is Ada.", "Who am I?"):
        text = ""
        async for piece in who.invoke_stream(messages=said, thread=thread):
            text += str(piece.message)
            thread = piece.thread
    assert "Ada" in text


@check
async def tool_round_trip() -> None:
    # It chains by previous_response_id and sends the question and earlier outputs again.
    seen: list[Any] = []

    async def note(message: Any) -> None:
        seen.extend(message.items)

    who = agent("tool", plugins=[Weather()])
    made = [it async for it in who.invoke(messages="Weather?", on_intermediate_message=note)]
    assert str(made[-1].message) == "The tool said: sunny in example"
    assert any(isinstance(it, FunctionCallContent) for it in seen)
    assert any(isinstance(it, FunctionResultContent) for it in seen)


@check
async def parallel_calls() -> None:
    made = await agent("tools-parallel", plugins=[Weather()]).get_response(messages="Weather?")
    assert str(made.message) == "The tool said: sunny in example; sunny in example"


@check
async def streamed_tool_round_trip() -> None:
    who = agent("tool", plugins=[Weather()])
    pieces = [str(it.message) async for it in who.invoke_stream(messages="Weather?")]
    assert "".join(pieces).endswith("The tool said: sunny in example")


@check
async def the_question_is_there_once() -> None:
    thread = None
    for script, said in (("tool", "Weather?"), ("transcript", "And now?")):
        who = agent(script, plugins=[Weather()])
        made = await who.get_response(messages=said, thread=thread)
        thread = made.thread
    assert str(made.message).count("user: Weather?") == 1, str(made.message)
    assert str(made.message).count("result: sunny in example") == 1, str(made.message)


@check
async def structured_output() -> None:
    text = OpenAIResponsesAgent.configure_response_format(Person)
    made = await agent("json", text=text).get_response(messages="Who?")
    assert Person.model_validate_json(str(made.message)) == Person(name="example", age=1)


@check
async def azure() -> None:
    client = AsyncAzureOpenAI(api_key=KEY, azure_endpoint=ROOT, api_version="2025-03-01-preview")
    who = AzureResponsesAgent(
        ai_model_id="my-tools", client=client, name="Helper", plugins=[Weather()]
    )
    made = await who.get_response(messages="Weather?")
    assert str(made.message) == "The tool said: sunny in example"


if __name__ == "__main__":
    run("semantic-kernel", "sunny")
