"""Reasoning that an upstream sums up or encrypts: whatever order it comes in, the item is told in
one order, a replay made from the items alone has the same events, and a cut log is closed."""

from __future__ import annotations

from copy import copy
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.errors import LocalProtocolError
from antiphon.ids import ItemIds
from antiphon.stream.compose import Composer
from antiphon.stream.cuts import Cuts, unpacked
from antiphon.stream.deltas import (
    CARRIED,
    CallArguments,
    CallStart,
    Delta,
    Opened,
    Sealed,
    Summary,
    Text,
    Thought,
)
from antiphon.stream.fold import fold
from antiphon.stream.gate import Gate
from antiphon.stream.replay import replay
from antiphon.stream.resume import cut_open_items, logged, opened
from antiphon.types.base import UNSET
from antiphon.types.content import SummaryText
from antiphon.types.events import (
    Completed,
    Created,
    Event,
    InProgress,
    OutputItemDone,
    SummaryPartAdded,
    SummaryTextDelta,
    name_of,
)
from antiphon.types.items import Reasoning
from antiphon.types.response import Response
from tests.stream.walks import RESPONSE_ID, response

SEALED = f"{CARRIED}0_secret"

DELTAS: list[Delta] = [
    Summary("one", 0),
    Summary(" and more", 0),
    Summary("two", 1),
    Summary("", 2),
    Thought("hm"),
    Thought("mm"),
    Sealed(SEALED),
    Opened("reasoning"),
    Opened("message", "commentary"),
    Opened("message"),
    Text("so"),
    Text("!"),
]


@st.composite
def turns(draw: st.DrawFn) -> list[list[Delta]]:
    deltas: list[Delta] = list(draw(st.lists(st.sampled_from(DELTAS), max_size=10)))
    if draw(st.booleans()):
        deltas += [CallStart(0, "function", "f", ""), CallArguments(0, "{}")]
    batches: list[list[Delta]] = []
    while deltas:
        size = draw(st.integers(1, len(deltas)))
        batches.append(deltas[:size])
        deltas = deltas[size:]
    return batches


def composed(
    batches: list[list[Delta]], *, hides: bool = False, cuts: Cuts | None = None
) -> tuple[Gate, list[Event]]:
    """The events up to the turn's end."""
    gate = Gate(response(), cuts=cuts)
    gate.tell(Created, gate.response)
    gate.tell(InProgress, gate.response)
    composer = Composer(gate, ItemIds(RESPONSE_ID), hides=hides)
    for batch in batches:
        composer.feed(batch)
    composer.close(cut=False)
    return gate, gate.take()


def ended(gate: Gate) -> Response:
    final = gate.response
    final.status = "completed"
    gate.tell(Completed, final)
    return final


def bare(events: Any) -> Any:
    return msgspec.json.decode(msgspec.json.encode(events))


@pytest.mark.requirement("responses-upstream:summaries")
@given(batches=turns(), hides=st.booleans(), recorded=st.booleans())
def test_a_replay_of_reasoning_has_the_events_of_its_stream(
    batches: list[list[Delta]], hides: bool, recorded: bool
) -> None:
    cuts = Cuts()
    gate, events = composed(batches, hides=hides, cuts=cuts)
    final = copy(ended(gate))
    events += gate.take()
    assert bare([fold(events)]) == bare([final])
    stored = msgspec.json.decode(msgspec.json.encode(final), type=Response)
    again = replay(stored, unpacked(cuts.packed()) if recorded else None)
    if recorded:
        assert bare(again) == bare(events)
    assert bare([fold(again)]) == bare([final])


@pytest.mark.requirement("responses-upstream:summaries")
@given(batches=turns(), hides=st.booleans(), share=st.floats(0, 1))
def test_a_log_cut_anywhere_is_closed_as_it_would_have_been(
    batches: list[list[Delta]], hides: bool, share: float
) -> None:
    _, events = composed(batches, hides=hides)
    log = opened(logged(events[: max(2, int(len(events) * share))]))
    gate = Gate(response(), read=False)
    gate.again(log)
    begun = [item.index for item in gate.open_items()]
    cut_open_items(gate, log)
    assert not gate.open_items()
    for index in begun:
        item: Any = gate.response.output[index]
        assert item.status == "incomplete"
        told = [e.delta for e in log if isinstance(e, SummaryTextDelta) and e.output_index == index]
        if isinstance(item, Reasoning):
            assert "".join(part.text for part in item.summary or ()) == "".join(told)


@pytest.mark.requirement("responses-upstream:summaries")
def test_a_summary_behind_thoughts_begins_an_item_of_its_own() -> None:
    gate, events = composed([[Thought("a"), Summary("b"), Sealed(SEALED), Text("c")]])
    first, second, _ = gate.response.output
    assert isinstance(first, Reasoning) and isinstance(second, Reasoning)
    assert not first.summary and second.summary == [SummaryText("b")]
    assert second.encrypted_content == SEALED and first.encrypted_content is UNSET
    closed = [event for event in events if isinstance(event, OutputItemDone)]
    assert closed[1].item is second


@pytest.mark.requirement("responses-upstream:summaries")
def test_a_part_of_a_summary_out_of_its_turn_is_our_own_bug() -> None:
    gate, _ = composed([])
    composer = Composer(gate, ItemIds(RESPONSE_ID, 9))
    composer.after(gate.response.output)
    composer.feed([Summary("a", 0)])
    (item,) = gate.open_items()
    at: dict[str, Any] = {"item_id": item.id, "output_index": item.index}
    wrong = SummaryPartAdded(**at, summary_index=1, part=SummaryText(""))
    with pytest.raises(LocalProtocolError):
        gate.emit(wrong)
    with pytest.raises(LocalProtocolError):
        gate.pieces(SummaryTextDelta, item.id, item.index, 1, ["x"])
    assert name_of(SummaryTextDelta) == "response.reasoning_summary_text.delta"
