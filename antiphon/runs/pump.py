"""Pushes what a backend can only be waited for: one task per model call.

Backends whose connection calls us (``Backend.begin``) need none of this. For the others the
task does what their connection would: it hands every batch to the sink, stops reading while the
call is paused, and says why when there is no end.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence

from antiphon.backends.base import Sink
from antiphon.errors import ClientError, RemoteError
from antiphon.stream.deltas import Delta, Finish


class Pump:
    """A ``Call`` over an iterator of batches. ``task`` ends when the iterator is closed;
    ``crashed`` hears what no backend should raise."""

    def __init__(
        self,
        deltas: AsyncIterator[Sequence[Delta]],
        sink: Sink,
        *,
        crashed: Callable[[Exception], None],
    ) -> None:
        self._deltas = deltas
        self._sink = sink
        self._crashed = crashed
        self._closed = False
        self._open = asyncio.Event()
        self._open.set()
        self.task = asyncio.create_task(self._run())

    def pause(self) -> None:
        self._open.clear()

    def resume(self) -> None:
        self._open.set()

    def close(self) -> None:
        self._closed = True
        self.task.cancel()  # from inside ``take`` too: it is felt at the next wait

    async def _run(self) -> None:
        try:
            await self._carry()
        except (RemoteError, ClientError) as error:
            if not self._closed:
                self._sink.broke(_remote(error))
        except Exception as error:
            self._crashed(error)
        finally:
            if isinstance(self._deltas, AsyncGenerator):
                await self._deltas.aclose()

    async def _carry(self) -> None:
        async for batch in self._deltas:
            if self._closed:
                return
            self._sink.take(batch)
            if self._closed or (batch and isinstance(batch[-1], Finish)):
                return
            await self._open.wait()
        raise RemoteError(
            "The model backend ended its answer without saying so.",
            code="upstream_invalid_response",
        )


def _remote(error: RemoteError | ClientError) -> RemoteError:
    """A backend's own refusal of a turn, as the run sees failures."""
    if isinstance(error, RemoteError):
        return error
    return RemoteError(error.message, status=error.status, code=error.code or "invalid_value")
