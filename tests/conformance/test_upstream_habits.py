"""Streams as chat servers in the wild write them; what comes out obeys the rules all the same."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from antiphon.config import ChatSettings, Config
from tests.conformance.conftest import IN_MEMORY, House, housed
from tests.conformance.test_objects import WEATHER

pytestmark = pytest.mark.anyio


def chunk(finish: str | None = None, **delta: Any) -> Any:
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}


def called(index: int | None, arguments: Any, id: str | None = None, name: Any = None) -> Any:
    call = {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}
    return chunk(tool_calls=[call if index is None else {"index": index, **call}])


def used(prompt: int, completion: int, cached: Any, thought: Any) -> Any:
    return {
        **chunk("stop"),
        "usage": {
            "prompt_tokens": prompt,
            "completion_tokens": completion,
            "total_tokens": prompt + completion,
            "prompt_tokens_details": {"cached_tokens": cached},
            "completion_tokens_details": {"reasoning_tokens": thought},
        },
    }


NAME, X, Y = "get_weather", '{"city":"x"}', '{"city":"y"}'
CALLS, STOP, HI = chunk("tool_calls"), chunk("stop"), chunk(content="Hi")
SURROGATE = '{"choices":[{"index":0,"delta":{"content":"\\%s"}}]}'
HABITS: dict[str, tuple[list[Any], list[Any]]] = {
    "ids in every chunk": (
        [called(0, "", "a", NAME), called(0, X[:5], "a", NAME), called(0, X[5:], "a"), CALLS],
        [("function_call", X)],
    ),
    "no ids": ([called(0, X, None, NAME), CALLS], [("function_call", X)]),
    "no index": (
        [called(None, X, "a", NAME), called(None, Y, "b", NAME), CALLS],
        [("function_call", X), ("function_call", Y)],
    ),
    "always index 0": (
        [called(0, X, "a", NAME), called(0, Y, "b", NAME), CALLS],
        [("function_call", X), ("function_call", Y)],
    ),
    "the same id twice": (
        [called(0, X, "a", NAME), called(1, Y, "a", NAME), CALLS],
        [("function_call", X), ("function_call", Y)],
    ),
    "calls that end with stop": ([called(0, X, "a", NAME), STOP], [("function_call", X)]),
    "arguments as an object": (
        [called(0, {"city": "x"}, "a", NAME), CALLS],
        [("function_call", X)],
    ),
    "no arguments": ([called(0, None, "a", NAME), CALLS], [("function_call", "{}")]),
    "text round a call": (
        [HI, called(0, X, "a", NAME), HI, CALLS],
        [("message", "Hi"), ("function_call", X), ("message", "Hi")],
    ),
    "thinking after text": (
        [HI, chunk(reasoning_content="Hm."), HI, STOP],
        [("message", "Hi"), ("reasoning", "Hm."), ("message", "Hi")],
    ),
    "only thinking": (
        [chunk(reasoning="Hm."), STOP],
        [("reasoning", "Hm."), ("message", "")],
    ),
    "nothing": ([STOP], [("message", "")]),
    "an unknown reason": ([HI, chunk("eos_token")], [("message", "Hi")]),
    "content of parts": (
        [chunk(content=[{"type": "text", "text": "Hi"}]), STOP],
        [("message", "Hi")],
    ),
    "half characters": (
        [SURROGATE % "ud83d", SURROGATE % "ude00", STOP],
        [("message", "😀")],
    ),
    "half a character in arguments": (
        [called(0, '{"city":"\ud83d"}', "a", NAME), CALLS],
        [("function_call", '{"city":"\ufffd"}')],
    ),
    "more cached than read": ([HI, used(5, 2, 50, None)], [("message", "Hi")]),
    "more thought than written": ([HI, used(5, 2, None, 9)], [("message", "Hi")]),
}


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    length = head.partition(b"content-length: ")[2].partition(b"\r\n")[0]
    asked = json.loads(await reader.readexactly(int(length)))
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n")
    for said in HABITS[asked["model"]][0]:
        writer.write(f"data: {said if isinstance(said, str) else json.dumps(said)}\n\n".encode())
    writer.write(b"data: [DONE]\n\n")
    writer.close()


@pytest.fixture
async def fronting(road: str) -> AsyncIterator[House]:
    async with await asyncio.start_server(_answer, "127.0.0.1", 0) as upstream:
        port = upstream.sockets[0].getsockname()[1]
        backend = ChatSettings(url=f"http://127.0.0.1:{port}/v1")
        async with housed(Config(backends=(backend,), store=IN_MEMORY), road) as house:
            yield house


@pytest.mark.requirement("conformance:upstream:habits")
@pytest.mark.parametrize("habit", HABITS)
async def test_an_odd_habit_still_gives_a_sound_stream(fronting: House, habit: str) -> None:
    made = await fronting.streamed(habit, tools=[{**WEATHER, "strict": False}])
    assert made["status"] == "completed"
    told = [
        (item["type"], item.get("arguments") or "".join(p["text"] for p in item["content"]))
        for item in made["output"]
    ]
    assert told == HABITS[habit][1]
