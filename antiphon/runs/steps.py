"""What a background response does outside that should not be done twice.

Before something outside is done, the store is told that it begins; after it, how it went. Whoever
takes the run over learns from that: what has ended is not done again, its result is used. What had
begun and whose end nobody knows is done again where that does no harm (``again``: reading,
searching, asking a model), and is an ``Interrupted`` where it might (``once``): the honest form of
exactly once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Literal, TypeVar

from antiphon.errors import RemoteError
from antiphon.store.log import Claim
from antiphon.store.runs import StoredRuns

Policy = Literal["again", "once"]
_T = TypeVar("_T")

RETRY_SECONDS = 0.5
"""When the store could not be reached."""


class Interrupted(Exception):
    """It was begun by a process that died, and nobody knows whether it was done."""


class Steps:
    """The steps of one claimed run."""

    _notes: set[asyncio.Task[None]] = set()

    def __init__(self, rows: StoredRuns, claim: Claim) -> None:
        self._rows = rows
        self._claim = claim

    def note(self, head: bytes) -> None:
        """Keep the response as it is between its steps, for what its log does not tell (usage).
        Nobody waits for that, and it is not tried again: it is good to have."""
        task = asyncio.create_task(self._note(head))
        self._notes.add(task)
        task.add_done_callback(self._notes.discard)

    async def _note(self, head: bytes) -> None:
        try:
            await self._rows.show([(self._claim, head)])
        except RemoteError:
            pass

    async def step(self, key: str, policy: Policy, call: Callable[[], Awaitable[bytes]]) -> bytes:
        """The result of ``call``, which is made once if everybody lives. ``key`` names it within
        the run, the same in every attempt. A store that cannot be reached is tried again. Raises
        ``Interrupted``, ``Fenced``, and what the call raises: then the step has not ended and is
        interrupted later."""
        known = await _kept_trying(lambda: self._rows.begin_step(self._claim, key))
        if known is not None:
            if known.done:
                return known.result or b""
            if policy == "once":
                raise Interrupted(key)
        result = await call()
        await _kept_trying(lambda: self._rows.end_step(self._claim, key, result))
        return result


async def _kept_trying(write: Callable[[], Awaitable[_T]]) -> _T:
    """What was written twice because an answer got lost is the same as written once."""
    while True:
        try:
            return await write()
        except RemoteError as error:
            if not error.retryable:
                raise
            await asyncio.sleep(RETRY_SECONDS)
