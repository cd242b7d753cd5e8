"""The core: every legal walk folds to what it ends with, every illegal step is refused."""

from __future__ import annotations

from copy import copy

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from antiphon.errors import LocalProtocolError
from antiphon.stream.cuts import Cuts, unpacked
from antiphon.stream.deltas import Delta, Text
from antiphon.stream.fold import fold
from antiphon.stream.gate import Gate
from antiphon.stream.grammar import ITEMS, LIFE
from antiphon.stream.replay import TERMINAL_EVENT, replay
from antiphon.types import events as ev
from antiphon.types.content import OutputText
from antiphon.types.events import Completed, Event, name_of
from antiphon.types.items import OutputMessage
from antiphon.types.response import Response
from tests.stream.walks import compose, response, turns, with_logprobs

STATUSES = st.sampled_from(["completed", "incomplete", "failed"])


def finished(gate: Gate, events: list[Event], status: str) -> tuple[Response, list[Event]]:
    final = copy(gate.response)
    final.status = status  # type: ignore[assignment]
    final.completed_at = 7 if status == "completed" else None
    gate.emit(TERMINAL_EVENT[status](response=final))
    return final, [*events, *gate.take()]


@pytest.mark.requirement("stream:fold:equals-terminal")
@given(turns(), st.booleans(), STATUSES)
@settings(max_examples=300, deadline=None)
def test_folding_the_events_gives_the_terminal_response(
    batches: list[list[Delta]], cut: bool, status: str
) -> None:
    gate, events = compose(batches, cut=cut)
    final, events = finished(gate, events, status)
    assert fold(events) == final
    assert [event.sequence_number for event in events] == list(range(len(events)))


@pytest.mark.requirement("stream:replay:identical")
@given(turns(), st.booleans(), st.booleans(), STATUSES)
@settings(max_examples=300, deadline=None)
def test_a_replay_has_the_same_events_with_the_same_numbers(
    batches: list[list[Delta]], cut: bool, logprobs: bool, status: str
) -> None:
    if logprobs:
        batches = with_logprobs(batches)
    cuts = Cuts()
    gate, events = compose(batches, cut=cut, logprobs=logprobs, cuts=cuts)
    final, events = finished(gate, events, status)
    stored = msgspec.json.decode(msgspec.json.encode(final), type=Response)
    assert replay(stored, unpacked(cuts.packed())) == events


@pytest.mark.requirement("stream:replay:unstreamed")
@given(turns(), st.booleans())
@settings(max_examples=100, deadline=None)
def test_a_response_nobody_streamed_replays_to_the_same_end(
    batches: list[list[Delta]], cut: bool
) -> None:
    gate, events = compose(batches, cut=cut)
    final, _ = finished(gate, events, "completed")
    assert fold(replay(final, None)) == final


@pytest.mark.requirement("stream:close:any-prefix")
@given(turns(), st.integers(0, 12))
@settings(max_examples=200, deadline=None)
def test_any_prefix_of_a_turn_can_be_cut_into_a_legal_end(
    batches: list[list[Delta]], keep: int
) -> None:
    gate, events = compose(batches[:keep], cut=True)
    final, events = finished(gate, events, "failed")
    assert fold(events) == final
    assert all(item.status in ("completed", "incomplete") for item in final.output)
    assert all(item.status == "completed" for item in final.output[:-1])


def _every_event(gate: Gate) -> list[Event]:
    """One event of each class, addressed at whatever is open (index 0)."""
    open_id = next(iter(gate._fold.open.values())).id if gate._fold.open else "none"
    at = {"item_id": open_id, "output_index": 0}
    part = {**at, "content_index": 0}
    text = OutputText(text="")
    message = OutputMessage(id=open_id, status="completed", content=[])
    return [
        *(kind(response=gate.response) for kind in ev.Lifecycle.__subclasses__()),
        ev.OutputItemAdded(output_index=0, item=message),
        ev.OutputItemDone(output_index=0, item=message),
        ev.ContentPartAdded(**part, part=text),
        ev.ContentPartDone(**part, part=text),
        ev.OutputTextDelta(**part, delta="x"),
        ev.OutputTextDone(**part, text="x"),
        ev.AnnotationAdded(**part, annotation_index=0, annotation={}),
        ev.RefusalDelta(**part, delta="x"),
        ev.RefusalDone(**part, refusal="x"),
        ev.ReasoningTextDelta(**part, delta="x"),
        ev.ReasoningTextDone(**part, text="x"),
        ev.FunctionCallArgumentsDelta(**at, delta="x"),
        ev.FunctionCallArgumentsDone(**at, name="f", arguments="x"),
        ev.CustomToolCallInputDelta(**at, delta="x"),
        ev.CustomToolCallInputDone(**at, input="x"),
    ]


@pytest.mark.requirement("stream:grammar:closed")
@given(turns(), st.integers(0, 40))
@settings(max_examples=150, deadline=None)
def test_each_event_is_in_the_table_or_refused_without_a_trace(
    batches: list[list[Delta]], stop: int
) -> None:
    _, events = compose(batches)
    gate = Gate(response())
    for event in events[:stop]:
        gate.emit(event)
    open_items = gate._fold.open
    for event in _every_event(gate):
        table = ITEMS[open_items[0].type] if 0 in open_items else LIFE
        state = open_items[0].state if 0 in open_items else gate._state
        legal = (state, type(event)) in table or (gate._state, type(event)) in LIFE
        if legal:
            continue
        before = gate.number
        with pytest.raises(LocalProtocolError):
            gate.emit(event)
        assert gate.number == before


def test_nothing_passes_after_the_terminal_event() -> None:
    gate, events = compose([[Text("hi")]])
    finished(gate, events, "completed")
    with pytest.raises(LocalProtocolError):
        gate.emit(Completed(response=gate.response))


def test_a_done_event_must_repeat_its_deltas() -> None:
    _, events = compose([[Text("hi")]])
    fresh = Gate(response())
    for event in events[:5]:
        fresh.emit(event)
    wrong = ev.OutputTextDone(
        item_id=events[4].item_id,  # type: ignore[attr-defined]
        output_index=0,
        content_index=0,
        text="ho",
    )
    with pytest.raises(LocalProtocolError):
        fresh.emit(wrong)


def test_event_names_are_the_ones_of_the_api() -> None:
    assert name_of(ev.ReasoningTextDelta) == "response.reasoning_text.delta"
    assert name_of(ev.AnnotationAdded) == "response.output_text.annotation.added"
