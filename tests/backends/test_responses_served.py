"""A whole server before a Responses upstream: what callers see of it, and what is kept."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import openai
import pytest

from antiphon.app import App, running
from antiphon.config import Config, ResponsesSettings, RunSettings, StoreSettings
from antiphon.stream.deltas import CARRIED
from tests.backends.strict_responses import StrictResponses, strict_responses
from tests.backends.strict_responses_rules import ENCRYPTED
from tests.server.asgi_client import AsgiClient
from tests.server.socket_client import Front, configured

pytestmark = pytest.mark.anyio

THINK = {"model": "thinking", "input": "Hello there", "reasoning": {"summary": "auto"}}


@asynccontextmanager
async def served(upstream: StrictResponses, **runs: Any) -> AsyncIterator[tuple[App, AsgiClient]]:
    settings = ResponsesSettings(url=upstream.url, profile="openai", retries=0)
    config = Config(
        backends=(settings,), store=StoreSettings(file=":memory:"), runs=RunSettings(**runs)
    )
    async with running(config) as app:
        yield app, AsgiClient(app.asgi)


@pytest.fixture
async def upstream() -> AsyncIterator[StrictResponses]:
    async with strict_responses() as running:
        yield running


def told(body: bytes) -> list[dict[str, Any]]:
    lines = [line[6:] for line in body.split(b"\n") if line.startswith(b"data: {")]
    events: list[dict[str, Any]] = [msgspec.json.decode(line) for line in lines]
    for event in events:
        event.pop("obfuscation", None)
    return events


async def streamed(client: AsgiClient, body: dict[str, Any]) -> list[dict[str, Any]]:
    answer = await client.request("POST", "/v1/responses", body={**body, "stream": True})
    assert answer.status == 200, answer.body
    return told(answer.body)


@pytest.mark.requirement("responses-upstream:our-state")
async def test_reasoning_of_an_earlier_turn_goes_back_through_our_store(
    upstream: StrictResponses,
) -> None:
    async with served(upstream) as (_, client):
        first = (await client.request("POST", "/v1/responses", body=THINK)).json()
        thought = first["output"][0]
        assert thought["encrypted_content"].startswith(CARRIED)
        assert [part["text"] for part in thought["summary"]] == ["I look at it.", "I repeat it."]
        second = {"model": "thinking", "input": "Again", "previous_response_id": first["id"]}
        answer = (await client.request("POST", "/v1/responses", body=second)).json()
        assert answer["output"][-1]["content"][0]["text"] == "I was reminded 1 times."
        carried = [*first["output"], {"role": "user", "content": "Once more"}]
        body = {"model": "thinking", "input": carried, "store": False}
        answer = (await client.request("POST", "/v1/responses", body=body)).json()
        assert answer["output"][-1]["content"][0]["text"] == "I was reminded 1 times."
        assert "input_transformations" not in answer
    assert upstream.refusals == []
    assert not any("_up" in msgspec.json.encode(body).decode() for body in upstream.bodies)


@pytest.mark.requirement("responses-upstream:our-state")
async def test_reasoning_of_another_upstream_is_not_shown_and_said_so(
    upstream: StrictResponses,
) -> None:
    async with served(upstream) as (_, client):
        foreign = {"type": "reasoning", "summary": [], "encrypted_content": f"{CARRIED}1_abc"}
        said = {"role": "assistant", "content": "Yes."}
        items = [{"role": "user", "content": "1"}, foreign, said, {"role": "user", "content": "2"}]
        body = {"model": "thinking", "input": items}
        answer = (await client.request("POST", "/v1/responses", body=body)).json()
        assert answer["output"][-1]["content"][0]["text"] == "I was reminded 0 times."
        (removed,) = answer["input_transformations"]
        assert removed["reason"] == "model_mismatch"


@pytest.mark.requirement("responses-upstream:summaries")
@pytest.mark.parametrize("raw_reasoning", ["content", "none"])
async def test_a_summary_streams_as_the_api_has_it_and_replays_the_same(
    upstream: StrictResponses, raw_reasoning: str
) -> None:
    async with served(upstream, raw_reasoning=raw_reasoning) as (_, client):
        events = await streamed(client, THINK)
        kinds = [event["type"].removeprefix("response.") for event in events]
        part = [
            "reasoning_summary_part.added",
            "reasoning_summary_text.delta",
            "reasoning_summary_text.delta",
            "reasoning_summary_text.done",
            "reasoning_summary_part.done",
        ]
        assert kinds[2:14] == ["output_item.added", *part, *part, "output_item.done"]
        indexes = [event["summary_index"] for event in events[3:13]]
        assert indexes == [0] * 5 + [1] * 5
        whole = events[-1]["response"]
        assert events[13]["item"] == whole["output"][0]
        again = await client.request("GET", f"/v1/responses/{whole['id']}?stream=true")
        assert told(again.body) == events
        answer = await client.request("GET", f"/v1/responses/{whole['id']}")
        assert answer.json() == whole


@pytest.mark.requirement("responses-upstream:hosted-tools")
@pytest.mark.parametrize("model", ["searching", "coding", "shelling", "phased", "thinking"])
async def test_what_an_upstream_does_itself_is_told_kept_and_replayed(
    upstream: StrictResponses, model: str
) -> None:
    tools: list[dict[str, Any]] = [{"type": "web_search"}, {"type": "shell"}]
    tools += [{"type": "code_interpreter", "container": {"type": "auto"}}]
    async with served(upstream) as (_, client):
        body = {"model": model, "input": "Hello there", "tools": tools, "max_tool_calls": 3}
        body["include"] = ["web_search_call.action.sources", "file_search_call.results"]
        events = await streamed(client, body)
        whole = events[-1]["response"]
        assert whole["status"] == "completed"
        plain = (await client.request("POST", "/v1/responses", body=body)).json()
        kinds = [item["type"] for item in whole["output"]]
        assert [item["type"] for item in plain["output"]] == kinds
        again = await client.request("GET", f"/v1/responses/{whole['id']}?stream=true")
        assert told(again.body) == events
        assert not any("_up" in str(event) for event in events)
        sent = [tool["type"] for tool in upstream.bodies[-1]["tools"]]
        assert sent == ["web_search", "shell", "code_interpreter"]
        assert upstream.bodies[-1]["max_tool_calls"] == 3
        sources = "web_search_call.action.sources"
        assert upstream.bodies[-1]["include"] == ["reasoning.encrypted_content", sources]
        if model == "searching":
            said = whole["output"][-1]["content"][0]
            assert said["annotations"][0]["url"] == "https://example.com/"
            names = [event["type"] for event in events if "web_search_call" in event["type"]]
            assert [name.rpartition(".")[2] for name in names] == [
                "in_progress",
                "searching",
                "completed",
            ]
        if model == "phased":
            phases = [item["phase"] for item in whole["output"]]
            assert phases == ["commentary", "final_answer"]
    assert upstream.refusals == []


@pytest.mark.requirement("responses-upstream:native-calls")
async def test_a_shell_call_is_answered_by_the_caller(upstream: StrictResponses) -> None:
    async with served(upstream) as (_, client):
        body: dict[str, Any] = {"model": "shelling", "tools": [{"type": "shell"}]}
        first = await client.request("POST", "/v1/responses", body={**body, "input": "Look"})
        (call,) = first.json()["output"]
        assert call["action"]["commands"] == ["ls", "pwd"] and call["call_id"] == "call_shell"
        outcome = {"type": "exit", "exit_code": 0}
        output = {
            "type": "shell_call_output",
            "call_id": call["call_id"],
            "output": [{"stdout": "a b", "stderr": "", "outcome": outcome}],
        }
        body |= {"input": [output], "previous_response_id": first.json()["id"]}
        second = await client.request("POST", "/v1/responses", body=body)
        assert second.json()["output"][0]["content"][0]["text"] == "It said a b"
    assert upstream.refusals == []


@pytest.mark.requirement("responses-upstream:downgrades")
async def test_only_what_the_upstream_has_no_field_for_is_told_as_downgraded(
    upstream: StrictResponses,
) -> None:
    async with served(upstream) as (_, client):
        answer = await client.request("POST", "/v1/responses", body=THINK)
        assert "x-antiphon-downgrades" not in answer.headers
        answer = await client.request(
            "POST", "/v1/responses", body={**THINK, "presence_penalty": 0.5}
        )
        assert answer.headers["x-antiphon-downgrades"] == "presence_penalty"


@pytest.mark.requirement("responses-upstream:official-client")
async def test_the_official_client_accepts_what_comes_through(upstream: StrictResponses) -> None:
    async with (
        served(upstream) as (app, _),
        Front(configured(app.asgi, app.deps)).listening() as port,
        openai.AsyncOpenAI(
            base_url=f"http://127.0.0.1:{port}/v1",
            api_key="x",
            _strict_response_validation=True,
        ) as client,
    ):
        async with client.responses.stream(
            model="thinking", input="Hello there", reasoning={"summary": "auto"}
        ) as stream:
            kinds = [event.type async for event in stream]
            final = await stream.get_final_response()
        assert "response.reasoning_summary_text.delta" in kinds
        assert final.output_text == "I was reminded 0 times."
        found = await client.responses.create(
            model="searching", input="Hello there", tools=[{"type": "web_search"}]
        )
        assert [item.type for item in found.output] == ["web_search_call", "message"]
    assert ENCRYPTED not in str(upstream.bodies[0])
