"""Where a turn goes."""

from __future__ import annotations

import json

from antiphon.store.tree import Parent, Place, Seats, place, segments


def test_a_turn_without_a_parent_begins_a_chain_named_after_it() -> None:
    assert place(7, None) == Place(7, 0)


def test_the_first_child_of_the_last_turn_continues_its_chain() -> None:
    assert place(9, Parent(7, 4, "[[1,2]]", False)) == Place(7, 5, "[[1,2]]")


def test_any_other_child_forks_and_writes_down_the_whole_way() -> None:
    parent = Parent(7, 4, "[[1,2]]", True)
    assert place(9, parent) == Place(9, 0, "[[1,2],[7,4]]", parent)
    assert place(9, Parent(7, 0, None, True)).lineage == "[[7,0]]"


def test_segments_end_with_the_turn_itself() -> None:
    assert json.loads(segments(None, 7, 3)) == [[7, 3]]
    assert json.loads(segments("[[1,2],[4,0]]", 7, 3)) == [[1, 2], [4, 0], [7, 3]]


def test_within_a_batch_a_parent_is_found_and_only_one_child_continues_it() -> None:
    seats = Seats()
    seats.seat(1, "p", "root", None)
    assert seats.parent("other", "root") is None
    first = seats.seat(2, "p", "first", seats.parent("p", "root"))
    second = seats.seat(3, "p", "second", seats.parent("p", "root"))
    third = seats.seat(4, "p", "third", seats.parent("p", "second"))
    assert first == Place(1, 1)
    assert (second.chain, second.position, second.lineage) == (3, 0, "[[1,0]]")
    assert third == Place(3, 1, "[[1,0]]")
