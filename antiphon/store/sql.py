"""Every statement of the store, named and described, in the common subset of two databases.

Parameters are written ``$1``, ``$2`` …; times are integers (ms), flags are 0/1, JSON is text no
statement looks into (but ``lineage``, which the dialect unfolds). Nothing here is built from
values. What the columns mean is told in ``migrations/``.

A history is a list of segments, root first: ``[[chain, up to position], …]``. The last segment
is the response's own chain, the ones before it are that chain's ``lineage``.
"""

from __future__ import annotations

import re

from msgspec import Struct

LIVING = 0
HELD = 1
BLANK = 2

_PARAMETER = re.compile(r"\$(\d+)")


class Dialect(Struct, frozen=True):
    """What differs between two databases, and nothing else.

    ``parameter`` stands before a parameter's number; ``words`` replace ``{word}`` in a statement:
    ``key`` (an integer primary key), ``integer`` (64 bits), ``blob``, and ``segments`` (a table
    of ``place, chain, upto`` made from the JSON in ``$1``).
    """

    name: str
    parameter: str
    words: dict[str, str]

    def render(self, statement: str) -> str:
        """The statement as this database reads it. Do it once and keep the text: drivers cache
        prepared statements by their text."""
        for word, meaning in self.words.items():
            statement = statement.replace(f"{{{word}}}", meaning)
        return _PARAMETER.sub(rf"{self.parameter}\1", statement)


SQLITE = Dialect(
    name="sqlite",
    parameter="?",
    words={
        "key": "INTEGER PRIMARY KEY",
        "integer": "INTEGER",
        "blob": "BLOB",
        "segments": (
            "(SELECT key AS place, value ->> 0 AS chain, value ->> 1 AS upto FROM json_each($1))"
        ),
    },
)


# --- writing a turn -------------------------------------------------------------------------

SAVE_RESPONSE = """
INSERT INTO responses (number, project, id, chain, position, parent, created_at, due_at, status,
                       gone, head, input, output, cuts)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 0, $10, $11, $12, $13)
"""
"""One response. Run once per row of a batch, prepared once."""

SAVE_FORK = """
INSERT INTO chains (chain, project, parent_chain, parent_position, lineage)
VALUES ($1, $2, $3, $4, $5)
"""
"""A chain that begins below another chain's turn; written with its first response."""

FIND_PARENT = """
SELECT r.chain, r.position, (SELECT c.lineage FROM chains c WHERE c.chain = r.chain),
       EXISTS (SELECT 1 FROM responses n
               WHERE n.chain = r.chain AND n.position = r.position + 1 AND n.position > 0)
FROM responses r
WHERE r.project = $1 AND r.id = $2
"""
"""Where a parent stands (living or not), and whether its chain already goes on after it."""

SIZE_OF_BLOCK = """
SELECT sum(coalesce(length(input), 0) + coalesce(length(output), 0)) FROM responses
WHERE number = $1 AND $2 = 0 OR chain = $1 AND position BETWEEN $2 AND $3 AND position > 0
"""
"""Bytes of the items of the turns $2 to $3 of chain $1."""

LOAD_BLOCK = """
SELECT position, input, output FROM responses
WHERE number = $1 AND $2 = 0 OR chain = $1 AND position BETWEEN $2 AND $3 AND position > 0
ORDER BY position
"""
"""These turns, in order."""

SAVE_PACK = """
INSERT INTO packs (chain, block, items) VALUES ($1, $2, $3)
"""
"""The items of one block of a chain (``packs.py``)."""

LAST_NUMBER = """
SELECT coalesce(max(number), 0) FROM responses
"""
"""The newest response's number. Chains and lineages only name smaller ones."""


# --- reading --------------------------------------------------------------------------------

LOAD_RESPONSE = """
SELECT id, project, parent, created_at, due_at, status, head, input, output, cuts
FROM responses
WHERE project = $1 AND id = $2 AND gone = 0 AND (due_at IS NULL OR due_at > $3)
"""
"""The fields of a StoredResponse in its order; $3 is now."""

LOAD_OBJECT = """
SELECT head, output FROM responses
WHERE project = $1 AND id = $2 AND gone = 0 AND (due_at IS NULL OR due_at > $3)
"""
"""What is shown of a response that is retrieved."""

FIND_TURN = """
SELECT r.number, r.chain, r.position, (SELECT c.lineage FROM chains c WHERE c.chain = r.chain),
       r.input, r.output
FROM responses r
WHERE r.project = $1 AND r.id = $2 AND r.gone = 0 AND (r.due_at IS NULL OR r.due_at > $3)
"""
"""Where a living response stands, and its own items: all there is to a history of one turn.
(An outer join instead of the subquery costs SQLite three times as much.)"""

LOAD_PAST = """
SELECT s.place, r.position, r.id, r.input, r.output,
       CASE WHEN r.gone = 0 AND (r.due_at IS NULL OR r.due_at > $2) THEN 0 ELSE 1 END
FROM {segments} s CROSS JOIN responses r
WHERE r.number = s.chain
UNION ALL
SELECT s.place, r.position, r.id, r.input, r.output,
       CASE WHEN r.gone = 0 AND (r.due_at IS NULL OR r.due_at > $2) THEN 0 ELSE 1 END
FROM {segments} s CROSS JOIN responses r
WHERE r.chain = s.chain AND r.position > 0 AND r.position <= s.upto
"""
"""All turns of the segments in $1, in no promised order; the last column says if the turn is
deleted or expired at $2. One range scan per segment."""

LOAD_CONTEXT = """
WITH RECURSIVE blocks (place, chain, upto, block, first, last) AS (
    SELECT place, chain, upto, 0, 0, $2 - 1 FROM {segments} s
    UNION ALL
    SELECT place, chain, upto, block + 1, first + $2, last + $2 FROM blocks WHERE last < upto
),
sought (place, chain, first, last, pack) AS (
    SELECT place, chain, first, CASE WHEN last < upto THEN last ELSE upto END,
           (SELECT p.number FROM packs p
            WHERE p.chain = b.chain AND p.block = b.block AND b.last <= b.upto)
    FROM blocks b
)
SELECT s.place, s.first, p.items, NULL
FROM sought s CROSS JOIN packs p
WHERE p.number = s.pack
UNION ALL
SELECT s.place, 0, r.input, r.output
FROM sought s CROSS JOIN responses r
WHERE s.pack IS NULL AND s.first = 0 AND r.number = s.chain
UNION ALL
SELECT s.place, r.position, r.input, r.output
FROM sought s CROSS JOIN responses r
WHERE s.pack IS NULL AND r.chain = s.chain AND r.position >= s.first AND r.position <= s.last
  AND r.position > 0
"""
"""The items of all turns of the segments in $1, in no promised order: a pack where there is one
for a whole block of $2 turns (then the last column is NULL), the turns themselves elsewhere.
(SQLite scans from the lower bound that is named first.)"""


# --- forgetting -----------------------------------------------------------------------------

USE_OF_TURN = """
SELECT CASE
    WHEN EXISTS (SELECT 1 FROM responses n WHERE n.chain = $1 AND n.position = $2 + 1
                 AND n.position > 0 AND n.gone < 2) THEN 2
    WHEN EXISTS (SELECT 1 FROM chains c CROSS JOIN responses n
                 WHERE c.parent_chain = $1 AND c.parent_position = $2
                 AND n.number = c.chain AND n.gone < 2) THEN 2
    WHEN EXISTS (SELECT 1 FROM responses n WHERE n.chain = $1 AND n.position = $2 + 1
                 AND n.position > 0) THEN 1
    WHEN EXISTS (SELECT 1 FROM chains c
                 WHERE c.parent_chain = $1 AND c.parent_position = $2) THEN 1
    ELSE 0 END
"""
"""2: a child lives, or is itself held by one that does; 1: only blank tombstones below; 0: a leaf.
It is enough to look at the children: what happens further down arrives through WAKE_TURN."""

HOLD_TURN = """
UPDATE responses SET gone = 1, head = NULL, cuts = NULL, due_at = $2 WHERE number = $1
"""
"""Tombstone whose items stay for its descendants."""

BLANK_TURN = """
UPDATE responses
SET gone = 2, head = NULL, cuts = NULL, input = NULL, output = NULL, parent = NULL, due_at = $2
WHERE number = $1
"""
"""Tombstone that says nothing any more. The row stays: a child being made may still join it."""

ERASE_PACK = """
DELETE FROM packs WHERE chain = $1 AND block = $2
"""
"""Goes as soon as one of its turns is blanked (which a turn is before it is erased)."""

PARK_TURN = """
UPDATE responses SET due_at = NULL WHERE number = $1
"""
"""Nothing to do for this tombstone until one of its children changes."""

ERASE_TURN = """
DELETE FROM responses WHERE number = $1
"""

ERASE_FORK = """
DELETE FROM chains WHERE chain = $1
"""
"""Goes with the first response of the chain, which is its last: leaves are erased first."""

WAKE_FIRST = """
UPDATE responses SET due_at = $2 WHERE number = $1 AND gone > 0 AND due_at IS NULL
"""
"""A child of the first turn of chain $1 became blank or was erased: the sweeper looks again."""

WAKE_LATER = """
UPDATE responses SET due_at = $3
WHERE chain = $1 AND position = $2 AND position > 0 AND gone > 0 AND due_at IS NULL
"""
"""The same for a later turn."""

FIND_FORK = """
SELECT parent_chain, parent_position FROM chains WHERE chain = $1
"""
"""The turn a chain begins below; no row if it begins a conversation."""

FIND_DUE = """
SELECT number, chain, position, gone,
       coalesce(length(head), 0) + coalesce(length(input), 0) + coalesce(length(output), 0)
FROM responses
WHERE due_at <= $1 ORDER BY due_at, number DESC LIMIT $2
"""
"""What the sweeper must look at, and its bytes; children before their parents where both are due
at once."""

WRITE_PROBE = """
UPDATE probe SET written_at = $1 WHERE one = 1
"""


# --- migrations (store/migrate.py) ----------------------------------------------------------

CREATE_MIGRATIONS = """
CREATE TABLE IF NOT EXISTS migrations (
    number {key}, name TEXT NOT NULL, checksum TEXT NOT NULL, applied_at {integer} NOT NULL
)
"""

APPLIED_MIGRATIONS = """
SELECT number, name, checksum FROM migrations ORDER BY number
"""

RECORD_MIGRATION = """
INSERT INTO migrations (number, name, checksum, applied_at) VALUES ($1, $2, $3, $4)
"""
