"""The store port: what survives, one protocol per noun (``Responses`` so far).

Every method takes the project (tenant) first, and another project's id behaves exactly like a
missing one. A row is written once, complete, and is durable (fsynced) when ``put`` calls back or
``save`` returns.

History is a tree: each response names its parent. A response's context is the input and output
of its ancestors, oldest first, then its own. Storing a turn costs its new items only, loading
any history costs at most two queries, ancestors are never changed by descendants.
Deleting a response makes it a tombstone: its id is gone at once for every reader, its items stay
readable to living descendants as history only, and are erased with the last of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

from msgspec import Struct

from antiphon.store.work import Begin

T = TypeVar("T")


class StoredResponse(Struct, kw_only=True):
    """One response as stored.

    ``head``: the Response object as JSON with ``"output":[]``; ``output``: its output items, a
    JSON array; ``input``: the new input items of this turn, a JSON array, every item with an id;
    ``cuts``: how the deltas of its stream were cut (``stream/cuts.py``), None if not streamed.
    Times are milliseconds since 1970; ``expires_at`` None keeps it for ever.
    """

    id: str
    project: str
    parent: str | None
    created_at: int
    expires_at: int | None
    status: str
    head: bytes
    input: bytes
    output: bytes
    cuts: bytes | None = None


class Past(Struct, frozen=True):
    """One ancestor's contribution to a history. ``deleted``: do not show it, only use it."""

    response_id: str
    deleted: bool
    input: bytes
    output: bytes


Settled = Callable[[Exception | None], None]
"""Called once, from the loop, when a row is durable (None) or cannot be stored (``RemoteError``, or
what the work that went along raised: ``Fenced``, ``ClientError``)."""


class Responses(Protocol):
    """Stored responses of all projects.

    ``local``: reading never waits, so the coroutines of ``load``, ``load_object``, ``history`` and
    ``context`` end without being suspended once.
    """

    local: bool

    def put(
        self, row: StoredResponse | None, settled: Settled, also: Sequence[Begin[object]] = ()
    ) -> None:
        """``save`` without waiting: queue the row, say later how it went. Never raises, and never
        calls ``settled`` before it has returned.

        ``also`` are works done after the row, in the same transaction: all of it is durable or
        none. What one of them raises is what ``settled`` is told; other rows do not suffer from
        it. ``row`` None: only the works.
        """

    async def save(self, row: StoredResponse) -> None:
        """Insert; returns after the commit is on the disk. Raises ``RemoteError`` on failure.

        The parent need not be alive any more (deleted or expired while the turn ran): the
        child still joins its history.
        """

    async def load(self, project: str, response_id: str) -> StoredResponse | None:
        """The row, or None if it is missing, deleted, expired or another project's."""

    async def load_object(self, project: str, response_id: str) -> tuple[bytes, bytes] | None:
        """``head`` and ``output`` of what ``load`` would give: all there is to the object."""

    async def history(self, project: str, response_id: str) -> Sequence[Past] | None:
        """The contributions of the response and all its ancestors, oldest first (its own is
        last), or None under the same conditions as ``load``."""

    async def context(self, project: str, response_id: str) -> Sequence[bytes] | None:
        """What ``history`` tells, for a model and not for a list: JSON arrays of items which,
        joined, are everything said up to and including this response, oldest first. Fewer and
        larger pieces than ``history`` has where turns were packed. None as for ``load``."""

    async def alive(self, project: str, response_id: str) -> bool:
        """Whether it is there, without reading what it says."""

    async def delete(self, project: str, response_id: str) -> bool:
        """Make it a tombstone; False if ``load`` would have said None."""

    async def sweep(self, now: int, limit: int = 500) -> int:
        """Tombstone what expired before ``now`` (ms), erase tombstones nobody descends from;
        returns how many responses expired. At most ``limit`` rows per call."""


class Database(Protocol):
    """Where works run (``work.py``): what the nouns of the store are written on."""

    local: bool

    async def read(self, work: Begin[T]) -> T:
        """Run a work that only reads. Where ``local``, this is not suspended once. Raises
        ``RemoteError`` if the database fails, and what the work raises."""

    async def change(self, work: Begin[T]) -> T:
        """Run a work in one transaction, together with others; returns its result when it is on
        the disk. Raises ``RemoteError``, and what the work raises (then nothing is written)."""


class Store(Responses, Database, Protocol):
    """A database: its nouns, and its life."""

    async def open(self) -> None:
        """Create or migrate the schema; called once inside the running loop."""

    async def close(self) -> None:
        """Commit what is queued, then close."""

    async def ping(self) -> None:
        """Raise ``RemoteError`` if the store cannot be written (readiness)."""
