"""Responses upstreams as they are in the wild: what is left out, said twice, late or odd."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from antiphon.config import Config, ResponsesSettings
from tests.backends.strict_responses import Item, events, message, response, searching
from tests.backends.test_responses_served import told
from tests.conformance.conftest import IN_MEMORY, House, housed

pytestmark = pytest.mark.anyio

Json = dict[str, Any]
BODY: Json = {"model": "m", "input": []}
X, Y = '{"city":"x"}', '{"city":"y"}'


def call(id: str, arguments: str) -> Item:
    item = {"type": "function_call", "id": f"fc_{id}", "call_id": f"call_{id}", "name": "look"}
    kind, at = "response.function_call_arguments", {"item_id": f"fc_{id}"}
    inside = [
        {"type": f"{kind}.delta", **at, "delta": arguments[:3]},
        {"type": f"{kind}.delta", **at, "delta": arguments[3:]},
        {"type": f"{kind}.done", **at, "arguments": arguments},
    ]
    return {**item, "arguments": arguments, "status": "completed"}, inside


def coding(code: str = "1 + 1", **fields: Any) -> Item:
    item: Json = {"type": "code_interpreter_call", "id": "ci_up", "status": "completed"}
    kind, at = "response.code_interpreter_call", {"item_id": "ci_up"}
    inside = [
        {"type": f"{kind}.in_progress", **at},
        {"type": f"{kind}_code.delta", **at, "delta": "1 + "},
        {"type": f"{kind}_code.delta", **at, "delta": "1"},
        {"type": f"{kind}_code.done", **at, "code": "1 + 1"},
        {"type": f"{kind}.interpreting", **at},
        {"type": f"{kind}.completed", **at},
    ]
    return {**item, "container_id": "c", "code": code, "outputs": None, **fields}, inside


def said(*items: Item, **fields: Any) -> list[Json]:
    return events({**response(BODY, list(items)), **fields}, list(items))


def without(field: str, told: list[Json]) -> list[Json]:
    return [{key: value for key, value in event.items() if key != field} for event in told]


def kept(told: list[Json], *kinds: str) -> list[Json]:
    """Without the events whose types end so."""
    return [event for event in told if not event["type"].endswith(kinds)]


def beside(told: list[Json]) -> list[Json]:
    """The events of the first two items, one after the other from each."""
    first, second = ([e for e in told if e.get("output_index") == at] for at in (0, 1))
    mixed = [e for pair in zip(first, second, strict=False) for e in pair]
    rest = [e for e in told[2:-1] if e not in mixed]
    return [*told[:2], *mixed, *rest, told[-1]]


def changed(told: list[Json], kind: str, change: Callable[[Json], None]) -> list[Json]:
    copied: list[Json] = json.loads(json.dumps(told))
    for event in copied:
        if event["type"].endswith(kind):
            change(event)
    return copied


HI, HO = message("Hi."), message("Ho.")
THINKS = {"type": "response.reasoning_text.delta", "item_id": "r", "delta": "Hm."}
SEARCH, FOUND = searching(BODY)
NOTED = ("message", "A choir sings.")
HABITS: dict[str, tuple[list[Json], list[tuple[str, str]]]] = {
    "only the response at the end": (
        [said(HI, call("1", X))[0], said(HI, call("1", X))[-1]],
        [("message", "Hi."), ("function_call", X)],
    ),
    "items at their end only": (
        kept(said(HI, HO, call("1", X)), "added", "delta"),
        [("message", "Hi."), ("message", "Ho."), ("function_call", X)],
    ),
    "arguments at the end of the response only": (
        kept(said(call("1", X)), "delta", "item.done"),
        [("function_call", X)],
    ),
    "no places": (
        without("output_index", said(call("1", X), call("2", Y))),
        [("function_call", X), ("function_call", Y)],
    ),
    "all said twice": (
        [e for e in kept(said(HI, call("1", X)), "delta") for _ in (0, 1)],
        [("message", "Hi."), ("function_call", X)],
    ),
    "a phase nobody knows": (
        changed(said(HI, call("1", X)), "item.done", lambda e: e["item"].update(phase="musing")),
        [("message", "Hi."), ("function_call", X)],
    ),
    "a text while it searches": (
        beside(said(SEARCH, HI)),
        [("web_search_call", "completed"), ("message", "Hi.")],
    ),
    "two searches at once": (
        beside(said(SEARCH, ({**SEARCH[0], "id": "ws_2"}, SEARCH[1]), HI)),
        [("web_search_call", "completed")] * 2 + [("message", "Hi.")],
    ),
    "a search that never ends": (
        [e for e in said(SEARCH, HI) if (e["type"][-4:], e.get("output_index")) != ("done", 0)][:-1]
        + said(HI)[-1:],
        [("web_search_call", "failed"), ("message", "Hi.")],
    ),
    "a search still under way at its end": (
        changed(said(SEARCH, HI), "item.done", lambda e: e["item"].update(status="in_progress")),
        [("web_search_call", "completed"), ("message", "Hi.")],
    ),
    "an incomplete call before the rest": (
        said(({**coding()[0], "status": "incomplete"}, coding()[1]), HI),
        [("code_interpreter_call", "failed"), ("message", "Hi.")],
    ),
    "other code at the end": (
        said(coding("2 + 2"), HI),
        [("code_interpreter_call", "completed"), ("message", "Hi.")],
    ),
    "annotations at the end only": (kept(said(FOUND), "annotation.added"), [NOTED]),
    "half a character at the end": (
        changed(said(HI), "item.done", lambda e: e["item"].update(note="\ud83d")),
        [("message", "Hi.")],
    ),
    "half a character in arguments": (
        changed(
            kept(said(call("1", X)), "arguments.done"),
            "arguments.delta",
            lambda e: e.update(delta=e["delta"].replace("x", "\ud83d")),
        ),
        [("function_call", X.replace("x", "\ufffd"))],
    ),
    "usage that is none": (
        said(HI, usage={"input_tokens": "many", "output_tokens": -1}),
        [("message", "Hi.")],
    ),
    "still in progress when completed": (
        changed(said(HI), ".completed", lambda e: e["response"].update(status="in_progress")),
        [("message", "Hi.")],
    ),
    "thoughts behind a call": (
        said(call("1", X), ({"type": "reasoning", "id": "r", "summary": []}, [THINKS])),
        [("function_call", X), ("reasoning", ""), ("message", "")],
    ),
}
FAULTS: dict[str, tuple[list[Json], str, str]] = {
    "failed, and nothing else is right": (
        changed(said(HI), ".completed", lambda e: e.update(type="response.failed", response={})),
        "failed",
        "server_error",
    ),
    "an error without a type": (
        [*said(HI)[:6], {"error": {"message": "Slow down.", "code": 429}}],
        "failed",
        "rate_limit_exceeded",
    ),
    "a call that cannot be read": (
        said(HI, ({"type": "shell_call", "id": "sh", "call_id": "c", "action": "ls"}, [])),
        "failed",
        "server_error",
    ),
}


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    length = head.partition(b"content-length: ")[2].partition(b"\r\n")[0]
    model = json.loads(await reader.readexactly(int(length)))["model"]
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n")
    for event in (HABITS.get(model) or FAULTS[model])[0]:
        writer.write(f"data: {json.dumps(event)}\n\n".encode())
    writer.close()


@pytest.fixture
async def house() -> AsyncIterator[House]:
    async with await asyncio.start_server(_answer, "127.0.0.1", 0) as upstream:
        port = upstream.sockets[0].getsockname()[1]
        url = f"http://127.0.0.1:{port}/v1"
        settings = ResponsesSettings(url=url, profile="openai", retries=0)
        async with housed(Config(backends=(settings,), store=IN_MEMORY), "socket") as house:
            yield house


TOOLS = [
    {"type": "function", "name": "look", "parameters": None, "strict": False},
    {"type": "web_search"},
    {"type": "code_interpreter", "container": {"type": "auto"}},
    {"type": "shell"},
]


async def heard(house: House, model: str) -> Json:
    """The response, whose stream is the same when it is told again."""
    body = {"model": model, "input": "Hi.", "tools": TOOLS, "stream": True}
    answer = await house.client.request("POST", "/v1/responses", body=body)
    assert answer.status == 200, answer.body
    stream = told(answer.body)
    whole: Json = stream[-1]["response"]
    assert [e["item"] for e in stream if e["type"] == "response.output_item.done"] == (
        whole["output"]
    )
    again = await house.client.request("GET", f"/v1/responses/{whole['id']}?stream=true")
    assert told(again.body) == stream
    return whole


def shown(item: Json) -> tuple[str, str]:
    kind: str = item["type"]
    if kind == "message":
        return kind, "".join(part["text"] for part in item["content"])
    return kind, item["status"] if kind.endswith(("search_call", "er_call")) else item.get(
        "arguments", ""
    )


@pytest.mark.requirement("responses-upstream:habits")
@pytest.mark.parametrize("habit", HABITS)
async def test_an_odd_upstream_still_gives_a_sound_response(house: House, habit: str) -> None:
    whole = await heard(house, habit)
    assert whole["status"] == "completed", whole["error"]
    assert [shown(item) for item in whole["output"]] == HABITS[habit][1]
    for item in whole["output"]:
        if item["type"] == "code_interpreter_call":
            assert item["code"] == "1 + 1"  # which is what was told
    if HABITS[habit][1] == [NOTED]:
        (note,) = whole["output"][0]["content"][0]["annotations"]
        assert note["url"] == "https://example.com/"


@pytest.mark.requirement("responses-upstream:habits")
@pytest.mark.parametrize("fault", FAULTS)
async def test_an_upstream_that_fails_oddly_has_failed(house: House, fault: str) -> None:
    whole = await heard(house, fault)
    assert (whole["status"], whole["error"]["code"]) == FAULTS[fault][1:]
