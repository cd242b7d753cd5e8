"""The statements only PostgreSQL gets: whole batches of rows as arrays, and what it says of
itself. Everything else is in ``sql.py`` and in the nouns."""

from __future__ import annotations

SAVE_RESPONSES = """
INSERT INTO responses (number, project, id, chain, position, parent, created_at, due_at, status,
                       gone, head, input, output, cuts)
SELECT number, project, id, chain, position, parent, created_at, due_at, status,
       0, head, input, output, cuts
FROM unnest($1::bigint[], $2::text[], $3::text[], $4::bigint[], $5::bigint[], $6::text[],
            $7::bigint[], $8::bigint[], $9::text[], $10::bytea[], $11::bytea[], $12::bytea[],
            $13::bytea[])
     AS t (number, project, id, chain, position, parent, created_at, due_at, status, head, input,
           output, cuts)
ON CONFLICT DO NOTHING
"""
"""A batch. Left out are the rows whose number, id or place is taken: the count tells."""

SAVE_FORKS = """
INSERT INTO chains (chain, project, parent_chain, parent_position, lineage)
SELECT chain, project, parent_chain, parent_position, lineage
FROM unnest($1::bigint[], $2::text[], $3::bigint[], $4::bigint[], $5::text[])
     AS t (chain, project, parent_chain, parent_position, lineage)
"""

FIND_PARENTS = """
SELECT r.project, r.id, r.chain, r.position,
       (SELECT c.lineage FROM chains c WHERE c.chain = r.chain),
       EXISTS (SELECT 1 FROM responses n
               WHERE n.chain = r.chain AND n.position = r.position + 1 AND n.position > 0)
FROM unnest($1::text[], $2::text[]) AS t (project, id)
JOIN responses r ON r.project = t.project AND r.id = t.id
FOR KEY SHARE OF r
"""
"""``sql.FIND_PARENT`` for a batch. None of them is erased until the transaction ends."""

WHICH_NUMBERS = """
SELECT number FROM responses WHERE number = ANY($1::bigint[])
"""

NUMBER_OF = """
SELECT number FROM responses WHERE project = $1 AND id = $2
"""

NEXT_BLOCK = """
SELECT nextval(pg_get_serial_sequence('responses', 'number'))
"""
"""A number nobody else gets: it stands for a block of numbers of responses."""

MARK = """
INSERT INTO probe (one, written_at) VALUES ($1, $2)
ON CONFLICT (one) DO UPDATE SET written_at = excluded.written_at
"""
"""A transaction of the queue $1 leaves a mark higher than the one before. (The number PostgreSQL
gives a transaction would not do: after a crash it may be somebody else's.)"""

READ_MARK = """
SELECT written_at FROM probe WHERE one = $1 FOR UPDATE
"""
"""The mark of the last transaction that was committed; waits for one that is still under way."""

ERASE_MARKS = """
DELETE FROM probe WHERE one > 1 AND written_at < $1
"""
"""Marks of queues that are long gone. They are times, in ms."""

LOCK_MIGRATIONS = """
SELECT pg_advisory_xact_lock(7239140261)
"""

HAS_MIGRATIONS = """
SELECT to_regclass('migrations') IS NOT NULL
"""
