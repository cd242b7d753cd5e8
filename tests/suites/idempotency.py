"""What idempotency keys must do on every database. A test file imports these tests and says what
``database`` is: an open store, fresh for each test."""

from __future__ import annotations

import asyncio
from functools import partial

import pytest

from antiphon.store import idempotency as works
from antiphon.store.base import Store
from antiphon.store.idempotency import (
    KEPT,
    NOT_KEPT,
    SWEPT_AT_ONCE,
    Answered,
    Claimed,
    IdempotencyKeys,
)

NOW = 1_800_000_000_000
LEASE = 20_000
DAY = 86_400_000


async def claim(
    store: Store, owner: str, *, key: str = "k", digest: str = "d", now: int = NOW
) -> Claimed | Answered:
    return await IdempotencyKeys(store).claim("ours", key, digest, owner, now + LEASE, now)


async def settle(store: Store, owner: str, answer: str, *, kept: bool = True) -> None:
    state = KEPT if kept else NOT_KEPT
    work = partial(works.settle, "ours", "k", owner, state, answer, NOW + DAY)  # type: ignore[arg-type]
    await store.change(work)


@pytest.mark.requirement("idempotency:race")
async def test_of_many_at_once_one_owns_the_key(database: Store) -> None:
    found = await asyncio.gather(*(claim(database, f"o{number}") for number in range(10)))
    assert sum(isinstance(one, Claimed) for one in found) == 1
    assert found.count(Answered(True, None, False)) == 9


@pytest.mark.requirement("idempotency:same")
async def test_an_answered_key_tells_its_answer_for_its_time(database: Store) -> None:
    assert await claim(database, "o1") == Claimed()
    await settle(database, "o1", "resp_1")
    later = NOW + DAY - 1
    assert await claim(database, "o2", now=later) == Answered(True, "resp_1", True)
    assert await claim(database, "o2", digest="e", now=later) == Answered(False, "resp_1", True)
    assert await claim(database, "o2", digest="e", now=NOW + DAY) == Claimed()


async def test_an_answer_that_was_not_kept_is_told_apart(database: Store) -> None:
    await claim(database, "o1")
    await settle(database, "o1", "resp_1", kept=False)
    assert await claim(database, "o2") == Answered(True, "resp_1", False)


@pytest.mark.requirement("idempotency:freed")
async def test_a_key_is_freed_by_its_owner_only_and_while_there_is_no_answer(
    database: Store,
) -> None:
    await claim(database, "o1")
    await database.change(partial(works.free, "ours", "k", "o2"))
    assert await claim(database, "o2") == Answered(True, None, False)
    await database.change(partial(works.free, "ours", "k", "o1"))
    assert await claim(database, "o2") == Claimed()
    await settle(database, "o1", "resp_1")  # too late
    assert await claim(database, "o3") == Answered(True, None, False)
    await settle(database, "o2", "resp_2")
    await database.change(partial(works.free, "ours", "k", "o2"))
    assert await claim(database, "o3") == Answered(True, "resp_2", True)


@pytest.mark.requirement("idempotency:lease")
async def test_a_key_whose_owner_died_is_taken_over(database: Store) -> None:
    await claim(database, "dead")
    await database.change(partial(works.renew, "ours", "k", "dead", NOW + 2 * LEASE))
    assert await claim(database, "o2", now=NOW + LEASE) == Answered(True, None, False)
    assert await claim(database, "o2", now=NOW + 2 * LEASE) == Claimed()


@pytest.mark.requirement("idempotency:tenant")
async def test_every_project_has_its_own_keys(database: Store) -> None:
    await claim(database, "o1")
    await settle(database, "o1", "resp_1")
    keys = IdempotencyKeys(database)
    assert await keys.claim("theirs", "k", "e", "o2", NOW + LEASE, NOW) == Claimed()


@pytest.mark.requirement("idempotency:swept")
async def test_keys_are_swept_when_their_time_is_over(database: Store) -> None:
    for number in range(SWEPT_AT_ONCE + 3):
        await claim(database, "o1", key=f"k{number:04}", now=NOW - (number % 2) * LEASE)
    await IdempotencyKeys(database).sweep(NOW)
    left = await database.read(_count)
    assert left == (SWEPT_AT_ONCE + 3 + 1) // 2


def _count() -> works.Work[int]:
    rows = yield "SELECT count(*) FROM idempotency", ()
    return int(rows[0][0])
