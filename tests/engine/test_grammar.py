"""Which grammar a turn gets, and what that grammar takes: judged by llguidance itself."""

from __future__ import annotations

from typing import Any

import pytest
from llguidance import LLMatcher, LLTokenizer

from antiphon.backends.llamacpp_grammar import grammar_of
from antiphon.errors import RemoteError
from antiphon.types.tools import (
    CustomTool,
    FunctionTool,
    GrammarInput,
    JsonObjectFormat,
    JsonSchemaFormat,
    NamedChoice,
)
from tests.engine.turns import CITY, PERSON, WEATHER, asking

BYTES = LLTokenizer("byte")
NAP = FunctionTool(name="nap", parameters=None)
CALL = '<tool_call>\n{"name": "get_weather", "arguments": {"city": "Paris"}}\n</tool_call>'
NAPPING = '<tool_call>\n{"name": "nap", "arguments": {}}\n</tool_call>'
JANE = '{"name": "Jane", "age": 54}'


def takes(grammar: str | None, text: str) -> bool:
    assert grammar is not None
    matcher = LLMatcher(BYTES, grammar.removeprefix("%llguidance {}\n"))
    tokens = BYTES.tokenize_str(text)
    return matcher.try_consume_tokens(tokens) == len(tokens) and matcher.is_accepting()


def test_free_text_without_tools_needs_no_grammar() -> None:
    assert grammar_of(asking("Hi")) is None
    assert grammar_of(asking("Hi", tools=[WEATHER], tool_choice="none")) is None


FORMAT = JsonSchemaFormat(name="person", schema=PERSON, strict=True)
CASES: list[tuple[dict[str, Any], list[str], list[str]]] = [
    (
        {"tools": [WEATHER, NAP]},
        ["", "Hello!", "a < b\n", CALL, NAPPING, f"Let me see.\n{CALL}\n{NAPPING}"],
        [CALL[:-1], CALL.replace("city", "town"), CALL.replace("weather", "money"), f"{CALL} ok"],
    ),
    (
        {"tools": [WEATHER, NAP], "parallel_tool_calls": False},
        ["Hello!", CALL],
        [f"{CALL}\n{NAPPING}"],
    ),
    (
        {"tools": [WEATHER, NAP], "tool_choice": "required"},
        [CALL, NAPPING, f"{CALL}\n{CALL}"],
        ["", "Hello!", f"Hm. {CALL}"],
    ),
    (
        {
            "tools": [WEATHER, NAP],
            "tool_choice": NamedChoice(type="function", name="nap"),
        },
        [NAPPING],
        [CALL, "", f"{NAPPING}\n{NAPPING}", NAPPING.replace("{}", '{"a": 1}')],
    ),
    ({"format": FORMAT}, [JANE], ["", "Jane", JANE.replace(": ", ":"), JANE[:-1], CALL]),
    ({"tools": [WEATHER], "format": FORMAT}, [JANE, CALL], ["Hello", f"{JANE}{CALL}"]),
    (
        {"tools": [WEATHER], "format": FORMAT, "tool_choice": "required"},
        [CALL],
        [JANE],
    ),
    ({"format": JsonObjectFormat()}, ["{}", JANE], ["[]", "1", "text"]),
]


@pytest.mark.requirement("engine:grammar:takes")
@pytest.mark.parametrize(("fields", "good", "bad"), CASES)
def test_the_grammar_takes_what_the_turn_allows_and_nothing_else(
    fields: dict[str, Any], good: list[str], bad: list[str]
) -> None:
    grammar = grammar_of(asking("Hi", **fields))
    assert [text for text in good if not takes(grammar, text)] == []
    assert [text for text in bad if takes(grammar, text)] == []


def custom(syntax: str, definition: str) -> CustomTool:
    form = GrammarInput(syntax=syntax, definition=definition)  # type: ignore[arg-type]
    return CustomTool(name="sql", format=form)


def written(text: str) -> str:
    return f'<tool_call>\n{{"name": "sql", "input":\n{text}\n</tool_call>'


@pytest.mark.parametrize(
    ("tool", "good", "bad"),
    [
        (custom("regex", r"a/b\d"), "a/b7", "a/bc"),
        (custom("regex", r"a\/b[/]\\"), "a/b/\\", "a/b/"),
        (custom("regex", "x\ny"), "x\ny", "x y"),
        (custom("lark", 'start: "{" /[}"]/ A\nA: "é" // }'), '{"é', '{"e'),
        (custom("lark", '%ignore / +/\nstart: "a" "b"'), "a  b", "a c"),
        (custom("lark", "%import common.INT\nstart: INT"), "42", "4.2"),
        (custom("lark", 'start: raw0\nraw0: "x"'), "x", "y"),
    ],
)
def test_a_callers_grammar_fits_into_ours(tool: CustomTool, good: str, bad: str) -> None:
    grammar = grammar_of(asking("Hi", tools=[tool], tool_choice="required"))
    assert takes(grammar, written(good))
    assert not takes(grammar, written(bad))


@pytest.mark.parametrize(
    ("fields", "code", "param"),
    [
        (
            {"format": JsonSchemaFormat(name="x", schema={"not": {}}, strict=True)},
            "invalid_json_schema",
            "text.format.schema",
        ),
        (
            {"tools": [NAP, FunctionTool(name="f", parameters={"type": "wat"}, strict=True)]},
            "invalid_function_parameters",
            "tools[1].parameters",
        ),
        (
            {"tools": [custom("lark", "start: a\n}\nb: /x/")]},
            "invalid_grammar",
            "tools[0].format.definition",
        ),
        ({"tools": [custom("regex", "(?=a)")]}, "invalid_grammar", "tools[0].format.definition"),
    ],
)
def test_what_cannot_be_enforced_is_refused_with_its_path(
    fields: dict[str, Any], code: str, param: str
) -> None:
    with pytest.raises(RemoteError) as caught:
        grammar_of(asking("Hi", **fields))
    error = caught.value
    assert (error.status, error.code, error.param) == (400, code, param)
    assert "%llguidance" not in error.message and len(error.message) < 450


def test_a_schema_nobody_promised_to_keep_is_kept_as_far_as_possible() -> None:
    schema = {"type": "array", "items": {"type": "integer"}, "uniqueItems": True}
    grammar = grammar_of(
        asking("Hi", format=JsonSchemaFormat(name="x", schema=schema, strict=False))
    )
    assert takes(grammar, "[1, 1]") and not takes(grammar, '["a"]')


def test_a_schema_of_the_callers_cannot_change_our_spacing() -> None:
    schema = {**CITY, "x-guidance": {"whitespace_flexible": True}}
    grammar = grammar_of(asking("Hi", format=JsonSchemaFormat(name="x", schema=schema)))
    assert takes(grammar, '{"city": "x"}') and not takes(grammar, '{\n"city": "x"}')
