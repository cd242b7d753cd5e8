"""The slow lane of a pushed turn: one task waits for a stream's batches and pushes them on.

A turn that was begun by push goes on like this when its first answer is unusual (a refusal that
teaches a lesson, a packed body) or has to be asked for again.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

from antiphon.backends.base import Sink
from antiphon.errors import RemoteError
from antiphon.stream.deltas import Delta, Finish


class Pump:
    """A ``Call`` over what ``Backend.stream`` gives. ``paused``: begins only when resumed."""

    def __init__(
        self, deltas: AsyncIterator[Sequence[Delta]], sink: Sink, *, paused: bool = False
    ) -> None:
        self._deltas = deltas
        self._sink = sink
        self._closed = False
        self._flowing = asyncio.Event()
        if not paused:
            self._flowing.set()
        self._task = asyncio.create_task(self._run())

    def pause(self) -> None:
        self._flowing.clear()

    def resume(self) -> None:
        self._flowing.set()

    def close(self) -> None:
        self._closed = True
        self._task.cancel()

    async def _run(self) -> None:
        try:
            await self._flowing.wait()
            async for batch in self._deltas:
                if self._closed:
                    return
                self._sink.take(batch)
                if batch and isinstance(batch[-1], Finish):
                    return
                await self._flowing.wait()
            raise RemoteError("The answer has no end.", code="upstream_broke_off")
        except RemoteError as error:
            self._break(error)
        except Exception:  # a bug of ours: nobody may wait for ever because of it
            self._break(RemoteError("The server failed to read the upstream's answer."))
            raise
        finally:
            close = getattr(self._deltas, "aclose", None)
            if close is not None:
                await close()

    def _break(self, error: RemoteError) -> None:
        if not self._closed:
            self._sink.broke(error)
