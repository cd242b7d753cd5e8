"""The OpenAPI document (3.1), made from the types.

Imported when somebody asks for it first, made once. Schemas come from the structs the server
reads and writes with (``openapi_shapes.py``, ``openapi_raw.py``), paths and what no struct says
from ``openapi_operations.py``, which a test compares with ``asgi.routes``. ``docs/generate.py``
writes the document to docs/reference/openapi.json.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any

import msgspec

from antiphon.server.openapi_operations import OPERATIONS, Operation, Parameter
from antiphon.server.openapi_raw import item, narrowed, output_item, raw, shaped, stream_event
from antiphon.server.openapi_shapes import (
    Schema,
    Shapes,
    array_of,
    object_of,
    reference,
    sentence,
)
from antiphon.types import completion, resources, response, webhooks, websocket

VERSION = "1"
"""Of the API, as its paths have it."""

ABOUT = """\
The Responses API over any model, and what belongs to it.

An error is an HTTP status with `ErrorEnvelope`; its `param` is the path of what was wrong, its \
`code` one of docs/reference/errors.md. What was accepted and not fully honoured is named in the \
header `x-antiphon-downgrades`. An unknown key of a body, or of a query, is an error; null means \
that a parameter is absent. Rules between parameters are not in the schemas: a schema says what a \
body may look like, docs/reference/responses.md what goes together.

Azure's clients use the same operations below `/openai/v1` (the second server), or below \
`/openai` and `/openai/deployments/{deployment}` with an `api-version` in the query: \
docs/reference/azure.md.
"""
TAGS = {
    "Responses": "Make responses, read them again, cancel and delete them.",
    "Conversations": "Items that are kept for responses to continue.",
    "Chat completions": "The older API, as another view of a response.",
    "Webhooks": "Where to send what background responses come to.",
    "Models": "What may stand in `model`.",
    "Server": "For those who operate it. No key is needed.",
}
_JSON = "application/json"
_SSE = "text/event-stream"
_DESCRIBED: dict[str, tuple[type, str]] = {
    "completions": (completion.ChatCompletion, "ChatCompletionPage"),
    "endpoints": (webhooks.WebhookEndpoint, "WebhookEndpointPage"),
}
_TEXT: Schema = {"type": "string"}
_OBJECT: Schema = {"type": "object"}


@cache
def document_json() -> bytes:
    """The document, indented, with a line end."""
    told = msgspec.json.format(msgspec.json.encode(document()), indent=1)
    return told + b"\n"


def document() -> dict[str, Any]:
    """The document as plain data."""
    shapes = Shapes(raw)
    shaped(shapes)
    paths = _paths(shapes)
    _add_websocket(shapes)
    event = shapes.of(webhooks.WebhookEvent, "shown")
    narrowed(shapes.components)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Antiphon",
            "version": VERSION,
            "description": ABOUT,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [
            {"url": "/", "description": "OpenAI's paths"},
            {"url": "/openai", "description": "Azure's, for everything below /v1"},
        ],
        "security": [{"bearer": []}, {"apiKey": []}],
        "tags": [{"name": name, "description": about} for name, about in TAGS.items()],
        "paths": paths,
        "webhooks": {"event": {"post": _delivery(event)}},
        "components": {
            "schemas": dict(sorted(shapes.components.items())),
            "responses": {"Error": _error("What was wrong.")},
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "apiKey": {"type": "apiKey", "in": "header", "name": "api-key"},
            },
        },
    }


def _paths(shapes: Shapes) -> dict[str, Any]:
    paths: dict[str, Any] = {}
    for (method, path), operation in OPERATIONS.items():
        entry = paths.setdefault(path, {})
        if names := re.findall(r"\{(\w+)\}", path):
            entry["parameters"] = [
                {"name": name, "in": "path", "required": True, "schema": {**_TEXT, "minLength": 1}}
                for name in names
            ]
        entry[method.lower()] = _told(operation, shapes)
    return paths


def _told(operation: Operation, shapes: Shapes) -> dict[str, Any]:
    told: dict[str, Any] = {
        "operationId": operation.id,
        "tags": [operation.tag],
        "summary": operation.summary,
    }
    if operation.parameters:
        told["parameters"] = [_parameter(one) for one in operation.parameters]
    if operation.body is not None:
        schema = shapes.of(operation.body, "strict")
        told["requestBody"] = {
            "required": operation.body_needed,
            "content": {_JSON: {"schema": schema}},
        }
    told["responses"] = _answers(operation, shapes)
    if operation.public:
        told["security"] = []
    return told


def _parameter(one: Parameter) -> dict[str, Any]:
    told: dict[str, Any] = {
        "name": one.name,
        "in": one.place,
        "description": one.about,
        "schema": one.schema,
    }
    if one.style != "form":
        told |= {"style": one.style, "explode": True}
    return told


def _answers(operation: Operation, shapes: Shapes) -> dict[str, Any]:
    content: dict[str, Any]
    if operation.answer == "text":
        content = {"text/plain": {"schema": _TEXT}}
    else:
        content = {_JSON: {"schema": _answer(operation.answer, shapes)}}
    if operation.streams is not None:
        content[_SSE] = {"schema": _event(operation.streams, shapes)}
    answers: dict[str, Any] = {
        "200": {"description": operation.summary, "content": content, "headers": _headers()}
    }
    statuses = [] if operation.public else [401, 503]
    statuses += [400] if operation.body is not None or operation.parameters else []
    statuses += [413, 415] if operation.body is not None else []
    statuses += [404] if operation.finds else []
    statuses += [409] if operation.conflicts else []
    statuses += [400, 429, 500, 502, 504] if operation.asks_model else []
    for status in sorted(set(statuses)):
        answers[str(status)] = {"$ref": "#/components/responses/Error"}
    if operation.id == "ready":
        answers["503"] = {"description": "Why it cannot.", "content": {_JSON: {"schema": _OBJECT}}}
    shapes.of(resources.ErrorEnvelope, "shown")
    answers["default"] = {"$ref": "#/components/responses/Error"}
    return answers


def _answer(answer: Any, shapes: Shapes) -> Schema:
    match answer:
        case "items":
            return shapes.define("ItemPage", _page(item(shapes)))
        case "item":
            return item(shapes)
        case "messages":
            message = object_of(
                {"id": _TEXT, "role": _TEXT, "content": {}, "content_parts": {}}, "id", "role"
            )
            shapes.define("StoredMessage", message)
            return shapes.define("StoredMessagePage", _page(reference("StoredMessage")))
        case "front" | "document":
            return _OBJECT
        case "health":
            return object_of({"status": _TEXT}, "status")
        case str():
            of, name = _DESCRIBED[answer]
            return shapes.define(name, _page(shapes.of(of, "shown")))
        case _:
            return shapes.of(answer, "shown")


def _page(entry: Schema) -> Schema:
    maybe: Schema = {"anyOf": [_TEXT, {"type": "null"}]}
    fields: dict[str, Schema] = {
        "object": {**_TEXT, "enum": ["list"]},
        "data": array_of(entry),
        "first_id": maybe,
        "last_id": maybe,
        "has_more": {"type": "boolean"},
    }
    return {
        **object_of(fields, *fields),
        "description": sentence(resources.Page),
    }


def _event(streams: Any, shapes: Shapes) -> Schema:
    if streams == "response":
        return {
            **stream_event(shapes),
            "description": "One event: `event` is its `type`, `data` this object. The stream ends "
            "with `data: [DONE]`.",
        }
    return {
        **shapes.of(streams, "shown"),
        "description": "One chunk is one `data`. The stream ends with `data: [DONE]`, or where "
        "the model failed with an `ErrorEnvelope` and without it.",
    }


def _headers() -> dict[str, Any]:
    names = {
        "x-request-id": "As the caller sent it, or ours; it stands in the log.",
        "x-antiphon-downgrades": "What of the request was accepted and not fully honoured.",
    }
    return {name: {"description": told, "schema": _TEXT} for name, told in names.items()}


def _error(about: str) -> dict[str, Any]:
    headers = {
        "x-should-retry": "`false` where sending it again cannot help.",
        "retry-after": "Seconds to wait, where that may help.",
    }
    return {
        "description": about,
        "content": {_JSON: {"schema": reference("ErrorEnvelope")}},
        "headers": {name: {"description": told, "schema": _TEXT} for name, told in headers.items()},
    }


def _delivery(event: Schema) -> dict[str, Any]:
    return {
        "summary": "What is sent to a webhook endpoint, signed (Standard Webhooks).",
        "tags": ["Webhooks"],
        "requestBody": {"required": True, "content": {_JSON: {"schema": event}}},
        "responses": {"2XX": {"description": "Taken."}},
    }


def _add_websocket(shapes: Shapes) -> None:
    """What goes over a WebSocket at ``/v1/responses`` besides the events: no path says it."""
    for message in (websocket.CreateEvent, websocket.SteerEvent):
        shapes.of(message, "strict")
    for answer in (websocket.ErrorMessage, websocket.SteerFailed, response.Response):
        shapes.of(answer, "shown")
    output_item(shapes)
