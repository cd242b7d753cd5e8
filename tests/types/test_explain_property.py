"""Whatever comes in, it is either taken or refused with a cause, and the cause repeats little."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from antiphon.errors import ClientError
from antiphon.types.codec import decode_create, open_items
from antiphon.types.explain import misfit
from antiphon.types.items import (
    OPAQUE_TYPES,
    FunctionCall,
    FunctionCallOutput,
    Message,
    Reasoning,
)
from antiphon.types.request import CreateResponse
from antiphon.types.tool_codec import open_choice, open_tools
from antiphon.types.tools import CustomTool, FunctionTool

ECHO_LIMIT = 100
# fmt: off
WORDS = [
    "auto", "none", "required", "user", "assistant", "message", "function", "custom",
    "input_text", "output_text", "input_image", "reasoning", "item_reference", "allowed_tools",
    "json_schema", "text", "object", "lark", "grammar", "function_call", "function_call_output",
    "mcp_call", "high", "disabled",
]
# fmt: on
# fmt: off
KEYS = [
    "type", "role", "content", "id", "status", "call_id", "name", "arguments", "output",
    "summary", "text", "image_url", "file_id", "file_data", "detail", "parameters", "strict",
    "format", "syntax", "definition", "mode", "tools", "schema", "effort", "annotations",
    "logprobs", "token", "logprob", "bytes", "function", "async", "allowed_callers",
]
# fmt: on
PARAMETERS = [field.name for field in msgspec.structs.fields(CreateResponse)]

# Long text of one unlikely letter: more than ECHO_LIMIT of them in a row must be an echo.
long_texts = st.integers(ECHO_LIMIT + 1, 700).map(lambda size: "ŧ" * size)
texts = st.sampled_from(WORDS) | st.text(max_size=8) | long_texts
scalars = st.none() | st.booleans() | st.integers(-5, 2000) | st.floats(-3, 3) | texts
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(KEYS) | long_texts, inner, max_size=4)
    ),
    max_leaves=12,
)
objects = st.dictionaries(st.sampled_from(KEYS) | long_texts, values, max_size=6)
bodies = st.dictionaries(st.sampled_from(PARAMETERS) | texts, values, max_size=5)
bounded = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def to_bytes(value: Any) -> bytes:
    return json.dumps(value, allow_nan=False).encode()


def check(error: ClientError) -> None:
    assert error.status == 400
    assert error.message
    for said in (error.message, error.param or ""):
        assert "ŧ" * (ECHO_LIMIT + 1) not in said
    assert (error.message + (error.param or "")).count("ŧ") <= 3 * ECHO_LIMIT


@pytest.mark.requirement("wire:errors:always-a-cause")
@pytest.mark.requirement("wire:errors:echo-limit")
@bounded
@given(bodies)
@example({"metadata": {"ŧ" * 300: "ŧ" * 900}})
@example({"ŧ" * 300: 1})
def test_a_body_is_taken_or_refused_with_a_cause(body: dict[str, Any]) -> None:
    try:
        raw = to_bytes(body)
    except UnicodeEncodeError:
        return
    try:
        decode_create(raw)
    except ClientError as error:
        check(error)


@pytest.mark.requirement("wire:errors:always-a-cause")
@bounded
@given(bodies)
def test_the_walk_finds_a_misfit_exactly_where_decoding_fails(body: dict[str, Any]) -> None:
    try:
        msgspec.json.decode(to_bytes(body), type=CreateResponse)
    except msgspec.ValidationError:
        assert misfit(body, CreateResponse) is not None
    except msgspec.DecodeError:
        return
    else:
        assert misfit(body, CreateResponse) is None


@pytest.mark.requirement("wire:errors:always-a-cause")
@bounded
@given(st.binary(max_size=60) | bodies.map(to_bytes).map(lambda raw: raw[: len(raw) // 2]))
def test_any_bytes_are_taken_or_refused_with_a_cause(raw: bytes) -> None:
    try:
        decode_create(raw)
    except ClientError as error:
        check(error)


@pytest.mark.requirement("wire:errors:always-a-cause")
@pytest.mark.requirement("wire:errors:echo-limit")
@bounded
@given(st.lists(objects, max_size=3), values)
@example([{"type": "ŧ" * 300}], None)
@example([{"type": "message", "role": "ŧ" * 300, "content": ""}], "ŧ" * 300)
@example([{"type": "function", "name": "ŧ" * 300}], {"type": "function", "name": "ŧ" * 300})
def test_items_tools_and_choices_are_taken_or_refused_with_a_cause(
    raw: list[dict[str, Any]], choice: Any
) -> None:
    for opener in (open_items, open_tools):
        try:
            opener(raw)
        except ClientError as error:
            check(error)
    if choice is None or isinstance(choice, str | dict):
        try:
            open_choice(choice, [])
        except ClientError as error:
            check(error)


@bounded
@given(st.lists(st.fixed_dictionaries({"type": st.sampled_from(sorted(OPAQUE_TYPES))}), max_size=3))
def test_opening_keeps_the_number_and_order_of_items(raw: list[dict[str, Any]]) -> None:
    assert [item.raw for item in open_items(raw)] == raw  # type: ignore[union-attr]


@bounded
@given(
    st.sampled_from(
        [Message, FunctionCall, FunctionCallOutput, Reasoning, FunctionTool, CustomTool]
    ),
    objects,
)
def test_the_walk_agrees_with_msgspec_about_items_and_tools(
    shape: type[msgspec.Struct], raw: dict[str, Any]
) -> None:
    raw.pop("type", None)
    try:
        msgspec.convert(without_nulls(raw), shape)
    except msgspec.ValidationError:
        assert misfit(raw, shape) is not None
    else:
        assert misfit(raw, shape) is None


def without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: without_nulls(inner) for key, inner in value.items() if inner is not None}
    return [without_nulls(inner) for inner in value] if isinstance(value, list) else value
