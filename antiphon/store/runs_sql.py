"""The statements of ``runs.py`` and ``log_table.py`` (rules and words: ``sql.py``).

Every statement that depends on the time takes it as its parameter ``$2``: NULL means that the
database's own clock says it. So replicas whose clocks differ agree about leases.
"""

from __future__ import annotations

# --- queue and leases -----------------------------------------------------------------------

ENQUEUE = """
INSERT INTO runs (project, version, id, status, owner, epoch, lease_until, cancel_asked, attempt,
                  streamed, events, conversation, created_at, started_at, log_until)
VALUES ($1, $3, $4, CASE WHEN $5 = 1 THEN 'in_progress' ELSE 'queued' END, $6, $5,
        CASE WHEN $5 = 1 THEN coalesce($2, {now}) + $7 ELSE 0 END, 0, $5, $8, 0, $9, $10,
        CASE WHEN $5 = 1 THEN coalesce($2, {now}) END, NULL)
ON CONFLICT (project, id) DO NOTHING
RETURNING number, started_at
"""
"""A new run; $5 is 1 if its owner $6 makes it at once."""

FIND_ENQUEUED = """
SELECT number, started_at FROM runs
WHERE project = $1 AND id = $2 AND created_at = $3 AND epoch <= 1
"""
"""The same run, if it was enqueued before and nothing has happened to it but that."""

SAVE_BODY = """
INSERT INTO run_bodies (run, request, head) VALUES ($1, $2, $3)
"""

QUEUES = """
WITH RECURSIVE queues (project) AS (
    SELECT min(project) FROM runs WHERE status = 'queued'
    UNION ALL
    SELECT (SELECT min(r.project) FROM runs r WHERE r.status = 'queued' AND r.project > q.project)
    FROM queues q WHERE q.project IS NOT NULL
)
SELECT q.project,
       (SELECT r.number FROM runs r
        WHERE r.status = 'queued' AND r.project = q.project AND r.version <= $1
          AND r.lease_until <= CASE WHEN $3 = 1 THEN coalesce($2, {now}) ELSE 0 END
        ORDER BY r.lease_until, r.number LIMIT 1)
FROM queues q WHERE q.project IS NOT NULL
"""
"""Every project with a queue and the first run of it that can be claimed, or NULL. The projects
are found by as many looks into the index, whatever the length of the queues."""

RUNNING = """
SELECT project, count(*) FROM runs WHERE status = 'in_progress' GROUP BY project
"""
"""How many runs each project has that are being made."""

FIND_ORPHAN = """
SELECT number FROM runs
WHERE status = 'in_progress' AND version <= $1
  AND lease_until <= CASE WHEN $3 = 1 THEN coalesce($2, {now}) ELSE 0 END
LIMIT 1
"""
"""Is there a run somebody began and nobody has? $3 is 0 to see only what was handed over."""

_CLAIMED = """
RETURNING number, project, id, epoch, status, cancel_asked, attempt, version, streamed, events,
          conversation, created_at, started_at,
          (SELECT b.request FROM run_bodies b WHERE b.run = runs.number),
          (SELECT b.head FROM run_bodies b WHERE b.run = runs.number)
"""

TAKE_ORPHANS = (
    """
WITH picked AS MATERIALIZED (
    SELECT number FROM runs
    WHERE status = 'in_progress' AND version <= $1
      AND lease_until <= CASE WHEN $3 = 1 THEN coalesce($2, {now}) ELSE 0 END
    ORDER BY lease_until LIMIT $4 {skip}
)
UPDATE runs SET owner = $5, epoch = epoch + 1, attempt = attempt + 1,
                lease_until = coalesce($2, {now}) + $6
WHERE number IN (SELECT number FROM picked)
"""
    + _CLAIMED
)
"""Runs somebody began and nobody has, those first that have waited longest."""

TAKE_QUEUED = (
    """
WITH picked AS MATERIALIZED (
    SELECT number FROM runs
    WHERE status = 'queued' AND project = $7 AND version <= $1
      AND lease_until <= CASE WHEN $3 = 1 THEN coalesce($2, {now}) ELSE 0 END
    ORDER BY lease_until, number LIMIT $4 {skip}
)
UPDATE runs SET owner = $5, epoch = epoch + 1, attempt = attempt + 1,
                lease_until = coalesce($2, {now}) + $6,
                status = CASE WHEN cancel_asked = 1 THEN 'queued' ELSE 'in_progress' END,
                started_at = CASE WHEN cancel_asked = 1 THEN NULL ELSE coalesce($2, {now}) END
WHERE number IN (SELECT number FROM picked)
"""
    + _CLAIMED
)
"""The first $4 of a project's queue. One whose cancelling was asked for is claimed, to be ended,
and does not begin."""

BEAT = """
UPDATE runs SET lease_until = coalesce($2, {now}) + $3
FROM {held} AS held
WHERE number = held_run AND id = held_id AND epoch = held_epoch
  AND status IN ('queued', 'in_progress')
RETURNING number, epoch, cancel_asked
"""
"""Renew the leases of the claims in $1, also of those that ran out and nobody took."""

RELEASE = """
UPDATE runs SET owner = NULL, epoch = epoch + 1, lease_until = 0,
                attempt = CASE WHEN attempt > $2 THEN attempt - $2 ELSE 0 END
FROM {held} AS held
WHERE number = held_run AND id = held_id AND epoch = held_epoch
  AND status IN ('queued', 'in_progress')
RETURNING number
"""
"""Hand over the claims in $1: anybody may claim them at once, and who had them is refused. $2: so
many attempts are not counted."""

RELEASE_ALL = """
UPDATE runs SET owner = NULL, epoch = epoch + 1, lease_until = 0
WHERE status IN ('queued', 'in_progress') AND owner IS NOT NULL
RETURNING number
"""
"""The same for every run: right only where no other process can be alive."""

CANCEL_QUEUED = (
    """
UPDATE runs SET cancel_asked = 1, owner = $4, epoch = epoch + 1,
                lease_until = coalesce($2, {now}) + $5
WHERE project = $1 AND id = $3 AND status = 'queued' AND lease_until <= coalesce($2, {now})
"""
    + _CLAIMED
)
"""Claim a run nobody began, to end it."""

CANCEL = """
UPDATE runs SET cancel_asked = 1
WHERE project = $1 AND id = $2 AND status IN ('queued', 'in_progress')
RETURNING number
"""

# --- while it is made -----------------------------------------------------------------------

LOAD = """
SELECT r.status, r.cancel_asked, r.streamed, r.events, r.attempt, r.conversation, r.created_at,
       r.started_at, r.log_until, (SELECT b.head FROM run_bodies b WHERE b.run = r.number)
FROM runs r WHERE r.project = $1 AND r.id = $2
"""

LOAD_REQUEST = """
SELECT b.request FROM runs r JOIN run_bodies b ON b.run = r.number
WHERE r.project = $1 AND r.id = $2
"""

SHOW = """
UPDATE run_bodies SET head = $4
WHERE run = (SELECT r.number FROM runs r
             WHERE r.number = $1 AND r.id = $2 AND r.epoch = $3
               AND r.status IN ('queued', 'in_progress'))
RETURNING run
"""

HOLD = """
SELECT number FROM runs
WHERE number = $1 AND id = $2 AND epoch = $3 AND status = 'in_progress'
{lock}
"""
"""Is it still ours? And it stays so until the transaction ends."""

FIND_STEP = """
SELECT step, epoch, done, result FROM run_steps WHERE run = $1 AND step = $2
"""

BEGIN_STEP = """
INSERT INTO run_steps (run, step, epoch, done, result) VALUES ($1, $2, $3, 0, NULL)
ON CONFLICT (run, step) DO UPDATE SET epoch = excluded.epoch
"""

END_STEP = """
UPDATE run_steps SET done = 1, result = $4 WHERE run = $1 AND step = $2 AND epoch = $3
RETURNING run
"""

LOAD_STEPS = """
SELECT step, epoch, done, result FROM run_steps WHERE run = $1 ORDER BY step
"""

# --- the log in a table ---------------------------------------------------------------------

APPEND_TO = """
UPDATE runs SET events = held_first + held_count
FROM {held} AS held
WHERE number = held_run AND id = held_id AND epoch = held_epoch AND events = held_first
  AND status = 'in_progress'
RETURNING number
"""
"""The runs among $1 whose log goes on where the chunk begins, and whose epoch it is."""

SAVE_CHUNK = """
INSERT INTO run_chunks (run, first, count, epoch, events) VALUES ($1, $2, $3, $4, $5)
"""

PLACE = """
SELECT r.events, (SELECT c.count FROM run_chunks c
                  WHERE c.run = r.number AND c.first = $4 AND c.epoch = $3)
FROM runs r
WHERE r.number = $1 AND r.id = $2 AND r.epoch = $3 AND r.status = 'in_progress'
"""
"""Where the log of a run goes on if it is ours, and the length of our chunk that begins at $4."""

READ_LOG = """
SELECT c.first, c.count, c.events
FROM runs r JOIN run_chunks c ON c.run = r.number
WHERE r.project = $1 AND r.id = $2 AND c.first + c.count > $3
  AND c.first >= coalesce((SELECT max(b.first) FROM run_chunks b
                           WHERE b.run = r.number AND b.first <= $3), 0)
ORDER BY c.first LIMIT $4
"""
"""Chunks from the one that holds the event $3 on."""

ERASE_LOG = """
DELETE FROM run_chunks WHERE run = $1
"""

ERASE_CHUNKS = """
DELETE FROM run_chunks
WHERE run = $1 AND first IN (SELECT c.first FROM run_chunks c WHERE c.run = $1
                             ORDER BY c.first LIMIT $2)
RETURNING run
"""

# --- the end --------------------------------------------------------------------------------

FINISH = """
UPDATE runs SET status = $4, owner = NULL, lease_until = 0, events = $5,
                log_until = CASE WHEN $8 < coalesce($2, {now}) + $7 THEN $8
                                 ELSE coalesce($2, {now}) + $7 END
WHERE number = $1 AND epoch = $3 AND id = $9 AND (events = $5 OR $6 = 1)
  AND (status = 'in_progress' OR status = 'queued' AND $4 IN ('cancelled', 'failed'))
RETURNING number
"""
"""The one transition to the end. $6 is 1 if the log is kept elsewhere, so that the row does not
know its length before."""

EMPTY_BODY = """
UPDATE run_bodies SET request = NULL, head = $2 WHERE run = $1
"""

ERASE_BODY = """
DELETE FROM run_bodies WHERE run = $1
"""

ERASE_STEPS = """
DELETE FROM run_steps WHERE run = $1
"""

ERASE_RUN = """
DELETE FROM runs WHERE number = $1
"""

ERASE_NAMED = """
DELETE FROM runs WHERE project = $1 AND id = $2 RETURNING number
"""

FIND_SWEPT = """
SELECT number FROM runs WHERE log_until <= coalesce($2, {now}) LIMIT $1
"""

LOCK_SWEPT = """
SELECT number, project, id FROM runs
WHERE log_until <= coalesce($2, {now})
ORDER BY log_until LIMIT $1 {skip}
"""
"""Those whose time is over, for one sweeper at a time."""

COUNT = """
SELECT status, count(*) FROM runs WHERE status IN ('queued', 'in_progress') GROUP BY status
"""
