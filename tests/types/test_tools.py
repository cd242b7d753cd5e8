"""Opening tools and the tool choice."""

from __future__ import annotations

from typing import Any

import pytest

from antiphon.errors import ClientError
from antiphon.types.tool_codec import open_choice, open_tools
from antiphon.types.tools import (
    HOSTED,
    AllowedTools,
    CustomTool,
    FunctionTool,
    GrammarInput,
    HostedTool,
    NamedChoice,
    TextInput,
)

SCHEMA: dict[str, Any] = {"type": "object", "properties": {"city": {"type": "string"}}}
WEATHER: dict[str, Any] = {"type": "function", "name": "weather", "parameters": SCHEMA}
SHELL: dict[str, Any] = {"type": "custom", "name": "shell"}
TOOLS = open_tools([WEATHER, SHELL])


def refusal(*tools: dict[str, Any]) -> ClientError:
    with pytest.raises(ClientError) as caught:
        open_tools(list(tools))
    assert caught.value.status == 400
    return caught.value


@pytest.mark.requirement("wire:tools:open")
def test_function_and_custom_tools_are_opened() -> None:
    grammar = {"type": "grammar", "syntax": "lark", "definition": "start: /a/"}
    assert open_tools(
        [
            {**WEATHER, "strict": None, "description": "d"},
            SHELL,
            {"type": "custom", "name": "patch", "format": grammar},
            {"type": "custom", "name": "free", "format": {"type": "text"}},
        ]
    ) == [
        FunctionTool("weather", "d", SCHEMA),
        CustomTool("shell"),
        CustomTool("patch", format=GrammarInput("lark", "start: /a/")),
        CustomTool("free", format=TextInput()),
    ]


@pytest.mark.requirement("wire:tools:open")
def test_no_tools_open_to_nothing() -> None:
    assert open_tools(None) == open_tools([]) == []


@pytest.mark.requirement("wire:tools:open")
@pytest.mark.parametrize("kind", sorted(HOSTED))
def test_a_tool_that_only_a_backend_can_run_is_kept_as_it_came(kind: str) -> None:
    raw = {"type": kind, "anything": 1}
    assert open_tools([WEATHER, raw])[1] == HostedTool(kind, raw)


REFUSALS: list[tuple[dict[str, Any], str, str]] = [
    ({}, "type", "missing_required_parameter"),
    ({"type": 1}, "type", "invalid_type"),
    ({"type": "funktion"}, "type", "invalid_value"),
    ({"type": "function"}, "name", "missing_required_parameter"),
    ({"type": "function", "name": None}, "name", "invalid_type"),
    ({"type": "function", "name": ""}, "name", "string_below_min_length"),
    ({"type": "function", "name": "a b"}, "name", "invalid_value"),
    ({"type": "function", "name": "a" * 129}, "name", "string_above_max_length"),
    ({**WEATHER, "strict": "yes"}, "strict", "invalid_type"),
    ({**WEATHER, "parametres": {}}, "parametres", "unknown_parameter"),
    ({"type": "function", "function": {"name": "f"}}, "name", "missing_required_parameter"),
    ({"type": "custom", "name": "c", "parameters": {}}, "parameters", "unknown_parameter"),
    ({"type": "custom", "name": "c", "format": {"type": "x"}}, "format.type", "invalid_value"),
    (
        {"type": "custom", "name": "c", "format": {"type": "grammar", "syntax": "bnf"}},
        "format.syntax",
        "invalid_value",
    ),
    ({**WEATHER, "name": "shell", "type": "function"}, "name", "invalid_value"),
]


@pytest.mark.requirement("wire:errors:codes")
@pytest.mark.parametrize(("raw", "path", "code"), REFUSALS, ids=lambda value: str(value)[:50])
def test_a_misfit_in_a_tool_has_its_path(raw: dict[str, Any], path: str, code: str) -> None:
    error = refusal(SHELL, raw)
    assert (error.param, error.code) == (f"tools[1].{path}", code)


@pytest.mark.requirement("wire:errors:codes")
@pytest.mark.parametrize(
    ("raw", "said"),
    [
        ({"type": "web_search"}, "a tool of type 'web_search' is"),
        ({"type": "shell"}, "a tool of type 'shell' is"),
        ({"type": "mcp", "server_label": "wiki"}, "a server labelled 'wiki' is"),
    ],
)
def test_a_tool_that_is_there_twice_is_named_as_the_caller_did(
    raw: dict[str, Any], said: str
) -> None:
    assert said in refusal(raw, raw).message


@pytest.mark.requirement("wire:errors:codes")
def test_a_chat_shaped_tool_is_answered_with_the_flat_shape() -> None:
    assert (
        "without a nested 'function'"
        in refusal({"type": "function", "function": {"name": "f", "parameters": {}}}).message
    )


@pytest.mark.requirement("wire:tools:schema")
@pytest.mark.parametrize(
    "schema",
    [
        {"type": "array"},
        {"type": ["object", "null"]},
        {"anyOf": [SCHEMA]},
        {"$ref": "#/$defs/a"},
        {"type": "object", "properties": []},
        {"type": "object", "required": "city"},
        {"type": "object", "required": [1]},
    ],
)
def test_parameters_must_describe_an_object(schema: dict[str, Any]) -> None:
    error = refusal({**WEATHER, "parameters": schema})
    assert (error.param, error.code) == ("tools[0].parameters", "invalid_function_parameters")


@pytest.mark.requirement("wire:tools:schema")
@pytest.mark.parametrize("schema", [{}, {"properties": {}}])
def test_parameters_without_a_type_become_an_object(schema: dict[str, Any]) -> None:
    (tool,) = open_tools([{**WEATHER, "parameters": schema}])
    assert isinstance(tool, FunctionTool)
    assert tool.parameters == {**schema, "type": "object"}


@pytest.mark.requirement("wire:tools:calling")
def test_neutral_values_of_the_calling_keys_are_taken() -> None:
    neutral = {"async": False, "defer_loading": False, "allowed_callers": ["direct"]}
    nulls = {"async": None, "defer_loading": None, "allowed_callers": None}
    weather, shell = open_tools([{**WEATHER, **neutral}, {**SHELL, **nulls}])
    assert isinstance(weather, FunctionTool) and not weather.later and not weather.defer_loading
    assert isinstance(shell, CustomTool) and not shell.later and not shell.defer_loading


@pytest.mark.requirement("wire:tools:calling")
@pytest.mark.parametrize(
    ("key", "value", "path", "code"),
    [
        ("allowed_callers", ["direct", "programmatic"], "allowed_callers[1]", "unsupported_value"),
        ("allowed_callers", ["cat"], "allowed_callers[0]", "invalid_value"),
        ("allowed_callers", "direct", "allowed_callers", "invalid_type"),
        ("async", "no", "async", "invalid_type"),
    ],
)
def test_calling_a_tool_in_a_way_we_do_not_have_is_refused(
    key: str, value: Any, path: str, code: str
) -> None:
    error = refusal({**WEATHER, key: value})
    assert (error.param, error.code) == (f"tools[0].{path}", code)


ALLOWED: dict[str, Any] = {
    "type": "allowed_tools",
    "mode": "required",
    "tools": [{"type": "function", "name": "weather"}],
}


@pytest.mark.requirement("wire:tool-choice:forms")
@pytest.mark.parametrize(
    ("raw", "choice"),
    [
        (None, "auto"),
        ("auto", "auto"),
        ("none", "none"),
        ("required", "required"),
        ({"type": "function", "name": "weather"}, NamedChoice("function", "weather")),
        ({"type": "custom", "name": "shell"}, NamedChoice("custom", "shell")),
        (ALLOWED, AllowedTools("allowed_tools", ALLOWED["tools"], "required")),
        ({**ALLOWED, "mode": None}, AllowedTools("allowed_tools", ALLOWED["tools"], "auto")),
    ],
)
def test_every_form_of_choice_is_understood(raw: Any, choice: Any) -> None:
    assert open_choice(raw, TOOLS) == choice


@pytest.mark.requirement("wire:tool-choice:forms")
@pytest.mark.parametrize(
    ("raw", "param", "code"),
    [
        ("any", "tool_choice", "invalid_value"),
        ({}, "tool_choice.type", "missing_required_parameter"),
        ({"type": 1}, "tool_choice.type", "invalid_type"),
        ({"type": "tool"}, "tool_choice.type", "invalid_value"),
        ({"type": "function"}, "tool_choice.name", "missing_required_parameter"),
        (
            {"type": "function", "function": {"name": "weather"}},
            "tool_choice.name",
            "missing_required_parameter",
        ),
        ({"type": "function", "name": "time"}, "tool_choice", "invalid_value"),
        (
            {"type": "function", "name": "weather", "nam": "x"},
            "tool_choice.nam",
            "unknown_parameter",
        ),
        ({"type": "function", "name": "shell"}, "tool_choice", "invalid_value"),
        ({"type": "custom", "name": "weather"}, "tool_choice", "invalid_value"),
        ({"type": "file_search"}, "tool_choice", "invalid_value"),
        ({"type": "mcp", "server_label": "x"}, "tool_choice", "invalid_value"),
        ({"type": "computer_use"}, "tool_choice", "invalid_value"),
        ({**ALLOWED, "tools": []}, "tool_choice.tools", "array_below_min_length"),
        ({**ALLOWED, "mode": "none"}, "tool_choice.mode", "invalid_value"),
        ({**ALLOWED, "tools": [{"type": []}]}, "tool_choice.tools[0].type", "invalid_type"),
        (
            {**ALLOWED, "tools": [{"type": "namespace", "name": []}]},
            "tool_choice.tools[0].name",
            "invalid_type",
        ),
        (
            {**ALLOWED, "tools": [{"type": "function", "name": "time"}]},
            "tool_choice.tools[0]",
            "invalid_value",
        ),
        ({**ALLOWED, "tools": [{"type": "web_search"}]}, "tool_choice.tools[0]", "invalid_value"),
        (
            {**ALLOWED, "tools": [{"name": "weather"}]},
            "tool_choice.tools[0].type",
            "missing_required_parameter",
        ),
        (
            {**ALLOWED, "tools": [{"type": "x", "name": "weather"}]},
            "tool_choice.tools[0].type",
            "invalid_value",
        ),
        (
            {**ALLOWED, "tools": [{"type": "function", "function": {"name": "weather"}}]},
            "tool_choice.tools[0].name",
            "missing_required_parameter",
        ),
        (
            {**ALLOWED, "tools": [ALLOWED["tools"][0]] * 129},
            "tool_choice.tools",
            "array_above_max_length",
        ),
    ],
)
def test_a_choice_that_cannot_be_made_is_refused(raw: Any, param: str, code: str) -> None:
    with pytest.raises(ClientError) as caught:
        open_choice(raw, TOOLS)
    assert (caught.value.param, caught.value.code) == (param, code)


@pytest.mark.requirement("wire:tool-choice:forms")
@pytest.mark.parametrize("raw", ["required", {"type": "function", "name": "weather"}])
def test_a_forced_choice_needs_tools(raw: Any) -> None:
    with pytest.raises(ClientError) as caught:
        open_choice(raw, [])
    assert caught.value.param == "tool_choice"
    assert open_choice("auto", []) == "auto"
    assert open_choice("none", []) == "none"
