"""One scenario, every projection, every flavour, both roads: all of them tell the same story.

For each scenario and flavour: what the stream's events add up to is what its last event says,
is what GET says, and is what the plain answer says; a replay is the stream again, byte for
byte; the replay of a plain answer adds up to that answer.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest

from antiphon.app import running
from antiphon.config import Config, ScriptedSettings, StoreSettings
from tests.server.asgi_client import events_of
from tests.server.conftest import Client, asking

pytestmark = pytest.mark.anyio


@dataclass(frozen=True)
class Scenario:
    """What is asked of a scripted model, and how it must end."""

    name: str
    script: str
    status: str = "completed"
    asked: dict[str, Any] = field(default_factory=dict)
    kinds: tuple[str, ...] = ("message",)


FUNCTION = {
    "type": "function",
    "name": "get_weather",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
}
SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "population": {"type": "integer"}},
    "required": ["city", "population"],
    "additionalProperties": False,
}
CALLING = {"tools": [FUNCTION]}
FREEFORM = {"tools": [{"type": "custom", "name": "shell"}]}
STRUCTURED = {"text": {"format": {"type": "json_schema", "name": "city", "schema": SCHEMA}}}
WITH_LOGPROBS = "include[]=message.output_text.logprobs"
LOGPROBS = {"include": ["message.output_text.logprobs"], "top_logprobs": 2}
SETTINGS = {
    "instructions": "Speak up.",
    "metadata": {"a": "b"},
    "temperature": 0.5,
    "max_output_tokens": 100,
    "user": "u",
}

TRIGGERED = {
    "input": [{"role": "user", "content": "My dog is Rex."}, {"type": "compaction_trigger"}]
}
COMPACTED = {
    "input": [
        {"role": "user", "content": "My dog is Rex. " + "and so on " * 600},
        {"role": "assistant", "content": "Noted."},
        {"role": "user", "content": "What does he like?"},
    ],
    "context_management": [{"type": "compaction", "compact_threshold": 1_000}],
}

SCENARIOS = [
    Scenario("text", "hello"),
    Scenario("text with settings", "echo", asked=SETTINGS),
    Scenario("text in one batch", "burst-20"),
    Scenario("characters of every kind", "unicode"),
    Scenario("annotations", "cited"),
    Scenario("reasoning", "reasoning", kinds=("reasoning", "message")),
    Scenario("tool call", "tool", asked=CALLING, kinds=("function_call",)),
    Scenario("two calls", "tools-parallel", asked=CALLING, kinds=("function_call",) * 2),
    Scenario("interleaved calls", "tools-interleaved", asked=CALLING, kinds=("function_call",) * 2),
    Scenario(
        "words, then a call", "text-then-tool", asked=CALLING, kinds=("message", "function_call")
    ),
    Scenario("custom call", "custom", asked=FREEFORM, kinds=("custom_tool_call",)),
    Scenario("refusal", "refusal"),
    Scenario("length", "length", "incomplete"),
    Scenario("length by our limit", "long-40", "incomplete", {"max_output_tokens": 16}),
    Scenario("length in a call", "length-in-call", "incomplete", CALLING, ("function_call",)),
    Scenario("length in reasoning", "length-in-reasoning", "incomplete", {}, ("reasoning",)),
    Scenario("content filter", "filter", "incomplete"),
    Scenario("failure mid-way", "error-after-3", "failed"),
    Scenario("failure in a call", "error-in-call", "failed", CALLING, ("function_call",)),
    Scenario("structured output", "json", asked=STRUCTURED),
    Scenario("structured at the second try", "bad-json-1", asked=STRUCTURED),
    Scenario("logprobs", "echo", asked=LOGPROBS),
    Scenario("empty", "empty"),
    Scenario(
        "sealed reasoning",
        "rethink",
        asked={"include": ["reasoning.encrypted_content"]},
        kinds=("reasoning", "message"),
    ),
    Scenario("compaction", "summary", asked=COMPACTED, kinds=("compaction", "message")),
    Scenario("compaction by itself", "summary", asked=TRIGGERED, kinds=("compaction",)),
]


@dataclass(frozen=True)
class Flavour:
    """Where a flavour's responses are, and what its Response objects have besides."""

    base: str
    query: str = ""
    extra: frozenset[str] = frozenset()

    def url(self, suffix: str = "", query: str = "") -> str:
        joined = "&".join(part for part in (self.query, query) if part)
        return f"{self.base}{suffix}?{joined}" if joined else self.base + suffix


FILTERS = frozenset({"content_filters"})
FLAVOURS = {
    "openai": Flavour("/v1/responses"),
    "azure": Flavour("/openai/responses", "api-version=2025-03-01-preview", FILTERS),
    "azure v1": Flavour("/openai/v1/responses", "", FILTERS),
}


@pytest.fixture
async def client(road: str) -> AsyncIterator[Client]:
    config = Config(backends=(ScriptedSettings(),), store=StoreSettings(file=":memory:"))
    async with running(config) as app, asking(app, road) as client:
        yield client


@pytest.fixture(params=SCENARIOS, ids=lambda scenario: scenario.name)
def scenario(request: pytest.FixtureRequest) -> Scenario:
    found: Scenario = request.param
    return found


@pytest.fixture(params=FLAVOURS)
def flavour(request: pytest.FixtureRequest) -> Flavour:
    return FLAVOURS[request.param]


Events = list[tuple[str, Any]]


async def plain(client: Client, flavour: Flavour, scenario: Scenario) -> dict[str, Any]:
    answer = await client.request("POST", flavour.url(), body=body_of(scenario, stream=False))
    assert (answer.status, answer.headers["content-type"]) == (200, "application/json"), answer
    response: dict[str, Any] = answer.json()
    return response


async def streamed(client: Client, flavour: Flavour, scenario: Scenario) -> bytes:
    answer = await client.request("POST", flavour.url(), body=body_of(scenario, stream=True))
    assert answer.status == 200, answer
    return answer.body


async def retrieved(client: Client, flavour: Flavour, response_id: str, query: str = "") -> bytes:
    answer = await client.request("GET", flavour.url(f"/{response_id}", query))
    assert answer.status == 200, answer
    return answer.body


def body_of(scenario: Scenario, *, stream: bool) -> dict[str, Any]:
    return {
        "model": f"scripted/{scenario.script}",
        "input": f"{scenario.name}, please: one two three.",
        "stream": stream,
        **scenario.asked,
    }


def last_of(events: Events) -> Any:
    return events[-1][1]["response"]


def added_up(events: Events) -> list[Any]:
    """The output as a reader knows it who believes deltas and nothing that repeats them."""
    output: dict[int, Any] = {}
    for name, data in events:
        index = data.get("output_index")
        if name == "response.output_item.added":
            assert index == len(output)
            output[index] = msgspec.json.decode(msgspec.json.encode(data["item"]))
        elif name == "response.output_item.done":
            assert output[index]["id"] == data["item"]["id"]
            final = ("status", "encrypted_content")  # what the closing event alone knows
            output[index] |= {key: data["item"][key] for key in final if key in data["item"]}
        elif index is not None:
            assert data["item_id"] == output[index]["id"]
            _inside(output[index], name, data)
    return [output[index] for index in sorted(output)]


def _inside(item: Any, name: str, data: Any) -> None:
    match name.removeprefix("response."):
        case "content_part.added":
            item.setdefault("content", []).append(data["part"])
            assert data["content_index"] == len(item["content"]) - 1
        case "output_text.delta":
            part = item["content"][data["content_index"]]
            part["text"] += data["delta"]
            if data["logprobs"]:
                part.setdefault("logprobs", []).extend(data["logprobs"])
        case "output_text.annotation.added":
            item["content"][data["content_index"]]["annotations"].append(data["annotation"])
        case "refusal.delta":
            item["content"][data["content_index"]]["refusal"] += data["delta"]
        case "reasoning_text.delta":
            item["content"][data["content_index"]]["text"] += data["delta"]
        case "function_call_arguments.delta":
            item["arguments"] += data["delta"]
        case "custom_tool_call_input.delta":
            item["input"] += data["delta"]
        case other:
            assert other.endswith(".done") or other == "compaction.compacting", other


SEALED = re.compile(r"sealed1_[\w-]+")
MINTED = re.compile(r"\b(resp|msg|rs|fc|ctc|call|cmp)_[0-9a-zA-Z]{12,}")


def anonymous(response: Any) -> Any:
    """The same without what must differ between two runs: ids become their order, times 0."""
    seen: dict[str, str] = {}
    text = MINTED.sub(
        lambda found: seen.setdefault(found[0], f"{found[1]}_{len(seen)}"),
        msgspec.json.encode(response).decode(),
    )
    same: dict[str, Any] = msgspec.json.decode(SEALED.sub("sealed", text))
    same["created_at"] = 0
    same["completed_at"] = same["completed_at"] and 1
    return same


@pytest.mark.requirement("http:matrix:stream-adds-up")
async def test_the_events_of_a_stream_add_up_to_its_last_event_and_to_what_is_stored(
    client: Client, flavour: Flavour, scenario: Scenario
) -> None:
    events = events_of(await streamed(client, flavour, scenario))
    final = last_of(events)
    assert events[0][0] == "response.created"
    assert events[-1][0] == f"response.{scenario.status}"
    assert [data["sequence_number"] for _, data in events] == list(range(len(events)))
    assert added_up(events) == final["output"]
    stored = await retrieved(client, flavour, final["id"], WITH_LOGPROBS)
    assert msgspec.json.decode(stored) == final


@pytest.mark.requirement("http:matrix:replay-identical")
async def test_a_replay_of_a_stream_is_the_stream_byte_for_byte(
    client: Client, flavour: Flavour, scenario: Scenario
) -> None:
    original = await streamed(client, flavour, scenario)
    response_id = last_of(events_of(original))["id"]
    assert await retrieved(client, flavour, response_id, "stream=true") == original
    rest = await retrieved(client, flavour, response_id, "stream=true&starting_after=2")
    assert original.endswith(rest) and len(events_of(rest)) == len(events_of(original)) - 3


@pytest.mark.requirement("http:matrix:plain-equals-stream")
async def test_the_plain_answer_is_what_the_stream_ends_with(
    client: Client, flavour: Flavour, scenario: Scenario
) -> None:
    response = await plain(client, flavour, scenario)
    final = last_of(events_of(await streamed(client, flavour, scenario)))
    assert response["status"] == scenario.status
    assert tuple(item["type"] for item in response["output"]) == scenario.kinds
    assert anonymous(response) == anonymous(final)
    stored = await retrieved(client, flavour, response["id"], WITH_LOGPROBS)
    assert msgspec.json.decode(stored) == response
    assert b'"logprobs"' not in await retrieved(client, flavour, response["id"])


@pytest.mark.requirement("http:matrix:plain-replayed")
async def test_the_replay_of_a_plain_answer_adds_up_to_that_answer(
    client: Client, flavour: Flavour, scenario: Scenario
) -> None:
    response = await plain(client, flavour, scenario)
    events = events_of(await retrieved(client, flavour, response["id"], "stream=true"))
    assert last_of(events) == response
    assert added_up(events) == response["output"]


@pytest.mark.requirement("http:matrix:flavours-agree")
async def test_flavours_differ_in_what_azure_adds_and_in_nothing_else(
    client: Client, flavour: Flavour, scenario: Scenario
) -> None:
    ours = anonymous(await plain(client, FLAVOURS["openai"], scenario))
    theirs = anonymous(await plain(client, flavour, scenario))
    assert set(theirs) - set(ours) == flavour.extra
    assert {name: value for name, value in theirs.items() if name in ours} == ours
    stored = await client.request("GET", flavour.url("/resp_0"))
    assert stored.status == 404
