"""A turn's demands → one llguidance grammar for llama.cpp's ``grammar`` field. No I/O.

Why our own, for every turn that offers tools or wants JSON: llama.cpp takes a named tool choice
for "auto", lets text come before a required call, refuses a grammar beside tools, lets a schema
win over tools, and converts schemas with less than llguidance knows. With ``tool_choice: none``
it still shows the tools to the model and obeys the grammar; the calls come back as text in the
form the model was trained on, and ``tool_text`` reads them:

    <tool_call>
    {"name": "get_weather", "arguments": {"city": "Paris"}}
    </tool_call>

A custom tool with a grammar has its input raw instead, because a grammar of the caller's cannot
be held inside a JSON string:

    <tool_call>
    {"name": "sql", "input":
    SELECT 1
    </tool_call>

llama.cpp ignores a grammar that does not compile, so everything is compiled here first; what
llguidance cannot do is the caller's 400, with the path of the schema.
"""

from __future__ import annotations

import json
import re
from functools import lru_cache
from typing import Any, Literal

from antiphon.backends.base import Turn
from antiphon.backends.messages import wire_name
from antiphon.errors import RemoteError
from antiphon.types.tools import (
    CallableTool,
    CustomTool,
    FunctionTool,
    GrammarInput,
    JsonObjectFormat,
    JsonSchemaFormat,
    NamedChoice,
    TextFormat,
)

OPEN, CLOSE = "<tool_call>\n", "\n</tool_call>"
CALLS_MAX = 32

_MARK = '"<tool_call>"'

_PROBLEM_LENGTH_MAX = 300
_NOTHING: dict[str, Any] = {"type": "object", "properties": {}, "additionalProperties": False}
_RAW_INPUT: dict[str, Any] = {
    "type": "object",
    "properties": {"input": {"type": "string"}},
    "required": ["input"],
    "additionalProperties": False,
}
# Compact enough to be cheap, spaced as models write it.
_SPACING = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}
# For schemas nobody promised to enforce: what llguidance does not know is left to the model.
_LENIENT = {"lenient": True, "coerce_one_of": True}


def grammar_of(turn: Turn) -> str | None:
    """The grammar, or None if the turn is free text without tools.

    ``RemoteError`` 400 with the path of the schema or grammar that cannot be enforced.
    """
    text = _text_rule(turn)
    calls = _calls_rules(turn) if turn.tools and turn.tool_choice != "none" else []
    if not calls:
        return None if isinstance(turn.format, TextFormat) else _written("start: text", text)
    if turn.tool_choice != "auto":
        return _written(f"start: {_MARK} calls", *calls)
    if isinstance(turn.format, TextFormat):
        # A lexeme takes all it can: only a lazy one lets go of the text at the first mark.
        talk = "talk[lazy]: /(?s:.*)<tool_call>/"
        return _written("start: TEXT | talk calls", *calls, text, talk)
    return _written(f"start: text | {_MARK} calls", *calls, text)


def _written(*rules: str) -> str:
    grammar = "\n".join(("%llguidance {}", *rules)) + "\n"
    if problem := _problem(grammar):
        raise _refused("The tools and the format cannot be enforced together", problem, None)
    return grammar


def _text_rule(turn: Turn) -> str:
    match turn.format:
        case TextFormat():
            return "TEXT: /(?s:.*)/ & ~/(?s:.*)<tool_call>(?s:.*)/"
        case JsonObjectFormat():
            return "text: " + _json({"type": "object"}, strict=True)
        case JsonSchemaFormat(schema=schema, strict=strict):
            return "text: " + _checked(
                schema,
                strict=strict is not False,
                param="text.format.schema",
                code="invalid_json_schema",
            )


def _calls_rules(turn: Turn) -> list[str]:
    chosen = list(enumerate(turn.tools))
    several = turn.parallel_tool_calls
    if isinstance(turn.tool_choice, NamedChoice):
        chosen = [(at, tool) for at, tool in chosen if tool.name == turn.tool_choice.name]
        several = False
    rules = [_call_rule(at, tool) for at, tool in chosen]
    more = f' ("\\n" {_MARK} call){{0,{CALLS_MAX - 1}}}' if several else ""
    alternatives = " | ".join(f"call{at}" for at, _ in chosen)
    return [f"calls: call{more}", f"call: {alternatives}", *rules]


def _call_rule(at: int, tool: CallableTool) -> str:
    opening = f'\n{{"name": "{wire_name(tool.name)}", '
    if isinstance(tool, CustomTool) and isinstance(tool.format, GrammarInput):
        begin, end = _literal(opening + '"input":\n'), _literal(CLOSE)
        raw = _raw(tool.format, param=f"tools[{at}].format.definition")
        return f"call{at}: {begin} raw{at} {end}\nraw{at}: {raw}"
    begin, end = _literal(opening + '"arguments": '), _literal("}" + CLOSE)
    return f"call{at}: {begin} arguments{at} {end}\narguments{at}: {_arguments(at, tool)}"


def _arguments(at: int, tool: CallableTool) -> str:
    if isinstance(tool, CustomTool):
        return _json(_RAW_INPUT, strict=True)
    assert isinstance(tool, FunctionTool)
    schema = tool.parameters or _NOTHING
    if not tool.strict and _problem(_start(_json(schema, strict=False))):
        return _json({"type": "object"}, strict=True)
    return _checked(
        schema,
        strict=tool.strict is True,
        param=f"tools[{at}].parameters",
        code="invalid_function_parameters",
    )


def _raw(asked: GrammarInput, *, param: str) -> str:
    if asked.syntax == "regex":
        rule = "/" + re.sub(r"(?<!\\)((?:\\\\)*)/", r"\1\\/", asked.definition) + "/"
        rule = rule.replace("\n", r"\n")
    else:
        rule = f"%lark {{\n{asked.definition}\n}}"
    if problem := _problem(_start(rule)):
        raise _refused(f"This {asked.syntax} grammar cannot be enforced", problem, param)
    return rule


def _checked(schema: dict[str, Any], *, strict: bool, param: str, code: str) -> str:
    rule = _json(schema, strict=strict)
    if problem := _problem(_start(rule)):
        raise _refused("This JSON Schema cannot be enforced", problem, param, code)
    return rule


def _json(schema: dict[str, Any], *, strict: bool) -> str:
    options = _SPACING if strict else {**_SPACING, **_LENIENT}
    return "%json " + json.dumps({**schema, "x-guidance": options}, ensure_ascii=False)


def _literal(text: str) -> str:
    return json.dumps(text)


def _start(rule: str) -> str:
    return f"%llguidance {{}}\nstart: rule\nrule: {rule}\n"


@lru_cache(256)
def _problem(grammar: str) -> str:
    """What llguidance says against it, or nothing. Compiling takes about a millisecond."""
    from llguidance import LLMatcher

    said: str = LLMatcher.validate_grammar(grammar)
    # The first line is about the schema or the rule; the rest quotes our own text around it.
    said = said.partition("\n   ")[0].partition("): ")[2] or said
    return " ".join(said.split())[:_PROBLEM_LENGTH_MAX]


def _refused(
    what: str, problem: str, param: str | None, code: Literal["invalid_grammar"] | str = ""
) -> RemoteError:
    return RemoteError(
        f"{what} by the embedded engine: {problem}.",
        status=400,
        code=code or "invalid_grammar",
        param=param,
    )
