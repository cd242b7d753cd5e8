"""The store in PostgreSQL, for any number of replicas.

What is done is told in ``turns.py`` and the nouns, in statements both databases understand
(``sql.POSTGRES`` fills in the words that differ); this file runs them. Writes go through two
queues (``postgres_writes.py``): responses with what is written along with them, and everything
else, so that neither waits for the other's statements. Reads take a connection of a pool.

A COMMIT comes back when the server has flushed its log, because ``synchronous_commit`` is not off
on any connection we make; that is what a settled row's durability rests on.

Two replicas may do anything at the same time. Numbers of rows come in blocks from a sequence.
Children that are stored at once for one parent take the next place both, the second is refused
by the unique index and written again, as a fork. A turn that is judged (has it children?) is
locked first, and whoever gives it a child holds a lock of its own on it, so no judgement is old
when it is carried out. One replica sweeps at a time.

Text with NUL, which PostgreSQL has not, or with half of a surrogate pair is in no row: a query,
change or deletion by it finds nothing, storing it is refused.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Sequence
from functools import cache, partial
from typing import TYPE_CHECKING, Any

from antiphon.ids import now_ms
from antiphon.observe import Observe, nobody
from antiphon.store import sql, turns
from antiphon.store.base import Past, Settled, StoredResponse
from antiphon.store.migrate import Migration
from antiphon.store.postgres_link import (
    Pool,
    Target,
    connect,
    failed,
    failures,
    is_lost,
    translated,
)
from antiphon.store.postgres_schema import migrated, pending_migrations
from antiphon.store.postgres_writes import BATCH_BYTES_MAX, Writes
from antiphon.store.work import Begin, T, resolve

if TYPE_CHECKING:
    import asyncpg

SWEEP_ROWS_PER_COMMIT = 32
PING_SECONDS_MAX = 2.0


class PostgresStore:
    """``antiphon.store.base.Store`` on PostgreSQL. ``connections_max`` bounds those that read,
    two more write. A write is tried again for ``patience_seconds`` while the database is away."""

    local = False

    def __init__(
        self,
        url: str,
        *,
        pooler: bool = False,
        connections_max: int = 8,
        patience_seconds: float = 10.0,
        observe: Observe = nobody,
        clock: Callable[[], int] = now_ms,
    ) -> None:
        self.target = target = Target(url, pooler)
        self._clock = clock
        self._refusal = "the store is not open"  # why nothing is accepted, or ""
        self._pool = Pool(target, connections_max)
        self._rows_queue, self._works_queue = (
            Writes(target, self, observe=observe, clock=clock, patience_seconds=patience_seconds)
            for _ in range(2)
        )

    # --- the life of a store ---

    async def open(self) -> None:
        """Create or migrate the schema. Raises ``RemoteError`` if the database cannot be reached,
        lacks a right we need, or was written by a newer version."""
        await self._with_schema(migrated)
        self._refusal = ""

    async def pending(self) -> Sequence[Migration]:
        """The migrations ``open`` would run."""
        found: Sequence[Migration] = await self._with_schema(pending_migrations)
        return found

    async def _with_schema(self, look: Any) -> Any:
        try:
            connection = await connect(self.target)
        except failures() as error:
            raise translated(error, "open", self.target) from None
        try:
            return await look(connection, self._clock())
        except failures() as error:
            raise translated(error, "migrate", self.target) from error
        finally:
            connection.terminate()

    async def close(self) -> None:
        """Refuse new work, finish the queued one, close the connections. May be called twice."""
        self._refusal = self._refusal or "the store is closed"
        await self._rows_queue.close()
        await self._works_queue.close()
        await self._pool.close()

    async def ping(self) -> None:
        """Write one small row; raises ``RemoteError`` if that fails or takes long."""
        self._check_open()
        try:
            async with asyncio.timeout(PING_SECONDS_MAX), self._pool.connection() as connection:
                await self.status(connection, _rendered(sql.WRITE_PROBE), (self._clock(),))
        except failures() as error:
            raise translated(error, "write", self.target) from error

    def _check_open(self) -> None:
        if self._refusal:
            raise failed(self._refusal)

    # --- responses ---

    def put(
        self, row: StoredResponse | None, settled: Settled, also: Sequence[Begin[object]] = ()
    ) -> None:
        """As the port says."""
        if self._refusal:
            asyncio.get_running_loop().call_soon(settled, failed(self._refusal))
        elif row is None:
            self._rows_queue.put(None, also, partial(_settled_without_row, settled))
        else:
            self._rows_queue.put(row, also, settled)

    async def save(self, row: StoredResponse) -> None:
        """As the port says. A caller that is cancelled while waiting leaves the row queued."""
        done = asyncio.get_running_loop().create_future()
        self.put(row, partial(resolve, done))
        await done

    async def load(self, project: str, response_id: str) -> StoredResponse | None:
        return await self.read(partial(turns.load, project, response_id, self._clock()))

    async def load_object(self, project: str, response_id: str) -> tuple[bytes, bytes] | None:
        return await self.read(partial(turns.load_object, project, response_id, self._clock()))

    async def history(self, project: str, response_id: str) -> Sequence[Past] | None:
        return await self.read(partial(turns.history, project, response_id, self._clock()))

    async def context(self, project: str, response_id: str) -> Sequence[bytes] | None:
        return await self.read(partial(turns.context, project, response_id, self._clock()))

    async def alive(self, project: str, response_id: str) -> bool:
        return await self.read(partial(turns.alive, project, response_id, self._clock()))

    async def delete(self, project: str, response_id: str) -> bool:
        return await self.change(partial(turns.delete, project, response_id, self._clock()))

    async def sweep(self, now: int, limit: int = 500) -> int:
        """As the port says; in small transactions. 0 while another replica sweeps."""
        expired = looked_at = 0
        while looked_at < limit:
            rows = min(SWEEP_ROWS_PER_COMMIT, limit - looked_at)
            seen, died = await self.change(partial(turns.sweep, now, rows, BATCH_BYTES_MAX))
            if not seen:
                break
            looked_at += seen
            expired += died
        return expired

    # --- works ---

    async def read(self, work: Begin[T]) -> T:
        """As the port says. A connection that turns out to be lost is replaced once."""
        self._check_open()
        try:
            return await self._read(work)
        except failures() as error:
            if not is_lost(error):
                raise translated(error, "read", self.target) from error
        try:
            return await self._read(work)
        except failures() as error:
            raise translated(error, "read", self.target) from error

    async def _read(self, work: Begin[T]) -> T:
        async with self._pool.connection() as connection:
            if not self.target.pooler:
                return await self.drive(connection, work)
            await connection.execute("BEGIN")
            result = await self.drive(connection, work)
            await connection.execute("COMMIT")
            return result

    async def change(self, work: Begin[T]) -> T:
        """As the port says."""
        self._check_open()
        done: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._works_queue.put(None, (work,), partial(resolve, done))
        return await done

    async def drive(self, connection: asyncpg.Connection, begin: Begin[T]) -> T:
        """Run one work, statement by statement."""
        work = begin()
        try:
            statement, parameters = next(work)
            while True:
                if all(map(_fits, parameters)):
                    rows = await self.rows(connection, _rendered(statement), parameters)
                else:
                    rows = _none_found(statement, parameters)
                statement, parameters = work.send(rows)
        except StopIteration as end:
            result: T = end.value
            return result

    async def rows(
        self, connection: asyncpg.Connection, statement: str, parameters: Sequence[Any]
    ) -> Any:
        """Run a statement as PostgreSQL reads it; its rows. Raises what the driver raises."""
        if self.target.pooler and not connection.is_in_transaction():
            async with connection.transaction():
                return await connection.fetch(statement, *parameters)
        return await connection.fetch(statement, *parameters)

    async def status(
        self, connection: asyncpg.Connection, statement: str, parameters: Sequence[Any]
    ) -> str:
        """The same; what it said of itself (``INSERT 0 3``)."""
        said: str
        if parameters and self.target.pooler and not connection.is_in_transaction():
            async with connection.transaction():
                said = await connection.execute(statement, *parameters)
        else:
            said = await connection.execute(statement, *parameters)
        return said


@cache
def _rendered(statement: str) -> str:
    return sql.POSTGRES.render(statement)


def _fits(value: object) -> bool:
    """Whether PostgreSQL has such text."""
    if type(value) is not str:
        return True
    if value.isascii():
        return "\0" not in value
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return "\0" not in value


def _none_found(statement: str, parameters: Sequence[Any]) -> list[Any]:
    """What is looked for under such text is not there; it cannot be written."""
    kind, _, rest = statement.lstrip().partition(" ")
    written = rest.partition("WHERE")[0] if kind == "UPDATE" else ""
    unfit = [f"${n}" for n, value in enumerate(parameters, 1) if not _fits(value)]
    names = set(re.findall(r"\$\d+", written))
    if kind in ("SELECT", "DELETE") or (kind == "UPDATE" and names.isdisjoint(unfit)):
        return []
    raise failed("text with NUL or half of a surrogate pair cannot be stored")


def _settled_without_row(settled: Settled, outcome: Any) -> None:
    settled(outcome if isinstance(outcome, Exception) else None)
