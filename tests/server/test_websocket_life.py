"""How a connection lives and ends: age, size, slow callers, callers who leave, the server's end."""

from __future__ import annotations

import asyncio
import base64
import os
import socket
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from typing import Any

import msgspec
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus
from websockets.typing import Origin

from antiphon.app import App, running
from antiphon.backends.scripted import Scripted
from antiphon.config import ChatSettings, Config, ServerSettings, StoreSettings
from antiphon.observe import Broke, ResponseFinished, SocketClosed
from antiphon.process import _uvicorn_config
from antiphon.server import presence, websocket_uvicorn
from antiphon.server.asgi import build
from tests.server.conftest import House, opened
from tests.server.socket_client import Front, Told
from tests.server.tap import FLOOD_BYTES, FLOOD_DELTAS, Tap, tapped
from tests.server.websocket_client import (
    SERVERS,
    Talk,
    plain_config,
    served,
    talking,
    text_of,
    told,
)

pytestmark = pytest.mark.anyio


@pytest.fixture
async def house() -> AsyncIterator[House]:
    async for house in opened(Scripted(), {}):
        yield house


async def until(true: Callable[[], Any]) -> None:
    for _ in range(2_500):
        if true():
            return
        await asyncio.sleep(0.002)
    raise TimeoutError


def closings(house: House) -> list[int]:
    return [it.code for it in house.observed if isinstance(it, SocketClosed)]


# Age


@pytest.mark.requirement("websocket:age:idle")
@pytest.mark.parametrize("server", SERVERS)
async def test_an_old_connection_is_told_so_and_closed(house: House, server: str) -> None:
    async with talking(house, server, connection_minutes_max=0.001) as talk:
        refusal = await talk.hear()
        assert told(refusal)[:2] == (400, "websocket_connection_limit_reached")
        assert await talk.closed() == 1001
    await until(lambda: closings(house))
    assert closings(house) == [1001]


@pytest.mark.requirement("websocket:age:busy")
async def test_what_is_under_way_ends_before_an_old_connection_does(house: House) -> None:
    async with talking(house, connection_minutes_max=0.004) as talk:
        await talk.create(model="slow-50ms", input="count")
        await talk.create(input="never made", stream_id="a", model="silent")
        await talk.create(input="never made", stream_id="a")
        await talk.create(model="slow-50ms", input="never made")
        heard = [await talk.hear()]
        while heard[-1]["type"] != "error":
            heard.append(await talk.hear())
        refused = [heard.pop(), await talk.hear()]
        assert {told(one)[1] for one in refused} == {"websocket_connection_limit_reached"}
        assert {one.get("stream_id") for one in refused} == {None, "a"}
        await talk.create(input="too late")
        late = [message for message in await talk.answer() if message["type"] == "error"]
        assert [told(one)[1] for one in late] == ["websocket_connection_limit_reached"]
        for live in list(house.deps.runs.live):
            if live.response.model == "scripted/silent":
                live.broke(RuntimeError("enough"))
        while heard[-1]["type"] != "response.completed":
            heard.append(await talk.hear())
            assert heard[-1]["type"] != "error" or heard[-1].get("stream_id") == "a"
        assert "ten" in text_of(heard[-1]["response"]) or heard[-1]["response"]["output"]
        last = await talk.hear()
        assert told(last)[1] == "websocket_connection_limit_reached" and "stream_id" not in last
        assert await talk.closed() == 1001


# Size


@pytest.mark.requirement("websocket:size")
@pytest.mark.parametrize("server", SERVERS)
async def test_a_message_that_is_too_big_closes_the_connection(house: House, server: str) -> None:
    async with talking(house, server, message_limit_bytes=2_048) as talk:
        assert text_of(await talk.made(input="x" * 1_500)) == "x" * 1_500
        await talk.create(input="x" * 2_048)
        assert await talk.closed() == 1009
    await until(lambda: closings(house))
    assert closings(house) == [1009] and len(house.finished()) == 1


@pytest.mark.requirement("websocket:size")
async def test_a_message_of_megabytes_in_pieces_is_read(house: House) -> None:
    text = "word " * 400_000

    def pieces() -> Any:
        whole = msgspec.json.encode(
            {"type": "response.create", "model": "scripted/hello", "input": text}
        ).decode()
        return [whole[at : at + 100_000] for at in range(0, len(whole), 100_000)]

    async with talking(house) as talk:
        await talk.socket.send(pieces())
        assert (await talk.answer())[-1]["type"] == "response.completed"


# Callers who leave


@pytest.mark.requirement("websocket:left")
@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize("how", ["close", "abort"])
async def test_who_leaves_cancels_what_is_under_way(house: House, server: str, how: str) -> None:
    async with talking(house, server) as talk:
        await talk.create(model="endless", input="go", stream_id="a")
        await talk.create(model="endless", input="go")
        await talk.create(input="never made")
        begun: set[str] = set()
        while len(begun) < 2:
            event = await talk.hear()
            if event["type"] == "response.created":
                begun.add(event["response"]["id"])
        if how == "abort":
            talk.socket.transport.abort()
        else:
            await talk.socket.close()
    await until(lambda: not house.deps.runs.live and not house.deps.under_way.count)
    await until(lambda: closings(house))
    for response_id in begun:
        row = await house.deps.store.load("default", response_id)
        assert row is not None and row.status == "cancelled"
    assert [it.status for it in house.finished()] == [499, 499]


@pytest.mark.requirement("websocket:left:stored")
async def test_who_leaves_with_the_last_event_has_a_stored_response(house: House) -> None:
    for _ in range(10):
        async with talking(house) as talk:
            made = await talk.made(input="hi")
            talk.socket.transport.abort()
        row = await house.deps.store.load("default", made["id"])
        assert row is not None and row.status == "completed"


# Slow callers


@dataclass
class Site:
    """A server before an upstream that the test holds in its hand, and a caller who reads only
    when told to."""

    tap: Tap
    app: App
    told: Told
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    theirs: Any

    def ended(self) -> list[str]:
        return [told.status for told in self.told if isinstance(told, ResponseFinished)]


@pytest.fixture(params=SERVERS)
async def site(request: pytest.FixtureRequest) -> AsyncIterator[Site]:
    settings = Config(
        backends=(ChatSettings(url="http://127.0.0.1:1"),), store=StoreSettings(file=":memory:")
    )
    async with tapped() as tap:
        backends = (ChatSettings(url=tap.url),)
        async with running(msgspec.structs.replace(settings, backends=backends)) as app:
            told = Told()
            app.observe.subscribe(told)
            ours = request.param == "ours"
            front = Front(_uvicorn_config(app) if ours else plain_config(app.asgi))
            async with front.listening() as port:
                reader, writer = await shaken(f"ws://127.0.0.1:{port}", small=True)
                (theirs,) = [it for it in front.state.connections if hasattr(it, "conn")]
                pipe: socket.socket = theirs.transport.get_extra_info("socket")
                pipe.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65_536)
                writer.transport.pause_reading()  # type: ignore[attr-defined]
                yield Site(tap, app, told, reader, writer, theirs)
                writer.transport.abort()


async def patiently(event: asyncio.Event) -> None:
    async with asyncio.timeout(5):
        await event.wait()


@pytest.mark.requirement("websocket:slow:paused")
async def test_a_slow_caller_pauses_the_model_and_gets_everything(site: Site) -> None:
    site.writer.write(masked({"model": "flood", "input": "go", "store": False}))
    await patiently(site.tap.begun)
    assert await site.tap.still() < 1_500_000 < FLOOD_BYTES // 2
    site.writer.transport.resume_reading()  # type: ignore[attr-defined]
    deltas, last = 0, ""
    while last != "response.completed":
        opcode, content = await frame(site.reader)
        last = msgspec.json.decode(content)["type"] if opcode == 1 else last
        deltas += last == "response.output_text.delta"
    assert deltas == FLOOD_DELTAS


@pytest.mark.requirement("websocket:slow:paused")
async def test_a_slow_caller_who_leaves_closes_the_call(site: Site) -> None:
    site.writer.write(masked({"model": "flood", "input": "go"}))
    await patiently(site.tap.begun)
    await site.tap.still()
    site.writer.transport.abort()
    await patiently(site.tap.left)
    await site.app.runs.close()
    assert site.ended() == ["cancelled"]


@pytest.mark.requirement("websocket:slow:stalled")
async def test_who_takes_nothing_at_all_has_left(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(presence, "STALLED_AFTER_SECONDS", 0.1)
    site.writer.write(masked({"model": "flood", "input": "go"}))
    await patiently(site.tap.left)
    await until(lambda: any(isinstance(it, SocketClosed) for it in site.told))
    assert [told.status for told in site.told.requests] == [499]
    await site.app.runs.close()
    assert site.ended() == ["cancelled"]


@pytest.mark.requirement("websocket:slow:stalled")
async def test_who_says_much_and_takes_nothing_is_not_answered_into_memory(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = bytes((0x81, 0xFE, 4_000 >> 8, 4_000 & 255)) + bytes(4) + b"x" * 4_000
    monkeypatch.setattr(presence, "STALLED_AFTER_SECONDS", 0.2)
    for _ in range(5_000):
        site.writer.write(wrong)
    held = []

    def over() -> bool:
        held.append(site.theirs.transport.get_write_buffer_size())
        return any(isinstance(it, SocketClosed) for it in site.told)

    await until(over)
    assert 0 < max(held) < 500_000


# Callers who are silent


async def shaken(
    origin: str, *, small: bool = False
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection whose other end does nothing by itself, such as answer pings. ``small``: the
    system keeps little for it."""
    ours = socket.socket()
    if small:
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    ours.connect(("127.0.0.1", int(origin.rpartition(":")[2])))
    reader, writer = await asyncio.open_connection(sock=ours)
    key = base64.b64encode(os.urandom(16)).decode()
    writer.write(
        "\r\n".join(
            (
                "GET /v1/responses HTTP/1.1",
                "Host: antiphon",
                "Upgrade: websocket",
                "Connection: keep-alive, Upgrade",
                f"Sec-WebSocket-Key: {key}",
                "Sec-WebSocket-Version: 13",
                "Sec-WebSocket-Extensions: permessage-deflate",
                "",
                "",
            )
        ).encode()
    )
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    assert head.startswith(b"http/1.1 101 ")
    return reader, writer


def masked(create: dict[str, Any]) -> bytes:
    """A create as a client's frame."""
    text = msgspec.json.encode({"type": "response.create", **create})
    assert len(text) < 126
    return bytes((0x81, 0x80 | len(text))) + bytes(4) + text


async def frame(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """Opcode and content of the server's next frame."""
    async with asyncio.timeout(5):
        first, length = await reader.readexactly(2)
        if length > 125:
            length = int.from_bytes(await reader.readexactly(2 if length == 126 else 8), "big")
        return first & 0x0F, await reader.readexactly(length)


@pytest.mark.requirement("websocket:pings")
async def test_who_answers_no_pings_is_closed_but_never_while_busy(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(presence, "STALLED_AFTER_SECONDS", 0.1)
    house.deps = replace(house.deps, settings=ServerSettings(keepalive_seconds=0.05))
    async with served(house) as (origin, _):
        reader, writer = await shaken(origin)
        writer.write(masked({"model": "scripted/slow-40ms", "input": "go"}))
        opcodes: list[int] = []
        texts = []
        while not opcodes or opcodes[-1] != 8:
            opcode, content = await frame(reader)
            opcodes.append(opcode)
            if opcode == 1:
                texts.append(msgspec.json.decode(content)["type"])
        assert opcodes.count(9) >= 3
        assert texts[-1] == "response.completed"
        assert int.from_bytes(content[:2], "big") == 1011
        writer.close()
    await until(lambda: closings(house))
    assert closings(house) == [1011]


@pytest.mark.requirement("websocket:end:silent")
async def test_who_does_not_answer_the_closing_frame_is_not_waited_for(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(websocket_uvicorn, "CLOSE_SECONDS", 0.05)
    async with served(house, connection_minutes_max=0.0005) as (origin, front):
        reader, writer = await shaken(origin)
        assert (await frame(reader))[0] == 1
        assert (await frame(reader))[0] == 8
        await until(lambda: not front.state.connections)
        writer.close()
    assert closings(house) == [1001]


@pytest.mark.requirement("websocket:plain")
async def test_nothing_is_compressed_and_the_handshake_is_answered_in_full(house: House) -> None:
    async with talking(house) as talk:
        answer = talk.socket.response
        assert answer is not None
        assert "sec-websocket-extensions" not in answer.headers
        assert answer.headers["x-request-id"] and answer.headers["openai-version"]
        made = await talk.made(input="word " * 30_000)
        assert len(text_of(made).split()) == 30_000


@pytest.mark.requirement("websocket:broke")
@pytest.mark.parametrize("accepted", [False, True])
async def test_what_nobody_expected_closes_the_connection_and_is_told(
    house: House, accepted: bool
) -> None:
    coming: list[dict[str, Any]] = [{"type": "websocket.connect"}] if accepted else []
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        if coming:
            return coming.pop()
        raise ValueError("a server that is broken")

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "websocket",
        "path": "/v1/responses",
        "headers": [],
        "extensions": {"websocket.http.response": {}},
    }
    await build(house.deps)(scope, receive, send)
    assert any(isinstance(it, Broke) for it in house.observed)
    if accepted:
        assert (sent[-1]["type"], sent[-1]["code"]) == ("websocket.close", 1011)
        assert closings(house) == [1006]
    else:
        assert sent[0]["status"] == 500 and sent[-1]["type"] == "websocket.http.response.body"


@pytest.mark.usefixtures("quiet")
@pytest.mark.requirement("websocket:strangers")
async def test_what_strangers_send_is_no_error_of_ours(house: House) -> None:
    async with served(house, message_limit_bytes=2_048) as (origin, _):
        for path in ("/v1/nowhere/responses", "/v1/responses"):
            with pytest.raises(InvalidStatus) as refused:
                async with connect(origin + path, origin=Origin("https://evil.example")):
                    pass
            assert refused.value.response.status_code == 403
        for wrong, code in (
            (b"\x81\x82\0\0\0\0\xff\xff", 1007),  # no UTF-8
            (b"\x81\x02{}", 1002),  # not masked
            (b"\xf1\x82\0\0\0\0{}", 1002),  # reserved bits
            (b"\x81\xff\x7f" + bytes(11), 1009),  # of 2 ** 62 bytes
            (b"\x88\x80\0\0\0\0", 1005),
        ):
            reader, writer = await shaken(origin)
            writer.write(wrong)
            opcode, content = await frame(reader)
            assert opcode == 8
            assert (int.from_bytes(content[:2], "big") or 1005) == code, wrong
            writer.close()
        reader, writer = await shaken(origin)
        writer.write(b"\x01\x81\0\0\0\0{")  # the beginning of a message
        writer.transport.abort()
    await until(lambda: len(closings(house)) == 6)


@pytest.mark.requirement("websocket:origin")
async def test_a_web_page_of_this_machine_may_connect_another_not(house: House) -> None:
    async with served(house) as (origin, _):
        for site, status in (("https://evil.example", 403), ("http://localhost:3000", 101)):
            try:
                async with connect(f"{origin}/v1/responses", origin=Origin(site)) as socket:
                    found = 101
                    assert text_of(await Talk(socket).made(input="hi")) == "hi"
            except InvalidStatus as refused:
                found = refused.response.status_code
            assert found == status
