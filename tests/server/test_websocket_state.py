"""What a connection remembers: continuing `store: false`, eviction, warm-ups (api-surface §9.4)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from antiphon.backends.scripted import Scripted
from antiphon.runs.local import Local
from antiphon.server.asgi import build
from tests.server.asgi_client import AsgiClient
from tests.server.conftest import House, opened
from tests.server.websocket_client import SERVERS, Talk, talking, text_of

pytestmark = pytest.mark.anyio

GONE = (400, "previous_response_not_found", "previous_response_id")
TOOL = {
    "type": "function",
    "name": "get_weather",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
}


@pytest.fixture
async def house() -> AsyncIterator[House]:
    async for house in opened(Scripted(), {}):
        yield house


@pytest.fixture(params=SERVERS)
async def talk(house: House, request: pytest.FixtureRequest) -> AsyncIterator[Talk]:
    async with talking(house, request.param) as talk:
        yield talk


def after(response: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """A create that continues this response."""
    return {"previous_response_id": response["id"], **fields}


async def over_http(house: House, method: str, path: str, body: Any = b"") -> Any:
    answer = await AsgiClient(build(house.deps)).request(method, path, body=body)
    return answer.json()


@pytest.mark.requirement("websocket:state:unstored")
async def test_what_was_not_stored_is_continued_on_its_connection(house: House, talk: Talk) -> None:
    first = await talk.made(input="My name is Ada.", store=False)
    second = await talk.made(**after(first, input="And I like tea.", store=False))
    third = await talk.made(
        **after(second, model="transcript", input=[{"role": "user", "content": "?"}], store=False)
    )
    said = text_of(third)
    places = [said.index(part) for part in ("My name is Ada.", "And I like tea.", "?")]
    assert places == sorted(places) and said.count("And I like tea.") == 2
    for response in (first, second, third):
        assert await house.deps.store.load("default", response["id"]) is None
        missing = await over_http(house, "GET", f"/v1/responses/{response['id']}")
        assert missing["error"]["type"] == "invalid_request_error"
    body = {"model": "scripted/echo", "input": "x", "previous_response_id": third["id"]}
    assert (await over_http(house, "POST", "/v1/responses", body))["error"]["code"] == GONE[1]


@pytest.mark.requirement("websocket:state:latest")
async def test_only_the_latest_of_a_lane_is_kept(talk: Talk) -> None:
    first = await talk.made(input="one", store=False)
    second = await talk.made(**after(first, input="two", store=False))
    assert await talk.refused(**after(first, input="x", store=False)) == GONE
    # What failed there referred to nothing that was kept, so the chain goes on.
    assert "two" in text_of(await talk.made(**after(second, model="transcript", input="x")))


@pytest.mark.requirement("websocket:state:connection")
async def test_another_connection_knows_nothing_of_it(house: House) -> None:
    async with talking(house) as one, talking(house) as other:
        first = await one.made(input="one", store=False)
        assert await other.refused(**after(first, input="x", store=False)) == GONE
        assert text_of(await one.made(**after(first, input="two", store=False))) == "two"


@pytest.mark.requirement("websocket:state:stored")
async def test_what_was_stored_is_continued_from_anywhere(house: House, talk: Talk) -> None:
    body = {"model": "scripted/echo", "input": "My name is Ada."}
    stored = await over_http(house, "POST", "/v1/responses", body)
    for _ in range(2):
        second = await talk.made(**after(stored, model="recall", input="Who am I?"))
        assert "Ada" in text_of(second)
    body = {"model": "scripted/recall", "input": "Who?", "previous_response_id": second["id"]}
    third = await over_http(house, "POST", "/v1/responses", body)
    assert "Ada" in text_of(third)


@pytest.mark.requirement("websocket:state:mixed")
async def test_a_stored_response_takes_its_unstored_past_with_it(house: House, talk: Talk) -> None:
    first = await talk.made(input="My name is Ada.", store=False)
    call = await talk.made(**after(first, model="tool", input="?", tools=[TOOL], store=False))
    output = {
        "type": "function_call_output",
        "call_id": call["output"][0]["call_id"],
        "output": "rain",
    }
    stored = await talk.made(**after(call, input=[output], store=True))
    assert stored["previous_response_id"] == call["id"]
    transcript = {"model": "scripted/transcript", "input": "x"}
    body = {**transcript, "previous_response_id": stored["id"]}
    for _ in range(2):  # from the memory, then from the store
        told = text_of(await over_http(house, "POST", "/v1/responses", body))
        assert told.count("My name is Ada.") == 2 and told.count("rain") >= 1
        house.deps.runs.memory.drop("default", stored["id"])
    items = await over_http(house, "GET", f"/v1/responses/{stored['id']}/input_items?order=asc")
    kinds = [item["type"] for item in items["data"]]
    assert kinds == ["message", "message", "message", "function_call", "function_call_output"]
    ids = [item["id"] for item in items["data"]]
    assert len(set(ids)) == len(ids)
    again = await talk.made(**after(stored, model="transcript", input="y", store=False))
    assert text_of(again).count("My name is Ada.") == 2


@pytest.mark.requirement("websocket:state:evicted")
@pytest.mark.parametrize(
    "wrong",
    [
        {"input": "x", "temperature": 9},
        {"input": "x", "model": "error-429"},
        {"input": "x", "model": "error-after-2"},
        {"input": "x", "model": "crash"},
        {"input": [{"type": "function_call_output", "call_id": "call_none", "output": "x"}]},
        {"input": "x", "model": "stall", "background": True},
    ],
)
async def test_a_continuation_that_fails_evicts_what_it_continued(
    talk: Talk, wrong: dict[str, Any]
) -> None:
    first = await talk.made(input="one", store=False)
    failed = (await talk.ask(**after(first, store=False, **wrong)))[-1]
    assert failed["type"] in ("error", "response.failed")
    assert await talk.refused(**after(first, input="x", store=False)) == GONE
    assert text_of(await talk.made(input="a new chain", store=False)) == "a new chain"


@pytest.mark.requirement("websocket:state:orphan")
async def test_an_output_without_its_call_is_named(talk: Talk) -> None:
    first = await talk.made(input="one", store=False)
    orphan = {"type": "function_call_output", "call_id": "call_none", "output": "x"}
    refusal = await talk.refused(**after(first, input=[orphan], store=False))
    assert refusal == (400, "tool_call_not_found", "input[0].call_id")
    asked = await talk.made(model="tool", input="?", tools=[TOOL], store=False)
    unanswered = await talk.refused(**after(asked, input="never mind", store=False))
    assert unanswered == (400, "tool_output_not_found", "input")


@pytest.mark.requirement("websocket:state:stored-stays")
async def test_a_stored_response_outlives_a_failed_continuation(talk: Talk) -> None:
    stored = await talk.made(input="one", store=True)
    assert (await talk.refused(**after(stored, input="x", temperature=9)))[0] == 400
    assert "one" in text_of(await talk.made(**after(stored, model="transcript", input="x")))


@pytest.mark.requirement("websocket:state:fork")
async def test_a_fork_to_another_lane_takes_nothing_from_its_source(talk: Talk) -> None:
    first = await talk.made(input="one", store=False, stream_id="a")
    fork = await talk.made(**after(first, input="two", store=False, stream_id="b"))
    (failed,) = await talk.ask(**after(first, input="x", temperature=9, stream_id="c"))
    assert failed["status"] == 400 and failed["stream_id"] == "c"
    next_of_a = await talk.made(**after(first, input="three", store=False, stream_id="a"))
    for last, of_its_own, of_the_other in (
        (fork, "two", "three"),
        (next_of_a, "three", "two"),
    ):
        lane = "b" if last is fork else "a"
        asked = after(last, model="transcript", input="x", store=False, stream_id=lane)
        told = text_of(await talk.made(**asked))
        assert "one" in told and of_its_own in told and of_the_other not in told


@pytest.mark.requirement("websocket:state:incomplete")
async def test_a_response_that_was_cut_short_can_be_continued(talk: Talk) -> None:
    cut = await talk.made(model="length", input="one", store=False)
    assert cut["status"] == "incomplete"
    told = text_of(await talk.made(**after(cut, model="transcript", input="x", store=False)))
    assert text_of(cut) in told


@pytest.mark.requirement("websocket:state:bounded")
async def test_what_a_connection_remembers_is_bounded(house: House) -> None:
    async with talking(house, state_limit_bytes=20_000) as talk:
        large = await talk.made(input="x" * 10_000, store=False)
        assert await talk.refused(**after(large, input="x", store=False)) == GONE
        kept = {}
        for number in range(8):
            lane = f"lane-{number}"
            kept[lane] = await talk.made(input="x" * 1_000, store=False, stream_id=lane)
        first, *_, last = kept
        asked = {"input": "on", "store": False}
        assert text_of(await talk.made(**after(kept[last], stream_id=last, **asked))) == "on"
        assert await talk.refused(**after(kept[first], stream_id=first, **asked)) == GONE


async def test_a_local_memory_holds_one_response_per_lane(house: House) -> None:
    runs = house.deps.runs
    local = Local(runs.memory, 100_000)
    asked = msgspec.convert(
        {"model": "scripted/echo", "input": "hi", "store": False},
        type(await _asked({"model": "m", "input": "x"})),
    )
    sizes = []
    for _ in range(5):
        context = await runs.resolve(asked, "default", "openai", local)
        local.keep("a", context, context.response)
        sizes.append(local.size_bytes)
    assert sizes[0] > 0 and len(set(sizes)) == 1
    local.pass_by("a")
    assert local.size_bytes == 0


async def _asked(body: dict[str, Any]) -> Any:
    from antiphon.types.codec import decode_create

    return decode_create(msgspec.json.encode(body))


# Warm-ups


@pytest.mark.requirement("websocket:warm")
@pytest.mark.parametrize("store", [False, True])
async def test_a_warm_up_is_a_response_without_output_that_can_be_continued(
    house: House, talk: Talk, store: bool
) -> None:
    asked: dict[str, Any] = {
        "model": "silent",  # would never answer if it were asked
        "instructions": "Be brief.",
        "input": "My name is Ada.",
        "tools": [TOOL],
        "tool_choice": "required",
        "store": store,
        "generate": False,
        "stream": True,
    }
    heard = await talk.ask(**asked)
    assert [event["type"] for event in heard] == [
        "response.created",
        "response.in_progress",
        "response.completed",
    ]
    warm = heard[-1]["response"]
    assert (warm["status"], warm["output"], warm["store"]) == ("completed", [], store)
    assert warm["completed_at"] >= warm["created_at"] and warm["usage"]["total_tokens"] == 0
    assert warm["tools"][0]["name"] == "get_weather" and warm["instructions"] == "Be brief."
    found = await over_http(house, "GET", f"/v1/responses/{warm['id']}")
    assert found.get("id") == (warm["id"] if store else None)
    told = await talk.made(**after(warm, model="recall", input="Who am I?", store=False))
    assert "Ada" in text_of(told)
    twice = await talk.made(**after(told, input="x", generate=False, store=False))
    told = await talk.made(**after(twice, model="transcript", input="y", store=False))
    assert "Ada" in text_of(told) and "x" in text_of(told)


@pytest.mark.requirement("websocket:warm:empty")
async def test_a_warm_up_may_have_nothing_to_say_yet(talk: Talk) -> None:
    nothings: list[dict[str, Any]] = [{}, {"input": []}, {"input": ""}]
    for nothing in nothings:
        warm = await talk.made(**nothing, generate=False, store=False, tools=[TOOL])
        assert text_of(await talk.made(**after(warm, input="hi", store=False))) == "hi"
    assert (await talk.refused(input=[]))[1] == "missing_required_parameter"


async def test_generate_is_no_parameter_over_http(house: House) -> None:
    body = {"model": "scripted/echo", "input": "x", "generate": False}
    error = (await over_http(house, "POST", "/v1/responses", body))["error"]
    assert (error["code"], error["param"]) == ("unknown_parameter", "generate")
