"""Performs runs: model calls, time limits, the one write at the end. Nothing here waits.

Rules. The driver holds no knowledge of items or events: it asks the run what it wants, starts
it at the backend, feeds what the connection pushes, and hands the events to the reader in the
groups in which the network delivered them. Whether the reader streams matters to it only for how
long the first event may keep it waiting.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Any

from antiphon.backends.base import Backend, Call, Pump, Turn
from antiphon.backends.estimate import Estimator
from antiphon.config import RunSettings
from antiphon.config_state import CompactionSettings, ProjectSettings
from antiphon.errors import ClientError
from antiphon.ids import Ids
from antiphon.observe import Observe, nobody
from antiphon.runs import stored
from antiphon.runs.context import Begun, Context, resolve
from antiphon.runs.conversations import Threads
from antiphon.runs.documents import Documents
from antiphon.runs.echo import Flavour
from antiphon.runs.fitting import Fitting
from antiphon.runs.held import Holding
from antiphon.runs.idempotency import Claim, Repeats
from antiphon.runs.leases import Leases
from antiphon.runs.listener import Listener
from antiphon.runs.live import Live, Reader, too_slow
from antiphon.runs.mcp_servers import McpHouse
from antiphon.runs.memory import Memory, Remembering
from antiphon.runs.retention import Retention
from antiphon.runs.wishes import cannot
from antiphon.sealing.base import Seals
from antiphon.store import conversations, idempotency
from antiphon.store.base import Store
from antiphon.store.completions import Completions
from antiphon.store.content import PLAIN, Content
from antiphon.store.conversations import Conversations
from antiphon.tools.base import ServerTool
from antiphon.types.request import CreateResponse

if TYPE_CHECKING:
    from antiphon.runs.background import Background

_LOOK_SECONDS_MAX = 1.0
"""How often at least silent model calls are looked at."""


class Runs:
    """Starts responses; one per process. ``retention_ms`` None keeps them for ever,
    where ``projects`` do not say otherwise; ``estimator`` counts tokens where the backend cannot;
    ``content`` is how what is said is stored; ``seals`` opens and closes what callers carry for
    us; ``functions`` are answered by the server, by name; ``mcp`` reaches MCP servers.
    ``background`` is set by whoever makes responses in the background."""

    def __init__(
        self,
        *,
        backend: Backend,
        store: Store,
        ids: Ids,
        settings: RunSettings,
        retention_ms: int | None,
        projects: Sequence[ProjectSettings] = (),
        observe: Observe = nobody,
        estimator: Estimator | None = None,
        content: Content = PLAIN,
        seals: Seals | None = None,
        compaction: CompactionSettings | None = None,
        functions: Mapping[str, ServerTool] = {},
        mcp: McpHouse | None = None,
    ) -> None:
        self.backend = backend
        self.store = store
        self.ids = ids
        self.settings = settings
        self.observe = observe
        self.retention = Retention(retention_ms, projects)
        self.memory = Memory(settings.memory_bytes, retention=self.retention, clock=ids.clock)
        self.memory.shared = not store.local
        self.leases = Leases(store, ids.clock, observe=observe)
        self.repeats = Repeats(store, self.leases, ids)
        self.holding = Holding(Conversations(store, content), self.leases, self.memory)
        self.completions = Completions(store, content)
        self.threads = Threads(store, self.holding, ids, settings, self.retention)
        self.live: set[Live] = set()
        self.functions = functions
        self.mcp = mcp
        self.background: Background | None = None
        self._estimator = estimator or Estimator()
        self.fitting = Fitting(seals, compaction or CompactionSettings(), self._estimator)
        self._documents = Documents()
        self._quiet: asyncio.Future[None] | None = None
        self._looking = False

    async def create(
        self,
        asked: CreateResponse,
        *,
        project: str,
        flavour: Flavour = "openai",
        claim: Claim | None = None,
        lenient: bool = False,
    ) -> Listener:
        """Begin a response and wait until it has begun. Raises ``ClientError`` or ``RemoteError``
        if there will be none. ``claim``: the idempotency key it is made for; ``lenient``: for a
        coding agent."""
        if asked.background:
            if claim is not None:
                claim.give_up()
            raise cannot(
                "Unsupported parameter: 'background' is not available here.",
                "background",
                "unsupported_parameter",
            )
        resolving = self.resolve(asked, project, flavour, lenient=lenient)
        context = await self.claimed(resolving, claim)
        listener = Listener()
        listener.hear(self.start(context, listener))
        await listener.begun()
        return listener

    def resolve(
        self,
        asked: CreateResponse,
        project: str,
        flavour: Flavour,
        memory: Remembering | None = None,
        warm: bool = False,
        counting: bool = False,
        begun: Begun | None = None,
        stores: bool = True,
        lenient: bool = False,
    ) -> Coroutine[Any, Any, Context]:
        """The request checked, its context gathered: to be awaited, or driven ``at_once``. Raises
        ``ClientError`` or ``RemoteError``. ``memory``: a connection's own, before the process's;
        ``warm``: for ``start`` with the same; ``counting``: not for ``start``; ``begun``: once
        more; ``stores``: the caller sees to it that nothing is stored, if not; ``lenient``: for a
        coding agent (``runs.unsupported_tools``). A context that is not started has to be
        abandoned."""
        if stores and begun is None and not counting and self.retention.zero(project):
            again = partial(
                self.resolve,
                project=project,
                flavour=flavour,
                memory=memory,
                warm=warm,
                stores=False,
                lenient=lenient,
            )
            return self._unstored(asked, project, again)
        resolving = resolve(
            asked,
            project=project,
            flavour=flavour,
            store=self.store,
            backend=self.backend,
            ids=self.ids,
            documents=self._documents,
            settings=self.settings,
            memory=self.memory if memory is None else memory,
            warm=warm,
            holding=self.holding,
            counting=counting,
            begun=begun,
            fitting=self.fitting,
            functions=self.functions,
            mcp=self.mcp,
            lenient=lenient,
        )
        if asked.previous_response_id is None or self.background is None:
            return resolving
        return self.background.explaining(resolving, project, asked.previous_response_id)

    async def _unstored(
        self,
        asked: CreateResponse,
        project: str,
        resolve: Callable[[CreateResponse], Coroutine[Any, Any, Context]],
    ) -> Context:
        """The context of a response that must not be stored, whatever the request says."""
        context = await resolve(self.retention.unstored(asked, project))
        if asked.store is True:
            context.downgrades = ["store", *context.downgrades]
        return context

    async def claimed(
        self, resolving: Coroutine[Any, Any, Context], claim: Claim | None
    ) -> Context:
        """What the coroutine resolves to, made for this idempotency key: the key is answered when
        the response ends, and free again if there is none."""
        if claim is None:
            return await resolving
        try:
            context = await resolving
        except BaseException as failure:
            gone = claim.give_up()
            if isinstance(failure, ClientError):
                await gone  # who is refused may come again at once
            raise
        context.also = (*context.also, claim.ending)
        context.abandoned = (*context.abandoned, claim.give_up)
        context.outlives = True
        return context

    async def take_over(self) -> None:
        """This process has the store to itself: what others held when they died is free."""
        await self.store.change(conversations.erase_leases)
        await self.store.change(idempotency.free_all)

    async def sweep(self, now: int) -> int:
        """Erase what nobody can ask for any more, beside responses (``now`` in ms); how many keys
        of requests."""
        await self.threads.sweep(now)
        return await self.repeats.sweep(now)

    def start(self, context: Context, reader: Reader, *, warm: bool = False) -> Live:
        """Begin the first model call; the reader is called once this has returned. ``warm``: make
        the response without a model call and without output."""
        live = Live(self, context, reader)
        try:
            if warm:
                live.warm()
            else:
                live.open()
        except BaseException:
            context.abandon()
            raise
        self.live.add(live)  # not before: if it cannot be opened nobody would forget it
        if not self._looking:
            self._look_soon()
        return live

    def adopt(self, live: Live) -> None:
        """See that a response begun elsewhere does not wait for its model for ever."""
        self.live.add(live)
        if not self._looking:
            self._look_soon()

    async def count(
        self, asked: CreateResponse, *, project: str, lenient: bool = False
    ) -> tuple[int, bool]:
        """Input tokens a create with these fields would use, and whether that is exact."""
        context = await self.resolve(asked, project, "openai", counting=True, lenient=lenient)
        exact = await self.backend.count(context.turn)
        if exact is not None:
            return exact, True
        return self._estimator.input(context.turn), False

    async def delete(self, project: str, response_id: str) -> bytes:
        """Delete a stored response; the deletion object as JSON. Raises ``ClientError`` 404."""
        background = self.background
        running = background is not None and await background.delete(project, response_id)
        body = await stored.delete(self.store, project, response_id, running=running)
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
            live.break_off()
        if self.live:
            self._quiet = asyncio.get_running_loop().create_future()
            await self._quiet
