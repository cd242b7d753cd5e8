"""The bus of a server that is one process."""

from __future__ import annotations

import asyncio
from functools import partial

from antiphon.bus.base import Heard, Subscription


class LocalBus:
    """``antiphon.bus.base.Bus`` within one process: every message arrives."""

    def __init__(self) -> None:
        self._subscribers: dict[str, list[Heard]] = {}

    async def open(self) -> None:
        """There is nothing to reach."""

    async def close(self) -> None:
        self._subscribers.clear()

    def publish(self, topic: str, payload: bytes = b"") -> None:
        """As the port says."""
        if topic in self._subscribers:
            asyncio.get_running_loop().call_soon(self.deliver, topic, payload)

    def subscribe(self, topic: str, heard: Heard) -> Subscription:
        """As the port says."""
        self._subscribers.setdefault(topic, []).append(heard)
        return _Subscription(partial(self._leave, topic, heard))

    def deliver(self, topic: str, payload: bytes) -> None:
        """Call the subscribers of this process, now."""
        for heard in tuple(self._subscribers.get(topic, ())):
            heard(payload)

    def _leave(self, topic: str, heard: Heard) -> None:
        heards = self._subscribers.get(topic, [])
        if heard in heards:
            heards.remove(heard)
        if not heards:
            self._subscribers.pop(topic, None)


class _Subscription:
    def __init__(self, leave: partial[None]) -> None:
        self._leave: partial[None] | None = leave

    def end(self) -> None:
        leave, self._leave = self._leave, None
        if leave is not None:
            leave()
