"""What goes and what stays when a context does not fit."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.backends.base import Capabilities, Turn
from antiphon.backends.estimate import Estimator
from antiphon.backends.scripted import Scripted
from antiphon.runs.truncation import fitted, shortened
from antiphon.types.items import FunctionCall, FunctionCallOutput, Item, Message
from tests.runs.rig import rig, text_of

COUNT = Estimator().input


def user(text: str) -> Message:
    return Message("user", text)


def step(number: int) -> list[Item]:
    id = f"c{number}"
    return [FunctionCall(id, "f", "{}"), FunctionCallOutput(id, "word " * 50)]


STEPS = st.sampled_from(["exchange", "tool", "parallel", "rule"])


def items_of(kinds: list[str]) -> list[Item]:
    items: list[Item] = []
    for number, kind in enumerate(kinds):
        if kind == "exchange":
            items += [user(f"ask {number} " + "w " * 40), Message("assistant", "ok " * 40)]
        elif kind == "tool":
            items += step(number)
        elif kind == "parallel":
            one, two = step(2 * number + 1_000), step(2 * number + 1_001)
            items += [one[0], two[0], two[1], one[1]]
        else:
            items.append(Message("developer", f"rule {number}"))
    return items


@pytest.mark.requirement("compaction:truncation:steps")
@given(st.lists(STEPS, max_size=8), st.integers(100, 900), st.booleans())
def test_calls_keep_their_outputs_and_what_stands_stays(
    kinds: list[str], window: int, answers: bool
) -> None:
    old = items_of(kinds)
    calls = [item for item in old if isinstance(item, FunctionCall)]
    new: list[Item] = [user("the question")]
    if answers and calls:
        output = next(i for i in old if isinstance(i, FunctionCallOutput))
        old.remove(output)
        new = [output]
    items = [*old, *new]
    turn = Turn(model="m", items=items)
    kept = fitted(turn, len(new), window, COUNT).items
    assert list(kept[-len(new) :]) == new
    left = set(map(id, kept))
    assert [item for item in items if id(item) in left] == list(kept)
    called = {item.call_id for item in kept if isinstance(item, FunctionCall)}
    answered = {item.call_id for item in kept if isinstance(item, FunctionCallOutput)}
    assert called == answered
    rules = [i for i in items if isinstance(i, Message) and i.role == "developer"]
    assert all(rule in kept for rule in rules)
    users = [item for item in items if isinstance(item, Message) and item.role == "user"]
    assert not users or users[-1] in kept
    again: list[Item] | None = items
    while again is not None and (shorter := shortened(again, len(new))) is not None:
        assert len(shorter) < len(again)
        again = shorter
        assert {i.call_id for i in again if isinstance(i, FunctionCall)} == {
            i.call_id for i in again if isinstance(i, FunctionCallOutput)
        }


def test_as_little_goes_as_makes_it_fit() -> None:
    items = items_of(["exchange"] * 10)
    turn = Turn(model="m", items=[*items, user("q")])
    room = COUNT(turn) - 10
    kept = fitted(turn, 1, room + 256, COUNT)
    assert list(kept.items) == [*items[2:], user("q")]
    assert fitted(turn, 1, 100_000, COUNT) is turn


def test_the_answer_needs_room_too() -> None:
    turn = Turn(model="m", items=[*items_of(["exchange"] * 10), user("q")], max_output_tokens=400)
    window = COUNT(turn) + 100
    assert len(fitted(turn, 1, window, COUNT).items) < len(turn.items)


class Small(Scripted):
    """Scripts with a window that is known."""

    def capabilities(self, model: str) -> Capabilities:
        return Capabilities(context_tokens=1_200)


@pytest.mark.anyio
@pytest.mark.requirement("compaction:truncation:known-window")
async def test_a_known_window_is_kept_before_the_model_is_asked() -> None:
    def small(made: Any) -> None:
        made.runs.backend = Small()

    async with rig(small) as r:
        parent = None
        for number in range(6):
            said = f"part {number} " + "word " * 300
            turn = await r.create("hello", input=said, previous_response_id=parent)
            parent = turn.id
        asked: Any = {"input": "end", "previous_response_id": parent}
        kept = await r.create("summary", truncation="auto", **asked)
        assert kept.truncation == "auto"
        assert text_of(kept).startswith("I was told: part 4") and text_of(kept).endswith("/ end")
        whole = await r.create("summary", **asked)
        assert text_of(whole).startswith("I was told: part 0")
