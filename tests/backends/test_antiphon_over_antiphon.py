"""An Antiphon whose upstream is an Antiphon answers as that one does, event by event."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import msgspec
import pytest

from antiphon.app import running
from antiphon.backends.scripts import SCRIPTS
from antiphon.config import Config, ResponsesSettings, StoreSettings
from tests.backends.upstream_antiphon import KEY, upstream_antiphon
from tests.server.asgi_client import AsgiClient

pytestmark = pytest.mark.anyio

ENDLESS = frozenset({"endless", "stall", "silent", "slow"})
CITY = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
WEATHER = {"type": "function", "name": "get_weather", "parameters": CITY, "strict": True}
NOTE = {"type": "custom", "name": "take_note", "description": "Writes the text down."}
MADE_HERE = re.compile(r"\b(?:resp|msg|fc|ctc|rs|call|sh|apc|cu|lsh)_[0-9a-f]{20,}\b")
ASKED: dict[str, dict[str, Any]] = {
    "plain": {},
    "tools": {"tools": [WEATHER, NOTE]},
    "forced": {"tools": [WEATHER], "tool_choice": "required", "parallel_tool_calls": False},
    "schema": {"text": {"format": {"type": "json_schema", "name": "city", "schema": CITY}}},
    "logprobs": {"include": ["message.output_text.logprobs"], "top_logprobs": 1},
    "short": {"max_output_tokens": 16, "temperature": 0.5, "top_p": 0.5},
}
INPUT = [
    {"role": "developer", "content": "Be brief."},
    {"role": "user", "content": [{"type": "input_text", "text": "My name is Ada."}]},
    {"role": "assistant", "content": "Hello Ada."},
    {"role": "user", "content": "Say it: one two three four five six seven eight nine ten eleven"},
]


class Both(NamedTuple):
    """Clients of the upstream, and of the server before it."""

    direct: AsgiClient
    over: AsgiClient


@pytest.fixture
async def both() -> AsyncIterator[Both]:
    # Two upstreams, because some scripts count what they are asked.
    async with upstream_antiphon() as (alone, _), upstream_antiphon() as (_, url):
        settings = ResponsesSettings(url=url, key=KEY, profile="antiphon", retries=0)
        config = Config(backends=(settings,), store=StoreSettings(file=":memory:"))
        async with running(config) as app:
            key = {"authorization": f"Bearer {KEY}"}
            yield Both(AsgiClient(alone.asgi, headers=key), AsgiClient(app.asgi))


def without_ids(value: Any) -> Any:
    """The same with every id that is made anew replaced by its place among those of its kind."""
    text = msgspec.json.encode(value).decode()
    known: dict[str, str] = {}

    def named(found: re.Match[str]) -> str:
        prefix = found[0].partition("_")[0]
        return known.setdefault(found[0], f"{prefix}#{len(known)}")

    return msgspec.json.decode(MADE_HERE.sub(named, text))


def refused(answer: Any) -> Any:
    """What failed before its first word is an HTTP status here, and a response that has failed
    where attempts were made first."""
    return "failed" if answer.status >= 500 else (answer.status, answer.json()["error"]["code"])


def said(response: dict[str, Any]) -> dict[str, Any]:
    """What of a response must be the same."""
    kept = ("status", "output", "usage", "incomplete_details", "tools", "tool_choice", "text")
    error = response["error"] and response["error"]["code"]
    return {**{name: response[name] for name in kept}, "error": error}


def events_of(body: bytes) -> list[dict[str, Any]]:
    lines = [line[6:] for line in body.split(b"\n") if line.startswith(b"data: ")]
    assert lines[-1] == b"[DONE]"
    events: list[dict[str, Any]] = [msgspec.json.decode(line) for line in lines[:-1]]
    for event in events:
        event.pop("obfuscation", None)
        if "response" in event:
            event["response"] = said(event["response"])
    return events


@pytest.mark.requirement("responses-upstream:same-answer")
@pytest.mark.parametrize("asked", ASKED)
@pytest.mark.parametrize("script", sorted(SCRIPTS.keys() - ENDLESS))
async def test_an_answer_is_the_same_as_from_the_upstream_itself(
    both: Both, script: str, asked: str
) -> None:
    body = {
        "model": f"scripted/{script}",
        "input": INPUT,
        "instructions": "Be kind.",
        "store": False,
    }
    body |= ASKED[asked]
    told: list[Any] = []
    for client in both:
        answer = await client.request("POST", "/v1/responses", body=body)
        told.append(said(answer.json()) if answer.status == 200 else refused(answer))
        if answer.status == 200 and answer.json()["status"] == "failed" and not told[-1]["output"]:
            told[-1] = "failed"
    assert without_ids(told[0]) == without_ids(told[1])
    told = []
    for client in both:
        answer = await client.request("POST", "/v1/responses", body={**body, "stream": True})
        told.append(events_of(answer.body) if answer.status == 200 else refused(answer))
        if answer.status == 200 and told[-1][2]["type"] == "response.failed":
            told[-1] = "failed"
    assert without_ids(told[0]) == without_ids(told[1])
