"""Webhook endpoints, and the outbox of what has not been delivered to them yet.

An event gets its rows in the transaction that ends its response (``announcing``). A row that is
due is *taken* by moving ``due_at`` on by a lease, so one process has it; should that process die,
the row is due again. Whoever settles it must still be the last who took it.

Time is the database's own unless a ``clock`` is given, as for runs (``runs.py``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Literal

import msgspec
from msgspec import Struct

from antiphon.store.base import Database
from antiphon.store.work import Begin, Rows, Work

ENDPOINTS_MAX = 100
"""Of one project."""

_strings = msgspec.json.Decoder(list[str]).decode


class StoredEndpoint(Struct, frozen=True, kw_only=True):
    """Times in ms. ``secret`` and ``old_secret`` are sealed."""

    id: str
    name: str
    url: str
    event_types: Sequence[str]
    created_at: int
    updated_at: int
    secret: str
    hint: str
    old_secret: str | None = None
    old_until: int | None = None


class Taken(Struct, frozen=True, kw_only=True):
    """An event to be delivered now, and where. ``attempt`` counts from 1; ``age_ms`` is how long
    ago it happened. ``secrets`` are those that sign, sealed, the newest first."""

    number: int
    attempt: int
    project: str
    endpoint: str
    url: str
    secrets: Sequence[str]
    id: str
    event: str
    subject: str
    body: bytes
    age_ms: int


# --- statements -----------------------------------------------------------------------------

_FIELDS = """id, name, url, event_types, created_at, updated_at, secret, hint, old_secret,
       old_until"""

SAVE_ENDPOINT = """
INSERT INTO webhook_endpoints (project, id, name, url, event_types, created_at, updated_at,
                               secret, hint)
VALUES ($1, $2, $3, $4, $5, $6, $6, $7, $8)
"""

COUNT_ENDPOINTS = """
SELECT count(*) FROM webhook_endpoints WHERE project = $1
"""

LOAD_ENDPOINT = f"""
SELECT {_FIELDS} FROM webhook_endpoints WHERE project = $1 AND id = $2
"""

LOCK_ENDPOINT = f"""
SELECT {_FIELDS} FROM webhook_endpoints WHERE project = $1 AND id = $2
{{lock}}
"""

FIRST_PAGE = f"""
SELECT {_FIELDS} FROM webhook_endpoints WHERE project = $1
ORDER BY created_at DESC, id DESC LIMIT $2
"""

NEXT_PAGE = f"""
SELECT {_FIELDS} FROM webhook_endpoints
WHERE project = $1 AND (created_at < $3 OR created_at = $3 AND id < $4)
ORDER BY created_at DESC, id DESC LIMIT $2
"""
"""What is behind the endpoint $4, which was created at $3."""

SET_ENDPOINT = """
UPDATE webhook_endpoints SET name = $3, url = $4, event_types = $5, updated_at = $6
WHERE project = $1 AND id = $2
"""

SET_SECRET = """
UPDATE webhook_endpoints
SET old_secret = CASE WHEN $5 = 1 THEN secret END,
    old_until = CASE WHEN $5 = 1 THEN CAST($6 AS {integer}) END,
    secret = $3, hint = $4, updated_at = $7
WHERE project = $1 AND id = $2
"""
"""With $5 = 1 the secret before goes on signing until $6."""

ERASE_ENDPOINT = """
DELETE FROM webhook_endpoints WHERE project = $1 AND id = $2 RETURNING id
"""

ERASE_OUTBOX = """
DELETE FROM webhook_outbox WHERE project = $1 AND endpoint = $2
"""

WANTING = """
SELECT id, event_types FROM webhook_endpoints WHERE project = $1 ORDER BY id
"""

PROJECTS = """
SELECT DISTINCT project FROM webhook_endpoints LIMIT $1
"""

SAVE_EVENT = """
INSERT INTO webhook_outbox (project, endpoint, id, event, subject, body, created_at, due_at,
                            attempts)
VALUES ($1, $3, $4, $5, $6, $7, coalesce($2, {now}), coalesce($2, {now}), 0)
"""

FIND_DUE = """
WITH RECURSIVE behind (endpoint) AS (
    SELECT min(endpoint) FROM webhook_outbox
    UNION ALL
    SELECT (SELECT min(o.endpoint) FROM webhook_outbox o WHERE o.endpoint > b.endpoint)
    FROM behind b WHERE b.endpoint IS NOT NULL
)
SELECT b.endpoint,
       (SELECT min(o.due_at) FROM webhook_outbox o
        WHERE o.endpoint = b.endpoint AND o.due_at <= coalesce($1, {now})) AS due
FROM behind b WHERE b.endpoint IS NOT NULL
"""
"""Every endpoint something is left for, and since when something is due, or NULL. The endpoints are
found by as many looks into the index, however much is left for each."""

TAKE = """
UPDATE webhook_outbox SET due_at = coalesce($2, {now}) + $4, attempts = attempts + 1
WHERE number IN (
    SELECT number FROM webhook_outbox
    WHERE endpoint = $1 AND due_at <= coalesce($2, {now}) ORDER BY due_at LIMIT $3
    {skip}
)
RETURNING number, attempts, project, id, event, subject, body, coalesce($2, {now}),
          coalesce($2, {now}) - created_at
"""
"""At most $3 events of an endpoint, for $4 ms; the last columns are now and their age."""

SETTLE = """
DELETE FROM webhook_outbox WHERE number = $1 AND attempts = $2
"""

POSTPONE = """
UPDATE webhook_outbox SET due_at = coalesce($2, {now}) + $4 WHERE number = $1 AND attempts = $3
"""

COUNT_OUTBOX = """
SELECT count(*) FROM webhook_outbox
"""


class StoredWebhooks:
    """The endpoints and outboxes of all projects; another project's endpoint is a missing one.
    Every method may raise ``RemoteError``."""

    def __init__(self, database: Database, *, clock: Callable[[], int] | None = None) -> None:
        self._database = database
        self._clock = clock

    # --- endpoints ---

    async def create(self, project: str, endpoint: StoredEndpoint) -> bool:
        """False if the project has ``ENDPOINTS_MAX`` already."""
        return await self._database.change(partial(_create, project, endpoint))

    async def load(self, project: str, id: str) -> StoredEndpoint | None:
        """One endpoint."""
        return await self._database.read(partial(_load, LOAD_ENDPOINT, project, id))

    async def page(
        self, project: str, *, after: str | None, limit: int
    ) -> Sequence[StoredEndpoint] | Literal["unknown"]:
        """At most ``limit``, newest first, behind the endpoint ``after``."""
        return await self._database.read(partial(_page, project, after, limit))

    async def update(
        self,
        project: str,
        id: str,
        *,
        name: str | None,
        url: str | None,
        event_types: Sequence[str] | None,
        now: int,
    ) -> StoredEndpoint | None:
        """Change what is not None; nothing is written where nothing differs."""
        return await self._database.change(
            partial(_update, project, id, name, url, event_types, now)
        )

    async def rotate(
        self, project: str, id: str, *, secret: str, hint: str, keep_until: int | None, now: int
    ) -> StoredEndpoint | None:
        """A new (sealed) secret; the one before signs until ``keep_until``, if that is given."""
        return await self._database.change(
            partial(_rotate, project, id, secret, hint, keep_until, now)
        )

    async def delete(self, project: str, id: str) -> bool:
        """With all that was to be delivered to it."""
        return await self._database.change(partial(_delete, project, id))

    async def projects(self, limit: int) -> Sequence[str]:
        """Those that have endpoints; at most ``limit``."""
        return await self._database.read(partial(_projects, limit))

    # --- the outbox ---

    def announcing(
        self, project: str, *, event: str, subject: str, body: bytes, ids: Callable[[int], str]
    ) -> Begin[int]:
        """A work that writes the event down for every endpoint of the project that wants it; how
        many these are. ``ids`` gives the id for the n-th."""
        return partial(_announce, project, self._now(), event, subject, body, ids)

    async def take(
        self, *, busy: Mapping[str, int], each: int, limit: int, lease_ms: int
    ) -> Sequence[Taken]:
        """At most ``limit`` events that are due, ours for ``lease_ms``; those that waited longest
        first, and of an endpoint at most ``each``, less those it is ``busy`` with already. With
        nothing due it is one read."""
        if limit < 1:
            return []
        due = await self._database.read(partial(_due, self._now()))
        if all(busy.get(endpoint, 0) >= each for endpoint in due):
            return []
        return await self._database.change(
            partial(_take, self._now(), dict(busy), each, limit, lease_ms)
        )

    async def settle(self, taken: Taken) -> None:
        """It was delivered, or never will be."""
        await self._database.change(partial(_write, SETTLE, (taken.number, taken.attempt)))

    async def postpone(self, taken: Taken, delay_ms: int) -> None:
        """Try it again after ``delay_ms``."""
        parameters = (taken.number, self._now(), taken.attempt, delay_ms)
        await self._database.change(partial(_write, POSTPONE, parameters))

    async def waiting(self) -> int:
        """How many events are not delivered yet."""
        return await self._database.read(_waiting)

    def _now(self) -> int | None:
        return None if self._clock is None else self._clock()


# --- works ----------------------------------------------------------------------------------


def _create(project: str, new: StoredEndpoint) -> Work[bool]:
    rows = yield COUNT_ENDPOINTS, (project,)
    if rows[0][0] >= ENDPOINTS_MAX:
        return False
    types = _json(new.event_types)
    yield (
        SAVE_ENDPOINT,
        (project, new.id, new.name, new.url, types, new.created_at, new.secret, new.hint),
    )
    return True


def _load(statement: str, project: str, id: str) -> Work[StoredEndpoint | None]:
    rows = yield statement, (project, id)
    return _endpoint(rows[0]) if rows else None


def _page(
    project: str, after: str | None, limit: int
) -> Work[Sequence[StoredEndpoint] | Literal["unknown"]]:
    if after is None:
        rows = yield FIRST_PAGE, (project, limit)
    else:
        last = yield from _load(LOAD_ENDPOINT, project, after)
        if last is None:
            return "unknown"
        rows = yield NEXT_PAGE, (project, limit, last.created_at, last.id)
    return [_endpoint(row) for row in rows]


def _update(
    project: str,
    id: str,
    name: str | None,
    url: str | None,
    event_types: Sequence[str] | None,
    now: int,
) -> Work[StoredEndpoint | None]:
    found = yield from _load(LOCK_ENDPOINT, project, id)
    if found is None:
        return None
    changed = msgspec.structs.replace(
        found,
        name=found.name if name is None else name,
        url=found.url if url is None else url,
        event_types=found.event_types if event_types is None else list(event_types),
    )
    if changed == found:
        return found
    types = _json(changed.event_types)
    yield SET_ENDPOINT, (project, id, changed.name, changed.url, types, now)
    return msgspec.structs.replace(changed, updated_at=now)


def _rotate(
    project: str, id: str, secret: str, hint: str, keep_until: int | None, now: int
) -> Work[StoredEndpoint | None]:
    keep = 0 if keep_until is None else 1
    yield SET_SECRET, (project, id, secret, hint, keep, keep_until, now)
    return (yield from _load(LOAD_ENDPOINT, project, id))


def _delete(project: str, id: str) -> Work[bool]:
    rows = yield ERASE_ENDPOINT, (project, id)
    yield ERASE_OUTBOX, (project, id)
    return bool(rows)


def _projects(limit: int) -> Work[Sequence[str]]:
    rows = yield PROJECTS, (limit,)
    return [row[0] for row in rows]


def _announce(
    project: str,
    now: int | None,
    event: str,
    subject: str,
    body: bytes,
    ids: Callable[[int], str],
) -> Work[int]:
    rows = yield WANTING, (project,)
    wanting = [id for id, types in rows if event in _strings(types)]
    for number, endpoint in enumerate(wanting, 1):
        yield SAVE_EVENT, (project, now, endpoint, ids(number), event, subject, body)
    return len(wanting)


def _due(now: int | None) -> Work[Sequence[str]]:
    """The endpoints something is due for, longest first."""
    rows = yield FIND_DUE, (now,)
    return [row[0] for row in sorted(rows, key=_since) if row[1] is not None]


def _since(row: Sequence[int | None]) -> int:
    return row[1] or 0


def _take(
    now: int | None, busy: Mapping[str, int], each: int, limit: int, lease_ms: int
) -> Work[Sequence[Taken]]:
    taken: list[Taken] = []
    for endpoint in (yield from _due(now)):
        room = min(each - busy.get(endpoint, 0), limit - len(taken))
        if room < 1:
            continue
        rows = yield TAKE, (endpoint, now, room, lease_ms)
        if rows:
            taken += yield from _with_endpoint(endpoint, rows)
    return taken


def _with_endpoint(endpoint: str, rows: Rows) -> Work[Sequence[Taken]]:
    project, now = str(rows[0][2]), rows[0][7]
    found = yield from _load(LOAD_ENDPOINT, project, endpoint)
    if found is None:  # deleted while a response ended
        yield ERASE_OUTBOX, (project, endpoint)
        return []
    secrets = [found.secret]
    if found.old_secret is not None and now < (found.old_until or 0):
        secrets.append(found.old_secret)
    return [
        msgspec.convert(
            {
                "number": row[0],
                "attempt": row[1],
                "project": project,
                "endpoint": endpoint,
                "url": found.url,
                "secrets": secrets,
                "id": row[3],
                "event": row[4],
                "subject": row[5],
                "body": row[6],
                "age_ms": row[8],
            },
            Taken,
            builtin_types=(bytes,),
        )
        for row in sorted(rows, key=_number)
    ]


def _number(row: Sequence[Any]) -> Any:
    return row[0]


def _write(statement: str, parameters: tuple[int | None, ...]) -> Work[None]:
    yield statement, parameters


def _waiting() -> Work[int]:
    rows = yield COUNT_OUTBOX, ()
    return int(rows[0][0])


def _endpoint(row: Sequence[object]) -> StoredEndpoint:
    values = dict(zip(StoredEndpoint.__struct_fields__, row, strict=True))
    values["event_types"] = _strings(str(values["event_types"]))
    return msgspec.convert(values, StoredEndpoint)


def _json(strings: Sequence[str]) -> str:
    return msgspec.json.encode(list(strings)).decode()
