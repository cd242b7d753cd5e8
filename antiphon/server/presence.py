"""Whether the caller of a request over ASGI is still there (a hot connection hears it itself).

Nobody works for a caller who left: while an answer is made, one watcher listens for the
disconnect and cancels the task that makes it, so that the model call is closed at once. The
answer is made in the request's own task; the watcher is the only other one, it starts late
(most answers are complete before anyone leaves) and it also keeps a silent stream open.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from types import TracebackType

from starlette.types import Receive

WATCH_AFTER_SECONDS = 0.05
"""A caller who leaves sooner than this is noticed after it."""


STALLED_AFTER_SECONDS = 60.0
"""A caller who takes nothing for this long while something is to be sent counts as gone: an
answer that cannot be written keeps a model busy."""


class CallerLeft(Exception):
    """The caller closed the connection before the answer was complete."""


class Presence:
    """Watches over one answer: ``with Presence(…) as presence: <make the answer>``.

    Leaving the block after the caller left raises ``CallerLeft`` instead of the cancellation.
    ``ping`` is called after ``silence_seconds`` without ``heard()``; 0 means never.
    """

    def __init__(
        self, receive: Receive, *, ping: Callable[[], Awaitable[None]], silence_seconds: float
    ) -> None:
        self._receive = receive
        self._ping = ping
        self._silence_seconds = silence_seconds
        self._loop = asyncio.get_running_loop()
        self._answering = asyncio.current_task()
        self._watcher: asyncio.Task[None] | None = None
        self._heard_at = self._loop.time()
        self._left = False

    def __enter__(self) -> Presence:
        self._later = self._loop.call_later(WATCH_AFTER_SECONDS, self._start)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
        if self._left and self._answering is not None:
            self._answering.uncancel()
            if kind is None or issubclass(kind, asyncio.CancelledError):
                raise CallerLeft from None

    def heard(self) -> None:
        """Something was sent: the silence begins anew."""
        self._heard_at = self._loop.time()

    def stop(self) -> None:
        """The end of the answer is about to be sent; what the caller does then is its own."""
        self._later.cancel()
        if self._watcher is not None:
            self._watcher.cancel()

    def _start(self) -> None:
        self._watcher = self._loop.create_task(self._watch())

    async def _watch(self) -> None:
        while True:
            try:
                async with asyncio.timeout_at(self._silent_until()):
                    message = await self._receive()
            except TimeoutError:
                await self._break_silence()
                continue
            if message["type"] == "http.disconnect":
                break
        self._leave()

    def _silent_until(self) -> float | None:
        return self._heard_at + self._silence_seconds if self._silence_seconds else None

    async def _break_silence(self) -> None:
        if self._loop.time() < self._heard_at + self._silence_seconds:
            return
        self.heard()
        try:
            async with asyncio.timeout(STALLED_AFTER_SECONDS):
                await self._ping()
        except (OSError, CallerLeft):  # a TimeoutError is an OSError
            self._leave()

    def _leave(self) -> None:
        if not self._left and self._answering is not None:
            self._left = True
            self._answering.cancel()
