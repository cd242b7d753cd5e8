"""Requests with random faults: an answer that obeys the rules, or an error that says why."""

from __future__ import annotations

import copy
import random
from collections.abc import Iterator
from typing import Any

import pytest

from tests.conformance.conftest import Fronted
from tests.conformance.rules import check_error, check_response, check_stream, frames
from tests.conformance.test_objects import SHELL, WEATHER

pytestmark = pytest.mark.anyio

TEXT = {"type": "input_text", "text": "x"}
SAID = {"type": "output_text", "text": "a", "annotations": [], "logprobs": []}
SCHEMA = {
    "type": "object",
    "properties": {"a": {"type": "string", "pattern": "^e"}, "b": {"$ref": "#/$defs/k"}},
    "required": ["a", "b"],
    "$defs": {"k": {"anyOf": [{"type": "integer", "minimum": 1}, {"type": "null"}]}},
}
SOUND: list[dict[str, Any]] = [
    {
        "input": [
            {"role": "user", "content": [TEXT, {"type": "input_image", "image_url": "data:,x"}]},
            {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "s"}]},
            {"type": "message", "role": "assistant", "id": "msg_1", "content": [SAID]},
            {"type": "function_call", "call_id": "c", "name": "get_weather", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "c", "output": [TEXT], "id": "fco_1"},
            {"type": "custom_tool_call", "call_id": "d", "name": "shell", "input": "ls"},
            {"type": "custom_tool_call_output", "call_id": "d", "output": "x", "status": None},
        ],
        "tools": [WEATHER, SHELL],
        "tool_choice": {"type": "allowed_tools", "tools": [{"type": "custom", "name": "shell"}]},
    },
    {
        "input": "Hi.",
        "text": {"format": {"type": "json_schema", "name": "n", "schema": SCHEMA, "strict": True}},
        "reasoning": {"effort": "low", "summary": "auto"},
        "metadata": {"a": "b"},
        "include": ["message.output_text.logprobs"],
        "top_logprobs": 2,
        "temperature": 1,
        "max_output_tokens": 100,
        "stream_options": {"include_obfuscation": True},
        "store": False,
    },
]
JUNK: list[Any] = [None, True, False, 0, -1, 1.5, 10**30, 1e308, "", "x", "\u0000", "😀" * 50]
JUNK += [[], {}, [None], [[]], [{}], {"type": None}, {"type": "x"}, {"": ""}, {"type": "object"}]
JUNK += ["a" * 70, "resp_1", "msg_1", "message", "completed", "(", "data:,", {"$ref": "#"}, TEXT]


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    if isinstance(value, dict):
        inside: Any = value.items()
    else:
        inside = enumerate(value) if isinstance(value, list) else ()
    for key, inner in inside:
        yield from places(inner, (*path, key))


def faulty(chance: random.Random) -> dict[str, Any]:
    body = copy.deepcopy(chance.choice(SOUND))
    for _ in range(chance.choice((1, 1, 2, 3))):
        *path, last = chance.choice([path for path in places(body) if path])
        holder = body
        for key in path:
            holder = holder[key]
        if chance.random() < 0.7:
            holder[last] = copy.deepcopy(chance.choice(JUNK))
        else:
            del holder[last]
    return body


@pytest.mark.requirement("conformance:request:faulty")
@pytest.mark.parametrize("seed", range(3))
async def test_faults_never_break_the_server_or_reach_the_upstream(
    fronted: Fronted, seed: int
) -> None:
    chance = random.Random(seed)
    statuses = set()
    for _ in range(100):
        body = faulty(chance) | {"model": chance.choice(("tool", "json", "echo", "tools-parallel"))}
        body["stream"] = chance.random() < 0.5
        answer = await fronted.house.client.request("POST", "/v1/responses", body=body)
        statuses.add(answer.status)
        if answer.status != 200:
            check_error(answer.json())
            assert answer.status < 500, (body, answer.body)
        elif body["stream"]:
            check_stream(frames(answer.body))
        else:
            check_response(answer.json())
        assert not fronted.upstream.refusals, body
    assert {200, 400} <= statuses
