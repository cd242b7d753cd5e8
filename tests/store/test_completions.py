"""Stored chat completions, on both databases."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from antiphon.store.base import Store
from antiphon.store.postgres import PostgresStore
from antiphon.store.sqlite import SqliteStore
from tests.suites.completions import *  # noqa: F403

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["sqlite", "postgres"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    made: Store
    if request.param == "sqlite":
        made = SqliteStore(tmp_path / "store.db")
    else:
        made = PostgresStore(request.getfixturevalue("postgres_url"))
    await made.open()
    yield made
    await made.close()
