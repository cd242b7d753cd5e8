"""SQLite stores whose statements are seen, and can be made to fail."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import apsw

from antiphon.observe import Observation
from antiphon.store.base import Store
from antiphon.store.sqlite import SqliteStore
from antiphon.store.sqlite_file import DatabasePath, flush
from tests.suites.store import Clock


class SeenStore(SqliteStore):
    """Calls ``seen(statement)`` before each statement after ``open``; it may raise apsw errors."""

    seen: Callable[[str], None]

    async def open(self) -> None:
        await super().open()

        def trace(cursor: object, statement: str, values: Any) -> bool:
            self.seen(statement)
            return True

        self._db.set_exec_trace(trace)

    @property
    def connection(self) -> apsw.Connection:
        return self._db


class SqliteHarness:
    """``tests.suites.store.Harness`` on one file, or on memory."""

    def __init__(self, path: DatabasePath) -> None:
        self.path = path
        self.clock = Clock()
        self.statements: list[str] = []
        self.observed: list[Observation] = []
        self.keeps = path != ":memory:"
        self.sync: Callable[[int], None] = flush

    def create(self) -> Store:
        self.store = SeenStore(
            self.path,
            observe=self.observed.append,
            clock=self.clock,
            sync=lambda descriptor: self.sync(descriptor),
        )
        self.store.seen = self.statements.append
        return self.store

    def leftovers(self) -> int:
        tables = ("responses", "chains", "packs")
        return sum(self.count(f"SELECT count(*) FROM {table}") for table in tables)

    def count(self, statement: str) -> int:
        rows: list[Any] = self.store.connection.execute(statement).fetchall()
        number: int = rows[0][0]
        return number
