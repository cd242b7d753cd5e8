"""What a soaked server is asked: streams to their end by every road, and connections that stay
open and silent."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import aiohttp

from tests.chaos.fleet import KEY

CALLERS = 16
TURNS_PER_TALK = 5
RESPONSES_PER_SOCKET = 50
SECONDS_MAX = 60.0

Asked = Callable[[aiohttp.ClientSession, str, int], Awaitable[None]]
"""Makes so many streams, one after the other, and reads each to its end."""
Opened = Callable[[aiohttp.ClientSession, str, int], AsyncIterator[object]]
"""Opens so many connections that stay silent; each is yielded when it is."""


def session() -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        headers={"authorization": f"Bearer {KEY}"},
        timeout=aiohttp.ClientTimeout(total=None, sock_read=SECONDS_MAX),
        connector=aiohttp.TCPConnector(limit=0),
    )


def body(script: str, **more: Any) -> dict[str, Any]:
    return {"model": f"scripted/{script}", "input": "Hello there.", **more}


async def _stream(http: aiohttp.ClientSession, url: str, **more: Any) -> None:
    async with http.post(f"{url}/v1/responses", json=body("hello", stream=True, **more)) as reply:
        said = await reply.read()
    assert reply.status == 200, said
    assert b"event: response.completed" in said and said.endswith(b"data: [DONE]\n\n"), said


async def sse(http: aiohttp.ClientSession, url: str, count: int) -> None:
    for _ in range(count):
        await _stream(http, url)


async def background(http: aiohttp.ClientSession, url: str, count: int) -> None:
    for _ in range(count):
        await _stream(http, url, background=True)


async def conversation(http: aiohttp.ClientSession, url: str, count: int) -> None:
    talk = ""
    for number in range(count):
        if number % TURNS_PER_TALK == 0:
            async with http.post(f"{url}/v1/conversations", json={}) as reply:
                talk = (await reply.json())["id"]
        await _stream(http, url, conversation=talk)


async def websocket(http: aiohttp.ClientSession, url: str, count: int) -> None:
    while count:
        share = min(count, RESPONSES_PER_SOCKET)
        count -= share
        async with http.ws_connect(f"{url}/v1/responses") as socket:
            for _ in range(share):
                await socket.send_json({"type": "response.create", **body("hello")})
                async for message in socket:
                    kind = json.loads(message.data)["type"]
                    assert kind != "error", message.data
                    if kind == "response.completed":
                        break
                else:
                    raise AssertionError("the WebSocket ended")


ROADS: dict[str, Asked] = {
    "SSE": sse,
    "background, streamed": background,
    "WebSocket": websocket,
    "turns of conversations": conversation,
}


async def ask(http: aiohttp.ClientSession, url: str, road: str, count: int) -> None:
    """So many streams, shared among the callers; returns when all were read to their end."""
    share, rest = divmod(count, CALLERS)
    shares = [share + (number < rest) for number in range(CALLERS)]
    await asyncio.gather(*[ROADS[road](http, url, share) for share in shares if share])


async def _until(reply: aiohttp.ClientResponse, mark: bytes) -> None:
    """Read as far as a line that begins so."""
    while not (line := await reply.content.readline()).startswith(mark):
        assert line, "the stream ended"


async def idle_sse(
    http: aiohttp.ClientSession, url: str, count: int
) -> AsyncIterator[aiohttp.ClientResponse]:
    """Responses whose model says one word and then nothing."""
    for _ in range(count):
        reply = await http.post(f"{url}/v1/responses", json=body("stall", stream=True))
        await _until(reply, b"event: response.output_text.delta")
        yield reply


async def idle_websocket(
    http: aiohttp.ClientSession, url: str, count: int
) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    """Connections on which nothing was asked yet."""
    for _ in range(count):
        yield await http.ws_connect(f"{url}/v1/responses")


async def idle_websocket_after(
    http: aiohttp.ClientSession, url: str, count: int
) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    """Connections that have made one response each, and wait for the next."""
    async for socket in idle_websocket(http, url, count):
        await socket.send_json({"type": "response.create", **body("hello", store=False)})
        while json.loads((await socket.receive()).data)["type"] != "response.completed":
            pass
        yield socket


async def idle_tail(
    http: aiohttp.ClientSession, url: str, count: int
) -> AsyncIterator[aiohttp.ClientResponse]:
    """Readers of one background response whose model has gone silent."""
    asked = body("stall", stream=True, background=True)
    async with http.post(f"{url}/v1/responses", json=asked) as reply:
        await _until(reply, b"event: response.created")
        line = await reply.content.readline()
        found = json.loads(line.removeprefix(b"data: "))["response"]["id"]
        await _until(reply, b"event: response.output_text.delta")
    for _ in range(count):
        tail = await http.get(f"{url}/v1/responses/{found}?stream=true")
        await _until(tail, b"event: response.output_text.delta")
        yield tail


IDLE: dict[str, Opened] = {
    "SSE, the model silent": idle_sse,
    "WebSocket, nothing asked": idle_websocket,
    "WebSocket after a response": idle_websocket_after,
    "readers of a silent background response": idle_tail,
}


async def close(opened: list[Any]) -> None:
    """End connections of either kind."""
    for one in opened:
        if isinstance(one, aiohttp.ClientResponse):
            one.close()
        else:
            await one.close()
