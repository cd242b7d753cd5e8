"""What the request demands of the output holds, or the response has failed and says why."""

from __future__ import annotations

import json
from typing import Any

import pytest

from antiphon.errors import ClientError
from antiphon.runs.demands import Demands, JsonCheck
from antiphon.runs.schemas import SchemaCheck, compiled
from antiphon.runs.warden import Warden
from antiphon.stream.deltas import CallArguments, CallStart, Text
from antiphon.types.codec import encode
from antiphon.types.items import CustomToolCall, FunctionCall, OutputMessage
from tests.runs.rig import rig, text_of

pytestmark = pytest.mark.anyio

SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
JSON = {"format": {"type": "json_schema", "name": "answer", "schema": SCHEMA, "strict": True}}


def function(name: str = "f", **more: Any) -> dict[str, Any]:
    return {"type": "function", "name": name, "parameters": SCHEMA, **more}


def lark(name: str = "c") -> dict[str, Any]:
    grammar = {"type": "grammar", "syntax": "lark", "definition": "start: /[a-z ]+/"}
    return {"type": "custom", "name": name, "format": grammar}


@pytest.mark.requirement("runs:format:checked")
@pytest.mark.parametrize("stream", [False, True])
async def test_broken_json_never_reaches_the_reader(stream: bool) -> None:
    async with rig() as r:
        live = await r.start("bad-json-2", text=JSON, stream=stream)
        response = await live.finish()
        assert response.status == "completed"
        assert isinstance(json.loads(text_of(response))["a"], int)
        assert response.usage is not None and response.usage.output_tokens > 1


@pytest.mark.requirement("runs:format:gives-up")
async def test_a_model_that_cannot_is_a_failed_response() -> None:
    async with rig() as r:
        made = await r.create("never-json", text=JSON)
        assert made.status == "failed" and made.output == []
        assert made.error is not None and "3 times" in made.error.message
        assert (await r.retrieve(made.id))["status"] == "failed"


@pytest.mark.requirement("runs:format:json-object")
async def test_json_object_is_checked() -> None:
    async with rig() as r:
        asked = {"format": {"type": "json_object"}}
        assert isinstance(json.loads(text_of(await r.create("json", text=asked))), dict)
        assert (await r.create("never-json", text=asked)).status == "failed"


@pytest.mark.requirement("runs:format:bounded")
def test_a_schema_that_doubles_the_work_at_each_level_is_given_up() -> None:
    schema: dict[str, Any] = {"type": "object"}
    for _ in range(24):
        schema = {"anyOf": [schema], "unevaluatedProperties": False, "properties": {"a": {}}}
    check = compiled(json.dumps(schema).encode())
    assert isinstance(check, SchemaCheck)
    assert check.problem('{"a": 1}') == "it is too complex for its schema to be checked"
    long = compiled(json.dumps({"description": "x" * 300_000}).encode())
    assert isinstance(long, str) and "longer than" in long


@pytest.mark.requirement("runs:format:unique")
@pytest.mark.parametrize(
    ("items", "fits"),
    [
        ('[1, true, "1", [1], {"a": 1}]', True),
        ("[1, 1.0]", False),
        ('[{"a": 1, "b": [2]}, {"b": [2], "a": 1}]', False),
    ],
)
def test_items_are_unique_as_json_sees_it(items: str, fits: bool) -> None:
    check = compiled(b'{"uniqueItems": true}')
    assert isinstance(check, SchemaCheck) and (check.problem(items) is None) == fits


@pytest.mark.requirement("runs:format:numbers")
@pytest.mark.parametrize("number", ["1e999", "9" * 400])
def test_a_number_without_end_is_a_misfit(number: str) -> None:
    check = compiled(b'{"multipleOf": 0.01}')
    assert isinstance(check, SchemaCheck)
    assert check.problem(number) == "a number in it is too large"
    assert [check.problem(price) is None for price in ("19.99", "1", "0.305")] == [
        True,
        True,
        False,
    ]


@pytest.mark.requirement("runs:strict:honest")
async def test_strict_is_only_claimed_where_it_holds() -> None:
    async with rig() as r:
        made = await r.create("tool", tools=[function("f"), function("g", strict=True)])
        assert [tool.strict for tool in made.tools] == [False, True]


@pytest.mark.requirement("runs:strict:arguments")
async def test_arguments_of_a_strict_function_are_valid() -> None:
    async with rig() as r:
        made = await r.create("bad-arguments-2", tools=[function(strict=True)])
        call = made.output[0]
        assert isinstance(call, FunctionCall) and isinstance(json.loads(call.arguments)["a"], int)
        failed = await r.create("bad-arguments-9", tools=[function(strict=True)])
        assert failed.status == "failed" and failed.output == []


@pytest.mark.requirement("runs:grammar:checked")
async def test_the_input_of_a_grammar_tool_matches_it() -> None:
    async with rig() as r:
        made = await r.create("bad-custom-2", input="fix it", tools=[lark()])
        call = made.output[0]
        assert isinstance(call, CustomToolCall) and call.input == "fix it"
        assert (await r.create("bad-custom-9", tools=[lark()])).status == "failed"


@pytest.mark.requirement("runs:choice:required")
async def test_a_required_call_is_made_or_the_response_fails() -> None:
    async with rig() as r:
        made = await r.create("ignores-choice", tools=[function()], tool_choice="required")
        assert made.status == "failed"
        assert not any(isinstance(item, FunctionCall) for item in made.output)


@pytest.mark.requirement("runs:choice:none")
async def test_no_call_passes_when_none_is_allowed() -> None:
    async with rig() as r:
        made = await r.create("tool", tools=[function()], tool_choice="none")
        assert not any(isinstance(item, FunctionCall) for item in made.output)


@pytest.mark.requirement("runs:choice:named")
@pytest.mark.parametrize(
    "choice",
    [
        {"type": "function", "name": "g"},
        {"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "g"}]},
    ],
)
async def test_only_the_chosen_tool_can_be_called(choice: dict[str, Any]) -> None:
    async with rig() as r:
        made = await r.create("tool", tools=[function("f"), function("g")], tool_choice=choice)
        assert [getattr(item, "name", "") for item in made.output] == ["g"]
        assert r.runs.backend is not None and len(made.tools) == 2


@pytest.mark.requirement("runs:choice:unknown-tool")
async def test_a_call_of_a_tool_nobody_offered_is_suppressed() -> None:
    async with rig() as r:
        made = await r.create("unknown-tool", tools=[function()])
        assert not any(isinstance(item, FunctionCall) for item in made.output)


@pytest.mark.requirement("runs:parallel:false")
async def test_at_most_one_call_when_not_parallel() -> None:
    async with rig() as r:
        made = await r.create("tools-parallel", tools=[function()], parallel_tool_calls=False)
        assert len(made.output) == 1


@pytest.mark.requirement("runs:calls:arguments-json")
async def test_a_call_without_arguments_says_an_empty_object() -> None:
    async with rig() as r:
        made = await r.create("no-arguments", tools=[function()])
        call = made.output[0]
        assert isinstance(call, FunctionCall) and call.arguments == "{}"


@pytest.mark.requirement("runs:calls:ids-unique")
async def test_call_ids_are_kept_unless_they_repeat() -> None:
    async with rig() as r:
        kept = await r.create("tool-ids", tools=[function()])
        same = await r.create("tool-same-ids", tools=[function()])
        ids = [item.call_id for item in same.output if isinstance(item, FunctionCall)]
        assert len(set(ids)) == 2
        assert all(
            item.call_id != item.id for item in kept.output if isinstance(item, FunctionCall)
        )


async def test_a_fence_around_json_is_taken_off() -> None:
    warden = Warden(Demands(text=JsonCheck(objects=True)))
    assert list(warden.admit([Text("```json\n"), Text('{"a": 1}\n```')])) == []
    assert warden.verdict() is None
    assert [d.text for d in warden.release() if isinstance(d, Text)] == ['{"a": 1}']


async def test_text_before_a_call_streams_while_the_call_waits() -> None:
    demands = Demands(arguments={"f": JsonCheck(objects=True)}, callable=frozenset({"f"}))
    warden = Warden(demands)
    said = warden.admit([Text("let me see"), CallStart(0, "function", "f")])
    assert list(said) == [Text("let me see")]
    assert list(warden.admit([CallArguments(0, "[1]")])) == []
    assert "not an object" in (warden.verdict() or "")


async def test_a_model_without_tools_refuses_them() -> None:
    from antiphon.backends.base import Capabilities
    from antiphon.config import RunSettings
    from antiphon.runs.offering import offer, placed
    from antiphon.runs.wishes import _demands
    from antiphon.types.request import CreateResponse
    from antiphon.types.tools import FunctionTool, TextFormat

    asked = CreateResponse(model="m", input="x")
    able = Capabilities(tools=False)
    made = offer(placed([FunctionTool(name="f")]), able, {})
    with pytest.raises(ClientError):
        _demands(asked, made, "auto", TextFormat(), RunSettings(), able)


@pytest.mark.requirement("runs:reasoning:policy")
async def test_raw_reasoning_is_shown_or_not_by_policy() -> None:
    async with rig() as r:
        assert [item.status for item in (await r.create("reasoning")).output] == ["completed"] * 2
    async with rig(raw_reasoning="none") as r:
        made = await r.create("reasoning")
        assert [type(item).__name__ for item in made.output] == ["OutputMessage"]


@pytest.mark.requirement("runs:format:commentary")
@pytest.mark.parametrize("stream", [False, True])
async def test_prose_before_a_call_is_commentary_when_a_format_is_demanded(stream: bool) -> None:
    async with rig() as r:
        live = await r.start("text-then-tool", tools=[function()], text=JSON, stream=stream)
        events = [event async for group in live.groups() for event in group]
        message, call = live.response.output
        assert isinstance(message, OutputMessage) and message.phase == "commentary"
        assert isinstance(call, FunctionCall)
        stored = await r.retrieve(live.response.id)
        assert stored["output"][0]["phase"] == "commentary"
        if stream:
            replayed = await r.replay(live.response.id)
            assert [encode(event) for event in replayed] == [encode(event) for event in events]
        plain = await r.create("text-then-tool", tools=[function()])
        assert "phase" not in (await r.retrieve(plain.id))["output"][0]
