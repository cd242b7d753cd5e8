"""The bytes of a body are those of its JSON, whatever is remembered of the turns before."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from antiphon.backends.base import Known, Turn
from antiphon.backends.chat_body import chat_body, encoded_body
from antiphon.backends.chat_memo import Cut
from antiphon.backends.profiles import PROFILES, Profile, without
from antiphon.types.content import InputImage, InputText, OutputText, ReasoningText
from antiphon.types.items import (
    CustomToolCall,
    CustomToolCallOutput,
    FunctionCall,
    FunctionCallOutput,
    Item,
    Message,
    Opaque,
    Reasoning,
)
from antiphon.types.tools import JsonObjectFormat, TextFormat
from tests.backends.conversations import turns

GENERIC = PROFILES["generic"]
THINKING = PROFILES["sglang"]
MERGING = msgspec.structs.replace(PROFILES["llamacpp"], developer_role=True)
KINDS = [*PROFILES.values(), MERGING]


def whole(turn: Turn, profile: Profile) -> bytes:
    return msgspec.json.encode(chat_body(turn, profile))


@pytest.mark.requirement("chat:send:bytes")
@settings(max_examples=300, deadline=None)
@given(profile=st.sampled_from(KINDS), turn=turns())
def test_the_bytes_of_a_turn_are_those_of_its_body(profile: Profile, turn: Turn) -> None:
    assert encoded_body(turn, profile) == whole(turn, profile)


class Said:
    """A response that ended: all items so far, and what the turns behind it are told of them."""

    def __init__(self, items: list[Item] | None = None, behind: Said | None = None) -> None:
        self.items = [*(behind.items if behind else []), *(items or [])]
        self.known = Known(len(self.items), dict(behind.known.memo) if behind else {})

    def turn(self, *items: Item, **fields: Any) -> Turn:
        return Turn(model="m", items=[*self.items, *items], known=self.known, **fields)


def user(text: str) -> Message:
    return Message(role="user", content=[InputText(text=text)])


def answer(text: str) -> Message:
    return Message(role="assistant", content=[OutputText(text=text)])


def thought(text: str) -> Reasoning:
    return Reasoning(content=[ReasoningText(text=text)])


def call(call_id: str) -> FunctionCall:
    return FunctionCall(call_id=call_id, name="f", arguments="{}")


def result(call_id: str, output: Any = "ok") -> FunctionCallOutput:
    return FunctionCallOutput(call_id=call_id, output=output)


PICTURE = InputImage(image_url="data:image/png;base64,AAAA")
ITEMS: list[Item] = [
    *(user("a"), answer("b"), thought("c"), call("1"), result("1")),
    *(user("d"), answer("e"), thought("f"), call("2"), result("2", [PICTURE])),
    *(user(""), answer(""), Reasoning(), user("as JSON"), result("1", "json")),
    Message(role="user", content=[InputText(text="g"), PICTURE]),
    Message(role="developer", content="h"),
    Message(role="system", content="say json"),
    CustomToolCall(call_id="1", name="g", input="i"),
    CustomToolCallOutput(call_id="1", output="j"),
    Opaque("web_search_call", {"type": "web_search_call"}),
]
likely = st.sampled_from(ITEMS[:5]) | st.sampled_from(ITEMS)
paths = st.sampled_from([THINKING, THINKING, MERGING, GENERIC]) | st.sampled_from(KINDS)


@pytest.mark.requirement("chat:send:remembered")
@settings(max_examples=600, deadline=None)
@given(data=st.data(), first=paths, second=paths)
def test_what_is_remembered_changes_no_byte_in_any_tree_of_turns(
    data: st.DataObject, first: Profile, second: Profile
) -> None:
    tree = [Said()]
    for _ in range(data.draw(st.integers(2, 8))):
        behind = data.draw(st.sampled_from(tree[-3:]))
        asked = data.draw(st.lists(likely, max_size=3))
        turn = behind.turn(
            *asked,
            format=data.draw(st.sampled_from([TextFormat(), TextFormat(), JsonObjectFormat()])),
            instructions=data.draw(st.sampled_from([None, None, "Be kind."])),
        )
        profile = data.draw(st.sampled_from([first, first, first, second]))
        assert encoded_body(turn, profile) == whole(turn, profile)
        tree.append(Said([*asked, *data.draw(st.lists(likely, max_size=3))], behind))


def cut_of(said: Said, profile: Profile = GENERIC) -> Cut:
    """What was kept for the turns behind a response."""
    cut = said.known.memo[profile.dialect]
    assert isinstance(cut, Cut)
    return cut
