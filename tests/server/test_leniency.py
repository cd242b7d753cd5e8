"""Hosted tools nobody can run: refused, or left out for coding agents, on every way in."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI
from websockets.asyncio.client import connect

from antiphon.app import App, running
from antiphon.backends.scripted import Scripted
from antiphon.config import Config, RunSettings, ScriptedSettings, ServerSettings
from tests.server.conftest import House, opened
from tests.server.test_background import MEMORY, client_of
from tests.server.websocket_client import SERVERS, Talk, served

pytestmark = pytest.mark.anyio

WEATHER = {"type": "function", "name": "get_weather", "parameters": {"type": "object"}}
SEARCH = {"type": "web_search", "external_web_access": True}
TOOLS: list[Any] = [WEATHER, SEARCH]
AGENT = {"originator": "codex_exec", "user-agent": "codex_exec/0.169.0 (Debian 12.0.0; x86_64)"}
BY_AGENT = {"originator": "codex_vscode"}
BY_NAME = {"user-agent": "Codex_CLI_RS/0.1"}
OTHERS: list[dict[str, str]] = [{}, {"user-agent": "curl codex"}, {"originator": "my_codex"}]


@asynccontextmanager
async def site(**runs: Any) -> AsyncIterator[tuple[App, AsyncOpenAI]]:
    config = Config(
        backends=(ScriptedSettings(),),
        store=MEMORY,
        runs=RunSettings(**runs),
        server=ServerSettings(),
    )
    async with running(config) as app, client_of(app) as client:
        yield app, client


async def made(client: AsyncOpenAI, headers: dict[str, str], **asked: Any) -> tuple[Any, list[str]]:
    """The response and what the answer's header says was left out."""
    asked = {"model": "scripted/tool", "input": "weather?", "tools": TOOLS, **asked}
    answer = await client.responses.with_raw_response.create(**asked, extra_headers=headers)
    told = answer.headers.get("x-antiphon-downgrades", "")
    return answer.parse(), [name for name in told.split(", ") if name]


@pytest.mark.requirement("offering:unsupported:agents")
@pytest.mark.parametrize("headers", [AGENT, BY_AGENT, BY_NAME])
async def test_what_a_coding_agent_always_sends_is_left_out(headers: dict[str, str]) -> None:
    image = {"type": "image_generation", "output_format": "png"}
    async with site() as (_, client):
        response, told = await made(client, headers, tools=[SEARCH, WEATHER, image])
        assert told == ["tools[0]:web_search", "tools[2]:image_generation"]
        assert [tool.type for tool in response.tools] == ["function"]
        assert response.output[0].name == "get_weather"
        stored = await client.responses.retrieve(response.id)
        assert [tool.type for tool in stored.tools] == ["function"]
        counted = await client.responses.input_tokens.with_raw_response.count(
            model="scripted/tool", input="x", tools=TOOLS, extra_headers=headers
        )
        assert counted.parse().input_tokens > 0
        with pytest.raises(openai.BadRequestError) as refused:
            await made(client, headers, tools=[{"type": "file_search", "vector_store_ids": ["v"]}])
        assert refused.value.param == "tools[0].type"
        with pytest.raises(openai.BadRequestError) as refused:
            await made(client, headers, tool_choice={"type": "web_search"})
        assert refused.value.param == "tool_choice"


@pytest.mark.requirement("offering:unsupported:refused")
@pytest.mark.parametrize("headers", OTHERS)
async def test_everybody_else_is_refused(headers: dict[str, str]) -> None:
    async with site() as (_, client):
        for kind in ("web_search", "web_search_preview", "image_generation", "file_search"):
            with pytest.raises(openai.BadRequestError) as refused:
                await made(client, headers, tools=[WEATHER, {"type": kind}])
            error = refused.value
            assert (error.param, error.code) == ("tools[1].type", "unsupported_value")
            assert kind in error.message
        with pytest.raises(openai.BadRequestError) as refused:
            await client.responses.input_tokens.count(
                model="scripted/tool", input="x", tools=TOOLS, extra_headers=headers
            )
        assert refused.value.param == "tools[1].type"


@pytest.mark.requirement("offering:unsupported:switch")
async def test_the_switch_refuses_or_drops_for_everybody() -> None:
    async with site(unsupported_tools="refuse") as (_, client):
        with pytest.raises(openai.BadRequestError):
            await made(client, AGENT)
    async with site(unsupported_tools="drop") as (_, client):
        every = [{"type": "file_search", "vector_store_ids": ["v"]}, WEATHER]
        _, told = await made(client, {}, tools=every)
        assert told == ["tools[0]:file_search"]
        with pytest.raises(openai.BadRequestError) as refused:
            await made(client, {}, tools=[{"type": "web_serach"}])
        assert refused.value.param == "tools[0].type"


@pytest.mark.requirement("offering:unsupported:background")
async def test_a_background_response_is_as_lenient_as_its_request() -> None:
    async with site() as (_, client):
        response, told = await made(client, AGENT, background=True)
        assert told == ["tools[1]:web_search"]
        for _ in range(200):
            response = await client.responses.retrieve(response.id)
            if response.status not in ("queued", "in_progress"):
                break
            await asyncio.sleep(0.02)
        assert response.status == "completed", response.error
        assert response.output[0].name == "get_weather"
        assert [tool.type for tool in response.tools] == ["function"]


@pytest.mark.requirement("offering:unsupported:items")
async def test_what_is_missing_of_an_items_tools_is_told_in_each_turn() -> None:
    item: Any = {"type": "additional_tools", "role": "developer", "tools": TOOLS}
    says: Any = {"role": "user", "content": "hi"}
    async with site() as (_, client):
        asked: dict[str, Any] = {"model": "scripted/settings", "tools": openai.omit}
        first, told = await made(client, AGENT, input=[item, says], **asked)
        assert told == ["input[0].tools[1]:web_search"]
        assert '"get_weather"' in first.output_text and "web_search" not in first.output_text
        for headers in (AGENT, {}):
            after, told = await made(
                client, headers, input="and?", previous_response_id=first.id, **asked
            )
            assert told == ["additional_tools.tools[1]:web_search"]
            assert '"get_weather"' in after.output_text
        with pytest.raises(openai.BadRequestError) as refused:
            await made(client, {}, input=[item, says], **asked)
        assert refused.value.param == "input[0].tools[1].type"


@pytest.fixture
async def house() -> AsyncIterator[House]:
    async for house in opened(Scripted(), {}):
        yield house


@pytest.mark.requirement("offering:unsupported:agents")
@pytest.mark.parametrize("server", SERVERS)
async def test_a_socket_is_as_lenient_as_its_handshake(house: House, server: str) -> None:
    async with served(house, server) as (origin, _):
        path = f"{origin}/v1/responses"
        agent = {"originator": "codex_exec"}
        async with connect(path, additional_headers=agent, user_agent_header=None) as socket:
            first, *_, last = await Talk(socket).ask(input="weather?", model="tool", tools=TOOLS)
            assert first["x_antiphon_downgrades"] == ["tools[1]:web_search"]
            assert [tool["type"] for tool in last["response"]["tools"]] == ["function"]
        async with connect(path) as socket:
            refused = await Talk(socket).refused(input="x", tools=TOOLS)
            assert refused == (400, "unsupported_value", "tools[1].type")


def _function(name: str, **more: Any) -> dict[str, Any]:
    parameters = {"type": "object", "properties": {}, "additionalProperties": False}
    return {
        "type": "function",
        "name": name,
        "description": name,
        "strict": False,
        "parameters": parameters,
        **more,
    }


def _group(name: str, *tools: dict[str, Any]) -> dict[str, Any]:
    return {"type": "namespace", "name": name, "description": f"All of {name}", "tools": [*tools]}


PATCH = {
    "type": "custom",
    "name": "apply_patch",
    "description": "Edits files.",
    "format": {"type": "grammar", "syntax": "lark", "definition": "start: /.+/"},
}
DISCOVERY = {
    "type": "tool_search",
    "execution": "client",
    "description": "# Tool discovery",
    "parameters": {"type": "object", "properties": {"query": {"type": "string"}}},
}
AGENTS = [_function(name) for name in ("close_agent", "spawn_agent", "wait_agent")]
LITE = [
    _group("functions", PATCH | {"name": "exec"}, _function("wait")),
    _group("clock", _function("sleep")),
    _group("collaboration", *AGENTS),
]
SAYS = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hi"}]}
CODEX: dict[str, tuple[Any, Any, list[str]]] = {
    "freeform": (
        [_function("exec_command"), PATCH, DISCOVERY, SEARCH | {"search_content_types": ["text"]}],
        [SAYS],
        ["tools[3]:web_search"],
    ),
    "its own agents": (
        [_function("exec_command"), _group("multi_agent_v1", *AGENTS), SEARCH],
        [SAYS],
        ["tools[2]:web_search", "reasoning.summary"],
    ),
    "tools as an item": (
        openai.omit,
        [{"type": "additional_tools", "id": "at_1", "role": "developer", "tools": LITE}, SAYS],
        [],
    ),
}
"""By the kind of model: Codex's tools, its input, and what is left out of that."""


@pytest.mark.requirement("offering:unsupported:agents")
@pytest.mark.parametrize("name", CODEX)
async def test_what_codex_sends_for_each_kind_of_model_is_taken(name: str) -> None:
    tools, items, left_out = CODEX[name]
    asked: dict[str, Any] = {
        "model": "scripted/tool",
        "tools": tools,
        "input": items,
        "tool_choice": "auto",
        "store": False,
        "include": ["reasoning.encrypted_content"],
        "prompt_cache_key": "01a2056c",
        "text": {"verbosity": "low"},
        "reasoning": {"summary": "auto"} if "agents" in name else {"effort": "low"},
        "extra_body": {"client_metadata": {"turn_id": "t"}},
    }
    async with site() as (_, client):
        response, told = await made(client, AGENT, **asked)
        assert sorted(told) == sorted(left_out)
        (call,) = response.output
        if name == "tools as an item":
            assert (call.namespace, call.name) == ("functions", "exec")


@pytest.mark.requirement("offering:additional:effective")
async def test_a_socket_remembers_what_items_brought_to_a_response_that_is_not_stored(
    house: House,
) -> None:
    item = {"type": "additional_tools", "role": "developer", "tools": LITE}
    async with (
        served(house, SERVERS[0]) as (origin, _),
        connect(f"{origin}/v1/responses") as socket,
    ):
        talk = Talk(socket)
        warm = await talk.made(model="tool", input=[item], store=False, generate=False)
        asked = {"previous_response_id": warm["id"], "store": False}
        first = await talk.made(model="tool", input="hi", **asked)
        (call,) = first["output"]
        assert (call["namespace"], call["name"]) == ("functions", "exec")
        output = {"type": "custom_tool_call_output", "call_id": call["call_id"]}
        asked = {"previous_response_id": first["id"], "store": False}
        last = await talk.made(model="settings", input=[output | {"output": "x"}], **asked)
        assert "functions__exec" in last["output"][0]["content"][0]["text"]
