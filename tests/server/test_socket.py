"""The same over a real socket, as uvicorn serves it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest
import uvicorn
from openai import AsyncOpenAI

from tests.server.asgi_client import PATIENCE_SECONDS
from tests.server.conftest import House, opened
from tests.server.test_create import Watched, patiently, responses_told

pytestmark = pytest.mark.anyio


class Server:
    """A served house: where it is, and the model behind it."""

    def __init__(self, house: House, model: Watched, port: int) -> None:
        self.house = house
        self.model = model
        self.port = port
        self.url = f"http://127.0.0.1:{port}/v1"

    async def raw(self, request: bytes) -> bytes:
        """What the server says to these bytes until it closes the connection."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(request)
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                return await reader.read()
        finally:
            writer.close()
            await writer.wait_closed()


class Uvicorn(uvicorn.Server):
    """Tells when it listens."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.listening.set()


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    model = Watched()
    async for house in opened(model, {}):
        config = uvicorn.Config(house.app, port=0, log_config=None, access_log=False, ws="none")
        serving = Uvicorn(config)
        running = asyncio.create_task(serving.serve())
        await patiently(serving.listening)
        port = serving.servers[0].sockets[0].getsockname()[1]
        yield Server(house, model, port)
        serving.should_exit = True
        await running


@pytest.mark.requirement("sdk:socket:uvicorn")
async def test_the_official_client_creates_and_streams_over_a_socket(server: Server) -> None:
    async with AsyncOpenAI(api_key="k", base_url=server.url, max_retries=0) as client:
        made = await client.responses.create(model="scripted/hello", input="Hi.")
        assert (await client.responses.retrieve(made.id)).output_text == made.output_text
        stream = await client.responses.create(model="scripted/hello", input="Hi.", stream=True)
        events = [event async for event in stream]
        assert events[-1].type == "response.completed"
        assert events[-1].response.output_text == made.output_text


@pytest.mark.requirement("sdk:socket:uvicorn")
async def test_closing_a_stream_over_a_socket_closes_the_model_call(server: Server) -> None:
    async with AsyncOpenAI(api_key="k", base_url=server.url, max_retries=0) as client:
        stream = await client.responses.create(model="scripted/endless", input="Hi.", stream=True)
        async for event in stream:
            if event.type == "response.output_text.delta":
                break
        await stream.close()
        await patiently(server.model.closed)
    await server.house.deps.runs.close()
    assert [told.status for told in responses_told(server.house)] == ["cancelled"]


@pytest.mark.requirement("sdk:socket:uvicorn")
async def test_hanging_up_on_a_plain_request_closes_the_model_call(server: Server) -> None:
    body = b'{"model":"scripted/silent","input":"Hi."}'
    _, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(
        b"POST /v1/responses HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % len(body) + body
    )
    await patiently(server.model.begun)
    writer.close()
    await patiently(server.model.closed)
    await writer.wait_closed()


ODD = [
    (b"GET /v1/responses HTTP/1.1\r\nupgrade: websocket\r\nconnection: upgrade, close", b"426"),
    (b"GET /v1/responses HTTP/1.1\r\nconnection: close", b"405"),
    (b"POST /v1/responses HTTP/1.1\r\nconnection: close\r\ncontent-length: 0", b"400"),
    (b"POST /v1/responses HTTP/1.1\r\ncontent-length: 999999999", b"413"),
    (b"HEAD /v1/models HTTP/1.1\r\nconnection: close", b"200"),
]


@pytest.mark.requirement("sdk:socket:uvicorn")
async def test_odd_requests_are_answered_over_a_socket(server: Server) -> None:
    for request, status in ODD:
        said = await server.raw(request + b"\r\nhost: x\r\n\r\n")
        assert said.startswith(b"HTTP/1.1 " + status), request
        assert b"\r\nx-request-id: " in said
