"""A conversation while a response is made in it: locked, read, then continued or given back.

Rules. One response at a time: who comes second is refused with ``conversation_locked``, and
nobody's items ever stand between those of a turn. What a response brought and made is added in
the transaction in which it ends, if it is ``completed`` or ``incomplete``; a failed or cancelled
one adds nothing. Whichever way it ends, the lock goes with it; if its process dies, the lock runs
out. If the conversation is deleted meanwhile the response ends as it would have, and adds nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from antiphon.errors import ClientError
from antiphon.runs.leases import Gone, Lease, Leases
from antiphon.runs.memory import Memory
from antiphon.runs.said import Said
from antiphon.store import conversations as store_of
from antiphon.store.base import StoredResponse
from antiphon.store.conversations import (
    FOR_EVER,
    Conversations,
    Mark,
    Reading,
    StoredItem,
)
from antiphon.store.work import Begin, Work

if TYPE_CHECKING:
    from antiphon.runs.context import Context

RETRY_SECONDS = 1
"""What a caller who met a locked conversation is told to wait."""
_ADDING = frozenset({"completed", "incomplete"})


class _Named(Struct):
    id: str


_raws = msgspec.json.Decoder(list[msgspec.Raw]).decode
_names = msgspec.json.Decoder(list[_Named]).decode


class Held(Struct, frozen=True, eq=False):
    """A conversation that is this response's until it ends. ``mark``: how far it had come."""

    project: str
    conversation_id: str
    response_id: str
    mark: Mark
    lease: Lease
    leases: Leases
    memory: Memory
    kept: Conversations

    def ending(self, row: StoredResponse) -> Sequence[Begin[object]]:
        """For ``Context.also``: what is written with the response's end."""
        self.leases.let_go(self.lease)
        return ending(self.kept, self.project, self.conversation_id, self.response_id, row)

    def give_up(self) -> Gone:
        """For ``Context.abandoned``: there will be no response, and the lock goes."""
        return self.leases.drop(self.lease)

    def leave(self) -> None:
        """For ``Context.abandoned``: there will be a response, made or ended by somebody else, and
        the lock is theirs."""
        self.leases.let_go(self.lease)

    def lasting(self) -> Begin[None]:
        """For the transaction that queues the response: from then on the lock does not run out,
        it waits for the transaction that ends the response, in whichever process. Call ``let_go``
        when it is durable."""
        return partial(self.lease.renew, FOR_EVER)

    def let_go(self) -> None:
        """Renew the lock no longer: it is the run's business now, not this process's."""
        self.leases.let_go(self.lease)

    def remember(self, context: Context, row: StoredResponse) -> None:
        """The row is durable, and so is what it added."""
        if row.status in _ADDING:
            added = len(_raws(row.input)) + len(_raws(row.output))
            mark = Mark(self.mark.edition, self.mark.place + added)
            self.memory.keep_conversation(self.conversation_id, mark, context, row)


def ending(
    kept: Conversations, project: str, conversation_id: str, response_id: str, row: StoredResponse
) -> Sequence[Begin[object]]:
    """The work that ends a response in its conversation, given its row: its items are added or
    not, the lock is released. Raises ``Fenced`` if another response has the conversation. The
    project's content must be ``ready`` if something is added."""
    if row.status not in _ADDING:
        return (partial(store_of.release, project, conversation_id, response_id),)
    items = [*_items(row.input), *_items(row.output)]
    return (kept.finishing(project, conversation_id, response_id, items),)


def _items(array: bytes) -> list[StoredItem]:
    return [
        StoredItem(named.id, bytes(raw))
        for named, raw in zip(_names(array), _raws(array), strict=True)
    ]


def _not_ours() -> Work[None]:
    """To be released by the end of a queued response only: not by whoever fails to begin it."""
    yield from ()


class Holding:
    """Enters conversations on behalf of the responses of one process."""

    def __init__(self, kept: Conversations, leases: Leases, memory: Memory) -> None:
        self.kept = kept
        self._leases = leases
        self._memory = memory

    async def enter(
        self, project: str, conversation_id: str, response_id: str, *, again: bool = False
    ) -> tuple[Held, Said, dict[Any, Any]]:
        """Lock it and know what was said. ``again``: for a response that was queued with the lock
        (``Held.lasting``). Raises ``ClientError``: 404 ``conversation_not_found``, 409
        ``conversation_locked``."""
        known = self._memory.mark(project, conversation_id)
        now, until = self._leases.term()
        lease = Lease(
            partial(store_of.renew, project, conversation_id, response_id),
            _not_ours
            if again
            else partial(store_of.release, project, conversation_id, response_id),
        )
        taking = (project, conversation_id, response_id, until, now, known, again)
        work = partial(store_of.enter, *taking)
        await self.kept.ready(project)
        reading = await self._leases.take(lease, work)
        if reading == "missing":
            raise missing(conversation_id)
        if not isinstance(reading, Reading):
            raise locked(conversation_id)
        held = Held(
            project,
            conversation_id,
            response_id,
            reading.mark,
            lease,
            self._leases,
            self._memory,
            self.kept,
        )
        self._leases.keep(lease)
        try:
            opened = self.kept.opened(project, reading)
            said, memo, _ = await self._said(project, conversation_id, opened)
        except BaseException:
            held.give_up()
            raise
        return held, said, memo

    async def look(
        self, project: str, conversation_id: str, *, param: str = "conversation"
    ) -> tuple[Mark, Said, dict[Any, Any]]:
        """What was said, without the lock. Raises ``ClientError`` 404."""
        known = self._memory.mark(project, conversation_id)
        reading = await self.kept.items_since(project, conversation_id, known)
        if reading is None:
            raise missing(conversation_id, param)
        said, memo, mark = await self._said(project, conversation_id, reading)
        return mark, said, memo

    def forget(self, project: str, conversation_id: str) -> None:
        """It was deleted."""
        self._memory.forget_conversation(project, conversation_id)

    async def _said(
        self, project: str, conversation_id: str, reading: Reading
    ) -> tuple[Said, dict[Any, Any], Mark]:
        """Everything said up to the reading's mark: what is remembered, and what was read."""
        said, memo, mark = self._memory.conversation(project, conversation_id)
        if mark == reading.mark:
            return said, memo, reading.mark
        if reading.since and mark != Mark(reading.mark.edition, reading.since):
            # Forgotten, or remembered anew, while the store was read.
            whole = await self.kept.items_since(project, conversation_id, None)
            reading = whole if whole is not None else Reading(reading.mark, 0, ())
        if not reading.since:
            said, memo = Said(), {}
        if reading.items:
            said.read(b"[%b]" % b",".join(reading.items))
        self._memory.learn_conversation(project, conversation_id, said, memo, reading.mark)
        return said, memo, reading.mark


def missing(conversation_id: str, param: str = "conversation") -> ClientError:
    """Another project's and a deleted one look the same."""
    return ClientError(
        f"Conversation with id '{conversation_id[:80]}' not found.",
        status=404,
        code="conversation_not_found",
        param=param,
    )


def locked(conversation_id: str, param: str = "conversation") -> ClientError:
    """409, which the SDK repeats by itself."""
    return ClientError(
        f"A response is being made in conversation '{conversation_id[:80]}'. Send the request "
        "again when it has ended.",
        status=409,
        code="conversation_locked",
        param=param,
        headers={"retry-after": str(RETRY_SECONDS)},
    )
