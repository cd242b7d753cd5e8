"""Requests that may come again: the header ``Idempotency-Key``.

Rules. Who sends a key first makes the response, and leaving does not stop it: a caller whose
connection broke asks again and gets what was made. Whoever sends the key later, within a day,
gets that same response, and no model is asked. The same key with another request is a mistake
(400), and so is asking again for what was not stored (409). While the response is being made a
repeat is told to wait (409). What was refused, or died with its process, frees its key.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import partial
from typing import Literal

import msgspec
from msgspec import Struct

from antiphon.errors import ClientError
from antiphon.ids import Ids
from antiphon.runs.leases import Gone, Lease, Leases
from antiphon.store import idempotency as store_of
from antiphon.store.base import Store, StoredResponse
from antiphon.store.idempotency import KEPT, NOT_KEPT, Claimed, IdempotencyKeys
from antiphon.store.work import Begin

HEADER = "Idempotency-Key"
KEY_LENGTH_MAX = 255
KEPT_MS = 24 * 3_600_000
"""How long after the answer a key is good for."""

RETRY_SECONDS = 1


class Claim(Struct, frozen=True, eq=False):
    """A key that is ours until what it was sent with has ended."""

    project: str
    key: str
    owner: str
    until: int
    lease: Lease
    leases: Leases

    def ending(self, row: StoredResponse) -> Sequence[Begin[object]]:
        """For ``Context.also``: with the response's end the key says what was made."""
        self.leases.let_go(self.lease)
        if row.status == "cancelled":  # the server stopped: that is no answer to repeat
            return (self.lease.release,)
        kept = msgspec.json.decode(row.head, type=_Stored).store
        return (self.answered(row.id, kept=kept),)

    def answered(self, answer: str, *, kept: bool = True) -> Begin[None]:
        """For the transaction that writes what was made, or that queues it: repeats are answered
        with what has this id from then on. Call ``let_go`` when it is durable."""
        state: Literal[1, 2] = KEPT if kept else NOT_KEPT
        return partial(
            store_of.settle, self.project, self.key, self.owner, state, answer, self.until
        )

    def give_up(self) -> Gone:
        """For ``Context.abandoned``: nothing will be made, and the key is free again."""
        return self.leases.drop(self.lease)

    def let_go(self) -> None:
        """Hold the key no longer: it has its answer."""
        self.leases.let_go(self.lease)


class _Stored(Struct):
    store: bool = True


class Repeats:
    """The keys of all projects, as one process sees them."""

    def __init__(self, store: Store, leases: Leases, ids: Ids) -> None:
        self._keys = IdempotencyKeys(store)
        self._leases = leases
        self._ids = ids

    async def claim(self, project: str, key: str, digest: str) -> Claim | str:
        """The key, to make something; or the id of what was made. Raises ``ClientError``: 400
        ``idempotency_key_reused``, 409 ``idempotency_in_progress`` or
        ``idempotency_answer_not_stored``."""
        owner = self._ids.mint("idem")
        now, until = self._leases.term()
        lease = Lease(
            partial(store_of.renew, project, key, owner),
            partial(store_of.free, project, key, owner),
        )
        work = partial(store_of.claim, project, key, digest, owner, until, now)
        found = await self._leases.take(lease, work)
        if isinstance(found, Claimed):
            self._leases.keep(lease)
            return Claim(project, key, owner, now + KEPT_MS, lease, self._leases)
        if not found.same:
            raise _reused()
        if found.answer is None:
            raise _in_progress()
        if not found.kept:
            raise _not_kept(found.answer)
        return found.answer

    async def sweep(self, now: int) -> int:
        """Forget keys whose time is over (``now`` in ms); how many."""
        return await self._keys.sweep(now)


def key_of(value: bytes) -> str:
    """The header's value as a key. Raises ``ClientError`` 400 unless it is printable ASCII of at
    most 255 characters."""
    key = value.strip()
    if not 0 < len(key) <= KEY_LENGTH_MAX or not all(0x20 <= byte < 0x7F for byte in key):
        raise ClientError(
            f"Invalid header '{HEADER}': expected 1 to {KEY_LENGTH_MAX} printable ASCII "
            "characters, such as a UUID.",
            code="invalid_idempotency_key",
            param=HEADER,
        )
    return key.decode("ascii")


def digest_of(route: str, body: bytes) -> str:
    """What makes two requests the same: the route and the JSON, however it was spelled."""
    canonical = msgspec.json.encode(msgspec.json.decode(body), order="sorted")
    return hashlib.sha256(route.encode() + b"\n" + canonical).hexdigest()


def _reused() -> ClientError:
    return ClientError(
        f"The header '{HEADER}' has the key of an earlier request with another body. Send a new "
        "key for a new request, or the same body again.",
        code="idempotency_key_reused",
        param=HEADER,
    )


def _in_progress() -> ClientError:
    return ClientError(
        f"The request with this '{HEADER}' is still being answered; send it again in a moment.",
        status=409,
        code="idempotency_in_progress",
        param=HEADER,
        headers={"retry-after": str(RETRY_SECONDS)},
    )


def _not_kept(answer: str) -> ClientError:
    return ClientError(
        f"The request with this '{HEADER}' was answered with '{answer}', which was not stored "
        "('store': false), so it cannot be answered again.",
        status=409,
        code="idempotency_answer_not_stored",
        param=HEADER,
        headers={"x-should-retry": "false"},
    )
