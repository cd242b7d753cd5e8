"""What a background run is to those who ask: shapes of ``runs.py``, no I/O."""

from __future__ import annotations

from msgspec import Struct

from antiphon.store.log import Claim

OVER = frozenset(("completed", "failed", "incomplete", "cancelled"))


class NewRun(Struct, frozen=True, kw_only=True):
    """A background response as it is asked for. ``id``: the response's; ``request``: all it takes
    to make it, again if need be; ``head``: the Response object as JSON, shown until there is a
    later one; ``streamed``: it was asked for as a stream; times in ms."""

    project: str
    id: str
    request: bytes
    head: bytes
    created_at: int
    streamed: bool = False
    conversation: str | None = None


class ClaimedRun(Struct, frozen=True, kw_only=True):
    """A run that is ours until we lose it.

    ``status`` is ``in_progress``, or ``queued`` if ``cancel_asked`` came before it began: then it
    must be ended as cancelled and nothing else (``append`` refuses it). ``attempt``: 1 the first
    time it is claimed; ``events``: how many are in the table's log (``Log.begin`` tells for any
    log). ``cancel_asked`` on a run that had begun: end it as cancelled instead of going on.
    """

    claim: Claim
    status: str
    cancel_asked: bool
    attempt: int
    version: int
    streamed: bool
    events: int
    conversation: str | None
    created_at: int
    started_at: int | None
    request: bytes
    head: bytes


class RunState(Struct, frozen=True, kw_only=True):
    """What anybody of the project may see of a run. ``head`` is None once it is over (the
    response's row is what it became), unless it was finished with one. ``events``: how many are
    in the log; while it is not over only the table's log counts here. ``attempt``: how
    often it was claimed to be made."""

    status: str
    cancel_asked: bool
    streamed: bool
    events: int
    attempt: int
    conversation: str | None
    created_at: int
    started_at: int | None
    log_until: int | None
    head: bytes | None

    @property
    def over(self) -> bool:
        return self.status in OVER


class Beat(Struct, frozen=True):
    """What a heartbeat found: claims that are worth nothing any more (stop, write nothing; the
    run may have come back to us under a later epoch), and those of ours somebody wants
    cancelled."""

    lost: frozenset[Claim]
    cancel_asked: frozenset[Claim]


class Cancelling(Struct, frozen=True):
    """``status`` after cancelling was asked for. ``claimed``: nobody had begun it, so it is the
    caller's now, to be ended as cancelled at once."""

    status: str
    claimed: ClaimedRun | None = None


class Step(Struct, frozen=True):
    """Something done outside, named by ``key``. ``done`` False: begun, outcome unknown."""

    key: str
    epoch: int
    done: bool
    result: bytes | None
