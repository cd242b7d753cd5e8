"""Raw text out of wrapped arguments, however they are written and cut."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.backends.freeform import Unwrap
from antiphon.backends.thinking import Thinking


def unwrapped(text: str, cuts: list[int] | None = None) -> str:
    unwrap = Unwrap()
    marks = sorted(cut % (len(text) + 1) for cut in cuts or [])
    pieces = [text[a:b] for a, b in zip([0, *marks], [*marks, len(text)], strict=True)]
    found = [unwrap.feed(piece) for piece in pieces]
    found.append(unwrap.end())
    for piece in found:
        piece.encode("utf-8")
    return "".join(found)


cuts = st.lists(st.integers(0, 500), max_size=6)


@pytest.mark.requirement("chat:freeform:unwrap")
@given(st.text(), cuts, st.booleans(), st.sampled_from([None, 2]))
def test_any_text_comes_out_as_it_went_in(
    text: str, cuts: list[int], ascii_only: bool, indent: int | None
) -> None:
    wrapped = json.dumps({"input": text}, ensure_ascii=ascii_only, indent=indent)
    assert unwrapped(wrapped, cuts) == text


@pytest.mark.requirement("chat:freeform:unwrap")
def test_every_single_cut_and_every_character_alone_give_the_same() -> None:
    text = "if x == \"é🙂\":\n\tprint('\\d+')\r\n"
    wrapped = json.dumps({"input": text})
    for at in range(len(wrapped)):
        assert unwrapped(wrapped, [at]) == text
    assert unwrapped(wrapped, list(range(len(wrapped)))) == text


@pytest.mark.requirement("chat:freeform:unwrap")
def test_text_comes_out_while_it_arrives() -> None:
    unwrap = Unwrap()
    found = [unwrap.feed(piece) for piece in ('{"in', 'put": "ab', "c\\", 'nd"', "}")]
    assert found == ["", "ab", "c", "\nd", ""]


@pytest.mark.requirement("chat:freeform:other-shapes")
@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        ("SELECT 1", "SELECT 1"),
        ("{ not: json }", "{ not: json }"),
        ('{"input": "a", "why": "b"}', "a"),
        ('{"why": "b", "input": "a"}', "a"),
        ('{"patch": "a"}', "a"),
        ('{"input": {"k": 1}}', '{"k":1}'),
        ('{"x": 1, "y": 2}', '{"x": 1, "y": 2}'),
        ("{}", "{}"),
        ("", ""),
        ("  ", "  "),
        ('{"input": "cut he', "cut he"),
        ('{"input": "half \\ud83d', "half \ufffd"),
        ('{"input": "half \\u00', "half "),
        ('{"input": "lone \\ud83d!"}', "lone \ufffd!"),
        ('{"input": "\\d+ \\u12zz"}', "\\d+ \\u12zz"),
        ('{"input": "a\nb"}', "a\nb"),
    ],
)
def test_other_shapes_are_opened_or_taken_as_they_are(arguments: str, wanted: str) -> None:
    for at in range(len(arguments) + 1):
        assert unwrapped(arguments, [at]) == wanted
    assert unwrapped(arguments, list(range(len(arguments)))) == wanted


@pytest.mark.requirement("chat:freeform:any-cut")
@given(st.text(alphabet='{}":,\\ud83e42inputn x\n', max_size=40), cuts)
def test_no_cut_changes_what_nonsense_becomes(text: str, cuts: list[int]) -> None:
    assert unwrapped(text, cuts) == unwrapped(text)


@pytest.mark.requirement("chat:read:inline-thinking")
@given(st.text(alphabet="<>/think \nab", max_size=40), cuts)
def test_no_cut_changes_what_is_thought_and_what_is_said(text: str, cuts: list[int]) -> None:
    def split(marks: list[int]) -> tuple[str, str]:
        thinking = Thinking()
        edges = sorted(mark % (len(text) + 1) for mark in marks)
        pieces = [text[a:b] for a, b in zip([0, *edges], [*edges, len(text)], strict=True)]
        found = [*(thinking.feed(piece) for piece in pieces), thinking.end()]
        return "".join(thought for thought, _ in found), "".join(said for _, said in found)

    assert split(cuts) == split([])


@pytest.mark.requirement("chat:read:inline-thinking")
@pytest.mark.parametrize(
    ("text", "thought", "said"),
    [
        ("<think>a</think>\n\nb", "a", "b"),
        (" \n<think></think>b", "", "b"),
        ("<think>a", "a", ""),
        ("a <think>b</think>", "", "a <think>b</think>"),
        ("<thin", "", "<thin"),
        ("<think>a </thi b", "a </thi b", ""),
    ],
)
def test_only_a_tag_at_the_start_is_thinking(text: str, thought: str, said: str) -> None:
    thinking = Thinking()
    first, last = thinking.feed(text), thinking.end()
    assert (first[0] + last[0], first[1] + last[1]) == (thought, said)
