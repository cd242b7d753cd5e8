"""Group commit on PostgreSQL: what is queued while a transaction runs is the next one.

``put`` appends to a list. One task takes the list, writes all of it in one transaction, and tells
everybody when COMMIT has come back; while nothing is queued there is no task. A batch of plain
rows is a single statement, which is a transaction by itself.

What is wrong with one row, or what one work refuses, is its own affair: the transaction is rolled
back and its writes are done again one by one, each behind a savepoint. Deadlocks are tried again
at once, lost connections for ``patience_seconds``. If the connection is lost during COMMIT, the
database is asked what became of it: a transaction leaves a mark, a statement of plain rows is
said again with the same numbers, which nobody else has. So nothing is written twice and nothing
durable is called lost.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import count
from time import perf_counter
from typing import TYPE_CHECKING, Any, Protocol

from antiphon.errors import ClientError, RemoteError
from antiphon.observe import Observe, StoreCommitted
from antiphon.store import postgres_sql as sql
from antiphon.store import turns
from antiphon.store.base import StoredResponse
from antiphon.store.postgres_link import (
    Pool,
    Target,
    failed,
    failures,
    is_again,
    is_impossible,
    is_lost,
    is_taken,
    translated,
)
from antiphon.store.tree import Parent
from antiphon.store.work import Begin, Fenced

if TYPE_CHECKING:
    import asyncpg

BATCH_ROWS_MAX = 128
BATCH_BYTES_MAX = 1 << 20
BATCH_WORKS_MAX = 32
"""Each statement of a work is a round trip to the database, and the whole batch waits for it."""

NUMBERS_PER_BLOCK = 1_024
MARK_KEPT_MS = 7 * 86_400_000
TRIES_MAX = 8
PAUSE_SECONDS = 0.05
PAUSE_SECONDS_MAX = 1.0

REFUSALS = (Fenced, ClientError, RemoteError)
"""What a work says itself; it concerns nobody else in the batch."""

Write = tuple[StoredResponse | None, Sequence[Begin[Any]], Callable[[Any], None]]
"""A row, works or both, and who is told: the last work's result (None with a row), or an
exception."""


class Driver(Protocol):
    """Runs works and statements on a connection (``PostgresStore``)."""

    async def drive(self, connection: asyncpg.Connection, begin: Begin[Any]) -> Any: ...

    async def rows(
        self, connection: asyncpg.Connection, statement: str, parameters: Sequence[Any]
    ) -> Any: ...

    async def status(
        self, connection: asyncpg.Connection, statement: str, parameters: Sequence[Any]
    ) -> str: ...


class _Clash(Exception):
    """A row of the batch was not inserted: its id or its place is taken."""


class _Unknown(Exception):
    """The connection was lost during COMMIT. ``mark``: what the transaction leaves behind."""

    def __init__(self, mark: int, outcomes: list[Any], cause: Exception) -> None:
        super().__init__("the outcome of a transaction is unknown")
        self.mark = mark
        self.outcomes = outcomes
        self.cause = cause


class Writes:
    """One queue of writes of one open store, over one connection."""

    def __init__(
        self,
        target: Target,
        driver: Driver,
        *,
        observe: Observe,
        clock: Callable[[], int],
        patience_seconds: float,
    ) -> None:
        self._target = target
        self._pool = Pool(target, 1)
        self._driver = driver
        self._observe = observe
        self._patience_seconds = patience_seconds
        self._queue: list[Write] = []
        self._queued_bytes = 0
        self._queued_works = 0
        self._batch: Sequence[Write] = ()  # under way
        self._task: asyncio.Task[None] | None = None
        self._idle_waiters: list[asyncio.Future[None]] = []
        self._clock = clock
        self._lost_at: float | None = None  # since when the database is away
        self._queue_number = 0
        self._mark = 0
        self._next_number = 0
        self._end_of_block = 0

    def put(
        self,
        row: StoredResponse | None,
        works: Sequence[Begin[Any]],
        settled: Callable[[Any], None],
    ) -> None:
        """Queue a row, works, or a row and what is done with it."""
        if row is not None:
            self._queued_bytes += len(row.head) + len(row.input) + len(row.output)
        if works:
            self._queued_works += len(works)
        self._queue.append((row, works, settled))
        if self._task is None:
            self._begin()

    async def idle(self) -> None:
        """Return when nothing is queued and nobody is left to be told."""
        while self._task is not None:
            waiter = asyncio.get_running_loop().create_future()
            self._idle_waiters.append(waiter)
            await waiter

    async def close(self) -> None:
        await self.idle()
        await self._pool.close()

    # --- rounds ---

    def _begin(self) -> None:
        self._task = asyncio.create_task(self._work_off(), name="store writes")
        self._task.add_done_callback(self._ended)

    async def _work_off(self) -> None:
        while self._queue:
            batch = self._batch = self._take()
            started = perf_counter()
            outcomes = await self._perform(batch)
            self._batch = ()
            rows = sum(
                row is not None and outcome is None
                for (row, _, _), outcome in zip(batch, outcomes, strict=True)
            )
            try:
                if rows:
                    self._observe(StoreCommitted(rows, perf_counter() - started))
            finally:
                self._settle(zip(batch, outcomes, strict=True))

    def _ended(self, task: asyncio.Task[None]) -> None:
        """Also after a bug in a work: nobody may wait for ever."""
        self._task = None
        batch, self._batch = self._batch, ()
        error = None if task.cancelled() else task.exception()
        if batch:
            failure = "the store failed while it was writing: see the log"
            told = iter([(write, failed(failure)) for write in batch])
            asyncio.get_running_loop().call_soon(self._settle, told)
        if self._queue:
            self._begin()
        else:
            waiters, self._idle_waiters = self._idle_waiters, []
            for waiter in waiters:
                if not waiter.done():
                    waiter.set_result(None)
        if error is not None:
            raise error  # to the loop's exception handler

    def _settle(self, left: Iterator[tuple[Write, Any]]) -> None:
        raised = True
        try:
            for (_, _, settled), outcome in left:
                settled(outcome)
            raised = False
        finally:  # what a caller raises is the loop's exception handler's business
            if raised:
                asyncio.get_running_loop().call_soon(self._settle, left)

    def _take(self) -> Sequence[Write]:
        """The next batch: nearly always all there is."""
        queue = self._queue
        if (
            len(queue) <= BATCH_ROWS_MAX
            and self._queued_bytes <= BATCH_BYTES_MAX
            and self._queued_works <= BATCH_WORKS_MAX
        ):
            self._queue, self._queued_bytes, self._queued_works = [], 0, 0
            return queue
        taken = size = works = 0
        for row, begin, _ in queue[:BATCH_ROWS_MAX]:
            row_size = 0 if row is None else len(row.head) + len(row.input) + len(row.output)
            if taken and (size + row_size > BATCH_BYTES_MAX or works >= BATCH_WORKS_MAX):
                break
            size += row_size
            works += len(begin)
            taken += 1
        batch, self._queue = queue[:taken], queue[taken:]
        self._queued_bytes -= size
        self._queued_works -= works
        return batch

    # --- one batch ---

    async def _perform(self, batch: Sequence[Write]) -> Sequence[Any]:
        """Write it, again and again if need be; the outcome of each."""
        loop = asyncio.get_running_loop()
        unknown: _Unknown | None = None
        first = -1
        alone = False
        for attempt in count():
            try:
                async with self._pool.connection() as connection:
                    if unknown is not None and await self._was_committed(connection, unknown):
                        return unknown.outcomes
                    unknown = None
                    await self._ready(connection)
                    if first < 0:
                        first = await self._first_number(connection, len(batch))
                    outcomes = await self._transact(connection, batch, first, alone)
                    self._lost_at = None
                    return outcomes
            except _Unknown as raised:
                unknown, error = raised, raised.cause
            except (_Clash, *REFUSALS) as refused:
                if alone:
                    return _all(len(batch), failed(str(refused)))
                alone = True
                continue
            except failures() as raised:
                error = raised
            if is_lost(error):
                self._lost_at = self._lost_at or loop.time()
                if loop.time() - self._lost_at >= self._patience_seconds:
                    return self._failures(error, len(batch))
                await asyncio.sleep(min(PAUSE_SECONDS * 2**attempt, PAUSE_SECONDS_MAX))
            elif is_again(error) and attempt < TRIES_MAX:
                await asyncio.sleep(0.001 * 2**attempt)
            elif alone:
                return self._failures(error, len(batch))
            else:
                alone = True
        raise AssertionError("counted to the end")

    async def _transact(
        self, connection: asyncpg.Connection, batch: Sequence[Write], first: int, alone: bool
    ) -> Sequence[Any]:
        plain = not alone and all(
            row is not None and row.parent is None and not works for row, works, _ in batch
        )
        if plain and not self._target.pooler:
            return await self._insert_plain(connection, batch, first)
        driver = self._driver
        await driver.status(connection, "BEGIN", ())
        mark = await self._marked(connection)
        if alone:
            outcomes = [
                await self._apply_alone(connection, write, number)
                for number, write in enumerate(batch, first)
            ]
        else:
            outcomes = await self._apply(connection, batch, first)
        try:
            await driver.status(connection, "COMMIT", ())
        except failures() as error:
            if is_lost(error):
                connection.terminate()
                raise _Unknown(mark, outcomes, error) from error
            raise
        return outcomes

    async def _insert_plain(
        self, connection: asyncpg.Connection, batch: Sequence[Write], first: int
    ) -> Sequence[Any]:
        """Rows that continue nothing and bring nothing along: one statement, and a transaction.
        If it is said twice, the second one does nothing."""
        rows = [
            turns.values(number, row, number, 0)
            for number, (row, _, _) in enumerate(batch, first)
            if row is not None
        ]
        if await self._insert(connection, rows) == len(rows):
            return [None] * len(rows)
        numbers = [row[0] for row in rows]
        found = await self._driver.rows(connection, sql.WHICH_NUMBERS, (numbers,))
        there = {one[0] for one in found}
        return [None if row[0] in there else _taken(str(row[2])) for row in rows]

    async def _insert(self, connection: asyncpg.Connection, rows: Sequence[Any]) -> int:
        columns = list(map(list, zip(*rows, strict=True)))
        said = await self._driver.status(connection, sql.SAVE_RESPONSES, columns)
        return int(said.rpartition(" ")[2])  # INSERT 0 n

    async def _apply(
        self, connection: asyncpg.Connection, batch: Sequence[Write], first: int
    ) -> list[Any]:
        """Inside a transaction: the rows, then the works."""
        rows = [row for row, _, _ in batch if row is not None]
        if rows:
            await self._insert_turns(connection, first, rows)
        outcomes = []
        for row, works, _ in batch:
            result = None
            for begin in works:
                result = await self._driver.drive(connection, begin)
            outcomes.append(result if row is None else None)
        return outcomes

    async def _insert_turns(
        self, connection: asyncpg.Connection, first: int, rows: list[StoredResponse]
    ) -> None:
        driver = self._driver
        parents = {}
        wanted = turns.parents_to_find(rows)
        if wanted:
            columns = list(map(list, zip(*wanted, strict=True)))
            found = await driver.rows(connection, sql.FIND_PARENTS, columns)
            for project, id, chain, position, lineage, continued in found:
                parents[project, id] = Parent(chain, position, lineage, bool(continued))
        placed = turns.placed(first, rows, parents)
        if placed.forks:
            columns = list(map(list, zip(*placed.forks, strict=True)))
            await driver.status(connection, sql.SAVE_FORKS, columns)
        if await self._insert(connection, placed.turns) != len(rows):
            raise _Clash
        for chain, block in placed.full:
            await driver.drive(connection, partial(turns.pack, chain, block))

    async def _apply_alone(self, connection: asyncpg.Connection, write: Write, number: int) -> Any:
        """One write of a batch that could not be written as a whole."""
        driver, row = self._driver, write[0]
        for _ in range(TRIES_MAX):
            await driver.status(connection, "SAVEPOINT alone", ())
            try:
                (result,) = await self._apply(connection, [write], number)
            except (_Clash, *REFUSALS) as refusal:
                result = refusal
            except failures() as error:
                if is_lost(error) or is_again(error):
                    raise
                result = self._refused(row, error)
            else:
                await driver.status(connection, "RELEASE alone", ())
                return result
            await driver.status(connection, "ROLLBACK TO alone", ())
            await driver.status(connection, "RELEASE alone", ())
            if not isinstance(result, _Clash):
                return result
            assert row is not None  # works do not clash
            if await driver.rows(connection, sql.NUMBER_OF, (row.project, row.id)):
                return _taken(row.id)
            # else somebody else's child took its place: it becomes a fork
        return failed("the response cannot be stored: its place is taken again and again")

    # --- small parts ---

    async def _first_number(self, connection: asyncpg.Connection, wanted: int) -> int:
        """Numbers nobody else has, for so many rows."""
        if self._next_number + wanted > self._end_of_block:
            found = await self._driver.rows(connection, sql.NEXT_BLOCK, ())
            self._next_number = found[0][0] * NUMBERS_PER_BLOCK
            self._end_of_block = self._next_number + NUMBERS_PER_BLOCK
        first = self._next_number
        self._next_number += wanted
        return first

    async def _marked(self, connection: asyncpg.Connection) -> int:
        """Leave a mark inside of the transaction; which."""
        self._mark = max(self._mark + 1, self._clock())
        await self._driver.status(connection, sql.MARK, (self._queue_number, self._mark))
        return self._mark

    async def _was_committed(self, connection: asyncpg.Connection, unknown: _Unknown) -> bool:
        """What became of it, once it is over."""
        found = await self._driver.rows(connection, sql.READ_MARK, (self._queue_number,))
        return bool(found) and found[0][0] >= unknown.mark

    async def _ready(self, connection: asyncpg.Connection) -> None:
        """See to it that there is a mark to wait for, and tidy up those of others."""
        now = self._clock()
        if now - self._mark < MARK_KEPT_MS // 2:
            return
        if not self._queue_number:
            found = await self._driver.rows(connection, sql.NEXT_BLOCK, ())
            self._queue_number = found[0][0] + 1  # the first row is the readiness probe's
        await self._driver.status(connection, sql.ERASE_MARKS, (now - MARK_KEPT_MS,))
        await self._marked(connection)

    def _refused(self, row: StoredResponse | None, error: Exception) -> RemoteError:
        if not is_impossible(error):
            return translated(error, "write", self._target)
        if row is not None and is_taken(error):
            return _taken(row.id)
        name = "this change" if row is None else f"response {row.id!r}"
        why = "its id is already taken" if is_taken(error) else "its content does not fit a row"
        return failed(f"{name} cannot be stored: {why}")

    def _failures(self, error: Exception, wanted: int) -> Sequence[RemoteError]:
        return _all(wanted, translated(error, "write", self._target))


def _all(wanted: int, error: RemoteError) -> Sequence[RemoteError]:
    """An exception of its own for each: they collect traces."""
    return [
        failed(error.message, status=error.status, retryable=error.retryable) for _ in range(wanted)
    ]


def _taken(id: str) -> RemoteError:
    return failed(f"response {id!r} cannot be stored: its id is already taken")
