"""Ids and the clock, both injectable.

A response id is ``resp_`` + cell (2 hex) + milliseconds since 1970 (12 hex) + 80 random bits
(20 hex): it sorts by time, and any replica can tell where it was born. The ids of a response's
items carry the same key and a counter (``msg_<key>0003``), so an item can be found from its id
alone, without an index, and minting one costs no randomness. Clients treat all ids as opaque.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterable

KEY_LENGTH = 34

_RANDOM_BYTES = 10
_POOLED = 400
_COUNTER = re.compile(r"[0-9a-f]{4,12}")


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
        self._tails: list[str] = []
        self._ms = -1
        self._head = ""

    def mint(self, prefix: str) -> str:
        """A fresh id such as ``resp_00019…``; ``prefix`` comes without the underscore."""
        ms = self.clock()
        if ms != self._ms:
            self._ms, self._head = ms, f"{self._cell}{ms:012x}"
        if not self._tails:
            self._refill()
        return f"{prefix}_{self._head}{self._tails.pop()}"

    def _refill(self) -> None:
        pool = self._random(_RANDOM_BYTES * _POOLED).hex()
        size = 2 * _RANDOM_BYTES
        # Turned round, because they are taken from the end.
        self._tails = [pool[at : at + size] for at in range(0, len(pool), size)][::-1]


class ItemIds:
    """Mints the ids of one response's items: ``<prefix>_<key of the response><counter>``."""

    __slots__ = ("_count", "_key")

    def __init__(self, response_id: str, count: int = 0) -> None:
        """``count``: how many were minted before (``counted``)."""
        self._key = response_id[response_id.find("_") :]
        self._count = count

    def mint(self, prefix: str) -> str:
        self._count = count = self._count + 1
        return f"{prefix}{self._key}{count:04x}"


def counted(response_id: str, ids: Iterable[str]) -> int:
    """The highest counter among ids that were minted under this response; 0 if there is none."""
    key = response_id[response_id.find("_") :]
    tails = (id.partition(key)[2] for id in ids)
    return max((int(tail, 16) for tail in tails if _COUNTER.fullmatch(tail)), default=0)


def response_of(item_id: str) -> str | None:
    """The id of the response an item id was minted under, or None if it is not one of ours."""
    key = item_id.partition("_")[2][:KEY_LENGTH]
    return f"resp_{key}" if len(key) == KEY_LENGTH else None
