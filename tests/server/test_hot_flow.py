"""Time and place of an answer: callers who leave, read slowly or not at all, connections that
idle, a server that stops. Before a real upstream, on both event loops we run on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest

from antiphon.app import App, running
from antiphon.config import ChatSettings, Config, ServerSettings, StoreSettings
from antiphon.observe import Broke, ResponseFinished
from antiphon.process import _uvicorn_config
from antiphon.server import presence
from tests.server.asgi_client import PATIENCE_SECONDS, events_of
from tests.server.lines import get, post
from tests.server.socket_client import Connection, Front, SocketStream, Told
from tests.server.tap import FLOOD_BYTES, FLOOD_DELTAS, Tap, tapped

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("quiet")]

SHORT_SECONDS = 0.05
SMALL_BYTES = 6_000_000
"""More than the buffers between us hold (the kernel alone grows one to 4 MB), and a fraction of a
flood."""


@pytest.fixture(params=["asyncio", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, bool]]:
    return "asyncio", {"use_uvloop": request.param == "uvloop"}


@dataclass
class Site:
    """A server before an upstream that the test holds in its hand."""

    tap: Tap
    app: App
    told: Told
    front: Front

    def ended(self) -> list[str]:
        return [told.status for told in self.told if isinstance(told, ResponseFinished)]

    async def stored(self, response_id: str) -> Any:
        connection = await self.front.connect()
        answer = await connection.ask(get(f"/v1/responses/{response_id}"))
        await connection.close()
        return answer.json()


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    async with tapped() as tap:
        config = Config(
            backends=(ChatSettings(url=tap.url),),
            store=StoreSettings(file=":memory:"),
            server=ServerSettings(keepalive_seconds=SHORT_SECONDS),
        )
        async with running(config) as app:
            told = Told()
            app.observe.subscribe(told)
            yield Site(tap, app, told, Front(_uvicorn_config(app)))


@pytest.fixture
async def line(site: Site) -> AsyncIterator[Connection]:
    connection = await site.front.connect()
    yield connection
    await connection.close()


def asking(model: str, *, stream: bool, store: bool = True) -> bytes:
    return post({"model": model, "input": "Hi.", "stream": stream, "store": store})


async def patiently(event: asyncio.Event) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        await event.wait()


async def first_word(line: Connection) -> tuple[SocketStream, str]:
    """A stream under way from which a word has come, and the id of its response."""
    line.say(asking("held", stream=True))
    stream = SocketStream(line, "POST")
    said = b""
    while b"output_text.delta" not in said:
        said += await stream.chunk() or b""
    return stream, events_of(said)[0][1]["response"]["id"]


# Leaving


@pytest.mark.requirement("http:hot:leaving")
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("how", ["closed", "cut", "half-closed"])
async def test_leaving_before_the_answer_closes_the_call_and_leaves_nothing(
    site: Site, line: Connection, stream: bool, how: str
) -> None:
    line.say(asking("silent", stream=stream))
    await patiently(site.tap.begun)
    match how:
        case "closed":
            line.writer.close()
        case "cut":
            line.writer.transport.abort()
        case _:
            line.writer.write_eof()
    await patiently(site.tap.left)
    await site.told.until(lambda requests: bool(requests))
    assert [told.status for told in site.told.requests] == [499]
    await site.app.runs.close()
    assert site.ended() == []  # no response had begun


@pytest.mark.requirement("http:hot:leaving")
@pytest.mark.parametrize("how", ["closed", "cut"])
async def test_leaving_a_stream_closes_the_call_and_keeps_what_was_said(
    site: Site, line: Connection, how: str
) -> None:
    _, response_id = await first_word(line)
    line.writer.close() if how == "closed" else line.writer.transport.abort()
    await patiently(site.tap.left)
    await site.told.until(lambda requests: bool(requests))
    assert [told.status for told in site.told.requests] == [499]
    await site.app.runs.close()
    assert site.ended() == ["cancelled"]
    stored = await site.stored(response_id)
    assert stored["status"] == "cancelled"
    assert stored["output"][0]["content"][0]["text"] == "One"


@pytest.mark.requirement("http:hot:leaving")
@pytest.mark.parametrize("stream", [False, True])
async def test_leaving_after_the_answer_is_nothing_to_tell(
    site: Site, line: Connection, stream: bool
) -> None:
    assert (await line.ask(asking("prompt", stream=stream))).status == 200
    await line.close()
    assert [told.status for told in site.told.requests] == [200]
    assert site.ended() == ["completed"] and not site.tap.left.is_set()


@pytest.mark.requirement("http:hot:leaving")
async def test_leaving_while_sending_makes_nothing(site: Site, line: Connection) -> None:
    whole = asking("prompt", stream=False)
    await line.say_apart(whole[:-20], whole[-20:-10])
    await line.close()
    assert site.tap.asked == 0 and site.ended() == []
    other = await site.front.connect()
    assert (await other.ask(whole)).status == 200
    await other.close()


@pytest.mark.requirement("http:hot:leaving")
async def test_what_was_sent_ahead_by_a_caller_who_left_is_not_done(
    site: Site, line: Connection
) -> None:
    line.say(asking("silent", stream=False))
    await patiently(site.tap.begun)
    await line.say_apart(asking("prompt", stream=False) * 3)
    await line.close()
    await patiently(site.tap.left)
    await site.app.runs.close()
    assert site.tap.asked == 1 and site.ended() == []


@pytest.mark.requirement("http:hot:leaving")
@pytest.mark.parametrize("model", ["silent", "held"])
async def test_leaving_the_application_with_more_sent_ahead_closes_the_call(
    site: Site, line: Connection, model: str
) -> None:
    body = {"model": model, "input": "Hi.", "stream": True}
    line.say(post(body, path="/v1/responses?x=1") + get("/v1/models"))
    await patiently(site.tap.begun)
    line.writer.transport.abort()
    await patiently(site.tap.left)
    await site.told.until(lambda requests: bool(requests))
    assert [told.status for told in site.told.requests] == [499]
    assert not any(isinstance(told, Broke) for told in site.told)


# Reading slowly


@pytest.mark.requirement("http:hot:back-pressure")
async def test_a_slow_reader_stops_the_upstream_and_gets_everything(
    site: Site, line: Connection
) -> None:
    line.writer.transport.pause_reading()  # type: ignore[attr-defined]
    line.say(asking("flood", stream=True, store=False))
    await patiently(site.tap.begun)
    assert await site.tap.still() < SMALL_BYTES < FLOOD_BYTES // 2
    assert line.protocol.transport.get_write_buffer_size() < SMALL_BYTES
    other = await site.front.connect()
    assert (await other.ask(asking("prompt", stream=False))).status == 200
    await other.close()
    line.writer.transport.resume_reading()  # type: ignore[attr-defined]
    answer = await line.answer()
    assert answer.body.count(b"event: response.output_text.delta\n") == FLOOD_DELTAS
    assert answer.body.endswith(b"data: [DONE]\n\n")
    assert (await line.ask(asking("prompt", stream=False))).status == 200


@pytest.mark.requirement("http:hot:back-pressure")
async def test_a_slow_reader_of_an_answer_that_is_not_hot_gets_everything(
    site: Site, line: Connection
) -> None:
    line.writer.transport.pause_reading()  # type: ignore[attr-defined]
    body = {"model": "flood", "input": "Hi.", "stream": True, "store": False}
    line.say(post(body, path="/v1/responses?"))
    await patiently(site.tap.begun)
    assert await site.tap.still() < SMALL_BYTES < FLOOD_BYTES // 2
    line.writer.transport.resume_reading()  # type: ignore[attr-defined]
    answer = await line.answer()
    assert answer.body.count(b"event: response.output_text.delta\n") == FLOOD_DELTAS
    assert (await line.ask(asking("prompt", stream=False))).status == 200


@pytest.mark.requirement("http:hot:back-pressure")
async def test_a_slow_reader_who_leaves_closes_the_call(site: Site, line: Connection) -> None:
    line.writer.transport.pause_reading()  # type: ignore[attr-defined]
    line.say(asking("flood", stream=True))
    await patiently(site.tap.begun)
    await site.tap.still()
    line.writer.transport.abort()
    await patiently(site.tap.left)
    await site.app.runs.close()
    assert site.ended() == ["cancelled"]


@pytest.mark.requirement("http:disconnect:stalled")
async def test_a_reader_who_takes_nothing_for_long_has_left(
    site: Site, line: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(presence, "STALLED_AFTER_SECONDS", SHORT_SECONDS)
    line.writer.transport.pause_reading()  # type: ignore[attr-defined]
    line.say(asking("flood", stream=True))
    await patiently(site.tap.left)
    await site.told.until(lambda requests: bool(requests))
    assert [told.status for told in site.told.requests] == [499]
    await site.app.runs.close()
    assert site.ended() == ["cancelled"]


@pytest.mark.requirement("http:sse:keep-alive")
async def test_a_silent_stream_is_kept_open_and_goes_on(site: Site, line: Connection) -> None:
    stream, _ = await first_word(line)
    for _ in range(3):
        assert await stream.chunk() == b": keep-alive\n\n"
    site.tap.go.set()
    rest = b"".join([chunk async for chunk in stream])
    assert stream.complete and rest.endswith(b"data: [DONE]\n\n")


# Idling


@pytest.fixture
async def hurried(site: Site) -> AsyncIterator[Front]:
    """The server with little patience for connections nobody uses."""
    config = _uvicorn_config(site.app)
    config.timeout_keep_alive = SHORT_SECONDS  # type: ignore[assignment]
    yield Front(config)


@pytest.mark.requirement("http:hot:idle")
@pytest.mark.parametrize("stream", [False, True])
async def test_an_idle_connection_is_closed_and_a_busy_one_is_not(
    site: Site, hurried: Front, stream: bool
) -> None:
    busy, idle = await hurried.connect(), await hurried.connect()
    for _ in range(3):
        for connection in (busy, idle):
            assert (await connection.ask(asking("prompt", stream=stream))).status == 200
    busy.say(asking("held", stream=stream))
    assert await idle.rest() == b""
    again = await hurried.connect()
    assert (await again.ask(get("/v1/nowhere"))).status == 404
    assert await again.rest() == b""
    site.tap.go.set()
    assert (await busy.answer()).status == 200
    assert await busy.rest() == b""
    for connection in (busy, idle, again):
        await connection.close()


# Stopping


@pytest.mark.requirement("http:hot:stopping")
async def test_a_server_that_stops_closes_idle_connections_at_once(
    site: Site, line: Connection
) -> None:
    fresh = await site.front.connect()
    assert (await line.ask(asking("prompt", stream=False))).status == 200
    for connection in (line, fresh):
        connection.protocol.shutdown()
        assert await connection.rest() == b""
    await fresh.close()


@pytest.mark.requirement("http:hot:stopping")
@pytest.mark.parametrize("stream", [False, True])
async def test_a_server_that_stops_finishes_the_answer_under_way_and_no_other(
    site: Site, line: Connection, stream: bool
) -> None:
    line.say(asking("held", stream=stream))
    await patiently(site.tap.begun)
    await line.say_apart(asking("prompt", stream=False))
    line.protocol.shutdown()
    site.tap.go.set()
    answer = await line.answer()
    assert answer.status == 200 and b"One two three." in answer.body
    assert await line.rest() == b""
    assert site.tap.asked == 1 and site.ended() == ["completed"]


@pytest.mark.requirement("http:hot:stopping")
async def test_a_server_that_stops_says_so_in_an_answer_not_yet_begun(
    site: Site, line: Connection
) -> None:
    line.say(asking("held", stream=False))
    await patiently(site.tap.begun)
    line.protocol.shutdown()
    site.tap.go.set()
    assert (await line.answer()).headers["connection"] == "close"


# Asking without listening


@pytest.mark.requirement("http:hot:back-pressure")
async def test_a_caller_who_asks_on_and_on_and_reads_nothing_is_not_served_into_memory(
    site: Site, line: Connection
) -> None:
    made = (await line.ask(asking("prompt", stream=False))).json()["id"]
    asked = get(f"/v1/responses/{made}")
    line.writer.transport.pause_reading()  # type: ignore[attr-defined]
    for _ in range(4_000):
        line.say(asked)
    before = -1
    while before != line.protocol.read_bytes:
        before = line.protocol.read_bytes
        for _ in range(200):
            await asyncio.sleep(0)
    assert line.protocol.transport.get_write_buffer_size() < SMALL_BYTES
    line.writer.transport.resume_reading()  # type: ignore[attr-defined]
    answers = [await line.answer() for _ in range(4_000)]
    assert {answer.status for answer in answers} == {200}
