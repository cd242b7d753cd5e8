"""Readers of a background response: what its log says from some event on, then what comes.

A reader subscribes first and then reads, so nothing happens unheard between the two. If the
response is made in this process it is handed the events when they are durable; else it is woken
over the bus and reads; and it looks by itself every ``LOOK_SECONDS``, because wake-ups get lost.
What it was told twice it tells once: events are numbered without a gap. One that takes nothing is
handed nothing more and reads when it comes to it.

The log has all events but the last, which is made from the response's row. A cancelled response
has no last event: its stream just ends.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Sequence, Set
from copy import copy

import msgspec

from antiphon.bus.base import LOOK_SECONDS, Bus
from antiphon.errors import RemoteError
from antiphon.store.base import Responses
from antiphon.store.log import Log
from antiphon.store.runs import RunState, StoredRuns
from antiphon.stream.cuts import unpacked
from antiphon.stream.replay import TERMINAL_EVENT, replay
from antiphon.stream.resume import opened
from antiphon.stream.spelling import joined
from antiphon.types.events import Created, Event, Queued
from antiphon.types.response import Response

UNTAKEN_GROUPS_MAX = 16
"""Handed to one reader; beyond, it reads the log."""

_NOBODY: frozenset[_Tail] = frozenset()
_OPENING = 2
"""So many events are there before the log is."""

_response = msgspec.json.Decoder(Response).decode


class _Run:
    """What the readers of one response share. ``looked_at`` (seconds): when one of them last began
    to look and found the log to end before the event ``looked_to``."""

    __slots__ = ("looked_at", "looked_to", "readers")

    def __init__(self) -> None:
        self.readers: set[_Tail] = set()
        self.looked_at = 0.0
        self.looked_to = 0


class _Tail:
    """One reader. ``at``: the number of the event it wants next; ``expected``: of the one it has
    not been handed yet."""

    __slots__ = ("_groups", "_look", "_run", "_wake", "at", "expected", "over")

    def __init__(self, run: _Run, at: int) -> None:
        self._run = run
        self.at = self.expected = at
        self.over = False
        self._look = True
        self._groups: deque[tuple[int, Sequence[Event], bool]] = deque()
        self._wake = asyncio.Event()

    def feed(self, first: int, events: Sequence[Event], last: bool = False) -> None:
        """Events of this process, durable."""
        if first > self.expected or len(self._groups) >= UNTAKEN_GROUPS_MAX:
            self._look = True
        else:
            self._groups.append((first, events, last))
            self.expected = max(self.expected, first + len(events))
        self._wake.set()

    def heard(self, payload: bytes) -> None:
        """A message: how far the log is, or that there will be no more."""
        if payload == b"over" or (payload.isdigit() and int(payload) > self.expected):
            self._look = True
            self._wake.set()

    def taken(self) -> Sequence[Event] | None:
        """The next group that was handed over, without what is known; None if there is none."""
        while self._groups:
            first, events, last = self._groups.popleft()
            if first > self.at:
                self._groups.clear()
                self._look = True
                break
            self.over = last
            fresh = self.fresh(first, events)
            if fresh or last:
                return fresh
        self.expected = self.at
        return None

    def fresh(self, first: int, events: Sequence[Event]) -> Sequence[Event]:
        """Those of the events that it has not seen; from now on it has."""
        events = events[max(self.at - first, 0) :]
        self.at = max(self.at, first) + len(events)
        return events

    async def must_look(self) -> bool:
        """Wait until there is something; whether it is in the log."""
        try:
            async with asyncio.timeout(LOOK_SECONDS):
                await self._wake.wait()
        except TimeoutError:
            self._look = not self._seen_by_another()
        self._wake.clear()
        look, self._look = self._look, False
        return look

    def _seen_by_another(self) -> bool:
        """Whether a reader of the same response has just looked and found nothing for this one:
        a thousand readers of a silent response would else ask a thousand times a second."""
        since = asyncio.get_running_loop().time() - self._run.looked_at
        return since < LOOK_SECONDS / 2 and self._run.looked_to <= self.at


class Tails:
    """All readers in one process."""

    def __init__(self, rows: StoredRuns, log: Log, store: Responses, bus: Bus) -> None:
        self._rows = rows
        self._log = log
        self._store = store
        self._bus = bus
        self._open: dict[tuple[str, str], _Run] = {}

    def feed(self, project: str, id: str, first: int, events: Sequence[Event]) -> None:
        """These events of a response made here are in its log."""
        for tail in self._readers(project, id):
            tail.feed(first, events)

    def end(self, project: str, id: str, first: int, events: Sequence[Event]) -> None:
        """That response is stored; ``events``: what ends it, numbered from ``first``."""
        for tail in self._readers(project, id):
            tail.feed(first, events, last=True)

    def _readers(self, project: str, id: str) -> Set[_Tail]:
        run = self._open.get((project, id))
        return run.readers if run is not None else _NOBODY

    async def follow(
        self, project: str, id: str, *, starting_after: int = -1, patient: bool = False
    ) -> AsyncIterator[Sequence[Event]]:
        """The events numbered above ``starting_after``, in groups that belong in one write, until
        the response has ended. Ends early if it is deleted. A database that goes away is waited
        for, once something was told; before, ``RemoteError`` is raised, unless ``patient``: whoever
        has just created it would take that for a refusal and create it again."""
        run = self._open.setdefault((project, id), _Run())
        tail = _Tail(run, starting_after + 1)
        run.readers.add(tail)
        subscription = self._bus.subscribe(f"run.{id}", tail.heard)
        try:
            look, told = True, patient
            while not tail.over:
                if look:
                    looked_at = asyncio.get_running_loop().time()
                    try:
                        async for group in self._read(project, id, tail):
                            if group:
                                told = True
                                yield group
                        if tail.at >= run.looked_to:
                            run.looked_at, run.looked_to = looked_at, tail.at
                    except RemoteError:
                        if not told:
                            raise
                while not tail.over and (handed := tail.taken()) is not None:
                    if handed:
                        yield handed
                if not tail.over:
                    look = await tail.must_look()
        finally:
            subscription.end()
            run.readers.discard(tail)
            if not run.readers:
                self._open.pop((project, id), None)

    async def _read(self, project: str, id: str, tail: _Tail) -> AsyncIterator[Sequence[Event]]:
        """What the log has for this reader. Its state is read first: if that says the response is
        over, the log that is read after it is whole."""
        state = await self._rows.load(project, id)
        if tail.at < _OPENING and state is not None and state.head is not None:
            yield tail.fresh(0, _opening_of(_response(state.head)))
        while chunks := await self._log.read(project, id, tail.at - 1):
            for chunk in chunks:
                yield tail.fresh(chunk.first, opened(chunk.events))
        if state is None:
            tail.over = True
        elif state.over:
            for group in await self._end(project, id, state, tail):
                yield group
            tail.over = True

    async def _end(
        self, project: str, id: str, state: RunState, tail: _Tail
    ) -> Sequence[Sequence[Event]]:
        row = await self._store.load(project, id)
        if row is not None:
            response = _response(joined(row.head, row.output))
        elif state.head is not None:
            response = _response(state.head)
        else:
            return ()
        if not state.events:  # nobody had begun it
            return (tail.fresh(0, _opening_of(response)),)
        if row is not None and tail.at < state.events:  # the log was swept while it was read
            events = replay(response, unpacked(row.cuts))
            return (tail.fresh(0, events),)
        kind = TERMINAL_EVENT.get(response.status)
        if kind is None:
            return ()
        last = kind(sequence_number=state.events, response=response)
        return (tail.fresh(state.events, [last]),)


def _opening_of(response: Response) -> list[Event]:
    """The first two events of any background response: they are there before its log is."""
    first = copy(response)
    first.status = "queued"
    first.output, first.completed_at = [], None
    first.usage = first.error = first.incomplete_details = None
    return [Created(sequence_number=0, response=first), Queued(sequence_number=1, response=first)]
