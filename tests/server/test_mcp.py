"""MCP over every road, seen by the official client, which refuses what is not exactly typed. The
MCP servers are real: the official SDK's, on loopback and as programs."""

from __future__ import annotations

import asyncio
import base64
import json
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI

from antiphon.app import App, running
from antiphon.config import Config, ScriptedSettings, StoreSettings
from antiphon.config_mcp import McpSettings, RemoteMcpSettings
from antiphon.config_state import EncryptionSettings
from antiphon.process import _uvicorn_config
from tests.server.socket_client import Front
from tests.server.test_background import all_of, client_of, ended, started, streamed
from tests.tools.mcp_servers import Desk, program, streamable

pytestmark = pytest.mark.anyio

HELLO: Any = [{"role": "user", "content": "Hi."}]
KEY = base64.b64encode(b"0123456789abcdef" * 2).decode()
MADE = ["mcp_list_tools", "mcp_call", "message"]


@dataclass
class Site:
    """A server, an MCP server, and a client."""

    app: App
    desk: Desk
    client: AsyncOpenAI

    def tool(self, **fields: Any) -> Any:
        fields.setdefault("require_approval", "never")
        return {"type": "mcp", "server_label": "desk", "server_url": self.desk.url, **fields}

    async def create(self, script: str = "tool", **more: Any) -> Any:
        more.setdefault("input", "Hi.")
        more.setdefault("tools", [self.tool()])
        return await self.client.responses.create(model=f"scripted/{script}", **more)


def config(store: StoreSettings, *servers: McpSettings) -> Config:
    return Config(
        backends=(ScriptedSettings(),),
        store=store,
        mcp=servers,
        remote_mcp=RemoteMcpSettings(allowed=["127.0.0.1"]),
        encryption=EncryptionSettings(key=KEY),
    )


@pytest.fixture
async def site(store_settings: StoreSettings) -> AsyncIterator[Site]:
    desk = Desk("echo", "note")
    async with (
        streamable(desk),
        running(config(store_settings)) as app,
        client_of(app) as client,
    ):
        yield Site(app, desk, client)


def kinds(response: Any) -> list[str]:
    return [item.type for item in response.output]


@pytest.mark.requirement("mcp:roads:json")
async def test_a_plain_answer(site: Site) -> None:
    response = await site.create(tools=[site.tool(authorization="s3cret")])
    assert kinds(response) == MADE
    listed, call, _ = response.output
    assert [tool.name for tool in listed.tools] == ["echo", "note"]
    assert call.output == f"echo: {json.loads(call.arguments)['text']}"
    assert "s3cret" not in response.model_dump_json()
    assert await site.client.responses.retrieve(response.id) == response
    metrics = site.app.metrics.render()[0].decode()
    assert 'antiphon_tool_calls_total{name="mcp",outcome="ok"} 1.0' in metrics


@pytest.mark.requirement("mcp:roads:sse")
async def test_a_stream_and_its_replay(site: Site) -> None:
    events = [event async for event in await site.create("tools-parallel", stream=True)]
    assert [event.sequence_number for event in events] == list(range(len(events)))
    final = events[-1].response
    assert kinds(final) == ["mcp_list_tools", "mcp_call", "mcp_call", "message"]
    again = await site.client.responses.retrieve(final.id, stream=True)
    assert await all_of(again) == events
    async with site.client.responses.stream(
        model="scripted/tool", input="Hi.", tools=[site.tool()]
    ) as stream:
        async for _ in stream:
            pass
        assert kinds(await stream.get_final_response()) == MADE


@pytest.mark.requirement("mcp:roads:chained")
async def test_turns_that_follow_and_what_is_listed(site: Site) -> None:
    first = await site.create()
    second = await site.create("transcript", previous_response_id=first.id, input="So?")
    assert "desk__echo" in second.output_text and "echo: " in second.output_text
    items = await site.client.responses.input_items.list(second.id, order="asc")
    assert [item.type for item in items.data] == ["message", *MADE, "message"]
    carried: Any = [*HELLO, *first.output, {"role": "user", "content": "So?"}]
    third = await site.create("transcript", input=carried, store=False)
    assert third.output_text == second.output_text
    conversation = await site.client.conversations.create()
    await site.create(conversation=conversation.id)
    after = await site.create(conversation=conversation.id)
    assert kinds(after) == MADE[1:]
    assert site.desk.lists == 2


@pytest.mark.requirement("mcp:roads:approval")
async def test_an_approval_by_the_typed_items(site: Site) -> None:
    tools = [site.tool(require_approval="always")]
    first = await site.create(tools=tools)
    request = first.output[-1]
    assert request.type == "mcp_approval_request" and first.status == "completed"
    answer: Any = {
        "type": "mcp_approval_response",
        "approval_request_id": request.id,
        "approve": True,
    }
    second = await site.create("echo", tools=tools, previous_response_id=first.id, input=[answer])
    assert kinds(second) == MADE[1:]
    assert second.output[0].approval_request_id == request.id
    items = await site.client.responses.input_items.list(second.id, order="asc")
    assert [item.type for item in items.data][-1] == "mcp_approval_response"
    with pytest.raises(openai.BadRequestError) as refused:
        await site.create("echo", tools=tools, previous_response_id=first.id, input=[answer])
    assert refused.value.code == "mcp_approval_already_used"
    assert refused.value.param == "input[0].approval_request_id"
    conversation = await site.client.conversations.create()
    asked = await site.create(tools=tools, conversation=conversation.id)
    denied: Any = {
        "type": "mcp_approval_response",
        "approval_request_id": asked.output[-1].id,
        "approve": False,
        "reason": "not today",
    }
    told = await site.create(
        "transcript", tools=tools, conversation=conversation.id, input=[denied]
    )
    assert "not today" in told.output_text and len(site.desk.asked) == 1


@pytest.mark.requirement("mcp:roads:background")
async def test_in_the_background_polled_and_streamed(site: Site) -> None:
    tools = [site.tool(authorization="s3cret")]
    polled = await ended(site.client, (await started(site.client, "tool", tools=tools)).id)
    assert kinds(polled) == MADE
    events = await streamed(site.client, "tool", tools=tools)
    assert [event.sequence_number for event in events] == list(range(len(events)))
    final = events[-1].response
    assert kinds(final) == MADE
    for after in range(0, len(events), 5):
        rest: Any = await site.client.responses.retrieve(
            final.id, stream=True, starting_after=after
        )
        assert await all_of(rest) == events[after + 1 :]
    assert all(one["authorization"] == "Bearer s3cret" for one in site.desk.headers)


@pytest.mark.requirement("mcp:roads:websocket")
async def test_over_a_websocket() -> None:
    desk = Desk("echo")
    async with (
        streamable(desk),
        running(config(StoreSettings(file=":memory:"))) as app,
        Front(_uvicorn_config(app)).listening() as port,
        AsyncOpenAI(api_key="sk-any", base_url=f"http://127.0.0.1:{port}/v1") as client,
        client.responses.connect() as connection,
    ):
        tool: Any = {"type": "mcp", "server_label": "desk", "server_url": desk.url}
        asked: dict[str, Any] = {"model": "scripted/tool", "input": "Hi.", "tools": [tool]}
        final = await over(connection, **asked, store=False)
        assert kinds(final) == ["mcp_list_tools", "mcp_approval_request"]
        asked["previous_response_id"] = final.id
        answer = {
            "type": "mcp_approval_response",
            "approval_request_id": final.output[-1].id,
            "approve": True,
        }
        asked |= {"input": [answer], "model": "scripted/echo"}
        final = await over(connection, **asked, store=False)
        assert kinds(final) == MADE[1:] and len(desk.asked) == 1


async def over(connection: Any, **asked: Any) -> Any:
    await connection.response.create(**asked)
    async for event in connection:
        assert event.type != "error", event
        if event.type == "response.completed":
            return event.response


@pytest.mark.requirement("mcp:approval:replicas")
async def test_two_replicas_make_an_approved_call_once(postgres_url: str, tmp_path: Path) -> None:
    desk = Desk("note")
    settings = config(StoreSettings(data=str(tmp_path), url=postgres_url))
    async with AsyncExitStack() as life:
        await life.enter_async_context(streamable(desk))
        apps = [await life.enter_async_context(running(settings)) for _ in range(2)]
        sites = [Site(app, desk, await life.enter_async_context(client_of(app))) for app in apps]
        tools = [sites[0].tool(require_approval="always")]
        first = await sites[0].create(tools=tools)
        answer: Any = {
            "type": "mcp_approval_response",
            "approval_request_id": first.output[-1].id,
            "approve": True,
        }
        results = await asyncio.gather(
            *(
                one.create("echo", tools=tools, previous_response_id=first.id, input=[answer])
                for one in (*sites, *sites)
            ),
            return_exceptions=True,
        )
        refused = [one for one in results if isinstance(one, openai.BadRequestError)]
        assert len(refused) == 3 and len(desk.asked) == 1


@pytest.mark.requirement("mcp:program:shared")
async def test_a_configured_program_ends_with_the_server() -> None:
    settings = program("mine", "pid", require_approval="never")
    async with (
        running(config(StoreSettings(file=":memory:"), settings)) as app,
        client_of(app) as client,
    ):
        found = []
        for _ in range(2):
            response: Any = await client.responses.create(
                model="scripted/tool",
                input="Hi.",
                tools=[{"type": "mcp", "server_label": "mine"}],
            )
            found.append(response.output[1].output)
    assert found[0] == found[1]
    with pytest.raises(ProcessLookupError):
        os.kill(int(found[0]), 0)
