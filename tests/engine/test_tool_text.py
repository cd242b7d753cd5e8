"""Calls told apart from text, wherever the pieces are cut."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.backends.chat_body import Offered
from antiphon.backends.chat_wire import CallPart, Choice, Piece
from antiphon.backends.profiles import PROFILES
from antiphon.backends.tool_text import ToolText, ToolTextReader
from antiphon.stream.deltas import CallArguments, CallStart, Delta, Text


def call(name: str, arguments: str) -> str:
    return f'<tool_call>\n{{"name": "{name}", "arguments": {arguments}}}\n</tool_call>'


def raw(name: str, text: str) -> str:
    return f'<tool_call>\n{{"name": "{name}", "input":\n{text}\n</tool_call>'


def sorted_out(pieces: list[str]) -> tuple[str, list[tuple[str, str]]]:
    tool_text = ToolText()
    found = [part for piece in pieces for part in tool_text.feed(piece)] + tool_text.end()
    text = "".join(part for part in found if isinstance(part, str))
    calls: dict[int, list[str]] = {}
    for part in found:
        if isinstance(part, CallPart):
            assert part.index is not None and part.function is not None
            one = calls.setdefault(part.index, ["", ""])
            one[0] += part.function.name or ""
            one[1] += str(part.function.arguments or "")
    return text, [(name, arguments) for name, arguments in calls.values()]


def cut(text: str, borders: list[int]) -> list[str]:
    marks = sorted({0, len(text), *(border % (len(text) + 1) for border in borders)})
    return [text[a:b] for a, b in pairwise(marks)]


TEXTS = st.text(alphabet=st.sampled_from('ab <>/_"{}\n\\tool_call'), max_size=30).filter(
    lambda text: "<tool_call>" not in text
)
ARGUMENTS = st.dictionaries(st.text(max_size=3), st.text(max_size=12) | st.integers()).map(
    lambda value: json.dumps(value, ensure_ascii=False)
)
RAWS = st.text(max_size=15).filter(lambda text: "</tool_call>" not in text)
CALLS = st.one_of(
    st.builds(lambda a: (call("f", a), ("f", a)), ARGUMENTS),
    st.builds(
        lambda t: (raw("g", t), ("g", '{"input":' + json.dumps(t, ensure_ascii=False) + "}")), RAWS
    ),
)


@pytest.mark.requirement("engine:calls:any_cut")
@given(TEXTS, st.lists(CALLS, max_size=3), st.lists(st.integers(0, 999), max_size=20))
def test_text_and_calls_come_out_the_same_wherever_they_are_cut(
    text: str, calls: list[tuple[str, tuple[str, str]]], borders: list[int]
) -> None:
    written = text + "\n".join(text for text, _ in calls)
    said, made = sorted_out(cut(written, borders))
    assert said == (text.rstrip() if calls else text)
    assert [name for name, _ in made] == [name for _, (name, _) in calls]
    for (_, arguments), (_, (_, expected)) in zip(made, calls, strict=True):
        assert json.loads(arguments) == json.loads(expected)
    assert sorted_out(list(written)) == (said, made)


@pytest.mark.parametrize(
    ("text", "said", "made"),
    [
        ("almost <tool_cal", "almost <tool_cal", []),
        ("trailing \n", "trailing \n", []),
        ('<tool_call>\n{"na', "", []),
        (call("f", '{"a": 1}')[:-15], "", [("f", '{"a": 1')]),
        (call("f", '{"a": 1}')[:-14], "", [("f", '{"a": 1}')]),
        (call("f", '{"a": 1}')[:-13], "", [("f", '{"a": 1}')]),
        (call("f", '{"a": 1}')[:-3], "", [("f", '{"a": 1}')]),
        (raw("g", "SELECT")[:-13], "", [("g", '{"input":"SELECT"}')]),
        (raw("g", "SELECT")[:-3], "", [("g", '{"input":"SELECT"}')]),
    ],
)
def test_what_the_token_limit_cut_keeps_what_came(
    text: str, said: str, made: list[tuple[str, str]]
) -> None:
    assert sorted_out(list(text)) == (said, made)


def test_a_block_that_is_none_of_our_calls_stays_text() -> None:
    text = "<tool_call>\n" + "x" * 200
    assert sorted_out([text]) == (text, [])


def test_the_reader_turns_calls_into_deltas_and_keeps_the_rest_text() -> None:
    offered = {"f": Offered("f", "function"), "g": Offered("g", "custom")}
    reader = ToolTextReader(PROFILES["llamacpp"], offered)
    written = "Let me see.\n\n" + call("f", '{"a": 1}') + "\n" + raw("g", 'say "hi"\n2')
    deltas: list[Delta] = []
    for at in range(0, len(written), 3):
        piece = Piece(content=written[at : at + 3])
        reader._choice(Choice(delta=piece), deltas, odd=False)
    reader._choice(Choice(finish_reason="stop"), deltas, odd=False)
    deltas += reader.end()
    assert "".join(d.text for d in deltas if isinstance(d, Text)) == "Let me see."
    assert [d for d in deltas if isinstance(d, CallStart)] == [
        CallStart(0, "function", "f"),
        CallStart(1, "custom", "g"),
    ]
    arguments = ["", ""]
    for delta in deltas:
        if isinstance(delta, CallArguments):
            arguments[delta.index] += delta.text
    assert arguments == ['{"a": 1}', 'say "hi"\n2']
