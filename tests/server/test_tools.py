"""Functions the server answers, over every road, seen by the official client, which refuses what
is not exactly typed. The functions are real: a server on loopback."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
from aiohttp import web
from openai import AsyncOpenAI

from antiphon.app import App, running
from antiphon.config import Config, ScriptedSettings, ServerSettings, StoreSettings
from antiphon.config_state import FunctionSettings
from antiphon.process import _uvicorn_config
from tests.server.conftest import asking
from tests.server.socket_client import Front
from tests.server.test_background import all_of, client_of, ended, started, streamed
from tests.tools.functions import Functions, functions

pytestmark = pytest.mark.anyio

SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string", "enum": ["Oslo"]}},
    "required": ["city"],
}
WEATHER: Any = {"type": "function", "name": "get_weather", "parameters": SCHEMA, "strict": False}
USER: Any = {"type": "function", "name": "ask_user", "parameters": SCHEMA, "strict": False}
SAID = "The tool said: get_weather says sunny"
HELLO: Any = [{"role": "user", "content": "Hi."}]


@dataclass
class Site:
    """A server, its functions, and a client of it."""

    app: App
    here: Functions
    client: AsyncOpenAI

    async def create(self, script: str = "tool", **more: Any) -> Any:
        more.setdefault("input", "Hi.")
        more.setdefault("tools", [WEATHER])
        return await self.client.responses.create(model=f"scripted/{script}", **more)


def config(url: str, store: StoreSettings, **server: Any) -> Config:
    return Config(
        backends=(ScriptedSettings(),),
        store=store,
        server=ServerSettings(**server),
        functions=(
            FunctionSettings(
                name="get_weather",
                url=f"{url}/get_weather",
                key="s3cret",
                description="The weather of a city.",
                parameters=SCHEMA,
            ),
        ),
    )


@pytest.fixture
async def site(store_settings: StoreSettings) -> AsyncIterator[Site]:
    async with (
        functions() as here,
        running(config(here.url, store_settings)) as app,
        client_of(app) as client,
    ):
        yield Site(app, here, client)


def kinds(response: Any) -> list[str]:
    return [item.type for item in response.output]


@pytest.mark.requirement("tools:roads:json")
async def test_a_plain_answer(site: Site) -> None:
    response = await site.create()
    assert kinds(response) == ["function_call", "function_call_output", "message"]
    call, output, _ = response.output
    assert (output.call_id, output.output) == (call.call_id, "get_weather says sunny")
    assert response.output_text == SAID
    assert site.here.asked == [("get_weather", '{"city":"Oslo"}', call.id)]
    assert site.here.headers["Authorization"] == "Bearer s3cret"
    assert await site.client.responses.retrieve(response.id) == response
    metrics = site.app.metrics.render()[0].decode()
    assert 'antiphon_tool_calls_total{name="get_weather",outcome="ok"} 1.0' in metrics


@pytest.mark.requirement("tools:roads:sse")
async def test_a_stream_and_its_replay(site: Site) -> None:
    stream = await site.create("tools-parallel", stream=True)
    events = [event async for event in stream]
    assert [event.sequence_number for event in events] == list(range(len(events)))
    added = [e.item for e in events if e.type == "response.output_item.added"]
    done = [e.item for e in events if e.type == "response.output_item.done"]
    assert [item.type for item in done] == [
        *["function_call"] * 2,
        *["function_call_output"] * 2,
        "message",
    ]
    assert [item.id for item in added] == [item.id for item in done]
    assert [(i.status, i.output) for i in added[2:4]] == [("in_progress", "")] * 2
    final = events[-1].response
    assert events[-1].type == "response.completed" and final.output == done
    assert {e.response.id for e in events if hasattr(e, "response")} == {final.id}
    assert len([e for e in events if e.type.startswith("response.completed")]) == 1
    again = await site.client.responses.retrieve(final.id, stream=True)
    assert await all_of(again) == events


async def test_the_clients_own_streaming_helper_takes_it(site: Site) -> None:
    async with site.client.responses.stream(
        model="scripted/tool", input="Hi.", tools=[WEATHER]
    ) as stream:
        async for _ in stream:
            pass
        final = await stream.get_final_response()
    assert kinds(final) == ["function_call", "function_call_output", "message"]
    assert final.output_text == SAID


@pytest.mark.requirement("tools:roads:quiet")
@pytest.mark.parametrize("road", ["asgi", "socket"])
async def test_a_stream_is_kept_alive_while_a_function_thinks(road: str) -> None:
    async with functions() as here:
        here.wait = asyncio.Event()
        made = config(here.url, StoreSettings(file=":memory:"), keepalive_seconds=0.05)
        async with running(made) as app, asking(app, road) as client:
            body = {"model": "scripted/tool", "input": "Hi.", "tools": [WEATHER], "stream": True}
            told: list[bytes] = []
            async with asyncio.timeout(5):
                async with client.stream("POST", "/v1/responses", body=body) as answer:
                    while (chunk := await answer.chunk()) is not None:
                        told.append(chunk)
                        if told[-2:] == [b": keep-alive\n\n"] * 2:
                            here.wait.set()
    assert b"function_call_output" not in b"".join(told[: told.index(b": keep-alive\n\n")])
    assert b"response.completed" in told[-1] and len(here.asked) == 1


@pytest.mark.requirement("tools:roads:chained")
async def test_turns_that_follow_and_what_is_listed(site: Site) -> None:
    first = await site.create("reasoning-tool")
    second = await site.create("transcript", previous_response_id=first.id, input="So?")
    assert 'call get_weather: {"city":"Oslo"}\nresult: get_weather says' in second.output_text
    items = await site.client.responses.input_items.list(second.id, order="asc")
    assert [item.type for item in items.data] == [
        "message",
        "reasoning",
        "function_call",
        "function_call_output",
        "message",
        "message",
    ]
    carried: Any = [*HELLO, *first.output, {"role": "user", "content": "So?"}]
    third = await site.create("transcript", input=carried, store=False)
    assert third.output_text == second.output_text.replace("user: Hi.", "user: Hi.")
    referred: Any = [{"type": "item_reference", "id": item.id} for item in first.output]
    fourth = await site.create("transcript", input=[*HELLO, *referred, *carried[-1:]])
    assert fourth.output_text == third.output_text


@pytest.mark.requirement("tools:roads:mixed")
async def test_the_callers_own_function_is_his(site: Site) -> None:
    response = await site.create("tools-parallel", tools=[WEATHER, USER])
    assert kinds(response) == ["function_call", "function_call", "function_call_output"]
    open_call = response.output[1]
    answer = {"type": "function_call_output", "call_id": open_call.call_id, "output": "yes"}
    after = await site.create(
        previous_response_id=response.id, input=[answer], tools=[WEATHER, USER]
    )
    assert after.status == "completed" and len(site.here.asked) == 1
    stateless: Any = [*HELLO, *response.output, answer]
    assert (await site.create(input=stateless, store=False)).status == "completed"


@pytest.mark.requirement("tools:roads:conversation")
async def test_a_conversation_holds_calls_and_outputs(site: Site) -> None:
    conversation = await site.client.conversations.create()
    await site.create(conversation=conversation.id)
    listed = await site.client.conversations.items.list(conversation.id, order="asc")
    assert [item.type for item in listed.data] == [
        "message",
        "function_call",
        "function_call_output",
        "message",
    ]
    after = await site.create("transcript", conversation=conversation.id, input="So?")
    assert "result: get_weather says sunny" in after.output_text


@pytest.mark.requirement("tools:roads:background")
async def test_in_the_background_polled_and_streamed(site: Site) -> None:
    polled = await ended(site.client, (await started(site.client, "tool", tools=[WEATHER])).id)
    assert kinds(polled) == ["function_call", "function_call_output", "message"]
    events = await streamed(site.client, "tools-parallel", tools=[WEATHER])
    assert [event.sequence_number for event in events] == list(range(len(events)))
    final = events[-1].response
    assert kinds(final).count("function_call_output") == 2
    for after in range(0, len(events), 5):
        rest: Any = await site.client.responses.retrieve(
            final.id, stream=True, starting_after=after
        )
        assert await all_of(rest) == events[after + 1 :]


@pytest.mark.requirement("tools:roads:websocket")
async def test_over_a_websocket() -> None:
    async with functions() as here:
        made = config(here.url, StoreSettings(file=":memory:"))
        async with (
            running(made) as app,
            Front(_uvicorn_config(app)).listening() as port,
            AsyncOpenAI(api_key="sk-any", base_url=f"http://127.0.0.1:{port}/v1") as client,
            client.responses.connect() as connection,
        ):
            asked: dict[str, Any] = {"model": "scripted/tool", "input": "Hi.", "tools": [WEATHER]}
            for store in (False, True):
                await connection.response.create(**asked, store=store)
                async for event in connection:
                    if event.type == "response.completed":
                        assert kinds(event.response) == [
                            "function_call",
                            "function_call_output",
                            "message",
                        ]
                        asked["previous_response_id"] = event.response.id
                        break
            assert len(here.asked) == 2


@pytest.mark.requirement("tools:roads:chat")
async def test_a_chat_completion_shows_only_what_was_said(site: Site) -> None:
    tools: Any = [{"type": "function", "function": {"name": "get_weather", "parameters": SCHEMA}}]
    for script, said in (("tool", SAID), ("text-then-tool", f"Let me look that up.\n\n{SAID}")):
        asked: Any = {"model": f"scripted/{script}", "messages": HELLO, "tools": tools}
        answer = await site.client.chat.completions.create(**asked)
        (choice,) = answer.choices
        assert (choice.message.content, choice.finish_reason) == (said, "stop")
        assert choice.message.tool_calls is None
        chunks = [
            chunk async for chunk in await site.client.chat.completions.create(**asked, stream=True)
        ]
        deltas = [chunk.choices[0].delta for chunk in chunks]
        assert "".join(delta.content or "" for delta in deltas) == said
        assert not any(delta.tool_calls for delta in deltas)
        assert chunks[-1].choices[0].finish_reason == "stop"
    assert len(site.here.asked) == 4


async def test_a_chat_completion_with_both_kinds_of_functions(site: Site) -> None:
    tools: Any = [
        {"type": "function", "function": {"name": name, "parameters": SCHEMA}}
        for name in ("get_weather", "ask_user")
    ]
    asked: Any = {"model": "scripted/tools-parallel", "messages": HELLO, "tools": tools}
    answer = await site.client.chat.completions.create(**asked)
    (choice,) = answer.choices
    assert choice.finish_reason == "tool_calls" and choice.message.tool_calls is not None
    assert [call.function.name for call in choice.message.tool_calls] == ["ask_user"]
    chunks = [
        chunk async for chunk in await site.client.chat.completions.create(**asked, stream=True)
    ]
    begun = [c for chunk in chunks for c in chunk.choices[0].delta.tool_calls or ()]
    assert {call.index for call in begun} == {0}
    assert [c.function.name for c in begun if c.function and c.function.name] == ["ask_user"]
    assert chunks[-1].choices[0].finish_reason == "tool_calls"


@pytest.mark.requirement("tools:roads:failure")
async def test_the_model_is_told_what_went_wrong(site: Site) -> None:
    async def broken(request: web.Request) -> web.StreamResponse:
        return web.Response(status=500, text="a secret trace")

    site.here.answers = {"get_weather": broken}
    response = await site.create()
    assert response.status == "completed"
    assert "answered with HTTP status 500" in response.output_text
    assert "secret" not in response.model_dump_json()


async def test_bodies_that_name_only_the_function_get_its_description(site: Site) -> None:
    bare: Any = {"type": "function", "name": "get_weather", "parameters": None, "strict": None}
    response = await site.create(tools=[bare])
    (tool,) = response.tools
    assert tool.description == "The weather of a city." and tool.parameters == SCHEMA
    assert [arguments for _, arguments, _ in site.here.asked] == ['{"city":"Oslo"}']
