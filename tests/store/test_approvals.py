"""Approvals, on SQLite and PostgreSQL: of many who take one at once, one has it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from functools import partial

import pytest

from antiphon.app import store_of
from antiphon.config import StoreSettings
from antiphon.store.approvals import KEPT_MS, Approvals, Taken, give_back
from antiphon.store.base import Store

pytestmark = pytest.mark.anyio

NOW = 1_800_000_000_000


@pytest.fixture
async def database(store_settings: StoreSettings) -> AsyncIterator[Store]:
    store = store_of(store_settings)
    await store.open()
    yield store
    await store.close()


async def take(store: Store, response: str, *requests: str, project: str = "ours") -> bool:
    try:
        await Approvals(store).take(project, requests, response, NOW)
    except Taken:
        return False
    return True


@pytest.mark.requirement("mcp:approval:claim")
async def test_of_many_at_once_one_has_the_approval(database: Store) -> None:
    made = await asyncio.gather(*(take(database, f"r{n}", "a", "b") for n in range(8)))
    assert sum(made) == 1
    winner = made.index(True)
    assert await take(database, f"r{winner}", "a")  # who makes it again finds its own
    assert await take(database, "another", "a", project="theirs")


@pytest.mark.requirement("mcp:approval:claim")
async def test_all_of_them_are_taken_or_none(database: Store) -> None:
    assert await take(database, "r1", "b")
    assert not await take(database, "r2", "a", "b", "c")
    assert await take(database, "r3", "a", "c")
    await database.change(partial(give_back, "ours", ["a", "b", "c"], "r3"))
    assert await take(database, "r4", "a", "c")
    assert not await take(database, "r4", "b")


async def test_what_is_old_enough_is_forgotten(database: Store) -> None:
    assert await take(database, "r1", "a")
    await Approvals(database).take("ours", ["z"], "r2", NOW + KEPT_MS)
    assert await take(database, "r3", "a")
