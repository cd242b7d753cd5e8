"""What this process holds in the store while it works: taken, renewed together, given back.

A lease is a row with a time. As long as this process lives it renews all its leases with one work
every quarter of their length; when it dies they run out, and others may take over. They are
given back by the transaction in which the work ends, or, if it comes to nothing, by ``drop``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial

from msgspec import Struct

from antiphon.errors import AntiphonError
from antiphon.observe import Broke, Observe, nobody
from antiphon.store.base import Store, T
from antiphon.store.work import Begin, Work

LEASE_MS = 20_000
"""A holder that is silent for so long has lost what it held."""

_RENEWALS = 4
"""So often is a lease renewed before it would run out."""


Gone = asyncio.Future[None]
"""Done when something held was given back, or could not be and will run out; never fails."""


class Lease(Struct, frozen=True, eq=False):
    """Something held. ``renew(until)`` is the work that holds it until then (ms), ``release`` the
    one that gives it back; both do nothing if it is another's by now."""

    renew: Callable[[int], Work[None]]
    release: Begin[None]


class Leases:
    """The leases of one process. ``clock`` tells ms; ``length_ms`` is how long one is good."""

    def __init__(
        self,
        store: Store,
        clock: Callable[[], int],
        *,
        observe: Observe = nobody,
        length_ms: int = LEASE_MS,
    ) -> None:
        self._store = store
        self._clock = clock
        self._observe = observe
        self._length_ms = length_ms
        self._held: set[Lease] = set()
        self._taking: set[asyncio.Future[object]] = set()
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._held)

    def term(self) -> tuple[int, int]:
        """Now, and until when a lease taken now is good (ms)."""
        now = self._clock()
        return now, now + self._length_ms

    async def take(self, lease: Lease, work: Begin[T]) -> T:
        """Run the work that takes the lease; a caller who is cancelled meanwhile leaves nothing
        behind. The lease is not renewed before ``keep``."""
        taking: asyncio.Future[T] = asyncio.ensure_future(self._store.change(work))
        self._taking.add(taking)  # type: ignore[arg-type]
        taking.add_done_callback(self._taking.discard)
        try:
            return await asyncio.shield(taking)
        except asyncio.CancelledError:
            taking.add_done_callback(partial(self._taken_in_vain, lease))
            raise

    def _taken_in_vain(self, lease: Lease, taking: asyncio.Future[T]) -> None:
        if not taking.cancelled() and taking.exception() is None:
            self.drop(lease)

    def keep(self, lease: Lease) -> None:
        """Renew it from now on."""
        self._held.add(lease)
        if self._timer is None:
            self._renew_later()

    def let_go(self, lease: Lease) -> None:
        """Renew it no longer: the transaction that is coming ends it."""
        self._held.discard(lease)

    def drop(self, lease: Lease) -> Gone:
        """Give it back. Nobody has to wait, but who is told of it before may come too early."""
        self._held.discard(lease)
        gone = asyncio.get_running_loop().create_future()
        self._store.put(None, partial(self._dropped, gone), [lease.release])
        return gone

    def _renew_later(self) -> None:
        seconds = self._length_ms / _RENEWALS / 1000
        self._timer = asyncio.get_running_loop().call_later(seconds, self._renew)

    def _renew(self) -> None:
        self._timer = None
        if not self._held:
            return
        _, until = self.term()
        works = [partial(lease.renew, until) for lease in self._held]
        self._store.put(None, self._settled, works)
        self._renew_later()

    def _dropped(self, gone: Gone, error: Exception | None) -> None:
        self._settled(error)
        if not gone.done():
            gone.set_result(None)

    def _settled(self, error: Exception | None) -> None:
        if isinstance(error, AntiphonError):  # it runs out by itself
            self._observe(Broke("store", error))
