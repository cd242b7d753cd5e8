"""WebSocket mode: the handshake, the messages, the order of answers (api-surface §9)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from antiphon.backends.scripted import Scripted
from antiphon.observe import SocketClosed, SocketOpened
from antiphon.server.asgi import build
from antiphon.server.frames import frames, messages
from antiphon.server.websocket import LANES_MAX, MAKING_MAX, WAITING_MAX
from antiphon.types.events import OutputTextDelta
from tests.server.asgi_client import AsgiClient
from tests.server.conftest import KEYS, House, opened
from tests.server.websocket_client import LAST, SERVERS, Talk, served, talking, text_of, told

pytestmark = pytest.mark.anyio

KEY = {"authorization": "Bearer sk-alpha"}


@pytest.fixture
async def house() -> AsyncIterator[House]:
    async for house in opened(Scripted(), {}):
        yield house


@pytest.fixture
async def locked() -> AsyncIterator[House]:
    async for house in opened(Scripted(), KEYS):
        yield house


@pytest.fixture(params=SERVERS)
async def talk(house: House, request: pytest.FixtureRequest) -> AsyncIterator[Talk]:
    """A connection to our server, and one over a server that knows only ASGI."""
    async with talking(house, request.param) as talk:
        yield talk


async def knocked(origin: str, path: str = "/v1/responses", **headers: str) -> tuple[int, Any]:
    """A handshake that is refused: its status and its body."""
    with pytest.raises(InvalidStatus) as refused:
        async with connect(origin + path, additional_headers=headers):
            pass
    answer = refused.value.response
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-request-id"]
    return answer.status_code, msgspec.json.decode(answer.body or b"")["error"]


# The handshake


@pytest.mark.requirement("websocket:handshake:key")
@pytest.mark.parametrize("server", SERVERS)
async def test_the_key_is_checked_before_the_upgrade(locked: House, server: str) -> None:
    async with served(locked, server) as (origin, _):
        for headers in ({}, {"authorization": "Bearer sk-wrong"}):
            status, error = await knocked(origin, **headers)
            assert (status, error["code"]) == (401, "invalid_api_key")
        for headers in (KEY, {"api-key": "sk-alpha"}):
            async with connect(f"{origin}/v1/responses", additional_headers=headers) as socket:
                made = await Talk(socket).made(input="hi", store=True)
        assert await locked.deps.store.load("alpha", made["id"]) is not None
        assert await locked.deps.store.load("beta", made["id"]) is None


@pytest.mark.requirement("websocket:handshake:off")
async def test_an_upgrade_that_is_switched_off_is_426(house: House) -> None:
    async with served(house, enabled=False) as (origin, _):
        status, error = await knocked(origin)
    assert (status, error["code"]) == (426, "websocket_unsupported")
    assert house.finished()[-1].status == 426


@pytest.mark.requirement("websocket:handshake:off")
async def test_another_path_is_404_as_ever(house: House) -> None:
    async with served(house) as (origin, _):
        status, error = await knocked(origin, "/v1/nowhere/responses")
    assert (status, error["code"]) == (404, "unknown_url")


@pytest.mark.requirement("websocket:handshake:crowded")
async def test_a_crowded_server_refuses_the_upgrade_and_later_the_create(house: House) -> None:
    full = house.deps.settings.requests_max
    async with served(house) as (origin, _):
        house.deps.under_way.count += full
        status, error = await knocked(origin)
        assert (status, error["code"]) == (503, "server_overloaded")
        house.deps.under_way.count -= full
        async with connect(f"{origin}/v1/responses") as socket:
            talk = Talk(socket)
            house.deps.under_way.count += full
            (refusal,) = await talk.ask(input="hi")
            assert told(refusal)[:2] == (503, "server_overloaded")
            assert refusal["error"]["headers"]["retry-after"] == "1"
            house.deps.under_way.count -= full
            assert text_of(await talk.made(input="hi")) == "hi"


@pytest.mark.requirement("websocket:observed")
async def test_connections_and_creates_are_told(house: House) -> None:
    async with talking(house) as talk:
        await talk.made(input="hi")
        await talk.refused(input="hi", temperature=9)
    await house.observed.until(lambda requests: len(requests) == 2)
    for _ in range(2_500):
        if isinstance(house.observed[-1], SocketClosed):
            break
        await asyncio.sleep(0.002)
    opened, closed = house.observed[0], house.observed[-1]
    assert isinstance(opened, SocketOpened) and isinstance(closed, SocketClosed)
    assert (closed.request_id, closed.code, closed.responses) == (opened.request_id, 1000, 2)
    requests = [(it.method, it.route, it.status, it.code) for it in house.finished()]
    assert requests == [
        ("WEBSOCKET", "/v1/responses", 200, None),
        ("WEBSOCKET", "/v1/responses", 400, "decimal_above_max_value"),
    ]
    assert house.deps.under_way.count == 0


# The events


def common(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Events without what differs from one making to the next: ids and times."""
    text = msgspec.json.encode(events).decode()
    names: dict[str, str] = {}
    for event in events:
        response = event.get("response", {})
        for item in response.get("output", ()):
            names.setdefault(item["id"], f"item-{len(names)}")
            if "call_id" in item:
                names.setdefault(item["call_id"], f"call-{len(names)}")
    names[events[0]["response"]["id"]] = "response"
    for name in sorted(names, key=len, reverse=True):  # an item's id holds its response's digits
        text = text.replace(name, names[name])
    plain: list[dict[str, Any]] = msgspec.json.decode(text)
    for event in plain:
        response = event.get("response", {})
        for key in ("created_at", "completed_at"):
            response.pop(key, None)
    return plain


TOOL = {
    "type": "function",
    "name": "get_weather",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
}


@pytest.mark.requirement("websocket:events:same")
@pytest.mark.parametrize(
    "script",
    [
        "echo",
        "hello",
        "long-40",
        "burst-40",
        "reasoning",
        "refusal",
        "cited",
        "unicode",
        "tool",
        "tools-parallel",
        "custom",
        "text-then-tool",
        "length",
        "length-in-call",
        "filter",
        "error-after-3",
        "empty",
        "logprobs",
        "crash",
    ],
)
async def test_a_response_has_the_events_it_has_over_sse(
    house: House, talk: Talk, script: str
) -> None:
    kind = {"type": "custom", "name": "patch"} if script == "custom" else TOOL
    tools = [kind] if "tool" in script or script in ("custom", "length-in-call") else []
    asked = {"model": f"scripted/{script}", "input": "one two three", "tools": tools}
    heard = await talk.ask(**{**asked, "model": script})
    client = AsgiClient(build(house.deps))
    answer = await client.request("POST", "/v1/responses", body={**asked, "stream": True})
    lines = [line[6:] for line in answer.body.split(b"\n") if line.startswith(b"data: ")]
    assert lines.pop() == b"[DONE]"
    assert common(heard) == common([msgspec.json.decode(line) for line in lines])
    assert [event["sequence_number"] for event in heard] == list(range(len(heard)))


@pytest.mark.requirement("websocket:events:same")
@given(said=some.text(min_size=1))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25)
async def test_whatever_is_said_is_said_as_over_http(house: House, talk: Talk, said: str) -> None:
    client = AsgiClient(build(house.deps))
    body = {"model": "scripted/echo", "input": said}
    answer = await client.request("POST", "/v1/responses", body=body)
    assert text_of(await talk.made(input=said)) == text_of(answer.json())


def test_a_message_is_the_json_of_an_sse_frame() -> None:
    group = [
        OutputTextDelta(
            sequence_number=number,
            item_id="msg_1",
            output_index=0,
            content_index=0,
            delta="\u2028 é",
            logprobs=[],
        )
        for number in range(3)
    ]
    for some_of in (group, group[:1]):
        data = frames(some_of).split(b"\n")
        lines = [line[6:] for line in data if line.startswith(b"data: ")]
        plain = [msgspec.json.decode(one) for one in messages(some_of)]
        assert plain == [msgspec.json.decode(line) for line in lines]
        marked = [msgspec.json.decode(one) for one in messages(some_of, mark=b',"stream_id":"a"')]
        assert marked == [{**one, "stream_id": "a"} for one in plain]


@pytest.mark.requirement("websocket:events:obfuscated")
async def test_obfuscation_is_given_if_asked_for(talk: Talk) -> None:
    asked = {"include_obfuscation": True}
    deltas = [
        event
        for event in await talk.ask(input="one two", stream_options=asked)
        if event["type"].endswith("delta")
    ]
    assert deltas and all(1 <= len(event["obfuscation"]) <= 32 for event in deltas)


@pytest.mark.requirement("websocket:downgrades")
async def test_what_is_not_fully_honoured_is_named_in_the_first_event(talk: Talk) -> None:
    first, second, *_ = await talk.ask(input="hi", service_tier="priority", stream_id="a")
    assert first["x_antiphon_downgrades"] and first["stream_id"] == "a"
    assert "x_antiphon_downgrades" not in second


# What a message may be


@pytest.mark.requirement("websocket:messages:refused")
async def test_what_cannot_be_read_is_an_error_and_the_connection_goes_on(talk: Talk) -> None:
    for message, code, param in (
        ("{", "invalid_json", None),
        ("[]", "invalid_type", None),
        ("{}", "missing_required_parameter", "type"),
        ('{"type":7}', "invalid_type", "type"),
        (b"{}", "invalid_message", None),
        ('{"type":"response.cancel"}', "unknown_event", "type"),
        ('{"type":"response.create"}', "missing_required_parameter", "model"),
        ('{"type":"response.create","mode":1}', "unknown_parameter", "mode"),
        ('{"type":"response.steer","input":"x"}', "missing_required_parameter", None),
        ("[" * 100_000, "invalid_json", None),
    ):
        await talk.say_raw(message)
        status, found, where = told(await talk.hear())
        assert (status, found) == (400, code), message
        assert param is None or where == param
    assert text_of(await talk.made(input="hi")) == "hi"


@pytest.mark.requirement("websocket:create:transport")
async def test_what_is_for_http_only_is_refused_and_stream_is_no_matter(talk: Talk) -> None:
    assert await talk.refused(input="x", background=True) == (
        400,
        "unsupported_parameter",
        "background",
    )
    assert await talk.refused(input="x", stream=False) == (400, "unsupported_value", "stream")
    for tolerated in ({"stream": True}, {"stream": None}, {"background": False}):
        assert text_of(await talk.made(input="hi", **tolerated)) == "hi"


@pytest.mark.requirement("websocket:steer:refused")
async def test_steering_is_refused_by_its_own_event_with_its_input(talk: Talk) -> None:
    item = {"type": "message", "role": "user", "content": "to the left"}
    await talk.say(type="response.steer", previous_response_id="resp_1", input=[item])
    failed = await talk.hear()
    assert failed["type"] == "response.steer.failed"
    assert failed["error"]["code"] == "steering_not_supported"
    assert failed["error"]["type"] == "invalid_request_error"
    assert failed["steer"] == {"previous_response_id": "resp_1", "input": [item]}


# Lanes


@pytest.mark.requirement("websocket:order:sequential")
async def test_without_lanes_one_response_follows_the_other(talk: Talk) -> None:
    for number in range(8):
        model = "long-3" if number % 2 else "echo"
        await talk.create(model=model, input="hi", metadata={"number": str(number)})
    order = []
    for _ in range(8):
        heard = await talk.answer()
        assert heard[0]["type"] == "response.created"
        assert {event["response"]["id"] for event in heard if "response" in event} == {
            heard[0]["response"]["id"]
        }
        assert not any("stream_id" in event for event in heard)
        order.append(heard[-1]["response"]["metadata"]["number"])
    assert order == list("01234567")


@pytest.mark.requirement("websocket:order:refused-in-turn")
async def test_a_create_that_is_refused_is_refused_in_its_turn(talk: Talk) -> None:
    await talk.create(input="first")
    await talk.create(input="second", temperature=9)
    await talk.create(input="third")
    assert text_of((await talk.answer())[-1]["response"]) == "first"
    assert told((await talk.answer())[-1])[1] == "decimal_above_max_value"
    assert text_of((await talk.answer())[-1]["response"]) == "third"


@pytest.mark.requirement("websocket:lanes:concurrent")
async def test_lanes_do_not_wait_for_each_other(talk: Talk) -> None:
    await talk.create(model="endless", input="go", stream_id="slow")
    await talk.create(input="waits for the first", stream_id="slow")
    assert (await talk.hear())["stream_id"] == "slow"
    for lane in ("a", "b.c_d-e"):
        await talk.create(input=lane, stream_id=lane)
        done: list[dict[str, Any]] = []
        while not done or done[-1]["type"] != "response.completed":
            event = await talk.hear()
            if event["stream_id"] == lane:
                done.append(event)
        assert text_of(done[-1]["response"]) == lane
        assert [event["sequence_number"] for event in done] == list(range(len(done)))


@pytest.mark.requirement("websocket:lanes:invalid")
@pytest.mark.parametrize("name", ["", "a b", "ü", "x" * 257, 7, ["a"], "a\n"])
async def test_a_lane_has_a_plain_name(house: House, name: Any) -> None:
    async with talking(house) as talk:
        assert await talk.refused(input="x", stream_id=name) == (
            400,
            "invalid_stream_id",
            "stream_id",
        )
        assert text_of(await talk.made(input="hi", stream_id="x" * 256)) == "hi"


@pytest.mark.requirement("websocket:lanes:limit")
async def test_a_connection_has_so_many_lanes_beside_the_unnamed(talk: Talk) -> None:
    await talk.made(input="hi")
    for number in range(LANES_MAX):
        await talk.made(input="hi", stream_id=f"lane-{number}")
    (refusal,) = await talk.ask(input="hi", stream_id="one-more")
    assert told(refusal) == (400, "websocket_stream_limit_reached", "stream_id")
    assert refusal["stream_id"] == "one-more"
    await talk.made(input="hi", stream_id="lane-0")
    await talk.made(input="hi")


@pytest.mark.requirement("websocket:lanes:active")
async def test_so_many_responses_are_made_at_a_time_and_more_wait(house: House) -> None:
    async with talking(house) as talk:
        for number in range(MAKING_MAX):
            await talk.create(model="slow-40ms", input="go", stream_id=f"lane-{number}")
        await talk.create(input="patient", stream_id="late")
        begun: set[str] = set()
        done = 0
        while "late" not in begun:
            event = await talk.hear()
            if event["type"] == "response.created":
                begun.add(event["stream_id"])
                assert len(house.deps.runs.live) <= MAKING_MAX
            done += event["type"] == "response.completed"
        assert len(begun) == MAKING_MAX + 1 and done >= 1


@pytest.mark.requirement("websocket:queue:bounded")
async def test_what_waits_is_bounded(house: House) -> None:
    async with talking(house) as talk:
        await talk.create(model="silent", input="go")
        for _ in range(WAITING_MAX + 1):
            await talk.create(input="next")
        assert told(await talk.hear()) == (429, "websocket_queue_full", None)
    async with talking(house, message_limit_bytes=2_048) as talk:
        await talk.create(model="silent", input="go")
        for _ in range(3):
            await talk.create(input="x" * 900)
        assert told(await talk.hear()) == (429, "websocket_queue_full", None)


LANES = some.sampled_from([None, "a", "b", "c"])
SCRIPTS = some.sampled_from(["echo", "burst-5", "error-429", "error-after-2", "crash", "slow-1ms"])
CREATES = some.lists(some.tuples(LANES, SCRIPTS, some.booleans()), min_size=1, max_size=24)


@pytest.mark.requirement("websocket:lanes:order")
@given(creates=CREATES)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25)
async def test_every_create_is_answered_once_and_in_the_order_of_its_lane(
    talk: Talk, creates: list[tuple[str | None, str, bool]]
) -> None:
    expected: dict[str | None, list[str]] = {}
    for number, (lane, script, good) in enumerate(creates):
        fields: dict[str, Any] = {} if lane is None else {"stream_id": lane}
        if not good:
            fields["temperature"] = 9
        asked = {"metadata": {"number": str(number)}, "input": "x", "store": False}
        await talk.create(model=script, **asked, **fields)
        refused = not good or script == "error-429"
        expected.setdefault(lane, []).append("refused" if refused else str(number))
    answered: dict[str | None, list[str]] = {}
    under_way: dict[str | None, int] = {}
    for _ in creates:
        while True:
            event = await talk.hear()
            lane = event.get("stream_id")
            if event["type"] == "error":
                assert lane not in under_way
                answered.setdefault(lane, []).append("refused")
                break
            number = event["sequence_number"]
            assert number == under_way.get(lane, -1) + 1
            under_way[lane] = number
            if event["type"] in LAST:
                answered.setdefault(lane, []).append(event["response"]["metadata"]["number"])
                del under_way[lane]
                break
    assert answered == expected
