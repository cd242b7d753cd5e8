"""Conversations and their items, and the lock of each: works, written once for every database.

Everything that adds to a conversation or takes its lock first touches its row, so that two of them
follow one another on a database with many connections too. Places only grow: as long as the
edition is the same, whoever knows the items up to a place needs those from there on only.

Whether a conversation is missing or held by another response is a result and not an exception:
an exception would undo what others write in the same transaction.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from antiphon.store.base import Database
from antiphon.store.content import PLAIN, Content
from antiphon.store.conversations_sql import (
    BREAK_LOCK,
    BURY_CONVERSATION,
    ERASE_CONVERSATION,
    ERASE_ITEM,
    ERASE_ITEMS_BELOW,
    ERASE_LEASES,
    ERASE_OLD_LOCKS,
    FIND_BURIED,
    FIND_ITEM,
    FIND_ITEM_ANYWHERE,
    FIND_LOCK,
    KEEP_LOCK,
    LOAD_CONVERSATION,
    LOAD_ITEMS,
    LOAD_PAGE_DOWN,
    LOAD_PAGE_UP,
    NEW_EDITION,
    RELEASE_LOCK,
    RENEW_LOCK,
    SAVE_CONVERSATION,
    SAVE_ITEM,
    SET_METADATA,
    TAKE_LOCK,
    TAKE_PLACES,
    TOUCH_CONVERSATION,
)
from antiphon.store.work import Begin, Fenced, Work

FOR_EVER = 1 << 62
"""A ``held_until`` that never comes: of a lock that is released by a finishing transaction."""

ERASED_AT_ONCE = 256
"""Items of a deleted conversation that go in one transaction."""

LOCK_GRACE_MS = 3_600_000
"""How long an abandoned lock's row stays: a holder that was only slow may still finish."""


class Mark(Struct, frozen=True):
    """How far a conversation has come: ``edition`` and the ``place`` of its next item."""

    edition: int
    place: int


class StoredConversation(Struct, frozen=True, kw_only=True):
    """``created_at`` in ms; ``metadata`` is a JSON object."""

    id: str
    created_at: int
    metadata: bytes
    mark: Mark


class StoredItem(Struct, frozen=True):
    """``item`` is a JSON object with this ``id``, which no other item of the conversation has."""

    id: str
    item: bytes


class Reading(Struct, frozen=True):
    """A conversation's items as JSON objects, oldest first: those from place ``since`` on, all of
    them if that is 0."""

    mark: Mark
    since: int
    items: Sequence[bytes]


class Leaf(Struct, frozen=True):
    """One page of items. ``more``: there are others behind it."""

    items: Sequence[StoredItem]
    more: bool


Refusal = Literal["missing", "locked", "moved"]
"""Why nothing was done: no such conversation; a response is being made in it; it is not at the
mark any more at which it was expected."""


# --- works ----------------------------------------------------------------------------------


def create(
    project: str,
    id: str,
    created_at: int,
    metadata: bytes,
    items: Sequence[StoredItem],
    also: Sequence[Begin[None]] = (),
) -> Work[StoredConversation]:
    """A new conversation with its first items; ``also`` is done with it."""
    yield SAVE_CONVERSATION, (project, id, created_at, metadata)
    mark = Mark(0, 0)
    if items:
        mark = yield from _add(project, id, items)
    for begin in also:
        yield from begin()
    return StoredConversation(id=id, created_at=created_at, metadata=metadata, mark=mark)


def load(project: str, id: str) -> Work[StoredConversation | None]:
    """None if it is missing, deleted or another project's."""
    rows = yield LOAD_CONVERSATION, (project, id)
    return _conversation(id, rows[0]) if rows else None


def update(project: str, id: str, metadata: bytes) -> Work[StoredConversation | None]:
    """Replace the metadata."""
    rows = yield SET_METADATA, (project, id, metadata)
    return _conversation(id, rows[0]) if rows else None


def items_since(project: str, id: str, known: Mark | None) -> Work[Reading | None]:
    """The items one does not know who knows them up to a mark; all if that is of no use."""
    found = yield from load(project, id)
    if found is None:
        return None
    return (yield from _unknown(project, id, found.mark, known))


def enter(
    project: str,
    id: str,
    holder: str,
    held_until: int,
    now: int,
    known: Mark | None,
    again: bool = False,
) -> Work[Reading | Refusal]:
    """Take the lock and read; an expired lock is taken over. ``again``: the holder has had it ever
    since it entered first, or its response is gone and never gets it back."""
    rows = yield TOUCH_CONVERSATION, (project, id)
    if not rows:
        return "missing"
    mark = _conversation(id, rows[0]).mark
    if again:
        taken = yield KEEP_LOCK, (project, id, holder)
    else:
        taken = yield TAKE_LOCK, (project, id, holder, held_until, now)
    if not taken:
        return "locked"
    return (yield from _unknown(project, id, mark, known))


def add(
    project: str, id: str, items: Sequence[StoredItem], now: int, expected: Mark | None = None
) -> Work[StoredConversation | Refusal]:
    """Items from a caller, all or none of them: not while a response is being made, and, if a mark
    is ``expected``, only to a conversation that is still there."""
    rows = yield TOUCH_CONVERSATION, (project, id)
    if not rows:
        return "missing"
    found = _conversation(id, rows[0])
    if (yield from _is_locked(project, id, now)):
        return "locked"
    if expected is not None and found.mark != expected:
        return "moved"
    yield from _add(project, id, items)
    return found


def finish(project: str, id: str, holder: str, items: Sequence[StoredItem]) -> Work[bool]:
    """Add what a response brought and made, and release the lock: for the transaction in which it
    ends. False if the conversation was deleted meanwhile. Raises ``Fenced`` if another response
    has taken the lock over, because its items may be there already."""
    rows = yield TOUCH_CONVERSATION, (project, id)
    if not rows:
        return False
    if not (yield RELEASE_LOCK, (project, id, holder)):
        raise Fenced(f"conversation {id} is not held by {holder} any more")
    yield from _add(project, id, items)
    return True


def release(project: str, id: str, holder: str) -> Work[None]:
    """Give the lock back; nothing if it is not this holder's."""
    yield RELEASE_LOCK, (project, id, holder)


def renew(project: str, id: str, holder: str, held_until: int) -> Work[None]:
    """Hold the lock longer (``FOR_EVER``: until it is released); never shorter."""
    yield RENEW_LOCK, (project, id, holder, held_until)


def page(
    project: str, id: str, after: str | None, limit: int, newest_first: bool
) -> Work[Leaf | Literal["missing", "unknown"]]:
    """At most ``limit`` items behind the one with the id ``after`` (unknown if there is none)."""
    rows = yield LOAD_CONVERSATION, (project, id)
    if not rows:
        return "missing"
    place = FOR_EVER if newest_first else -1
    if after is not None:
        found = yield FIND_ITEM, (project, after, id)
        if not found:
            return "unknown"
        place = found[0][0]
    statement = LOAD_PAGE_DOWN if newest_first else LOAD_PAGE_UP
    rows = yield statement, (project, id, place, limit + 1)
    items = [StoredItem(name, bytes(item)) for name, item in rows[:limit]]
    return Leaf(items, len(rows) > limit)


def load_item(project: str, id: str, item_id: str) -> Work[bytes | Literal["missing"] | None]:
    """The item as JSON; None if the conversation has none with this id."""
    rows = yield LOAD_CONVERSATION, (project, id)
    if not rows:
        return "missing"
    rows = yield FIND_ITEM, (project, item_id, id)
    return bytes(rows[0][1]) if rows else None


def find_item(project: str, item_id: str) -> Work[bytes | None]:
    """The item with this id, whichever conversation of the project it is in."""
    rows = yield FIND_ITEM_ANYWHERE, (project, item_id)
    return bytes(rows[0][0]) if rows else None


def delete_item(
    project: str, id: str, item_id: str, now: int
) -> Work[StoredConversation | Refusal | None]:
    """Remove one item; not while a response is being made. None if there is no such item."""
    rows = yield TOUCH_CONVERSATION, (project, id)
    if not rows:
        return "missing"
    if (yield from _is_locked(project, id, now)):
        return "locked"
    if not (yield ERASE_ITEM, (project, item_id, id)):
        return None
    yield NEW_EDITION, (project, id)
    return _conversation(id, rows[0])


def bury(project: str, id: str) -> Work[int | None]:
    """Delete the conversation for every reader, and break its lock. How many places its items
    took, which are still to be erased; None if it is missing."""
    rows = yield BURY_CONVERSATION, (project, id, b"{}")
    if not rows:
        return None
    yield BREAK_LOCK, (project, id)
    return int(rows[0][0])


def erase(project: str, id: str, below: int, last: bool) -> Work[None]:
    """Erase the items of a buried conversation before a place; after the last, itself."""
    yield ERASE_ITEMS_BELOW, (project, id, below)
    if last:
        yield ERASE_CONVERSATION, (project, id)


def buried(limit: int) -> Work[Sequence[tuple[str, str, int]]]:
    """(project, id, places) of conversations nobody has erased to the end."""
    rows = yield FIND_BURIED, (limit,)
    return [(project, id, place) for project, id, place in rows]


def erase_old_locks(before: int) -> Work[None]:
    yield ERASE_OLD_LOCKS, (before,)


def erase_leases() -> Work[None]:
    """Release what dead processes held: for a process that has the store to itself."""
    yield ERASE_LEASES, (FOR_EVER,)


def _conversation(id: str, row: Sequence[object]) -> StoredConversation:
    created_at, metadata, edition, place = row
    mark = Mark(int(edition), int(place))  # type: ignore[call-overload]
    return StoredConversation(
        id=id,
        created_at=int(created_at),  # type: ignore[call-overload]
        metadata=bytes(metadata),  # type: ignore[call-overload]
        mark=mark,
    )


def _unknown(project: str, id: str, mark: Mark, known: Mark | None) -> Work[Reading]:
    """What a reader at ``known`` has to read of a conversation at ``mark``."""
    useful = known is not None and known.edition == mark.edition and known.place <= mark.place
    since = known.place if known is not None and useful else 0
    if since and since == mark.place:
        return Reading(mark, since, ())
    rows = yield LOAD_ITEMS, (project, id, since)
    return Reading(mark, since, [bytes(item) for (item,) in rows])


def _is_locked(project: str, id: str, now: int) -> Work[bool]:
    rows = yield FIND_LOCK, (project, id)
    return bool(rows) and rows[0][1] > now


def _add(project: str, id: str, items: Sequence[StoredItem]) -> Work[Mark]:
    """Append to a conversation that was touched (or made) in this transaction."""
    rows = yield TAKE_PLACES, (project, id, len(items))
    edition, place = rows[0]
    for at, item in enumerate(items, place - len(items)):
        yield SAVE_ITEM, (project, id, at, item.id, item.item)
    return Mark(edition, place)


# --- the noun -------------------------------------------------------------------------------


class Conversations:
    """The conversations of all projects. What items and metadata say goes through ``content``."""

    def __init__(self, database: Database, content: Content = PLAIN) -> None:
        self._database = database
        self._content = content

    async def create(
        self,
        project: str,
        id: str,
        created_at: int,
        metadata: bytes,
        items: Sequence[StoredItem],
        also: Sequence[Begin[None]] = (),
    ) -> StoredConversation:
        """Insert, with other works in the same transaction; ``created_at`` in ms."""
        await self._content.ready(project)
        shut = self._content.shut(project, metadata)
        work = partial(create, project, id, created_at, shut, self._shut(project, items), also)
        return self._opened(project, await self._database.change(work))

    async def load(self, project: str, id: str) -> StoredConversation | None:
        """None if it is missing, deleted or another project's."""
        await self._content.ready(project, writing=False)
        found = await self._database.read(partial(load, project, id))
        return None if found is None else self._opened(project, found)

    async def update(self, project: str, id: str, metadata: bytes) -> StoredConversation | None:
        """Replace the metadata; None as for ``load``."""
        await self._content.ready(project)
        shut = self._content.shut(project, metadata)
        found = await self._database.change(partial(update, project, id, shut))
        return None if found is None else self._opened(project, found)

    async def items_since(self, project: str, id: str, known: Mark | None) -> Reading | None:
        """What there is behind ``known``, everything if that is None or outdated."""
        await self._content.ready(project, writing=False)
        reading = await self._database.read(partial(items_since, project, id, known))
        return None if reading is None else self.opened(project, reading)

    async def ready(self, project: str) -> None:
        """To be awaited before ``opened`` and ``finishing``, which do not wait."""
        await self._content.ready(project)

    def opened(self, project: str, reading: Reading) -> Reading:
        """What the work ``enter`` has read."""
        items = [self._content.open(project, item) for item in reading.items]
        return Reading(reading.mark, reading.since, items)

    def finishing(
        self, project: str, id: str, holder: str, items: Sequence[StoredItem]
    ) -> Begin[bool]:
        """``finish`` as a work, for the transaction in which the response ends."""
        return partial(finish, project, id, holder, self._shut(project, items))

    async def add(
        self,
        project: str,
        id: str,
        items: Sequence[StoredItem],
        now: int,
        expected: Mark | None = None,
    ) -> StoredConversation | Refusal:
        """Append a caller's items, all or none; where to, or why not."""
        await self._content.ready(project)
        work = partial(add, project, id, self._shut(project, items), now, expected)
        return await self._database.change(work)

    async def page(
        self, project: str, id: str, *, after: str | None, limit: int, newest_first: bool
    ) -> Leaf | Literal["missing", "unknown"]:
        """A page of items behind ``after``."""
        await self._content.ready(project, writing=False)
        work = partial(page, project, id, after, limit, newest_first)
        found = await self._database.read(work)
        if not isinstance(found, Leaf):
            return found
        open = self._content.open
        items = [StoredItem(one.id, open(project, one.item)) for one in found.items]
        return Leaf(items, found.more)

    async def load_item(
        self, project: str, id: str, item_id: str
    ) -> bytes | Literal["missing"] | None:
        """One item as JSON; None if the conversation does not have it."""
        await self._content.ready(project, writing=False)
        found = await self._database.read(partial(load_item, project, id, item_id))
        return self._content.open(project, found) if isinstance(found, bytes) else found

    async def find_item(self, project: str, item_id: str) -> bytes | None:
        """An item of any conversation of the project."""
        await self._content.ready(project, writing=False)
        found = await self._database.read(partial(find_item, project, item_id))
        return None if found is None else self._content.open(project, found)

    async def delete_item(
        self, project: str, id: str, item_id: str, now: int
    ) -> StoredConversation | Refusal | None:
        """Erase one item; the conversation, or why not (None: no such item)."""
        await self._content.ready(project, writing=False)
        found = await self._database.change(partial(delete_item, project, id, item_id, now))
        return self._opened(project, found) if isinstance(found, StoredConversation) else found

    async def delete(self, project: str, id: str) -> bool:
        """Delete it with its items; nothing of it is left when this returns. False as for
        ``load``. The items go in several transactions, so that others get their turn."""
        places = await self._database.change(partial(bury, project, id))
        if places is None:
            return False
        await self._erase(project, id, places)
        return True

    async def sweep(self, now: int, limit: int = 100) -> None:
        """End deletions that broke off, and forget locks nobody has renewed for long."""
        left = await self._database.read(partial(buried, limit))
        for project, id, places in left:
            await self._erase(project, id, places)
        await self._database.change(partial(erase_old_locks, now - LOCK_GRACE_MS))

    async def _erase(self, project: str, id: str, places: int) -> None:
        below = 0
        while below < places or below == 0:
            below += ERASED_AT_ONCE
            await self._database.change(partial(erase, project, id, below, below >= places))

    def _shut(self, project: str, items: Sequence[StoredItem]) -> list[StoredItem]:
        shut = self._content.shut
        return [StoredItem(one.id, shut(project, one.item)) for one in items]

    def _opened(self, project: str, found: StoredConversation) -> StoredConversation:
        metadata = self._content.open(project, found.metadata)
        return replace(found, metadata=metadata)
