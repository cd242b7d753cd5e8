"""The bytes of a body are those of its JSON, whatever is remembered of the turns before."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from antiphon.backends.base import Known, Turn
from antiphon.backends.chat_body import chat_body, encoded_body
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
from antiphon.types.tool_items import (
    ComputerCall,
    ComputerCallOutput,
    McpCall,
    Screenshot,
    ShellAction,
    ShellCall,
    ShellCallOutput,
    WebSearchCall,
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
@settings(max_examples=150, deadline=None)
@given(profile=st.sampled_from(KINDS), turn=turns())
def test_the_bytes_of_a_turn_are_those_of_its_body(profile: Profile, turn: Turn) -> None:
    assert encoded_body(turn, profile) == whole(turn, profile)


class Said:
    """A response that ended: all items so far, and what the turns behind it are told of them."""

    def __init__(self, items: list[Item] | None = None, behind: Said | None = None) -> None:
        self.items: list[Item] = [*(behind.items if behind else []), *(items or [])]
        self.known: Known = Known(len(self.items), dict(behind.known.memo) if behind else {})

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
    Opaque("program", {"type": "program"}),
    *(ShellCall("3", ShellAction(["ls"])), ShellCallOutput("3", [{"stdout": "a"}])),
    ComputerCall("5", actions=[{"type": "screenshot"}]),
    ComputerCallOutput("5", Screenshot("data:image/png;base64,AAAA")),
    *(McpCall("s", "t", "{}", "mcp_1", "completed", "done"), WebSearchCall(id="ws_1")),
    *(FunctionCall("4", "wait", "{}", later=True), result("4", "late"), result("4", [PICTURE])),
    *(FunctionCall("6", "wait", "{}", namespace="n", later=True), result("6", "much later")),
]
likely = st.sampled_from(ITEMS[:5]) | st.sampled_from(ITEMS) | st.sampled_from(ITEMS[-13:])
paths = st.sampled_from([THINKING, THINKING, MERGING, GENERIC]) | st.sampled_from(KINDS)


@pytest.mark.requirement("chat:send:remembered")
@settings(max_examples=4000, deadline=None)
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


def check(turn: Turn, profile: Profile) -> None:
    assert encoded_body(turn, profile) == whole(turn, profile)


def question(number: int) -> tuple[list[Item], list[Item]]:
    """What is asked and what is answered in one turn of a conversation of words."""
    return [user(f"question {number}")], [thought("Hm"), answer(f"answer {number}")]


def errand(number: int) -> tuple[list[Item], list[Item]]:
    """The same where a model works: one question, then calls and results only."""
    asked = result(f"call_{number - 1}") if number else user("Do it")
    return [asked], [thought(f"step {number}"), call(f"call_{number}")]


class Touched(Exception):
    """Raised by an item that was looked at."""


class Sealed:
    """An item nobody may look at."""

    def __getattribute__(self, name: str) -> Any:
        raise Touched(name)


@pytest.mark.requirement("chat:send:remembered")
@pytest.mark.parametrize("profile", [GENERIC, THINKING, MERGING], ids=["plain", "thinks", "merges"])
@pytest.mark.parametrize("made", [question, errand])
def test_a_turn_looks_at_the_last_items_only_and_keeps_one_copy(
    made: Any, profile: Profile
) -> None:
    said, buffers = Said(), set()
    for number in range(30):
        asked, answered = made(number)
        turn = said.turn(*asked)
        wanted = whole(turn, profile)
        seen = max(0, len(said.items) - 5)
        items: list[Any] = [*(Sealed() for _ in range(seen)), *turn.items[seen:]]
        assert encoded_body(msgspec.structs.replace(turn, items=items), profile) == wanted
        buffers |= {id(cut.buffer) for cut in said.known.memo.values()}
        said = Said([*asked, *answered], said)
    assert len(buffers) == 1
    with pytest.raises(Touched):
        encoded_body(msgspec.structs.replace(turn, items=items, known=None), profile)


@pytest.mark.requirement("chat:send:remembered")
@pytest.mark.parametrize("profile", [GENERIC, THINKING, MERGING], ids=["plain", "thinks", "merges"])
def test_both_ways_of_a_fork_go_on_with_their_own_words(profile: Profile) -> None:
    root = Said([user("a"), answer("b")])
    ways = [Said([user(name), answer(name * 2)], root) for name in "cd"]
    for number in range(4):
        for at, way in enumerate(ways):
            check(way.turn(user("first")), profile)
            ways[at] = Said([user(f"{at} {number}"), answer("e")], way)
    for way in reversed(ways):
        check(way.turn(user("last")), profile)


@pytest.mark.requirement("chat:send:remembered")
def test_reasoning_is_sent_or_not_whatever_a_sister_turn_made_of_it() -> None:
    first = Said([user("a"), thought("b"), call("1")])
    second = Said([result("1"), thought("c"), call("2")], first)
    goes_on: list[Item] = [result("2")]
    asks_anew: list[Item] = [result("2"), user("d")]
    for order in ([goes_on, asks_anew, goes_on], [asks_anew, goes_on, asks_anew]):
        first.known.memo.clear()
        check(first.turn(result("1")), THINKING)
        said = Said([result("1"), thought("c"), call("2")], first)
        for items in order:
            check(said.turn(*items), THINKING)
            after = Said([*items, thought("e"), answer("f")], said)
            check(after.turn(user("g")), THINKING)
    assert b'"c"' in encoded_body(second.turn(*goes_on), THINKING)


@pytest.mark.requirement("chat:send:remembered")
def test_a_developer_between_thoughts_and_question_does_not_settle_them() -> None:
    told: list[Item] = [user("a"), thought("b"), Message(role="developer", content="c")]
    for order in ((call("1"), user("d")), (user("d"), call("1"))):
        said = Said(told)
        for item in order:
            check(said.turn(item), THINKING)


@pytest.mark.requirement("chat:send:remembered")
def test_texts_for_the_front_are_remembered_in_their_order() -> None:
    said = Said()
    for number in range(5):
        asked: list[Item] = [Message(role="developer", content=f"rule {number}"), user("a")]
        check(said.turn(*asked, instructions="Be kind."), MERGING)
        said = Said([*asked, answer("b")], said)


@pytest.mark.requirement("chat:send:remembered")
def test_json_mode_remembers_whether_the_word_was_said() -> None:
    said = Said()
    for text in ("a", "b", "now JSON", "c", "d"):
        asked = user(text)
        for format in (JsonObjectFormat(), TextFormat(), JsonObjectFormat()):
            check(said.turn(asked, format=format), GENERIC)
        said = Said([asked, answer("e")], said)


@pytest.mark.requirement("chat:send:remembered")
def test_what_a_server_refuses_leaves_one_entry_behind() -> None:
    said = Said([user("a"), answer("b")])
    profile = PROFILES["openai"]
    for _ in range(20):
        check(said.turn(user("c")), profile)
        profile = without(PROFILES["openai"], "verbosity")
    assert len(said.known.memo) == 1


@pytest.mark.requirement("chat:send:remembered")
def test_a_new_question_drops_the_reasoning_of_a_long_errand() -> None:
    said = Said([user("a"), thought("b"), call("0")])
    for number in range(4):
        check(said.turn(result(str(number))), THINKING)
        said = Said([result(str(number)), call(str(number + 1))], said)
    check(said.turn(result("4")), THINKING)
    check(said.turn(result("4"), format=JsonObjectFormat()), THINKING)
    check(said.turn(result("4"), user("c")), THINKING)
