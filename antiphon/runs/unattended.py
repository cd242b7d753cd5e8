"""A background response being made: a ``Live`` whose caller need not be there.

What differs from any other: it begins where its log ends; nobody can be refused any more, so a
failure before the first word is ``response.failed``; every event goes into the log first; and its
end is one transaction with the end of its run, which is refused if the run is not ours any more.
A store that cannot be reached is tried again for as long as it takes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from math import inf
from typing import TYPE_CHECKING

import msgspec

from antiphon.errors import ContextOverflow, RemoteError
from antiphon.observe import Broke
from antiphon.runs.context import Context
from antiphon.runs.journal import RETRY_SECONDS, Record
from antiphon.runs.live import Live
from antiphon.runs.rounds import Asked
from antiphon.store.base import StoredResponse
from antiphon.store.runs import StoredRuns
from antiphon.store.work import Fenced
from antiphon.types.codec import encode
from antiphon.types.events import Event
from antiphon.types.response import ResponseError

if TYPE_CHECKING:
    from antiphon.runs.driver import Runs

_REFUSALS_MAX = 5
"""So often is a response the store does not take offered as it is, then as a failed one."""


class Unattended(Live):
    """``lost`` is called once if the response is dropped: it is somebody else's now."""

    __slots__ = ("_lost", "_record", "_refused", "_rows", "_told")

    def __init__(
        self,
        runs: Runs,
        context: Context,
        record: Record,
        *,
        rows: StoredRuns,
        lost: Callable[[], None],
    ) -> None:
        super().__init__(runs, context, record)
        self._record = record
        self._rows = rows
        self._lost = lost
        self._refused = 0
        self._told = False
        self.begun = True
        record.live = self

    @property
    def over(self) -> bool:
        """Whether nothing is left to do but to store it."""
        return self._run.over

    def go_on(self, log: Sequence[Event], *, failure: RemoteError | None, cancelled: bool) -> None:
        """Make the rest of it: all of it if ``log`` is empty. ``failure``: it cannot be made;
        ``cancelled``: it is not wanted any more."""
        events = self._run.resume(log)
        if events:
            self._record.write(events)
        if self._run.over:
            self._end([])
        elif cancelled:
            self.cancel()
        elif failure is not None:
            self._fail(failure)
        else:
            self._runs.adopt(self)
            self._perform()

    def fail_unread(self, number: int, failure: RemoteError) -> None:
        """Nobody can go on with its log, which has so many events: it fails without them."""
        self._run.skip(number)
        self._fail(failure)

    def never_begin(self) -> None:
        """It was cancelled while it was queued: it ends without an event."""
        self._end(self._run.cancel())

    def cancel(self) -> None:
        """It is not wanted any more. What was written of it is kept."""
        if not self._run.over:
            self._stop()
            self._end(self._run.cancel())

    def abandon(self) -> None:
        """Stop without a trace: nothing more of it is to be written here."""
        if self._reader is None:
            return
        self._stop()
        self._reader = None
        self._record.drop()
        self._runs.forget(self)
        if self._context.held is not None:
            self._context.held.let_go()  # it is locked for the response, whoever makes it
        self._lost()

    def pause_for_good(self) -> None:
        """The process ends: read nothing more; what was read is still logged."""
        if not self._run.over:
            self._stop()
            self._record.when_logged(_nothing)  # instead of calls that waited for that
            self.deadline = inf

    def _call_tools(self, calls: Sequence[Asked]) -> None:
        # Who takes over must find the calls in the log, else the model is asked again and they are
        # made a second time.
        self._record.when_logged(partial(self._call_logged, calls))

    def _call_logged(self, calls: Sequence[Asked]) -> None:
        if self._context.steps is not None:
            so_far = msgspec.structs.replace(self.response, output=[], usage=self._run.usage)
            self._context.steps.note(encode(so_far))
        super()._call_tools(calls)

    def broke(self, error: Exception) -> None:
        if isinstance(error, Fenced):
            return self.abandon()
        untouched = self._first_delta_ms is None and not self._run.over
        if untouched and isinstance(error, ContextOverflow) and self._shorten():
            return
        super().broke(error)

    # -- the end ----------------------------------------------------------------------------

    def _store(self) -> None:
        events, self._last = self._last, []
        if events:
            self._record.write(events)
        self._record.when_logged(self._finish)

    def _finish(self) -> None:
        if self._reader is None:
            return
        row = self._row()
        finishing = self._rows.finishing(
            self._record.claim, row.status, self._record.next, expires_at=row.expires_at
        )
        try:
            works = [begin for ending in self._context.also for begin in ending(row)]
        except RemoteError as error:  # the key of what is to be written was dropped
            return self._try_again(error)
        self._runs.store.put(row, partial(self._stored, row), [finishing, *works])

    def _stored(self, row: StoredResponse, error: Exception | None) -> None:
        if error is None:
            super()._stored(row, None)
        elif isinstance(error, Fenced):
            self.abandon()
        else:
            self._try_again(error)

    def _try_again(self, error: Exception) -> None:
        """A store that is busy or gone comes back; what it refuses is tried again as a failure."""
        if not self._told:  # and not for each attempt
            self._told = True
            self._runs.observe(Broke("store", error, self.response.id))
        if not (isinstance(error, RemoteError) and error.retryable):
            self._refused += 1
        if self._refused == _REFUSALS_MAX:
            self._fail_instead()
        elif self._refused > 2 * _REFUSALS_MAX:
            return self.abandon()
        seconds = RETRY_SECONDS * (1 + self._refused)
        asyncio.get_running_loop().call_later(seconds, self._finish)

    def _fail_instead(self) -> None:
        """It cannot be stored as it is: perhaps what it says is the reason."""
        response = self.response
        response.status, response.completed_at = "failed", None
        response.incomplete_details = None
        message = "The response was made but could not be stored."
        response.error = ResponseError("server_error", message)


def _nothing() -> None:
    pass
