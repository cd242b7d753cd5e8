"""HTTP as it is on the line: hurried, slow, cut off, and with offers we do not take."""

from __future__ import annotations

import asyncio
import json
import socket
from typing import Any

import pytest

from antiphon.server.connection import HEAD_BYTES_MAX
from tests.conformance.conftest import Fronted, House, served
from tests.conformance.rules import check_stream, frames
from tests.server.asgi_client import PATIENCE_SECONDS
from tests.server.conftest import over_socket

pytestmark = [pytest.mark.anyio, over_socket]

HELLO = {"model": "scripted/hello", "input": "Hi."}


def post(body: Any, *headers: str, path: str = "/v1/responses") -> bytes:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [f"POST {path} HTTP/1.1", "Host: x", "Content-Type: application/json", *headers]
    return "\r\n".join([*lines, f"Content-Length: {len(data)}", "", ""]).encode() + data


class Line:
    """One connection."""

    def __init__(self, port: int) -> None:
        self.port = port

    async def __aenter__(self) -> Line:
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port)
        return self

    async def __aexit__(self, *_: object) -> None:
        self.writer.close()

    async def answer(self) -> tuple[int, bytes]:
        """The status and body of the next answer, however it is framed."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            head = (await self.reader.readuntil(b"\r\n\r\n")).lower()
            status = int(head.split(b" ", 2)[1])
            if b"transfer-encoding: chunked" in head:
                return status, await self._chunks()
            length = head.partition(b"content-length: ")[2].partition(b"\r\n")[0]
            return status, await self.reader.readexactly(int(length or 0))

    async def _chunks(self) -> bytes:
        body = b""
        while size := int(await self.reader.readline(), 16):
            body += await self.reader.readexactly(size)
            await self.reader.readline()
        await self.reader.readline()
        return body

    async def ask(self, request: bytes) -> tuple[int, bytes]:
        self.writer.write(request)
        return await self.answer()


MANY = [
    (post(HELLO), 200),
    (post(b'{"mod'), 400),
    (b"GET /v1/nope HTTP/1.1\r\nHost: x\r\n\r\n", 404),
    (post({**HELLO, "stream": True}), 200),
    (post({**HELLO, "model": "nope"}), 404),
    (b"OPTIONS /v1/responses HTTP/1.1\r\nHost: x\r\n\r\n", 405),
    (post(b"", path="/v1/responses/resp_x/cancel"), 404),
    (b"DELETE /v1/responses/x HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n\r\n", 404),
    (post(HELLO), 200),
]


@pytest.mark.requirement("conformance:http:connection")
async def test_a_connection_outlives_errors(port: int) -> None:
    async with Line(port) as line:
        for request, status in MANY:
            assert (await line.ask(request))[0] == status, request


@pytest.mark.requirement("conformance:http:connection")
async def test_requests_sent_at_once_are_answered_in_order(port: int) -> None:
    async with Line(port) as line:
        line.writer.write(b"".join(request for request, _ in MANY))
        assert [(await line.answer())[0] for _ in MANY] == [status for _, status in MANY]


@pytest.mark.requirement("conformance:http:head")
async def test_a_head_without_end_is_refused_and_a_long_body_is_not(port: int) -> None:
    async with Line(port) as line:
        status, body = await line.ask(
            b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Long: " + b"a" * 2 * HEAD_BYTES_MAX
        )
        assert status == 400 and b"head is longer" in body
    async with Line(port) as line:
        for _ in range(3):
            long = {**HELLO, "input": "word " * HEAD_BYTES_MAX}
            assert (await line.ask(post(long, "X-Long: " + "a" * 8_000)))[0] == 200


@pytest.mark.requirement("conformance:http:upgrade")
async def test_an_offer_of_http_2_does_not_cost_the_body(port: int) -> None:
    """As the HTTP client of Java's standard library asks, and curl --http2."""
    offer = ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABk")
    async with Line(port) as line:
        status, body = await line.ask(post({**HELLO, "input": "Upgrade: h2c"}, *offer))
        assert status == 200, body
        streamed = {**HELLO, "model": "scripted/echo", "input": "\r\nUpgrade: h2c\r\n"}
        status, body = await line.ask(post({**streamed, "stream": True}, *offer))
        final = check_stream(frames(body))
        assert final["output"][0]["content"][0]["text"] == streamed["input"]


@pytest.mark.requirement("conformance:http:upgrade")
async def test_a_body_that_speaks_of_an_upgrade_is_left_alone(port: int) -> None:
    """Blanks between tokens may be line ends; a body that comes later is not looked at."""
    body = b'{"model":"scripted/echo",\r\nUpgrade: h2c\r\n"input":"x"}'
    head, _, rest = post(body).partition(b"\r\n\r\n")
    async with Line(port) as line:
        line.writer.write(head + b"\r\n\r\n")
        await line.writer.drain()
        status, answer = await line.ask(rest)
        assert status == 400 and b"line 2" in answer


@pytest.mark.requirement("conformance:http:expect")
async def test_a_caller_who_waits_for_100_is_told_to_go_on(port: int) -> None:
    head, _, body = post(HELLO, "Expect: 100-continue").partition(b"\r\n\r\n")
    async with Line(port) as line:
        status, _ = await line.ask(head + b"\r\n\r\n")
        assert status == 100
        assert (await line.ask(body))[0] == 200
        huge = b"POST /v1/responses HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n"
        assert (await line.ask(huge + b"Content-Length: 999999999999\r\n\r\n"))[0] == 413


@pytest.mark.requirement("conformance:http:cut")
async def test_a_body_cut_off_leaves_nothing_behind(house: House, port: int) -> None:
    async with Line(port) as line:
        line.writer.write(post(HELLO)[:-5])
        line.writer.write_eof()
        async with asyncio.timeout(PATIENCE_SECONDS):
            assert await line.reader.read() == b""
    async with Line(port) as line:
        assert (await line.ask(post(HELLO)))[0] == 200


@pytest.mark.requirement("conformance:http:slow")
async def test_a_slow_reader_gets_everything_and_holds_nobody_up(port: int) -> None:
    loop = asyncio.get_running_loop()
    with socket.create_connection(("127.0.0.1", port)) as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
        slow.setblocking(False)
        body = {"model": "scripted/long-4000", "input": "Hi.", "stream": True}
        await loop.sock_sendall(slow, post(body))
        async with Line(port) as line:
            for _ in range(5):
                assert (await line.ask(post(HELLO)))[0] == 200
        got = b""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not got.endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n"):
                got += await loop.sock_recv(slow, 65_536)
    assert got.count(b"event: response.output_text.delta\n") == 4_000


@pytest.mark.requirement("conformance:http:leave")
async def test_leaving_a_stream_closes_the_connection_to_the_upstream(fronted: Fronted) -> None:
    body = {"model": "endless", "input": "Say it on and on.", "stream": True}
    async with served(fronted.house.app) as port:
        async with Line(port) as line:
            line.writer.write(post(body))
            async with asyncio.timeout(PATIENCE_SECONDS):
                await line.reader.readuntil(b"event: response.output_text.delta")
        async with asyncio.timeout(PATIENCE_SECONDS):
            await fronted.upstream.left.wait()
