"""What is done with the turns of the tree, for every database: works, and no I/O.

Reading them, putting a batch of them into their places, packing blocks, and forgetting: a
response becomes a tombstone, its items are emptied and its row erased when nobody descends from
it any more. What is special about one database's way of inserting stands in its own file.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct

from antiphon.store import packs, sql
from antiphon.store.base import Past, StoredResponse
from antiphon.store.packs import PACK_BYTES_MAX, block_of, completes_block, joined_arrays
from antiphon.store.tree import Parent, Seats, segments
from antiphon.store.work import Value, Work

GRACE_MS = 3_600_000
"""How long a tombstone's row stays at least: a child made from it before may still be running."""

Key = tuple[str, str]
"""Project and id."""


# --- reading --------------------------------------------------------------------------------


def load(project: str, response_id: str, now: int) -> Work[StoredResponse | None]:
    """As ``Responses.load``."""
    found = yield sql.LOAD_RESPONSE, (project, response_id, now)
    if not found:
        return None
    (id, project, parent, created_at, expires_at, status, head, input, output, cuts) = found[0]
    return StoredResponse(
        id=id,
        project=project,
        parent=parent,
        created_at=created_at,
        expires_at=expires_at,
        status=status,
        head=head,
        input=input,
        output=output,
        cuts=cuts,
    )


def load_object(project: str, response_id: str, now: int) -> Work[tuple[bytes, bytes] | None]:
    """As ``Responses.load_object``."""
    found = yield sql.LOAD_OBJECT, (project, response_id, now)
    if not found:
        return None
    head, output = found[0]
    return head, output


def alive(project: str, response_id: str, now: int) -> Work[bool]:
    """Whether the response is there: stored, not deleted, not expired."""
    found = yield sql.IS_ALIVE, (project, response_id, now)
    return bool(found)


def history(project: str, response_id: str, now: int) -> Work[Sequence[Past] | None]:
    """As ``Responses.history``: one query for a first turn, two for any other."""
    found = yield sql.FIND_TURN, (project, response_id, now)
    if not found:
        return None
    number, chain, position, lineage, input, output = found[0]
    if number == chain and lineage is None:
        return [Past(response_id, False, input, output)]
    rows = yield sql.LOAD_PAST, (segments(lineage, chain, position), now)
    return [
        Past(row[2], bool(row[5]), row[3] or b"[]", row[4] or b"[]")
        for row in sorted(rows, key=_by_place)
    ]


def context(project: str, response_id: str, now: int) -> Work[Sequence[bytes] | None]:
    """As ``Responses.context``: one query for a first turn, two for any other."""
    found = yield sql.FIND_TURN, (project, response_id, now)
    if not found:
        return None
    number, chain, position, lineage, input, output = found[0]
    if number == chain and lineage is None:
        return [input, output]
    rows = yield sql.LOAD_CONTEXT, (segments(lineage, chain, position), packs.PACK_TURNS)
    in_order = sorted(rows, key=_by_place)
    return [items for row in in_order for items in (row[2], row[3]) if items is not None]


def _by_place(row: Sequence[int]) -> tuple[int, int]:
    return row[0], row[1]


# --- writing --------------------------------------------------------------------------------


class Placed(Struct):
    """What a batch of turns becomes: the parameters of SAVE_FORK and SAVE_RESPONSE, in order, and
    the blocks (chain, block) it completes."""

    forks: Sequence[tuple[Value, ...]]
    turns: Sequence[tuple[Value, ...]]
    full: Sequence[tuple[int, int]]


def values(number: int, row: StoredResponse, chain: int, position: int) -> tuple[Value, ...]:
    """The parameters of SAVE_RESPONSE."""
    return (
        number,
        row.project,
        row.id,
        chain,
        position,
        row.parent,
        row.created_at,
        row.expires_at,
        row.status,
        row.head,
        row.input,
        row.output,
        row.cuts,
    )


def parents_to_find(rows: Iterable[StoredResponse]) -> list[Key]:
    """The parents that are not in the batch before their child, each once."""
    seen: set[Key] = set()
    wanted: dict[Key, None] = {}
    for row in rows:
        if row.parent is not None and (row.project, row.parent) not in seen:
            wanted[row.project, row.parent] = None
        seen.add((row.project, row.id))
    return list(wanted)


def placed(first: int, rows: Iterable[StoredResponse], parents: Mapping[Key, Parent]) -> Placed:
    """The places of turns that are numbered from ``first`` on. ``parents`` are those that were
    found; a child of another one begins a history."""
    seats = Seats()
    forks: list[tuple[Value, ...]] = []
    turns: list[tuple[Value, ...]] = []
    full: list[tuple[int, int]] = []
    for number, row in enumerate(rows, first):
        parent = None
        if row.parent is not None:
            parent = seats.parent(row.project, row.parent)
            parent = parent or parents.get((row.project, row.parent))
        place = seats.seat(number, row.project, row.id, parent)
        above = place.forked_from
        if above is not None:
            forks.append((number, row.project, above.chain, above.position, place.lineage))
        turns.append(values(number, row, place.chain, place.position))
        if completes_block(place.position):
            full.append((place.chain, block_of(place.position)))
    return Placed(forks, turns, full)


def pack(chain: int, block: int) -> Work[None]:
    """Join what the turns of a block hold, now that all of them are there."""
    turns = (chain, block * packs.PACK_TURNS, (block + 1) * packs.PACK_TURNS - 1)
    sizes = yield sql.SIZE_OF_BLOCK, turns
    if sizes[0][0] <= PACK_BYTES_MAX:
        rows = yield sql.LOAD_BLOCK, turns
        items = joined_arrays(array for row in rows for array in (row[1], row[2]))
        yield sql.SAVE_PACK, (chain, block, items)


# --- forgetting -----------------------------------------------------------------------------


def delete(project: str, response_id: str, now: int) -> Work[bool]:
    """As ``Responses.delete``."""
    found = yield sql.LOCK_LIVING, (project, response_id, now)
    if not found:
        return False
    number, chain, position = found[0]
    use = yield from _use(chain, position)
    if use == 2:
        yield sql.HOLD_TURN, (number, None)
    else:
        yield from _blank(number, chain, position, now)
    return True


def sweep(now: int, limit: int, bytes_max: int) -> Work[tuple[int, int]]:
    """Look at due rows, so many and about so many bytes: how many were seen, and how many of
    them expired just now. None where another replica sweeps."""
    alone = yield sql.TRY_ALONE, ()
    if not alone[0][0]:
        return 0, 0
    seen = expired = size = 0
    due = yield sql.FIND_DUE, (now, limit)
    for number, chain, position, gone, row_size in due:
        size += row_size  # erasing writes as much as storing did
        if seen and size > bytes_max:
            break
        seen += 1
        if gone == sql.LIVING:
            expired += 1
            yield sql.HOLD_TURN, (number, now + GRACE_MS)
        else:
            yield from _forget(number, chain, position, gone, now)
    return seen, expired


def _forget(number: int, chain: int, position: int, gone: int, now: int) -> Work[None]:
    """Take a tombstone one step further: held → blank → erased, or park it for its children."""
    use = yield from _use(chain, position)
    if use == 2 or (use == 1 and gone == sql.BLANK):
        yield sql.PARK_TURN, (number,)
    elif gone == sql.HELD:
        yield from _blank(number, chain, position, now)
    else:
        yield from _wake_parent(chain, position, now)
        yield sql.ERASE_TURN, (number,)
        if position == 0:
            yield sql.ERASE_FORK, (chain,)


def _blank(number: int, chain: int, position: int, now: int) -> Work[None]:
    yield sql.BLANK_TURN, (number, now + GRACE_MS)
    yield sql.ERASE_PACK, (chain, block_of(position))
    yield from _wake_parent(chain, position, now)


def _use(chain: int, position: int) -> Work[int]:
    rows = yield sql.USE_OF_TURN, (chain, position)
    use: int = rows[0][0]
    return use


def _wake_parent(chain: int, position: int, now: int) -> Work[None]:
    if position == 0:
        above = yield sql.FIND_FORK, (chain,)
        if not above:
            return
        chain, position = above[0]
    else:
        position -= 1
    if position == 0:
        yield sql.LOCK_FIRST, (chain,)
        yield sql.WAKE_FIRST, (chain, now)
    else:
        yield sql.LOCK_LATER, (chain, position)
        yield sql.WAKE_LATER, (chain, position, now)
