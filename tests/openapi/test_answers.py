"""What models of every habit are answered with has the documented shape, in every projection."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.openapi.asking import EVENT, validator
from tests.process.server import Server

FUNCTION = {
    "type": "function",
    "name": "look",
    "parameters": {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]},
}
CUSTOM = {"type": "custom", "name": "say"}
FORMAT = {
    "format": {
        "type": "json_schema",
        "name": "a",
        "schema": {
            "type": "object",
            "properties": {"a": {"type": "integer"}},
            "required": ["a"],
            "additionalProperties": False,
        },
    }
}
ASKED: dict[str, dict[str, Any]] = {
    "echo": {"metadata": {"a": "b"}, "reasoning": {"effort": "low"}},
    "reasoning": {"include": ["reasoning.encrypted_content"]},
    "refusal": {},
    "cited": {},
    "logprobs": {"include": ["message.output_text.logprobs"], "top_logprobs": 2},
    "empty": {},
    "tool": {"tools": [FUNCTION, {"type": "shell"}, {"type": "computer"}]},
    "tools-parallel": {"tools": [FUNCTION], "tool_choice": "required"},
    "reasoning-tool": {"tools": [FUNCTION]},
    "custom": {"tools": [CUSTOM]},
    "json": {"text": FORMAT},
    "each-tool": {
        "tools": [
            {"type": "namespace", "name": "n", "description": "Both.", "tools": [FUNCTION, CUSTOM]}
        ]
    },
    "safety": {"tools": [{"type": "computer"}]},
    "patch": {"tools": [{"type": "apply_patch"}]},
    "commands": {"tools": [{"type": "shell"}]},
    "length": {},
    "length-in-call": {"tools": [FUNCTION]},
    "filter": {},
    "error-after-3": {},
    "summary": {"input": [{"role": "user", "content": "Hi."}, {"type": "compaction_trigger"}]},
}
RESPONSE, PAGE = validator("Response"), validator("ItemPage")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("answers")) as server:
        yield server


def fits(shape: Any, value: Any) -> None:
    problem = next(iter(shape.iter_errors(value)), None)
    assert problem is None, f"{problem} in {json.dumps(value)[:400]}"


@pytest.mark.requirement("openapi:answers")
@pytest.mark.parametrize("model", ASKED)
def test_an_answer_has_the_documented_shape(server: Server, model: str) -> None:
    body = {"input": [{"role": "user", "content": "Hello."}], **ASKED[model]}
    status, made = server.ask("POST", "/v1/responses", {"model": f"scripted/{model}", **body})
    assert status == 200, made
    fits(RESPONSE, made)
    asked = {"model": f"scripted/{model}", **body, "stream": True}
    with server._reading("POST", "/v1/responses", asked) as stream:
        events = list(stream)
    assert stream.done
    for event in events:
        fits(EVENT, event)
    for path in (f"/v1/responses/{stream.response_id}", f"/v1/responses/{made['id']}"):
        status, again = server.ask("GET", path)
        assert status == 200
        fits(RESPONSE, again)
        status, page = server.ask("GET", f"{path}/input_items")
        assert status == 200 and page["data"]
        fits(PAGE, page)


@pytest.mark.requirement("openapi:answers")
def test_what_a_caller_gave_is_listed_in_the_documented_shape(server: Server) -> None:
    items: list[dict[str, Any]] = [
        {"role": "user", "content": "Hello."},
        {"role": "assistant", "content": "Hi.", "phase": None, "id": None},
        {"type": "reasoning", "summary": None, "content": None},
        {"type": "function_call", "call_id": "a", "name": "look", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "a", "output": "b", "status": None},
        {"type": "custom_tool_call", "call_id": "c", "name": "say", "input": "d"},
        {
            "type": "custom_tool_call_output",
            "call_id": "c",
            "output": [
                {"type": "input_text", "text": "e"},
            ],
        },
    ]
    status, conversation = server.ask("POST", "/v1/conversations", {"items": items})
    assert status == 200, conversation
    fits(validator("Conversation"), conversation)
    status, page = server.ask("GET", f"/v1/conversations/{conversation['id']}/items")
    assert status == 200
    assert len(page["data"]) == len(items)
    fits(PAGE, page)


@pytest.mark.requirement("openapi:answers")
def test_an_error_has_the_documented_shape(server: Server) -> None:
    for method, path, body in (
        ("POST", "/v1/responses", {"model": 1}),
        ("GET", "/v1/responses/nothing", None),
        ("PATCH", "/v1/models", None),
        ("GET", "/nowhere", None),
        ("POST", "/v1/responses", {"model": "scripted/error-503", "input": "Hello."}),
    ):
        status, answer = server.ask(method, path, body)
        assert status >= 400
        fits(validator("ErrorEnvelope"), answer)
