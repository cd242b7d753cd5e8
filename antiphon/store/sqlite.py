"""The store in one SQLite file, for one process.

Why a saved row is durable. Everything that is written goes through one queue. What is queued when
the loop comes round becomes one transaction, executed in the loop (microseconds a row), in WAL
mode with ``synchronous=NORMAL``: COMMIT appends to the WAL and does not wait for the disk. Then a
helper thread flushes the WAL (``sqlite_file.flush``), and only after that do the callers return.
The order is commit → flush → return, and no transaction runs while a flush does, so every flush
covers all that was committed. What queues up meanwhile is the next batch.

The WAL is moved into the database by the same helper thread, between two batches, on a connection
of its own: SQLite flushes the WAL before it copies pages and the database file before the WAL may
start over, so at any instant a committed row is in flushed WAL frames or in the flushed database
file. As no transaction runs then, a checkpoint is always complete and the WAL stays small. The
WAL keeps its inode while a connection is open, which is why one descriptor of it can be kept.

If a flush fails nobody can say what is on the disk: those callers get an error and the store
refuses to write until it is opened again (which replays what is really there).

Reads use the writing connection: transactions never stay open across an ``await``, so a read
never sees half of one, and the page cache is shared. A row can be read a moment before it is
flushed; its id is not known outside by then.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any

import apsw
from msgspec import Struct

from antiphon.errors import RemoteError
from antiphon.ids import now_ms
from antiphon.observe import Broke, Observe, StoreCommitted, nobody
from antiphon.store import sql
from antiphon.store.base import Past, StoredResponse
from antiphon.store.sqlite_file import DatabaseFile, DatabasePath, failed, flush, translated
from antiphon.store.tree import Parent, Seats, segments

Value = int | float | bytes | str | None
"""What a parameter of a statement may be."""

GRACE_MS = 3_600_000
"""How long a tombstone's row stays at least: a child made from it before may still be running."""

BATCH_ROWS_MAX = 128
BATCH_BYTES_MAX = 1 << 20
"""One transaction's size: what bounds the time the loop stands still (a larger row goes alone)."""

SWEEP_ROWS_PER_COMMIT = 32

# What makes one row impossible, whatever the others are.
_ROW_ERRORS = (apsw.ConstraintError, apsw.TooBigError, TypeError, ValueError, OverflowError)

_render = sql.SQLITE.render
_SAVE_RESPONSE = _render(sql.SAVE_RESPONSE)
_SAVE_FORK = _render(sql.SAVE_FORK)
_FIND_PARENT = _render(sql.FIND_PARENT)
_LOAD_RESPONSE = _render(sql.LOAD_RESPONSE)
_FIND_TURN = _render(sql.FIND_TURN)
_LOAD_PAST = _render(sql.LOAD_PAST)
_USE_OF_TURN = _render(sql.USE_OF_TURN)
_HOLD_TURN = _render(sql.HOLD_TURN)
_BLANK_TURN = _render(sql.BLANK_TURN)
_PARK_TURN = _render(sql.PARK_TURN)
_ERASE_TURN = _render(sql.ERASE_TURN)
_ERASE_FORK = _render(sql.ERASE_FORK)
_WAKE_FIRST = _render(sql.WAKE_FIRST)
_WAKE_LATER = _render(sql.WAKE_LATER)
_FIND_FORK = _render(sql.FIND_FORK)
_FIND_DUE = _render(sql.FIND_DUE)
_LAST_NUMBER = _render(sql.LAST_NUMBER)
_WRITE_PROBE = _render(sql.WRITE_PROBE)


class _Write(Struct, eq=False):
    """One queued write: a row, or a change to make inside the transaction. ``done`` gets the
    change's result (None for a row) once it is durable."""

    done: asyncio.Future[Any]
    row: StoredResponse | None = None
    change: Callable[[], Any] | None = None


class SqliteStore:
    """``antiphon.store.base.Store`` on SQLite. ``path`` is the file, or ":memory:" (no disk, no
    helper thread, gone when closed). ``sync`` is what flushes a descriptor to the disk."""

    def __init__(
        self,
        path: DatabasePath,
        *,
        observe: Observe = nobody,
        clock: Callable[[], int] = now_ms,
        sync: Callable[[int], None] = flush,
    ) -> None:
        self.path: DatabasePath = ":memory:" if path == ":memory:" else Path(path)
        self._observe = observe
        self._clock = clock
        self._sync = sync
        self._file: DatabaseFile | None = None
        self._refusal = "the store is not open"  # why no write is accepted, or ""
        self._doubt = ""  # why nothing more may be committed, or ""
        self._queue: list[_Write] = []
        self._drainer: asyncio.Task[None] | None = None
        self._next_number = 1

    # --- the life of a store ---

    async def open(self) -> None:
        """Take the file for this process, create or migrate it. Raises ``RemoteError`` if another
        process has it, if it is no database, or if a newer version wrote it."""
        self._file = DatabaseFile(self.path, now=self._clock(), sync=self._sync)
        self._refusal = self._doubt = ""
        self._next_number = self._read(_LAST_NUMBER, ())[0][0] + 1

    async def close(self) -> None:
        """Refuse new writes, finish the queued ones, fold the log into the database. May be
        called twice."""
        self._refusal = self._refusal or "the store is closed"
        if self._drainer is not None:
            await asyncio.wait([self._drainer])
        file, self._file = self._file, None
        if file is not None:
            file.close()

    async def ping(self) -> None:
        """Write one small row to the disk; raises ``RemoteError`` if that fails."""
        await self._change(partial(self._rows, _WRITE_PROBE, (self._clock(),)))

    # --- responses ---

    async def save(self, row: StoredResponse) -> None:
        """As the port says. A caller that is cancelled while waiting leaves the row queued."""
        await self._enqueue(_Write(_future(), row=row))

    async def load(self, project: str, response_id: str) -> StoredResponse | None:
        found = self._read(_LOAD_RESPONSE, (project, response_id, self._clock()))
        if not found:
            return None
        (id, project, parent, created_at, expires_at, status, head, input, output, cuts) = found[0]
        return StoredResponse(
            id=id,
            project=project,
            parent=parent,
            created_at=created_at,
            expires_at=expires_at,
            status=status,
            head=head,
            input=input,
            output=output,
            cuts=cuts,
        )

    async def history(self, project: str, response_id: str) -> Sequence[Past] | None:
        """As the port says: one query for a first turn, two for any other."""
        now = self._clock()
        found = self._read(_FIND_TURN, (project, response_id, now))
        if not found:
            return None
        number, chain, position, lineage, input, output = found[0]
        if number == chain and lineage is None:
            return [Past(response_id, False, input, output)]
        rows = self._read(_LOAD_PAST, (segments(lineage, chain, position), now))
        rows.sort(key=_by_place)
        return [
            Past(id, bool(deleted), input or b"[]", output or b"[]")
            for _, _, id, input, output, deleted in rows
        ]

    async def delete(self, project: str, response_id: str) -> bool:
        """As the port says. Nothing of it is left in the file's live pages when this returns,
        unless a living response descends from it (then its input and output stay)."""
        if not self._read(_FIND_TURN, (project, response_id, self._clock())):
            return False
        deleted: bool = await self._change(partial(self._delete, project, response_id))
        return deleted

    async def sweep(self, now: int, limit: int = 500) -> int:
        """As the port says; in small transactions, so that others get their turn."""
        expired = looked_at = 0
        while looked_at < limit:
            rows = min(SWEEP_ROWS_PER_COMMIT, limit - looked_at)
            if not self._read(_FIND_DUE, (now, 1)):
                break
            seen, died = await self._change(partial(self._sweep, now, rows))
            looked_at += seen
            expired += died
        return expired

    @property
    def _db(self) -> apsw.Connection:
        if self._file is None:
            raise failed(self._refusal)
        return self._file.db

    def _rows(self, statement: str, parameters: tuple[Value, ...]) -> list[Any]:
        return self._db.execute(statement, parameters).fetchall()

    def _read(self, statement: str, parameters: tuple[Value, ...]) -> list[Any]:
        try:
            return self._rows(statement, parameters)
        except UnicodeEncodeError:  # an id no row can have
            return []
        except apsw.Error as error:
            raise translated(error, "read") from error

    # --- the queue: what is queued together is committed and flushed together ---

    async def _change(self, change: Callable[[], Any]) -> Any:
        return await self._enqueue(_Write(_future(), change=change))

    async def _enqueue(self, write: _Write) -> Any:
        if self._refusal:
            raise failed(self._refusal)
        self._queue.append(write)
        if self._drainer is None or self._drainer.done():
            self._drainer = asyncio.create_task(self._drain(), name="store-commits")
        return await write.done

    async def _drain(self) -> None:
        try:
            while self._queue:
                count = _batch_size(self._queue)
                batch, self._queue = self._queue[:count], self._queue[count:]
                await self._commit(batch)
                await self._checkpoint()
        finally:  # cancelled, or an observer raised: nobody may wait for ever
            left, self._queue = self._queue, []
            _settle(left, failed("the store was stopped before it could write"))

    async def _commit(self, batch: list[_Write]) -> None:
        started = perf_counter()
        outcome: list[Any] | RemoteError = failed("the store was stopped while it was writing")
        try:
            results = self._transact(batch)
            await self._flush()
            outcome = results
        except RemoteError as error:
            outcome = error
        finally:
            rows = _settle(batch, outcome)
        if rows:
            self._observe(StoreCommitted(rows=rows, seconds=perf_counter() - started))

    async def _flush(self) -> None:
        assert self._file is not None
        try:
            await self._file.flush()
        except OSError as error:
            self._stop_writing()
            raise failed(self._doubt) from error

    def _stop_writing(self) -> None:
        self._doubt = "the disk failed while responses were being stored: check it, restart"
        if self._file is not None:
            self._file.distrust_log()

    async def _checkpoint(self) -> None:
        if self._doubt or self._file is None:
            return
        try:
            await self._file.checkpoint_if_due()
        except RemoteError as error:
            self._observe(Broke(where="store", error=error))

    # --- one transaction ---

    def _transact(self, batch: list[_Write]) -> list[Any]:
        """Commit the batch. The result of each, in order: a ``RemoteError`` for one that is
        impossible in itself, which does not keep the others from being committed."""
        if self._doubt:
            raise failed(self._doubt)
        db = self._db
        try:
            db.execute("BEGIN IMMEDIATE")
            try:
                results = self._apply(batch)
            except _ROW_ERRORS:
                db.execute("ROLLBACK")
                db.execute("BEGIN IMMEDIATE")
                results = [self._apply_alone(write) for write in batch]
            db.execute("COMMIT")
        except apsw.Error as error:
            raise translated(error, "write") from error
        finally:
            self._roll_back()
        return results

    def _roll_back(self) -> None:
        """Leave the transaction that a failure left open."""
        try:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
        except apsw.Error:
            self._stop_writing()

    def _apply(self, batch: list[_Write]) -> list[Any]:
        self._insert([write.row for write in batch if write.row is not None])
        return [None if write.change is None else write.change() for write in batch]

    def _apply_alone(self, write: _Write) -> Any:
        db = self._db
        db.execute("SAVEPOINT alone")
        try:
            (result,) = self._apply([write])
        except _ROW_ERRORS as error:
            db.execute("ROLLBACK TO alone")
            result = _impossible(write, error)
        db.execute("RELEASE alone")
        return result

    def _insert(self, rows: list[StoredResponse]) -> None:
        seats = Seats()
        values: list[tuple[Value, ...]] = []
        for row in rows:
            number = self._next_number
            self._next_number += 1
            parent = None
            if row.parent is not None:
                parent = seats.parent(row.project, row.parent)
                parent = parent or self._find_parent(row.project, row.parent)
            place = seats.seat(number, row.project, row.id, parent)
            if place.forked_from is not None:
                above = place.forked_from
                fork = (number, row.project, above.chain, above.position, place.lineage)
                self._db.execute(_SAVE_FORK, fork)
            key = (number, row.project, row.id, place.chain, place.position, row.parent)
            state = (row.created_at, row.expires_at, row.status)
            values.append((*key, *state, row.head, row.input, row.output, row.cuts))
        if values:
            self._db.executemany(_SAVE_RESPONSE, values)

    def _find_parent(self, project: str, response_id: str) -> Parent | None:
        found = self._rows(_FIND_PARENT, (project, response_id))
        if not found:
            return None
        chain, position, lineage, continued = found[0]
        return Parent(chain, position, lineage, bool(continued))

    # --- forgetting (inside a transaction) ---

    def _delete(self, project: str, response_id: str) -> bool:
        now = self._clock()
        found = self._rows(_FIND_TURN, (project, response_id, now))
        if not found:
            return False
        number, chain, position, *_ = found[0]
        if self._use(chain, position) == 2:
            self._db.execute(_HOLD_TURN, (number, None))
        else:
            self._db.execute(_BLANK_TURN, (number, now + GRACE_MS))
            self._wake_parent(chain, position, now)
        return True

    def _sweep(self, now: int, limit: int) -> tuple[int, int]:
        """Look at due rows: how many were seen, and how many of them expired just now."""
        seen = expired = size = 0
        for number, chain, position, gone, row_size in self._rows(_FIND_DUE, (now, limit)):
            size += row_size  # erasing writes as much as storing did
            if seen and size > BATCH_BYTES_MAX:
                break
            seen += 1
            if gone == sql.LIVING:
                expired += 1
                self._db.execute(_HOLD_TURN, (number, now + GRACE_MS))
            else:
                self._forget(number, chain, position, gone, now)
        return seen, expired

    def _forget(self, number: int, chain: int, position: int, gone: int, now: int) -> None:
        """Take a tombstone one step further: held → blank → erased, or park it for its children."""
        use = self._use(chain, position)
        if use == 2 or (use == 1 and gone == sql.BLANK):
            self._db.execute(_PARK_TURN, (number,))
        elif gone == sql.HELD:
            self._db.execute(_BLANK_TURN, (number, now + GRACE_MS))
            self._wake_parent(chain, position, now)
        else:
            self._wake_parent(chain, position, now)
            self._db.execute(_ERASE_TURN, (number,))
            if position == 0:
                self._db.execute(_ERASE_FORK, (chain,))

    def _use(self, chain: int, position: int) -> int:
        use: int = self._rows(_USE_OF_TURN, (chain, position))[0][0]
        return use

    def _wake_parent(self, chain: int, position: int, now: int) -> None:
        if position == 0:
            above = self._rows(_FIND_FORK, (chain,))
            if not above:
                return
            chain, position = above[0]
        else:
            position -= 1
        if position == 0:
            self._db.execute(_WAKE_FIRST, (chain, now))
        else:
            self._db.execute(_WAKE_LATER, (chain, position, now))


# --- small parts ----------------------------------------------------------------------------------


def _future() -> asyncio.Future[Any]:
    return asyncio.get_running_loop().create_future()


def _by_place(row: tuple[int, int]) -> tuple[int, int]:
    return row[0], row[1]


def _batch_size(queue: list[_Write]) -> int:
    size = 0
    for count, write in enumerate(queue[:BATCH_ROWS_MAX]):
        row = write.row
        if row is not None:
            size += len(row.head) + len(row.input) + len(row.output)
        if size > BATCH_BYTES_MAX:
            return max(count, 1)
    return min(len(queue), BATCH_ROWS_MAX)


def _settle(batch: list[_Write], outcome: list[Any] | RemoteError) -> int:
    """Wake those who wait; how many rows were stored."""
    rows = 0
    for index, write in enumerate(batch):
        result = outcome if isinstance(outcome, RemoteError) else outcome[index]
        refused = isinstance(result, RemoteError)
        rows += write.row is not None and not refused
        if write.done.done():  # its caller was cancelled
            continue
        if refused:  # an exception of its own for each: they collect traces
            write.done.set_exception(failed(result.message, retryable=result.retryable))
        else:
            write.done.set_result(result)
    return rows


def _impossible(write: _Write, error: Exception) -> RemoteError:
    name = "this change" if write.row is None else f"response {write.row.id!r}"
    if isinstance(error, apsw.ConstraintError):
        return failed(f"{name} cannot be stored: its id is already taken")
    return failed(f"{name} cannot be stored: its content does not fit a row")
