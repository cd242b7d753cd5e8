"""The log of a background response: its events, numbered from 0 without a gap, kept for a while.

It holds all events but the last one, the terminal one, which is made from the response's row; so
there is exactly one of that by construction, and its number is the count of events in the log.

``TableLog`` (``log_table.py``) keeps it in the store, ``NatsLog`` (``log_nats.py``) in JetStream.
Both fence: of two processes that both believe a run to be theirs, one is refused.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from msgspec import Struct


class Claim(Struct, frozen=True):
    """The right to write to one run: what every write names. Given by ``StoredRuns.claim`` (or
    ``enqueue``, ``cancel``), worth nothing as soon as a later epoch exists."""

    number: int
    project: str
    id: str
    epoch: int


class Chunk(Struct, frozen=True):
    """Consecutive events: the sequence number of the first, how many, and their bytes (the log
    does not look into them)."""

    first: int
    count: int
    events: bytes

    @property
    def next(self) -> int:
        """The sequence number of what follows."""
        return self.first + self.count


class Log(Protocol):
    """Logs of all runs. Everything raises ``RemoteError`` if the log cannot be reached."""

    async def open(self) -> None:
        """Called once inside the running loop, after the store is open."""

    async def close(self) -> None: ...

    async def begin(self, claim: Claim) -> int:
        """Called once after a run was claimed and before its first ``append``: the sequence
        number to go on with. From then on every earlier epoch is refused. Raises ``Fenced`` if
        there is a later one."""

    async def append(self, appends: Sequence[tuple[Claim, Chunk]]) -> Mapping[str, Exception]:
        """Append one chunk to each of many runs (a run at most once); durable on return. What did
        not go, by the run's id: ``Fenced`` (stop writing), ``LocalProtocolError`` (not what comes
        next: a bug), ``RemoteError`` (that run's chunk may be sent again). The others went.

        The last chunk again by the same epoch is no error and is not written twice."""

    async def read(self, project: str, id: str, after: int = -1, limit: int = 64) -> list[Chunk]:
        """At most ``limit`` chunks in order, from the one that holds the event ``after + 1`` on
        (which may begin with earlier events). Empty: nothing there yet, no such run, or swept."""

    async def drop(self, project: str, id: str) -> None:
        """Forget the log. No error if there is none."""
