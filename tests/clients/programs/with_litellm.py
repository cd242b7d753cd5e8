"""LiteLLM as a client: ``litellm.responses`` and the bridge from its completions."""

from __future__ import annotations

import json
from typing import Any

import litellm
from checking import KEY, ROOT, URL, check, run
from pydantic import BaseModel

HERE: dict[str, Any] = {"api_base": URL, "api_key": KEY}
TOOL: Any = {
    "type": "function",
    "name": "get_weather",
    "description": "The weather of a city.",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
        "additionalProperties": False,
    },
}


class Person(BaseModel):
    name: str
    age: int


def model(script: str) -> str:
    return f"openai/scripted/{script}"


@check
def text() -> None:
    made: Any = litellm.responses(model=model("echo"), input="Say this back.", **HERE)
    assert made.output_text == "Say this back." and made.usage.total_tokens > 0


@check
async def text_async() -> None:
    made: Any = await litellm.aresponses(model=model("echo"), input="Say this back.", **HERE)
    assert made.output_text == "Say this back."


@check
def streams_the_text() -> None:
    stream: Any = litellm.responses(model=model("long-20"), input="Go.", stream=True, **HERE)
    events = list(stream)
    said = "".join(e.delta for e in events if e.type == "response.output_text.delta")
    assert events[-1].type == "response.completed"
    assert said == events[-1].response.output_text and said.endswith("word20")


@check
async def streams_async() -> None:
    stream: Any = await litellm.aresponses(
        model=model("echo"), input="Stream this.", stream=True, **HERE
    )
    said = [e.delta async for e in stream if e.type == "response.output_text.delta"]
    assert "".join(said) == "Stream this."


@check
def tool_round_trip() -> None:
    asked: Any = {"model": model("reasoning-tool"), "tools": [TOOL], **HERE}
    first: Any = litellm.responses(input="Weather?", **asked)
    call = next(item for item in first.output if item.type == "function_call")
    assert json.loads(call.arguments) == {"city": "example"}
    result = {"type": "function_call_output", "call_id": call.call_id, "output": "sunny"}
    second: Any = litellm.responses(input=[result], previous_response_id=first.id, **asked)
    assert second.output_text == "The tool said: sunny"


@check
def structured_output() -> None:
    made: Any = litellm.responses(model=model("json"), input="Who?", text_format=Person, **HERE)
    assert Person.model_validate_json(made.output_text) == Person(name="example", age=1)


@check
def stored_responses() -> None:
    made: Any = litellm.responses(model=model("echo"), input="Keep this.", **HERE)
    again: Any = litellm.get_responses(response_id=made.id, custom_llm_provider="openai", **HERE)
    assert again.output_text == "Keep this."
    items: Any = litellm.list_input_items(response_id=made.id, custom_llm_provider="openai", **HERE)
    assert items["data"][0]["content"][0]["text"] == "Keep this."
    gone: Any = litellm.delete_responses(response_id=made.id, custom_llm_provider="openai", **HERE)
    assert gone.deleted


@check
def completions_over_responses() -> None:
    asked: Any = {"messages": [{"role": "user", "content": "Say this back."}], **HERE}
    made: Any = litellm.completion(model="openai/responses/scripted/echo", **asked)
    assert made.choices[0].message.content == "Say this back."
    stream: Any = litellm.completion(model="openai/responses/scripted/echo", stream=True, **asked)
    said = [piece.choices[0].delta.content or "" for piece in stream]
    assert "".join(said) == "Say this back."


@check
def tools_over_the_bridge() -> None:
    function = {key: value for key, value in TOOL.items() if key != "type"}
    messages: list[Any] = [{"role": "user", "content": "Weather?"}]
    asked: Any = {
        "model": "openai/responses/scripted/tool",
        "tools": [{"type": "function", "function": function}],
        **HERE,
    }
    first: Any = litellm.completion(messages=messages, **asked)
    call = first.choices[0].message.tool_calls[0]
    messages += [
        first.choices[0].message.model_dump(),
        {"role": "tool", "tool_call_id": call.id, "content": "sunny"},
    ]
    second: Any = litellm.completion(messages=messages, **asked)
    assert second.choices[0].message.content == "The tool said: sunny"


@check
def azure() -> None:
    made: Any = litellm.responses(
        model="azure/my-deployment",
        input="Say this back.",
        api_base=ROOT,
        api_key=KEY,
        api_version="2025-03-01-preview",
    )
    assert made.output_text == "Say this back."


@check
def errors_have_their_classes() -> None:
    for kind, asked in (
        (litellm.BadRequestError, {"model": model("echo"), "temperature": 9}),
        (litellm.NotFoundError, {"model": "openai/no-such-model"}),
        (litellm.RateLimitError, {"model": model("error-429")}),
    ):
        try:
            litellm.responses(input="x", num_retries=0, **asked, **HERE)
        except kind:
            continue
        raise AssertionError(f"{asked} went well")


if __name__ == "__main__":
    run("litellm", "cat")
