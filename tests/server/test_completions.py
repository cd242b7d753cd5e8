"""``POST /v1/chat/completions``: two projections of the events every response has."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from antiphon.backends.base import Capabilities
from antiphon.backends.scripted import Scripted
from tests.server.completions import (
    HI,
    NOTE,
    PARAMETERS,
    PATH,
    WEATHER,
    ask,
    body_of,
    joined,
    made,
    streamed,
)
from tests.server.conftest import House, opened, over_asgi
from tests.server.test_routes import error_of

pytestmark = pytest.mark.anyio

USAGE: dict[str, Any] = {"stream_options": {"include_usage": True}}
STRICT = {"type": "json_schema", "json_schema": {"name": "s", "schema": PARAMETERS, "strict": True}}


@pytest.mark.requirement("completions:create:object")
async def test_a_completion_has_exactly_the_documented_keys(house: House) -> None:
    answer = await made(house, metadata={"a": "b"})
    assert answer.pop("id").startswith("chatcmpl-")
    assert isinstance(answer.pop("created"), int)
    assert answer == {
        "object": "chat.completion",
        "model": "scripted/hello",
        "choices": [
            {
                "index": 0,
                "message": {
                    "role": "assistant",
                    "content": "Hello! How can I help you today?",
                    "refusal": None,
                    "annotations": [],
                },
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": {
            "prompt_tokens": 8,
            "completion_tokens": 7,
            "total_tokens": 15,
            "prompt_tokens_details": {
                "cached_tokens": 0,
                "cache_write_tokens": 0,
                "audio_tokens": 0,
            },
            "completion_tokens_details": {
                "reasoning_tokens": 0,
                "audio_tokens": 0,
                "accepted_prediction_tokens": 0,
                "rejected_prediction_tokens": 0,
            },
        },
        "service_tier": "default",
        "system_fingerprint": None,
        "metadata": {"a": "b"},
    }


SAME: list[tuple[str, dict[str, Any]]] = [
    ("echo", {}),
    ("unicode", {}),
    ("burst", {}),
    ("reasoning", {}),
    ("refusal", {}),
    ("empty", {}),
    ("cited", {}),
    ("length", {}),
    ("length-in-reasoning", {}),
    ("filter", {}),
    ("hello", {"logprobs": True, "top_logprobs": 2}),
    ("tool", {"tools": [WEATHER]}),
    ("length-in-call", {"tools": [WEATHER]}),
    ("tools-parallel", {"tools": [WEATHER]}),
    ("tools-interleaved", {"tools": [WEATHER]}),
    ("text-then-tool", {"tools": [WEATHER]}),
    ("text-then-tool", {"tools": [WEATHER], "response_format": STRICT}),
    ("reasoning-tool", {"tools": [WEATHER]}),
    ("custom", {"tools": [NOTE]}),
    ("tool", {"functions": [WEATHER["function"]]}),
    ("json", {"response_format": STRICT}),
    ("bad-json", {"response_format": STRICT}),
]


@pytest.mark.requirement("completions:stream:same")
@pytest.mark.parametrize(("model", "asked"), SAME, ids=[f"{m}-{len(a)}" for m, a in SAME])
async def test_the_chunks_joined_are_the_plain_answer(
    house: House, model: str, asked: dict[str, Any]
) -> None:
    plain = await made(house, model, **asked)
    chunks = await streamed(house, model, **USAGE, **asked)
    (choice,) = plain["choices"]
    found = joined(chunks)
    for one in (choice, found):
        for call in one["message"].get("tool_calls", ()):
            assert call.pop("id").startswith("call_")
    assert found == choice
    assert chunks[-1]["usage"] == plain["usage"]
    common = ("model", "service_tier", "system_fingerprint")
    for chunk in chunks:
        assert chunk["object"] == "chat.completion.chunk"
        assert chunk["id"] == chunks[0]["id"] and chunk["created"] == chunks[0]["created"]
        assert [chunk[key] for key in common] == [plain[key] for key in common]


@pytest.mark.requirement("completions:stream:shape")
async def test_a_stream_begins_with_the_role_and_ends_with_the_usage(house: House) -> None:
    chunks = await streamed(house, **USAGE)
    assert chunks[0]["choices"][0]["delta"] == {"role": "assistant", "content": None}
    assert all("role" not in c["choices"][0]["delta"] for c in chunks[1:-1])
    assert [chunk["usage"] for chunk in chunks[:-1]] == [None] * (len(chunks) - 1)
    assert chunks[-1]["choices"] == [] and chunks[-1]["usage"]["total_tokens"] == 15
    assert chunks[-2]["choices"][0]["finish_reason"] == "stop"
    without = await streamed(house)
    assert all("usage" not in chunk and chunk["choices"] for chunk in without)


@pytest.mark.requirement("completions:stream:obfuscation")
async def test_a_stream_is_obfuscated_if_that_is_asked_for(house: House) -> None:
    chunks = await streamed(house, stream_options={"include_obfuscation": True})
    assert all(1 <= len(chunk["obfuscation"]) <= 32 for chunk in chunks)
    assert not any("obfuscation" in chunk for chunk in await streamed(house))


@pytest.mark.requirement("completions:finish-reason")
@pytest.mark.parametrize(
    ("model", "asked", "reason"),
    [
        ("hello", {}, "stop"),
        ("hello", {"max_completion_tokens": 2}, "length"),
        ("hello", {"max_tokens": 2}, "length"),
        ("filter", {}, "content_filter"),
        ("tool", {"tools": [WEATHER]}, "tool_calls"),
        ("tool", {"functions": [WEATHER["function"]]}, "function_call"),
    ],
)
async def test_why_an_answer_ended(
    house: House, model: str, asked: dict[str, Any], reason: str
) -> None:
    assert (await made(house, model, **asked))["choices"][0]["finish_reason"] == reason
    assert joined(await streamed(house, model, **asked))["finish_reason"] == reason


@pytest.mark.requirement("completions:reasoning")
async def test_thinking_is_reasoning_content_and_can_be_sent_back(house: House) -> None:
    first = await made(house, "reasoning-tool", tools=[WEATHER])
    message = first["choices"][0]["message"]
    assert message["reasoning_content"] == "A tool will know." and message["content"] is None
    (call,) = message["tool_calls"]
    told = [*HI, message, {"role": "tool", "tool_call_id": call["id"], "content": "rain"}]
    again = await made(house, "transcript", messages=told, tools=[WEATHER])
    assert again["choices"][0]["message"]["content"].splitlines() == [
        "user: hi",
        "thought: A tool will know.",
        'call get_weather: {"city":"example"}',
        "result: rain",
    ]


@pytest.mark.requirement("completions:reasoning")
async def test_prose_before_a_call_is_not_the_structured_answer(house: House) -> None:
    asked = {"tools": [WEATHER], "response_format": STRICT}
    message = (await made(house, "text-then-tool", **asked))["choices"][0]["message"]
    assert message["content"] is None
    assert message["reasoning_content"] == "Let me look that up."


@pytest.mark.requirement("completions:messages")
async def test_messages_of_every_role_reach_the_model(house: House) -> None:
    picture = {"url": "data:image/png;base64,iVBORw0KGgo=", "detail": "low"}
    text = {"type": "text", "text": "part"}
    document = {"file_data": "data:text/plain;base64,aGVsbG8=", "filename": "a.txt"}
    calls = [
        {
            "id": "call_1",
            "type": "function",
            "function": {"name": "get_weather", "arguments": "{}"},
        },
        {"id": "call_2", "type": "custom", "custom": {"name": "take_note", "input": "x"}},
    ]
    messages = [
        {"role": "developer", "content": [text]},
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [text, {"type": "image_url", "image_url": picture}]},
        {"role": "user", "content": [{"type": "file", "file": document}]},
        {"role": "assistant", "content": [{"type": "refusal", "refusal": "no"}]},
        {"role": "assistant", "content": None, "tool_calls": calls, "audio": None},
        {"role": "tool", "tool_call_id": "call_2", "content": [text]},
        {"role": "tool", "tool_call_id": "call_1", "content": "sun", "name": "get_weather"},
        {"role": "assistant", "content": "ok", "function_call": {"name": "f", "arguments": "{}"}},
        {"role": "function", "name": "f", "content": "done"},
        {"role": "assistant", "content": "", "refusal": "never"},
    ]
    answer = await made(house, "transcript", messages=messages, tools=[WEATHER, NOTE])
    said = answer["choices"][0]["message"]["content"]
    assert said.splitlines() == [
        "developer: part",
        "system: Be brief.",
        "user: part[an image]",
        "user: File a.txt:",
        "hello",
        "assistant: no",
        "call get_weather: {}",
        "call take_note: x",
        "result: part",
        "result: sun",
        "assistant: ok",
        "call f: {}",
        "result: done",
        "assistant: never",
    ]
    seen = await made(house, "vision", messages=messages[2:3])
    assert seen["choices"][0]["message"]["content"] == "I see 1 image(s)."


@pytest.mark.requirement("completions:messages")
async def test_calls_may_use_an_id_again_once_it_was_answered(house: House) -> None:
    def turn(said: str) -> list[dict[str, Any]]:
        function = {"name": "get_weather", "arguments": "{}"}
        call = {"id": "call_0", "type": "function", "function": function}
        return [
            {"role": "assistant", "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "call_0", "content": said},
        ]

    messages = [*HI, *turn("sun"), *turn("sun"), *turn("rain")]
    answer = await made(house, "transcript", messages=messages)
    said = answer["choices"][0]["message"]["content"].splitlines()
    assert said[1:] == ["call get_weather: {}", "result: sun"] * 2 + [
        "call get_weather: {}",
        "result: rain",
    ]


@pytest.mark.requirement("completions:messages")
async def test_call_ids_of_other_servers_may_be_long(house: House) -> None:
    function = {"name": "get_weather", "arguments": "{}"}
    ids = ["long" * 100, "long" * 101]
    calls = [{"id": id, "type": "function", "function": function} for id in ids]
    answers = [{"role": "tool", "tool_call_id": id, "content": id[-5:]} for id in reversed(ids)]
    messages = [*HI, {"role": "assistant", "tool_calls": calls}, *answers]
    said = (await made(house, "transcript", messages=messages))["choices"][0]["message"]
    assert said["content"].splitlines()[-2:] == ["result: glong"] * 2


@pytest.mark.requirement("completions:settings")
async def test_every_setting_reaches_the_model(house: House) -> None:
    asked = {
        "temperature": 0.5,
        "top_p": 0.25,
        "presence_penalty": 1.5,
        "frequency_penalty": -1,
        "max_completion_tokens": 3000,
        "stop": ["\n\n", "\n"],
        "seed": -7,
        "logprobs": True,
        "top_logprobs": 3,
        "reasoning_effort": "low",
        "verbosity": "high",
        "prompt_cache_key": "k",
        "safety_identifier": "s",
        "parallel_tool_calls": False,
        "response_format": {"type": "text"},
        "tools": [WEATHER, NOTE],
        "tool_choice": "auto",
    }
    answer = await made(house, "settings", **asked)
    turn = msgspec.json.decode(answer["choices"][0]["message"]["content"])
    wanted = {
        "model": "scripted/settings",
        "tool_choice": "auto",
        "parallel_tool_calls": False,
        "format": {"type": "text"},
        "verbosity": "high",
        "effort": "low",
        "max_output_tokens": 3000,
        "temperature": 0.5,
        "top_p": 0.25,
        "presence_penalty": 1.5,
        "frequency_penalty": -1.0,
        "stop": ["\n\n", "\n"],
        "seed": -7,
        "top_logprobs": 3,
        "logprobs": True,
        "prompt_cache_key": "k",
        "safety_identifier": "s",
        "live": False,
    }
    assert {key: turn[key] for key in wanted} == wanted
    assert [tool["name"] for tool in turn["tools"]] == ["get_weather", "take_note"]
    one = await made(house, "settings", stop="\n", user="u")
    turn = msgspec.json.decode(one["choices"][0]["message"]["content"])
    assert (turn["stop"], turn["safety_identifier"], turn["seed"]) == (["\n"], "u", None)


@pytest.mark.requirement("completions:settings")
@pytest.mark.parametrize(
    ("choice", "names", "mode"),
    [
        ("none", ["get_weather", "take_note"], "none"),
        ("required", ["get_weather", "take_note"], "required"),
        (
            {"type": "function", "function": {"name": "get_weather"}},
            ["get_weather", "take_note"],
            {"type": "function", "name": "get_weather"},
        ),
        (
            {
                "type": "allowed_tools",
                "allowed_tools": {
                    "mode": "required",
                    "tools": [{"type": "custom", "custom": {"name": "take_note"}}],
                },
            },
            ["take_note"],
            "required",
        ),
    ],
)
async def test_a_choice_of_tools_is_the_one_of_a_response(
    house: House, choice: Any, names: list[str], mode: Any
) -> None:
    """Compared through the same request as a response: there is one way to the model."""
    flat = [{"type": "function", **WEATHER["function"]}, {"type": "custom", **NOTE["custom"]}]
    same = choice
    if isinstance(choice, dict) and choice["type"] == "function":
        same = {"type": "function", "name": "get_weather"}
    elif isinstance(choice, dict):
        tools = [{"type": "custom", "name": "take_note"}]
        same = {"type": "allowed_tools", "mode": "required", "tools": tools}
    response = await house.client.request(
        "POST",
        "/v1/responses",
        body={"model": "scripted/tool", "input": "hi", "tools": flat, "tool_choice": same},
    )
    answer = await made(house, "tool", tools=[WEATHER, NOTE], tool_choice=choice)
    calls = answer["choices"][0]["message"].get("tool_calls", [])
    called = [call[call["type"]]["name"] for call in calls]
    output = response.json()["output"]
    assert called == [item["name"] for item in output if item["type"] != "message"]
    assert called == ([] if mode == "none" else [names[0]])


@pytest.mark.requirement("completions:stop")
@pytest.mark.parametrize(
    ("stop", "said"),
    [
        ("help", "Hello! How can I "),
        (["x", "can I"], "Hello! How "),
        ("lo! How c", "Hel"),
        ("Hello", ""),
        ("nowhere", "Hello! How can I help you today?"),
        ("today?!", "Hello! How can I help you today?"),
    ],
)
async def test_a_stop_ends_the_answer_before_it(house: House, stop: Any, said: str) -> None:
    (choice,) = (await made(house, stop=stop))["choices"]
    assert (choice["message"]["content"], choice["finish_reason"]) == (said, "stop")
    assert joined(await streamed(house, stop=stop)) == choice


@pytest.mark.requirement("completions:downgrades")
@over_asgi
async def test_what_is_not_passed_on_is_reported(house: House) -> None:
    class Unseeded(Scripted):
        """A server without a field for the seed."""

        def capabilities(self, model: str) -> Capabilities:
            return Capabilities(unsent=frozenset({"seed", "reasoning.effort"}))

    asked = {
        "seed": 1,
        "reasoning_effort": "low",
        "service_tier": "flex",
        "prediction": {"type": "content", "content": "x"},
        "messages": [{"role": "user", "content": "hi", "name": "Ann"}],
    }
    async for other in opened(Unseeded(), {}):
        answer = await ask(other, "echo", **asked)
    told = answer.headers["x-antiphon-downgrades"].split(", ")
    assert told == ["messages.name", "prediction", "seed", "reasoning_effort", "service_tier"]
    assert "x-antiphon-downgrades" not in (await ask(house, seed=1)).headers


REFUSED: list[tuple[dict[str, Any], str, str]] = [
    ({"n": 2}, "unsupported_value", "n"),
    ({"logit_bias": {"1": 2}}, "unsupported_parameter", "logit_bias"),
    ({"modalities": ["text", "audio"]}, "unsupported_value", "modalities"),
    ({"audio": {"voice": "x", "format": "wav"}}, "unsupported_value", "modalities"),
    ({"web_search_options": {}}, "unsupported_parameter", "web_search_options"),
    ({"moderation": {"model": "m"}}, "unsupported_parameter", "moderation"),
    ({"top_logprobs": 2}, "invalid_value", "top_logprobs"),
    ({"stream_options": {"include_usage": True}}, "invalid_value", "stream_options"),
    ({"max_tokens": 1, "max_completion_tokens": 2}, "mutually_exclusive_parameters", "max_tokens"),
    ({"max_tokens": 0}, "integer_below_min_value", "max_tokens"),
    ({"functions": [{"name": "f"}], "tools": []}, "mutually_exclusive_parameters", "functions"),
    ({"function_call": "auto"}, "invalid_value", "function_call"),
    (
        {"functions": [{"name": "f"}], "function_call": {"name": "g"}},
        "invalid_value",
        "function_call",
    ),
    ({"temperature": 3}, "decimal_above_max_value", "temperature"),
    ({"stop": ["1", "2", "3", "4", "5"]}, "array_above_max_length", "stop"),
    ({"input": "hi"}, "unknown_parameter", "input"),
    ({"messages": []}, "array_below_min_length", "messages"),
    ({"tools": [{"type": "function", "name": "f"}]}, "unknown_parameter", "tools[0].name"),
    ({"tools": [{"type": "web_search"}]}, "invalid_value", "tools[0].type"),
    ({"tools": [WEATHER, WEATHER]}, "invalid_value", "tools[1].function.name"),
    (
        {
            "tools": [
                {"type": "function", "function": {"name": "f", "parameters": {"type": "array"}}}
            ]
        },
        "invalid_function_parameters",
        "tools[0].function.parameters",
    ),
    ({"tool_choice": "required"}, "invalid_value", "tool_choice"),
    (
        {"response_format": {"type": "json_schema", "json_schema": {"name": "a b"}}},
        "invalid_value",
        "response_format.json_schema.name",
    ),
    ({"response_format": {"type": "xml"}}, "invalid_value", "response_format.type"),
]


@pytest.mark.requirement("completions:refused")
@pytest.mark.parametrize(
    ("asked", "code", "param"), REFUSED, ids=[f"{p}-{c}" for _, c, p in REFUSED]
)
async def test_a_parameter_that_cannot_be_honoured_is_named(
    house: House, asked: dict[str, Any], code: str, param: str
) -> None:
    assert error_of(await ask(house, **asked)) == (400, code, param)


def said(role: str, **fields: Any) -> dict[str, Any]:
    return {"role": role, **fields}


CALL = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
PART = {"type": "input_audio", "input_audio": {"data": "", "format": "wav"}}
FILE = {"type": "file", "file": {"file_id": "file-1"}}
LINK = {"type": "image_url", "image_url": {"url": "nowhere"}}
REFUSED_MESSAGES: list[tuple[list[Any], str, str]] = [
    ([said("usr", content="")], "invalid_value", "messages[0].role"),
    ([said("user")], "missing_required_parameter", "messages[0].content"),
    ([said("user", content="", x=1)], "unknown_parameter", "messages[0].x"),
    ([said("user", content=[PART])], "unsupported_value", "messages[0].content[0]"),
    ([said("user", content=[FILE])], "unsupported_value", "messages[0].content[0].file.file_id"),
    ([*HI, said("user", content=[LINK])], "invalid_value", "messages[1].content[0].image_url.url"),
    ([said("assistant")], "missing_required_parameter", "messages[0].content"),
    ([said("assistant", audio={"id": "a"})], "unsupported_value", "messages[0].audio"),
    ([said("assistant", tool_calls=[CALL])], "tool_output_not_found", "messages[0].tool_calls[0]"),
    ([said("assistant", tool_calls=[CALL] * 2)], "invalid_value", "messages[0].tool_calls[1]"),
    (
        [said("tool", content="", tool_call_id="x")],
        "tool_call_not_found",
        "messages[0].tool_call_id",
    ),
    ([said("function", content="", name="f")], "tool_call_not_found", "messages[0].name"),
]


@pytest.mark.requirement("completions:refused")
@pytest.mark.parametrize(
    ("messages", "code", "param"), REFUSED_MESSAGES, ids=[p for *_, p in REFUSED_MESSAGES]
)
async def test_a_message_that_cannot_be_honoured_is_named(
    house: House, messages: list[Any], code: str, param: str
) -> None:
    answer = await ask(house, messages=messages)
    assert error_of(answer) == (400, code, param)
    assert "input[" not in answer.json()["error"]["message"]


@pytest.mark.requirement("completions:errors")
@pytest.mark.parametrize("stream", [False, True])
async def test_a_failure_before_the_first_piece_is_a_status(house: House, stream: bool) -> None:
    answer = await ask(house, "error-429", stream=stream)
    assert error_of(answer) == (429, "rate_limit_exceeded", None)
    missing = await ask(house, "no-such-script", stream=stream)
    assert error_of(missing) == (404, "model_not_found", "model")
    answer = await ask(house, "overflow-1", stream=stream)
    assert error_of(answer) == (400, "context_length_exceeded", "messages")


@pytest.mark.requirement("completions:errors")
async def test_a_failure_on_the_way_is_a_status_or_the_last_event(house: House) -> None:
    plain = await ask(house, "error-after-3")
    assert error_of(plain) == (502, "server_error", None)
    answer = await ask(house, "error-after-3", stream=True, store=True)
    frames = answer.body.decode().removesuffix("\n\n").split("\n\n")
    error = msgspec.json.decode(frames[-1].removeprefix("data: "))["error"]
    assert error == plain.json()["error"]
    assert "[DONE]" not in answer.body.decode() and len(frames) == 5
    kept = await house.client.request("GET", PATH)
    assert kept.json()["data"] == []


@pytest.mark.requirement("completions:leaves")
@over_asgi
async def test_a_reader_who_leaves_stops_the_model_and_nothing_is_kept(house: House) -> None:
    body = body_of("endless", stream=True, store=True)
    async with house.client.stream("POST", PATH, body=body) as answer:
        assert b"assistant" in (await answer.chunk() or b"")
        assert house.deps.runs.live
    assert not house.deps.runs.live
    assert (await house.client.request("GET", PATH)).json()["data"] == []


@pytest.mark.requirement("completions:methods")
async def test_a_wrong_method_and_a_wrong_base_are_said_so(house: House) -> None:
    answer = await house.client.request("PUT", PATH)
    assert (answer.status, answer.headers["allow"]) == (405, "GET, HEAD, POST")
    answer = await house.client.request("POST", "/chat/completions")
    assert "Did you mean /v1/chat/completions?" in answer.json()["error"]["message"]
