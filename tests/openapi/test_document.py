"""The document is complete, valid, served and lazy."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any, get_args

import jsonschema
import pytest
import schemathesis

from antiphon.server.asgi import Resource, routes
from antiphon.server.openapi import document, document_json
from antiphon.server.openapi_operations import OPERATIONS
from antiphon.types import events, tool_events
from antiphon.types.items import Item, Opaque, OutputItem
from antiphon.types.tools import HOSTED, HostedTool, Tool
from tests.openapi.shapes import DOCUMENT, SCHEMAS, by_tag
from tests.process.server import Server


def tag(cls: Any) -> str:
    return str(cls.__struct_config__.tag)


@pytest.mark.requirement("openapi:routes")
def test_every_route_is_described_and_nothing_else() -> None:
    served = {
        (method, route.path.replace(":path", ""))
        for route in routes()
        if isinstance(route.app, Resource)
        for method in route.app.methods
    }
    assert OPERATIONS.keys() == served
    described = {
        (method.upper(), path)
        for path, entry in DOCUMENT["paths"].items()
        for method in entry
        if method != "parameters"
    }
    assert described == served
    public = {route.path for route in routes() if getattr(route.app, "public", False)}
    assert {path for (_, path), operation in OPERATIONS.items() if operation.public} == public
    ids = [operation.id for operation in OPERATIONS.values()]
    assert len(set(ids)) == len(ids)


@pytest.mark.requirement("openapi:types")
def test_every_item_tool_and_event_is_described() -> None:
    assert {tag(cls) for cls in get_args(Item) if cls is not Opaque} <= by_tag("InputItem").keys()
    assert {tag(cls) for cls in get_args(OutputItem)} == by_tag("OutputItem").keys()
    tools = {tag(cls) for cls in get_args(Tool) if cls is not HostedTool} | HOSTED
    assert tools == by_tag("ToolParam").keys() == by_tag("Tool").keys()
    named = {
        tag(cls)
        for module in (events, tool_events)
        for cls in vars(module).values()
        if isinstance(cls, type) and issubclass(cls, events.Event) and "." in tag(cls)
    }
    assert named == by_tag("ResponseStreamEvent").keys()


@pytest.mark.requirement("openapi:valid")
def test_the_document_is_valid_openapi() -> None:
    assert schemathesis.openapi.from_dict(document()).validate() is None
    for schema in SCHEMAS.values():
        jsonschema.Draft202012Validator.check_schema(schema)
    referred = set(re.findall(r"#/components/schemas/([\w.]+)", document_json().decode()))
    assert referred <= SCHEMAS.keys()
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+", name) for name in SCHEMAS)


@pytest.mark.requirement("openapi:served")
def test_the_document_is_served_to_anybody(tmp_path: Path) -> None:
    with Server(tmp_path, keys=["secret-key"]) as server:
        connection = server._connection()
        connection.request("GET", "/openapi.json")
        reply = connection.getresponse()
        assert (reply.status, reply.headers["content-type"]) == (200, "application/json")
        assert reply.read() == document_json()
        connection.close()


@pytest.mark.requirement("openapi:lazy")
def test_a_server_that_starts_has_not_made_the_document() -> None:
    code = (
        "import sys, antiphon.app, antiphon.process\n"
        "print([name for name in sys.modules if 'openapi' in name and 'routes' not in name])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
