"""Where a turn goes in the tree of responses. No I/O.

A chain is a run of turns numbered 0, 1, 2 …, named after its first response's number. The first
child of a chain's last turn continues the chain; any other child begins a chain of its own, which
writes down once, for ever, the way from the root to its parent (its ``lineage``). So a history of
any length and any number of forks is a short list of ranges.
"""

from __future__ import annotations

from msgspec import Struct


class Parent(Struct, frozen=True):
    """A turn somebody continues. ``lineage``: JSON ``[[chain, up to position], …]`` or None;
    ``continued``: its chain already has a next turn."""

    chain: int
    position: int
    lineage: str | None
    continued: bool


class Place(Struct, frozen=True):
    """Where a turn goes. ``forked_from`` is set when it begins a chain below another one."""

    chain: int
    position: int
    lineage: str | None = None
    forked_from: Parent | None = None


def segments(lineage: str | None, chain: int, position: int) -> str:
    """The way from the root to (chain, position), as JSON; itself included."""
    last = f"[{chain},{position}]]"
    return f"[{last}" if lineage is None else f"{lineage[:-1]},{last}"


def place(number: int, parent: Parent | None) -> Place:
    """The place of the turn with this number."""
    if parent is None:
        return Place(number, 0)
    if not parent.continued:
        return Place(parent.chain, parent.position + 1, parent.lineage)
    lineage = segments(parent.lineage, parent.chain, parent.position)
    return Place(number, 0, lineage, parent)


class Seats(Struct):
    """The places given out within one batch, which the database does not know yet."""

    places: dict[tuple[str, str], Place] = {}
    taken: set[tuple[int, int]] = set()

    def parent(self, project: str, response_id: str) -> Parent | None:
        """A parent that is itself in this batch."""
        seat = self.places.get((project, response_id))
        if seat is None:
            return None
        return Parent(seat.chain, seat.position, seat.lineage, False)

    def seat(self, number: int, project: str, response_id: str, parent: Parent | None) -> Place:
        """Place a turn of this batch, minding those placed before it."""
        if parent is not None and (parent.chain, parent.position + 1) in self.taken:
            parent = Parent(parent.chain, parent.position, parent.lineage, True)
        seat = place(number, parent)
        self.places[project, response_id] = seat
        self.taken.add((seat.chain, seat.position))
        return seat
