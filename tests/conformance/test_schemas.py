"""Schemas of strangers: nothing they say reaches the network, runs for ever or breaks us."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from antiphon.runs.schemas import SchemaCheck, Unusable
from tests.conformance.conftest import House

pytestmark = pytest.mark.anyio

DEEP: dict[str, Any] = {"type": "string"}
for _ in range(120):
    DEEP = {"type": "object", "properties": {"a": DEEP}}
DOUBLING = {f"d{n}": {"allOf": 2 * [{"$ref": f"#/$defs/d{n + 1}"}]} for n in range(40)}


def strict(schema: Any) -> Any:
    return {"format": {"type": "json_schema", "name": "it", "schema": schema, "strict": True}}


def member(schema: Any) -> Any:
    return {"type": "object", "properties": {"a": schema}, "required": ["a"]}


REFUSED = {
    "a reference that leads nowhere": member({"$ref": "#/$defs/nope"}),
    "a reference to itself": {"$ref": "#"},
    "a ring of references": {"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#"}}},
    "too deep": DEEP,
    "a look-ahead": member({"type": "string", "pattern": "^(?!x)a"}),
    "a backreference": member({"type": "string", "pattern": r"(a)\1"}),
    "doubling references": {"$ref": "#/$defs/d0", "$defs": {**DOUBLING, "d40": {}}},
}


@pytest.mark.requirement("conformance:schema:refused")
@pytest.mark.parametrize("schema", REFUSED.values(), ids=REFUSED)
async def test_a_schema_that_cannot_be_checked_is_refused_beforehand(
    house: House, schema: Any
) -> None:
    body = {"model": "scripted/json", "input": "Hi.", "text": strict(schema)}
    error = await house.refused(body)
    assert (error["param"], error["code"]) == ("text.format.schema", "invalid_json_schema")
    tool = {"type": "function", "name": "f", "parameters": {**schema, "type": "object"}}
    body = {"model": "scripted/tool", "input": "Hi.", "tools": [{**tool, "strict": True}]}
    error = await house.refused(body)
    assert (error["param"], error["code"]) == ("tools[0].parameters", "invalid_function_parameters")


@pytest.mark.requirement("conformance:schema:network")
async def test_a_reference_to_an_address_is_not_fetched(house: House) -> None:
    asked: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readline())
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as inside:
        port = inside.sockets[0].getsockname()[1]
        schema = member({"$ref": f"http://127.0.0.1:{port}/secret"})
        body = {"model": "scripted/json", "input": "Hi.", "text": strict(schema)}
        error = await house.refused(body)
        assert "must stay inside" in error["message"]
    assert not asked


@pytest.mark.requirement("conformance:schema:pattern")
async def test_no_pattern_takes_long(house: House) -> None:
    """With backtracking this one takes longer than anybody waits."""
    text = "a" * 200 + "!"
    schema = member({"type": "string", "const": text, "pattern": "^(a+)+$"})
    async with asyncio.timeout(5):
        made = await house.create("scripted/json", text=strict(schema))
    assert made["status"] == "failed"
    assert "does not match" in made["error"]["message"]


PATTERNS = [
    ("b", "abc", "xyz"),
    ("^a|b$", "xb", "xax"),
    (r"^\d{3}-\d{4}$", "555-0100", "x555-0100"),
    (r"^\S+$", "日本\x7f", "a b"),
    (r"^[\s\S]$", '"', "ab"),
    ("(?i)^abc$", "ABC", "ABCD"),
]


@pytest.mark.requirement("conformance:schema:pattern")
@pytest.mark.parametrize(("pattern", "good", "bad"), PATTERNS)
def test_patterns_match_as_json_schema_says(pattern: str, good: str, bad: str) -> None:
    import json

    check = SchemaCheck({"type": "string", "pattern": pattern})
    assert check.problem(json.dumps(good)) is None
    assert "does not match" in (check.problem(json.dumps(bad)) or "")
    names = {"patternProperties": {pattern: {"type": "integer"}}, "additionalProperties": False}
    check = SchemaCheck(names)
    assert check.problem(json.dumps({good: 1})) is None
    assert "is not of type" in (check.problem(json.dumps({good: "x"})) or "")
    assert "Additional properties" in (check.problem(json.dumps({bad: 1})) or "")


@pytest.mark.requirement("conformance:schema:json")
def test_only_json_is_json() -> None:
    check = SchemaCheck({"type": "object", "additionalProperties": {"type": "number"}})
    assert check.problem('{"a": 1e3}') is None
    for text in ('{"a": NaN}', '{"a": Infinity}', "[" * 5_000 + "]" * 5_000, "{'a': 1}", ""):
        assert check.problem(text)


@pytest.mark.requirement("conformance:schema:json")
def test_names_that_look_like_keywords_are_names() -> None:
    names = {
        "$ref": {"type": "string"},
        "pattern": {"type": "string"},
        "enum": {"$ref": "#/$defs/k"},
    }
    check = SchemaCheck({"properties": names, "$defs": {"k": {"type": "integer"}}})
    assert check.problem('{"$ref": "http://x/", "pattern": "(", "enum": 1}') is None
    assert check.problem('{"enum": "x"}')
    data = {"const": {"$ref": "http://x/", "pattern": "("}}
    assert SchemaCheck(data).problem('{"$ref": "http://x/", "pattern": "("}') is None
    with pytest.raises(Unusable, match="leads nowhere"):
        SchemaCheck({"properties": {"enum": {"$ref": "#/$defs/k"}}})
