"""Odd requests: what is wrong is said, in the envelope, with the parameter; the rest works."""

from __future__ import annotations

import gzip
from typing import Any

import pytest

from tests.conformance.conftest import House
from tests.conformance.rules import check_error
from tests.conformance.test_objects import WEATHER

pytestmark = pytest.mark.anyio


def asked(**fields: Any) -> dict[str, Any]:
    return {"model": "scripted/echo", "input": "x", **fields}


def raw(text: str) -> bytes:
    return b'{"model":"scripted/echo","input":"x",' + text.encode() + b"}"


def part(**fields: Any) -> dict[str, Any]:
    return asked(input=[{"role": "user", "content": [fields]}])


def call(**fields: Any) -> dict[str, Any]:
    found = {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}", **fields}
    return found


REFUSED: list[tuple[Any, str | None, str]] = [
    (b"", None, "invalid_json"),
    (b"null", None, "invalid_type"),
    (b"[]", None, "invalid_type"),
    (b'{"model":"scripted/echo","inp', None, "invalid_json"),
    (raw('"temperature":NaN'), None, "invalid_json"),
    (raw('"user":"\\ud800"'), None, "invalid_json"),
    (raw('"user":"\xff').decode("latin-1").encode("latin-1"), None, "invalid_json"),
    (b'{"model":"m","input":' + b"[" * 50_000 + b"]" * 50_000 + b"}", None, "invalid_json"),
    ({"input": "x"}, "model", "missing_required_parameter"),
    (asked(input=""), "input", "missing_required_parameter"),
    (asked(input=[]), "input", "missing_required_parameter"),
    (asked(input=["x"]), "input[0]", "invalid_type"),
    (asked(input=[{"content": "x"}]), "input[0].role", "missing_required_parameter"),
    (asked(input=[{"role": "tool", "content": "x"}]), "input[0].role", "invalid_value"),
    (asked(input=[{"type": "wat"}]), "input[0].type", "invalid_value"),
    (asked(input=[{"id": "msg_nope"}]), "input[0].id", "item_not_found"),
    (asked(input=[call(arguments={})]), "input[0].arguments", "invalid_type"),
    (asked(input=[call(call_id="c" * 65)]), "input[0].call_id", "string_above_max_length"),
    (asked(input=[call()]), "input", "tool_output_not_found"),
    (
        asked(input=[{"type": "function_call_output", "call_id": "c", "output": ""}]),
        "input[0].call_id",
        "tool_call_not_found",
    ),
    (part(type="input_image"), "input[0].content[0]", "missing_required_parameter"),
    (
        part(type="input_image", image_url="https://x/", detail="tiny"),
        "input[0].content[0].detail",
        "invalid_value",
    ),
    (part(type="input_image", image_url=""), "input[0].content[0].image_url", "invalid_value"),
    (part(type="input_image", image_url="a.png"), "input[0].content[0].image_url", "invalid_value"),
    (asked(temperature=2.1), "temperature", "decimal_above_max_value"),
    (asked(max_output_tokens=15), "max_output_tokens", "integer_below_min_value"),
    (asked(top_logprobs=21), "top_logprobs", "integer_above_max_value"),
    (asked(metadata={str(n): "" for n in range(17)}), "metadata", "object_above_max_properties"),
    (asked(metadata={"k": "v" * 513}), "metadata.k", "string_above_max_length"),
    (asked(metadata={"k": 1}), "metadata.k", "invalid_type"),
    (asked(prompt_cache_key="k" * 65), "prompt_cache_key", "string_above_max_length"),
    (asked(include=["wat"]), "include[0]", "invalid_value"),
    (asked(stream="true"), "stream", "invalid_type"),
    (asked(wat=1), "wat", "unknown_parameter"),
    (asked(tool_choice="required"), "tool_choice", "invalid_value"),
    (asked(tool_choice={"type": "function", "name": "f"}), "tool_choice", "invalid_value"),
    (asked(tools=[WEATHER, WEATHER]), "tools[1].name", "invalid_value"),
    (asked(tools=[{"type": "web_search"}]), "tools[0].type", "unsupported_value"),
    (asked(tools=[{**WEATHER, "name": "a b"}]), "tools[0].name", "invalid_value"),
    (asked(tools=[{**WEATHER, "name": "f" * 129}]), "tools[0].name", "string_above_max_length"),
    (
        asked(previous_response_id="resp_nope"),
        "previous_response_id",
        "previous_response_not_found",
    ),
    (asked(reasoning={"effort": "wat"}), "reasoning.effort", "invalid_value"),
    (asked(background=True, store=False), "store", "unsupported_value"),
]


@pytest.mark.requirement("conformance:request:refused")
async def test_what_is_wrong_is_said_with_its_parameter(house: House) -> None:
    for body, param, code in REFUSED:
        answer = await house.client.request("POST", "/v1/responses", body=body)
        assert answer.status in (400, 404), (body, answer.body)
        check_error(answer.json())
        error = answer.json()["error"]
        assert (error["param"], error["code"]) == (param, code), error
        assert answer.headers["x-should-retry"] == "false"


SCALARS = """instructions previous_response_id conversation store background stream
    parallel_tool_calls max_tool_calls max_output_tokens temperature top_p top_logprobs truncation
    prompt_cache_key prompt_cache_retention safety_identifier user service_tier verbosity
    presence_penalty frequency_penalty"""
OBJECTS = """stream_options include tools tool_choice text reasoning context_management metadata
    prompt prompt_cache_options moderation client_metadata background_options image
    access_programs"""
OPTIONAL = (SCALARS + " " + OBJECTS).split()
TAKEN: dict[str, Any] = {
    "nulls": asked(**dict.fromkeys(OPTIONAL)),
    "empty objects": asked(reasoning={}, text={}, metadata={}, tools=[], include=[]),
    "null members": asked(
        reasoning={"effort": None, "summary": None}, text={"format": None, "verbosity": None}
    ),
    "largest metadata": asked(metadata={f"{n:02}" + "k" * 62: "😀" * 512 for n in range(16)}),
    "emoji and right to left": asked(input="👩‍👩‍👧‍👦 שלום \u202eabc\u0000\u2028"),
    "300 tools": asked(tools=[{**WEATHER, "name": f"f{n}"} for n in range(300)]),
    "2000 items": asked(
        model="scripted/hello", input=[{"role": "user", "content": str(n)} for n in range(2_000)]
    ),
    "5 MB": asked(model="scripted/hello", input="x" * 5_000_000),
    "empty texts": asked(
        input=[{"role": "user", "content": ""}, {"role": "assistant", "content": []}]
    ),
    "output before its call": asked(
        input=[{"type": "function_call_output", "call_id": "c", "output": "1"}, call()]
    ),
    "calls told twice": asked(
        input=[call(), call(), {"type": "function_call_output", "call_id": "c", "output": "1"}]
    ),
    "client metadata": asked(client_metadata={"x": "y"}),
    "deprecated": asked(user="u", prompt_cache_retention="24h", verbosity="low"),
}


@pytest.mark.requirement("conformance:request:taken")
@pytest.mark.parametrize("body", TAKEN.values(), ids=TAKEN)
async def test_odd_but_honest_requests_are_answered(house: House, body: dict[str, Any]) -> None:
    made = await house.create(**body)
    assert made["status"] == "completed"
    streamed = await house.streamed(**{k: v for k, v in body.items() if k != "stream"})
    assert streamed["output"][0]["content"] == made["output"][0]["content"]
    assert streamed["metadata"] == made["metadata"] == (body.get("metadata") or {})


@pytest.mark.requirement("conformance:request:taken")
async def test_a_compressed_body_is_read(house: House) -> None:
    body = gzip.compress(b'{"model":"scripted/echo","input":"packed"}')
    for data, status in ((body, 200), (body[:-6], 400), (b"no gzip", 400)):
        answer = await house.client.request(
            "POST", "/v1/responses", body=data, headers={"content-encoding": "gzip"}
        )
        assert answer.status == status


@pytest.mark.requirement("conformance:request:paths")
async def test_ids_and_paths_are_read_as_they_are_written(house: House) -> None:
    made = await house.create("scripted/hello")
    for path, status in {
        made["id"]: 200,
        made["id"] + "/": 404,
        "resp_%00": 404,
        "%ff": 404,
        "..": 404,
        "a" * 5_000: 404,
        "compact": 405,
        "input_tokens": 405,
        made["id"] + "/cancel": 405,
        made["id"] + "?stream=true&starting_after=-1": 400,
        made["id"] + "?include[]=wat": 400,
        made["id"] + "?wat=1": 400,
        made["id"] + "/input_items?limit=0": 400,
        made["id"] + "/input_items?limit=101": 400,
        made["id"] + "/input_items?after=msg_nope": 400,
        made["id"] + "/input_items?order=up": 400,
    }.items():
        answer = await house.client.request("GET", f"/v1/responses/{path}")
        assert answer.status == status, (path, answer.body)
        if status != 200:
            check_error(answer.json())
