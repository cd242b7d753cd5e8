"""A whole server in this process: scripted models, a store in memory, everything observed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec
import pytest

from antiphon.backends.base import Backend
from antiphon.backends.scripted import Scripted
from antiphon.config import RunSettings, ServerSettings
from antiphon.ids import Ids
from antiphon.observe import Observation, RequestFinished
from antiphon.runs.driver import Runs
from antiphon.server.asgi import Deps, build
from antiphon.server.auth import Keys
from antiphon.store.sqlite import SqliteStore
from tests.server.asgi_client import AsgiClient

KEYS = {"sk-alpha": "alpha", "sk-beta": "beta"}


@dataclass
class House:
    """The server and what it told. ``problems`` is what readiness will report."""

    deps: Deps
    observed: list[Observation]
    problems: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.app: Any = build(self.deps)
        self.client = AsgiClient(self.app)

    def finished(self) -> list[RequestFinished]:
        return [told for told in self.observed if isinstance(told, RequestFinished)]

    def having(self, **changes: Any) -> AsgiClient:
        """A client of the same server with other settings or dependencies."""
        known = set(ServerSettings.__struct_fields__)
        settings = {name: value for name, value in changes.items() if name in known}
        others = {name: value for name, value in changes.items() if name not in known}
        changed = msgspec.structs.replace(ServerSettings(), **settings)
        return AsgiClient(build(replace(self.deps, settings=changed, **others)))


async def opened(backend: Backend, keys: Mapping[str, str]) -> AsyncIterator[House]:
    observed: list[Observation] = []
    problems: dict[str, str] = {}
    store, ids = SqliteStore(":memory:", observe=observed.append), Ids()
    await store.open()

    async def ready() -> Mapping[str, str]:
        return problems

    runs = Runs(
        backend=backend,
        store=store,
        ids=ids,
        settings=RunSettings(),
        retention_ms=None,
        observe=observed.append,
    )
    deps = Deps(
        runs=runs,
        store=store,
        backend=backend,
        keys=Keys(keys),
        settings=ServerSettings(),
        ids=ids,
        version="1.2.3",
        observe=observed.append,
        ready=ready,
        metrics=lambda: (b"up 1\n", "text/plain; version=0.0.4"),
    )
    yield House(deps, observed, problems)
    await runs.close()
    await store.close()


@pytest.fixture
async def house() -> AsyncIterator[House]:
    """Open to everybody."""
    async for house in opened(Scripted(), {}):
        yield house


@pytest.fixture
async def locked() -> AsyncIterator[House]:
    """Two projects, each with its key."""
    async for house in opened(Scripted(), KEYS):
        yield house
