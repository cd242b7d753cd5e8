"""PostgreSQL stores whose statements are seen, and can be made to fail."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from antiphon.observe import Observation
from antiphon.store.base import Store
from antiphon.store.postgres import PostgresStore
from tests.store import postgres
from tests.suites.store import Clock


class SeenStore(PostgresStore):
    """Calls ``seen(statement)`` before each statement after ``open``; it may raise."""

    seen: Callable[[str], None]

    async def rows(self, connection: Any, statement: str, parameters: Sequence[Any]) -> Any:
        self.seen(statement)
        return await super().rows(connection, statement, parameters)

    async def status(self, connection: Any, statement: str, parameters: Sequence[Any]) -> str:
        self.seen(statement)
        return await super().status(connection, statement, parameters)


class PostgresHarness:
    """``tests.suites.store.Harness`` on one database of the server of this process."""

    keeps = True

    def __init__(self, name: str, *, pooler: bool = False, patience_seconds: float = 5.0) -> None:
        self.name = name
        self.pooler = pooler
        self.patience_seconds = patience_seconds
        self.clock = Clock()
        self.statements: list[str] = []
        self.observed: list[Observation] = []

    def create(self) -> Store:
        self.store = SeenStore(
            postgres.server().url(self.name),
            pooler=self.pooler,
            patience_seconds=self.patience_seconds,
            observe=self.observed.append,
            clock=self.clock,
        )
        self.store.seen = self.statements.append
        return self.store

    def leftovers(self) -> int:
        tables = ("responses", "chains", "packs")
        return sum(self.count(f"SELECT count(*) FROM {table}") for table in tables)

    def count(self, statement: str) -> int:
        number: int = postgres.server().execute(statement, self.name)[0][0]
        return number
