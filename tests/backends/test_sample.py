"""Samples validate against the schema they were made for."""

from __future__ import annotations

from typing import Any

import jsonschema
import pytest

from antiphon.backends.sample import sample

TREE = {
    "$defs": {
        "node": {
            "type": "object",
            "properties": {
                "name": {"type": "string"},
                "left": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]},
                "children": {"type": "array", "items": {"$ref": "#/$defs/node"}},
            },
            "required": ["name", "left", "children"],
        }
    },
    "$ref": "#/$defs/node",
}


@pytest.mark.requirement("chat:scripted:samples")
@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object"},
        {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]},
        {"type": "string", "minLength": 12, "maxLength": 12},
        {"type": "string", "maxLength": 3},
        {"type": "string", "pattern": "^[A-Z]{3}-[0-9]+$"},
        {"type": "string", "format": "date"},
        {"type": "string", "format": "uuid"},
        {"type": ["null", "string"]},
        {"type": ["string", "null"]},
        {"enum": [3, 4]},
        {"const": {"a": 1}},
        {"type": "integer", "minimum": 5, "maximum": 9, "multipleOf": 4},
        {"type": "integer", "exclusiveMinimum": 1},
        {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1},
        {"type": "number", "maximum": -2},
        {"type": "array", "items": {"type": "boolean"}, "minItems": 2},
        {"type": "array", "prefixItems": [{"type": "string"}, {"type": "null"}], "minItems": 2},
        {"anyOf": [{"type": "null"}, {"type": "integer", "minimum": 7}]},
        {"oneOf": [{"const": "a"}, {"const": "b"}]},
        {
            "allOf": [
                {"properties": {"a": {"type": "string"}}, "required": ["a"]},
                {"type": "object", "properties": {"b": {"type": "null"}}, "required": ["b"]},
            ]
        },
        {"properties": {"a": {"minimum": 3}}, "required": ["a"]},
        {"type": "object", "required": ["undeclared"]},
        TREE,
    ],
)
def test_a_sample_is_valid_and_always_the_same(schema: dict[str, Any]) -> None:
    value = sample(schema)
    checker = jsonschema.FormatChecker()
    jsonschema.Draft202012Validator(schema, format_checker=checker).validate(value)
    assert sample(schema) == value


@pytest.mark.requirement("chat:scripted:samples")
def test_no_schema_has_an_empty_object_as_sample() -> None:
    assert sample(None) == sample(True) == {}
