"""Another Antiphon as an upstream: a whole server with scripted models, on loopback."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from antiphon.app import App, running
from antiphon.config import Config, KeySettings, ScriptedSettings, StoreSettings
from antiphon.observe import Observers
from tests.server.socket_client import Front, configured

KEY = "sk-upstream"


@asynccontextmanager
async def upstream_antiphon(observe: Observers | None = None) -> AsyncIterator[tuple[App, str]]:
    """The server and its base address, ending in ``/v1``; it wants ``KEY``."""
    config = Config(
        backends=(ScriptedSettings(),),
        store=StoreSettings(file=":memory:"),
        keys=(KeySettings(key=KEY),),
    )
    async with (
        running(config, observe=observe) as app,
        Front(configured(app.asgi, app.deps)).listening() as port,
    ):
        yield app, f"http://127.0.0.1:{port}/v1"
