"""Events as bytes: however they are grouped, each has its frame."""

from __future__ import annotations

import sys

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from antiphon.server.frames import frames, obfuscated
from antiphon.stream.deltas import Delta, Text
from antiphon.types.codec import encode
from antiphon.types.events import (
    Completed,
    CustomToolCallInputDelta,
    Event,
    FunctionCallArgumentsDelta,
    OutputTextDelta,
    ReasoningTextDelta,
    RefusalDelta,
    name_of,
)
from tests.stream.walks import compose, turns

DELTAS = (
    OutputTextDelta,
    RefusalDelta,
    ReasoningTextDelta,
    FunctionCallArgumentsDelta,
    CustomToolCallInputDelta,
)


def frame(event: Event) -> bytes:
    text = msgspec.json.encode(event).decode()
    for mark in "\u0085\u2028\u2029":
        text = text.replace(mark, f"\\u{ord(mark):04x}")
    return f"event: {name_of(type(event))}\ndata: {text}\n\n".encode()


def finished(batches: list[list[Delta]]) -> list[Event]:
    gate, events = compose(batches)
    gate.tell(Completed, gate.response)
    return [*events, *gate.take()]


@pytest.mark.requirement("stream:frames:any-group")
@given(turns(), st.integers(1, 40))
@settings(max_examples=150, deadline=None)
def test_a_group_is_the_frames_of_its_events_joined(batches: list[list[Delta]], size: int) -> None:
    events = finished(batches)
    groups = [events[at : at + size] for at in range(0, len(events), size)]
    sent = b"".join(frames(group) for group in groups)
    assert sent == b"".join(map(frame, events))
    assert frames(events) == sent


@pytest.mark.requirement("stream:frames:spelled-once")
@given(turns())
@settings(max_examples=50, deadline=None)
def test_a_terminal_event_takes_the_response_as_it_was_spelled(
    batches: list[list[Delta]],
) -> None:
    events = finished(batches)
    last = events[-1]
    assert isinstance(last, Completed)
    for group in ([last], events[-3:], events):
        assert frames(group, encode(last.response)) == frames(group)


@pytest.mark.requirement("stream:frames:any-group")
@pytest.mark.parametrize("count", [1, 2, 40])
@pytest.mark.parametrize("mark", ["\u0085", "\u2028", "\u2029", "\r\n", "\x0b", "é", "👩‍👧"])
def test_a_text_reader_never_sees_a_frame_cut_by_what_is_written(mark: str, count: int) -> None:
    events = finished([[Text(f"a{mark}b")] * count])
    for group in ([events[4]], events):
        lines = frames(group).decode().splitlines()
        assert len(lines) == 3 * len(group)
        shown = [msgspec.json.decode(line[6:]) for line in lines if line.startswith("data: ")]
        deltas = [event["delta"] for event in shown if "delta" in event]
        assert deltas == [f"a{mark}b"] * (1 if len(group) == 1 else count)


@pytest.mark.requirement("stream:frames:obfuscated")
@given(turns(), st.randoms(use_true_random=False))
@settings(max_examples=50, deadline=None)
def test_every_delta_and_nothing_else_gets_random_text_of_random_length(
    batches: list[list[Delta]], random: object
) -> None:
    events = finished(batches)
    asked: list[int] = []

    def drawn(count: int) -> bytes:
        asked.append(count)
        return bytes(random.randbytes(count))  # type: ignore[attr-defined]

    veiled = obfuscated(events, drawn)
    assert len(asked) == 1
    for event, before in zip(veiled, events, strict=True):
        if isinstance(before, DELTAS):
            assert isinstance(event.obfuscation, str)  # type: ignore[attr-defined]
            assert 1 <= len(event.obfuscation) <= 32  # type: ignore[attr-defined]
            assert msgspec.structs.replace(event, obfuscation=before.obfuscation) == before
        else:
            assert event == before


@pytest.mark.requirement("stream:frames:nothing-kept")
def test_making_frames_keeps_nothing() -> None:
    events: list[Event] = [
        OutputTextDelta(item_id="msg_1", output_index=0, content_index=0, delta=str(number))
        for number in range(20)
    ]
    frames(events)
    before = sys.getallocatedblocks()
    for _ in range(500):
        frames(events)
    assert sys.getallocatedblocks() - before < 250  # one thing kept per call would be 500
