"""Random lives of background runs, on SQLite and on PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from antiphon.app import store_of
from antiphon.config import StoreSettings
from antiphon.store.base import Store
from antiphon.store.sqlite import SqliteStore
from tests.store import postgres
from tests.suites.runs_machine import machine_case


@contextmanager
def in_memory() -> Iterator[Store]:
    yield SqliteStore(":memory:")


@contextmanager
def in_postgres() -> Iterator[Store]:
    with postgres.database() as url:
        yield store_of(StoreSettings(url=url))


TestOnSqlite = pytest.mark.requirement("durable-runs:machine")(machine_case(in_memory, 60))
TestOnPostgres = pytest.mark.requirement("durable-runs:machine")(machine_case(in_postgres, 5))
