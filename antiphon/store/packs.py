"""Packs: the items of 32 turns of a chain as one JSON array. No I/O.

Loading a context costs per row, so a chain writes down again, with every 32nd turn, what its last
32 turns hold. That doubles what is stored of the items, evenly along the chain, and makes the
context of turn 1000 some 30 reads instead of 1000. ``tree.py`` tells what a chain is.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from antiphon.store.content import SHUT

PACK_TURNS = 32

PACK_BYTES_MAX = 1 << 19
"""Larger turns are not packed: reading them is copying, and a pack would only copy once more."""

_FRAMED = b"\x01"


def block_of(position: int) -> int:
    """Which block of its chain a turn belongs to."""
    return position // PACK_TURNS


def completes_block(position: int) -> bool:
    """Whether the turn at this position is the last of its block."""
    return position % PACK_TURNS == PACK_TURNS - 1


def joined_arrays(arrays: Iterable[bytes | None]) -> bytes:
    """One JSON array of what the arrays hold, in order. None is an array that was erased. Arrays
    that are encrypted (``content.py``) stand behind one another, each with its length."""
    kept = [array for array in arrays if array is not None]
    if any(array[:1] == SHUT for array in kept):
        return _FRAMED + b"".join([len(one).to_bytes(4, "big") + one for one in kept])
    parts = [array.strip()[1:-1].strip() for array in kept]
    return b"[%b]" % b",".join([part for part in parts if part])


def pieces(items: bytes) -> Sequence[bytes]:
    """The arrays of a pack of encrypted ones; anything else is one piece."""
    if items[:1] != _FRAMED:
        return (items,)
    found, at = [], 1
    while at < len(items):
        length = int.from_bytes(items[at : at + 4], "big")
        found.append(items[at + 4 : at + 4 + length])
        at += 4 + length
    return found
