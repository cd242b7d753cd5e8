"""The chat backend: whose fault a failure is, what it learns, what it never tells."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from antiphon.backends.base import Turn
from antiphon.backends.chat import Chat
from antiphon.backends.chat_body import Body
from antiphon.backends.profiles import PROFILES, profile_named
from antiphon.config import ChatSettings
from antiphon.errors import ContextOverflow, RemoteError
from antiphon.observe import Observation, Retried
from antiphon.stream.deltas import Delta, Finish, Text
from antiphon.types.items import Message
from antiphon.types.tools import FunctionTool, JsonSchemaFormat
from tests.backends.strict_upstream import StrictUpstream, strict_upstream
from tests.suites.pushing import PushedChat
from tests.suites.rude import Exchange, serving

pytestmark = pytest.mark.anyio

PATIENCE_SECONDS = 5.0
KEY = "sk-very-secret"
TOOL = FunctionTool(name="f", parameters={"type": "object"}, strict=True)
SCHEMA = JsonSchemaFormat(name="n", schema={"type": "object"})


@pytest.fixture
async def upstream() -> AsyncIterator[StrictUpstream]:
    async with strict_upstream(api_key=KEY) as running:
        yield running


@pytest.fixture(params=[Chat, PushedChat], ids=["pulled", "pushed"])
def kind(request: pytest.FixtureRequest) -> type[Chat]:
    """Every turn is tested both ways: waited for, and pushed."""
    chosen: type[Chat] = request.param
    return chosen


@pytest.fixture
async def chat(upstream: StrictUpstream, kind: type[Chat]) -> AsyncIterator[Chat]:
    backend = kind(ChatSettings(url=upstream.url + "/", key=KEY))
    yield backend
    await backend.close()


def asked(model: str, **fields: Any) -> Turn:
    return Turn(model=model, items=[Message(role="user", content="Hello there")], **fields)


async def deltas_of(chat: Chat, turn: Turn) -> list[Delta]:
    async with asyncio.timeout(PATIENCE_SECONDS):
        return [delta async for batch in chat.stream(turn) for delta in batch]


async def failure_of(chat: Chat, turn: Turn) -> tuple[str, RemoteError]:
    """The text that came before the failure, and the failure."""
    text = ""
    with pytest.raises(RemoteError) as caught:
        async with asyncio.timeout(PATIENCE_SECONDS):
            async for batch in chat.stream(turn):
                text += "".join(delta.text for delta in batch if isinstance(delta, Text))
    return text, caught.value


# Errors


@pytest.mark.requirement("chat:errors:mapped")
@pytest.mark.parametrize("live", [True, False])
@pytest.mark.parametrize(
    ("model", "status", "code", "retryable"),
    [
        ("error-400", 400, "odd", False),
        ("error-401", 502, "upstream_unauthorized", False),
        ("error-404", 502, "upstream_not_found", False),
        ("missing", 404, "model_not_found", False),
        ("error-429", 429, "rate_limit_exceeded", True),
        ("error-500", 502, "upstream_error", True),
        ("error-503", 502, "upstream_error", True),
        ("redirect", 502, "upstream_redirected", False),
    ],
)
async def test_a_refusal_says_whose_fault_it_is(
    chat: Chat, model: str, status: int, code: str, retryable: bool, live: bool
) -> None:
    _, error = await failure_of(chat, asked(model, live=live))
    assert (error.status, error.code, error.retryable) == (status, code, retryable)


@pytest.mark.requirement("chat:errors:retry-after")
async def test_the_upstreams_wish_to_wait_is_passed_on(chat: Chat) -> None:
    assert (await failure_of(chat, asked("error-429")))[1].retry_after_seconds == 0.01
    assert (await failure_of(chat, asked("error-503")))[1].retry_after_seconds == 1.0


@pytest.mark.requirement("chat:errors:overflow")
async def test_a_context_that_is_too_long_is_an_overflow(chat: Chat) -> None:
    _, error = await failure_of(chat, asked("overflow"))
    assert isinstance(error, ContextOverflow)
    assert "10 tokens" in error.message


@pytest.mark.requirement("chat:errors:no-secrets")
@pytest.mark.parametrize("model", ["error-401", "error-500", "error-404", "redirect", "cut"])
async def test_no_error_shows_the_key_or_what_the_upstream_said_of_it(
    chat: Chat, model: str
) -> None:
    _, error = await failure_of(chat, asked(model))
    assert "sk-" not in f"{error} {error!r} {vars(error)}"
    assert KEY not in f"{chat!r} {await chat.target()!r} {chat.settings!r}"


@pytest.mark.requirement("chat:errors:no-secrets")
async def test_an_upstreams_insides_are_for_the_log_only(chat: Chat) -> None:
    _, error = await failure_of(chat, asked("error-500"))
    assert "boom" not in f"{error} {vars(error)['message']}"
    assert error.__notes__ == ["The upstream said: boom"]
    _, error = await failure_of(chat, asked("error-401"))
    assert not hasattr(error, "__notes__")


@pytest.mark.requirement("chat:errors:no-secrets")
async def test_a_wrong_key_is_the_servers_fault(upstream: StrictUpstream, kind: type[Chat]) -> None:
    chat = kind(ChatSettings(url=upstream.url, key="wrong"))
    _, error = await failure_of(chat, asked("echo"))
    await chat.close()
    assert (error.status, error.code) == (502, "upstream_unauthorized")
    assert "wrong" not in str(error)


@pytest.mark.requirement("chat:errors:mid-stream")
@pytest.mark.parametrize(
    ("model", "code"),
    [
        ("cut", "upstream_broke_off"),
        ("garbage", "upstream_invalid_response"),
        ("error-in-stream", "upstream_error"),
    ],
)
async def test_what_came_before_a_failure_is_delivered(chat: Chat, model: str, code: str) -> None:
    text, error = await failure_of(chat, asked(model))
    assert text == "Hello"
    assert (error.status, error.code, error.retryable) == (502, code, False)


@pytest.mark.requirement("chat:errors:mid-stream")
async def test_an_answer_cut_after_any_byte_is_never_taken_for_whole(kind: type[Chat]) -> None:
    events = [b'{"choices":[{"delta":{"content":"%d"}}]}' % n for n in range(3)]
    events.append(b'{"choices":[{"delta":{},"finish_reason":"stop"}]}')
    body = b"".join(b"data: %s\n\n" % event for event in events)

    for count in [*range(0, len(body), 3), len(body)]:

        async def behave(exchange: Exchange, count: int = count) -> None:
            head = f"Content-Length: {len(body)}\r\nContent-Type: text/event-stream\r\n\r\n"
            await exchange.write(b"HTTP/1.1 200 OK\r\n" + head.encode() + body[:count])
            exchange.cut()

        async with serving(behave) as server:
            chat = kind(ChatSettings(url=f"{server.url}/v1"))
            text, ended = "", False
            try:
                async with asyncio.timeout(PATIENCE_SECONDS):
                    async for batch in chat.stream(asked("m")):
                        text += "".join(d.text for d in batch if isinstance(d, Text))
                        ended = ended or isinstance(batch[-1], Finish)
            except RemoteError as error:
                assert error.status == 502
            await chat.close()
        assert "012".startswith(text)
        assert ended == (count == len(body))


@pytest.mark.requirement("chat:errors:odd-bodies")
@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        ("400 X", b'{"detail": [{"loc": ["body"], "msg": "bad"}]}', '"msg":"bad"'),
        ("400 X", b'{"object": "error", "message": "bad", "code": 400}', "bad"),
        ("400 X", b'[{"error": {"code": 400, "message": "bad", "status": "INVALID"}}]', "bad"),
        ("400 X", b'{"error": "bad"}', "bad"),
        ("422 X", b"plain bad", "plain bad"),
        ("400 X", b"", "HTTP 400"),
        ("413 X", b"<html>too big</html>", "too large"),
        ("502 X", b"<html><h1>Bad Gateway</h1></html>", "HTTP 502"),
    ],
)
async def test_an_error_body_of_any_shape_is_understood(
    status: str, body: bytes, expected: str, kind: type[Chat]
) -> None:
    async def behave(exchange: Exchange) -> None:
        await exchange.answer(body, status)

    async with serving(behave) as server:
        chat = kind(ChatSettings(url=f"{server.url}/v1"))
        _, error = await failure_of(chat, asked("m"))
        await chat.close()
    assert expected in error.message
    assert "<" not in error.message
    assert error.status == (502 if status.startswith("5") else 400)


# What it learns


def refusing(field: str) -> Turn:
    return asked(
        f"refuses-{field}",
        tools=[TOOL],
        parallel_tool_calls=False,
        format=SCHEMA,
        max_output_tokens=50,
    )


@pytest.mark.requirement("chat:learn:dispensable")
@pytest.mark.parametrize(
    "field", ["stream_options", "parallel_tool_calls", "response_format", "max_tokens"]
)
async def test_a_field_the_server_does_not_know_is_left_out_from_then_on(
    upstream: StrictUpstream, field: str, kind: type[Chat]
) -> None:
    seen: list[Observation] = []
    chat = kind(ChatSettings(url=upstream.url, key=KEY), observe=seen.append)
    for _ in range(2):
        assert isinstance((await deltas_of(chat, refusing(field)))[-1], Finish)
    await chat.close()
    assert field in upstream.bodies[0]
    assert all(field not in body for body in upstream.bodies[2 if field[0] == "r" else 1 :])
    retried = [record.reason for record in seen if isinstance(record, Retried)]
    assert set(retried) == {f"the upstream does not take {field}"}
    assert len(upstream.bodies) == 2 + len(retried)


@pytest.mark.requirement("chat:learn:dispensable")
async def test_a_refused_schema_is_said_in_words(chat: Chat, upstream: StrictUpstream) -> None:
    await deltas_of(chat, refusing("response_format"))
    assert chat.capabilities("refuses-response_format").json_schema == "asked"
    assert '"type":"object"' in str(upstream.bodies[-1]["messages"][0]["content"])


@pytest.mark.requirement("chat:learn:nothing-else")
@pytest.mark.parametrize("field", ["reasoning_effort", "temperature", "tools"])
async def test_a_field_that_changes_the_answer_is_not_dropped_in_silence(
    chat: Chat, upstream: StrictUpstream, field: str
) -> None:
    turn = asked(f"refuses-{field}", tools=[TOOL], effort="low", temperature=0.5)
    _, error = await failure_of(chat, turn)
    called = {"reasoning_effort": "reasoning.effort"}.get(field, field)
    assert (error.status, error.param) == (400, called)
    assert len(upstream.bodies) == 1


@pytest.mark.requirement("chat:learn:nothing-else")
async def test_a_refusal_that_outlasts_the_field_teaches_nothing(kind: type[Chat]) -> None:
    sent: list[dict[str, Any]] = []

    async def behave(exchange: Exchange) -> None:
        sent.append(msgspec.json.decode(exchange.body))
        await exchange.answer(b'{"error": {"message": "max_tokens: unsupported"}}', "400 X")

    async with serving(behave) as server:
        chat = kind(ChatSettings(url=f"{server.url}/v1"))
        for _ in range(2):
            await failure_of(chat, asked("m", max_output_tokens=50))
        await chat.close()
    assert ["max_tokens" in body for body in sent][::2] == [True, True]


@pytest.mark.requirement("chat:learn:nothing-else")
async def test_what_one_model_refuses_is_still_sent_to_another(
    chat: Chat, upstream: StrictUpstream
) -> None:
    await deltas_of(chat, refusing("stream_options"))
    await deltas_of(chat, asked("echo"))
    assert "stream_options" in upstream.bodies[-1]


# Connections, headers, models


@pytest.mark.requirement("chat:http:headers")
async def test_the_key_and_the_configured_headers_are_sent(
    upstream: StrictUpstream, kind: type[Chat]
) -> None:
    chat = kind(ChatSettings(url=upstream.url, key=KEY, headers={"X-Team": "blue"}))
    await deltas_of(chat, asked("echo"))
    await deltas_of(chat, asked("echo", live=False))
    await chat.close()
    live, plain = upstream.headers
    assert live["authorization"] == f"Bearer {KEY}"
    assert live["x-team"] == "blue"
    assert live["content-type"] == "application/json"
    assert live["user-agent"].startswith("antiphon/")
    assert (live["accept"], plain["accept"]) == ("text/event-stream", "application/json")


@pytest.mark.requirement("chat:http:headers")
async def test_azure_gets_its_key_in_its_own_header(kind: type[Chat]) -> None:
    async def behave(exchange: Exchange) -> None:
        await exchange.answer(b'{"choices":[{"message":{"content":"a"},"finish_reason":"stop"}]}')

    async with serving(behave) as server:
        chat = kind(ChatSettings(url=f"{server.url}/openai/v1", key=KEY, profile="azure"))
        await deltas_of(chat, asked("m", live=False))
        await chat.close()
        headers = server.exchanges[0].headers
    assert headers["api-key"] == KEY and "authorization" not in headers


@pytest.mark.requirement("chat:http:reuse")
async def test_one_connection_serves_turn_after_turn(chat: Chat, upstream: StrictUpstream) -> None:
    for _ in range(4):
        await deltas_of(chat, asked("echo"))
        await deltas_of(chat, asked("echo", live=False))
        await failure_of(chat, asked("error-400"))
    assert upstream.connections == 1


@pytest.mark.requirement("chat:http:closing")
async def test_closing_the_stream_stops_the_upstream(chat: Chat, upstream: StrictUpstream) -> None:
    stream = chat.stream(asked("endless"))
    async with asyncio.timeout(PATIENCE_SECONDS):
        await anext(stream)
        await stream.aclose()  # type: ignore[attr-defined]
        await upstream.left.wait()


@pytest.mark.requirement("chat:http:content-type")
@pytest.mark.parametrize("live", [True, False])
async def test_the_answer_is_read_as_what_it_says_it_is(live: bool, kind: type[Chat]) -> None:
    async def behave(exchange: Exchange) -> None:
        if live:
            body = b'{"choices":[{"message":{"content":"a"},"finish_reason":"stop"}]}'
            await exchange.answer(body, "200 OK", "Content-Type: application/json")
        else:
            body = b'data: {"choices":[{"delta":{"content":"a"},"finish_reason":"stop"}]}\n\n'
            await exchange.answer(body, "200 OK", "Content-Type: text/event-stream")

    async with serving(behave) as server:
        chat = kind(ChatSettings(url=f"{server.url}/v1"))
        assert await deltas_of(chat, asked("m", live=live)) == [Text("a"), Finish("stop")]
        await chat.close()


@pytest.mark.requirement("chat:models:cached")
async def test_models_are_asked_for_once_a_minute(chat: Chat, upstream: StrictUpstream) -> None:
    lists = await asyncio.gather(chat.models(), chat.models())
    assert lists[0] == lists[1] == await chat.models()
    assert "echo" in {model.id for model in lists[0]}
    assert upstream.listed == 1


@pytest.mark.requirement("chat:models:cached")
async def test_an_upstream_that_lists_nothing_has_no_models(kind: type[Chat]) -> None:
    async def behave(exchange: Exchange) -> None:
        await exchange.answer(b"<html>", "200 OK")

    async with serving(behave) as server:
        chat = kind(ChatSettings(url=f"{server.url}/v1"))
        assert await chat.models() == ()
        await chat.close()
    assert await chat.models() == ()


@pytest.mark.requirement("chat:count:tokenize")
async def test_vllm_counts_a_conversation_exactly(kind: type[Chat]) -> None:
    async def behave(exchange: Exchange) -> None:
        await exchange.answer(b'{"count": 17, "max_model_len": 4096}')

    async with serving(behave) as server:
        vllm = kind(ChatSettings(url=f"{server.url}/v1", profile="vllm"))
        generic = kind(ChatSettings(url=f"{server.url}/v1"))
        assert await vllm.count(asked("m", tools=[TOOL], max_output_tokens=20)) == 17
        assert await generic.count(asked("m")) is None
        exchange = server.exchanges[0]
        await vllm.close()
        await generic.close()
    assert exchange.target == "/tokenize"
    assert b"max_tokens" not in exchange.body and b'"tools"' in exchange.body


@pytest.mark.requirement("chat:extend:hooks")
async def test_a_backend_built_on_it_has_the_last_word_on_the_body(
    upstream: StrictUpstream,
) -> None:
    class Seeded(Chat):
        def shape(self, body: Body, turn: Turn) -> Body:
            return {**body, "seed": 7}

    chat = Seeded(ChatSettings(url=upstream.url, key=KEY))
    await deltas_of(chat, asked("echo"))
    await chat.close()
    assert upstream.bodies[0]["seed"] == 7


@pytest.mark.requirement("chat:profiles:named")
def test_the_settings_know_every_profile() -> None:
    for name in PROFILES:
        settings = {"url": "http://127.0.0.1:1/v1", "profile": name}
        assert msgspec.convert(settings, ChatSettings).profile == name


@pytest.mark.requirement("chat:profiles:named")
def test_a_profile_nobody_knows_is_a_mistake_in_the_settings() -> None:
    with pytest.raises(ValueError, match="generic"):
        profile_named("vlm", "http://127.0.0.1:1/v1")
