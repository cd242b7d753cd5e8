"""Everything that is stored, told in an order in which it can be stored again.

Responses are walked chain by chain: the chains that begin a conversation, then those that fork off
them, and so on, each from its first turn to its last. So every turn comes after its parent. (Their
numbers would not do: two replicas take theirs from different blocks.) A tombstone is told if
something that lives descends from it, because then its items are part of a history.

Content is given as it is stored; whoever reads it opens it (``content.py``). Nothing holds the
database still meanwhile: what is written while it is walked may be told or not.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Struct

from antiphon.errors import RemoteError
from antiphon.store.sql import HOLD_TURN, LIVING
from antiphon.store.turns import GRACE_MS, Key
from antiphon.store.work import Work

# --- statements -----------------------------------------------------------------------------

DEPTH_OF_FORKS = """
SELECT coalesce(max(length(lineage) - length(replace(lineage, '[', ''))) - 1, 0) FROM chains
"""
"""How many forks lie at most between a turn and the beginning: a lineage of n segments has n + 1
brackets."""

FIND_ROOTS = """
SELECT r.number, NULL, (SELECT max(n.position) FROM responses n
                        WHERE n.chain = r.number AND n.position > 0)
FROM responses r
WHERE r.number > $1 AND r.position = 0 AND ($2 = '' OR r.project = $2)
  AND NOT EXISTS (SELECT 1 FROM chains c WHERE c.chain = r.number)
ORDER BY r.number LIMIT $3
"""
"""Chains after $1 that begin a history, of the project $2 (empty: of all), and where they end."""

FIND_FORKS = """
SELECT c.chain, (SELECT p.id FROM responses p
                 WHERE p.number = c.parent_chain AND c.parent_position = 0
                    OR p.chain = c.parent_chain AND p.position = c.parent_position
                       AND p.position > 0),
       (SELECT max(n.position) FROM responses n WHERE n.chain = c.chain AND n.position > 0)
FROM chains c
WHERE c.chain > $1 AND ($2 = '' OR c.project = $2)
  AND length(c.lineage) - length(replace(c.lineage, '[', '')) = $4
ORDER BY c.chain LIMIT $3
"""
"""The same for chains that begin below another one's turn (its id is told), so many brackets
deep."""

LOAD_TURNS = """
SELECT s.place, s.chain, s.upto, r.project, r.id, r.created_at, r.due_at, r.status, r.gone,
       r.head, r.input, r.output, r.cuts
FROM {segments} s CROSS JOIN responses r
WHERE s.upto = 0 AND r.number = s.chain
UNION ALL
SELECT s.place, s.chain, s.upto, r.project, r.id, r.created_at, r.due_at, r.status, r.gone,
       r.head, r.input, r.output, r.cuts
FROM {segments} s CROSS JOIN responses r
WHERE r.chain = s.chain AND r.position = s.upto AND r.position > 0
"""
"""The turns ``[[chain, position], …]`` of $1, in no promised order."""

LIVES_BELOW = """
WITH RECURSIVE below (chain, position) AS (
    SELECT CAST($1 AS {integer}), CAST($2 AS {integer})
    UNION ALL
    SELECT c.chain, CAST(-1 AS {integer})
    FROM below b JOIN chains c ON c.parent_chain = b.chain AND c.parent_position >= b.position
)
SELECT 1 FROM below b JOIN responses r
    ON r.chain = b.chain AND r.position > b.position AND r.position > 0
WHERE r.gone = 0 AND (r.due_at IS NULL OR r.due_at > $3)
UNION ALL
SELECT 1 FROM below b JOIN responses r ON r.number = b.chain
WHERE b.position = -1 AND r.gone = 0 AND (r.due_at IS NULL OR r.due_at > $3)
LIMIT 1
"""
"""A row if anything that lives at $3 descends from a turn."""

FIND_ID = """
SELECT number FROM responses WHERE project = $1 AND id = $2
"""
"""A response of this id, living or not."""

NEXT_CONVERSATIONS = """
SELECT project, id, created_at, metadata FROM conversations
WHERE gone = 0 AND (project, id) > ($1, $2) AND ($3 = '' OR project = $3)
ORDER BY project, id LIMIT $4
"""
"""Conversations behind one, of the project $3 (empty: of all)."""

NEXT_ITEMS = """
SELECT place, item FROM conversation_items
WHERE project = $1 AND conversation = $2 AND place > $3
ORDER BY place LIMIT $4
"""
"""Items of a conversation behind a place."""

NEXT_COMPLETIONS = """
SELECT project, id, created_at, due_at, model, metadata, object, messages FROM completions
WHERE (project, created_at, id) > ($1, $2, $3) AND ($4 = '' OR project = $4)
  AND (due_at IS NULL OR due_at > $5)
ORDER BY project, created_at, id LIMIT $6
"""
"""Living chat completions behind one."""


# --- what is read ---------------------------------------------------------------------------


class Chain(Struct, frozen=True):
    """A run of turns, numbered 0 to ``last``. ``parent``: the response the first one continues."""

    number: int
    parent: str | None
    last: int


class Turn(Struct, frozen=True):
    """One response. ``living`` False: only its items are of use, to those that descend from it,
    and ``needed`` is whether there are any."""

    chain: int
    position: int
    project: str
    id: str
    created_at: int
    expires_at: int | None
    status: str
    living: bool
    needed: bool
    head: bytes | None
    input: bytes | None
    output: bytes | None
    cuts: bytes | None


# --- works ----------------------------------------------------------------------------------


def depth() -> Work[int]:
    """How deep forks go; 0 where there are none."""
    rows = yield DEPTH_OF_FORKS, ()
    return int(rows[0][0])


def chains(project: str, depth: int, after: int, limit: int) -> Work[list[Chain]]:
    """The next chains of a depth (0: they begin a history), of one project or, "", of all."""
    if depth:
        rows = yield FIND_FORKS, (after, project, limit, depth + 1)
    else:
        rows = yield FIND_ROOTS, (after, project, limit)
    return [Chain(number, parent, last or 0) for number, parent, last in rows]


def turns(places: Sequence[tuple[int, int]], now: int) -> Work[list[Turn]]:
    """The turns at these places (chain, position), in this order; none for a place without one."""
    rows = yield LOAD_TURNS, (msgspec.json.encode(places).decode(),)
    found = []
    for row in sorted(rows, key=_by_place):
        _, chain, position, project, id, created_at, due_at, status, gone, *content = row
        living = gone == LIVING and (due_at is None or due_at > now)
        needed = living or bool((yield LIVES_BELOW, (chain, position, now)))
        expires_at = due_at if gone == LIVING else None
        fields = (chain, position, project, id, created_at, expires_at, status)
        found.append(Turn(*fields, living, needed, *content))
    return found


def known(keys: Sequence[Key]) -> Work[set[Key]]:
    """Those of the responses that are there, living or not."""
    found = set()
    for key in keys:
        if (yield FIND_ID, key):
            found.add(key)
    return found


def expect(project: str, id: str) -> Work[None]:
    """For the transaction that stores what continues this response. Raises ``RemoteError`` if it
    is not there."""
    if not (yield FIND_ID, (project, id)):
        raise RemoteError(
            f"it cannot be stored: what it continues, {id!r}, is not there", status=500
        )


def hold(project: str, id: str, now: int) -> Work[None]:
    """Make a tombstone of a response that was put just now: its items are there for what descends
    from it, and go if nothing does."""
    rows = yield FIND_ID, (project, id)
    for (number,) in rows:
        yield HOLD_TURN, (number, now + GRACE_MS)


def conversations(
    project: str, after: tuple[str, str], limit: int
) -> Work[list[tuple[str, str, int, bytes]]]:
    """(project, id, created_at, metadata) of the next ones."""
    rows = yield NEXT_CONVERSATIONS, (*after, project, limit)
    return [tuple(row) for row in rows]


def items(project: str, id: str, after: int, limit: int) -> Work[list[tuple[int, bytes]]]:
    """(place, item) of the next items of a conversation."""
    rows = yield NEXT_ITEMS, (project, id, after, limit)
    return [tuple(row) for row in rows]


def completions(
    project: str, after: tuple[str, int, str], now: int, limit: int
) -> Work[list[tuple[Any, ...]]]:
    """(project, id, created_at, expires_at, model, metadata, object, messages) of the next."""
    rows = yield NEXT_COMPLETIONS, (*after, project, now, limit)
    return [tuple(row) for row in rows]


def _by_place(row: Sequence[int]) -> int:
    return row[0]
