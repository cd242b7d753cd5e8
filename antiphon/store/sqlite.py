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
from antiphon.store import packs, sql
from antiphon.store.base import Past, Settled, StoredResponse
from antiphon.store.commits import BATCH_BYTES_MAX, Change, Commits, Write
from antiphon.store.packs import PACK_BYTES_MAX, block_of, completes_block, joined_arrays
from antiphon.store.sqlite_file import DatabaseFile, DatabasePath, failed, flush, translated
from antiphon.store.tree import Parent, Seats, segments
from antiphon.store.work import Begin, Fenced, T, Value

GRACE_MS = 3_600_000
"""How long a tombstone's row stays at least: a child made from it before may still be running."""

SWEEP_ROWS_PER_COMMIT = 32

# What makes one row impossible, whatever the others are.
_ROW_ERRORS = (apsw.ConstraintError, apsw.TooBigError, TypeError, ValueError, OverflowError)
_REFUSALS = (Fenced, ClientError, RemoteError)
"""What a work says itself; it concerns nobody else in the batch."""

_render = sql.SQLITE.render
_SAVE_RESPONSE = _render(sql.SAVE_RESPONSE)
_SAVE_FORK = _render(sql.SAVE_FORK)
_FIND_PARENT = _render(sql.FIND_PARENT)
_LOAD_RESPONSE = _render(sql.LOAD_RESPONSE)
_LOAD_OBJECT = _render(sql.LOAD_OBJECT)
_FIND_TURN = _render(sql.FIND_TURN)
_LOAD_PAST = _render(sql.LOAD_PAST)
_LOAD_CONTEXT = _render(sql.LOAD_CONTEXT)
_SIZE_OF_BLOCK = _render(sql.SIZE_OF_BLOCK)
_LOAD_BLOCK = _render(sql.LOAD_BLOCK)
_SAVE_PACK = _render(sql.SAVE_PACK)
_ERASE_PACK = _render(sql.ERASE_PACK)
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
        self.put(row, partial(_resolve, done))
        await done

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

    async def load_object(self, project: str, response_id: str) -> tuple[bytes, bytes] | None:
        found = self._read(_LOAD_OBJECT, (project, response_id, self._clock()))
        return found[0] if found else None

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

    async def context(self, project: str, response_id: str) -> Sequence[bytes] | None:
        """As the port says: one query for a first turn, two for any other."""
        found = self._read(_FIND_TURN, (project, response_id, self._clock()))
        if not found:
            return None
        number, chain, position, lineage, input, output = found[0]
        if number == chain and lineage is None:
            return [input, output]
        way = segments(lineage, chain, position)
        rows = self._read(_LOAD_CONTEXT, (way, packs.PACK_TURNS))
        rows.sort(key=_by_place)
        return [items for row in rows for items in row[2:] if items is not None]

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

    # --- works ---

    async def read(self, work: Begin[T]) -> T:
        """As the port says."""
        try:
            return self._drive(work)
        except apsw.Error as error:
            raise translated(error, "read") from error

    async def change(self, work: Begin[T]) -> T:
        """As the port says."""
        result: list[T] = []
        await self._change(partial(self._keep_result, work, result))
        return result[0]

    def _drive(self, begin: Begin[T]) -> T:
        """Run one work, statement by statement."""
        work = begin()
        try:
            statement, parameters = next(work)
            while True:
                rows = self._rows(_rendered(statement), parameters)
                statement, parameters = work.send(rows)
        except StopIteration as end:
            result: T = end.value
            return result

    def _keep_result(self, begin: Begin[T], result: list[T]) -> bool:
        result[:] = [self._drive(begin)]
        return True

    def _works(self, begin: Sequence[Begin[object]]) -> None:
        for one in begin:
            self._drive(one)

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

    async def _change(self, change: Change) -> Any:
        """Make a change in the next transaction; its result, once that is on the disk."""
        if self._commits is None or self._refusal:
            raise failed(self._refusal)
        done = _future()
        self._commits.put(None, change, partial(_resolve, done))
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
        if any(row.parent is not None for row in rows):
            self._insert_turns(first, rows)
        elif rows:
            values = [_values(number, row, number, 0) for number, row in enumerate(rows, first)]
            self._db.executemany(_SAVE_RESPONSE, values)
        if len(rows) == len(batch) and all(change is None for _, change, _ in batch):
            return [None] * len(rows)
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
        seats = Seats()
        values: list[tuple[Value, ...]] = []
        full: list[tuple[int, int]] = []
        for number, row in enumerate(rows, first):
            parent = None
            if row.parent is not None:
                parent = seats.parent(row.project, row.parent)
                parent = parent or self._find_parent(row.project, row.parent)
            place = seats.seat(number, row.project, row.id, parent)
            if place.forked_from is not None:
                above = place.forked_from
                fork = (number, row.project, above.chain, above.position, place.lineage)
                self._db.execute(_SAVE_FORK, fork)
            values.append(_values(number, row, place.chain, place.position))
            if completes_block(place.position):
                full.append((place.chain, block_of(place.position)))
        self._db.executemany(_SAVE_RESPONSE, values)
        for chain, block in full:
            self._pack(chain, block)

    def _pack(self, chain: int, block: int) -> None:
        """Join what the turns of a block hold, now that all of them are there."""
        turns = (chain, block * packs.PACK_TURNS, (block + 1) * packs.PACK_TURNS - 1)
        if self._rows(_SIZE_OF_BLOCK, turns)[0][0] <= PACK_BYTES_MAX:
            rows = self._rows(_LOAD_BLOCK, turns)
            items = joined_arrays(array for row in rows for array in row[1:])
            self._db.execute(_SAVE_PACK, (chain, block, items))

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
            self._blank(number, chain, position, now)
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
            self._blank(number, chain, position, now)
        else:
            self._wake_parent(chain, position, now)
            self._db.execute(_ERASE_TURN, (number,))
            if position == 0:
                self._db.execute(_ERASE_FORK, (chain,))

    def _blank(self, number: int, chain: int, position: int, now: int) -> None:
        self._db.execute(_BLANK_TURN, (number, now + GRACE_MS))
        self._db.execute(_ERASE_PACK, (chain, block_of(position)))
        self._wake_parent(chain, position, now)

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


@cache
def _rendered(statement: str) -> str:
    return _render(statement)


def _future() -> asyncio.Future[Any]:
    return asyncio.get_running_loop().create_future()


def _values(number: int, row: StoredResponse, chain: int, position: int) -> tuple[Value, ...]:
    """The parameters of SAVE_RESPONSE."""
    return (
        number,
        row.project,
        row.id,
        chain,
        position,
        row.parent,
        row.created_at,
        row.expires_at,
        row.status,
        row.head,
        row.input,
        row.output,
        row.cuts,
    )


def _by_place(row: tuple[int, int]) -> tuple[int, int]:
    return row[0], row[1]


def _resolve(done: asyncio.Future[Any], outcome: Any) -> None:
    if done.done():  # its caller was cancelled
        return
    if isinstance(outcome, Exception):
        done.set_exception(outcome)
    else:
        done.set_result(outcome)


def _impossible(row: StoredResponse | None, error: Exception) -> RemoteError:
    name = "this change" if row is None else f"response {row.id!r}"
    if isinstance(error, apsw.ConstraintError):
        return failed(f"{name} cannot be stored: its id is already taken")
    return failed(f"{name} cannot be stored: its content does not fit a row")
