"""A receiver on this machine, and servers that may send to it."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import msgspec
import pytest
from aiohttp import web
from openai import AsyncOpenAI

from antiphon.app import App, running
from antiphon.config import Config, KeySettings, ScriptedSettings, StoreSettings
from antiphon.config_state import EncryptionSettings, WebhookSettings
from antiphon.observe import Observers, WebhookTried

SECONDS_MAX = 10.0
ENDED = ["response.completed", "response.failed", "response.cancelled", "response.incomplete"]


class Receiver:
    """Remembers what arrives. Answers with ``statuses``, one after the other, then 204;
    ``hangs``: not at all, for so many seconds."""

    def __init__(self) -> None:
        self.arrived: list[tuple[dict[str, str], bytes]] = []
        self.statuses: list[int] = []
        self.hangs = 0.0
        self.tls: ssl.SSLContext | None = None
        self.port = 0
        self._news = asyncio.Event()
        self._runner: web.ServerRunner | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hooks"

    async def _answer(self, request: web.BaseRequest) -> web.Response:
        body = await request.read()
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.arrived.append((headers | {":path": request.path}, body))
        self._news.set()
        if self.hangs:
            await asyncio.sleep(self.hangs)
        status = self.statuses.pop(0) if self.statuses else 204
        location = {"location": f"{self.url}/elsewhere"} if status in (301, 302, 307) else {}
        return web.Response(status=status, headers=location)

    async def start(self) -> None:
        self._runner = web.ServerRunner(web.Server(self._answer), shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port, ssl_context=self.tls)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()

    async def until(self, count: int) -> Sequence[tuple[dict[str, str], bytes]]:
        async with asyncio.timeout(SECONDS_MAX):
            while len(self.arrived) < count:
                self._news.clear()
                await self._news.wait()
        return self.arrived


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    await receiver.start()
    yield receiver
    await receiver.stop()


class Tried:
    """What deliveries told."""

    def __init__(self, observers: Observers) -> None:
        self.seen: list[WebhookTried] = []
        self.news = asyncio.Event()
        observers.subscribe(self._see, WebhookTried)

    def _see(self, observation: Any) -> None:
        self.seen.append(observation)
        self.news.set()


def config(
    directory: Path, *, store: str | None = None, keys: Sequence[str] = (), **webhooks: Any
) -> Config:
    given: dict[str, Any] = {"allow_http": True, "allowed": ["127.0.0.1"], **webhooks}
    return Config(
        store=StoreSettings(data=str(directory), url=store),
        backends=(ScriptedSettings(),),
        keys=tuple(KeySettings(key=key, project=key) for key in keys),
        webhooks=WebhookSettings(**given),
    )


@asynccontextmanager
async def client_of(app: App, key: str = "any", path: str = "/v1") -> AsyncIterator[AsyncOpenAI]:
    async with AsyncOpenAI(
        api_key=key,
        base_url=f"http://antiphon{path}",
        http_client=httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app.asgi)),
        max_retries=0,
        _strict_response_validation=True,
    ) as client:
        yield client


@pytest.fixture
def seal_key(monkeypatch: pytest.MonkeyPatch) -> EncryptionSettings:
    """A key for servers that share a database."""
    monkeypatch.setenv("TEST_SEAL_KEY", "QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUE=")
    return EncryptionSettings(key_env="TEST_SEAL_KEY")


@pytest.fixture
async def app(
    store_settings: StoreSettings, seal_key: EncryptionSettings, tmp_path: Path
) -> AsyncIterator[App]:
    """One server that may send to this machine, over plain HTTP; over each store."""
    settings = config(tmp_path, store=store_settings.url)
    async with running(msgspec.structs.replace(settings, encryption=seal_key)) as app:
        yield app


@pytest.fixture
async def client(app: App) -> AsyncIterator[AsyncOpenAI]:
    async with client_of(app) as client:
        yield client
