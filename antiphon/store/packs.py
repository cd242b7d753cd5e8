"""Packs: the items of 32 turns of a chain as one JSON array. No I/O.

Loading a context costs per row, so a chain writes down again, with every 32nd turn, what its last
32 turns hold. That doubles what is stored of the items, evenly along the chain, and makes the
context of turn 1000 some 30 reads instead of 1000. ``tree.py`` tells what a chain is.
"""

from __future__ import annotations

from collections.abc import Iterable

PACK_TURNS = 32

PACK_BYTES_MAX = 1 << 19
"""Larger turns are not packed: reading them is copying, and a pack would only copy once more."""


def block_of(position: int) -> int:
    """Which block of its chain a turn belongs to."""
    return position // PACK_TURNS


def completes_block(position: int) -> bool:
    """Whether the turn at this position is the last of its block."""
    return position % PACK_TURNS == PACK_TURNS - 1


def joined_arrays(arrays: Iterable[bytes | None]) -> bytes:
    """One JSON array of what the arrays hold, in order. None is an array that was erased."""
    parts = [array.strip()[1:-1].strip() for array in arrays if array is not None]
    return b"[%b]" % b",".join([part for part in parts if part])
