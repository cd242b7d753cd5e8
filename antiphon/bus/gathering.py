"""What is sent to other processes, gathered for one tick.

The first message after a pause leaves at once; then at most one call of ``send`` per
``TICK_SECONDS`` takes all that came meanwhile, so that a busy process costs the bus a bounded
number of sends. What nobody takes in time is forgotten, oldest first: messages may get lost.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, Generic, TypeVar

from antiphon.observe import Broke, Observe, nobody

TICK_SECONDS = 0.015
WAITING_MAX = 10_000
CLOSING_SECONDS_MAX = 2.0

T = TypeVar("T")


class Gathering(Generic[T]):
    """``send`` is given what was ``put``, in order; it does not raise, and is never called twice
    at the same time. ``observe`` hears of it if it did."""

    def __init__(
        self, send: Callable[[Sequence[T]], Awaitable[None]], *, observe: Observe = nobody
    ) -> None:
        self._send = send
        self._observe = observe
        self._waiting: deque[T] = deque(maxlen=WAITING_MAX)
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._closing = False

    def put(self, one: T) -> None:
        self._waiting.append(one)
        self._wake.set()

    def open(self) -> None:
        """Begin to send; called inside the running loop."""
        self._task = watched(self._for_ever(), "bus", self._observe)

    async def close(self) -> None:
        """Send what is left, if that can be done within a moment. May be called twice."""
        task, self._task = self._task, None
        if task is None:
            return
        self._closing = True
        self._wake.set()
        _, late = await asyncio.wait([task], timeout=CLOSING_SECONDS_MAX)
        if late:
            task.cancel()
            await asyncio.wait([task])

    async def _for_ever(self) -> None:
        while True:
            await self._wake.wait()
            if self._waiting:
                await self._send(self._taken())
            if self._closing and not self._waiting:
                return
            await asyncio.sleep(TICK_SECONDS)

    def _taken(self) -> Sequence[T]:
        self._wake.clear()
        taken = list(self._waiting)
        self._waiting.clear()
        return taken


def watched(work: Coroutine[Any, Any, None], name: str, observe: Observe) -> asyncio.Task[None]:
    """A task nobody awaits; should it break, that is told."""

    def ended(task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        if error is not None:
            observe(Broke("bus", error))

    task = asyncio.create_task(work, name=name)
    task.add_done_callback(ended)
    return task
