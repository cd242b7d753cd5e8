"""The whole server as an operator gets it: in this process, over a socket, before an upstream."""

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
from tests.server.asgi_client import PATIENCE_SECONDS, AsgiClient

IN_MEMORY = StoreSettings(file=":memory:")


class House:
    """``client`` asks in this process; ``openai`` is the official client, as strict as it gets."""

    def __init__(self, app: App) -> None:
        self.app = app
        self.client = AsgiClient(app.asgi, headers={"content-type": "application/json"})

    @asynccontextmanager
    async def openai(self) -> AsyncIterator[AsyncOpenAI]:
        async with AsyncOpenAI(
            api_key="any",
            base_url="http://antiphon/v1",
            http_client=httpx2.AsyncClient(transport=httpx2.ASGITransport(app=self.app.asgi)),
            max_retries=0,
            _strict_response_validation=True,
        ) as client:
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


@pytest.fixture
async def house() -> AsyncIterator[House]:
    """Scripted models, a store in memory."""
    async with running(Config(backends=(ScriptedSettings(),), store=IN_MEMORY)) as app:
        yield House(app)


@dataclass
class Fronted:
    """A server before a strict upstream, which refuses what a strict one refuses."""

    house: House
    upstream: StrictUpstream


@pytest.fixture
async def fronted() -> AsyncIterator[Fronted]:
    async with strict_upstream() as upstream:
        config = Config(backends=(ChatSettings(url=upstream.url),), store=IN_MEMORY)
        async with running(config) as app:
            yield Fronted(House(app), upstream)


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
