"""What a request demands of the model's output, and how we know that it was met.

Structured outputs, strict functions, grammars and tool choices are promises of the API. Where
the backend enforces one by constrained decoding there is nothing to do. Everywhere else the run
checks the output (``warden.py``) and asks the model again, a bounded number of times; a promise
is never claimed unless one of the two holds.

Checks are compiled once per distinct schema or grammar and kept (an LRU of ``_CACHE`` each).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Literal, Protocol

import msgspec
from msgspec import Struct

from antiphon.backends.base import Capabilities
from antiphon.errors import ClientError
from antiphon.runs.schemas import SchemaCheck, compiled, loaded
from antiphon.types.tools import (
    CallableTool,
    CustomTool,
    Format,
    FunctionTool,
    GrammarInput,
    JsonObjectFormat,
    JsonSchemaFormat,
    NamespaceTool,
    Tool,
)

_CACHE = 128
_PROBLEM_LENGTH_MAX = 300


class Check(Protocol):
    """Something a text must satisfy."""

    def problem(self, text: str) -> str | None:
        """What is wrong with ``text``, in words a model can act on, or None."""


class Demands(Struct, frozen=True):
    """Everything the output of one response has to satisfy that nobody else guarantees.

    ``text``: the final text. ``arguments``: the arguments of a call, by tool name.
    ``callable``: the tools that may be called (a call of any other is suppressed).
    ``must_call``: at least one call. ``one_call``: at most one call per turn.
    ``no_thoughts``: raw reasoning is not shown (``runs.raw_reasoning = "none"``).
    """

    text: Check | None = None
    arguments: dict[str, Check] = {}
    callable: frozenset[str] = frozenset()
    must_call: bool = False
    one_call: bool = False
    no_thoughts: bool = False


class JsonCheck:
    """The text is JSON; with ``objects`` it must be one JSON object."""

    def __init__(self, *, objects: bool) -> None:
        self._objects = objects

    def problem(self, text: str) -> str | None:
        try:
            value = loaded(text)
        except ValueError as error:
            return f"it is not valid JSON ({error})"
        except RecursionError:
            return "it is nested too deeply"
        if self._objects and not isinstance(value, dict):
            return "it is JSON, but not an object"
        return None


class GrammarCheck:
    """The text matches a Lark grammar or a regular expression, all of it."""

    def __init__(self, syntax: Literal["lark", "regex"], definition: str) -> None:
        from llguidance import LLTokenizer, grammar_from

        self._grammar = grammar_from(syntax, definition)
        self._tokenizer = LLTokenizer("byte")
        self._syntax = syntax

    def problem(self, text: str) -> str | None:
        from llguidance import LLMatcher

        matcher = LLMatcher(self._tokenizer, self._grammar)
        tokens = self._tokenizer.tokenize_str(text)
        taken = matcher.try_consume_tokens(tokens)
        if taken < len(tokens):
            at = text.encode()[:taken].decode(errors="ignore")
            return f"it leaves the {self._syntax} grammar after {at[-40:]!r}"
        return None if matcher.is_accepting() else f"it ends too early for the {self._syntax}"


@lru_cache(_CACHE)
def _grammar_check(syntax: Literal["lark", "regex"], definition: str) -> GrammarCheck | str:
    from llguidance import LLMatcher, grammar_from

    problem: str = LLMatcher.validate_grammar(grammar_from(syntax, definition))
    return problem[:_PROBLEM_LENGTH_MAX] if problem else GrammarCheck(syntax, definition)


def schema_check(schema: dict[str, Any], *, param: str, code: str) -> SchemaCheck:
    """Compile a schema. Raises ``ClientError`` if it is not a valid JSON Schema."""
    check = compiled(msgspec.json.encode(schema))
    if isinstance(check, str):
        raise ClientError(f"Invalid schema for '{param}': {check}", code=code, param=param)
    return check


def grammar_check(grammar: GrammarInput, *, param: str) -> GrammarCheck:
    """Compile a grammar. Raises ``ClientError`` with the compiler's own message."""
    check: GrammarCheck | str = _grammar_check(grammar.syntax, grammar.definition)
    if isinstance(check, str):
        raise ClientError(
            f"Invalid {grammar.syntax} grammar: {check}", code="invalid_grammar", param=param
        )
    return check


def text_check(format: Format, able: Capabilities) -> Check | None:
    """The check ``text.format`` needs on this backend, or None if nothing is left to check.

    The schema is compiled even where the backend enforces it: a broken one is a 400 now.
    """
    if isinstance(format, JsonSchemaFormat):
        check = schema_check(format.schema, param="text.format.schema", code="invalid_json_schema")
        if able.json_schema == "enforced":
            return None
        return JsonCheck(objects=False) if format.strict is False else check  # best effort
    if isinstance(format, JsonObjectFormat) and able.json_schema != "enforced":
        return JsonCheck(objects=True)
    return None


def settle_strict(tools: list[Tool], able: Capabilities) -> list[Tool]:
    """Fill in ``strict`` where the caller left it open: true only if it is enforced."""
    return [_settled(tool, able) for tool in tools]


def _settled(tool: Tool, able: Capabilities) -> Any:
    if isinstance(tool, NamespaceTool):
        inner = [_settled(one, able) for one in tool.tools]
        return msgspec.structs.replace(tool, tools=inner)
    if not isinstance(tool, FunctionTool) or tool.strict is not None:
        return tool
    enforced = able.strict_tools == "enforced" and _is_strict(tool)
    return msgspec.structs.replace(tool, strict=enforced)


def _is_strict(tool: FunctionTool) -> bool:
    """Every property required, nothing else allowed: what strict mode can promise."""
    schema = tool.parameters or {}
    properties = schema.get("properties") or {}
    return (
        schema.get("additionalProperties") is False
        and isinstance(properties, dict)
        and set(schema.get("required") or ()) == set(properties)
    )


def argument_checks(
    tools: Sequence[CallableTool], able: Capabilities, paths: Mapping[str, str]
) -> dict[str, Check]:
    """The checks of calls this backend does not guarantee. Compiles every grammar and every
    schema of a strict function, so that a broken one is a 400 before the model is asked.
    ``paths``: where the tools stand in the request, by name."""
    checks: dict[str, Check] = {}
    for tool in tools:
        path = paths[tool.name]
        if isinstance(tool, FunctionTool) and tool.strict:
            schema = tool.parameters or {"type": "object"}
            check: Check = schema_check(
                schema, param=f"{path}.parameters", code="invalid_function_parameters"
            )
            if able.strict_tools != "enforced":
                checks[tool.name] = check
        elif isinstance(tool, CustomTool) and isinstance(tool.format, GrammarInput):
            check = grammar_check(tool.format, param=f"{path}.format.definition")
            if able.grammar != "enforced":
                checks[tool.name] = check
    return checks
