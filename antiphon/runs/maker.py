"""Makes background responses: what one process claims, keeps alive, gives back.

A process claims what it has room for, renews its leases (``beat``), and stops at once what it has
lost. Whatever it claims it makes from the row and the log alone, so a run that was begun by a
process that died goes on like one that was just queued. A process that ends hands its runs over.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from time import monotonic
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from antiphon.bus.base import LOOK_SECONDS, Bus, Subscription
from antiphon.config_state import BackgroundSettings
from antiphon.errors import ClientError, RemoteError
from antiphon.observe import Broke, QueueSeen, RunChanged
from antiphon.runs.context import Context, Ending
from antiphon.runs.journal import Journal, Record
from antiphon.runs.order import bare_context_of, context_of
from antiphon.runs.steps import Steps
from antiphon.runs.tail import Tails
from antiphon.runs.unattended import Unattended
from antiphon.store.base import T
from antiphon.store.log import Claim, Log
from antiphon.store.runs import ClaimedRun, StoredRuns
from antiphon.store.work import Fenced
from antiphon.stream.resume import opened
from antiphon.types.events import Event

if TYPE_CHECKING:
    from antiphon.runs.driver import Runs

ATTEMPTS_MAX = 5
"""A run that was claimed so often is not made again: what it does to its makers is not known."""

_BEATS_PER_LEASE = 3
_STORED_WAIT_SECONDS = 2.0
"""How long a process that ends waits for responses that only have to be stored."""

_COUNT_SECONDS = 10.0
"""How often the queue of all replicas is counted."""

_CONFLICT = 409


class _Held(Struct, eq=False):
    """A run of ours. ``live`` is None until its context is gathered."""

    claim: Claim
    subscription: Subscription
    live: Unattended | None = None
    record: Record | None = None
    cancel_asked: bool = False
    lost: bool = False


class Maker:
    """The runs of one process. ``owner`` is its name in their rows."""

    def __init__(
        self,
        runs: Runs,
        rows: StoredRuns,
        log: Log,
        bus: Bus,
        settings: BackgroundSettings,
        tails: Tails,
        *,
        ending: Callable[[str], Ending] | None = None,
    ) -> None:
        """``ending`` gives what else is written with the end of a project's responses."""
        self.owner = runs.ids.mint("own")
        self._ending = ending
        self._rows = rows
        self._log = log
        self._runs = runs
        self._bus = bus
        self._settings = settings
        self._observe = runs.observe
        self._journal = Journal(log, bus, tails, observe=runs.observe, over=self._ended)
        self._held: dict[str, _Held] = {}
        self._entering = 0
        self._claiming = False
        self._drained_by = 0.0
        self._contact_since: float | None = None
        self._seen = QueueSeen(0, 0)
        self._counted_at = 0.0
        self._wake = asyncio.Event()
        self._changed = asyncio.Event()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._loops: list[asyncio.Task[None]] = []
        self._subscriptions: list[Subscription] = []

    @property
    def making(self) -> int:
        """How many runs are ours."""
        return len(self._held)

    def has(self, id: str) -> bool:
        return id in self._held

    async def open(self) -> None:
        """Take over what a process before this one left, and begin to look for work."""
        if self._runs.store.local:  # there is no other process
            await self._rows.release_all()
        self._claiming = self._settings.runs_max > 0
        self._wake.set()
        self._subscriptions = [
            self._bus.subscribe("queue", lambda payload: self._wake.set()),
        ]
        for step in (self._look_again, self._beat_again, self._journal.write):
            task = asyncio.create_task(self._repeat(step), name=f"background {step.__name__}")
            self._loops.append(task)

    def stop_claiming(self, seconds: float) -> None:
        """The process is about to end: begin nothing more; ``drain`` will wait for what is under
        way until so many seconds from now."""
        self._claiming = False
        self._drained_by = monotonic() + seconds

    async def drain(self) -> None:
        """Wait for what is under way, then hand over what is left: another process may claim it
        as soon as this returns."""
        if self._claiming:
            self.stop_claiming(0)
        await self._wait_for(lambda: not self._held and not self._entering, self._drained_by)
        # What the database is just giving us would be nobody's until its lease is over.
        await self._wait_for(lambda: not self._entering, monotonic() + _STORED_WAIT_SECONDS)
        for held in self._held.values():
            if held.live is not None:
                held.live.pause_for_good()
        await self._wait_for(self._all_logged, monotonic() + _STORED_WAIT_SECONDS)
        left = list(self._held.values())
        try:
            await self._rows.release([held.claim for held in left])
        except RemoteError as error:
            self._observe(Broke("store", error))  # their leases run out
        for held in left:
            self._lose(held)
        if left:
            self._bus.publish("queue")

    async def close(self) -> None:
        """``drain``, then end."""
        await self.drain()
        for subscription in self._subscriptions:
            subscription.end()
        for task in (*self._loops, *self._tasks):
            task.cancel()
        if self._loops:
            await asyncio.wait([*self._loops, *self._tasks])

    def _all_logged(self) -> bool:
        return all(
            held.record is None or held.live is None or (held.record.logged and not held.live.over)
            for held in self._held.values()
        )

    async def _wait_for(self, done: Callable[[], bool], until: float) -> None:
        while not done() and monotonic() < until:
            self._changed.clear()
            try:
                async with asyncio.timeout(min(0.05, max(0.0, until - monotonic()))):
                    await self._changed.wait()
            except TimeoutError:
                pass

    async def _repeat(self, step: Callable[[], Awaitable[None]]) -> None:
        """For ever: a step that fails is told of and taken again."""
        while True:
            try:
                await step()
            except RemoteError as error:
                self._lost_contact(error)
            except Exception as error:
                self._observe(Broke("run", error))
                await asyncio.sleep(LOOK_SECONDS)

    # -- claiming ---------------------------------------------------------------------------

    def has_room(self) -> bool:
        return self._claiming and len(self._held) + self._entering < self._settings.runs_max

    async def enter(self, claiming: Callable[[str | None], Awaitable[ClaimedRun | None]]) -> bool:
        """Put a run in the queue, as ours if there is room: ``claiming`` is told for whom it does.
        Whether it is ours."""
        ours = self.has_room()
        self._entering += ours
        try:
            run = await claiming(self.owner if ours else None)
        finally:
            self._entering -= ours
        if run is not None:
            self.begin(run)
        return run is not None

    async def _look_again(self) -> None:
        try:
            async with asyncio.timeout(LOOK_SECONDS):
                await self._wake.wait()
        except TimeoutError:
            pass
        self._wake.clear()
        await self._look()
        await self._count()

    async def _count(self) -> None:
        waiting, now = self._seen.waiting, monotonic()
        if now - self._counted_at >= _COUNT_SECONDS:
            self._counted_at = now
            waiting = (await self._rows.waiting()).get("queued", 0)
        seen = QueueSeen(waiting, len(self._held))
        if seen != self._seen:
            self._seen = seen
            self._observe(seen)

    async def _look(self) -> None:
        """Claim what there is room for."""
        if self._contact_since is None and self._held:
            await self._beat()  # whoever was cut off renews before anybody is judged
        if not self.has_room():
            return
        room = self._settings.runs_max - len(self._held) - self._entering
        self._entering += room
        try:
            claimed = await self._rows.claim(self.owner, room, expired=self._may_judge())
        finally:
            self._entering -= room
        self._made_contact()
        for run in claimed:
            self.begin(run)

    def _may_judge(self) -> bool:
        """Whether a lease that has run out says that its owner is gone. After the database was
        away they all have, and each owner has one lease's time to renew."""
        if self._runs.store.local:
            return True
        since = self._contact_since
        return since is not None and monotonic() - since >= self._settings.lease_seconds

    def _made_contact(self) -> None:
        if self._contact_since is None:
            self._contact_since = monotonic()

    def _lost_contact(self, error: RemoteError) -> None:
        if self._contact_since is not None:
            self._observe(Broke("store", error))
        self._contact_since = None

    async def _beat_again(self) -> None:
        await asyncio.sleep(self._settings.lease_seconds / _BEATS_PER_LEASE)
        await self._beat()

    async def _beat(self) -> None:
        held = list(self._held.values())
        if not held:
            return
        beat = await self._rows.beat([one.claim for one in held])
        self._made_contact()
        for one in held:
            if one.claim in beat.lost:
                if one.live is None or not one.live.over:
                    self._lose(one)  # else it may be over because we stored it: that will tell
            elif one.claim in beat.cancel_asked:
                self._cancel(one)

    # -- one run ----------------------------------------------------------------------------

    def begin(self, run: ClaimedRun) -> None:
        """Make a run that is ours."""
        id = run.claim.id
        before = self._held.get(id)
        if before is not None:  # an epoch of our own that was taken from us and came back
            self._lose(before)
        held = _Held(run.claim, self._bus.subscribe(f"cancel.{id}", self._heard_cancel(id)))
        held.cancel_asked = run.cancel_asked
        self._held[id] = held
        self._tell(run.claim, "claimed" if run.claim.epoch < 2 else "taken over", run.attempt)
        self.keep(self._make(run, held))

    def keep(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _make(self, run: ClaimedRun, held: _Held) -> None:
        """Gather the context of a run and set it going."""
        try:
            await self._set_going(run, held)
        except Fenced:
            self._lose(held)
        except Exception as error:
            if not isinstance(error, RemoteError):
                self._observe(Broke("run", error, run.claim.id))
            await self._give_back(held)

    async def _set_going(self, run: ClaimedRun, held: _Held) -> None:
        begins = run.status != "queued"
        number = await self._log.begin(run.claim) if begins else 0
        unreadable = run.attempt > 2 * ATTEMPTS_MAX  # ending it failed as often
        events = await self._logged(run.claim) if number and not unreadable else []
        context, failure = await self._context(run, events)
        if held.lost:
            context.abandon()
            return
        context.steps = Steps(self._rows, run.claim)
        if self._ending is not None:
            context.also = [*context.also, self._ending(context.project)]
        held.record = Record(self._journal, run.claim, number)
        held.live = live = Unattended(
            self._runs, context, held.record, rows=self._rows, lost=lambda: self._lose(held)
        )
        if number and unreadable and failure is not None:
            live.fail_unread(number, failure)
        elif begins:
            live.go_on(events, failure=failure, cancelled=held.cancel_asked)
        else:
            live.never_begin()

    async def _context(
        self, run: ClaimedRun, log: list[Event]
    ) -> tuple[Context, RemoteError | None]:
        """The context of a run, and why it cannot be made, if it cannot."""
        last = run.attempt > ATTEMPTS_MAX
        if last:
            failure = RemoteError("The server failed to make this response.")
        else:
            try:
                return await context_of(self._runs, run, log), None
            except ClientError as refused:
                if refused.status == _CONFLICT:  # its conversation is somebody else's for now
                    raise RemoteError(refused.message, retryable=True) from None
                failure = RemoteError(refused.message, status=400)
        return bare_context_of(self._runs, run, log), failure

    async def _logged(self, claim: Claim) -> list[Event]:
        """All events of its log."""
        events: list[Event] = []
        while chunks := await self._log.read(claim.project, claim.id, len(events) - 1):
            for chunk in chunks:
                events += opened(chunk.events)
        return events

    async def _give_back(self, held: _Held) -> None:
        """It could not be begun: somebody may try again, in a moment."""
        await asyncio.sleep(LOOK_SECONDS)
        self._lose(held)
        try:
            await self._rows.release([held.claim], failed=True)
        except RemoteError as error:
            self._lost_contact(error)

    def _heard_cancel(self, id: str) -> Callable[[bytes], None]:
        def heard(payload: bytes) -> None:
            held = self._held.get(id)
            if held is None:
                return
            if payload == b"deleted":
                self._lose(held)
            else:
                self._cancel(held)

        return heard

    def _cancel(self, held: _Held) -> None:
        held.cancel_asked = True
        if held.live is not None:
            held.live.cancel()

    def _lose(self, held: _Held) -> None:
        """It is not ours any more: stop, and write nothing."""
        if held.lost:
            return
        held.lost = True
        self._leave(held)
        self._tell(held.claim, "lost")
        if held.live is not None:
            held.live.abandon()

    def _tell(self, claim: Claim, change: str, attempt: int = 0) -> None:
        self._observe(RunChanged(claim.id, claim.project, change, claim.epoch, attempt))

    def _ended(self, claim: Claim) -> None:
        """It is stored."""
        held = self._held.get(claim.id)
        if held is not None and held.claim == claim:
            held.lost = True
            self._leave(held)

    def _leave(self, held: _Held) -> None:
        held.subscription.end()
        if self._held.get(held.claim.id) is held:
            del self._held[held.claim.id]
        self._changed.set()
        self._wake.set()
