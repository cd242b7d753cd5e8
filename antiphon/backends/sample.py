"""A value that satisfies a JSON Schema, always the same one for the same schema.

Covers what tool and output schemas use: types and type lists, ``enum``, ``const``, ``anyOf``,
``oneOf``, ``allOf``, ``$ref`` into the same document, required properties, bounds, lengths,
the common formats, and ``pattern`` when one of a few usual strings matches it. Optional
properties are left out, which also ends recursive schemas.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

FORMATS = {
    "date-time": "2025-04-01T12:00:00Z",
    "date": "2025-04-01",
    "time": "12:00:00Z",
    "duration": "P1D",
    "email": "ada@example.com",
    "hostname": "example.com",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "uri": "https://example.com/",
    "uuid": "123e4567-e89b-42d3-a456-426614174000",
}
USUAL = (
    *("example", "Example", "EXAMPLE", "a", "A", "abc", "ABC", "0", "1", "42", "123", "a1", "A1"),
    *("12345", "1.0", "1.0.0", "12:00", "00:00:00", "+10000000000", "555-0100", "#ff0000", "en"),
    *("en-US", "EUR", "@example", "AB-123", "ABC-123", "ABC123", "2025", "2025-04", "a_b", "a-b"),
    *FORMATS.values(),
)
DEPTH_MAX = 32


def sample(schema: Mapping[str, Any] | bool | None) -> Any:
    """A value valid for ``schema``; ``{}`` for a schema that says nothing."""
    if not isinstance(schema, Mapping):
        return {}
    return _value(schema, schema, 0)


def _value(schema: Any, root: Mapping[str, Any], depth: int) -> Any:
    if not isinstance(schema, Mapping) or depth > DEPTH_MAX:
        return None
    schema = _flat(schema, root, depth)
    if "const" in schema:
        return schema["const"]
    if schema.get("enum"):
        return schema["enum"][0]
    for key in ("anyOf", "oneOf"):
        if schema.get(key):
            rest = {k: v for k, v in schema.items() if k != key}
            return _value(_both(rest, _shallowest(schema[key])), root, depth + 1)
    match _kind(schema):
        case "object":
            return _object(schema, root, depth)
        case "array":
            count = int(schema.get("minItems", 0))
            first = list(schema.get("prefixItems", ()))[:count]
            items = [*first, *[schema.get("items", {})] * (count - len(first))]
            return [_value(item, root, depth + 1) for item in items]
        case "string":
            return _string(schema)
        case "integer":
            return int(_number(schema, whole=True))
        case "number":
            return _number(schema, whole=False)
        case "boolean":
            return True
        case _:
            return None


def _flat(schema: Mapping[str, Any], root: Mapping[str, Any], depth: int) -> Mapping[str, Any]:
    """The schema with its ``$ref`` and ``allOf`` resolved."""
    if "$ref" in schema:
        rest = {k: v for k, v in schema.items() if k != "$ref"}
        target = _target(str(schema["$ref"]), root)
        schema = _both(target, rest)
        return _flat(schema, root, depth + 1) if depth < DEPTH_MAX else schema
    if "allOf" in schema:
        merged: Mapping[str, Any] = {k: v for k, v in schema.items() if k != "allOf"}
        for part in schema["allOf"]:
            merged = _both(merged, _flat(part, root, depth + 1) if depth < DEPTH_MAX else {})
        return merged
    return schema


def _target(reference: str, root: Mapping[str, Any]) -> Mapping[str, Any]:
    node: Any = root
    for step in reference.lstrip("#").strip("/").split("/"):
        key = step.replace("~1", "/").replace("~0", "~")
        if step:
            node = node.get(key, {}) if isinstance(node, Mapping) else {}
    return node if isinstance(node, Mapping) else {}


def _both(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """What satisfies both: properties and required joined, the rest overridden."""
    merged = {**one, **other}
    if "properties" in one and "properties" in other:
        merged["properties"] = {**one["properties"], **other["properties"]}
    if "required" in one and "required" in other:
        merged["required"] = [*dict.fromkeys([*one["required"], *other["required"]])]
    return merged


def _shallowest(options: list[Any]) -> Mapping[str, Any]:
    """The first option that says something, else null, else a reference: so recursion ends."""
    usable = [option for option in options if isinstance(option, Mapping)]

    def depth(option: Mapping[str, Any]) -> int:
        return 2 if "$ref" in option else int(option.get("type") == "null")

    return min(usable, key=depth, default={})


def _kind(schema: Mapping[str, Any]) -> str:
    kind = schema.get("type")
    if isinstance(kind, list):
        kind = next((k for k in kind if k != "null"), "null")
    if isinstance(kind, str):
        return kind
    if "properties" in schema or "required" in schema:
        return "object"
    if "items" in schema or "minItems" in schema:
        return "array"
    return "number" if "minimum" in schema or "maximum" in schema else "string"


def _object(schema: Mapping[str, Any], root: Mapping[str, Any], depth: int) -> dict[str, Any]:
    known = schema.get("properties") or {}
    names = [*schema.get("required", ())]
    return {name: _value(known.get(name, {}), root, depth + 1) for name in names}


def _string(schema: Mapping[str, Any]) -> str:
    text = FORMATS.get(str(schema.get("format")), "example")
    if pattern := schema.get("pattern"):
        try:
            search = re.compile(pattern).search
            text = next((usual for usual in USUAL if search(usual)), text)
        except re.error:
            pass
    shortest = int(schema.get("minLength", 0))
    longest = int(schema.get("maxLength", max(len(text), shortest)))
    return text.ljust(shortest, "x")[:longest]


def _number(schema: Mapping[str, Any], *, whole: bool) -> float:
    step = schema.get("multipleOf") or (1 if whole else 0)
    low = schema.get("minimum", -math.inf)
    high = schema.get("maximum", math.inf)
    above = schema.get("exclusiveMinimum", -math.inf)
    below = schema.get("exclusiveMaximum", math.inf)
    gap = step or (min(1.0, (below - above) / 2) if below > above else 1.0)
    least = max(low, above + gap if above > -math.inf else above)
    most = min(high, below - gap if below < math.inf else below)
    value = 1.0 if least <= 1 <= most else (least if least > -math.inf else most)
    if step:
        value = math.ceil(value / step) * step
    return int(value) if float(value).is_integer() else value
