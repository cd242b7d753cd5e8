"""Pushed turns of the chat backend and the router: what only push has."""

from __future__ import annotations

import asyncio
import gc
import gzip
from collections.abc import AsyncIterator, Sequence
from typing import Any

import msgspec
import pytest
from httptools import HttpResponseParser

from antiphon.backends.aiohttp_client import AiohttpTransport
from antiphon.backends.base import Capabilities, Pump, Turn
from antiphon.backends.chat import Chat
from antiphon.backends.fast_http import Push
from antiphon.backends.fast_reply import Answer
from antiphon.backends.router import WAYS_MAX, Route, Router
from antiphon.backends.upstream import Target
from antiphon.backends.upstream_push import PushedTurn
from antiphon.config import ChatSettings
from antiphon.errors import RemoteError
from antiphon.observe import Observation, TurnFinished
from antiphon.stream.deltas import Delta, Finish, Text
from antiphon.types.items import Message
from antiphon.types.tools import JsonSchemaFormat
from tests.backends.strict_upstream import StrictUpstream, strict_upstream
from tests.suites.pushing import Ear, begun, pushed
from tests.suites.rude import Exchange, serving

pytestmark = pytest.mark.anyio

PATIENCE_SECONDS = 5.0
STREAM = "Content-Type: text/event-stream"
EVENTS = [
    b'{"choices":[{"delta":{"role":"assistant","content":""}}]}',
    '{"choices":[{"delta":{"content":"Grüße, "}}]}'.encode(),
    b'{"choices":[{"delta":{"content":"you"}}]}',
    b'{"choices":[{"delta":{},"finish_reason":"stop"}]}',
    b'{"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2}}',
    b"[DONE]",
]
BODY = b"".join(b"data: %s\n\n" % event for event in EVENTS)


@pytest.fixture
async def upstream() -> AsyncIterator[StrictUpstream]:
    async with strict_upstream() as running:
        yield running


def asked(model: str = "m", **fields: Any) -> Turn:
    return Turn(model=model, items=[Message(role="user", content="Hello there")], **fields)


async def said(batches: AsyncIterator[Sequence[Delta]]) -> list[Delta]:
    async with asyncio.timeout(PATIENCE_SECONDS):
        return [delta async for batch in batches for delta in batch]


def text_of(deltas: Sequence[Delta]) -> str:
    return "".join(delta.text for delta in deltas if isinstance(delta, Text))


async def first_batch(ear: Ear) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not ear.batches and not ear.over:
            ear.news.clear()
            await ear.news.wait()


@pytest.mark.requirement("push:chat:no-task")
@pytest.mark.parametrize("live", [True, False])
async def test_a_turn_on_a_kept_connection_makes_no_task(
    upstream: StrictUpstream, live: bool
) -> None:
    chat = Chat(ChatSettings(url=upstream.url))
    router = Router([Route(name="a", backend=chat)])
    await said(pushed(router, asked("echo", live=live)))
    made: list[Any] = []

    def factory(loop: asyncio.AbstractEventLoop, coro: Any, **fields: Any) -> asyncio.Task[Any]:
        made.append(coro)
        return asyncio.Task(coro, loop=loop, **fields)

    asyncio.get_running_loop().set_task_factory(factory)
    call, ear = begun(router, asked("echo", live=live))
    while not ear.over:
        ear.news.clear()
        await ear.news.wait()
    asyncio.get_running_loop().set_task_factory(None)
    assert ear.error is None and upstream.connections == 1
    assert made == []
    call.close()
    await router.close()


@pytest.mark.requirement("push:chat:cut")
@pytest.mark.parametrize("chunked", [True, False])
async def test_an_answer_cut_at_any_byte_is_the_same_answer(chunked: bool) -> None:
    whole = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
    if chunked:
        pieces = [b"data: %s\n\n" % event for event in EVENTS]
        whole += b"Transfer-Encoding: chunked\r\n\r\n"
        whole += b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces)
        whole += b"0\r\n\r\n"
    else:
        whole += b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY

    async def behave(exchange: Exchange) -> None:
        cut = int(msgspec.json.decode(exchange.body)["model"])
        for part in (whole[:cut], whole[cut:]):
            await exchange.write(part)
            for _ in range(4):
                await asyncio.sleep(0)

    async with serving(behave) as server:
        chat = Chat(ChatSettings(url=f"{server.url}/v1"))
        answers = {
            (text_of(deltas), *deltas[-2:])
            for cut in range(1, len(whole))
            for deltas in [await said(pushed(chat, asked(str(cut))))]
        }
        await chat.close()
        assert len(answers) == 1 and answers.pop()[0] == "Grüße, you"
        # The next turn may begin between [DONE] and the end of the body, so two take turns.
        assert server.connections <= 2, "what follows [DONE] is read, wherever it is cut"


@pytest.mark.requirement("push:chat:close")
async def test_a_turn_closed_by_its_sink_stops_the_upstream(upstream: StrictUpstream) -> None:
    seen: list[Observation] = []
    router = Router(
        [Route(name="a", backend=Chat(ChatSettings(url=upstream.url)))], observe=seen.append
    )

    class Leaving(Ear):
        def take(self, deltas: Sequence[Delta]) -> None:
            super().take(deltas)
            assert call is not None
            call.close()
            self.listening = False

    ear = Leaving()
    call = router.begin(asked("endless"), ear)
    assert call is not None
    ear.listening = True
    await asyncio.wait_for(upstream.left.wait(), PATIENCE_SECONDS)
    call.close()
    assert len(ear.batches) == 1 and ear.wrong == []
    assert [r.outcome for r in seen if isinstance(r, TurnFinished)] == ["abandoned"]
    await router.close()


@pytest.mark.requirement("push:chat:close")
async def test_closing_at_the_last_batch_is_no_abandoning(upstream: StrictUpstream) -> None:
    seen: list[Observation] = []
    router = Router(
        [Route(name="a", backend=Chat(ChatSettings(url=upstream.url)))], observe=seen.append
    )
    for _ in range(2):
        async with asyncio.timeout(PATIENCE_SECONDS):
            async for batch in pushed(router, asked("echo")):
                if isinstance(batch[-1], Finish):
                    break
    assert [r.outcome for r in seen if isinstance(r, TurnFinished)] == ["ok", "ok"]
    assert upstream.connections == 1
    await router.close()


@pytest.mark.requirement("push:pause:upstream-feels")
async def test_a_paused_turn_is_not_read_until_it_is_resumed() -> None:
    stalled = asyncio.Event()
    piece = b'data: {"choices":[{"delta":{"content":"%s"}}]}\n\n' % (b"x" * 100_000)

    async def behave(exchange: Exchange) -> None:
        await exchange.write(b"HTTP/1.1 200 OK\r\n%s\r\n\r\n" % STREAM.encode())
        for _ in range(200):
            writing = asyncio.ensure_future(exchange.write(piece))
            done, _ = await asyncio.wait((writing,), timeout=0.2)
            if not done:
                stalled.set()
            await writing
        await exchange.write(BODY)
        exchange.cut()

    async with serving(behave) as server:
        router = Router([Route(name="a", backend=Chat(ChatSettings(url=f"{server.url}/v1")))])
        call, ear = begun(router, asked())
        await first_batch(ear)
        call.pause()
        await asyncio.wait_for(stalled.wait(), PATIENCE_SECONDS)
        heard = sum(len(text_of(batch)) for batch in ear.batches)
        assert heard < 20_000_000
        call.resume()
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not ear.over:
                ear.news.clear()
                await ear.news.wait()
        assert sum(len(text_of(batch)) for batch in ear.batches) == 20_000_000 + 10
        await router.close()


@pytest.mark.requirement("push:chat:packed")
async def test_a_compressed_answer_is_read_as_any_other() -> None:
    async def behave(exchange: Exchange) -> None:
        await exchange.answer(gzip.compress(BODY), "200 OK", STREAM, "Content-Encoding: gzip")

    async with serving(behave) as server:
        router = Router([Route(name="a", backend=Chat(ChatSettings(url=f"{server.url}/v1")))])
        assert text_of(await said(pushed(router, asked()))) == "Grüße, you"
        call, ear = begun(router, asked())
        call.pause()
        for _ in range(20):
            await asyncio.sleep(0)
        assert not ear.batches
        call.resume()
        await first_batch(ear)
        assert ear.batches
        call.close()
        await router.close()


@pytest.mark.requirement("push:chat:lessons")
async def test_turns_refused_at_the_same_time_each_learn_from_their_own_answer() -> None:
    bodies: list[Any] = []
    together = asyncio.Barrier(2)

    async def behave(exchange: Exchange) -> None:
        bodies.append(msgspec.json.decode(exchange.body))
        if "stream_options" in bodies[-1]:
            await together.wait()
            await exchange.answer(b'{"error":{"message":"stream_options: unknown"}}', "400 X")
        else:
            await exchange.answer(BODY, "200 OK", STREAM)

    async with serving(behave) as server:
        chat = Chat(ChatSettings(url=f"{server.url}/v1"))
        answers = await asyncio.gather(*(said(pushed(chat, asked())) for _ in range(2)))
        assert [text_of(deltas) for deltas in answers] == ["Grüße, you"] * 2
        assert len(bodies) == 4
        await said(pushed(chat, asked()))
        assert len(bodies) == 5 and "stream_options" not in bodies[-1]
        await chat.close()


@pytest.mark.requirement("push:chat:none")
async def test_where_a_turn_can_only_be_waited_for_nothing_is_begun() -> None:
    class Elsewhere(Chat):
        async def target(self) -> Target:
            return self._target

    settings = ChatSettings(url="http://127.0.0.1:9/v1")
    seen: list[Observation] = []
    for chat in (Elsewhere(settings), Chat(settings, AiohttpTransport())):
        router = Router([Route(name="a", backend=chat)], observe=seen.append)
        assert router.begin(asked(), Ear()) is None
        await router.close()
    assert seen == []


@pytest.mark.requirement("push:route:same")
@pytest.mark.parametrize("live", [True, False])
@pytest.mark.parametrize(
    "model",
    [
        "echo",
        "reasoning",
        "refusal",
        "filter",
        "no-usage",
        "no-done",
        "empty",
        "cut",
        "garbage",
        "error-in-stream",
        "error-400",
        "error-429",
        "error-503",
        "missing",
        "overflow",
        "redirect",
        "refuses-max_tokens",
        "refuses-response_format",
    ],
)
async def test_a_pushed_turn_is_told_like_a_streamed_one(
    upstream: StrictUpstream, model: str, live: bool
) -> None:
    async def no_sleep(seconds: float) -> None:
        slept.append(seconds)

    turn = asked(
        model,
        live=live,
        max_output_tokens=50,
        format=JsonSchemaFormat(name="n", schema={"type": "object"}),
    )
    told: list[Any] = []
    for push in (False, True):
        seen: list[Observation] = []
        slept: list[float] = []
        routes = [
            Route(name=name, backend=Chat(ChatSettings(url=upstream.url), observe=seen.append))
            for name in ("a", "b")
        ]
        router = Router(routes, observe=seen.append, sleep=no_sleep, jitter=lambda: 1.0)
        deltas: list[Delta] = []
        failure: tuple[Any, ...] = ()
        for _ in range(2):
            try:
                deltas += await said(pushed(router, turn) if push else router.stream(turn))
            except RemoteError as error:
                failure = (error.message, error.status, error.code, error.retryable)
        records = [
            msgspec.structs.replace(record, seconds=0.0)
            if isinstance(record, TurnFinished)
            else record
            for record in seen
        ]
        told.append((text_of(deltas), deltas[-2:], failure, records, slept, len(upstream.bodies)))
        upstream.bodies.clear()
        await router.close()
    assert told[0] == told[1]
    assert told[0][3], "something was told"


@pytest.mark.requirement("push:route:remembered")
async def test_a_bounded_number_of_names_is_remembered(upstream: StrictUpstream) -> None:
    router = Router([Route(name="a", backend=Chat(ChatSettings(url=upstream.url)))])
    for number in range(WAYS_MAX + 50):
        assert router.routes_of(f"m{number}")[0].name == "a"
    assert len(router._ways) == WAYS_MAX
    await router.close()


@pytest.mark.requirement("push:route:remembered")
@pytest.mark.parametrize("routes", [1, 2])
async def test_promises_follow_what_a_backend_has_learned(
    upstream: StrictUpstream, routes: int
) -> None:
    settings = ChatSettings(url=upstream.url, profile="vllm")
    router = Router([Route(name=str(n), backend=Chat(settings)) for n in range(routes)])
    model = "refuses-response_format"
    schema = JsonSchemaFormat(name="n", schema={"type": "object"})
    before: Capabilities = router.capabilities(model)
    other = router.capabilities("echo")
    assert before is router.capabilities(model)
    await said(pushed(router, asked(model, format=schema)))
    assert (before.json_schema, router.capabilities(model).json_schema) == ("enforced", "asked")
    assert router.capabilities("echo") == other
    await router.close()


@pytest.mark.requirement("push:chat:close")
async def test_a_packed_answer_that_nobody_has_begun_to_read_is_closed_with_its_turn() -> None:
    async def behave(exchange: Exchange) -> None:
        packed = gzip.compress(BODY)
        head = (
            f"HTTP/1.1 200 OK\r\n{STREAM}\r\nContent-Encoding: gzip\r\nContent-Length: 9999\r\n\r\n"
        )
        await exchange.write(head.encode() + packed)
        await asyncio.Event().wait()

    async with serving(behave) as server:
        chat = Chat(ChatSettings(url=f"{server.url}/v1"))
        call, ear = begun(chat, asked())
        assert isinstance(call, PushedTurn)
        async with asyncio.timeout(PATIENCE_SECONDS):
            for _ in iter(lambda: isinstance(call._read, Pump), True):
                await asyncio.sleep(0)
        call.close()
        await asyncio.wait_for(server.left.wait(), PATIENCE_SECONDS)
        assert not ear.batches and not ear.wrong
        await chat.close()


@pytest.mark.requirement("push:chat:pumped")
async def test_a_pumped_turn_closed_by_its_last_batch_keeps_its_connection() -> None:
    go_on = asyncio.Event()

    async def behave(exchange: Exchange) -> None:
        head = f"HTTP/1.1 200 OK\r\n{STREAM}\r\nContent-Length: {len(BODY) + 2}\r\n\r\n"
        await exchange.write(head.encode() + BODY)
        await go_on.wait()
        await exchange.write(b"\n\n")

    class Leaving(Ear):
        def take(self, deltas: Sequence[Delta]) -> None:
            super().take(deltas)
            if self.over:
                pump.close()
                go_on.set()

    async with serving(behave) as server:
        chat = Chat(ChatSettings(url=f"{server.url}/v1"), AiohttpTransport())
        for _ in range(3):
            go_on.clear()
            ear = Leaving()
            ear.listening = True
            pump = Pump(chat.stream(asked()), ear)
            async with asyncio.timeout(PATIENCE_SECONDS):
                await asyncio.wait((pump._task,))
            assert ear.error is None and ear.over
        assert server.connections == 1
        await chat.close()


@pytest.mark.requirement("push:chat:no-cycles")
@pytest.mark.parametrize("packed", [False, True])
async def test_a_connection_that_is_over_leaves_nothing_for_the_garbage_collector(
    packed: bool,
) -> None:
    async def behave(exchange: Exchange) -> None:
        body = gzip.compress(BODY) if packed else BODY
        fields = ["Content-Encoding: gzip"] if packed else []
        await exchange.answer(body, "200 OK", STREAM, "Connection: close", *fields)

    async with serving(behave) as server:
        chat = Chat(ChatSettings(url=f"{server.url}/v1"))
        gc.collect()
        gc.disable()
        try:
            for _ in range(3):
                assert text_of(await said(pushed(chat, asked()))) == "Grüße, you"
            for _ in range(20):
                await asyncio.sleep(0)
            kinds = (HttpResponseParser, Push, Answer, PushedTurn)
            assert [one for one in gc.get_objects() if isinstance(one, kinds)] == []
        finally:
            gc.enable()
        await chat.close()
