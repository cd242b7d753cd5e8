"""Opening items: what frameworks send, what we emitted, and what nobody knows."""

from __future__ import annotations

import sys
from typing import Any

import msgspec
import pytest

from antiphon.errors import ClientError
from antiphon.types.base import UNSET
from antiphon.types.codec import encode, open_items, open_stored
from antiphon.types.content import (
    InputFile,
    InputImage,
    InputText,
    Logprob,
    OutputText,
    ReasoningText,
    Refusal,
    SummaryText,
)
from antiphon.types.items import (
    OPAQUE_TYPES,
    CustomToolCall,
    FunctionCall,
    FunctionCallOutput,
    ItemReference,
    Message,
    Opaque,
    OutputMessage,
    Reasoning,
)

CALL = {"type": "function_call", "call_id": "call_1", "name": "f", "arguments": "{}"}
OUTPUT = {"type": "function_call_output", "call_id": "call_1", "output": "42"}


def refusal(*items: dict[str, Any]) -> ClientError:
    with pytest.raises(ClientError) as caught:
        open_items(list(items))
    assert caught.value.status == 400
    return caught.value


def user(*parts: dict[str, Any]) -> dict[str, Any]:
    return {"type": "message", "role": "user", "content": list(parts)}


@pytest.mark.requirement("wire:items:easy")
@pytest.mark.parametrize("raw", [{}, {"type": None}, {"type": "message"}])
def test_a_message_may_leave_its_type_out(raw: dict[str, Any]) -> None:
    assert open_items([{**raw, "role": "user", "content": "hi"}]) == [Message("user", "hi")]


@pytest.mark.requirement("wire:items:easy")
@pytest.mark.parametrize("raw", [{}, {"type": None}, {"type": "item_reference"}])
def test_a_reference_may_leave_its_type_out(raw: dict[str, Any]) -> None:
    assert open_items([{**raw, "id": "rs_1"}]) == [ItemReference("rs_1")]


@pytest.mark.requirement("wire:items:easy")
def test_assistant_content_may_be_text_or_parts() -> None:
    text, parts = open_items(
        [
            {"role": "assistant", "content": "hi"},
            {"role": "assistant", "content": [{"type": "output_text", "text": "hi"}]},
        ]
    )
    assert text == Message("assistant", "hi")
    assert parts == Message("assistant", [OutputText("hi")])


@pytest.mark.requirement("wire:items:easy")
@pytest.mark.parametrize("role", ["user", "assistant", "system", "developer"])
def test_every_role_is_taken_with_every_text_part(role: str) -> None:
    kinds = [("input_text", "text"), ("output_text", "text"), ("refusal", "refusal")]
    for kind, field in [*kinds, ("text", "text")]:
        (item,) = open_items([{"role": role, "content": [{"type": kind, field: "x"}]}])
        assert isinstance(item, Message)
        assert getattr(item.content[0], field) == "x"


def test_calls_and_results_are_opened() -> None:
    call, result, custom, answer = open_items(
        [
            CALL,
            {**OUTPUT, "output": [{"type": "input_text", "text": "42"}]},
            {"type": "custom_tool_call", "call_id": "c", "name": "sh", "input": "ls"},
            {"type": "custom_tool_call_output", "call_id": "c", "output": "a b"},
        ]
    )
    assert call == FunctionCall("call_1", "f", "{}")
    assert result == FunctionCallOutput("call_1", [InputText("42")])
    assert custom == CustomToolCall("c", "sh", "ls")
    assert answer.output == "a b"  # type: ignore[union-attr]


EMITTED = [
    OutputMessage("msg_1", "completed", [OutputText("hi")]),
    OutputMessage("msg_2", "incomplete", [OutputText("h", logprobs=[Logprob("h", -0.5)])]),
    OutputMessage("msg_3", "completed", [Refusal("no")]),
    OutputMessage("msg_4", "in_progress", []),
    FunctionCall("call_1", "f", "{}", id="fc_1", status="completed"),
    CustomToolCall("call_2", "sh", "ls", id="ctc_1", status="completed"),
    Reasoning([], id="rs_1", content=[ReasoningText("hm")], status="completed"),
    Reasoning([SummaryText("s")], id="rs_2", encrypted_content="x"),
]


@pytest.mark.requirement("wire:items:fed-back")
@pytest.mark.parametrize("item", EMITTED, ids=lambda item: item.id)
@pytest.mark.parametrize("extra", [{}, {"created_by": None, "brand_new": {"a": [None]}}])
def test_what_we_emit_opens_as_itself(item: msgspec.Struct, extra: dict[str, Any]) -> None:
    raw = msgspec.json.decode(encode(item))
    (opened,) = open_items([{**raw, **extra}])
    assert msgspec.json.decode(encode(opened)) == raw


@pytest.mark.requirement("wire:items:fed-back")
@pytest.mark.parametrize("item", EMITTED, ids=lambda item: item.id)
def test_what_we_emit_opens_with_null_for_every_optional_field(item: msgspec.Struct) -> None:
    raw = msgspec.json.decode(encode(item))
    nulls = {"status": None, "phase": None, "namespace": None, "caller": None}
    if raw["type"] == "reasoning":
        nulls |= {"summary": None, "content": None, "encrypted_content": None}
    if raw["type"] == "message":
        raw["content"] = [
            {**part, "logprobs": None, "annotations": None} for part in raw["content"]
        ]
    (opened,) = open_items([{**raw, **nulls}])
    assert opened.id == item.id  # type: ignore[union-attr, attr-defined]


@pytest.mark.requirement("wire:items:fed-back")
def test_reasoning_without_content_or_summary_is_taken() -> None:
    assert open_items([{"type": "reasoning", "id": "rs_1", "summary": None}]) == [
        Reasoning(None, id="rs_1")
    ]


@pytest.mark.requirement("wire:items:fed-back")
def test_logprobs_with_nulls_inside_are_taken() -> None:
    part = {"type": "output_text", "text": "a"}
    entry = {"token": "a", "logprob": 0, "bytes": None, "top_logprobs": None}
    (item,) = open_items([{"role": "assistant", "content": [{**part, "logprobs": [entry]}]}])
    assert isinstance(item, Message)
    assert item.content == [OutputText("a", logprobs=[Logprob("a", 0.0)])]


@pytest.mark.requirement("wire:items:opaque")
@pytest.mark.parametrize("kind", sorted(OPAQUE_TYPES))
def test_an_uninterpreted_item_is_kept_whole(kind: str) -> None:
    raw = {"type": kind, "id": "x_1", "anything": [1, None]}
    (item,) = open_items([raw])
    assert item == Opaque(kind, raw)
    assert msgspec.json.decode(encode(item)) == raw


@pytest.mark.requirement("wire:items:opaque")
def test_an_unknown_item_type_is_refused_with_the_known_ones() -> None:
    error = refusal({"role": "user", "content": "a"}, {"type": "telepathy"})
    assert (error.param, error.code) == ("input[1].type", "invalid_value")
    for name in ("'message'", "'function_call_output'", "'item_reference'", "'mcp_call'"):
        assert name in error.message


REFUSALS: list[tuple[dict[str, Any], str, str]] = [
    ({}, "type", "missing_required_parameter"),
    ({"content": "hi"}, "role", "missing_required_parameter"),
    ({"id": "msg_1", "status": "completed"}, "type", "missing_required_parameter"),
    ({"type": 3}, "type", "invalid_type"),
    ({"type": "message", "content": "hi"}, "role", "missing_required_parameter"),
    ({"role": "tool", "content": "hi"}, "role", "invalid_value"),
    ({"role": "user"}, "content", "missing_required_parameter"),
    ({"role": "user", "content": None}, "content", "invalid_type"),
    ({"role": "user", "content": 3}, "content", "invalid_type"),
    ({"role": "user", "content": ["hi"]}, "content[0]", "invalid_type"),
    (
        {"role": "user", "content": [{"text": "hi"}]},
        "content[0].type",
        "missing_required_parameter",
    ),
    (user({"type": "input_audio"}), "content[0].type", "invalid_value"),
    (user({"type": "image_url", "image_url": {"url": "x"}}), "content[0].type", "invalid_value"),
    (user({"type": "input_text"}), "content[0].text", "missing_required_parameter"),
    (user({"type": "input_text", "text": 1}), "content[0].text", "invalid_type"),
    (
        user({"type": "input_image", "image_url": "x", "detail": "fine"}),
        "content[0].detail",
        "invalid_value",
    ),
    ({**CALL, "arguments": {"a": 1}}, "arguments", "invalid_type"),
    ({**CALL, "call_id": ""}, "call_id", "string_below_min_length"),
    ({**CALL, "call_id": "c" * 65}, "call_id", "string_above_max_length"),
    ({**CALL, "call_id": None}, "call_id", "invalid_type"),
    ({**OUTPUT, "output": {"a": 1}}, "output", "invalid_type"),
    ({"type": "function_call_output", "output": ""}, "call_id", "missing_required_parameter"),
    (
        {**OUTPUT, "output": [{"type": "refusal", "refusal": ""}]},
        "output[0].type",
        "invalid_value",
    ),
    ({"type": "item_reference"}, "id", "missing_required_parameter"),
    ({"type": "reasoning", "summary": [{"type": "text"}]}, "summary[0].type", "invalid_value"),
]


@pytest.mark.requirement("wire:errors:codes")
@pytest.mark.parametrize(("raw", "path", "code"), REFUSALS, ids=lambda value: str(value)[:40])
def test_a_misfit_in_an_item_has_its_path(raw: dict[str, Any], path: str, code: str) -> None:
    error = refusal({"role": "user", "content": "first"}, raw)
    assert (error.param, error.code) == (f"input[1].{path}", code)


@pytest.mark.requirement("wire:errors:codes")
def test_an_item_nested_too_deeply_is_refused() -> None:
    deep: list[Any] = []
    for _ in range(sys.getrecursionlimit() + 100):
        deep = [deep]
    refused = refusal(user({"type": "input_text", "text": None, "more": deep}))
    assert refused.param == "input[0]" and "too deeply" in refused.message


@pytest.mark.requirement("wire:errors:codes")
def test_chat_shaped_input_gets_a_hint() -> None:
    assert "'function_call_output'" in refusal({"role": "tool", "content": ""}).message
    assert "'input_image'" in refusal(user({"type": "image_url"})).message
    assert "Audio" in refusal(user({"type": "input_audio"})).message


@pytest.mark.requirement("wire:items:limits")
@pytest.mark.parametrize(
    ("part", "limit"),
    [
        ({"type": "input_text", "text": ""}, 10_485_760),
        ({"type": "input_image", "image_url": ""}, 20_971_520),
        ({"type": "input_file", "file_data": ""}, 73_400_320),
    ],
)
def test_a_part_has_the_length_limit_of_the_api(part: dict[str, Any], limit: int) -> None:
    field = next(name for name in part if name != "type")
    (item,) = open_items([user({**part, field: "x" * limit})])
    assert isinstance(item, Message)
    error = refusal(user({**part, field: "x" * (limit + 1)}))
    assert (error.param, error.code) == (f"input[0].content[0].{field}", "string_above_max_length")


@pytest.mark.requirement("wire:items:limits")
def test_a_result_has_the_length_limit_of_the_api() -> None:
    error = refusal({**OUTPUT, "output": "x" * 10_485_761})
    assert (error.param, error.code) == ("input[0].output", "string_above_max_length")


@pytest.mark.requirement("wire:items:sources")
@pytest.mark.parametrize(
    ("part", "code"),
    [
        ({"type": "input_image"}, "missing_required_parameter"),
        ({"type": "input_image", "image_url": None}, "missing_required_parameter"),
        (
            {"type": "input_image", "image_url": "a", "file_id": "b"},
            "mutually_exclusive_parameters",
        ),
        ({"type": "input_file", "filename": "a.pdf"}, "missing_required_parameter"),
        (
            {"type": "input_file", "file_data": "a", "file_url": "b"},
            "mutually_exclusive_parameters",
        ),
    ],
)
def test_a_part_has_exactly_one_source(part: dict[str, Any], code: str) -> None:
    text = {"type": "input_text", "text": "look"}
    in_message = refusal(user(text, part))
    in_result = refusal({**OUTPUT, "output": [text, part]})
    assert (in_message.param, in_message.code) == ("input[0].content[1]", code)
    assert (in_result.param, in_result.code) == ("input[0].output[1]", code)


@pytest.mark.requirement("wire:items:sources")
def test_each_source_is_taken() -> None:
    (item,) = open_items(
        [
            user(
                {"type": "input_image", "image_url": "https://a/b.png", "detail": None},
                {"type": "input_image", "file_id": "file-1", "image_url": None},
                {"type": "input_file", "file_data": "data:,x", "filename": "a.txt"},
                {"type": "input_file", "file_url": "https://a/b.pdf"},
                {"type": "input_file", "file_id": "file-1"},
            )
        ]
    )
    assert isinstance(item, Message)
    assert [type(part) for part in item.content] == [InputImage] * 2 + [InputFile] * 3


def test_stored_items_open_from_their_bytes() -> None:
    raw: list[dict[str, Any]] = [
        {"type": "message", "role": "user", "content": "hi", "id": "msg_1"},
        CALL,
    ]
    assert open_stored(msgspec.json.encode(raw)) == open_items(raw)
    opaque = {"type": "mcp_call", "id": "mcp_1"}
    assert open_stored(msgspec.json.encode([*raw, opaque]))[2] == Opaque("mcp_call", opaque)


def test_absent_and_null_stay_apart() -> None:
    absent, null = open_items([CALL, {**CALL, "id": None}])
    assert isinstance(absent, FunctionCall)
    assert isinstance(null, FunctionCall)
    assert (absent.id, null.id) == (UNSET, None)


def test_an_empty_input_opens_to_nothing() -> None:
    assert open_items([]) == []
