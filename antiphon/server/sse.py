"""The SSE projection: events sent as frames (``frames.py``).

Events that happened together leave in one write, because readers that look at single network
reads lose an event cut in two; the end is in the write of the terminal event.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from typing import Any, cast

from antiphon.server import open_responses
from antiphon.server.exchange import Exchange
from antiphon.server.frames import CONTENT_TYPE, DONE, HEADERS, frames, obfuscated
from antiphon.types.events import TERMINAL_EVENTS, Event

REPLAY_GROUP = 256
"""Events of a replay that leave in one write."""


async def stream(
    exchange: Exchange, groups: AsyncIterator[Sequence[Event]], *, obfuscate: bool
) -> None:
    """Send every group in one write, as it comes; close the connection's answer after the last.

    ``obfuscate`` adds random text to every delta, against readers of packet lengths.
    """
    # Both sources are generators. Leaving one open would keep the model call alive, and so would
    # failing before its first step: hence the head of the answer goes out inside the loop.
    spelled = open_responses.frames if exchange.deps.open_responses else frames
    async with aclosing(cast(Any, groups)):
        async for group in groups:
            if not exchange.started:
                await exchange.begin(CONTENT_TYPE, HEADERS)
            if obfuscate:
                group = obfuscated(group, exchange.deps.random)
            if isinstance(group[-1], TERMINAL_EVENTS):
                await exchange.end(spelled(group) + DONE)
            else:
                await exchange.write(spelled(group))
        if not exchange.started:
            await exchange.begin(CONTENT_TYPE, HEADERS)
        if not exchange.complete:
            await exchange.end(DONE)


async def grouped(events: Sequence[Event]) -> AsyncIterator[Sequence[Event]]:
    """A replay's events in groups of a bounded size."""
    for at in range(0, len(events), REPLAY_GROUP):
        yield events[at : at + REPLAY_GROUP]
