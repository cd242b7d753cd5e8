"""Performs runs: model calls, time limits, the one write at the end. Nothing here waits.

Rules. The driver holds no knowledge of items or events: it asks the run what it wants, starts
it at the backend, feeds what the connection pushes, and hands the events to the reader in the
groups in which the network delivered them. Whether the reader streams matters to it only for how
long the first event may keep it waiting.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from time import monotonic
from typing import Any

from antiphon.backends.base import Backend, Call, Pump, Turn
from antiphon.backends.estimate import Estimator
from antiphon.config import RunSettings
from antiphon.ids import Ids
from antiphon.observe import Observe, nobody
from antiphon.runs import stored
from antiphon.runs.context import Context, resolve
from antiphon.runs.documents import Documents
from antiphon.runs.echo import Flavour
from antiphon.runs.listener import Listener
from antiphon.runs.live import Live, Reader, too_slow
from antiphon.runs.memory import Memory
from antiphon.store.base import Store
from antiphon.types.request import CreateResponse

_LOOK_SECONDS_MAX = 1.0
"""How often at least silent model calls are looked at."""


class Runs:
    """Starts responses; one per process. ``retention_ms`` None keeps them for ever;
    ``estimator`` counts tokens where the backend cannot."""

    def __init__(
        self,
        *,
        backend: Backend,
        store: Store,
        ids: Ids,
        settings: RunSettings,
        retention_ms: int | None,
        observe: Observe = nobody,
        estimator: Estimator | None = None,
    ) -> None:
        self.backend = backend
        self.store = store
        self.ids = ids
        self.settings = settings
        self.observe = observe
        self.retention_ms = retention_ms
        self.memory = Memory(settings.memory_bytes, retention_ms=retention_ms, clock=ids.clock)
        self.live: set[Live] = set()
        self._estimator = estimator or Estimator()
        self._documents = Documents()
        self._quiet: asyncio.Future[None] | None = None
        self._looking = False

    async def create(
        self, asked: CreateResponse, *, project: str, flavour: Flavour = "openai"
    ) -> Listener:
        """Begin a response and wait until it has begun. Raises ``ClientError`` or ``RemoteError``
        if there will be none."""
        context = await self.resolve(asked, project, flavour)
        listener = Listener()
        listener.hear(self.start(context, listener))
        await listener.begun()
        return listener

    def resolve(
        self, asked: CreateResponse, project: str, flavour: Flavour
    ) -> Coroutine[Any, Any, Context]:
        """The request checked, its context gathered: to be awaited, or driven ``at_once``. Raises
        ``ClientError`` or ``RemoteError``."""
        return resolve(
            asked,
            project=project,
            flavour=flavour,
            store=self.store,
            backend=self.backend,
            ids=self.ids,
            documents=self._documents,
            settings=self.settings,
            memory=self.memory,
        )

    def start(self, context: Context, reader: Reader) -> Live:
        """Begin the first model call; the reader is called once this has returned."""
        live = Live(self, context, reader)
        live.open()
        self.live.add(live)  # not before: if it cannot be opened nobody would forget it
        if not self._looking:
            self._look_soon()
        return live

    async def count(self, asked: CreateResponse, *, project: str) -> tuple[int, bool]:
        """Input tokens a create with these fields would use, and whether that is exact."""
        context = await self.resolve(asked, project, "openai")
        exact = await self.backend.count(context.turn)
        if exact is not None:
            return exact, True
        return self._estimator.input(context.turn), False

    async def delete(self, project: str, response_id: str) -> bytes:
        """Delete a stored response; the deletion object as JSON. Raises ``ClientError`` 404."""
        body = await stored.delete(self.store, project, response_id)
        self.memory.forget(project, response_id)
        return body

    def call(self, turn: Turn, live: Live) -> Call:
        """Begin a model call."""
        return self.backend.begin(turn, live) or Pump(self.backend.stream(turn), live)

    def _look_soon(self) -> None:
        seconds = min(self.settings.turn_seconds_max / 8, _LOOK_SECONDS_MAX)
        asyncio.get_running_loop().call_later(seconds, self._look)
        self._looking = True

    def _look(self) -> None:
        """End what takes too long and says nothing, for which ``Live.take`` would wait in vain.
        One timer for all, while there are any: none has to be set for every call."""
        self._looking = False
        now = monotonic()
        for live in [live for live in self.live if live.deadline < now]:
            live.broke(too_slow())
        if self.live:
            self._look_soon()

    def forget(self, live: Live) -> None:
        """That response is over and settled."""
        self.live.discard(live)
        if self._quiet is not None and not self.live:
            self._quiet.set_result(None)
            self._quiet = None

    async def close(self) -> None:
        """Cancel what is under way; wait until all of it is written down and closed."""
        for live in list(self.live):
            live.cancel()
        if self.live:
            self._quiet = asyncio.get_running_loop().create_future()
            await self._quiet
