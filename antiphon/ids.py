"""Ids and the clock, both injectable.

A response id is ``resp_`` + cell (2 hex) + milliseconds since 1970 (12 hex) + 80 random bits
(20 hex): it sorts by time, and any replica can tell where it was born. The ids of a response's
items carry the same key and a counter (``msg_<key>0003``), so an item can be found from its id
alone, without an index, and minting one costs no randomness. Clients treat all ids as opaque.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable

KEY_LENGTH = 34

_POOL_BYTES = 10 * 400


def now_ms() -> int:
    """Milliseconds since 1970 (the only wall clock in the process)."""
    return time.time_ns() // 1_000_000


class Ids:
    """Mints response-like ids. ``clock`` and ``random`` are replaced in tests.

    ``random(n)`` returns n random bytes; it is asked for many at a time, because one
    system call per id is what an id costs.
    """

    def __init__(
        self,
        *,
        cell: int = 0,
        clock: Callable[[], int] = now_ms,
        random: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self.clock = clock
        self._cell = f"{cell & 0xFF:02x}"
        self._random = random
        self._pool = ""
        self._at = 0

    def key(self) -> str:
        """34 hex digits: cell, time, 80 random bits."""
        at = self._at
        if at >= len(self._pool):
            self._pool = self._random(_POOL_BYTES).hex()
            at = 0
        self._at = at + 20
        return f"{self._cell}{self.clock():012x}{self._pool[at : at + 20]}"

    def mint(self, prefix: str) -> str:
        """A fresh id such as ``resp_00019…``; ``prefix`` comes without the underscore."""
        return f"{prefix}_{self.key()}"


class ItemIds:
    """Mints the ids of one response's items: ``<prefix>_<key of the response><counter>``."""

    def __init__(self, response_id: str) -> None:
        self._key = response_id.partition("_")[2]
        self._count = 0

    def mint(self, prefix: str) -> str:
        self._count += 1
        return f"{prefix}_{self._key}{self._count:04x}"


def response_of(item_id: str) -> str | None:
    """The id of the response an item id was minted under, or None if it is not one of ours."""
    key = item_id.partition("_")[2][:KEY_LENGTH]
    return f"resp_{key}" if len(key) == KEY_LENGTH else None
