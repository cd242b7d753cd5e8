"""A server of each profile on loopback, with scripted models."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx2
import pytest

from antiphon.app import running
from antiphon.config import Config, ScriptedSettings, ServerSettings, StoreSettings
from tests.conformance.conftest import served
from tests.open_responses.client import Asking

PROFILES = ("openai", "open-responses")


@asynccontextmanager
async def asking(profile: str) -> AsyncIterator[Asking]:
    server = ServerSettings(profile="openai" if profile == "openai" else "open-responses")
    memory = StoreSettings(file=":memory:")
    config = Config(backends=(ScriptedSettings(),), store=memory, server=server)
    async with running(config) as app, served(app) as port, httpx2.AsyncClient() as http:
        url = f"http://127.0.0.1:{port}/v1"
        yield Asking(http, url, "none", "scripted/echo", "scripted/tool")


@pytest.fixture(params=PROFILES)
def profile(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def server(profile: str) -> AsyncIterator[Asking]:
    async with asking(profile) as server:
        yield server


@pytest.fixture
async def profiled() -> AsyncIterator[Asking]:
    async with asking("open-responses") as server:
        yield server


@pytest.fixture
async def usual() -> AsyncIterator[Asking]:
    async with asking("openai") as server:
        yield server
