"""The bytes of a body are those of its JSON, whatever is remembered of the turns before."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from antiphon.backends.base import Known, Turn
from antiphon.backends.chat_body import chat_body, encoded_body
from antiphon.backends.profiles import PROFILES, Profile
from antiphon.types.items import Item
from tests.backends.conversations import histories, turns

MERGING_THOUGHTS = msgspec.structs.replace(PROFILES["llamacpp"], developer_role=True)
KINDS = [*PROFILES.values(), MERGING_THOUGHTS]


def whole(turn: Turn, profile: Profile) -> bytes:
    return msgspec.json.encode(chat_body(turn, profile))


@pytest.mark.requirement("chat:send:bytes")
@settings(max_examples=300, deadline=None)
@given(profile=st.sampled_from(KINDS), turn=turns())
def test_the_bytes_of_a_turn_are_those_of_its_body(profile: Profile, turn: Turn) -> None:
    assert encoded_body(turn, profile) == whole(turn, profile)


class Said:
    """A response that ended: its items so far, and what a turn after it is told about them."""

    def __init__(self, items: list[Item], memo: dict[object, object]) -> None:
        self.items = items
        self.known = Known(len(items), dict(memo))


@pytest.mark.requirement("chat:send:remembered")
@settings(max_examples=400, deadline=None)
@given(data=st.data())
def test_what_is_remembered_changes_no_byte_in_any_tree_of_turns(data: st.DataObject) -> None:
    profiles = data.draw(st.lists(st.sampled_from(KINDS), min_size=1, max_size=2))
    tree = [Said([], {})]
    for _ in range(data.draw(st.integers(1, 8))):
        parent = data.draw(st.sampled_from(tree[-3:]))
        new = data.draw(histories())
        kept = data.draw(st.integers(0, len(new)))
        turn = data.draw(turns())
        turn = msgspec.structs.replace(turn, items=[*parent.items, *new[:kept]], known=parent.known)
        profile = data.draw(st.sampled_from(profiles))
        assert encoded_body(turn, profile) == whole(turn, profile)
        tree.append(Said([*parent.items, *new], parent.known.memo))
