"""Conversations remembered between turns, so that a turn costs its new items only.

What is remembered is what the store holds, already decoded: whoever finds nothing here reads the
store and comes to the same context. It is bounded in bytes; the conversation that rested longest
goes first. A turn's memory takes the place of its parent's, because a conversation goes on; a
branch from an earlier turn is read from the store.

Most responses have no next turn. So a row is kept as the JSON it was stored as and decoded when
somebody continues it; and of those that begin a conversation only the newest are kept. They do
not drive out conversations then; and keeping ten thousand of them made every stored answer a
tenth slower, because memory that is used again so late is in no cache of the processor.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from msgspec import Struct

from antiphon.ids import KEY_LENGTH, now_ms
from antiphon.runs.retention import Retention
from antiphon.runs.said import Said
from antiphon.store.base import StoredResponse
from antiphon.store.conversations import Mark

if TYPE_CHECKING:
    from antiphon.runs.context import Context

_ENTRY_BYTES = 600
_ITEM_BYTES = 400
"""What an entry and a decoded item take beside their text (measured with tracemalloc)."""
_TEXT_TIMES = 2
"""The text is there twice: in the items and in what the backend made of them."""
BEGINNINGS_MAX = 1_024
"""First turns which nobody has continued yet."""
_DELETED_MAX = 4_096
"""So many deletions a turn may see while it runs and still know that its parent was one."""


class _Entry(Struct, eq=False):
    """One response: ``length`` items of ``said``, then what ``unread`` holds (JSON arrays). Or a
    conversation, at its ``mark``."""

    said: Said | None
    length: int
    unread: tuple[bytes, ...]
    memo: dict[Any, Any]
    expires_at: int | None
    size_bytes: int
    mark: Mark | None = None

    def opened(self) -> Said:
        """Everything said up to this response. Extends the parent's, if nobody did before."""
        said = self.said
        if said is None:
            said = Said()
        elif len(said.items) != self.length:
            said = said.upto(self.length)
        for array in self.unread:
            said.read(array)
        self.said, self.length, self.unread = said, len(said.items), ()
        return said


class Remembering(Protocol):
    """What a context asks of a memory: of the process's, or of one connection's (``local.py``).

    ``everything``: also responses that will not be stored are kept, and need their input as if
    they were. ``shared``: other processes delete from the store too, and what they delete is
    forgotten here a moment later; so whether a response still lives is asked of the store.
    """

    everything: bool

    @property
    def shared(self) -> bool: ...
    @property
    def forgotten(self) -> int: ...
    def recall(self, project: str, response_id: str) -> tuple[Said, dict[Any, Any]] | None: ...
    def peek(self, project: str, response_id: str) -> Said | None: ...
    def learn(self, project: str, response_id: str, said: Said, forgotten: int) -> None: ...
    def alone_knows(self, project: str, response_id: str) -> bool:
        """Whether no store has this response, so that what continues it must tell all of it."""


class Memory:
    """The conversations of one process, by project and response. At most ``bytes_max``
    (estimated). ``retention`` is how long the store keeps responses made from now on."""

    def __init__(
        self,
        bytes_max: int = 32 * 1024 * 1024,
        *,
        retention: Retention | None = None,
        clock: Callable[[], int] = now_ms,
    ) -> None:
        self._bytes_max = bytes_max
        self._retention = retention or Retention()
        self._clock = clock
        self._since_ms = clock()
        self._entries: OrderedDict[tuple[str, str], _Entry] = OrderedDict()
        self._beginnings: OrderedDict[tuple[str, str], _Entry] = OrderedDict()
        self._bytes = 0
        self._deleted: OrderedDict[tuple[str, str], None] = OrderedDict()
        self.everything = False
        self.shared = False
        self.forgotten = 0

    def __len__(self) -> int:
        return len(self._entries) + len(self._beginnings)

    @property
    def size_bytes(self) -> int:
        """An estimate of what is held."""
        return self._bytes

    def recall(self, project: str, response_id: str) -> tuple[Said, dict[Any, Any]] | None:
        """Everything said up to the response and a copy of the backend's memo, if remembered.

        Valid until the caller waits: then another turn may have added to it (``Said.upto``).
        """
        key = (project, response_id)
        entry = self._entries.get(key)
        if entry is None:
            entry = self._beginnings.pop(key, None)
            if entry is None:
                return None
            self._entries[key] = entry
        if entry.mark is not None:  # a conversation, which is no response
            return None
        if entry.expires_at is not None and entry.expires_at <= self._clock():
            self._drop(key)
            return None
        self._entries.move_to_end(key)
        return entry.opened(), dict(entry.memo)

    def peek(self, project: str, response_id: str) -> Said | None:
        """What ``recall`` would find."""
        found = self.recall(project, response_id)
        return None if found is None else found[0]

    def keep(self, context: Context, row: StoredResponse) -> None:
        """Remember a response that is durable and may be continued, in its parent's place.
        ``context`` is the one it was made from, ``row`` the one that was stored."""
        if row.parent is not None:
            self._drop((row.project, row.parent))
            if (row.project, row.parent) in self._deleted:
                return  # while the turn ran: the store may have erased what the parent said
        said, past = context.said, context.past
        text = len(row.input) + len(row.output) + (said.size_bytes if said is not None else 0)
        known = context.turn.known
        entry = _Entry(
            said,
            past,
            (row.input, row.output),
            known.memo if known is not None else {},
            row.expires_at,
            _size_bytes(text, past + context.new + 1),
        )
        into = self._entries if row.parent is not None else self._beginnings
        self._put(into, (row.project, row.id), entry)

    def learn(self, project: str, response_id: str, said: Said, forgotten: int) -> None:
        """Remember what was read from the store. ``forgotten`` is what it was when the reading
        began: nothing is learned if anything was forgotten since, it could be this.

        Only responses of this process' life are: when others expire is not known here.
        """
        created_ms = _created_ms(response_id)
        if created_ms < self._since_ms or forgotten != self.forgotten:
            return
        retention_ms = self._retention.of(project)
        expires_at = None if retention_ms is None else created_ms + retention_ms
        length = len(said.items)
        size_bytes = _size_bytes(said.size_bytes, length)
        entry = _Entry(said, length, (), {}, expires_at, size_bytes)
        self._put(self._entries, (project, response_id), entry)

    def forget(self, project: str, response_id: str) -> None:
        """The response was deleted: it is not remembered when this returns."""
        self.forgotten += 1
        self._drop((project, response_id))
        self._deleted[project, response_id] = None
        if len(self._deleted) > _DELETED_MAX:
            self._deleted.popitem(last=False)

    def drop(self, project: str, response_id: str) -> None:
        """Remember the response no longer; it was not deleted."""
        self._drop((project, response_id))

    def alone_knows(self, project: str, response_id: str) -> bool:
        """Never: this is a cache of the store."""
        return False

    # -- conversations: remembered by their own id, and outdated as soon as their mark is --------

    def mark(self, project: str, conversation_id: str) -> Mark | None:
        """Up to where the conversation is remembered, if it is."""
        entry = self._entries.get((project, conversation_id))
        return None if entry is None else entry.mark

    def conversation(
        self, project: str, conversation_id: str
    ) -> tuple[Said, dict[Any, Any], Mark | None]:
        """What ``recall`` tells of a response, and the mark; None if it is not remembered."""
        entry = self._entries.get((project, conversation_id))
        if entry is None or entry.mark is None:
            return Said(), {}, None
        self._entries.move_to_end((project, conversation_id))
        return entry.opened(), dict(entry.memo), entry.mark

    def keep_conversation(
        self, conversation_id: str, mark: Mark, context: Context, row: StoredResponse
    ) -> None:
        """Remember it at ``mark``, with what the response of this context and row has added."""
        said, past, known = context.said, context.past, context.turn.known
        text = len(row.input) + len(row.output) + (said.size_bytes if said is not None else 0)
        entry = _Entry(
            said,
            past,
            (row.input, row.output),
            known.memo if known is not None else {},
            None,
            _size_bytes(text, past + context.new + 1),
            mark,
        )
        self._put(self._entries, (row.project, conversation_id), entry)

    def learn_conversation(
        self, project: str, conversation_id: str, said: Said, memo: dict[Any, Any], mark: Mark
    ) -> None:
        """Remember what was read from the store."""
        length = len(said.items)
        size_bytes = _size_bytes(said.size_bytes, length)
        entry = _Entry(said, length, (), dict(memo), None, size_bytes, mark)
        self._put(self._entries, (project, conversation_id), entry)

    def forget_conversation(self, project: str, conversation_id: str) -> None:
        """It was deleted."""
        self._drop((project, conversation_id))

    def _put(
        self,
        into: OrderedDict[tuple[str, str], _Entry],
        key: tuple[str, str],
        entry: _Entry,
    ) -> None:
        self._drop(key)  # a stream's id is known before its end: somebody may have read it already
        if entry.size_bytes > self._bytes_max:  # it would drive out all others, then itself
            return
        into[key] = entry
        self._bytes += entry.size_bytes
        while self._bytes > self._bytes_max or len(self._beginnings) > BEGINNINGS_MAX:
            _, oldest = (self._beginnings or self._entries).popitem(last=False)
            self._bytes -= oldest.size_bytes

    def _drop(self, key: tuple[str, str]) -> None:
        entry = self._entries.pop(key, None) or self._beginnings.pop(key, None)
        if entry is not None:
            self._bytes -= entry.size_bytes


def _size_bytes(text: int, items: int) -> int:
    return _ENTRY_BYTES + _TEXT_TIMES * text + _ITEM_BYTES * items


def _created_ms(response_id: str) -> int:
    """When an id of ours was minted; 0 if it is not one."""
    digits = response_id.partition("_")[2]
    try:
        return int(digits[2:14], 16) if len(digits) == KEY_LENGTH else 0
    except ValueError:
        return 0
