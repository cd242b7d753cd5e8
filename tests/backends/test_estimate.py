"""Estimates are near what a real tokenizer counts, and learn."""

from __future__ import annotations

import pytest

from antiphon.backends.base import Known, Turn
from antiphon.backends.estimate import (
    MODELS_MAX,
    PIECE,
    Estimator,
    output_tokens,
    text_tokens,
    turn_tokens,
)
from antiphon.stream.deltas import CallArguments, CallStart, Delta, Finish, Text, Thought
from antiphon.types.content import InputFile, InputImage, InputText, ReasoningText
from antiphon.types.items import (
    FunctionCall,
    FunctionCallOutput,
    Item,
    Message,
    Opaque,
    Reasoning,
)
from antiphon.types.tools import FunctionTool, JsonSchemaFormat


def turn(*items: Item, **fields: object) -> Turn:
    return Turn(model="m", items=items, **fields)  # type: ignore[arg-type]


HI = turn(Message(role="user", content="Hello there"))


@pytest.mark.requirement("chat:estimate:near")
@pytest.mark.parametrize(
    ("text", "low", "high"),
    [
        ("The quick brown fox jumps over the lazy dog.", 9, 12),
        ("Der schnelle braune Fuchs springt über den faulen Hund.", 10, 16),
        ("def add(a: int, b: int) -> int:\n    return a + b\n", 14, 26),
        ('{"city": "Paris", "days": [1, 2, 3], "ok": true}', 16, 30),
        ("Съешь же ещё этих мягких французских булок", 10, 22),
        ("吾輩は猫である。名前はまだ無い。", 8, 18),
        ("3.14159265358979", 5, 9),
        ("👩‍👩‍👧‍👦", 2, 20),
        ("", 0, 0),
    ],
)
def test_text_is_cut_into_about_as_many_pieces_as_tokens(text: str, low: int, high: int) -> None:
    assert low <= text_tokens(text) <= high


@pytest.mark.requirement("chat:estimate:near")
def test_a_long_text_is_estimated_by_parts_of_it() -> None:
    lines = [f"{n:05d} Line {n} says {n * n}, {'and more ' * (n % 7)}\n" for n in range(20_000)]
    for text in ("".join(lines), "".join(lines)[:4_097], "word " * 50_000 + "0123456789" * 25_000):
        counted = len(PIECE.findall(text))
        assert 0.95 * counted < text_tokens(text) < 1.05 * counted


@pytest.mark.requirement("chat:estimate:whole-turn")
def test_everything_a_model_reads_is_counted() -> None:
    estimator = Estimator()
    least = estimator.input(HI)
    richer: list[Turn] = [
        turn(*HI.items, instructions="Be kind."),
        turn(*HI.items, tools=[FunctionTool(name="get_weather")]),
        turn(*HI.items, format=JsonSchemaFormat(name="n", schema={"type": "object"})),
        turn(*HI.items, FunctionCall("c", "f", '{"a":1}')),
        turn(*HI.items, FunctionCallOutput("c", [InputText(text="result")])),
        turn(*HI.items, Message(role="user", content=[InputImage(image_url="data:,")])),
        turn(*HI.items, Message(role="user", content=[InputFile(filename="a.pdf")])),
        turn(*HI.items, Reasoning(content=[ReasoningText(text="thinking")])),
    ]
    assert all(estimator.input(more) > least for more in richer)
    assert estimator.input(turn(*HI.items, Opaque("x", {"type": "x"}))) == least


@pytest.mark.requirement("chat:estimate:whole-turn")
def test_output_counts_text_thought_and_calls() -> None:
    deltas: list[Delta] = [
        Thought("Hm"),
        Text("Hello"),
        CallStart(0, "function", "f"),
        CallArguments(0, "{}"),
    ]
    assert output_tokens([*deltas, Finish("calls")]) == 6


@pytest.mark.requirement("chat:estimate:learns")
def test_reports_pull_the_estimate_of_that_model_only() -> None:
    estimator = Estimator()
    raw = estimator.input(HI)
    for _ in range(30):
        estimator.learn("m", estimated=100, reported=200)
    assert estimator.input(HI) == raw * 2
    assert estimator.factor("other") == 1.0
    estimator.learn("m", estimated=100, reported=100)
    assert 1.0 < estimator.factor("m") < 2.0


@pytest.mark.requirement("chat:estimate:learns")
def test_nonsense_teaches_nothing_and_memory_is_bounded() -> None:
    estimator = Estimator()
    estimator.learn("m", estimated=0, reported=5)
    estimator.learn("m", estimated=5, reported=0)
    assert estimator.factor("m") == 1.0
    estimator.learn("m", estimated=1, reported=1_000_000)
    assert estimator.factor("m") == 10.0
    for number in range(MODELS_MAX):
        estimator.learn(f"m{number}", estimated=1, reported=2)
    assert estimator.factor("m") == 1.0


@pytest.mark.requirement("chat:estimate:remembered")
def test_a_conversation_that_is_known_is_counted_once_and_the_same() -> None:
    items: list[Item] = []
    known = Known(0, {})
    for number in range(6):
        items.append(Message(role="user", content=f"question number {number}"))
        for _ in range(2):  # two turns may follow one response
            assert turn_tokens(turn(*items, known=known)) == turn_tokens(turn(*items))
        items.append(Message(role="assistant", content="an answer"))
        known = Known(len(items), dict(known.memo))
    unread: list[Item] = [Opaque("x", {})] * 10  # these count nothing, so a count of them shows
    assert turn_tokens(turn(*unread, *items[10:], known=known)) == turn_tokens(turn(*items))
