"""JSON Schemas that callers send, compiled so that checking with them is safe.

A schema is a stranger's program. A ``$ref`` may name an address inside our network, a pattern may
take years to match a short text, a definition may refer to itself for ever. So references stay
inside the document, patterns are matched in linear time, and the work of one check is bounded.
What cannot be had under these rules is refused when the request comes in, not when it runs.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextvars import ContextVar
from decimal import Decimal
from functools import lru_cache, partial
from typing import Any

import msgspec

_CACHE = 128
_PROBLEM_LENGTH_MAX = 300
_STEPS_MAX = 100_000
"""Keywords looked at in one check: about a second. Nested alternatives with ``unevaluated…``
double the work at each level, and a definition may refer to itself."""
_SCHEMA_BYTES_MAX = 256 * 1024
"""Compiling one this long takes the loop two seconds; the API allows 120,000 characters."""
_STEPS_TRIED_MAX = 10_000
"""For the trial with ``null`` when a schema is compiled: there is nothing to look into."""
_DATA = frozenset({"const", "enum", "default", "examples"})
"""Keywords whose values are data: a ``$ref`` or ``pattern`` in them means nothing."""
_NAMED = frozenset({"properties", "patternProperties", "$defs", "definitions", "dependentSchemas"})
"""Keywords whose values are schemas by name: a name in them is no keyword."""


class Unusable(ValueError):
    """The schema cannot be checked with; the message says why."""


class _TooMuch(Exception):
    """A check took more steps than any honest schema needs."""


_steps_left: ContextVar[list[int]] = ContextVar("steps left in this check")


class SchemaCheck:
    """The text is JSON that validates against a JSON Schema (draft 2020-12).

    Raises ``Unusable``.
    """

    def __init__(self, schema: dict[str, Any]) -> None:
        from jsonschema import Draft202012Validator
        from jsonschema.exceptions import SchemaError
        from referencing.jsonschema import EMPTY_REGISTRY

        _steps_left.set([_STEPS_TRIED_MAX])
        try:
            Draft202012Validator.check_schema(schema)
            _look_through(schema)
            self._validator = _validator()(schema, registry=EMPTY_REGISTRY)
            self._validator.is_valid(None)
        except SchemaError as error:
            raise Unusable(error.message) from None
        except (RecursionError, _TooMuch):
            raise Unusable("it is too complex, or refers to itself without end") from None

    def problem(self, text: str) -> str | None:
        """What is wrong with ``text``, in words a model can act on, or None."""
        from jsonschema.exceptions import relevance

        _steps_left.set([_STEPS_MAX])
        try:
            worst = max(self._validator.iter_errors(loaded(text)), key=relevance, default=None)
        except ValueError as error:
            return f"it is not valid JSON ({error})"
        except ArithmeticError:  # a remainder of 1e999, which is infinite
            return "a number in it is too large"
        except (RecursionError, _TooMuch):
            return "it is too complex for its schema to be checked"
        if worst is None:
            return None
        worst, message = _meant(worst)
        where = "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in worst.absolute_path)
        return f"at ${where}: {message}"[:_PROBLEM_LENGTH_MAX]


def _meant(error: Any) -> tuple[Any, str]:
    """The error inside the one alternative that was meant, where its type or a constant tells it
    from the others (``{"type": "click", …}``), and its message."""
    from jsonschema.exceptions import best_match, relevance

    while error.validator in ("anyOf", "oneOf") and error.context:
        branches: dict[Any, list[Any]] = {}
        for inner in error.context:
            branches.setdefault(inner.schema_path[0], []).append(inner)
        meant = [inside for inside in branches.values() if not any(map(_tells_apart, inside))]
        if len(meant) == 1:
            error = max(meant[0], key=relevance)
            continue
        told = [one for inside in branches.values() for one in inside if _is_constant(one)]
        if not meant and len({tuple(one.absolute_path) for one in told}) == 1:
            values = [value for one in told for value in _constants(one)]
            return told[0], f"{told[0].instance!r} is not one of {values}"
        error = best_match([error])
        break
    return error, error.message


def _tells_apart(error: Any) -> bool:
    return _is_constant(error) or (error.validator == "type" and not error.relative_path)


def _is_constant(error: Any) -> bool:
    return error.validator in ("enum", "const") and len(error.relative_path) == 1


def _constants(error: Any) -> list[Any]:
    value = error.validator_value
    return list(value) if error.validator == "enum" else [value]


@lru_cache(_CACHE)
def compiled(schema: bytes) -> SchemaCheck | str:
    """The check for a schema given as JSON, or why there can be none."""
    if len(schema) > _SCHEMA_BYTES_MAX:
        return f"it is longer than {_SCHEMA_BYTES_MAX} bytes"
    try:
        return SchemaCheck(msgspec.json.decode(schema))
    except Unusable as error:
        return str(error)[:_PROBLEM_LENGTH_MAX]


def loaded(text: str) -> Any:
    """The JSON value of a text. ``NaN`` and ``Infinity``, which Python reads, are no JSON.

    Raises ``ValueError``, or ``RecursionError``.
    """
    return json.loads(text, parse_constant=_not_json)


def _not_json(constant: str) -> Any:
    raise ValueError(f"{constant} is not a JSON value")


# Patterns ---------------------------------------------------------------------------------


class _Pattern:
    """A regular expression matched in linear time. Raises ``Unusable``."""

    def __init__(self, pattern: str) -> None:
        try:
            from llguidance import LLMatcher, LLTokenizer, grammar_from
        except ImportError:
            raise Unusable("patterns cannot be checked on this platform") from None
        string = json.dumps({"type": "string", "pattern": pattern})
        self._grammar = grammar_from("json_schema", string)
        self._tokenizer = LLTokenizer("byte")
        problem: str = LLMatcher.validate_grammar(self._grammar)
        if problem:
            raise Unusable(
                f"the pattern {pattern!r} cannot be matched in linear time (look-around and "
                f"backreferences cannot): {problem.splitlines()[-1]}"
            )

    def found_in(self, text: str) -> bool:
        from llguidance import LLMatcher

        written = json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
        matcher = LLMatcher(self._tokenizer, self._grammar)
        tokens = self._tokenizer.tokenize_str(written)
        taken: int = matcher.try_consume_tokens(tokens)
        return taken == len(tokens) and bool(matcher.is_accepting())


@lru_cache(4 * _CACHE)
def _pattern(pattern: str) -> _Pattern:
    return _Pattern(pattern)


# The validator ----------------------------------------------------------------------------


@lru_cache(1)
def _validator() -> Any:
    """Draft 2020-12 with keywords of our own, all of them counted."""
    from jsonschema import Draft202012Validator
    from jsonschema.validators import extend

    own = {
        "multipleOf": _check_multiple_of,
        "uniqueItems": _check_unique_items,
        "pattern": _check_pattern,
        "patternProperties": _check_pattern_properties,
        "additionalProperties": _check_additional_properties,
    }
    every = {**Draft202012Validator.VALIDATORS, **own}
    counted = {word: partial(_counted, check) for word, check in every.items()}
    return extend(Draft202012Validator, counted)


def _counted(check: Any, validator: Any, keyword: Any, value: Any, schema: Any) -> Any:
    left = _steps_left.get()
    left[0] -= 1
    if left[0] < 0:
        raise _TooMuch
    return check(validator, keyword, value, schema)


def _check_unique_items(validator: Any, wanted: Any, value: Any, schema: Any) -> Iterator[Any]:
    """In linear time: the library compares every item with every other."""
    from jsonschema.exceptions import ValidationError

    if wanted and isinstance(value, list) and len(set(map(_hashable, value))) < len(value):
        yield ValidationError("its items are not all different")


def _hashable(value: Any) -> Any:
    if isinstance(value, dict):
        return frozenset((name, _hashable(member)) for name, member in value.items())
    if isinstance(value, list):
        return tuple(map(_hashable, value))
    return (bool, value) if isinstance(value, bool) else value  # in Python True is 1


def _check_multiple_of(validator: Any, divisor: Any, value: Any, schema: Any) -> Iterator[Any]:
    """In decimal, as JSON writes numbers: in binary 19.99 is no multiple of 0.01."""
    from jsonschema.exceptions import ValidationError

    if validator.is_type(value, "number") and Decimal(str(value)) % Decimal(str(divisor)):
        yield ValidationError(f"{value!r} is not a multiple of {divisor}")


def _check_pattern(validator: Any, pattern: str, value: Any, schema: Any) -> Iterator[Any]:
    from jsonschema.exceptions import ValidationError

    if isinstance(value, str) and not _pattern(pattern).found_in(value):
        yield ValidationError(f"{value!r} does not match {pattern!r}")


def _check_pattern_properties(
    validator: Any, patterns: dict[str, Any], value: Any, schema: Any
) -> Iterator[Any]:
    for pattern, inner in patterns.items() if isinstance(value, dict) else ():
        for name, member in value.items():
            if _pattern(pattern).found_in(name):
                yield from validator.descend(member, inner, path=name, schema_path=pattern)


def _check_additional_properties(
    validator: Any, inner: Any, value: Any, schema: Any
) -> Iterator[Any]:
    from jsonschema.exceptions import ValidationError

    if not isinstance(value, dict):
        return
    known, patterns = schema.get("properties", {}), schema.get("patternProperties", {})
    extra = [
        name
        for name in value
        if name not in known and not any(_pattern(p).found_in(name) for p in patterns)
    ]
    if inner is False and extra:
        names = ", ".join(map(repr, extra))
        yield ValidationError(f"Additional properties are not allowed ({names})")
    elif isinstance(inner, dict):
        for name in extra:
            yield from validator.descend(value[name], inner, path=name)


# Looking through --------------------------------------------------------------------------


def _look_through(schema: dict[str, Any]) -> None:
    """Compile every pattern and resolve every reference. Raises ``Unusable``."""
    from referencing.jsonschema import DRAFT202012, EMPTY_REGISTRY

    root = EMPTY_REGISTRY.resolver_with_root(DRAFT202012.create_resource(schema))
    waiting: list[tuple[Any, Any]] = [(schema, root)]
    while waiting:
        value, resolver = waiting.pop()
        if isinstance(value, list):
            waiting += [(inner, resolver) for inner in value]
        if not isinstance(value, dict):
            continue
        if value is not schema and isinstance(value.get("$id"), str):
            resolver = resolver.in_subresource(DRAFT202012.create_resource(value))
        _look_at(value, resolver)
        for word, inner in value.items():
            if word in _NAMED and isinstance(inner, dict):
                waiting += [(named, resolver) for named in inner.values()]
            elif word not in _DATA:
                waiting.append((inner, resolver))


def _look_at(schema: dict[str, Any], resolver: Any) -> None:
    from referencing.exceptions import Unresolvable

    for word in ("$ref", "$dynamicRef"):
        if isinstance(reference := schema.get(word), str):
            try:
                resolver.lookup(reference)
            except (Unresolvable, ValueError):
                raise Unusable(
                    f"the reference {reference!r} leads nowhere; references must stay inside the "
                    "schema"
                ) from None
    if isinstance(pattern := schema.get("pattern"), str):
        _pattern(pattern)
    if isinstance(patterns := schema.get("patternProperties"), dict):
        for pattern in patterns:
            _pattern(pattern)
        if "unevaluatedProperties" in schema:
            raise Unusable("patternProperties and unevaluatedProperties cannot stand together")
