"""How an upstream's events are read: cut anywhere, remembered or not, stopped by a text."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.backends.base import Known, Turn
from antiphon.backends.responses_items import Items
from antiphon.backends.responses_profiles import DIALECTS
from antiphon.backends.responses_reading import Reader
from antiphon.backends.sse import Events
from antiphon.backends.stops import Stops
from antiphon.errors import RemoteError
from antiphon.stream.deltas import CARRIED, Delta, Finish, ItemStage, ItemStart, Text
from antiphon.types.content import InputText, ReasoningText
from antiphon.types.items import (
    CustomToolCall,
    CustomToolCallOutput,
    FunctionCall,
    FunctionCallOutput,
    Item,
    Message,
    Reasoning,
)
from tests.backends.strict_responses import (
    coding,
    declining,
    events,
    message,
    phased,
    response,
    searching,
    thinking,
)
from tests.backends.test_responses import joined
from tests.backends.test_sse import reference

MARK = CARRIED + "0_"
BODY: dict[str, Any] = {
    "model": "m",
    "input": [],
    "include": ["reasoning.encrypted_content"],
    "reasoning": {"summary": "auto"},
}
ITEMS = [
    *thinking(BODY),
    *searching(BODY),
    *coding(BODY),
    *declining(BODY),
    *phased(BODY),
    message("Grüße 👩‍👩‍👧‍👦 " + "word " * 20),
]


def stream_of(*, type_last: bool = False, lines: str = "\n") -> bytes:
    """A stream of every kind of event."""
    written = []
    for number, event in enumerate(events(response(BODY, ITEMS), ITEMS)):
        kind = {"type": event["type"]}
        rest = {name: value for name, value in event.items() if name != "type"}
        fields = {**rest, "sequence_number": number, **kind} if type_last else {**kind, **rest}
        name = f"event: {event['type']}{lines}"
        written.append(f"{name}data: {json.dumps(fields, ensure_ascii=False)}{lines}{lines}")
    return ("".join(written) + f"data: [DONE]{lines}{lines}").encode()


def read(reads: Sequence[bytes], **fields: Any) -> list[Delta]:
    reader, parser = Reader({}, MARK, **fields), Events()
    deltas: list[Delta] = []
    for data in reads:
        deltas += reader.batch(parser.feed(data))
        if reader.failure is not None:
            raise reader.failure
    if not reader.over:
        deltas += reader.last(parser.end())
    return deltas


WHOLE = read([stream_of()])


@pytest.mark.requirement("responses-upstream:cut")
@given(cuts=st.lists(st.integers(0, len(stream_of())), max_size=12), type_last=st.booleans())
def test_where_a_stream_is_cut_does_not_change_what_is_heard(
    cuts: list[int], type_last: bool
) -> None:
    stream = stream_of(type_last=type_last, lines="\r\n" if len(cuts) % 2 else "\n")
    places = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    reads = [stream[a:b] for a, b in pairwise(places)]
    assert read(reads) == WHOLE
    assert isinstance(WHOLE[-1], Finish)


@pytest.mark.requirement("responses-upstream:cut")
def test_a_whole_answer_says_what_the_stream_says() -> None:
    body = json.dumps(response(BODY, ITEMS)).encode()
    told = [joined(Reader({}, MARK).whole(body)), joined(WHOLE)]
    whole, streamed = ([d for d in one if type(d) not in (ItemStart, ItemStage)] for one in told)
    assert whole == streamed
    assert sum(type(d) is ItemStart for d in told[0]) == 2


BLOCKS = [
    b"event: a\ndata: {}",
    b"event: b\ndata: x y",
    b"event: c\ndata: 1\ndata: 2",
    b"event: d",
    b"data: 3",
    b"event: e\nid: 1\ndata: 4",
    b"event: f\ndata:5",
    b": event: g\ndata: 6",
]


@pytest.mark.requirement("responses-upstream:cut")
@given(blocks=st.lists(st.sampled_from(BLOCKS), max_size=8), cut=st.integers(0, 200))
def test_named_events_are_read_as_the_standard_says(blocks: list[bytes], cut: int) -> None:
    stream = b"".join(block + b"\n\n" for block in blocks)
    parser = Events()
    told = [*parser.feed(stream[:cut]), *parser.feed(stream[cut:])]
    assert told == reference(stream)


@pytest.mark.requirement("responses-upstream:cut")
def test_halves_of_an_emoji_are_put_together() -> None:
    event = '{"type":"response.output_text.delta","delta":"%s"}'
    added = '{"type":"response.output_item.added","item":{"type":"message"}}'
    done = '{"type":"response.output_item.done","item":{"type":"message"}}'
    end = '{"type":"response.completed","response":{"status":"completed"}}'
    told = [added, event % "a\\ud83d", event % "\\ude00b", event % "\\ud83d", done, end]
    for reads in ([told], [[one] for one in told]):
        reader = Reader({}, MARK)
        deltas = [d for batch in reads for d in reader.batch([one.encode() for one in batch])]
        assert "".join(d.text for d in deltas if isinstance(d, Text)) == "a😀b\ufffd"


@pytest.mark.requirement("responses-upstream:cut")
def test_a_stream_without_its_end_was_cut() -> None:
    for size, retryable in ((0, True), (len(stream_of()) // 2, False)):
        with pytest.raises(RemoteError) as caught:
            read([stream_of()[:size]])
        assert (caught.value.code, caught.value.retryable) == ("upstream_broke_off", retryable)


# Texts that end an answer -----------------------------------------------------------------------


@pytest.mark.requirement("responses-upstream:stop")
@given(
    text=st.text("ab\n", max_size=30),
    stops=st.lists(st.text("ab\n", min_size=1, max_size=4), min_size=1, max_size=3),
    cuts=st.lists(st.integers(0, 30), max_size=6),
)
def test_a_stop_ends_an_answer_wherever_it_is_cut(
    text: str, stops: list[str], cuts: list[int]
) -> None:
    ends = [text.find(stop) for stop in stops if stop in text]
    places = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    watch, said = Stops(stops), ""
    for a, b in pairwise(places):
        said += watch.feed(text[a:b])
    said += watch.end()
    assert watch.found == bool(ends)
    first = (
        [stop for stop in stops if stop in text and text.find(stop) == min(ends)] if ends else []
    )
    assert said == (text[: min(ends)] if first else text)


@pytest.mark.requirement("responses-upstream:stop")
def test_an_answer_is_over_at_its_stop() -> None:
    items = [message("one two three four")]
    written = [f"data: {json.dumps(e)}\n\n".encode() for e in events(response(BODY, items), items)]
    for reads in ([b"".join(written)], written):
        deltas = read(reads, stop=("three",))
        assert "".join(d.text for d in deltas if isinstance(d, Text)) == "one two "
        assert deltas[-1] == Finish("stop") and deltas.count(Finish("stop")) == 1
    whole = Reader({}, MARK, stop=("three",)).whole(json.dumps(response(BODY, items)).encode())
    assert whole[-1] == Finish("stop") and whole[0] == Text("one two ")
    assert joined(read(written, stop=("nowhere",)))[0] == Text("one two three four")


# What is remembered of a conversation -------------------------------------------------------------

TURNS: list[list[Item]] = [
    [Message(role="user", content=[InputText(text="Hello")])],
    [
        Reasoning(summary=[], content=[ReasoningText("A thought.")], id="rs_1"),
        Reasoning(summary=[], encrypted_content=MARK + "x", id="rs_2"),
        FunctionCall("a", "f", "{}"),
        FunctionCallOutput("a", "1"),
    ],
    [Message(role="assistant", content="Good day.")],
    [CustomToolCall("b", "g", "x"), CustomToolCallOutput("b", "2")],
    [FunctionCall("later", "slow", "{}", later=True)],
    [FunctionCallOutput("later", "at last")],
    [Message(role="user", content="And now?"), Message(role="developer", content="Be brief.")],
]


@pytest.mark.requirement("responses-upstream:remembered")
@pytest.mark.parametrize("profile", ["openai", "antiphon", "generic", "vllm"])
@given(
    order=st.lists(st.sampled_from(range(len(TURNS))), min_size=1, max_size=8),
    fork=st.integers(0, 7),
    thoughts=st.sampled_from(["current_turn", "all_turns"]),
)
def test_what_is_remembered_is_written_as_if_it_were_not(
    profile: str, order: list[int], fork: int, thoughts: Any
) -> None:
    writer = Items(DIALECTS[profile], MARK)
    memo: dict[Any, Any] = {}
    items: list[Item] = []
    forked: tuple[dict[Any, Any], int] = ({}, 0)
    for place, turn in enumerate(order):
        known = Known(len(items), memo)
        items = [*items, *TURNS[turn]]
        asked = Turn(model="m", items=items, known=known, thoughts=thoughts)
        _same(writer, asked)
        if place == fork:
            forked = dict(memo), len(items)
    memo, length = forked
    other = [*items[:length], Message(role="user", content="Another way.")]
    _same(writer, Turn(model="m", items=other, known=Known(length, memo), thoughts=thoughts))


def _same(writer: Items, asked: Turn) -> None:
    remembered = b",".join(bytes(piece) for piece in writer.written(asked))
    anew = b",".join(bytes(p) for p in writer.written(msgspec.structs.replace(asked, known=None)))
    assert remembered == anew
    msgspec.json.decode(b"[" + remembered + b"]")
