"""The queue of writes: what is queued together is committed and flushed together.

A round is: everything queued when the loop comes round becomes one transaction, in the loop; a
helper thread flushes it; one callback settles all of it, in order. What is queued meanwhile is
the next round. So the order is commit → flush → settle, and no transaction runs while a flush or
a checkpoint does. There is no task and no future, neither per write nor per round.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from time import perf_counter
from typing import Any

from antiphon.errors import RemoteError
from antiphon.observe import Broke, Observe, StoreCommitted
from antiphon.store.base import StoredResponse
from antiphon.store.sqlite_file import DatabaseFile, failed

BATCH_ROWS_MAX = 128
BATCH_BYTES_MAX = 1 << 20
"""One transaction's size: what bounds the time the loop stands still (a larger row goes alone)."""

Change = Callable[[], Any]
"""Something to do inside a transaction. What it returns is handed on once durable, unless it goes
with a row; exceptions a work may raise are its outcome."""

Write = tuple[StoredResponse | None, Change | None, Callable[[Any], None]]
"""A row, a change or both, and who is told: the change's result (None with a row), or an
exception."""

Transact = Callable[[Sequence[Write]], Sequence[Any]]
"""Commits the writes; the outcome of each, an exception for one that is impossible in itself.
Raises ``RemoteError`` if nothing was committed."""


class Commits:
    """The rounds of one open database. ``transact`` commits a batch; ``doubt`` is told that a
    flush failed, and says why nothing may be written any more."""

    def __init__(
        self, file: DatabaseFile, transact: Transact, doubt: Callable[[], str], observe: Observe
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._file = file
        self._transact = transact
        self._doubt = doubt
        self._observe = observe
        self._queue: list[Write] = []
        self._queued_bytes = 0
        self._busy = False  # a round is under way or about to begin
        self._idle_waiters: list[asyncio.Future[None]] = []
        self._batch: Sequence[Write] = ()
        self._outcomes: Sequence[Any] = ()
        self._started = 0.0

    def put(
        self,
        row: StoredResponse | None,
        change: Change | None,
        settled: Callable[[Any], None],
    ) -> None:
        """Queue a row, a change, or a row and what is changed with it."""
        if row is not None:
            self._queued_bytes += len(row.head) + len(row.input) + len(row.output)
        self._queue.append((row, change, settled))
        if not self._busy:
            self._busy = True
            self._loop.call_soon(self._commit)

    async def idle(self) -> None:
        """Return when nothing is queued and nobody is left to be told."""
        while self._busy:
            waiter = self._loop.create_future()
            self._idle_waiters.append(waiter)
            await waiter

    # --- one round ---

    def _commit(self) -> None:
        batch = self._take()
        self._started = perf_counter()
        outcomes: Sequence[Any] | None = None
        error = failed("the store failed while it was writing: see the log")
        try:
            outcomes = self._transact(batch)
        except RemoteError as refused:
            error = refused
        finally:  # also after a bug in a change: nobody may wait for ever
            if outcomes is None:
                self._round_ended(batch, _failures(error, len(batch)))
        if outcomes is not None:
            self._batch, self._outcomes = batch, outcomes
            self._file.flush(self._flushed)

    def _take(self) -> Sequence[Write]:
        """The next batch: nearly always all there is."""
        queue = self._queue
        if len(queue) <= BATCH_ROWS_MAX and self._queued_bytes <= BATCH_BYTES_MAX:
            self._queue, self._queued_bytes = [], 0
            return queue
        count = size = 0
        for row, _, _ in queue[:BATCH_ROWS_MAX]:
            row_size = 0 if row is None else len(row.head) + len(row.input) + len(row.output)
            if count and size + row_size > BATCH_BYTES_MAX:
                break
            size += row_size
            count += 1
        batch, self._queue = queue[:count], queue[count:]
        self._queued_bytes -= size
        return batch

    def _flushed(self, error: Exception | None) -> None:
        batch, outcomes = self._batch, self._outcomes
        self._batch = self._outcomes = ()
        if error is None:
            self._round_ended(batch, outcomes)
            return
        message = self._doubt() if isinstance(error, OSError) else str(error)
        self._round_ended(batch, _failures(failed(message), len(batch)))

    def _round_ended(self, batch: Sequence[Write], outcomes: Sequence[Any]) -> None:
        """Begin what comes next, then tell everybody: a caller or an observer that raises keeps
        neither the next round nor the other callers waiting."""
        if self._file.checkpoint_due:
            self._file.checkpoint(self._checkpointed)
        else:
            self._next()
        rows = 0
        for (row, _, _), outcome in zip(batch, outcomes, strict=True):
            rows += row is not None and outcome is None
        try:
            if rows:
                self._observe(StoreCommitted(rows, perf_counter() - self._started))
        finally:
            self._settle(zip(batch, outcomes, strict=True))

    def _settle(self, left: Iterator[tuple[Write, Any]]) -> None:
        raised = True
        try:
            for (_, _, settled), outcome in left:
                settled(outcome)
            raised = False
        finally:  # what a caller raises is the loop's exception handler's business
            if raised:
                self._loop.call_soon(self._settle, left)

    def _checkpointed(self, error: RemoteError | None) -> None:
        self._next()
        if error is not None:
            self._observe(Broke(where="store", error=error))

    def _next(self) -> None:
        if self._queue:
            self._loop.call_soon(self._commit)
            return
        self._busy = False
        waiters, self._idle_waiters = self._idle_waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)


def _failures(error: RemoteError, count: int) -> Sequence[RemoteError]:
    """An exception of its own for each: they collect traces."""
    return [failed(error.message, retryable=error.retryable) for _ in range(count)]
