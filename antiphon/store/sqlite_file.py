"""One SQLite database on disk: its files, its lock, its connections, and what its errors mean.

Everything here that blocks on the disk runs in one helper thread, ordered; ``sqlite.py`` tells
why that makes a returned ``save`` durable.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from threading import Thread
from typing import IO, Any, Literal

import apsw

from antiphon.errors import RemoteError
from antiphon.store import sql
from antiphon.store.migrate import Applied, Migration, migrations, pending

DatabasePath = Path | Literal[":memory:"]

CHECKPOINT_PAGES = 1_000
PAGE_BYTES = 8_192
BUSY_TIMEOUT_MS = 250
"""How long a write, and so the loop, waits for a foreign program that holds the database."""

_REASONS: list[tuple[type[apsw.Error], str]] = [
    (apsw.FullError, "the disk or its quota is full"),
    (apsw.BusyError, "another program holds the database"),
    (apsw.LockedError, "another program holds the database"),
    (apsw.CorruptError, "the database is damaged: restore a backup"),
    (apsw.NotADBError, "the file is not an SQLite database"),
    (apsw.ReadOnlyError, "the database is read-only"),
    (apsw.CantOpenError, "a file of the database cannot be opened"),
    (apsw.PermissionsError, "access to the database is denied"),
    (apsw.IOError, "the disk reported an error"),
    (apsw.NoMemError, "out of memory"),
]


def flush(descriptor: int) -> None:
    """Return when the file's bytes are on the disk. Called in the helper thread."""
    if sys.platform == "darwin":
        import fcntl

        fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)
    elif sys.platform == "win32":
        os.fsync(descriptor)
    else:
        os.fdatasync(descriptor)


def failed(message: str, *, retryable: bool = False) -> RemoteError:
    """The store's own error: a 500 ``server_error``."""
    return RemoteError(message, status=500, code="server_error", retryable=retryable)


def translated(error: apsw.Error, doing: str) -> RemoteError:
    """Say what to do about it. SQLite's own words are left out: they can quote a statement."""
    known = (reason for kind, reason in _REASONS if isinstance(error, kind))
    reason = next(known, f"SQLite reported {type(error).__name__}")
    busy = isinstance(error, apsw.BusyError | apsw.LockedError)
    return failed(f"the store failed to {doing}: {reason}", retryable=busy)


Settled = Callable[[Exception | None], None]
"""Told in the loop, once, how a blocking call went."""


class DiskThread:
    """Runs blocking calls one after the other, off the loop. What is run may raise OSError or
    apsw errors; anything else is a bug and ends the thread.

    Both directions are pipes: the thread sleeps in a read, the loop watches the other one. Beside
    the disk's own time a call costs 15 to 20 us so, where a queue and ``call_soon_threadsafe``
    cost 30, and every commit pays for it.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._work: deque[tuple[Callable[[], None], Settled]] = deque()
        self._over: deque[tuple[Settled, Exception | None]] = deque()
        self._asked, self._ask = os.pipe()
        self._told, self._tell = os.pipe()
        self._ended = False
        try:
            self._loop.add_reader(self._told, self._hear)
            self._watched = True
        except NotImplementedError:  # Windows' loop watches sockets only
            self._watched = False
        # A daemon: a loop that died without closing the store must not keep the process alive.
        self._thread = Thread(target=self._run, name="store-disk", daemon=True)
        self._thread.start()

    def run(self, call: Callable[[], None], settled: Settled) -> None:
        """Never calls ``settled`` before it has returned."""
        if self._ended:
            self._loop.call_soon(settled, _thread_has_ended())
        else:
            self._work.append((call, settled))
            os.write(self._ask, b"1")

    def close(self) -> None:
        """Wait for what is running."""
        os.close(self._ask)
        self._thread.join()
        if self._watched:
            self._loop.remove_reader(self._told)
        for end in (self._asked, self._told, self._tell):
            os.close(end)

    def _hear(self) -> None:
        """In the loop: one call has ended."""
        os.read(self._told, 1)
        settled, error = self._over.popleft()
        settled(error)

    def _run(self) -> None:
        while os.read(self._asked, 1):  # nothing: the other end was closed
            call, settled = self._work.popleft()
            error: Exception | None = _thread_has_ended()
            known = False
            try:
                call()
                error, known = None, True
            except (OSError, apsw.Error) as caught:
                error, known = caught, True
            finally:
                self._ended = not known
                self._over.append((settled, error))
                os.write(self._tell, b"1")
                if not self._watched:
                    self._loop.call_soon_threadsafe(self._hear)


def _thread_has_ended() -> RemoteError:
    return failed("the store's disk thread has ended: restart")


class DatabaseFile:
    """An open, migrated database. ``db`` is the loop's connection. For ":memory:" there is no
    file, no lock and no helper thread.

    Raises ``RemoteError`` if another process has it, if it is no database, or if a newer version
    wrote it. ``now``: ms, what the migrations are dated with.
    """

    def __init__(self, path: DatabasePath, *, now: int, sync: Callable[[int], None]) -> None:
        self._closing = ExitStack()
        self._sync = sync
        self._disk: DiskThread | None = None
        self._wal_pages = 0
        self._checkpoint_at = CHECKPOINT_PAGES
        try:
            self._open(path, now)
        except (apsw.Error, OSError, RemoteError) as error:
            self._closing.close()
            if isinstance(error, apsw.Error):
                raise translated(error, f"open {path}") from error
            if isinstance(error, OSError):
                raise failed(f"the store cannot open {path}: {error.strerror}") from error
            raise

    def _open(self, path: DatabasePath, now: int) -> None:
        closing = self._closing
        if isinstance(path, Path):
            _make_folders(path.parent)
            closing.callback(_locked(path).close)
            # SQLite gives the WAL the mode of the file it finds.
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        self.db = _connect(path)
        closing.callback(self.db.close)
        _migrate(self.db, now)
        if isinstance(path, Path):
            self.db.set_wal_hook(self._count_pages)
            self._wal = os.open(f"{path}-wal", os.O_RDWR | getattr(os, "O_CLOEXEC", 0))
            closing.callback(os.close, self._wal)
            self._checkpointer = _connect(path)
            closing.callback(self._checkpointer.close)
            self._disk = DiskThread()
            closing.callback(self._disk.close)

    def flush(self, settled: Settled) -> None:
        """Put all that was committed before the call on the disk. An error is an OSError, or a
        ``RemoteError`` if the disk thread is gone."""
        if self._disk is None:
            settled(None)
        else:
            self._disk.run(self._flush, settled)

    @property
    def checkpoint_due(self) -> bool:
        """The log has grown: it should be moved into the database."""
        return self._wal_pages >= self._checkpoint_at

    def checkpoint(self, settled: Callable[[RemoteError | None], None]) -> None:
        """Move the log into the database; the caller commits nothing meanwhile. After an error
        the next try is due as many pages later."""
        assert self._disk is not None
        self._checkpoint_at = self._wal_pages + CHECKPOINT_PAGES
        self._disk.run(self._checkpoint, partial(self._checkpointed, settled))

    def distrust_log(self) -> None:
        """After a failed flush: leave the log as it is, when closing too. Opening again verifies
        it frame by frame, which folding it in does not."""
        self._checkpoint_at = sys.maxsize
        self.db.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)

    def _flush(self) -> None:
        self._sync(self._wal)

    def _checkpoint(self) -> None:
        mode = apsw.SQLITE_CHECKPOINT_PASSIVE
        in_log, copied = self._checkpointer.wal_checkpoint(mode=mode)
        if in_log == copied:  # the next commit begins the log anew
            self._checkpoint_at = CHECKPOINT_PAGES

    def _checkpointed(
        self, settled: Callable[[RemoteError | None], None], error: Exception | None
    ) -> None:
        if isinstance(error, apsw.Error):
            error = translated(error, "shorten its log")
        elif error is not None:
            error = failed(f"the store failed to shorten its log: {error}")
        settled(error)

    def _count_pages(self, db: apsw.Connection, name: str, pages: int) -> int:
        self._wal_pages = pages
        return apsw.SQLITE_OK

    def close(self) -> None:
        """Close everything; the last connection folds the WAL into the database."""
        try:
            self._closing.close()
        except apsw.Error as error:
            raise translated(error, "close") from error


def _make_folders(folder: Path) -> None:
    """Missing folders are made for their owner only: what is below holds conversations."""
    for missing in reversed([folder, *folder.parents]):
        if not missing.exists():
            missing.mkdir(mode=0o700, exist_ok=True)


def _locked(path: Path) -> IO[str]:
    """Hold ``<path>.lock`` until closed (or killed): batches assume that nobody else writes."""
    lock = open(f"{path}.lock", "a+", encoding="ascii")  # noqa: SIM115
    try:
        if sys.platform == "win32":
            import msvcrt

            lock.seek(1 << 30)  # beyond the text, which then stays readable for others
            msvcrt.locking(lock.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        lock.seek(0)
        owner = lock.read(20).strip() or "unknown"
        lock.close()
        raise failed(
            f"{path} is in use by another antiphon process (pid {owner}); an SQLite store serves "
            "one process at a time"
        ) from error
    lock.seek(0)
    lock.truncate()
    lock.write(f"{os.getpid()}\n")
    lock.flush()
    return lock


def _connect(path: DatabasePath) -> apsw.Connection:
    db = apsw.Connection(str(path))
    db.set_busy_timeout(BUSY_TIMEOUT_MS)
    db.execute(f"PRAGMA page_size = {PAGE_BYTES}")
    db.execute("PRAGMA secure_delete = ON")  # what is erased is overwritten, not only unlinked
    if isinstance(path, Path):
        if db.pragma("journal_mode", "wal") != "wal":
            raise failed(f"{path} is on a file system that cannot hold a write-ahead log")
        db.pragma("synchronous", "normal")
        db.pragma("checkpoint_fullfsync", True)  # macOS: what fsync promises elsewhere
        db.pragma("journal_size_limit", 4 * CHECKPOINT_PAGES * PAGE_BYTES)
        db.wal_autocheckpoint(0)
    return db


def pending_in(path: DatabasePath) -> Sequence[Migration]:
    """The migrations opening the file would run, also while another process has it. Raises
    ``RemoteError`` as opening does, and changes nothing."""
    if path == ":memory:" or not Path(path).exists():
        return migrations()
    try:
        db = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
        try:
            tables = "SELECT count(*) FROM sqlite_schema WHERE name = 'migrations'"
            there = db.execute(tables).fetchall()[0][0]
            applied = sql.SQLITE.render(sql.APPLIED_MIGRATIONS)
            rows: list[Any] = db.execute(applied).fetchall() if there else []
        finally:
            db.close()
    except apsw.Error as error:
        raise translated(error, f"open {path}") from error
    return pending([Applied(*row) for row in rows], migrations())


def _migrate(db: apsw.Connection, now: int) -> None:
    render = sql.SQLITE.render
    # FULL: the schema is on the disk, directory entries included, before the first save.
    db.execute("PRAGMA synchronous = FULL")
    db.execute(render(sql.CREATE_MIGRATIONS))
    rows: list[Any] = db.execute(render(sql.APPLIED_MIGRATIONS)).fetchall()
    applied = [Applied(*row) for row in rows]
    for migration in pending(applied, migrations()):
        with db:
            db.execute(render(migration.text))
            record = (migration.number, migration.name, migration.checksum, now)
            db.execute(render(sql.RECORD_MIGRATION), record)
    db.execute("PRAGMA synchronous = NORMAL")
