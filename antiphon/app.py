"""The composition root: settings → store, backends, runs, server.

The only file that names concrete backends and stores. Nothing here decides anything about a
request; it says what there is, and in which order it starts and stops:

    store → bus → backends → background → sweeper
        … requests …  sweeper → background → runs → backends → bus → store

A backend or store of another kind is one line in a table below.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, assert_never, cast

import msgspec
from starlette.types import ASGIApp, Receive, Scope, Send

from antiphon import __version__
from antiphon.addresses import Guard
from antiphon.backends.base import Backend, Model
from antiphon.backends.llamacpp_probe import probe
from antiphon.backends.router import Route, Router
from antiphon.bus.base import Bus
from antiphon.bus.local import LocalBus
from antiphon.config import (
    BackendSettings,
    ChatSettings,
    Config,
    LlamaCppSettings,
    ResponsesSettings,
    ScriptedSettings,
    StoreSettings,
    projects,
)
from antiphon.config_sources import load
from antiphon.errors import RemoteError
from antiphon.ids import Ids, now_ms
from antiphon.observe import Broke, EngineChanged, Observation, Observe, Observers, Swept, nobody
from antiphon.runs.background import Background
from antiphon.runs.deliveries import Deliveries
from antiphon.runs.driver import Runs
from antiphon.runs.mcp_servers import McpHouse
from antiphon.runs.webhook_post import Post
from antiphon.runs.webhooks import Webhooks
from antiphon.sealing.aes import Sealer
from antiphon.sealing.keys import master_keys
from antiphon.server import asgi
from antiphon.server.auth import Keys
from antiphon.server.azure import AzureDialect
from antiphon.server.exchange import UnderWay
from antiphon.store.base import Store
from antiphon.store.content import PLAIN, Content
from antiphon.store.keys import ProjectContent, has_keys
from antiphon.store.log import Log
from antiphon.store.log_table import TableLog
from antiphon.store.migrate import Migration
from antiphon.store.runs import StoredRuns
from antiphon.store.sealed import SealedStore
from antiphon.store.webhooks import StoredWebhooks
from antiphon.telemetry.metrics import Metrics
from antiphon.tools.functions import HttpFunction
from antiphon.tools.mcp import Mcp

BACKENDS = {
    ChatSettings: "antiphon.backends.chat:Chat",
    ResponsesSettings: "antiphon.backends.responses:Responses",
    LlamaCppSettings: "antiphon.backends.llamacpp:LlamaCpp",
    ScriptedSettings: "antiphon.backends.scripted:Scripted",
}
STORES = {
    "sqlite": "antiphon.store.sqlite:SqliteStore",
    "postgresql": "antiphon.store.postgres:PostgresStore",
}
NATS_LOG = "antiphon.store.log_nats:NatsLog"
BUSES = {"nats": "antiphon.bus.nats:NatsBus", "postgresql": "antiphon.bus.notify:PostgresBus"}

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
        self.store: Store = store_of(config.store, observe=self.observe)
        self.content: Content = PLAIN
        sealer = _sealer(config)
        if config.encryption.at_rest:
            keys = ProjectContent(self.store, sealer, clock=self.ids.clock, random=os.urandom)
            self.content, self.store = keys, SealedStore(self.store, keys)
        self.bus: Bus = _bus(config, self.observe)
        router = _router(config, self.observe)
        self.backend: Backend = router
        self.runs = Runs(
            backend=self.backend,
            store=self.store,
            ids=self.ids,
            observe=self.observe,
            settings=config.runs,
            retention_ms=config.store.retention_ms,
            projects=config.projects,
            estimator=router.estimator,
            content=self.content,
            seals=sealer,
            compaction=config.compaction,
            functions={one.name: HttpFunction(one) for one in config.functions},
            mcp=McpHouse(Mcp(config.remote_mcp), config.mcp, config.remote_mcp),
        )
        self.webhooks, self.deliveries = self._webhooks(sealer)
        self.background = self.runs.background = self._background()
        self._open = AsyncExitStack()
        self.deps = self._deps()
        self.asgi: ASGIApp = AzureDialect(
            asgi.build(self.deps, lifespan=self._lifespan),
            config.azure,
            body_limit_bytes=config.server.body_limit_bytes,
        )

    def _background(self) -> Background:
        settings = self.config.background
        bus = self.config.bus
        in_nats = bus.kind == "nats" and bus.jetstream
        log_ms = round(settings.log_hours * 3_600_000)
        rows = StoredRuns(
            self.store,
            self.content,
            lease_ms=round(settings.lease_seconds * 1000),
            log_ms=log_ms,
            # Replicas share the database's clock; a file has one process and ours.
            clock=self.ids.clock if self.store.local else None,
            weights={one.name: one.background_weight for one in self.config.projects},
            log_elsewhere=in_nats,
        )
        log: Log = TableLog(self.store, self.content)
        if in_nats:
            client = partial(getattr, self.bus, "client")
            log = _named(NATS_LOG)(client, self.content, log_ms=log_ms, copies=bus.jetstream_copies)
        ending = self.webhooks.ending
        return Background(self.runs, rows, log, self.bus, settings, ending=ending)

    def _webhooks(self, seals: Sealer) -> tuple[Webhooks, Deliveries]:
        settings = self.config.webhooks
        stored = StoredWebhooks(self.store, clock=self.ids.clock if self.store.local else None)
        guard = Guard(settings.allowed)
        post = Post(guard, seconds_max=settings.answer_seconds_max)
        webhooks = Webhooks(
            stored, seals, self.ids, self.bus, post, guard, allow_http=settings.allow_http
        )
        return webhooks, Deliveries(webhooks, stored, self.bus, observe=self.observe)

    def stopping(self) -> None:
        """The process was told to end: what is under way has ``shutdown_seconds`` left."""
        self.background.stop_claiming(self.config.server.shutdown_seconds)

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
            websocket=self.config.websocket,
            webhooks=self.webhooks,
            open_responses=self.config.server.profile == "open-responses",
        )

    @asynccontextmanager
    async def only_store(self) -> AsyncIterator[None]:
        """Open the store and nothing else, for commands that look at what is kept or change it.
        Raises as ``open`` does."""
        check_keys(self.config)
        if self.config.store.keeps_files:
            _make_private(self.config.store.directory)
        await self.store.open()
        try:
            if isinstance(self.content, ProjectContent):
                await self.content.check()
            elif await has_keys(self.store):
                wanted = "this database holds encrypted content: set encryption.at_rest = true"
                raise RemoteError(wanted, status=500)
            yield
        finally:
            await self.store.close()

    async def open(self) -> None:
        """Start everything, once, inside the running loop. Raises ``AntiphonError`` or ``OSError``
        with what is wrong; then nothing stays open."""
        async with AsyncExitStack() as opened:
            await opened.enter_async_context(self.only_store())
            if self.store.local:
                await self.runs.take_over()
            await self.bus.open()
            opened.push_async_callback(self.bus.close)
            opened.push_async_callback(self.deliveries.close)
            await self.deliveries.open()
            await self.backend.open()
            opened.push_async_callback(self.backend.close)
            if self.runs.mcp is not None:
                opened.push_async_callback(self.runs.mcp.servers.close)
            for function in self.runs.functions.values():
                opened.push_async_callback(function.close)
            opened.push_async_callback(self.runs.close)
            opened.push_async_callback(self.background.close)
            await self.background.open()
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
            more = await self._sweep()
            await asyncio.sleep(0 if more else self.config.store.sweep_seconds)

    async def _sweep(self) -> bool:
        """Look once at everything that expires; whether more of it may be left. What fails keeps
        nothing else from being swept. (Webhooks that were not delivered end in `deliveries`.)"""
        now = self.ids.clock()
        counts = [0, 0, 0, 0]
        sweeps: Sequence[Callable[[], Awaitable[int]]] = (
            partial(self.store.sweep, now, SWEEP_ROWS),
            partial(self.runs.completions.sweep, now, SWEEP_ROWS),
            partial(self.background.sweep, SWEEP_ROWS),
            partial(self.runs.sweep, now),
        )
        for place, sweep in enumerate(sweeps):
            try:
                counts[place] = await sweep()
            except RemoteError as error:
                self.observe(Broke("store", error))
        self.observe(Swept(*counts[:3]))
        return max(counts) >= SWEEP_ROWS

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


def store_of(
    settings: StoreSettings, *, observe: Observe = nobody, clock: Callable[[], int] = now_ms
) -> Store:
    """The store these settings mean, not open yet."""
    if settings.url is None:
        made = _named(STORES["sqlite"])(settings.path, observe=observe, clock=clock)
    else:
        made = _named(STORES["postgresql"])(
            settings.url,
            pooler=settings.pooler,
            connections_max=settings.connections_max,
            observe=observe,
            clock=clock,
        )
    return cast(Store, made)


def store_only(config: Config) -> App:
    """For ``App.only_store``: nothing of these settings is asked for an answer."""
    return App(msgspec.structs.replace(config, backends=(ScriptedSettings(),)))


async def pending_migrations(config: Config) -> Sequence[Migration]:
    """What ``migrate_store`` would run. Changes nothing; raises ``RemoteError``."""
    found: Sequence[Migration] = await cast(Any, store_of(config.store)).pending()
    return found


async def migrate_store(config: Config) -> Sequence[Migration]:
    """Bring the schema up to date; what was run. Raises ``RemoteError``."""
    if config.store.keeps_files:
        _make_private(config.store.directory)
    found = await pending_migrations(config)
    store = store_of(config.store)
    await store.open()
    await store.close()
    return found


def engine_problem() -> str | None:
    """Why the embedded engine cannot run on this machine and what to do, or None."""
    found = probe()
    return None if found.ok else found.sentence


def _bus(config: Config, observe: Observe) -> Bus:
    """NATS if it is set, PostgreSQL where replicas share one, else within the process."""
    url, kind = config.bus.url, config.bus.kind
    if url is None and config.store.url is not None:
        url, kind = config.store.url, "postgresql"
        if config.store.pooler:
            raise RemoteError(
                "nobody can listen through a pooler: set bus.url to the direct address of "
                "PostgreSQL, or of NATS",
                status=500,
            )
    return LocalBus() if kind is None else cast(Bus, _named(BUSES[kind])(url, observe=observe))


def _sealer(config: Config) -> Sealer:
    """Seals under the keys of the settings; they are read when they are first needed."""
    store = config.store
    directory = store.directory if store.keeps_files else None
    shared = store.url is not None
    return Sealer(master_keys(config.encryption, directory, shared=shared))


def check_keys(config: Config) -> None:
    """Raise ``RemoteError`` if the settings name master keys that are none: that should not be
    heard from the first request that wants something sealed."""
    named = config.encryption
    if (named.key or named.key_env or named.key_file) is not None:
        master_keys(named, None, shared=True)()


def check_there(config: Config) -> None:
    """Raise ``RemoteError`` if there is no file of a database where the settings say: a command
    that only looks at what is kept must not make an empty one."""
    file = config.store.directory / config.store.file
    if config.store.keeps_files and not file.exists():
        raise RemoteError(f"there is no database at {file}", status=500)


async def purge(config: Config, project: str) -> bool:
    """Drop the key of a project's encrypted content: nobody can read it any more, in backups
    neither. False if it has none. Raises ``AntiphonError`` or ``OSError``."""
    check_there(config)
    store = store_of(config.store, observe=nobody)
    await store.open()
    try:
        keys = ProjectContent(store, _sealer(config), clock=now_ms, random=os.urandom)
        return await keys.drop(project)
    finally:
        await store.close()


def _router(config: Config, observe: Observe) -> Router:
    return Router([_route(settings, observe) for settings in config.backends], observe=observe)


def _route(settings: BackendSettings, observe: Observe) -> Route:
    """A backend and the model names it answers."""
    backend = _backend(settings, observe)
    match settings:
        case ChatSettings() | ResponsesSettings():
            return Route(
                name=settings.name,
                backend=backend,
                models=settings.models,
                rename=settings.rename,
                retries=settings.retries,
            )
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
