"""Approvals of tool calls: each is taken by one response, whichever replica makes it.

A response takes the approvals it was sent before it makes the calls. Whoever comes second, at the
same moment or years later, finds the row. A response that is made again, by another process, finds
its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from antiphon.store.base import Database
from antiphon.store.work import Fenced, Work

KEPT_MS = 366 * 86_400_000
"""How long it is known that an approval was used."""
_ERASED_AT_ONCE = 20

TAKE = """
INSERT INTO approvals (project, request, response, expires_at) VALUES ($1, $2, $3, $4)
ON CONFLICT (project, request) DO UPDATE SET expires_at = excluded.expires_at
WHERE approvals.response = excluded.response
RETURNING response
"""
"""No row comes back if another response has it."""

GIVE_BACK = """
DELETE FROM approvals WHERE project = $1 AND request = $2 AND response = $3
"""

ERASE_OLD = """
DELETE FROM approvals WHERE (project, request) IN (
    SELECT project, request FROM approvals WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2)
"""


class Taken(Fenced):
    """An approval that another response has used. ``request``: the id of what was approved."""

    def __init__(self, request: str) -> None:
        super().__init__(request)
        self.request = request


def _take(project: str, requests: Sequence[str], response: str, now: int) -> Work[None]:
    for request in requests:
        if not (yield TAKE, (project, request, response, now + KEPT_MS)):
            raise Taken(request)
    yield ERASE_OLD, (now, _ERASED_AT_ONCE)


def give_back(project: str, requests: Sequence[str], response: str) -> Work[None]:
    """The response is not made: the approvals may be used by another."""
    for request in requests:
        yield GIVE_BACK, (project, request, response)


class Approvals:
    """The approvals of all projects."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def take(self, project: str, requests: Sequence[str], response: str, now: int) -> None:
        """Take all of them for this response, or none. ``now``: ms. Raises ``Taken``."""
        ordered = sorted(requests)  # else two that share some could wait for one another
        await self._database.change(partial(_take, project, ordered, response, now))
