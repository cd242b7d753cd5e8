"""Real clients over WebSocket: the official library in all its forms, and Codex."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import anyio.to_thread
import pytest
from openai import AsyncAzureOpenAI, AsyncOpenAI, AzureOpenAI, OpenAI
from openai.types.responses.responses_server_event import ResponsesServerEvent
from pydantic import TypeAdapter
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from antiphon.app import running
from antiphon.config import AzureSettings, Config, KeySettings, ScriptedSettings, StoreSettings
from antiphon.config_state import WebSocketSettings
from antiphon.process import _uvicorn_config
from tests.server.socket_client import Front, Told
from tests.server.websocket_client import LAST, Talk, text_of, told

pytestmark = pytest.mark.anyio

DATED = "2025-04-01-preview"
KEY = "sk-test"
ADA = {"azure": {"deployments": {"ada": "scripted/recall"}}}
TOOL: Any = {
    "type": "function",
    "name": "get_weather",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
}


@dataclass
class Site:
    """A whole server with one key, listening."""

    port: int
    told: Told

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@pytest.fixture
async def site(
    request: pytest.FixtureRequest, store_settings: StoreSettings
) -> AsyncIterator[Site]:
    asked: dict[str, Any] = getattr(request, "param", {})
    config = Config(
        backends=(ScriptedSettings(),),
        store=store_settings,
        keys=(KeySettings(key=KEY, project="mine"),),
        azure=AzureSettings(**asked.get("azure", {})),
        websocket=WebSocketSettings(**asked.get("websocket", {})),
    )
    async with running(config) as app:
        seen = Told()
        app.observe.subscribe(seen)
        async with Front(_uvicorn_config(app)).listening() as port:
            yield Site(port, seen)


async def chained(client: AsyncOpenAI, model: str = "scripted/recall") -> list[str]:
    """Two turns over one connection, the second continuing the first; the types of all events."""
    types: list[str] = []
    async with client.responses.connect() as connection:
        await connection.response.create(model=model, input="My name is Ada.", store=False)
        async for event in connection:
            types.append(event.type)
            if event.type == "response.completed":
                parent = event.response.id
                break
        await connection.response.create(
            model=model, input="Who am I?", store=False, previous_response_id=parent
        )
        text = ""
        async for event in connection:
            types.append(event.type)
            if event.type == "response.output_text.delta":
                text += event.delta
            if event.type == "response.completed":
                assert event.response.output_text == text and "Ada" in text
                break
    return types


@pytest.mark.requirement("websocket:sdk:async")
async def test_the_asynchronous_client(site: Site) -> None:
    async with AsyncOpenAI(base_url=f"{site.origin}/v1", api_key=KEY) as client:
        types = await chained(client)
    assert types[:2] == ["response.created", "response.in_progress"]
    assert types.count("response.completed") == 2


@pytest.mark.requirement("websocket:sdk:async")
async def test_the_asynchronous_client_sees_refusals_lanes_and_steering(site: Site) -> None:
    async with (
        AsyncOpenAI(base_url=f"{site.origin}/v1", api_key=KEY) as client,
        client.responses.connect() as connection,
    ):
        await connection.response.create(model="scripted/echo", input="x", temperature=9)
        error = await connection.recv()
        assert error.type == "error" and error.status == 400
        assert error.error.code == "decimal_above_max_value" and error.error.param == "temperature"
        await connection.response.create(model="no-such-model", input="x", generate=False)
        error = await connection.recv()
        assert error.type == "error" and error.error.code == "model_not_found"
        await connection.response.create(model="scripted/echo", input="x", stream_id="a.1")
        event = await connection.recv()
        assert event.type == "response.created" and event.stream_id == "a.1"
        while event.type != "response.completed":
            event = await connection.recv()
        await connection.response.steer(previous_response_id=event.response.id, input="left")
        failed = await connection.recv()
        assert failed.type == "response.steer.failed"
        assert failed.error.code == "steering_not_supported" and failed.steer.input == "left"


@pytest.mark.requirement("websocket:sdk:reconnects")
@pytest.mark.parametrize("site", [{"websocket": {"connection_minutes_max": 0.002}}], indirect=True)
async def test_the_client_reconnects_when_its_connection_was_too_old(site: Site) -> None:
    codes: list[int] = []

    def reconnecting(event: Any) -> None:
        codes.append(event.close_code)

    async with (
        AsyncOpenAI(base_url=f"{site.origin}/v1", api_key=KEY) as client,
        client.responses.connect(on_reconnecting=reconnecting, initial_delay=0.01) as connection,
        asyncio.timeout(5),
    ):
        refused = 0
        async for event in connection:
            assert event.type == "error"
            assert event.error.code == "websocket_connection_limit_reached"
            refused += 1
            if refused == 2:  # one of each connection
                break
    assert codes == [1001]


EXACT: Any = TypeAdapter(ResponsesServerEvent)


@pytest.mark.requirement("websocket:sdk:exact")
@pytest.mark.parametrize("script", ["hello", "tool", "reasoning", "cited", "length", "error-after"])
async def test_every_message_is_exactly_typed(site: Site, script: str) -> None:
    async with (
        AsyncOpenAI(base_url=f"{site.origin}/v1", api_key=KEY) as client,
        client.responses.connect() as connection,
    ):
        await connection.response.create(
            model=f"scripted/{script}", input="x", tools=[TOOL], stream_id="a"
        )
        await connection.response.create(model="scripted/echo", input="x", temperature=9)
        await connection.response.steer(previous_response_id="resp_1", input="left")
        ended = 0
        while ended < 3:
            data = await connection.recv_bytes()
            event = EXACT.validate_json(data, strict=False)
            ended += event.type in LAST


# How the synchronous library opens its socket is its own business.
library = pytest.mark.filterwarnings("ignore:connect.. must be used:DeprecationWarning")


def talk_sync(origin: str) -> list[str]:
    types: list[str] = []
    with (
        OpenAI(base_url=f"{origin}/v1", api_key=KEY) as client,
        client.responses.connect() as connection,
    ):
        connection.response.create(
            model="scripted/tool", input="Weather?", tools=[TOOL], store=False
        )
        for event in connection:
            types.append(event.type)
            if event.type == "response.completed":
                call = event.response.output[0]
                parent = event.response.id
                break
        assert call.type == "function_call"
        output: Any = {
            "type": "function_call_output",
            "call_id": call.call_id,
            "output": "rain",
        }
        connection.response.create(
            model="scripted/tool",
            input=[output],
            tools=[TOOL],
            store=False,
            previous_response_id=parent,
        )
        for event in connection:
            types.append(event.type)
            if event.type == "response.completed":
                assert "rain" in event.response.output_text
                break
    return types


@library
@pytest.mark.requirement("websocket:sdk:sync")
async def test_the_synchronous_client_and_a_tool(site: Site) -> None:
    types = await anyio.to_thread.run_sync(talk_sync, site.origin)
    assert types.count("response.completed") == 2
    assert "response.function_call_arguments.delta" in types


# Azure


@pytest.mark.requirement("websocket:azure")
@pytest.mark.parametrize(
    "site", [{"azure": {"deployments": {"ada": "scripted/recall"}}}], indirect=True
)
async def test_the_azure_client_by_all_its_paths(site: Site) -> None:
    dated: Any = {"azure_endpoint": site.origin, "api_version": DATED, "api_key": KEY}
    clients: list[AsyncOpenAI] = [
        AsyncAzureOpenAI(**dated),
        AsyncAzureOpenAI(**dated, azure_deployment="ada"),
        AsyncAzureOpenAI(base_url=f"{site.origin}/openai/v1/", api_version="preview", api_key=KEY),
        AsyncOpenAI(base_url=f"{site.origin}/openai/v1/", api_key=KEY),
    ]
    for client in clients:
        async with client:
            assert (await chained(client, "ada")).count("response.completed") == 2


def talk_azure(origin: str) -> Any:
    with (
        AzureOpenAI(azure_endpoint=origin, api_version=DATED, api_key=KEY) as client,
        client.responses.connect() as connection,
    ):
        connection.response.create(model="ada", input="My name is Ada.")
        for event in connection:
            if event.type == "response.completed":
                return event.response
    return None


@library
@pytest.mark.requirement("websocket:azure")
@pytest.mark.parametrize(
    "site", [{"azure": {"deployments": {"ada": "scripted/recall"}}}], indirect=True
)
async def test_the_synchronous_azure_client_gets_azures_fields(site: Site) -> None:
    response = await anyio.to_thread.run_sync(partial(talk_azure, site.origin))
    assert response.model == "scripted/recall" and response.content_filters == []


@pytest.mark.requirement("websocket:azure")
@pytest.mark.parametrize(
    "site",
    [
        {
            "azure": {
                "deployments": {"gpt-4o": "scripted/echo"},
                "emulate": True,
                "region": "eastus",
            }
        }
    ],
    indirect=True,
)
async def test_emulated_refusals_are_error_messages(site: Site) -> None:
    path = f"ws://127.0.0.1:{site.port}/openai/responses?api-version={DATED}"
    async with connect(path, additional_headers={"api-key": KEY}) as socket:
        talk = Talk(socket)
        await talk.say(type="response.create", model="nobody", input="x")
        assert told(await talk.hear())[:2] == (404, "DeploymentNotFound")
        await talk.say(type="response.create", model="gpt-4o", input="hi")
        assert text_of((await talk.answer())[-1]["response"]) == "hi"
    with pytest.raises(InvalidStatus) as refused:
        async with connect(path, additional_headers={"api-key": "wrong"}):
            pass
    answer = refused.value.response
    assert answer.status_code == 401 and b'"code":"401"' in (answer.body or b"")


# Codex


def codex_turn(items: list[Any], **more: Any) -> dict[str, Any]:
    """A create as Codex CLI 0.169 sends it, with the tools this server has."""
    patch = {"type": "custom", "name": "apply_patch", "format": {"type": "text"}}
    command = {
        "type": "function",
        "name": "exec_command",
        "description": "Runs a command.",
        "strict": False,
        "parameters": {
            "type": "object",
            "properties": {"cmd": {"type": "string"}, "workdir": {"type": "string"}},
            "required": ["cmd"],
            "additionalProperties": False,
        },
    }
    return {
        "type": "response.create",
        "model": "scripted/tool",
        "stream": True,
        "input": items,
        "tools": [command, patch],
        "tool_choice": "auto",
        "parallel_tool_calls": True,
        "reasoning": {"summary": "auto"},
        "store": False,
        "include": ["reasoning.encrypted_content"],
        "prompt_cache_key": "01a204b8-6416-7550-9b95-194e49145d0f",
        "client_metadata": {"session_id": "01a204b8", "turn_id": ""},
        **more,
    }


def codex_item(role: str, text: str) -> dict[str, Any]:
    part = {"type": "input_text", "text": text}
    name = f"msg_4c7c4959-e2bf-5744-a25b-51f555b7bb81-{len(text)}"
    return {"type": "message", "id": name, "role": role, "content": [part]}


@pytest.mark.requirement("websocket:codex:frames")
async def test_a_turn_of_codex_frame_by_frame(site: Site) -> None:
    headers = {"authorization": f"Bearer {KEY}", "openai-beta": "responses_websockets=2026-02-06"}
    async with connect(
        f"ws://127.0.0.1:{site.port}/v1/responses", additional_headers=headers
    ) as socket:
        talk = Talk(socket)
        await talk.say(**codex_turn([codex_item("developer", "You are an agent.")], generate=False))
        warm = (await talk.answer())[-1]["response"]
        assert (warm["status"], warm["output"]) == ("completed", [])
        items = [codex_item("user", "<environment_context/>"), codex_item("user", "List files.")]
        await talk.say(**codex_turn(items, previous_response_id=warm["id"]))
        asked = (await talk.answer())[-1]["response"]
        (call,) = asked["output"]
        assert (call["type"], call["name"]) == ("function_call", "exec_command")
        output = {
            "type": "function_call_output",
            "id": "fco_01a204b8",
            "call_id": call["call_id"],
            "output": "README.md",
        }
        await talk.say(**codex_turn([output], previous_response_id=asked["id"]))
        assert "README.md" in text_of((await talk.answer())[-1]["response"])


@pytest.mark.requirement("websocket:codex:tools")
async def test_a_tool_that_is_not_here_is_named(site: Site) -> None:
    headers = {"authorization": f"Bearer {KEY}"}
    async with connect(
        f"ws://127.0.0.1:{site.port}/v1/responses", additional_headers=headers
    ) as socket:
        talk = Talk(socket)
        await talk.say(**codex_turn([codex_item("user", "x")], tools=[{"type": "web_search"}]))
        assert told(await talk.hear()) == (400, "unsupported_value", "tools[0].type")


CODEX = shutil.which("codex")
CODEX_CONFIG = """
model = "scripted/echo"
model_provider = "antiphon"

[model_providers.antiphon]
name = "Antiphon"
base_url = "http://127.0.0.1:{port}/v1"
wire_api = "responses"
supports_websockets = true
env_key = "ANTIPHON_KEY"
"""


@pytest.mark.skipif(CODEX is None, reason="Codex CLI is not installed")
@pytest.mark.requirement("websocket:codex:cli")
async def test_codex_itself_over_websocket(site: Site, tmp_path: Path) -> None:
    home, work = tmp_path / "home", tmp_path / "work"
    home.mkdir()
    work.mkdir()
    (home / "config.toml").write_text(CODEX_CONFIG.format(port=site.port))
    process = await asyncio.create_subprocess_exec(
        str(CODEX),
        *("exec", "--skip-git-repo-check", "say hello to the world"),
        cwd=work,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "CODEX_HOME": str(home), "ANTIPHON_KEY": KEY},
    )
    try:
        async with asyncio.timeout(60):
            said, logged = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    assert process.returncode == 0, logged.decode()
    assert "say hello to the world" in said.decode()
    assert {told.method for told in site.told.requests} == {"WEBSOCKET"}
    assert {told.status for told in site.told.requests} == {200}
