"""Bodies and the schemas: what a schema lets through is not refused for its shape, and what it
refuses the server refuses."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import given
from hypothesis import strategies as st
from schemathesis import GenerationMode

from tests.openapi.asking import DOCUMENT, MODELS, Things, aimed, asking, quiet, validator
from tests.process.server import Server

EXAMPLES = 40

RULES: list[tuple[str, str, str]] = [
    # code, parameter, why no schema says it
    ("unsupported_parameter", "personality|prompt|moderation|multi_agent", "not here"),
    ("unsupported_parameter", r"background_options|prompt_cache_options\.prewarm", "not here"),
    ("unsupported_parameter", "logit_bias|audio|modalities.*|prediction|web_search_options", ""),
    ("unsupported_parameter", r".*tools\[\d+\]\.(connector_id|tunnel_id)", "not here"),
    ("unsupported_parameter", "functions|function_call|moderation|n", "not here"),
    ("unsupported_value", ".*", "a value the API has and this server or this model has not"),
    ("invalid_type", r"context_management\[\d+\]\.compact_threshold", "3.0 is no integer"),
    ("missing_required_parameter", r".*tools\[\d+\]\.server_url", "or one of the settings"),
    ("mutually_exclusive_parameters", ".*", "a rule between parameters"),
    ("missing_required_parameter", "input", "something must be asked: one of several"),
    ("missing_required_parameter", r"messages\[\d+\]\.content", "unless there is a call"),
    ("invalid_value", "tool_choice.*|function_call", "it names a tool of the same request"),
    ("invalid_value", r".*(tools|functions)\[\d+\](\.tools\[\d+\])?(\.\w+)?", "names are unique"),
    ("invalid_value", r"(input|items)\[\d+\]\.type", "an output is of its call's kind"),
    ("invalid_value", r"(input|items).*\.(image_url|file_data)", "a URL, or base64"),
    ("invalid_value", r"messages.*(image_url.*|file.*)", "a URL, or base64"),
    ("invalid_value", r"input(\[\d+\].*)?", "order of items, references, what is compacted"),
    ("invalid_value", "top_logprobs|stream_options|stop|stream|logprobs|seed|n", "needs another"),
    ("invalid_value", "messages.*", "a call with an id that waits already"),
    ("invalid_function_parameters", ".*", "a JSON Schema for an object, which can be checked"),
    ("invalid_json_schema", ".*", "a JSON Schema that can be checked with"),
    ("invalid_file", ".*", "what is in a document"),
    ("invalid_grammar", ".*", "a grammar that can be compiled"),
    ("tool_call_not_found", ".*", "an output needs its call"),
    ("tool_output_not_found", ".*", "a call needs its output"),
    ("mcp_approval_request_not_found", ".*", "an answer needs its question"),
    ("item_not_found", ".*", "a reference needs what it names"),
    ("previous_response_not_found", ".*", "so does a continuation"),
    ("conversation_not_found", ".*", "and a conversation"),
    ("invalid_encrypted_content", ".*", "only this server's own"),
]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Things]]:
    with asking(tmp_path_factory.mktemp("bodies")) as both:
        yield both


SCHEMA = schemathesis.openapi.from_dict(DOCUMENT)
POSTS = {
    operation.definition.raw["operationId"]: operation
    for found in SCHEMA.get_all_operations()
    if (operation := found.ok()).method == "post" and operation.body
}
MADE = ("createResponse", "countInputTokens", "compactResponse", "createChatCompletion")
KEPT = ("createConversation", "addConversationItems")


def told(error: dict[str, Any]) -> str:
    """The reason of the rule this error belongs to, or nothing."""
    if error["code"] == "invalid_type" and "got a decimal" in error["message"]:
        return "JSON Schema takes 3.0 for an integer; the API does not"
    for wanted, where, why in RULES:
        if error["code"] == wanted and re.fullmatch(where, error["param"] or ""):
            return why or "not here"
    return ""


@pytest.mark.requirement("openapi:bodies:taken")
@pytest.mark.parametrize("name", [*MADE, *KEPT])
def test_what_the_schema_takes_is_not_refused_for_its_shape(
    served: tuple[Server, Things], name: str
) -> None:
    server, things = served
    operation = POSTS[name]
    answered = []

    @quiet(EXAMPLES)
    @given(case=operation.as_strategy(generation_mode=GenerationMode.POSITIVE))
    def ask(case: Any) -> None:
        body = aimed(case.body)
        if name == "compactResponse":
            body["model"] = "scripted/summary"
        path = operation.path
        for key, value in things.place(case.path_parameters or {}).items():
            path = path.replace(f"{{{key}}}", things.ids.get(key, [str(value)])[0])
        status, reply = _asked(server, path, body)
        answered.append(status)
        if status >= 400:
            error = reply["error"]
            assert status < 500, (error, body)
            assert told(error), (error, body)

    ask()
    assert answered.count(200) >= len(answered) // 10, answered


@pytest.mark.requirement("openapi:bodies:refused")
@pytest.mark.parametrize("name", sorted(POSTS))
def test_what_the_schema_refuses_the_server_refuses(
    served: tuple[Server, Things], name: str
) -> None:
    server, things = served
    operation = POSTS[name]
    schema = operation.definition.raw["requestBody"]["content"]["application/json"]["schema"]
    component = schema["$ref"].rpartition("/")[2]
    fits = validator(component)
    path = operation.path
    for key, ids in things.ids.items():
        path = path.replace(f"{{{key}}}", ids[0])

    @quiet(EXAMPLES)
    @given(case=operation.as_strategy(generation_mode=GenerationMode.POSITIVE), draw=st.data())
    def ask(case: Any, draw: st.DataObject) -> None:
        body = _spoilt(aimed(case.body), component, draw)
        if fits.is_valid(body):
            return
        status, reply = _asked(server, path, body)
        assert 400 <= status < 500, (status, body)
        assert reply["error"]["code"], reply

    ask()


def _spoilt(body: Any, component: str, draw: st.DataObject) -> Any:
    """The body with one thing wrong at its top."""
    if not isinstance(body, dict):
        return body
    known = DOCUMENT["components"]["schemas"][component]
    properties = sorted(known["properties"])
    match draw.draw(st.sampled_from(["unknown", "missing", "type", "number", "deep"])):
        case "unknown":
            return {**body, "not_a_parameter": 1}
        case "missing":
            required = known.get("required") or [""]
            return {key: value for key, value in body.items() if key != required[0]}
        case "type":
            wrong = draw.draw(st.sampled_from([[[]], {"not": {"known": 1}}, [1], -7.5, True]))
            return {**body, draw.draw(st.sampled_from(properties)): wrong}
        case "number":
            return {**body, draw.draw(st.sampled_from(properties)): -(10**6)}
        case _:
            inner = draw.draw(st.sampled_from(properties))
            value = body.get(inner)
            if isinstance(value, list) and value and isinstance(value[0], dict):
                return {**body, inner: [{**value[0], "type": "no_such_type"}, *value[1:]]}
            return {**body, inner: [None]}


def _asked(server: Server, path: str, body: Any) -> tuple[int, Any]:
    """Status and answer; a stream is only looked at for its status."""
    connection = server._connection()
    try:
        told = json.dumps(body, ensure_ascii=True).encode()
        headers = {"content-type": "application/json", "authorization": "Bearer none"}
        connection.request("POST", path, told, headers)
        reply = connection.getresponse()
        text = reply.read()
        if reply.headers["content-type"].startswith("text/event-stream"):
            return reply.status, None
        return reply.status, json.loads(text)
    finally:
        connection.close()


def test_the_models_are_those_of_the_server(served: tuple[Server, Things]) -> None:
    _, things = served
    assert {f"scripted/{name}" for name in MODELS} <= set(things.ids["model"])
