"""Stored chat completions: the noun, its statements and its works (``work.py``).

A list is walked in small steps from a place ``(created_at, id)`` on, along the index of the
narrowest filter: one pair of metadata, else the model, else the project. What the index does not
tell (further pairs, expiry) is looked at row by row.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import msgspec
from msgspec import Struct

from antiphon.store.base import Database
from antiphon.store.content import PLAIN, Content
from antiphon.store.sql import TRY_ALONE
from antiphon.store.work import Begin, Work

STEP_ROWS = 100
"""Rows looked at in one statement of a list."""

_BEFORE_ALL = (-1, "")
_AFTER_ALL = (1 << 62, "")

# --- statements -----------------------------------------------------------------------------

SAVE_COMPLETION = """
INSERT INTO completions (project, id, created_at, due_at, model, metadata, object, messages)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
"""
"""One completion, complete."""

SAVE_PAIR = """
INSERT INTO completion_metadata (project, name, value, created_at, id)
VALUES ($1, $2, $3, $4, $5)
"""
"""One pair of its metadata."""

LOAD_COMPLETION = """
SELECT id, project, created_at, due_at, model, metadata, object, messages
FROM completions
WHERE project = $1 AND id = $2 AND (due_at IS NULL OR due_at > $3)
"""
"""The fields of a StoredCompletion in its order; $3 is now."""

PLACE_OF_COMPLETION = """
SELECT created_at FROM completions
WHERE project = $1 AND id = $2 AND (due_at IS NULL OR due_at > $3)
"""
"""Where a living completion stands in the order of its project."""

OLDER_FIRST = """
SELECT created_at, id, due_at, model, metadata FROM completions
WHERE project = $1 AND (created_at, id) > ($2, $3)
ORDER BY created_at, id LIMIT $4
"""
"""The completions of a project behind a place."""

NEWER_FIRST = """
SELECT created_at, id, due_at, model, metadata FROM completions
WHERE project = $1 AND (created_at, id) < ($2, $3)
ORDER BY created_at DESC, id DESC LIMIT $4
"""
"""The same, backwards."""

OLDER_OF_MODEL = """
SELECT created_at, id, due_at, model, metadata FROM completions
WHERE project = $1 AND model = $5 AND (created_at, id) > ($2, $3)
ORDER BY created_at, id LIMIT $4
"""
"""Those of one model."""

NEWER_OF_MODEL = """
SELECT created_at, id, due_at, model, metadata FROM completions
WHERE project = $1 AND model = $5 AND (created_at, id) < ($2, $3)
ORDER BY created_at DESC, id DESC LIMIT $4
"""
"""The same, backwards."""

OLDER_OF_PAIR = """
SELECT m.created_at, m.id, c.due_at, c.model, c.metadata
FROM completion_metadata m JOIN completions c ON c.project = m.project AND c.id = m.id
WHERE m.project = $1 AND m.name = $5 AND m.value = $6 AND (m.created_at, m.id) > ($2, $3)
ORDER BY m.created_at, m.id LIMIT $4
"""
"""Those with one pair of metadata."""

NEWER_OF_PAIR = """
SELECT m.created_at, m.id, c.due_at, c.model, c.metadata
FROM completion_metadata m JOIN completions c ON c.project = m.project AND c.id = m.id
WHERE m.project = $1 AND m.name = $5 AND m.value = $6 AND (m.created_at, m.id) < ($2, $3)
ORDER BY m.created_at DESC, m.id DESC LIMIT $4
"""
"""The same, backwards."""

SET_METADATA = """
UPDATE completions SET metadata = $3
WHERE project = $1 AND id = $2 AND (due_at IS NULL OR due_at > $4)
RETURNING created_at
"""
"""All that can be changed of a living completion; from here on it is ours until the end of the
transaction, so its pairs belong to these metadata."""

ERASE_PAIRS = """
DELETE FROM completion_metadata WHERE project = $1 AND id = $2
"""
"""Its metadata, to be written anew or never again."""

ERASE_COMPLETION = """
DELETE FROM completions WHERE project = $1 AND id = $2
"""
"""Before its pairs, for the same reason."""

FIND_DUE_COMPLETIONS = """
SELECT project, id FROM completions WHERE due_at <= $1 ORDER BY due_at LIMIT $2
"""
"""What has expired."""

_WALKS = {
    ("asc", 0): OLDER_FIRST,
    ("desc", 0): NEWER_FIRST,
    ("asc", 1): OLDER_OF_MODEL,
    ("desc", 1): NEWER_OF_MODEL,
    ("asc", 2): OLDER_OF_PAIR,
    ("desc", 2): NEWER_OF_PAIR,
}
"""By order and by how many parameters the filter has."""


# --- the noun -------------------------------------------------------------------------------


class StoredCompletion(Struct, kw_only=True):
    """One chat completion as stored.

    ``object``: the ``chat.completion`` as JSON without ``metadata``; ``messages``: what it was made
    from, a JSON array of messages with ids; ``metadata``: at most 16 pairs. Times are milliseconds
    since 1970; ``expires_at`` None keeps it for ever.
    """

    id: str
    project: str
    created_at: int
    expires_at: int | None
    model: str
    metadata: dict[str, str]
    object: bytes
    messages: bytes


class Wanted(Struct, kw_only=True, frozen=True):
    """Which completions a list is to have: those behind ``after`` (an id), with this model, with
    all these pairs of metadata."""

    after: str | None = None
    limit: int = 20
    descending: bool = False
    model: str | None = None
    metadata: Mapping[str, str] = {}


class Completions:
    """The stored chat completions of all projects. Every method takes the project first; another
    project's id is like a missing one, and so is an expired one. ``now`` is in milliseconds.
    Raises ``RemoteError`` if the database fails. ``content`` shuts object and messages."""

    def __init__(self, database: Database, content: Content = PLAIN) -> None:
        self._database = database
        self._content = content

    async def ready(self, project: str) -> None:
        """To be awaited before ``saving`` for this project."""
        await self._content.ready(project)

    def saving(self, row: StoredCompletion) -> Begin[object]:
        """Begins the work that inserts the row: for ``Context.also``, or ``Database.change``."""
        shut = self._content.shut
        return partial(
            _save,
            msgspec.structs.replace(
                row,
                object=shut(row.project, row.object),
                messages=shut(row.project, row.messages),
            ),
        )

    async def load(self, project: str, id: str, now: int) -> StoredCompletion | None:
        row = await self._database.read(partial(_load, project, id, now))
        return None if row is None else await self._opened(row)

    async def page(
        self, project: str, wanted: Wanted, now: int
    ) -> tuple[Sequence[StoredCompletion], bool] | None:
        """The next completions in order of their birth, and whether more follow; None if
        ``after`` is not there."""
        found = await self._database.read(partial(_page, project, wanted, now))
        if found is None:
            return None
        rows, more = found
        return [await self._opened(row) for row in rows], more

    async def set_metadata(
        self, project: str, id: str, metadata: Mapping[str, str], now: int
    ) -> StoredCompletion | None:
        """Replace the metadata; the completion as it is then."""
        row = await self._database.change(partial(_set_metadata, project, id, metadata, now))
        return None if row is None else await self._opened(row)

    async def delete(self, project: str, id: str, now: int) -> bool:
        """Erase it; False if it was not there."""
        return await self._database.change(partial(_delete, project, id, now))

    async def sweep(self, now: int, limit: int = 500) -> int:
        """Erase at most ``limit`` completions that expired before ``now``; how many. None where
        another replica sweeps."""
        if not await self._database.read(partial(_due, now, 1)):
            return 0
        return await self._database.change(partial(_sweep, now, limit))

    async def _opened(self, row: StoredCompletion) -> StoredCompletion:
        await self._content.ready(row.project, writing=False)
        row.object = self._content.open(row.project, row.object)
        row.messages = self._content.open(row.project, row.messages)
        return row


# --- works ----------------------------------------------------------------------------------


def _save(row: StoredCompletion) -> Work[None]:
    yield (
        SAVE_COMPLETION,
        (
            row.project,
            row.id,
            row.created_at,
            row.expires_at,
            _text(row.model),
            _json(row.metadata),
            row.object,
            row.messages,
        ),
    )
    yield from _pairs(row.project, row.id, row.created_at, row.metadata)


def _load(project: str, id: str, now: int) -> Work[StoredCompletion | None]:
    rows = yield LOAD_COMPLETION, (project, id, now)
    if not rows:
        return None
    (id, project, created_at, expires_at, model, metadata, object, messages) = rows[0]
    return StoredCompletion(
        id=id,
        project=project,
        created_at=created_at,
        expires_at=expires_at,
        model=model,
        metadata=msgspec.json.decode(metadata),
        object=object,
        messages=messages,
    )


def _page(
    project: str, wanted: Wanted, now: int
) -> Work[tuple[Sequence[StoredCompletion], bool] | None]:
    place = _AFTER_ALL if wanted.descending else _BEFORE_ALL
    if wanted.after is not None:
        rows = yield PLACE_OF_COMPLETION, (project, wanted.after, now)
        if not rows:
            return None
        place = (rows[0][0], wanted.after)
    filter = tuple(map(_text, next(iter(wanted.metadata.items()), ())))
    if not filter and wanted.model is not None:
        filter = (_text(wanted.model),)
    walk = _WALKS["desc" if wanted.descending else "asc", len(filter)]
    ids: list[str] = []
    while len(ids) <= wanted.limit:
        rows = yield walk, (project, *place, STEP_ROWS, *filter)
        ids += (row[1] for row in rows if _fits(row, wanted, now))
        if len(rows) < STEP_ROWS:
            break
        place = (rows[-1][0], rows[-1][1])
    found = []
    for id in ids[: wanted.limit]:
        row = yield from _load(project, id, now)
        if row is not None:
            found.append(row)
    return found, len(ids) > wanted.limit


def _fits(row: Sequence[object], wanted: Wanted, now: int) -> bool:
    _, _, due_at, model, metadata = row
    if isinstance(due_at, int) and due_at <= now:
        return False
    if wanted.model is not None and model != _text(wanted.model):
        return False
    if not wanted.metadata:
        return True
    pairs = msgspec.json.decode(str(metadata), type=dict[str, str])
    return wanted.metadata.items() <= pairs.items()


def _set_metadata(
    project: str, id: str, metadata: Mapping[str, str], now: int
) -> Work[StoredCompletion | None]:
    rows = yield SET_METADATA, (project, id, _json(metadata), now)
    if not rows:
        return None
    yield ERASE_PAIRS, (project, id)
    yield from _pairs(project, id, rows[0][0], metadata)
    return (yield from _load(project, id, now))


def _delete(project: str, id: str, now: int) -> Work[bool]:
    rows = yield PLACE_OF_COMPLETION, (project, id, now)
    if not rows:
        return False
    yield from _erase(project, id)
    return True


def _erase(project: str, id: str) -> Work[None]:
    yield ERASE_COMPLETION, (project, id)
    yield ERASE_PAIRS, (project, id)


def _due(now: int, limit: int) -> Work[int]:
    rows = yield FIND_DUE_COMPLETIONS, (now, limit)
    return len(rows)


def _sweep(now: int, limit: int) -> Work[int]:
    alone = yield TRY_ALONE, ()
    if not alone[0][0]:
        return 0
    rows = yield FIND_DUE_COMPLETIONS, (now, limit)
    for project, id in rows:
        yield from _erase(project, id)
    return len(rows)


def _pairs(project: str, id: str, created_at: int, metadata: Mapping[str, str]) -> Work[None]:
    for name, value in metadata.items():
        yield SAVE_PAIR, (project, _text(name), _text(value), created_at, id)


def _text(value: str) -> str:
    """The text as every database takes it in a column: without the one character PostgreSQL
    refuses."""
    return value.replace("\0", "\ufffd")


def _json(metadata: Mapping[str, str]) -> str:
    return msgspec.json.encode(metadata).decode()
