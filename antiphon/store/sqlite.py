"""The store in one SQLite file, for one process.

Why a saved row is durable. Everything that is written goes through one queue (``commits.py``).
Each batch is one transaction, executed in the loop (microseconds a row), in WAL mode with
``synchronous=NORMAL``: COMMIT appends to the WAL and does not wait for the disk. Then a helper
thread flushes the WAL (``sqlite_file.flush``), and only after that are the callers told. The
order is commit → flush → settle, and no transaction runs while a flush does, so every flush
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
flushed, by who has its id from the beginning of a stream; what continues it is flushed after it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any

import apsw

from antiphon.errors import ClientError, RemoteError
from antiphon.ids import now_ms
from antiphon.observe import Observe, nobody
from antiphon.store import sql, turns
from antiphon.store.base import Past, Settled, StoredResponse
from antiphon.store.commits import BATCH_BYTES_MAX, Change, Commits, Write
from antiphon.store.migrate import Migration
from antiphon.store.sqlite_file import (
    DatabaseFile,
    DatabasePath,
    failed,
    flush,
    pending_in,
    translated,
)
from antiphon.store.tree import Parent
from antiphon.store.work import Begin, Fenced, Rows, T, Value, Work, resolve

SWEEP_ROWS_PER_COMMIT = 32

# What makes one row impossible, whatever the others are.
_ROW_ERRORS = (apsw.ConstraintError, apsw.TooBigError, TypeError, ValueError, OverflowError)
_REFUSALS = (Fenced, ClientError, RemoteError)
"""What a work says itself; it concerns nobody else in the batch."""

_render = sql.SQLITE.render
_SAVE_RESPONSE = _render(sql.SAVE_RESPONSE)
_SAVE_FORK = _render(sql.SAVE_FORK)
_FIND_PARENT = _render(sql.FIND_PARENT)
_SAVE_RESPONSE = _render(sql.SAVE_RESPONSE)
_SAVE_FORK = _render(sql.SAVE_FORK)
_FIND_PARENT = _render(sql.FIND_PARENT)
_FIND_DUE = _render(sql.FIND_DUE)
_LOAD_OBJECT = _render(sql.LOAD_OBJECT)
_LAST_NUMBER = _render(sql.LAST_NUMBER)
_WRITE_PROBE = _render(sql.WRITE_PROBE)


class SqliteStore:
    """``antiphon.store.base.Store`` on SQLite. ``path`` is the file, or ":memory:" (no disk, no
    helper thread, gone when closed). ``sync`` is what flushes a descriptor to the disk."""

    local = True

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
        self._commits: Commits | None = None
        self._next_number = 1

    # --- the life of a store ---

    async def open(self) -> None:
        """Take the file for this process, create or migrate it. Raises ``RemoteError`` if another
        process has it, if it is no database, or if a newer version wrote it."""
        self._file = DatabaseFile(self.path, now=self._clock(), sync=self._sync)
        self._next_number = self._read(_LAST_NUMBER, ())[0][0] + 1
        self._commits = Commits(self._file, self._transact, self._stop_writing, self._observe)
        self._refusal = self._doubt = ""

    async def pending(self) -> Sequence[Migration]:
        """The migrations ``open`` would run."""
        return pending_in(self.path)

    async def close(self) -> None:
        """Refuse new writes, finish the queued ones, fold the log into the database. May be
        called twice."""
        self._refusal = self._refusal or "the store is closed"
        if self._commits is not None:
            await self._commits.idle()
        file, self._file = self._file, None
        if file is not None:
            file.close()

    async def ping(self) -> None:
        """Write one small row to the disk; raises ``RemoteError`` if that fails."""
        await self._change(partial(self._rows, _WRITE_PROBE, (self._clock(),)))

    # --- responses ---

    def put(
        self, row: StoredResponse | None, settled: Settled, also: Sequence[Begin[object]] = ()
    ) -> None:
        """As the port says."""
        if self._commits is None or self._refusal:
            asyncio.get_running_loop().call_soon(settled, failed(self._refusal))
        else:
            self._commits.put(row, partial(self._works, also) if also else None, settled)

    async def save(self, row: StoredResponse) -> None:
        """As the port says. A caller that is cancelled while waiting leaves the row queued."""
        done = _future()
        self.put(row, partial(resolve, done))
        await done

    async def load(self, project: str, response_id: str) -> StoredResponse | None:
        return self._look(turns.load(project, response_id, self._clock()))

    async def load_object(self, project: str, response_id: str) -> tuple[bytes, bytes] | None:
        # ``turns.load_object`` without the generator: a poll is little else.
        try:
            found = self._read(_LOAD_OBJECT, (project, response_id, self._clock()))
        except UnicodeEncodeError:  # an id no row can have
            return None
        return found[0] if found else None

    async def history(self, project: str, response_id: str) -> Sequence[Past] | None:
        return self._look(turns.history(project, response_id, self._clock()))

    async def context(self, project: str, response_id: str) -> Sequence[bytes] | None:
        return self._look(turns.context(project, response_id, self._clock()))

    async def alive(self, project: str, response_id: str) -> bool:
        return self._look(turns.alive(project, response_id, self._clock()))

    async def delete(self, project: str, response_id: str) -> bool:
        """As the port says. Nothing of it is left in the file's live pages when this returns,
        unless a living response descends from it (then its input and output stay)."""
        now = self._clock()
        if self._look(turns.load_object(project, response_id, now)) is None:
            return False
        return await self.change(partial(turns.delete, project, response_id, now))

    async def sweep(self, now: int, limit: int = 500) -> int:
        """As the port says; in small transactions, so that others get their turn."""
        expired = looked_at = 0
        while looked_at < limit:
            rows = min(SWEEP_ROWS_PER_COMMIT, limit - looked_at)
            if not self._read(_FIND_DUE, (now, 1)):
                break
            seen, died = await self.change(partial(turns.sweep, now, rows, BATCH_BYTES_MAX))
            looked_at += seen
            expired += died
        return expired

    # --- works ---

    async def read(self, work: Begin[T]) -> T:
        """As the port says."""
        return self._look(work())

    async def change(self, work: Begin[T]) -> T:
        """As the port says."""
        result: list[T] = []
        await self._change(partial(self._keep_result, work, result))
        return result[0]

    def _look(self, work: Work[T]) -> T:
        try:
            return self._drive(work)
        except apsw.Error as error:
            raise translated(error, "read") from error

    def _drive(self, work: Work[T]) -> T:
        """Run one work, statement by statement."""
        try:
            statement, parameters = next(work)
            while True:
                try:
                    rows: Rows = self._rows(_rendered(statement), parameters)
                except UnicodeEncodeError:  # lone surrogates: no row can have this text
                    rows = _none_found(statement)
                statement, parameters = work.send(rows)
        except StopIteration as end:
            result: T = end.value
            return result

    def _keep_result(self, begin: Begin[T], result: list[T]) -> bool:
        result[:] = [self._drive(begin())]
        return True

    def _works(self, begin: Sequence[Begin[object]]) -> None:
        for one in begin:
            self._drive(one())

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
        except apsw.Error as error:
            raise translated(error, "read") from error

    async def _change(self, change: Change) -> Any:
        """Make a change in the next transaction; its result, once that is on the disk."""
        if self._commits is None or self._refusal:
            raise failed(self._refusal)
        done = _future()
        self._commits.put(None, change, partial(resolve, done))
        return await done

    def _stop_writing(self) -> str:
        self._doubt = "the disk failed while responses were being stored: check it, restart"
        if self._file is not None:
            self._file.distrust_log()
        return self._doubt

    # --- one transaction ---

    def _transact(self, batch: Sequence[Write]) -> list[Any]:
        """Commit the batch. The result of each, in order: a ``RemoteError`` for one that is
        impossible in itself, which does not keep the others from being committed."""
        if self._doubt:
            raise failed(self._doubt)
        db = self._db
        try:
            db.execute("BEGIN IMMEDIATE")
            try:
                results = self._apply(batch)
            except (*_ROW_ERRORS, *_REFUSALS):
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

    def _apply(self, batch: Sequence[Write]) -> list[Any]:
        rows = [row for row, _, _ in batch if row is not None]
        first, self._next_number = self._next_number, self._next_number + len(rows)
        if [row for row in rows if row.parent is not None]:
            self._insert_turns(first, rows)
        elif rows:
            values = [
                turns.values(number, row, number, 0) for number, row in enumerate(rows, first)
            ]
            self._db.executemany(_SAVE_RESPONSE, values)
        results = []
        for row, change, _ in batch:
            result = None if change is None else change()
            results.append(result if row is None else None)
        return results

    def _apply_alone(self, write: Write) -> Any:
        db = self._db
        db.execute("SAVEPOINT alone")
        try:
            (result,) = self._apply([write])
        except _REFUSALS as refusal:
            db.execute("ROLLBACK TO alone")
            result = refusal
        except _ROW_ERRORS as error:
            db.execute("ROLLBACK TO alone")
            result = _impossible(write[0], error)
        db.execute("RELEASE alone")
        return result

    def _insert_turns(self, first: int, rows: list[StoredResponse]) -> None:
        """The rows numbered from ``first`` on, some of which continue others."""
        parents = {}
        for key in turns.parents_to_find(rows):
            found = self._find_parent(*key)
            if found is not None:
                parents[key] = found
        placed = turns.placed(first, rows, parents)
        if placed.forks:
            self._db.executemany(_SAVE_FORK, placed.forks)
        self._db.executemany(_SAVE_RESPONSE, placed.turns)
        for chain, block in placed.full:
            self._drive(turns.pack(chain, block))

    def _find_parent(self, project: str, response_id: str) -> Parent | None:
        found = self._rows(_FIND_PARENT, (project, response_id))
        if not found:
            return None
        chain, position, lineage, continued = found[0]
        return Parent(chain, position, lineage, bool(continued))


# --- small parts ----------------------------------------------------------------------------------


@cache
def _rendered(statement: str) -> str:
    return _render(statement)


def _future() -> asyncio.Future[Any]:
    return asyncio.get_running_loop().create_future()


def _none_found(statement: str) -> Rows:
    if statement.lstrip().startswith("SELECT"):
        return []
    raise failed("text with half of a surrogate pair cannot be stored")


def _impossible(row: StoredResponse | None, error: Exception) -> RemoteError:
    name = "this change" if row is None else f"response {row.id!r}"
    if isinstance(error, apsw.ConstraintError):
        return failed(f"{name} cannot be stored: its id is already taken")
    return failed(f"{name} cannot be stored: its content does not fit a row")
