"""The 17 acceptance scenarios of the published compliance suite, and four of ours.

Each is a function that asks a server and raises ``AssertionError`` where the specification does
not hold. The bodies ask for what the suite asks for; the words and the code are ours.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

from tests.open_responses.client import Asking, Json, Refused
from tests.open_responses.schema import ERROR_TYPES, check

Scenario = Callable[[Asking], Awaitable[None]]

NOT_FOUND = "previous_response_not_found"
PIXELS = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAgAAAAICAIAAABLbSncAAAAFElEQVR4nGP8z8DAwMDA"
    "BCYYGBgAAA8GAQIyY1kQAAAAAElFTkSuQmCC"
)
WEATHER = {
    "type": "function",
    "name": "get_weather",
    "description": "The weather at a place.",
    "parameters": {
        "type": "object",
        "properties": {"location": {"type": "string"}},
        "required": ["location"],
    },
}


def said(role: str, text: str, **more: Any) -> Json:
    return {"type": "message", "role": role, "content": text, **more}


def answered(response: Json) -> None:
    """A completed response that says something."""
    assert response["output"], "no output"
    assert response["status"] == "completed", f"status {response['status']}"


# HTTP -------------------------------------------------------------------------------------


async def basic_response(server: Asking) -> None:
    answered(await server.create(input=[said("user", "Say hello in three words.")]))


async def assistant_phase(server: Asking) -> None:
    answered(
        await server.create(
            input=[
                said("user", "What is the capital of France?"),
                said("assistant", "Let me think.", phase="commentary"),
                said("assistant", "It is Paris.", phase="final_answer"),
                said("user", "And of Spain?"),
            ]
        )
    )


async def response_output_phase_schema(server: Asking) -> None:
    """Asks nothing: the schema knows the phase of a message, and that it is never null."""
    message: Json = {
        "type": "message",
        "id": "msg_1",
        "status": "completed",
        "role": "assistant",
        "content": [{"type": "output_text", "text": "Paris.", "annotations": []}],
        "phase": "final_answer",
    }
    check(message, "Item")
    try:
        check({**message, "phase": None}, "Item")
    except AssertionError:
        return
    raise AssertionError("the schema takes a phase that is null")


async def streaming_response(server: Asking) -> None:
    events = await server.stream(input=[said("user", "Count from one to five.")])
    answered(events[-1]["response"])


async def system_prompt(server: Asking) -> None:
    answered(
        await server.create(input=[said("system", "You are a pirate."), said("user", "Say hello.")])
    )


async def tool_calling(server: Asking) -> None:
    response = await server.create(
        model=server.tool_model,
        input=[said("user", "What is the weather in San Francisco?")],
        tools=[WEATHER],
    )
    assert "function_call" in [item["type"] for item in response["output"]], "no function call"


async def image_input(server: Asking) -> None:
    parts = [
        {"type": "input_text", "text": "What is in this picture? Answer in one sentence."},
        {"type": "input_image", "image_url": PIXELS},
    ]
    answered(await server.create(input=[{"type": "message", "role": "user", "content": parts}]))


async def multi_turn(server: Asking) -> None:
    answered(
        await server.create(
            input=[
                said("user", "My name is Alice."),
                said("assistant", "Hello Alice! How can I help?"),
                said("user", "What is my name?"),
            ]
        )
    )


async def compact_response(server: Asking) -> None:
    typed = {
        "type": "message",
        "role": "user",
        "content": [{"type": "input_text", "text": "Plan a landing page for a dog café."}],
    }
    status, text = await server.post(
        "/responses/compact",
        {
            "model": server.model,
            "input": [typed, said("assistant", "A hero picture, a menu, a booking form.")],
            "prompt_cache_key": "open-responses",
        },
    )
    assert status == 200, f"HTTP {status}: {text[:300]}"
    compacted(json.loads(text))


async def compact_missing_model(server: Asking) -> None:
    status, text = await server.post("/responses/compact", {"input": "Anything."})
    assert status in (400, 422), f"HTTP {status}: {text[:300]}"
    assert isinstance(json.loads(text)["error"]["message"], str)


def compacted(made: Json) -> None:
    check(made, "CompactResource")
    assert "compaction" in [item["type"] for item in made["output"]], "no compaction item"


# WebSocket --------------------------------------------------------------------------------


async def websocket_response(server: Asking) -> None:
    async with server.socket() as socket:
        answered(await socket.complete(input=[said("user", "Say hello in three words.")]))


async def websocket_sequential_responses(server: Asking) -> None:
    async with server.socket() as socket:
        first = await socket.complete(input="Say one.", store=False)
        second = await socket.complete(input="Say two.", store=False)
    assert first["id"] != second["id"], "two responses with one id"


async def websocket_continuation(server: Asking) -> None:
    async with server.socket() as socket:
        first = await socket.complete(input="Remember the word blue.", store=False)
        second = await socket.complete(
            input="Which word was it?", store=False, previous_response_id=first["id"]
        )
    assert second["previous_response_id"] == first["id"]


async def websocket_reconnect_store_false_recovery(server: Asking) -> None:
    async with server.socket() as socket:
        first = await socket.complete(input="Remember the word blue.", store=False)
    async with server.socket() as socket:
        code = await socket.failing(
            input="Which word was it?", store=False, previous_response_id=first["id"]
        )
        assert code == NOT_FOUND, f"code {code}"
        await socket.complete(input="Then say hello.", store=False)


async def websocket_previous_response_not_found(server: Asking) -> None:
    async with server.socket() as socket:
        code = await socket.failing(
            input="Go on.", store=False, previous_response_id="resp_that_never_was"
        )
    assert code == NOT_FOUND, f"code {code}"


async def websocket_failed_continuation_evicts_cache(server: Asking) -> None:
    orphan = {"type": "function_call_output", "call_id": "call_of_nobody", "output": "42"}
    async with server.socket() as socket:
        first = await socket.complete(input="Say hello.", store=False)
        await socket.failing(input=[orphan], store=False, previous_response_id=first["id"])
        code = await socket.failing(input="Go on.", store=False, previous_response_id=first["id"])
    assert code == NOT_FOUND, f"code {code}"


async def websocket_compact_new_chain(server: Asking) -> None:
    parts = [{"type": "input_text", "text": "The launch is on Friday."}]
    said_back = [{"type": "output_text", "text": "Noted: Friday."}]
    status, text = await server.post(
        "/responses/compact",
        {
            "model": server.model,
            "input": [
                {"type": "message", "role": "user", "content": parts},
                {"type": "message", "role": "assistant", "content": said_back},
            ],
        },
    )
    assert status == 200, f"HTTP {status}: {text[:300]}"
    made = json.loads(text)
    compacted(made)
    async with server.socket() as socket:
        await socket.complete(
            input=[*made["output"], said("user", "When is the launch?")], tools=[], store=False
        )


# Ours: what the suite had once, or what its rules imply -----------------------------------


async def streaming_tool_call(server: Asking) -> None:
    events = await server.stream(
        model=server.tool_model,
        input=[said("user", "What is the weather in San Francisco?")],
        tools=[WEATHER],
    )
    names = [event["type"] for event in events]
    wanted = ["response.function_call_arguments.delta", "response.function_call_arguments.done"]
    for name in ("response.output_item.added", *wanted, "response.output_item.done"):
        assert name in names, f"no {name}"


async def tool_result(server: Asking) -> None:
    """What the server said is fed back word for word, with the result of the call."""
    question = said("user", "What is the weather in San Francisco?")
    first = await server.create(model=server.tool_model, input=[question], tools=[WEATHER])
    calls = [item for item in first["output"] if item["type"] == "function_call"]
    assert calls, "no function call"
    results = [
        {"type": "function_call_output", "call_id": call["call_id"], "output": "Sunny."}
        for call in calls
    ]
    answered(
        await server.create(
            model=server.tool_model,
            input=[question, *first["output"], *results],
            tools=[WEATHER],
        )
    )


async def incomplete_response(server: Asking) -> None:
    """A budget of 16 tokens, which a long answer does not fit."""
    events = await server.stream(
        input=[said("user", " ".join(["Write a long story about a lighthouse."] * 8))],
        max_output_tokens=16,
    )
    final = events[-1]["response"]
    assert final["status"] == "incomplete", f"status {final['status']}"
    assert final["incomplete_details"] == {"reason": "max_output_tokens"}
    assert events[-1]["type"] == "response.incomplete"


async def error_types(server: Asking) -> None:
    """Each error has one of the specification's types, with its status."""
    wrong: list[tuple[str, Json]] = [
        ("/responses", {"model": server.model, "input": 5}),
        ("/responses", {"model": server.model, "input": "a", "temperature": 9}),
        ("/responses/compact", {"input": "a"}),
    ]
    for path, body in wrong:
        status, text = await server.post(path, body)
        error = json.loads(text)["error"]
        assert ERROR_TYPES.get(error["type"]) == status, f"HTTP {status} with {error['type']}"


SCENARIOS: dict[str, Scenario] = {
    "basic-response": basic_response,
    "assistant-phase": assistant_phase,
    "response-output-phase-schema": response_output_phase_schema,
    "streaming-response": streaming_response,
    "websocket-response": websocket_response,
    "websocket-sequential-responses": websocket_sequential_responses,
    "websocket-continuation": websocket_continuation,
    "websocket-reconnect-store-false-recovery": websocket_reconnect_store_false_recovery,
    "websocket-previous-response-not-found": websocket_previous_response_not_found,
    "websocket-failed-continuation-evicts-cache": websocket_failed_continuation_evicts_cache,
    "websocket-compact-new-chain": websocket_compact_new_chain,
    "system-prompt": system_prompt,
    "tool-calling": tool_calling,
    "image-input": image_input,
    "multi-turn": multi_turn,
    "compact-response": compact_response,
    "compact-missing-model": compact_missing_model,
}
"""The suite's, by its ids."""
OURS: dict[str, Scenario] = {
    "streaming-tool-call": streaming_tool_call,
    "tool-result": tool_result,
    "incomplete-response": incomplete_response,
}
"""Hold in both profiles."""
PROFILE_ONLY: dict[str, Scenario] = {"error-types": error_types}
"""Cannot hold where OpenAI's clients are to be satisfied."""


async def outcome(scenario: Scenario, server: Asking) -> str:
    """Empty where it passed, else what was wrong."""
    try:
        await scenario(server)
    except (AssertionError, Refused) as problem:
        return str(problem) or "an assertion"
    except (OSError, KeyError, TypeError, ValueError, TimeoutError) as problem:
        return f"{type(problem).__name__}: {problem}"
    return ""
