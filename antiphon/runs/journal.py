"""Writes down what happens in background responses, before anybody hears of it.

A ``Record`` is the reader of one response being made; the ``Journal`` of a process appends what all
of its records have gathered, in one call to the log for all of them, again and again. Only then do
readers see it: those of this process are handed the events (``tail.py``), those of others are woken
over the bus.

What cannot be appended stays and is appended later, unchanged; meanwhile the model is paused. What
is refused is not ours any more: the response is dropped without a word.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from antiphon.bus.base import Bus
from antiphon.errors import RemoteError
from antiphon.observe import Broke, Observe
from antiphon.runs.tail import Tails
from antiphon.store.log import Chunk, Claim, Log
from antiphon.store.work import Fenced
from antiphon.stream.resume import logged
from antiphon.types.events import Event

GATHER_SECONDS = 0.015
"""How long events wait for others, so that one commit serves many."""

RETRY_SECONDS = 0.5
"""When the log could not be reached."""

UNLOGGED_EVENTS_MAX = 1_024
"""Of one response; beyond, its model is paused."""


class Recorded(Protocol):
    """The response a record is of (``unattended.Unattended``)."""

    def pause(self) -> None: ...
    def resume(self) -> None: ...
    def abandon(self) -> None:
        """It is somebody else's now, or nobody's."""


class Record:
    """What has happened in one response and is not in the log yet. ``next``: the number of the
    first such event, and so how many events are in the log. A ``live.Reader``."""

    def __init__(self, journal: Journal, claim: Claim, next: int) -> None:
        self.claim = claim
        self.next = next
        self.live: Recorded | None = None
        self._journal = journal
        self._gathered: list[Event] = []
        self._sending: list[Event] = []
        self._paused = False
        self._then: Callable[[], None] | None = None

    # -- what the response calls ------------------------------------------------------------

    def refuse(self, error: Exception) -> None:
        """Never: who asked has had the answer long ago."""

    def write(self, events: Sequence[Event]) -> None:
        self._gathered += events
        self._journal.wants(self)
        if len(self._gathered) > UNLOGGED_EVENTS_MAX and not self._paused and self.live:
            self._paused = True
            self.live.pause()

    def end(self, events: Sequence[Event]) -> None:
        """The response is stored; ``events`` is its terminal event, or nothing."""
        self._journal.ended(self, events)

    def when_logged(self, then: Callable[[], None]) -> None:
        """Call ``then`` once everything gathered so far is in the log."""
        if self._gathered or self._sending:
            self._then = then
        else:
            then()

    @property
    def logged(self) -> bool:
        return not (self._gathered or self._sending)

    def drop(self) -> None:
        """Nothing more of it is to be written."""
        self._gathered, self._sending, self._then = [], [], None

    # -- what the journal calls -------------------------------------------------------------

    def chunk(self) -> Chunk | None:
        """What is to be appended now: the same again until it was."""
        if not self._sending:
            self._sending, self._gathered = self._gathered, []
        events = self._sending
        return Chunk(self.next, len(events), logged(events)) if events else None

    def appended(self) -> Sequence[Event]:
        """The chunk is in the log: its events."""
        sent, self._sending = self._sending, []
        self.next += len(sent)
        return sent

    def go_on(self) -> None:
        """After a chunk: what comes next, if anything."""
        if self._paused and self.live is not None:
            self._paused = False
            self.live.resume()
        if self._gathered:
            self._journal.wants(self)
        elif self._then is not None:
            then, self._then = self._then, None
            then()


class Journal:
    """Appends for all records of one process. ``ended`` is told of each that is over."""

    def __init__(
        self,
        log: Log,
        bus: Bus,
        tails: Tails,
        *,
        observe: Observe,
        over: Callable[[Claim], None],
    ) -> None:
        self._log = log
        self._bus = bus
        self._tails = tails
        self._observe = observe
        self._over = over
        self._due: dict[str, Record] = {}
        self._wanted = asyncio.Event()

    def wants(self, record: Record) -> None:
        """There is something to append."""
        if not self._due:
            self._wanted.set()
        self._due[record.claim.id] = record

    def ended(self, record: Record, events: Sequence[Event]) -> None:
        claim = record.claim
        self._tails.end(claim.project, claim.id, record.next, events)
        self._bus.publish(f"run.{claim.id}", b"over")
        self._over(claim)

    async def write(self) -> None:
        """Wait until something is wanted, and append it."""
        await self._wanted.wait()
        await asyncio.sleep(GATHER_SECONDS)
        due, self._due = self._due, {}
        self._wanted.clear()
        chunks: dict[str, Chunk] = {}
        for id, record in due.items():
            try:
                chunk = record.chunk()
            except Exception as error:  # what cannot be written down is nobody else's affair
                self._settle(record, error)
            else:
                if chunk is not None:
                    chunks[id] = chunk
        appends = [(due[id].claim, chunk) for id, chunk in chunks.items()]
        failures: Mapping[str, Exception]
        try:
            failures = await self._log.append(appends)
        except Exception as error:  # none of them may hang for ever
            failures = dict.fromkeys(chunks, error)
        for id in chunks:
            try:
                self._settle(due[id], failures.get(id))
            except Exception as error:  # nor is what one of them does next
                self._settle(due[id], error)

    def _settle(self, record: Record, error: Exception | None) -> None:
        claim = record.claim
        if error is None:
            first = record.next
            self._tails.feed(claim.project, claim.id, first, record.appended())
            self._bus.publish(f"run.{claim.id}", b"%d" % record.next)
            record.go_on()
        elif isinstance(error, RemoteError):
            asyncio.get_running_loop().call_later(RETRY_SECONDS, self.wants, record)
        else:
            if not isinstance(error, Fenced):
                self._observe(Broke("run", error, claim.id))
            record.drop()
            if record.live is not None:
                record.live.abandon()
