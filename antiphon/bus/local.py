"""The bus of a server that is one process, and the part of every bus that is in this process."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
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

    def subscribe(
        self, topic: str, heard: Heard, *, left: Callable[[], None] | None = None
    ) -> Subscription:
        """As the port says. ``left`` is called when the subscription has ended."""
        self._subscribers.setdefault(topic, []).append(heard)
        return _Subscription(partial(self._leave, topic, heard, left))

    def has(self, topic: str) -> bool:
        """Whether the topic has a subscriber."""
        return topic in self._subscribers

    def topics(self) -> Sequence[str]:
        """The topics that have a subscriber."""
        return tuple(self._subscribers)

    def deliver(self, topic: str, payload: bytes) -> None:
        """Call the subscribers of this process, now."""
        for heard in tuple(self._subscribers.get(topic, ())):
            heard(payload)

    def _leave(self, topic: str, heard: Heard, left: Callable[[], None] | None) -> None:
        heards = self._subscribers.get(topic, [])
        if heard in heards:
            heards.remove(heard)
        if not heards:
            self._subscribers.pop(topic, None)
        if left is not None:
            left()


class _Subscription:
    def __init__(self, leave: partial[None]) -> None:
        self._leave: partial[None] | None = leave

    def end(self) -> None:
        leave, self._leave = self._leave, None
        if leave is not None:
            leave()
