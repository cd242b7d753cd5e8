"""The whole server as an operator gets it: over both roads, and before an upstream."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx2
import pytest
import uvicorn
from openai import AsyncOpenAI

from antiphon.app import App, running
from antiphon.config import ChatSettings, Config, ScriptedSettings, StoreSettings
from antiphon.process import _uvicorn_config, listen
from tests.backends.strict_upstream import StrictUpstream, strict_upstream
from tests.conformance.rules import check_error, check_response, check_stream, frames
from tests.server.asgi_client import PATIENCE_SECONDS
from tests.server.conftest import Client, asking, dialled, road

__all__ = ["Fronted", "House", "housed", "road", "served"]

IN_MEMORY = StoreSettings(file=":memory:")


class House:
    """``client`` asks in this process; ``openai`` is the official client, as strict as it gets.
    Both over the road of the test."""

    def __init__(self, app: App, client: Client, road: str) -> None:
        self.app = app
        self.client = client
        self.road = road

    @asynccontextmanager
    async def openai(self) -> AsyncIterator[AsyncOpenAI]:
        async with (
            dialled(self.app, self.road) as (origin, transport),
            AsyncOpenAI(
                api_key="any",
                base_url=f"{origin}/v1",
                http_client=httpx2.AsyncClient(transport=transport),
                max_retries=0,
                _strict_response_validation=True,
            ) as client,
        ):
            yield client

    async def create(self, model: str, input: Any = "Hi.", **more: Any) -> dict[str, Any]:
        """A response that was made; it has been checked against the rules."""
        body = {"model": model, "input": input, **more}
        answer = await self.client.request("POST", "/v1/responses", body=body)
        assert answer.status == 200, answer.body
        response: dict[str, Any] = answer.json()
        check_response(response)
        return response

    async def streamed(self, model: str, input: Any = "Hi.", **more: Any) -> dict[str, Any]:
        """The same, streamed; every event has been checked."""
        body = {"model": model, "input": input, "stream": True, **more}
        answer = await self.client.request("POST", "/v1/responses", body=body)
        assert answer.status == 200, answer.body
        return check_stream(frames(answer.body))

    async def refused(self, body: Any, status: int = 400) -> dict[str, Any]:
        """The error of a request that must fail; its envelope has been checked."""
        answer = await self.client.request("POST", "/v1/responses", body=body)
        assert answer.status == status, (answer.status, answer.body)
        check_error(answer.json())
        error: dict[str, Any] = answer.json()["error"]
        return error


@asynccontextmanager
async def housed(config: Config, road: str) -> AsyncIterator[House]:
    headers = {"content-type": "application/json"}
    async with running(config) as app, asking(app, road, headers=headers) as client:
        yield House(app, client, road)


@pytest.fixture
async def house(road: str) -> AsyncIterator[House]:
    """Scripted models, a store in memory."""
    async with housed(Config(backends=(ScriptedSettings(),), store=IN_MEMORY), road) as house:
        yield house


@dataclass
class Fronted:
    """A server before a strict upstream, which refuses what a strict one refuses."""

    house: House
    upstream: StrictUpstream


@pytest.fixture
async def fronted(road: str) -> AsyncIterator[Fronted]:
    async with strict_upstream() as upstream:
        config = Config(backends=(ChatSettings(url=upstream.url),), store=IN_MEMORY)
        async with housed(config, road) as house:
            yield Fronted(house, upstream)


class _Serving(uvicorn.Server):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.listening.set()


@asynccontextmanager
async def served(app: App) -> AsyncIterator[int]:
    """The port of the server on loopback, served with the settings of ``antiphon serve``."""
    serving = _Serving(_uvicorn_config(app))
    listener = listen("127.0.0.1", 0)
    task = asyncio.create_task(serving.serve(sockets=[listener]))
    async with asyncio.timeout(PATIENCE_SECONDS):
        await serving.listening.wait()
    try:
        yield listener.getsockname()[1]
    finally:
        serving.should_exit = True
        await task


@pytest.fixture
async def port(house: House) -> AsyncIterator[int]:
    async with served(house.app) as port:
        yield port
