"""The works of ``runs.py``: each a piece of one transaction (``work.py``)."""

from __future__ import annotations

import heapq
import json
from collections.abc import Mapping, Sequence
from typing import Any

from antiphon.errors import RemoteError
from antiphon.store import runs_sql as sql
from antiphon.store.log import Claim
from antiphon.store.runs_rows import Beat, Cancelling, ClaimedRun, NewRun, RunState, Step
from antiphon.store.work import Begin, Fenced, Rows, T, Work

SWEEP_CHUNKS_PER_COMMIT = 256

Seek = tuple[int, int | None, int]
"""The version we understand, the time (None: the database's), 1 if expired leases count."""


def together(begin: Begin[T], also: Sequence[Begin[object]]) -> Work[T]:
    result = yield from begin()
    for work in also:
        yield from work()
    return result


def enqueue(
    run: NewRun,
    request: bytes,
    head: bytes,
    version: int,
    owner: str | None,
    now: int | None,
    lease_ms: int,
) -> Work[ClaimedRun | None]:
    claimed = int(owner is not None)
    ours = (version, run.id, claimed, owner, lease_ms, int(run.streamed))
    rows = yield sql.ENQUEUE, (run.project, now, *ours, run.conversation, run.created_at)
    if rows:
        yield sql.SAVE_BODY, (rows[0][0], request, head)
    else:  # it is there already, by a transaction whose answer got lost
        rows = yield sql.FIND_ENQUEUED, (run.project, run.id, run.created_at)
        if not rows:
            raise RemoteError(f"a background response {run.id!r} exists already", status=500)
    number, started_at = rows[0]
    if owner is None:
        return None
    return ClaimedRun(
        claim=Claim(number, run.project, run.id, 1),
        status="in_progress",
        cancel_asked=False,
        attempt=1,
        version=version,
        streamed=run.streamed,
        events=0,
        conversation=run.conversation,
        created_at=run.created_at,
        started_at=started_at,
        request=run.request,
        head=run.head,
    )


def anything(seek: Seek) -> Work[bool]:
    """Is there anything to claim? Looking costs no write."""
    if (yield sql.FIND_ORPHAN, seek):
        return True
    queues = yield sql.QUEUES, seek
    return any(first is not None for _, first in queues)


def claim(
    seek: Seek, owner: str, limit: int, lease_ms: int, weights: Mapping[str, float]
) -> Work[list[ClaimedRun]]:
    taken: list[ClaimedRun] = []
    rows = yield sql.TAKE_ORPHANS, (*seek, limit, owner, lease_ms)
    taken += sorted(map(_claimed, rows), key=_by_number)
    if len(taken) == limit:
        return taken
    running: dict[str, int] = _pairs((yield sql.RUNNING, ()))
    queues = yield sql.QUEUES, seek
    queued = {project: first for project, first in queues if first is not None}
    while queued and len(taken) < limit:
        shares = _shares(queued, running, weights, limit - len(taken))
        for project, share in shares.items():
            rows = yield sql.TAKE_QUEUED, (*seek, share, owner, lease_ms, project)
            taken += sorted(map(_claimed, rows), key=_by_number)
            running[project] = running.get(project, 0) + len(rows)
            if len(rows) < share:
                del queued[project]
    return taken


def _shares(
    queued: Mapping[str, int], running: Mapping[str, int], weights: Mapping[str, float], slots: int
) -> dict[str, int]:
    """How many of each project's queue come next: always one of the project that has the fewest
    running for its weight; among equals, of the one whose first run came first."""
    waiting = [
        ((running.get(project, 0) + 1) / weights.get(project, 1.0), first, project)
        for project, first in queued.items()
    ]
    heapq.heapify(waiting)
    shares: dict[str, int] = {}
    for _ in range(slots):
        load, first, project = waiting[0]
        shares[project] = shares.get(project, 0) + 1
        heapq.heapreplace(waiting, (load + 1 / weights.get(project, 1.0), first, project))
    return shares


def beat(claims: Sequence[Claim], now: int | None, lease_ms: int) -> Work[Beat]:
    rows = yield sql.BEAT, (held(claims), now, lease_ms)
    ours = {(number, epoch): bool(asked) for number, epoch, asked in rows}
    found = [(claim, ours.get((claim.number, claim.epoch))) for claim in claims]
    return Beat(
        frozenset(claim for claim, asked in found if asked is None),
        frozenset(claim for claim, asked in found if asked),
    )


def release(claims: Sequence[Claim], uncounted: int) -> Work[None]:
    yield sql.RELEASE, (held(claims), uncounted)


def release_all() -> Work[int]:
    return len((yield sql.RELEASE_ALL, ()))


def cancel(
    project: str, id: str, owner: str, now: int | None, lease_ms: int
) -> Work[Cancelling | None]:
    rows = yield sql.CANCEL_QUEUED, (project, now, id, owner, lease_ms)
    if rows:
        return Cancelling("queued", _claimed(rows[0]))
    yield sql.CANCEL, (project, id)
    state = yield from load(project, id)
    return None if state is None else Cancelling(state.status)


def load(project: str, id: str) -> Work[RunState | None]:
    rows = yield sql.LOAD, (project, id)
    if not rows:
        return None
    status, cancel_asked, streamed, events, attempt, conversation, *times, head = rows[0]
    created_at, started_at, log_until = times
    return RunState(
        status=status,
        cancel_asked=bool(cancel_asked),
        streamed=bool(streamed),
        events=events,
        attempt=attempt,
        conversation=conversation,
        created_at=created_at,
        started_at=started_at,
        log_until=log_until,
        head=head,
    )


def load_request(project: str, id: str) -> Work[bytes | None]:
    rows = yield sql.LOAD_REQUEST, (project, id)
    request: bytes | None = rows[0][0] if rows else None
    return request


def count() -> Work[dict[str, int]]:
    rows = yield sql.COUNT, ()
    return {"queued": 0, "in_progress": 0} | _pairs(rows)


def show(heads: Sequence[tuple[Claim, bytes]]) -> Work[None]:
    for claim, head in heads:
        yield sql.SHOW, (claim.number, claim.id, claim.epoch, head)


def _hold(claim: Claim) -> Work[None]:
    """Keep the run ours for the rest of the transaction; raises ``Fenced``."""
    if not (yield sql.HOLD, (claim.number, claim.id, claim.epoch)):
        raise Fenced(claim.id)


def begin_step(claim: Claim, key: str) -> Work[Step | None]:
    yield from _hold(claim)
    rows = yield sql.FIND_STEP, (claim.number, key)
    known = _step(rows[0]) if rows else None
    if known is None or not known.done:
        yield sql.BEGIN_STEP, (claim.number, key, claim.epoch)
    if known is not None and not known.done and known.epoch == claim.epoch:
        return None  # we said so ourselves, in a transaction whose answer got lost
    return known


def end_step(claim: Claim, key: str, result: bytes) -> Work[None]:
    yield from _hold(claim)
    if not (yield sql.END_STEP, (claim.number, key, claim.epoch, result)):
        raise Fenced(f"step {key!r} of {claim.id} was not begun by this owner")


def steps(claim: Claim) -> Work[list[Step]]:
    rows = yield sql.LOAD_STEPS, (claim.number,)
    return [_step(row) for row in rows]


def finish(
    claim: Claim,
    status: str,
    events: int,
    elsewhere: int,
    times: tuple[int | None, int, int | None],
    head: bytes | None,
) -> Work[None]:
    now, log_ms, expires_at = times
    ours = (claim.number, now, claim.epoch, status, events, elsewhere, log_ms, expires_at, claim.id)
    if not (yield sql.FINISH, ours):
        raise Fenced(claim.id)
    yield sql.EMPTY_BODY, (claim.number, head)
    yield sql.ERASE_STEPS, (claim.number,)


def delete(project: str, id: str) -> Work[bool]:
    rows = yield sql.ERASE_NAMED, (project, id)
    if not rows:
        return False
    yield from _erase(rows[0][0])
    return True


def _erase(number: int) -> Work[None]:
    """What belongs to a run, but its row."""
    yield sql.ERASE_BODY, (number,)
    yield sql.ERASE_STEPS, (number,)
    yield sql.ERASE_LOG, (number,)


def due(now: int | None) -> Work[Rows]:
    return (yield sql.FIND_SWEPT, (1, now))


def sweep(now: int | None) -> Work[list[tuple[str, str]]]:
    """Erase one run, or the next part of its log."""
    rows = yield sql.LOCK_SWEPT, (1, now)
    if not rows:
        return []
    number, project, id = rows[0]
    erased = yield sql.ERASE_CHUNKS, (number, SWEEP_CHUNKS_PER_COMMIT)
    if len(erased) == SWEEP_CHUNKS_PER_COMMIT:
        return []
    yield from _erase(number)
    yield sql.ERASE_RUN, (number,)
    return [(project, id)]


# --- small parts ----------------------------------------------------------------------------------


def held(claims: Sequence[Claim], ends: Sequence[tuple[int, int]] = ()) -> str:
    """Claims for the word ``{held}``; ``ends``: first and count of the chunk of each."""
    places = ends or [(0, 0)] * len(claims)
    return json.dumps(
        [
            (claim.number, claim.id, claim.epoch, first, count)
            for claim, (first, count) in zip(claims, places, strict=True)
        ]
    )


def _claimed(row: Sequence[Any]) -> ClaimedRun:
    number, project, id, epoch, status, cancel_asked, attempt, version, streamed, *rest = row
    events, conversation, created_at, started_at, request, head = rest
    return ClaimedRun(
        claim=Claim(number, project, id, epoch),
        status=status,
        cancel_asked=bool(cancel_asked),
        attempt=attempt,
        version=version,
        streamed=bool(streamed),
        events=events,
        conversation=conversation,
        created_at=created_at,
        started_at=started_at,
        request=request,
        head=head,
    )


def _pairs(rows: Rows) -> dict[Any, Any]:
    return {row[0]: row[1] for row in rows}


def _by_number(run: ClaimedRun) -> int:
    return run.claim.number


def _step(row: Sequence[Any]) -> Step:
    key, epoch, done, result = row
    return Step(key, epoch, bool(done), result)
