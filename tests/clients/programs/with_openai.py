"""The official Python client, which here raises at every value its types do not allow."""

from __future__ import annotations

import json
from typing import Any

import openai
from checking import KEY, URL, check, run
from openai import AsyncOpenAI, OpenAI
from openai.lib.responses_tool_runner import RegisteredFunction, ResponsesToolRunner
from openai.lib.responses_websocket import ResponsesWebSocketLimits, ResponsesWebSocketSession
from pydantic import BaseModel

strictly: dict[str, Any] = {
    "base_url": URL,
    "api_key": KEY,
    "max_retries": 0,
    "_strict_response_validation": True,
}
client = OpenAI(**strictly)
LIMITS = ResponsesWebSocketLimits(
    max_lanes=4,
    max_events_per_lane=256,
    max_events=512,
    max_bytes_per_lane=2**24,
    max_bytes=2**25,
)


PNG = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGA"
    "WjR9awAAAABJRU5ErkJggg=="
)


class Weather(BaseModel):
    """The weather of a city."""

    city: str


class Person(BaseModel):
    name: str
    age: int


WEATHER = openai.pydantic_responses_function_tool(Weather, name="get_weather")


def numbered(events: list[Any]) -> bool:
    return [event.sequence_number for event in events] == list(range(len(events)))


@check
def creates() -> None:
    made = client.responses.create(model="scripted/echo", input="Say this back.")
    assert made.output_text == "Say this back."
    assert made.usage is not None and made.usage.total_tokens > 0


@check
async def creates_async() -> None:
    async with AsyncOpenAI(**strictly) as asynchronous:
        made = await asynchronous.responses.create(model="scripted/echo", input="Say this back.")
    assert made.output_text == "Say this back."


@check
def streams_the_text_it_stores() -> None:
    events = list(client.responses.create(model="scripted/long-20", input="Go.", stream=True))
    said = "".join(e.delta for e in events if e.type == "response.output_text.delta")
    assert numbered(events) and events[-1].type == "response.completed"
    assert said == events[-1].response.output_text
    assert client.responses.retrieve(events[-1].response.id).output_text == said


@check
def stream_helper_gives_the_final_response() -> None:
    with client.responses.stream(model="scripted/reasoning", input="Hear me.") as stream:
        said = "".join(e.delta for e in stream if e.type == "response.output_text.delta")
        final = stream.get_final_response()
    assert final.output_text == said == "Hear me."
    assert [item.type for item in final.output] == ["reasoning", "message"]


@check
async def stream_helper_async() -> None:
    asked: Any = {"model": "scripted/echo", "input": "Hear me."}
    async with (
        AsyncOpenAI(**strictly) as asynchronous,
        asynchronous.responses.stream(**asked) as stream,
    ):
        said = [e.delta async for e in stream if e.type == "response.output_text.delta"]
        final = await stream.get_final_response()
    assert final.output_text == "".join(said) == "Hear me."


@check
def parses_structured_output() -> None:
    asked: Any = {"model": "scripted/json", "input": "Who?", "text_format": Person}
    assert client.responses.parse(**asked).output_parsed == Person(name="example", age=1)
    with client.responses.stream(**asked) as stream:
        list(stream)
        assert stream.get_final_response().output_parsed == Person(name="example", age=1)


@check
def tool_round_trip() -> None:
    first = client.responses.parse(model="scripted/tool", input="Weather?", tools=[WEATHER])
    call = first.output[0]
    assert call.type == "function_call" and call.parsed_arguments == Weather(city="example")
    result: Any = {"type": "function_call_output", "call_id": call.call_id, "output": "sunny"}
    second = client.responses.create(
        model="scripted/tool", input=[result], previous_response_id=first.id, tools=[WEATHER]
    )
    assert second.output_text == "The tool said: sunny"


@check
def tool_round_trip_without_storage() -> None:
    items: list[Any] = [{"role": "user", "content": "Weather?"}]
    asked: Any = {
        "tools": [WEATHER],
        "store": False,
        "include": ["reasoning.encrypted_content"],
    }
    first = client.responses.create(model="scripted/reasoning-tool", input=items, **asked)
    assert first.output[0].type == "reasoning" and first.output[0].encrypted_content
    items += [item.to_dict() for item in first.output]
    call: Any = first.output[1]
    items += [{"type": "function_call_output", "call_id": call.call_id, "output": "sunny"}]
    second = client.responses.create(model="scripted/reasoning-tool", input=items, **asked)
    assert second.output_text == "The tool said: sunny"


@check
def tool_runner() -> None:
    asked: list[str] = []

    def look(arguments: Any) -> str:
        asked.append(arguments.city)
        return "sunny"

    runner = ResponsesToolRunner(functions=[RegisteredFunction.from_tool(WEATHER, execute=look)])
    for stream in (False, True):
        made = runner.run(
            client,
            {"model": "scripted/tools-parallel", "input": "Weather?", "store": True},
            max_steps=4,
            stream=stream,
        )
        assert made.output_text == "The tool said: sunny; sunny"
    assert asked == ["example"] * 4


@check
def chains() -> None:
    first = client.responses.create(model="scripted/recall", input="My name is Ada.")
    asked: Any = {"model": "scripted/recall", "input": "Who am I?"}
    assert "Ada" in client.responses.create(previous_response_id=first.id, **asked).output_text
    assert "Ada" not in client.responses.create(**asked).output_text


@check
def conversations() -> None:
    talk = client.conversations.create(metadata={"of": "clients"})
    client.responses.create(model="scripted/recall", input="My name is Ada.", conversation=talk.id)
    asked: Any = {"model": "scripted/recall", "input": "Who am I?", "conversation": talk.id}
    with client.responses.stream(**asked) as stream:
        list(stream)
        assert "Ada" in stream.get_final_response().output_text
    listed = client.conversations.items.list(talk.id, order="asc", limit=2)
    assert [item.role for item in listed] == ["user", "assistant"] * 2
    assert client.conversations.delete(talk.id).deleted


@check
def lists_input_items() -> None:
    items: Any = [{"role": "user", "content": f"Line {n}."} for n in range(5)]
    made = client.responses.create(model="scripted/echo", input=items)
    listed: Any = list(client.responses.input_items.list(made.id, order="asc", limit=2))
    assert [item.content[0].text for item in listed] == [f"Line {n}." for n in range(5)]
    assert len({item.id for item in listed}) == 5


@check
def deletes() -> None:
    made = client.responses.create(model="scripted/echo", input="Forget this.")
    client.responses.delete(made.id)
    try:
        client.responses.retrieve(made.id)
    except openai.NotFoundError:
        return
    raise AssertionError("it is still there")


@check
def polls_a_background_response() -> None:
    made = client.responses.create(model="scripted/slow-5ms", input="Count.", background=True)
    assert made.status in ("queued", "in_progress")
    while made.status in ("queued", "in_progress"):
        made = client.responses.retrieve(made.id)
    assert made.status == "completed" and made.output_text.endswith("ten")


@check
def resumes_a_stream() -> None:
    seen: list[Any] = []
    asked: Any = {"model": "scripted/slow-5ms", "input": "Count.", "background": True}
    with client.responses.create(stream=True, **asked) as stream:
        for event in stream:
            seen.append(event)
            if event.sequence_number == 5:
                break
    made = seen[0].response
    seen += client.responses.retrieve(made.id, stream=True, starting_after=5)
    assert numbered(seen) and seen[-1].type == "response.completed"
    with client.responses.stream(response_id=made.id, starting_after=5) as helper:
        again = list(helper)
        assert helper.get_final_response().output_text == seen[-1].response.output_text
    assert [event.sequence_number for event in again] == list(range(6, len(seen)))


@check
def cancels() -> None:
    made = client.responses.create(model="scripted/stall", input="Wait.", background=True)
    assert client.responses.cancel(made.id).status == "cancelled"
    assert client.responses.retrieve(made.id).status == "cancelled"


@check
def talks_over_a_websocket() -> None:
    asked: Any = {"model": "scripted/recall", "store": False}
    with client.responses.connect() as connection:
        connection.response.create(input="My name is Ada.", **asked)
        first = list(until_the_end(connection))[-1]
        connection.response.create(
            input="Who am I?", previous_response_id=first.response.id, **asked
        )
        events = list(until_the_end(connection))
    assert numbered(events) and "Ada" in events[-1].response.output_text


def until_the_end(connection: Any) -> Any:
    for event in connection:
        yield event
        if event.type == "response.completed":
            return
        assert event.type not in ("error", "response.failed"), event.to_json()


@check
async def talks_over_a_websocket_async() -> None:
    asked: Any = {"model": "scripted/tool", "tools": [WEATHER]}
    async with AsyncOpenAI(**strictly) as asynchronous, asynchronous.responses.connect() as socket:
        await socket.response.create(input="Weather?", **asked)
        async for event in socket:
            assert event.type != "error", event.to_json()
            if event.type == "response.completed":
                break
        call: Any = event.response.output[0]
        result: Any = {"type": "function_call_output", "call_id": call.call_id, "output": "sunny"}
        parent = event.response.id
        await socket.response.create(input=[result], previous_response_id=parent, **asked)
        async for event in socket:
            if event.type == "response.completed":
                break
    assert event.response.output_text == "The tool said: sunny"


@check
async def parses_and_resumes_async() -> None:
    asked: Any = {"model": "scripted/json", "input": "Who?", "text_format": Person}
    async with AsyncOpenAI(**strictly) as asynchronous:
        made = await asynchronous.responses.parse(**asked)
        assert made.output_parsed == Person(name="example", age=1)
        replay: Any = await asynchronous.responses.retrieve(made.id, stream=True, starting_after=2)
        events = [event async for event in replay]
    assert events[0].sequence_number == 3 and events[-1].type == "response.completed"


@check
def lanes_of_a_websocket() -> None:
    with (
        client.responses.connect() as connection,
        ResponsesWebSocketSession(connection, limits=LIMITS) as session,
    ):
        lanes = [session.lane(name) for name in ("one", "two")]
        for lane, text in zip(lanes, ("First.", "Second."), strict=True):
            lane.send({"type": "response.create", "model": "scripted/echo", "input": text})
        said = [lane.get_final_response(timeout=20).output_text for lane in lanes]
    assert said == ["First.", "Second."]


def both_ways(**asked: Any) -> Any:
    """The response, made plainly and streamed: the same items, told twice."""
    made = client.responses.create(**asked)
    with client.responses.stream(**asked) as stream:
        assert numbered(list(stream))
        final = stream.get_final_response()
    kinds = [item.type for item in made.output]
    assert [item.type for item in final.output] == kinds, kinds
    return final


NATIVE: dict[str, Any] = {
    "shell": (
        {"type": "shell", "environment": {"type": "local"}},
        {
            "type": "shell_call_output",
            "output": [
                {"stdout": "two", "stderr": "", "outcome": {"type": "exit", "exit_code": 0}}
            ],
        },
    ),
    "local_shell": (
        {"type": "local_shell"},
        {"type": "local_shell_call_output", "id": "lsh_1", "output": "two"},
    ),
    "apply_patch": (
        {"type": "apply_patch"},
        {"type": "apply_patch_call_output", "status": "completed", "output": "two"},
    ),
    "computer": (
        {"type": "computer"},
        {
            "type": "computer_call_output",
            "output": {"type": "computer_screenshot", "image_url": PNG},
        },
    ),
    "custom_tool": (
        {
            "type": "custom",
            "name": "count",
            "format": {"type": "grammar", "syntax": "regex", "definition": "[A-Z][a-z]+\\."},
        },
        {"type": "custom_tool_call_output", "output": "two"},
    ),
    "function": (
        {
            "type": "namespace",
            "name": "numbers",
            "description": "Numbers.",
            "tools": [{**WEATHER, "strict": True}],
        },
        {"type": "function_call_output", "output": "two"},
    ),
}
"""Kind of call → a tool that leads to one, and what comes back for it."""


@check
def tools_the_client_runs() -> None:
    for kind, (tool, output) in NATIVE.items():
        asked: Any = {"model": "scripted/tool", "tools": [tool]}
        first = both_ways(input="Go.", **asked)
        call = first.output[-1]
        assert call.type == f"{kind}_call", kind
        items = [{**output, "call_id": call.call_id}]
        second = both_ways(input=items, previous_response_id=first.id, **asked)
        assert second.output_text.startswith("The tool said:"), kind
        listed = list(client.responses.input_items.list(second.id, order="asc"))
        assert listed[-1].type == output["type"], kind


@check
def tools_found_by_a_search() -> None:
    tools: Any = [{**WEATHER, "defer_loading": True}, {"type": "tool_search"}]
    made = both_ways(model="scripted/tool", input="Weather?", tools=tools)
    assert [item.type for item in made.output][:2] == ["tool_search_call", "tool_search_output"]


@check
def mcp_server_of_the_operator() -> None:
    tool: Any = {"type": "mcp", "server_label": "weather", "require_approval": "never"}
    made = both_ways(model="scripted/tool", input="Weather?", tools=[tool])
    listed, call, message = made.output
    assert (listed.type, call.type, message.type) == ("mcp_list_tools", "mcp_call", "message")
    assert "sunny in example" in call.output and "sunny in example" in made.output_text


@check
def mcp_call_that_is_approved() -> None:
    tool: Any = {"type": "mcp", "server_label": "weather", "require_approval": "always"}
    asked: Any = {"model": "scripted/tool", "tools": [tool]}
    first = both_ways(input="Weather?", **asked)
    request = first.output[-1]
    assert request.type == "mcp_approval_request"
    answer: Any = {
        "type": "mcp_approval_response",
        "approval_request_id": request.id,
        "approve": True,
    }
    second = client.responses.create(input=[answer], previous_response_id=first.id, **asked)
    assert second.output[0].type == "mcp_call" and "sunny in example" in second.output_text


@check
def compacts() -> None:
    long = "My dog is called Rex. " + "He likes walks. " * 300
    first = client.responses.create(model="scripted/summary", input=long)
    wanted: Any = [{"type": "compaction", "compact_threshold": 1_000}]
    second = client.responses.create(
        model="scripted/summary",
        input="What is my dog called?",
        previous_response_id=first.id,
        context_management=wanted,
    )
    assert [item.type for item in second.output] == ["compaction", "message"]
    lenient = client.copy()  # this client's type of the output has no room for a user's message
    made = lenient.responses.compact(model="scripted/summary", input=long)
    assert made.output[-1].type == "compaction"


@check
def counts_input_tokens() -> None:
    asked: Any = {"model": "scripted/echo", "input": "How many are these?"}
    counted = client.responses.input_tokens.count(**asked).input_tokens
    made = client.responses.create(**asked)
    assert made.usage is not None and made.usage.input_tokens == counted


@check
def errors_have_their_classes() -> None:
    wrong: list[tuple[type[openai.APIStatusError], dict[str, Any]]] = [
        (openai.BadRequestError, {"model": "scripted/echo", "temperature": 9}),
        (openai.BadRequestError, {"model": "scripted/echo", "previous_response_id": "resp_0"}),
        (openai.NotFoundError, {"model": "no-such-model"}),
        (openai.RateLimitError, {"model": "scripted/error-429"}),
        (openai.InternalServerError, {"model": "scripted/error-500"}),
    ]
    for kind, asked in wrong:
        try:
            client.responses.create(input="x", **asked)
        except kind as error:
            assert error.request_id and json.dumps(error.body), asked
        else:
            raise AssertionError(f"{asked} went well")
    try:
        client.with_options(api_key="sk-wrong").responses.create(model="scripted/echo", input="x")
    except openai.AuthenticationError:
        return
    raise AssertionError("any key is good")


@check
def retries_what_may_be_retried() -> None:
    patient = client.with_options(max_retries=2)
    raw = patient.responses.with_raw_response.create(model="scripted/flaky-1", input="Retry me.")
    assert raw.parse().status == "completed"


@check
def lists_models() -> None:
    assert "scripted/echo" in {model.id for model in client.models.list()}
    assert client.models.retrieve("scripted/echo").id == "scripted/echo"


@check
def chat_completions() -> None:
    asked: Any = {"model": "scripted/echo", "messages": [{"role": "user", "content": "Say it."}]}
    assert client.chat.completions.create(**asked).choices[0].message.content == "Say it."
    with client.chat.completions.stream(**asked) as stream:
        assert stream.get_final_completion().choices[0].message.content == "Say it."


if __name__ == "__main__":
    run("openai", "Ada")
