"""Keys of requests that may come again: who works on one, and what became of it.

A key has one row. The first request inserts it and owns it; while it works the row is held by a
lease; with the answer the row says what was made, and stays for a day. Another replica racing for
the same key finds the row: there is no moment at which both could own it.
"""

from __future__ import annotations

from functools import partial
from typing import Final, Literal

from msgspec import Struct

from antiphon.store.base import Database
from antiphon.store.sql import TRY_ALONE
from antiphon.store.work import Work

WORKING: Final = 0
KEPT: Final = 1
NOT_KEPT: Final = 2

SWEPT_AT_ONCE = 500


class Claimed(Struct, frozen=True):
    """The key is ours to work on."""


class Answered(Struct, frozen=True):
    """The key was used before. ``answer`` is the id of what was made; None while it is still in
    the works. ``kept``: it can be read again. ``same``: it was for the same request."""

    same: bool
    answer: str | None
    kept: bool


# --- statements -----------------------------------------------------------------------------

CLAIM_KEY = """
INSERT INTO idempotency (project, key, digest, owner, state, answer, held_until)
VALUES ($1, $2, $3, $4, 0, NULL, $5)
ON CONFLICT (project, key) DO UPDATE SET
    digest = excluded.digest, owner = excluded.owner, state = 0, answer = NULL,
    held_until = excluded.held_until
WHERE idempotency.held_until <= $6
RETURNING owner
"""
"""For owner $4 until $5; $6 is now. No row comes back if the key is in use."""

LOAD_KEY = """
SELECT digest, state, answer FROM idempotency WHERE project = $1 AND key = $2
"""

SETTLE_KEY = """
UPDATE idempotency SET state = $4, answer = $5, held_until = $6
WHERE project = $1 AND key = $2 AND owner = $3 AND state = 0
"""

RENEW_KEY = """
UPDATE idempotency SET held_until = $4
WHERE project = $1 AND key = $2 AND owner = $3 AND state = 0
"""

FREE_KEY = """
DELETE FROM idempotency WHERE project = $1 AND key = $2 AND owner = $3 AND state = 0
"""

FREE_KEYS = """
DELETE FROM idempotency WHERE state = 0
"""

ERASE_OLD_KEYS = """
DELETE FROM idempotency WHERE (project, key) IN (
    SELECT project, key FROM idempotency WHERE held_until <= $1 ORDER BY held_until LIMIT $2)
RETURNING key
"""


# --- works ----------------------------------------------------------------------------------


def claim(
    project: str, key: str, digest: str, owner: str, held_until: int, now: int
) -> Work[Claimed | Answered]:
    """Own the key, or learn what became of it."""
    if (yield CLAIM_KEY, (project, key, digest, owner, held_until, now)):
        return Claimed()
    rows = yield LOAD_KEY, (project, key)
    if not rows:  # freed this instant: to be asked again, as if it were still in the works
        return Answered(True, None, False)
    known, state, answer = rows[0]
    return Answered(known == digest, answer if state != WORKING else None, state == KEPT)


def settle(
    project: str,
    key: str,
    owner: str,
    state: Literal[1, 2],
    answer: str,
    held_until: int,
) -> Work[None]:
    """Say what was made (``KEPT`` or ``NOT_KEPT``): for the transaction that stores it. Nothing
    happens if the key is another owner's by now."""
    yield SETTLE_KEY, (project, key, owner, state, answer, held_until)


def renew(project: str, key: str, owner: str, held_until: int) -> Work[None]:
    """Still at work."""
    yield RENEW_KEY, (project, key, owner, held_until)


def free(project: str, key: str, owner: str) -> Work[None]:
    """Nothing was made: whoever comes next begins anew."""
    yield FREE_KEY, (project, key, owner)


def free_all() -> Work[None]:
    """Free what dead processes worked on: for a process that has the store to itself."""
    yield FREE_KEYS, ()


def erase_old(now: int, limit: int) -> Work[int]:
    """Forget keys whose time is over; how many. None where another replica sweeps."""
    alone = yield TRY_ALONE, ()
    if not alone[0][0]:
        return 0
    rows = yield ERASE_OLD_KEYS, (now, limit)
    return len(rows)


# --- the noun -------------------------------------------------------------------------------


class IdempotencyKeys:
    """The keys of all projects."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def claim(
        self, project: str, key: str, digest: str, owner: str, held_until: int, now: int
    ) -> Claimed | Answered:
        """Own the key until ``held_until`` (ms), or learn what became of it."""
        return await self._database.change(
            partial(claim, project, key, digest, owner, held_until, now)
        )

    async def sweep(self, now: int) -> int:
        """Erase what is over, at most ``SWEPT_AT_ONCE`` of it; how many."""
        return await self._database.change(partial(erase_old, now, SWEPT_AT_ONCE))
