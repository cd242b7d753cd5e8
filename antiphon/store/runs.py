"""Background responses being made: the queue, who has which, and what was done.

A run is *claimed* by one process at a time: it has the lease until ``lease_until`` and renews it by
``beat``. Every claim begins an *epoch*, and everything a process writes names its epoch, so what a
process writes after it lost the run (it was stopped, or cut off) is refused: ``Fenced``. The last
thing written is the end, in the transaction of the response's row; there is one end because the
run is over afterwards.

The life of a run: ``enqueue`` → ``claim`` → (``Log.begin``, ``Log.append``, steps, ``beat``) →
``finishing`` as one of the works that go with the response's row → ``sweep`` once its log is old.

Time is the database's own (replicas' clocks differ), unless a ``clock`` is given, which is right
for a database of one process, and for tests.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

from msgspec.structs import replace

from antiphon.errors import ClientError, LocalProtocolError, RemoteError
from antiphon.store import runs_works as works
from antiphon.store.base import Database
from antiphon.store.content import PLAIN, Content
from antiphon.store.log import Claim
from antiphon.store.runs_rows import (
    OVER,
    Beat,
    Cancelling,
    ClaimedRun,
    NewRun,
    RunState,
    Step,
)
from antiphon.store.work import Begin

__all__ = [
    "OVER",
    "Beat",
    "Cancelling",
    "ClaimedRun",
    "NewRun",
    "RunState",
    "Step",
    "StoredRuns",
]

VERSION = 1
"""Of what ``NewRun.request`` holds. A process claims runs up to the version it knows."""

Clock = Callable[[], int]


class StoredRuns:
    """The runs of all projects.

    ``lease_ms``: how long a silent owner keeps its runs; ``log_ms``: how long a finished run's log
    stays; ``weights``: so many runs of a project are made for one of a project with weight 1;
    ``clock``: see above; ``log_elsewhere``: the log is not the table (``log_table.py``), so
    ``finishing`` is not checked against it.
    """

    def __init__(
        self,
        database: Database,
        content: Content = PLAIN,
        *,
        lease_ms: int = 10_000,
        log_ms: int = 86_400_000,
        clock: Clock | None = None,
        version: int = VERSION,
        weights: Mapping[str, float] | None = None,
        log_elsewhere: bool = False,
    ) -> None:
        self.lease_ms = lease_ms
        self.log_ms = log_ms
        self._database = database
        self._content = content
        self._clock = clock
        self._version = version
        self._weights = dict(weights or {})
        self._log_elsewhere = log_elsewhere

    # --- the queue ---

    async def enqueuing(self, run: NewRun, *, owner: str | None = None) -> Begin[ClaimedRun | None]:
        """``enqueue`` as a work, to go along in another transaction."""
        await self._content.ready(run.project)
        request = self._content.shut(run.project, run.request)
        head = self._content.shut(run.project, run.head)
        return partial(
            works.enqueue, run, request, head, self._version, owner, self._now(), self.lease_ms
        )

    async def enqueue(
        self, run: NewRun, *, owner: str | None = None, also: Sequence[Begin[object]] = ()
    ) -> ClaimedRun | None:
        """Put a run at the end of its project's queue; durable on return. With an ``owner`` it
        never waits: it is that process's from the beginning (epoch 1), and returned. ``also``:
        works of the same transaction."""
        return await self._database.change(
            partial(works.together, await self.enqueuing(run, owner=owner), tuple(also))
        )

    async def claim(self, owner: str, limit: int, *, expired: bool = True) -> list[ClaimedRun]:
        """At most ``limit`` runs, ours from now on for ``lease_ms``: those somebody began and
        lost first, then queued ones, of the projects with the fewest running for their weight.

        ``expired`` False: leave alone what another process still had when its lease ran out (it
        may only have been cut off from the database as we were; what was handed over by
        ``release`` is claimed all the same). No run is given to two callers.
        """
        if limit < 1:
            return []
        seek = (self._version, self._now(), int(expired))
        if not await self._database.read(partial(works.anything, seek)):
            return []
        claimed = await self._database.change(
            partial(works.claim, seek, owner, limit, self.lease_ms, self._weights)
        )
        ready: list[ClaimedRun] = []
        failure: RemoteError | None = None
        for run in claimed:
            try:
                opened = await self._opened(run)
            except RemoteError as error:  # it is not ours to read: its lease runs out
                failure = error
            else:
                ready += () if opened is None else (opened,)
        if failure is not None and not ready:
            raise failure
        return ready

    async def beat(self, claims: Sequence[Claim]) -> Beat:
        """Renew all leases, in one statement. A lease that ran out is renewed if nobody took the
        run meanwhile."""
        if not claims:
            return Beat(frozenset(), frozenset())
        return await self._database.change(
            partial(works.beat, tuple(claims), self._now(), self.lease_ms)
        )

    async def release(self, claims: Sequence[Claim], *, failed: bool = False) -> None:
        """Hand over: anybody may claim these at once. What we write to them afterwards is
        refused. Those that are not ours any more are left alone. ``failed``: they could not be
        made, which counts as an attempt; ending in peace does not."""
        if claims:
            await self._database.change(partial(works.release, tuple(claims), 0 if failed else 1))

    async def release_all(self) -> int:
        """``release`` for every run of every process, when there is no other process: called
        once when a database of one process was opened. How many there were."""
        return await self._database.change(works.release_all)

    async def cancel(self, project: str, id: str, owner: str) -> Cancelling | None:
        """Ask for it to be cancelled: durable on return, and known to whoever claims it and to
        its owner's next ``beat``. A run nobody has begun is claimed for ``owner`` (the caller)
        instead. None if there is no such run."""
        found = await self._database.change(
            partial(works.cancel, project, id, owner, self._now(), self.lease_ms)
        )
        if found is None or found.claimed is None:
            return found
        claimed = await self._opened(found.claimed)
        return None if claimed is None else Cancelling(found.status, claimed)

    # --- reading ---

    async def load(self, project: str, id: str) -> RunState | None:
        """The state of a run, None if there is none (also: its log was swept, it was deleted, it
        was never a background response)."""
        await self._content.ready(project, writing=False)
        state = await self._database.read(partial(works.load, project, id))
        if state is None or state.head is None:
            return state
        return replace(state, head=self._content.open(project, state.head))

    async def load_request(self, project: str, id: str) -> bytes | None:
        """``NewRun.request``; None once the run is over."""
        await self._content.ready(project, writing=False)
        request = await self._database.read(partial(works.load_request, project, id))
        return None if request is None else self._content.open(project, request)

    async def waiting(self) -> dict[str, int]:
        """How many runs are ``queued`` and ``in_progress``, of all projects."""
        return await self._database.read(works.count)

    # --- while it is made ---

    async def show(self, heads: Sequence[tuple[Claim, bytes]]) -> None:
        """What ``load`` shows as ``head`` from now on. Those that are not ours any more are left
        alone."""
        shut = []
        for claim, head in heads:
            await self._content.ready(claim.project)
            shut.append((claim, self._content.shut(claim.project, head)))
        if shut:
            await self._database.change(partial(works.show, shut))

    async def begin_step(self, claim: Claim, key: str) -> Step | None:
        """Say that something will be done outside; durable on return. None: do it now. Else what
        is known from before: ``done`` with its result (do not do it again), or begun by an earlier
        owner without an end (nobody knows how far it came; it is ours now). Raises ``Fenced``."""
        await self._content.ready(claim.project)
        step = await self._database.change(partial(works.begin_step, claim, key))
        return None if step is None else self._opened_step(claim, step)

    async def end_step(self, claim: Claim, key: str, result: bytes) -> None:
        """Say how it went; durable on return. Raises ``Fenced``."""
        await self._content.ready(claim.project)
        shut = self._content.shut(claim.project, result)
        await self._database.change(partial(works.end_step, claim, key, shut))

    async def steps(self, claim: Claim) -> list[Step]:
        """All steps of the run so far, in the order of their keys."""
        await self._content.ready(claim.project, writing=False)
        steps = await self._database.read(partial(works.steps, claim))
        return [self._opened_step(claim, step) for step in steps]

    # --- the end ---

    def finishing(
        self,
        claim: Claim,
        status: str,
        events: int,
        *,
        expires_at: int | None = None,
        head: bytes | None = None,
    ) -> Begin[None]:
        """A work that ends the run, for ``Store.put(row, settled, also=[…])``; raises ``Fenced``
        if the run is not ours any more, and then the row is not written either.

        ``events``: how many are in the log (the terminal one is not). ``expires_at``: when the
        response's row goes: the log does not outlive it. ``head``: the whole Response object, for
        a response that has no row of its own; it goes with the log. The request and the steps are
        erased.
        """
        if status not in OVER:
            raise LocalProtocolError(f"the status {status!r} does not end a run")
        if head is not None:
            head = self._content.shut(claim.project, head)
        elsewhere = int(self._log_elsewhere)
        times = (self._now(), self.log_ms, expires_at)
        return partial(works.finish, claim, status, events, elsewhere, times, head)

    def deleting(self, project: str, id: str) -> Begin[bool]:
        """A work that erases the run and its log (see ``delete``)."""
        return partial(works.delete, project, id)

    async def delete(self, project: str, id: str, *, also: Sequence[Begin[object]] = ()) -> bool:
        """Erase the run, its request, steps and log, over or not. Whoever is making it is refused
        from now on. False if there was none. ``also``: works of the same transaction."""
        erase = self.deleting(project, id)
        return await self._database.change(partial(works.together, erase, tuple(also)))

    async def sweep(self, limit: int = 100) -> list[tuple[str, str]]:
        """Erase runs whose log is old enough, with everything that is left of them; at most
        ``limit``. Returns their projects and ids (for logs kept elsewhere)."""
        gone: list[tuple[str, str]] = []
        while len(gone) < limit:
            if not await self._database.read(partial(works.due, self._now())):
                break
            gone += await self._database.change(partial(works.sweep, self._now()))
        return gone

    async def _opened(self, run: ClaimedRun) -> ClaimedRun | None:
        """With its content readable. None if the project's key was dropped, so that nobody can
        ever make it: then it is erased."""
        project = run.claim.project
        await self._content.ready(project, writing=False)
        try:
            request = self._content.open(project, run.request)
            head = self._content.open(project, run.head)
        except ClientError:
            await self.delete(project, run.claim.id)
            return None
        return replace(run, request=request, head=head)

    def _opened_step(self, claim: Claim, step: Step) -> Step:
        if step.result is None:
            return step
        return replace(step, result=self._content.open(claim.project, step.result))

    def _now(self) -> int | None:
        return None if self._clock is None else self._clock()
