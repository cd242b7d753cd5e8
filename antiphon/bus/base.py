"""The bus port: short messages between the replicas of one server, which may get lost.

Nothing rests on a message having arrived: whoever waits for one also looks into the store now
and then (``LOOK_SECONDS``). So a bus makes things quick, never right or wrong.

Topics are words with dots: ``run.<response id>`` (its log went on), ``cancel.<response id>``,
``queue`` (there is work), ``forget`` (a response was deleted). A subscription to ``forget`` hears
exactly that topic; there are no wildcards. Payloads are at most ``PAYLOAD_BYTES_MAX``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

PAYLOAD_BYTES_MAX = 4_000
LOOK_SECONDS = 1.0
"""How long at most somebody trusts that a message would have come."""

Heard = Callable[[bytes], None]
"""Called in the loop with the payload; neither waits nor raises."""


class Subscription(Protocol):
    def end(self) -> None:
        """Hear nothing more. May be called twice."""


class Bus(Protocol):
    """Carries messages to every subscriber of a topic, in this process and in the others. Messages
    of one publisher on one topic arrive in their order, if they arrive."""

    async def open(self) -> None:
        """Called once inside the running loop. Raises ``RemoteError`` if nobody can be reached."""

    async def close(self) -> None: ...

    def publish(self, topic: str, payload: bytes = b"") -> None:
        """Tell everybody, this process included; never waits, never raises, and never calls a
        subscriber before it has returned."""

    def subscribe(self, topic: str, heard: Heard) -> Subscription:
        """Hear what is published from now on (in other processes: from a moment later on)."""
