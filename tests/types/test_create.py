"""The create body: what is taken, and what is said about what is not."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from antiphon.errors import ClientError
from antiphon.types.codec import decode_count, decode_create, encode
from antiphon.types.content import OutputText
from antiphon.types.request import CreateResponse


def refusal(body: Any) -> ClientError:
    """The error for a body, given as an object or as bytes."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    with pytest.raises(ClientError) as caught:
        decode_create(raw)
    assert caught.value.status == 400
    assert caught.value.type == "invalid_request_error"
    return caught.value


def long(character: str, times: int) -> str:
    return character * times


REFUSALS: list[tuple[dict[str, Any], str | None, str]] = [
    ({"model": 1}, "model", "invalid_type"),
    ({"input": 1}, "input", "invalid_type"),
    ({"input": [1]}, "input[0]", "invalid_type"),
    ({"input": [{}, "x"]}, "input[1]", "invalid_type"),
    ({"instructions": ["x"]}, "instructions", "invalid_type"),
    ({"store": "yes"}, "store", "invalid_type"),
    ({"stream": 1}, "stream", "invalid_type"),
    ({"temperature": "hot"}, "temperature", "invalid_type"),
    ({"temperature": True}, "temperature", "invalid_type"),
    ({"temperature": 2.1}, "temperature", "decimal_above_max_value"),
    ({"temperature": -1}, "temperature", "decimal_below_min_value"),
    ({"top_p": 1.5}, "top_p", "decimal_above_max_value"),
    ({"presence_penalty": -2.5}, "presence_penalty", "decimal_below_min_value"),
    ({"max_output_tokens": 15}, "max_output_tokens", "integer_below_min_value"),
    ({"max_output_tokens": 16.5}, "max_output_tokens", "invalid_type"),
    ({"max_tool_calls": 0}, "max_tool_calls", "integer_below_min_value"),
    ({"top_logprobs": 21}, "top_logprobs", "integer_above_max_value"),
    ({"truncation": "middle"}, "truncation", "invalid_value"),
    ({"service_tier": "gold"}, "service_tier", "invalid_value"),
    ({"include": ["everything"]}, "include[0]", "invalid_value"),
    ({"include": "all"}, "include", "invalid_type"),
    ({"metadata": {"a": 1}}, "metadata.a", "invalid_type"),
    ({"metadata": {"a": long("b", 513)}}, "metadata.a", "string_above_max_length"),
    ({"metadata": {long("k", 65): ""}}, None, "string_above_max_length"),
    ({"metadata": {str(n): "" for n in range(17)}}, "metadata", "object_above_max_properties"),
    ({"model": long("m", 513)}, "model", "string_above_max_length"),
    ({"prompt_cache_key": long("k", 65)}, "prompt_cache_key", "string_above_max_length"),
    ({"safety_identifier": long("k", 129)}, "safety_identifier", "string_above_max_length"),
    ({"input": long("x", 10_485_761)}, "input", "string_above_max_length"),
    ({"tools": [{}] * 1025}, "tools", "array_above_max_length"),
    ({"reasoning": {"effort": "huge"}}, "reasoning.effort", "invalid_value"),
    ({"reasoning": {"depth": 3}}, "reasoning.depth", "unknown_parameter"),
    ({"stream_options": {"include_usage": True}}, None, "unknown_parameter"),
    ({"text": {"format": {"type": "yaml"}}}, "text.format.type", "invalid_value"),
    ({"text": {"format": {}}}, "text.format.type", "missing_required_parameter"),
    ({"text": {"format": {"type": 1}}}, "text.format.type", "invalid_type"),
    (
        {"text": {"format": {"type": "json_schema", "schema": {}}}},
        "text.format.name",
        "missing_required_parameter",
    ),
    (
        {"text": {"format": {"type": "json_schema", "name": "", "schema": {}}}},
        "text.format.name",
        "string_below_min_length",
    ),
    (
        {"text": {"format": {"type": "json_schema", "name": "a b", "schema": {}}}},
        "text.format.name",
        "invalid_value",
    ),
    ({"nonsense": 1}, "nonsense", "unknown_parameter"),
    ({"messages": []}, "messages", "unsupported_parameter"),
    ({"max_tokens": 5}, "max_tokens", "unsupported_parameter"),
    ({"response_format": {}}, "response_format", "unsupported_parameter"),
]


@pytest.mark.requirement("wire:errors:codes")
@pytest.mark.parametrize(("body", "param", "code"), REFUSALS, ids=lambda value: str(value)[:40])
def test_a_misfit_is_named_by_parameter_and_code(
    body: dict[str, Any], param: str | None, code: str
) -> None:
    error = refusal(body)
    assert error.code == code
    if param is not None:
        assert error.param == param


@pytest.mark.requirement("wire:create:parameters")
def test_every_parameter_takes_null_as_absent() -> None:
    names = [field.name for field in msgspec.structs.fields(CreateResponse)]
    assert decode_create(json.dumps(dict.fromkeys(names)).encode()) == CreateResponse()


@pytest.mark.requirement("wire:create:parameters")
def test_empty_option_objects_are_taken() -> None:
    request = decode_create(b'{"text":{},"reasoning":{},"stream_options":{},"metadata":{}}')
    assert request.text is not None
    assert request.text.format is None
    assert request.metadata == {}


@pytest.mark.requirement("wire:create:parameters")
def test_values_on_the_edge_of_a_range_are_taken() -> None:
    request = decode_create(b'{"max_output_tokens":16,"temperature":2,"top_p":0,"top_logprobs":20}')
    assert (request.max_output_tokens, request.temperature) == (16, 2.0)


@pytest.mark.requirement("wire:errors:codes")
def test_supported_values_are_listed() -> None:
    message = refusal({"truncation": "middle"}).message
    assert message == "Invalid value: 'middle'. Supported values are: 'auto' and 'disabled'."


@pytest.mark.requirement("wire:errors:codes")
def test_a_chat_parameter_is_answered_with_its_new_name() -> None:
    assert "'input'" in refusal({"messages": []}).message
    assert "'max_output_tokens'" in refusal({"max_tokens": 5}).message


@pytest.mark.requirement("wire:errors:codes")
def test_a_limit_is_told_with_what_came() -> None:
    message = refusal({"max_output_tokens": 3}).message
    assert message == (
        "Invalid 'max_output_tokens': integer below minimum value. "
        "Expected a value >= 16, but got 3 instead."
    )
    assert "one of a string or an array" in refusal({"input": True}).message


@pytest.mark.requirement("wire:errors:malformed")
@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "empty"),
        (b"  \n", "empty"),
        (b'{"model"', "ends too early (line 1, column 9)"),
        (b'{\n  "model": nope\n}', "line 2, column"),
        (b'{"model":"a"} x', "trailing"),
        (b'{"model":"\xff"}', "not valid UTF-8 (line 1, column 11)"),
        (b'{"model":"\\ud800"}', "half of a surrogate pair (line 1, column 11)"),
        (b'{"model":"\\ud800x"}', "half of a surrogate pair"),
        (b'\xef\xbb\xbf{"model":"a"}', "line 1, column 1"),
        (b'{"temperature":NaN}', "not valid JSON"),
        (b'{"input":[{"a":' + b"[" * 100_000, "nested too deeply"),
        (b"[" * 100_000, "nested too deeply"),
    ],
)
def test_a_body_that_is_not_json_is_told_where(body: bytes, words: str) -> None:
    error = refusal(body)
    assert error.code == "invalid_json"
    assert error.param is None
    assert words in error.message


@pytest.mark.requirement("wire:errors:malformed")
@pytest.mark.parametrize("body", [b"[]", b"null", b'"text"', b"3", b"true"])
def test_a_body_that_is_not_an_object_is_refused(body: bytes) -> None:
    error = refusal(body)
    assert error.code == "invalid_type"
    assert error.param is None
    assert "expected an object" in error.message


@pytest.mark.requirement("wire:errors:always-a-cause")
def test_a_fault_hidden_by_a_later_duplicate_key_still_has_a_cause() -> None:
    error = refusal(b'{"temperature":"x","temperature":1}')
    assert (error.param, error.code) == ("temperature", "invalid_type")


@pytest.mark.requirement("wire:errors:always-a-cause")
def test_a_number_too_large_to_hold_still_has_a_cause() -> None:
    assert refusal(b'{"temperature":1e999}').param == "temperature"
    assert refusal(b'{"top_logprobs":' + b"9" * 5000 + b"}").code == "invalid_value"


@pytest.mark.requirement("wire:errors:echo-limit")
def test_long_names_and_values_are_cut() -> None:
    for body in ({long("q", 5000): 1}, {"truncation": long("q", 5000)}):
        error = refusal(body)
        assert long("q", 101) not in error.message
        assert long("q", 101) not in str(error.param)


@pytest.mark.requirement("wire:input-tokens:body")
def test_the_token_count_takes_what_decides_the_input() -> None:
    request = decode_count(b'{"model":"m","input":"hi","truncation":"auto","personality":null}')
    assert request == CreateResponse(model="m", input="hi", truncation="auto")


@pytest.mark.requirement("wire:input-tokens:body")
@pytest.mark.parametrize(
    ("body", "param", "code"),
    [
        (b'{"stream":true}', "stream", "unknown_parameter"),
        (b'{"input":1}', "input", "invalid_type"),
        (b'{"personality":"friendly"}', "personality", "unsupported_parameter"),
    ],
)
def test_the_token_count_refuses_the_rest(body: bytes, param: str, code: str) -> None:
    with pytest.raises(ClientError) as caught:
        decode_count(body)
    assert (caught.value.param, caught.value.code) == (param, code)


def test_a_struct_is_encoded_without_its_absent_fields() -> None:
    assert encode(OutputText("a")) == b'{"type":"output_text","text":"a","annotations":[]}'
