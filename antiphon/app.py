"""The composition root: settings → store, backends, runs, server.

The only file that names concrete backends and stores. Nothing here decides anything about a
request; it says what there is, and in which order it starts and stops:

    store → backends → sweeper    … requests …    requests → sweeper → runs → backends → store

A backend or store of another kind is one line in a table below.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from importlib import import_module
from pathlib import Path
from typing import Any, assert_never, cast

from starlette.types import ASGIApp, Receive, Scope, Send

from antiphon import __version__
from antiphon.backends.base import Backend, Model
from antiphon.backends.llamacpp_probe import probe
from antiphon.backends.router import Route, Router
from antiphon.config import (
    BackendSettings,
    ChatSettings,
    Config,
    LlamaCppSettings,
    ScriptedSettings,
    projects,
)
from antiphon.config_sources import load
from antiphon.errors import RemoteError
from antiphon.ids import Ids
from antiphon.observe import Broke, EngineChanged, Observation, Observe, Observers, Swept, nobody
from antiphon.runs.driver import Runs
from antiphon.server import asgi
from antiphon.server.auth import Keys
from antiphon.server.azure import AzureDialect
from antiphon.server.exchange import UnderWay
from antiphon.store.base import Store
from antiphon.telemetry.metrics import Metrics

BACKENDS = {
    ChatSettings: "antiphon.backends.chat:Chat",
    LlamaCppSettings: "antiphon.backends.llamacpp:LlamaCpp",
    ScriptedSettings: "antiphon.backends.scripted:Scripted",
}
STORE = "antiphon.store.sqlite:SqliteStore"

DRAIN_SECONDS_MAX = 10.0
"""How long closing waits for requests that were cancelled to write down how they ended."""

SWEEP_ROWS = 500


class App:
    """Everything that runs, built from ``config`` but not yet started. ``asgi`` answers requests;
    ``deps`` is what it and the hot routes are made of.

    ``observe`` carries what happens to its subscribers; the metrics are one already.
    """

    def __init__(self, config: Config, *, observe: Observers | None = None) -> None:
        self.config = config
        self.observe = observe or Observers()
        self.ids = Ids()
        self.under_way = UnderWay()
        self.metrics = Metrics(in_flight=lambda: self.under_way.count)
        self.observe.subscribe(self.metrics)
        self._engine: EngineChanged | None = None
        self.observe.subscribe(self._watch_engine, EngineChanged)
        self.store: Store = _named(STORE)(config.store.path, observe=self.observe)
        router = _router(config, self.observe)
        self.backend: Backend = router
        self.runs = Runs(
            backend=self.backend,
            store=self.store,
            ids=self.ids,
            observe=self.observe,
            settings=config.runs,
            retention_ms=config.store.retention_ms,
            estimator=router.estimator,
        )
        self._open = AsyncExitStack()
        self.deps = self._deps()
        self.asgi: ASGIApp = AzureDialect(
            asgi.build(self.deps, lifespan=self._lifespan),
            config.azure,
            body_limit_bytes=config.server.body_limit_bytes,
        )

    def _deps(self) -> asgi.Deps:
        return asgi.Deps(
            runs=self.runs,
            store=self.store,
            backend=self.backend,
            keys=Keys(projects(self.config)),
            settings=self.config.server,
            ids=self.ids,
            version=__version__,
            observe=self.observe,
            ready=self._problems,
            metrics=self.metrics.render,
            under_way=self.under_way,
        )

    async def open(self) -> None:
        """Start everything, once, inside the running loop. Raises ``AntiphonError`` or ``OSError``
        with what is wrong; then nothing stays open."""
        async with AsyncExitStack() as opened:
            if self.config.store.path != ":memory:":
                _make_private(self.config.store.directory)
            await self.store.open()
            opened.push_async_callback(self.store.close)
            await self.backend.open()
            opened.push_async_callback(self.backend.close)
            opened.push_async_callback(self.runs.close)
            sweeper = asyncio.create_task(self._sweep_for_ever(), name="sweeper")
            sweeper.add_done_callback(self._sweeper_ended)
            opened.push_async_callback(_stop, sweeper)
            opened.push_async_callback(self._drain)
            self._open = opened.pop_all()

    async def close(self) -> None:
        """Stop everything in reverse. Requests still under way get a moment to end."""
        await self._open.aclose()

    @asynccontextmanager
    async def _lifespan(self, application: Any) -> AsyncIterator[None]:
        await self.open()
        try:
            yield
        finally:
            await self.close()

    async def _drain(self) -> None:
        try:
            async with asyncio.timeout(DRAIN_SECONDS_MAX):
                await self.under_way.drained()
        except TimeoutError:
            pass  # they are cut off by the store and the backends closing under them

    def _watch_engine(self, observation: Observation) -> None:
        if isinstance(observation, EngineChanged):
            self._engine = observation

    async def _problems(self) -> Mapping[str, str]:
        problems = {}
        if self._engine is not None and self._engine.state != "ready":
            problems["engine"] = f"{self._engine.state}: {self._engine.detail}"
        try:
            await self.store.ping()
        except RemoteError as error:
            problems["store"] = error.message
        return problems

    async def _sweep_for_ever(self) -> None:
        while True:
            try:
                count = await self.store.sweep(self.ids.clock(), SWEEP_ROWS)
                self.observe(Swept(count))
            except RemoteError as error:
                self.observe(Broke("store", error))
                count = 0
            await asyncio.sleep(0 if count >= SWEEP_ROWS else self.config.store.sweep_seconds)

    def _sweeper_ended(self, sweeper: asyncio.Task[None]) -> None:
        error = None if sweeper.cancelled() else sweeper.exception()
        if error is not None:  # nobody awaits it, and without it nothing expires
            self.observe(Broke("store", error))


@asynccontextmanager
async def running(config: Config, *, observe: Observers | None = None) -> AsyncIterator[App]:
    """The whole server in this process, without a socket: started, then stopped."""
    app = App(config, observe=observe)
    await app.open()
    try:
        yield app
    finally:
        await app.close()


def create() -> ASGIApp:
    """For ASGI servers of your own choice (``SERVER antiphon.app:create --factory``). Settings
    come from ``ANTIPHON_CONFIG`` and ``ANTIPHON__…``; it opens and closes with the lifespan."""
    app = App(load(environment=os.environ).config)

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        """A function, because uvicorn takes a bound method for an ASGI 2 application."""
        await app.asgi(scope, receive, send)

    return application


@asynccontextmanager
async def backend_of(settings: BackendSettings) -> AsyncIterator[Backend]:
    """One backend by itself, opened; for those who only want to look at it."""
    backend = _backend(settings, nobody)
    await backend.open()
    try:
        yield backend
    finally:
        await backend.close()


async def models_of(config: Config) -> list[Model]:
    """What ``/v1/models`` would list."""
    router = _router(config, nobody)
    await router.open()
    try:
        return list(await router.models())
    finally:
        await router.close()


def engine_problem() -> str | None:
    """Why the embedded engine cannot run on this machine and what to do, or None."""
    found = probe()
    return None if found.ok else found.sentence


def _router(config: Config, observe: Observe) -> Router:
    return Router([_route(settings, observe) for settings in config.backends], observe=observe)


def _route(settings: BackendSettings, observe: Observe) -> Route:
    """A backend and the model names it answers."""
    backend = _backend(settings, observe)
    match settings:
        case ChatSettings(name=name, models=models, rename=rename, retries=retries):
            return Route(name=name, backend=backend, models=models, rename=rename, retries=retries)
        case LlamaCppSettings(model_name=model):
            return Route(name="llamacpp", backend=backend, models=(model,))
        case ScriptedSettings():
            return Route(name="scripted", backend=backend, models=("scripted/*",))
        case _:
            assert_never(settings)


def _backend(settings: BackendSettings, observe: Observe) -> Backend:
    made = _named(BACKENDS[type(settings)])
    if isinstance(settings, ScriptedSettings):
        return cast(Backend, made())
    return cast(Backend, made(settings, observe=observe))


def _make_private(directory: Path) -> None:
    """Conversations are nobody else's business: a new data directory is ours alone."""
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise OSError(f"cannot create the data directory {directory}: {error.strerror}") from None


async def _stop(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait([task])


def _named(path: str) -> Any:
    module, _, name = path.partition(":")
    return getattr(import_module(module), name)
