"""A reader that can be waited for: for callers who have a task, such as ASGI applications.

Groups wait here until they are taken. When too many do, the model is paused, so what is kept
for a slow caller is bounded.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Sequence
from typing import Protocol

from antiphon.errors import RemoteError
from antiphon.types.events import Event
from antiphon.types.response import Response

UNTAKEN_GROUPS_MAX = 4


class Heard(Protocol):
    """What a listener needs of the response it listens to (``driver.Live``)."""

    @property
    def response(self) -> Response: ...
    @property
    def downgrades(self) -> Sequence[str]: ...
    @property
    def unstored(self) -> str | None: ...
    def pause(self) -> None: ...
    def resume(self) -> None: ...
    def cancel(self) -> None: ...


class Listener:
    """Iterate ``groups`` once, or call ``finish`` once. Cancelling either cancels the response."""

    def __init__(self) -> None:
        self._live: Heard
        self._groups: deque[Sequence[Event]] = deque()
        self._refusal: Exception | None = None
        self._over = False
        self._paused = False
        self._whole = False
        self._waiter: asyncio.Future[None] | None = None

    def hear(self, live: Heard) -> None:
        """Listen to this response, which was started with this reader."""
        self._live = live

    @property
    def response(self) -> Response:
        return self._live.response

    @property
    def downgrades(self) -> Sequence[str]:
        return self._live.downgrades

    async def begun(self) -> None:
        """Returns when the response has begun; raises what refused it."""
        while not (self._groups or self._over):
            await self._wait()
        if self._refusal is not None:
            raise self._refusal

    async def groups(self) -> AsyncIterator[Sequence[Event]]:
        """The events, in the groups in which they should be written. Never raises
        ``RemoteError``: a failure is an event."""
        try:
            while True:
                while self._groups:
                    group = self._groups.popleft()
                    if self._paused and len(self._groups) < UNTAKEN_GROUPS_MAX:
                        self._paused = False
                        self._live.resume()
                    yield group
                if self._over:
                    return
                await self._wait()
        finally:
            if not self._over:
                self._live.cancel()

    async def finish(self) -> Response:
        """Wait for the end; the response as a whole, whatever its status. Raises
        ``RemoteError`` only if it had to be stored and could not be."""
        self._whole = True
        self._groups.clear()
        if self._paused:
            self._live.resume()
        while not self._over:
            await self._wait()
        if self._live.unstored is not None:
            raise RemoteError(self._live.unstored, status=500)
        return self._live.response

    async def _wait(self) -> None:
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        except asyncio.CancelledError:
            self._live.cancel()
            raise
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    # -- what the response calls ------------------------------------------------------------

    def refuse(self, error: Exception) -> None:
        self._refusal = error
        self._over = True
        self._wake()

    def write(self, events: Sequence[Event]) -> None:
        if not self._whole:
            self._groups.append(events)
            if len(self._groups) >= UNTAKEN_GROUPS_MAX and not self._paused:
                self._paused = True
                self._live.pause()
        self._wake()

    def end(self, events: Sequence[Event]) -> None:
        if events:
            self._groups.append(events)
        self._over = True
        self._wake()
