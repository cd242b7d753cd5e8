"""What passes the gate in one step is what would have passed it event by event."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from antiphon.errors import LocalProtocolError
from antiphon.ids import ItemIds
from antiphon.stream.compose import Composer
from antiphon.stream.cuts import Cuts
from antiphon.stream.deltas import Delta, Text, Thought
from antiphon.stream.gate import Gate
from antiphon.types import events as ev
from antiphon.types.base import UNSET
from antiphon.types.events import Event, InProgress, PartEvent
from antiphon.types.response import Response
from tests.stream.walks import RESPONSE_ID, response, turns, with_logprobs

PIECES = {
    ev.OutputTextDelta: "output_text",
    ev.RefusalDelta: "refusal",
    ev.ReasoningTextDelta: "reasoning_text",
    ev.FunctionCallArgumentsDelta: None,
    ev.CustomToolCallInputDelta: None,
}


def composed(
    batches: list[list[Delta]],
    *,
    cut: bool,
    read: bool = True,
    logprobs: bool = False,
    commentary: bool = False,
) -> tuple[Response, list[Event], int, Cuts]:
    """The turn, its last batch given to ``finish``; its events one by one, if they are read."""
    cuts = Cuts()
    gate = Gate(response(), read=read, cuts=cuts)
    gate.tell(ev.Created, gate.response)
    gate.tell(InProgress, gate.response)
    composer = Composer(gate, ItemIds(RESPONSE_ID), logprobs=logprobs)
    composer.phase = "commentary" if commentary else UNSET
    for batch in batches[:-1]:
        composer.feed(batch)
    composer.finish(batches[-1] if batches else [], cut=cut)
    return gate.response, gate.take(), gate.number, cuts


_said = st.sampled_from(["", " ", "\n", "a", "word ", "é", "👩‍👧"])
_prose = st.builds(
    list.__add__, st.lists(st.builds(Thought, _said)), st.lists(st.builds(Text, _said))
)


@pytest.mark.requirement("stream:steps:same")
@given(st.one_of(turns(), _prose.map(lambda text: [text])), st.booleans(), st.booleans())
@settings(max_examples=300, deadline=None)
def test_a_turn_in_one_batch_has_the_events_of_one_delta_at_a_time(
    batches: list[list[Delta]], cut: bool, commentary: bool
) -> None:
    deltas = [delta for batch in batches for delta in batch]
    whole = composed([deltas], cut=cut, commentary=commentary)
    # An empty last batch: the end comes alone, so that nothing can pass as a whole.
    slow = composed([*([delta] for delta in deltas), []], cut=cut, commentary=commentary)
    assert whole == slow
    assert composed(batches, cut=cut, commentary=commentary) == slow


@pytest.mark.requirement("stream:steps:same")
@given(turns(), st.booleans())
@settings(max_examples=100, deadline=None)
def test_logprobs_stay_with_their_text_in_any_batches(
    batches: list[list[Delta]], cut: bool
) -> None:
    batches = with_logprobs(batches)
    deltas = [delta for batch in batches for delta in batch]
    slow = composed([*([delta] for delta in deltas), []], cut=cut, logprobs=True)
    assert composed([deltas], cut=cut, logprobs=True) == slow
    assert composed(batches, cut=cut, logprobs=True) == slow


@pytest.mark.requirement("stream:steps:same")
@given(turns(), st.booleans())
@example([[Text(""), Text(" ")], [Text("a")]], False)
@example([[Text("")]], True)
@settings(max_examples=100, deadline=None)
def test_deltas_that_say_nothing_leave_no_trace(batches: list[list[Delta]], cut: bool) -> None:
    said = [[d for d in batch if getattr(d, "text", True) != ""] for batch in batches]
    assert composed(batches, cut=cut) == composed([*said, []], cut=cut)


@pytest.mark.requirement("stream:steps:unread")
@given(turns(), st.booleans())
@settings(max_examples=150, deadline=None)
def test_events_nobody_reads_are_counted_and_folded_all_the_same(
    batches: list[list[Delta]], cut: bool
) -> None:
    final, events, number, cuts = composed(batches, cut=cut)
    assert number == len(events)
    assert composed(batches, cut=cut, read=False) == (final, [], number, cuts)


@pytest.mark.requirement("stream:steps:refused")
@given(turns(), st.integers(0, 40))
@settings(max_examples=150, deadline=None)
def test_pieces_pass_only_where_such_a_delta_may(batches: list[list[Delta]], stop: int) -> None:
    _, events, _, _ = composed(batches, cut=False)
    gate = Gate(response())
    for event in events[:stop]:
        gate.emit(event)
    gate.take()
    item = gate._fold.open.get(len(gate.response.output))
    item_id = "none" if item is None else item.id
    for kind in PIECES:
        for index in (0, len(gate.response.output)):
            for part in (0, 1):
                fits = (
                    item is not None
                    and index == item.index
                    and part == item.parts
                    and item.state == ("part" if item.type in ("message", "reasoning") else "added")
                    and (item.part or item.type) == (PIECES[kind] or _call_of(kind))
                )
                before = gate.number
                if fits:
                    gate.pieces(kind, item_id, index, part, ["x", "y"])
                    assert gate.number == before + 2
                    first, second = gate.take()
                    assert type(first) is kind and second.sequence_number == before + 1
                    assert isinstance(first, PartEvent) == (item.part is not None)  # type: ignore[union-attr]
                else:
                    with pytest.raises(LocalProtocolError):
                        gate.pieces(kind, item_id, index, part, ["x"])
                    assert gate.number == before and gate.take() == []
                with pytest.raises(LocalProtocolError):
                    gate.pieces(kind, item_id + "0", index, part, ["x"])


@pytest.mark.requirement("stream:steps:refused")
@given(turns())
@settings(max_examples=80, deadline=None)
def test_where_pieces_passed_they_do_no_more_once_it_is_closed(batches: list[list[Delta]]) -> None:
    _, events, _, _ = composed(batches, cut=False)
    gate = Gate(response())
    passed: list[tuple[Any, str, int, int]] = []
    event: Any
    for event in events:
        if type(event) in PIECES and not getattr(event, "logprobs", None):
            part = getattr(event, "content_index", 0)
            kind, item_id, index = type(event), event.item_id, event.output_index
            gate.pieces(kind, item_id, index, part, [event.delta])
            passed.append((kind, item_id, index, part))
            continue
        gate.emit(event)
        if type(event).__name__.endswith("Done"):
            number = gate.number
            for kind, item_id, index, part in passed:
                with pytest.raises(LocalProtocolError):
                    gate.pieces(kind, item_id, index, part, ["x"])
            assert gate.number == number
    assert [event.sequence_number for event in gate.take()] == list(range(len(events)))


def _call_of(kind: type[Event]) -> str:
    return "function_call" if kind is ev.FunctionCallArgumentsDelta else "custom_tool_call"


@pytest.mark.requirement("stream:steps:refused")
def test_a_whole_message_passes_only_between_items_of_a_running_response() -> None:
    final, *_ = composed([[Text("hi")]], cut=False)
    message = final.output[0]
    gate = Gate(response())
    with pytest.raises(LocalProtocolError):
        gate.whole(message, ["hi"])  # type: ignore[arg-type]
    gate.tell(ev.Created, gate.response)
    gate.tell(InProgress, gate.response)
    gate.emit(ev.OutputItemAdded(output_index=0, item=message))
    with pytest.raises(LocalProtocolError):
        gate.whole(message, ["hi"])  # type: ignore[arg-type]
    assert gate.number == 3 and gate.response.output == []


@pytest.mark.requirement("stream:steps:frozen")
def test_an_emitted_snapshot_does_not_change_with_the_response() -> None:
    gate = Gate(response())
    gate.tell(ev.Created, gate.response)
    gate.tell(InProgress, gate.response)
    Composer(gate, ItemIds(RESPONSE_ID)).finish([Text("hi")], cut=False)
    gate.response.status = "completed"
    created, started = gate.take()[:2]
    assert created == ev.Created(sequence_number=0, response=response())
    assert started == InProgress(sequence_number=1, response=response())
