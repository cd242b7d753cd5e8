"""A whole server in this process: scripted models, a store in memory, everything observed.

Every test that uses a fixture of a house runs over each road in ``ROADS``: ``asgi`` calls the
application, ``socket`` speaks HTTP to the protocol class before it. What makes sense on one
road only is marked ``@over_asgi`` or ``@over_socket``.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import httpx2
import msgspec
import pytest

from antiphon.app import App
from antiphon.backends.base import Backend
from antiphon.backends.scripted import Scripted
from antiphon.config import RunSettings, ServerSettings
from antiphon.ids import Ids
from antiphon.observe import RequestFinished
from antiphon.process import _uvicorn_config
from antiphon.runs.driver import Runs
from antiphon.sealing.aes import Sealer
from antiphon.server.asgi import Deps, build
from antiphon.server.auth import Keys
from antiphon.store.sqlite import SqliteStore
from tests.server.asgi_client import AsgiClient
from tests.server.socket_client import Connection, Front, SocketClient, Told, configured

ROADS = ("asgi", "socket")
over_asgi = pytest.mark.parametrize("road", ["asgi"], indirect=True)
over_socket = pytest.mark.parametrize("road", ["socket"], indirect=True)

Client = AsgiClient | SocketClient

KEYS = {"sk-alpha": "alpha", "sk-beta": "beta"}


@dataclass
class House:
    """The server and what it told. ``problems`` is what readiness will report."""

    deps: Deps
    observed: Told
    road: str
    problems: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.app: Any = build(self.deps)
        self._clients: list[SocketClient] = []
        self.client = self.asking()

    def finished(self) -> list[RequestFinished]:
        return self.observed.requests

    def asking(
        self, app: Any = None, *, deps: Deps | None = None, headers: Mapping[str, str] | None = None
    ) -> Client:
        """A client of an application (ours, if none is given) over the road of this test."""
        if self.road == "asgi":
            return AsgiClient(app or self.app, headers=headers)
        config = configured(app or self.app, deps or self.deps)
        client = SocketClient(config, self.observed, self.deps.runs.close, headers=headers)
        self._clients.append(client)
        return client

    def having(self, **changes: Any) -> Client:
        """A client of the same server with other settings or dependencies."""
        known = set(ServerSettings.__struct_fields__)
        settings = {name: value for name, value in changes.items() if name in known}
        others = {name: value for name, value in changes.items() if name not in known}
        changed = msgspec.structs.replace(ServerSettings(), **settings)
        deps = replace(self.deps, settings=changed, **others)
        return self.asking(build(deps), deps=deps)

    async def close(self) -> None:
        for client in self._clients:
            await client.close()


@asynccontextmanager
async def asking(
    app: App, road: str, *, headers: Mapping[str, str] | None = None
) -> AsyncIterator[Client]:
    """A client of the whole server, served over the second road as ``antiphon serve`` would."""
    if road == "asgi":
        yield AsgiClient(app.asgi, headers=headers)
        return
    told = Told()
    app.observe.subscribe(told)
    client = SocketClient(_uvicorn_config(app), told, app.runs.close, headers=headers)
    yield client
    await client.close()


@asynccontextmanager
async def dialled(app: App | House, road: str) -> AsyncIterator[tuple[str, Any]]:
    """Where a server is over this road, for clients with connections of their own: its origin,
    and the transport that reaches it."""
    if road == "asgi":
        called = app.asgi if isinstance(app, App) else app.app
        yield "http://antiphon", httpx2.ASGITransport(app=called)
        return
    config = _uvicorn_config(app) if isinstance(app, App) else configured(app.app, app.deps)
    async with Front(config).listening() as port:
        yield f"http://127.0.0.1:{port}", httpx2.AsyncHTTPTransport()


@pytest.fixture(params=ROADS)
def road(request: pytest.FixtureRequest) -> str:
    """Over which the tests of a house ask."""
    return str(request.param)


async def opened(
    backend: Backend, keys: Mapping[str, str], road: str = "asgi"
) -> AsyncIterator[House]:
    observed = Told()
    problems: dict[str, str] = {}
    store, ids = SqliteStore(":memory:", observe=observed), Ids()
    await store.open()

    async def ready() -> Mapping[str, str]:
        return problems

    runs = Runs(
        backend=backend,
        store=store,
        ids=ids,
        settings=RunSettings(),
        retention_ms=None,
        observe=observed,
        seals=Sealer(lambda: (b"0123456789abcdef" * 2,)),
    )
    deps = Deps(
        runs=runs,
        store=store,
        backend=backend,
        keys=Keys(keys),
        settings=ServerSettings(),
        ids=ids,
        version="1.2.3",
        observe=observed,
        ready=ready,
        metrics=lambda: (b"up 1\n", "text/plain; version=0.0.4"),
    )
    house = House(deps, observed, road, problems)
    yield house
    await house.close()
    await runs.close()
    await store.close()


@pytest.fixture
async def house(road: str) -> AsyncIterator[House]:
    """Open to everybody."""
    async for house in opened(Scripted(), {}, road):
        yield house


@pytest.fixture
async def locked(road: str) -> AsyncIterator[House]:
    """Two projects, each with its key."""
    async for house in opened(Scripted(), KEYS, road):
        yield house


@pytest.fixture
def quiet(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Whatever a stranger sends is no error of ours, and no warning of the event loop."""
    yield
    loud = [
        record
        for record in caplog.get_records("call")
        if record.levelno >= logging.ERROR or record.name == "asyncio"
    ]
    assert loud == []


@pytest.fixture
async def line(house: House) -> AsyncIterator[Connection]:
    """One connection to an open server."""
    connection = await Front(configured(house.app, house.deps)).connect()
    yield connection
    await connection.close()


@pytest.fixture
async def locked_line(locked: House) -> AsyncIterator[Connection]:
    """One connection to a server with keys."""
    connection = await Front(configured(locked.app, locked.deps)).connect()
    yield connection
    await connection.close()
