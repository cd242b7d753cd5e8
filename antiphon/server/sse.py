"""The SSE projection: events as frames.

``event: <type>``, ``data: <one line of JSON>``, a blank line. Events that happened together
leave in one write, because readers that look at single network reads lose an event cut in two.
The end is ``data: [DONE]`` in the write of the terminal event (Open Responses asks for it, the
SDK accepts it). Never ``id:`` or ``retry:``: after one, the SDK's decoder turns a comment into
an event (api-surface §7.1).
"""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing
from typing import Any, cast, get_args

import msgspec

from antiphon.server.exchange import Exchange
from antiphon.types.events import TERMINAL_EVENTS, Delta, Event, name_of

CONTENT_TYPE = b"text/event-stream; charset=utf-8"
DONE = b"data: [DONE]\n\n"
REPLAY_GROUP = 256
"""Events of a replay that leave in one write."""
OBFUSCATION_MAX = 32

_HEADERS = [(b"cache-control", b"no-cache"), (b"x-accel-buffering", b"no")]
_SEPARATORS = [(mark.encode(), b"\\u%04x" % ord(mark)) for mark in "\u0085\u2028\u2029"]
_DELTAS: tuple[type[Event], ...] = get_args(Delta)
_encode = msgspec.json.Encoder().encode


class _Prefixes(dict[type[Event], bytes]):
    """The bytes before an event's JSON, made at the first event of its type."""

    def __missing__(self, event: type[Event]) -> bytes:
        prefix = self[event] = b"event: %s\ndata: " % name_of(event).encode()
        return prefix


_PREFIXES = _Prefixes()


def frames(group: Sequence[Event]) -> bytes:
    """The events as they go over the wire, joined."""
    parts: list[bytes] = []
    for event in group:
        parts += (_PREFIXES[type(event)], _encode(event), b"\n\n")
    joined = b"".join(parts)
    # Readers that split text into lines the Unicode way would cut an event here.
    if not joined.isascii():
        for separator, escape in _SEPARATORS:
            if separator[-1] in joined:  # looking for one byte is ten times as fast as for three
                joined = joined.replace(separator, escape)
    return joined


async def stream(
    exchange: Exchange, groups: AsyncIterator[Sequence[Event]], *, obfuscate: bool
) -> None:
    """Send every group in one write, as it comes; close the connection's answer after the last.

    ``obfuscate`` adds random text to every delta, against readers of packet lengths.
    """
    # Both sources are generators. Leaving one open would keep the model call alive, and so would
    # failing before its first step: hence the head of the answer goes out inside the loop.
    async with aclosing(cast(Any, groups)):
        async for group in groups:
            if not exchange.started:
                await exchange.begin(CONTENT_TYPE, _HEADERS)
            if obfuscate:
                group = obfuscated(group, exchange.deps.random)
            if isinstance(group[-1], TERMINAL_EVENTS):
                await exchange.end(frames(group) + DONE)
            else:
                await exchange.write(frames(group))
        if not exchange.started:
            await exchange.begin(CONTENT_TYPE, _HEADERS)
        if not exchange.complete:
            await exchange.end(DONE)


async def grouped(events: Sequence[Event]) -> AsyncIterator[Sequence[Event]]:
    """A replay's events in groups of a bounded size."""
    for at in range(0, len(events), REPLAY_GROUP):
        yield events[at : at + REPLAY_GROUP]


def obfuscated(group: Sequence[Event], random: Callable[[int], bytes]) -> list[Event]:
    """The same events, the deltas among them with 1 to 32 random characters in ``obfuscation``."""
    return [
        msgspec.structs.replace(event, obfuscation=_padding(random))
        if isinstance(event, _DELTAS)
        else event
        for event in group
    ]


def _padding(random: Callable[[int], bytes]) -> str:
    drawn = random(25)
    return base64.urlsafe_b64encode(drawn[:24])[: 1 + drawn[24] % OBFUSCATION_MAX].decode()
