"""``POST /v1/responses``: one body, two projections, and what happens when somebody leaves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import msgspec
import pytest

from antiphon.backends.base import Turn
from antiphon.backends.scripted import Scripted
from antiphon.observe import Broke, ResponseFinished
from antiphon.server import presence
from antiphon.stream.deltas import Delta
from tests.server.asgi_client import PATIENCE_SECONDS, AsgiClient, Stream, events_of
from tests.server.conftest import Client, House, opened, over_asgi
from tests.server.test_routes import HELLO, error_of

pytestmark = pytest.mark.anyio

DONE = b"data: [DONE]\n\n"


def asking(script: str, **parameters: Any) -> dict[str, Any]:
    return {"model": f"scripted/{script}", "input": "Say something.", **parameters}


# JSON


@pytest.mark.requirement("http:create:json")
async def test_a_response_is_json_unless_stream_is_true(house: House) -> None:
    for stream in ({}, {"stream": False}, {"stream": None}):
        answer = await house.client.request("POST", "/v1/responses", body={**HELLO, **stream})
        assert answer.headers["content-type"] == "application/json"
        assert int(answer.headers["content-length"]) == len(answer.body)
        assert answer.json()["status"] == "completed"


@pytest.mark.requirement("http:create:accept")
@pytest.mark.parametrize("accept", ["application/json", "text/event-stream", "*/*", "text/html"])
async def test_accept_chooses_nothing(house: House, accept: str) -> None:
    for stream in (False, True):
        answer = await house.client.request(
            "POST", "/v1/responses", headers={"accept": accept}, body={**HELLO, "stream": stream}
        )
        kind = "text/event-stream; charset=utf-8" if stream else "application/json"
        assert answer.headers["content-type"] == kind


@pytest.mark.requirement("http:errors:before-first-event")
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("body", "status", "code", "param"),
    [
        (b"", 400, "invalid_json", None),
        (b"{", 400, "invalid_json", None),
        (b'"hi"', 400, "invalid_type", None),
        ({"temperature": 3}, 400, "decimal_above_max_value", "temperature"),
        ({"no_such": 1}, 400, "unknown_parameter", "no_such"),
        ({"previous_response_id": "resp_0"}, 400, "previous_response_not_found", None),
        ({"model": "scripted/error-429"}, 429, "rate_limit_exceeded", None),
        ({"model": "scripted/error-401"}, 502, "upstream_unauthorized", None),
        ({"model": "scripted/error-503"}, 503, None, None),
        ({"model": "scripted/no-such-script"}, 404, "model_not_found", "model"),
    ],
)
async def test_a_failure_before_the_first_event_is_an_http_error_streamed_or_not(
    house: House, body: Any, status: int, code: str | None, param: str | None, stream: bool
) -> None:
    if isinstance(body, dict):
        body = {**HELLO, "stream": stream, **body}
    answer = await house.client.request("POST", "/v1/responses", body=body)
    got = error_of(answer)
    assert got[0] == status
    assert code is None or got[1] == code
    assert param is None or got[2] == param
    assert "x-should-retry" in answer.headers


@pytest.mark.requirement("http:body:refused")
async def test_a_body_beyond_the_limit_is_413(house: House) -> None:
    client = house.having(body_limit_bytes=1024)
    for size, connection in ((1500, None), (5000, "close")):
        answer = await client.request("POST", "/v1/responses", body={**HELLO, "input": "x" * size})
        assert error_of(answer) == (413, "request_too_large", None)
        assert answer.headers.get("connection") == connection


# SSE


@pytest.mark.requirement("http:sse:frames")
async def test_a_stream_is_frames_and_nothing_else(house: House) -> None:
    answer = await house.client.request("POST", "/v1/responses", body={**HELLO, "stream": True})
    assert answer.headers["cache-control"] == "no-cache"
    assert answer.headers["x-accel-buffering"] == "no"
    assert "content-length" not in answer.headers
    events = events_of(answer.body)
    assert [name for name, _ in events] == [data["type"] for _, data in events]
    assert [data["sequence_number"] for _, data in events] == list(range(len(events)))
    assert b"\nid:" not in answer.body and b"retry:" not in answer.body
    assert answer.body.count(DONE) == 1 and answer.body.endswith(DONE)


@pytest.mark.requirement("http:sse:one-write-per-group")
async def test_what_happened_together_leaves_in_one_write_and_whole(house: House) -> None:
    writes = await writes_of(house.client, asking("burst-50", stream=True))
    assert len(writes) == 1
    writes = await writes_of(house.client, asking("long-50", stream=True))
    assert 50 <= len(writes) <= 52
    for write in writes:
        assert write.startswith(b"event: ") and write.endswith(b"\n\n")
    assert writes[-1].endswith(DONE) and b"event: response.completed\n" in writes[-1]


async def writes_of(client: Client, body: Any) -> list[bytes]:
    async with client.stream("POST", "/v1/responses", body=body) as answer:
        return [chunk async for chunk in answer]


@pytest.mark.requirement("http:sse:frames")
async def test_no_character_of_a_text_ends_a_line_for_any_reader(house: House) -> None:
    text = "a\u2028b\u2029c\u0085d\x0be\x0cf\x1cg\r\nh\u201ci\u201d"
    body = {"model": "scripted/echo", "input": text, "stream": True}
    answer = await house.client.request("POST", "/v1/responses", body=body)
    assert len(answer.body.decode().splitlines()) == answer.body.count(b"\n")
    (done,) = [data for name, data in events_of(answer.body) if name.endswith("text.done")]
    assert done["text"] == text


@pytest.mark.requirement("http:sse:failed")
async def test_a_failure_after_the_first_event_is_an_event(house: House) -> None:
    answer = await house.client.request(
        "POST", "/v1/responses", body=asking("error-after-3", stream=True)
    )
    assert answer.status == 200
    name, data = events_of(answer.body)[-1]
    assert name == "response.failed" and data["response"]["error"]["code"] == "server_error"


@pytest.mark.requirement("http:sse:keep-alive")
async def test_a_silent_stream_is_kept_open_by_comments(house: House) -> None:
    client = house.having(keepalive_seconds=0.01)
    body = asking("stall", stream=True)
    async with client.stream("POST", "/v1/responses", body=body) as answer:
        while (chunk := await answer.chunk()) != b": keep-alive\n\n":
            assert chunk is not None
        assert await answer.chunk() == b": keep-alive\n\n"


async def test_a_talking_stream_has_no_comments(house: House) -> None:
    writes = await writes_of(house.having(keepalive_seconds=2.0), asking("slow-10ms", stream=True))
    assert not any(write.startswith(b":") for write in writes)


async def test_keep_alive_can_be_switched_off(house: House) -> None:
    client = house.having(keepalive_seconds=0)
    writes = await writes_of(client, asking("slow-10ms", stream=True))
    assert not any(write.startswith(b":") for write in writes)


@pytest.mark.requirement("http:sse:obfuscation")
async def test_obfuscation_is_random_text_on_every_delta_and_only_when_asked_for(
    house: House,
) -> None:
    plain = await house.client.request("POST", "/v1/responses", body={**HELLO, "stream": True})
    assert b"obfuscation" not in plain.body
    body = asking("long-30", stream=True, stream_options={"include_obfuscation": True})
    answer = await house.client.request("POST", "/v1/responses", body=body)
    events = events_of(answer.body)
    padded = [data["obfuscation"] for _, data in events if "obfuscation" in data]
    assert len(padded) == sum(name.endswith(".delta") for name, _ in events) == 30
    assert all(1 <= len(text) <= 32 for text in padded)
    assert len(set(padded)) == 30 and len({len(text) for text in padded}) > 3
    path = f"/v1/responses/{events[0][1]['response']['id']}?stream=true"
    stored = await house.client.request("GET", path)
    assert b"obfuscation" not in stored.body
    again = await house.client.request("GET", f"{path}&include_obfuscation=true")
    assert again.body.count(b'"obfuscation"') == 30


@pytest.mark.requirement("http:headers:downgrades")
async def test_what_could_not_be_honoured_is_named_in_a_header(house: House) -> None:
    answer = await house.client.request("POST", "/v1/responses", body=HELLO)
    assert "x-antiphon-downgrades" not in answer.headers
    body = {**HELLO, "service_tier": "priority"}
    answer = await house.client.request("POST", "/v1/responses", body=body)
    assert answer.headers["x-antiphon-downgrades"] == "service_tier"
    assert answer.status == 200


# Leaving


class Watched(Scripted):
    """A scripted model that tells when a call of it was closed."""

    def __init__(self) -> None:
        super().__init__()
        self.begun = asyncio.Event()
        self.closed = asyncio.Event()

    async def stream(self, turn: Turn) -> AsyncIterator[Sequence[Delta]]:
        deltas = super().stream(turn)
        try:
            self.begun.set()
            async for batch in deltas:
                yield batch
        finally:
            await deltas.aclose()  # type: ignore[attr-defined]
            self.closed.set()


@pytest.fixture
async def watched(road: str) -> AsyncIterator[tuple[House, Watched]]:
    model = Watched()
    async for house in opened(model, {}, road):
        yield house, model


async def patiently(event: asyncio.Event) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        await event.wait()


@pytest.mark.requirement("http:disconnect:stream")
@pytest.mark.parametrize("script", ["endless", "stall", "slow-10ms"])
async def test_leaving_a_stream_closes_the_model_call_and_records_a_cancelled_response(
    watched: tuple[House, Watched], script: str
) -> None:
    house, model = watched
    async with house.client.stream(
        "POST", "/v1/responses", body=asking(script, stream=True)
    ) as answer:
        first = await answer.chunk()
        answer.disconnect()
        await patiently(model.closed)
    assert answer.failure is None and not answer.complete
    assert house.finished()[-1].status == 499
    assert [told.status for told in responses_told(house)] == ["cancelled"]
    made = events_of(first or b"")[0][1]["response"]["id"]
    stored = (await house.client.request("GET", f"/v1/responses/{made}")).json()
    assert stored["status"] == "cancelled"
    assert all(item["status"] != "in_progress" for item in stored["output"])


def responses_told(house: House) -> list[ResponseFinished]:
    return [told for told in house.observed if isinstance(told, ResponseFinished)]


@pytest.mark.requirement("http:disconnect:json")
@pytest.mark.parametrize(
    ("script", "stream"), [("silent", False), ("silent", True), ("stall", False)]
)
async def test_leaving_before_the_first_byte_closes_the_model_call(
    watched: tuple[House, Watched], script: str, stream: bool
) -> None:
    house, model = watched
    async with house.client.stream(
        "POST", "/v1/responses", body=asking(script, stream=stream), wait=False
    ) as answer:
        await patiently(model.begun)
        answer.disconnect()
        await patiently(model.closed)
    assert answer.failure is None and not answer.complete
    assert house.finished()[-1].status == 499


@over_asgi
@pytest.mark.requirement("http:disconnect:stream")
async def test_a_send_that_fails_is_a_caller_who_left(watched: tuple[House, Watched]) -> None:
    house, model = watched
    async with house.client.stream(
        "POST", "/v1/responses", body=asking("endless", stream=True)
    ) as answer:
        await answer.chunk()
        assert isinstance(answer, Stream)
        answer.break_pipe()
        await patiently(model.closed)
    assert answer.failure is None
    assert house.finished()[-1].status == 499


class Stuck(Stream):
    """A caller who reads the first write and then no more."""

    async def send(self, message: dict[str, Any]) -> None:
        await super().send(message)
        if message["type"] == "http.response.body":
            await asyncio.Event().wait()


@over_asgi
@pytest.mark.requirement("http:disconnect:stream")
async def test_a_caller_who_stops_reading_and_leaves_closes_the_model_call(
    watched: tuple[House, Watched],
) -> None:
    house, model = watched
    answer = Stuck([msgspec.json.encode(asking("endless", stream=True))])
    scope = AsgiClient(house.app)._scope("POST", "/v1/responses", {})
    running = asyncio.create_task(answer.run(house.app, scope))
    await answer.head()
    await answer.chunk()
    assert not model.closed.is_set()
    answer.disconnect()
    await patiently(model.closed)
    await running
    assert [told.status for told in responses_told(house)] == ["cancelled"]


class StuckAtTheEnd(Stream):
    """A caller who reads everything but the last write."""

    async def send(self, message: dict[str, Any]) -> None:
        await super().send(message)
        if not message.get("more_body", True):
            await asyncio.Event().wait()


@over_asgi
@pytest.mark.requirement("http:disconnect:stalled")
@pytest.mark.parametrize(
    ("caller", "script", "status"),
    [(Stuck, "endless", "cancelled"), (StuckAtTheEnd, "echo", "completed")],
)
async def test_a_caller_who_takes_nothing_does_not_keep_the_model_busy(
    watched: tuple[House, Watched],
    monkeypatch: pytest.MonkeyPatch,
    caller: type[Stream],
    script: str,
    status: str,
) -> None:
    house, model = watched
    monkeypatch.setattr(presence, "STALLED_AFTER_SECONDS", 0.01)
    app = house.having(keepalive_seconds=0.01).app
    answer = caller([msgspec.json.encode(asking(script, stream=True))])
    scope = AsgiClient(house.app)._scope("POST", "/v1/responses", {})
    async with asyncio.timeout(PATIENCE_SECONDS):
        await answer.run(app, scope)
        await model.closed.wait()
    assert answer.failure is None
    assert [told.status for told in responses_told(house)] == [status]


@pytest.mark.requirement("http:disconnect:every-event")
async def test_leaving_after_any_write_leaves_nothing_half_done(
    watched: tuple[House, Watched],
) -> None:
    house, model = watched
    body = asking("reasoning", stream=True)
    total = len(await writes_of(house.client, body))
    for count in range(1, total + 1):
        model.closed.clear()
        async with house.client.stream("POST", "/v1/responses", body=body) as answer:
            seen = b"".join([await answer.chunk() or b"" for _ in range(count)])
        await patiently(model.closed)
        made = events_of(seen)[0][1]["response"]["id"]
        stored = (await house.client.request("GET", f"/v1/responses/{made}")).json()
        assert stored["status"] in ("completed", "cancelled")
        assert all(item["status"] != "in_progress" for item in stored["output"])


@over_asgi
@pytest.mark.requirement("http:shutdown:cancelled")
async def test_a_server_that_stops_cancels_like_a_caller_who_leaves(
    watched: tuple[House, Watched],
) -> None:
    house, model = watched
    answer = Stream([msgspec.json.encode(asking("endless", stream=True))])
    scope = AsgiClient(house.app)._scope("POST", "/v1/responses", {})
    running = asyncio.create_task(house.app(scope, answer.receive, answer.send))
    await answer.head()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert model.closed.is_set()
    assert [told.status for told in responses_told(house)] == ["cancelled"]


@over_asgi
@pytest.mark.requirement("http:errors:after-first-event")
async def test_a_bug_after_the_first_byte_cuts_the_answer_and_is_told(
    watched: tuple[House, Watched],
) -> None:
    house, model = watched

    class Failing(Stream):
        async def send(self, message: dict[str, Any]) -> None:
            if self.status:
                raise ZeroDivisionError
            await super().send(message)

    answer = Failing([msgspec.json.encode(asking("endless", stream=True))])
    scope = AsgiClient(house.app)._scope("POST", "/v1/responses", {})
    running = asyncio.create_task(answer.run(house.app, scope))
    await answer.head()
    await patiently(model.closed)
    await running
    assert not answer.complete and answer.failure is None
    broken = [told for told in house.observed if isinstance(told, Broke)]
    assert [(told.where, type(told.error)) for told in broken] == [("request", ZeroDivisionError)]
    assert broken[0].response_id is not None
