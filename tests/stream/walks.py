"""Random but legal turns, as batches of deltas, and a response to compose them into."""

from __future__ import annotations

import json

from hypothesis import strategies as st

from antiphon.ids import ItemIds
from antiphon.stream.compose import Composer
from antiphon.stream.cuts import Cuts
from antiphon.stream.deltas import (
    Annotated,
    CallArguments,
    CallStart,
    Declined,
    Delta,
    Text,
    Thought,
)
from antiphon.stream.gate import Gate
from antiphon.types.content import Logprob
from antiphon.types.events import Created, Event, InProgress
from antiphon.types.response import ReasoningEcho, Response

RESPONSE_ID = "resp_00019aab0000000000000000000000000001"

_text = st.text(max_size=8)


def response() -> Response:
    return Response(
        id=RESPONSE_ID,
        created_at=1_700_000_000,
        model="m",
        reasoning=ReasoningEcho(),
        text={"format": {"type": "text"}},
    )


@st.composite
def calls(draw: st.DrawFn, first: int = 0) -> list[Delta]:
    """One to three calls of one turn, their pieces interleaved in any way."""
    streams: list[list[Delta]] = []
    for index in range(first, first + draw(st.integers(1, 3))):
        kind = draw(st.sampled_from(["function", "custom"]))
        text = json.dumps({"v": draw(_text)}) if kind == "function" else draw(_text)
        if kind == "function" and draw(st.booleans()):
            text = ""
        at = draw(st.integers(0, len(text)))
        call_id = draw(st.sampled_from(["", "call_a", "call_b", "x" * 65]))
        streams.append(
            [
                CallStart(index=index, kind=kind, name="f", call_id=call_id),
                CallArguments(index=index, text=text[:at]),
                CallArguments(index=index, text=text[at:]),
            ]
        )
    if draw(st.booleans()):
        return [delta for stream in streams for delta in stream]
    out: list[Delta] = []
    while streams:
        stream = draw(st.sampled_from(streams))
        out.append(stream.pop(0))
        streams = [s for s in streams if s]
    return out


_pieces = st.one_of(
    st.builds(Text, _text),
    st.builds(Text, st.sampled_from([" ", "\n", "  \n", "word", "é", "👩‍👩‍👧"])),
    st.builds(Thought, _text),
    st.builds(Declined, _text),
    st.builds(Annotated, st.just({"type": "url_citation", "url": "u", "title": "t"})),
)


@st.composite
def turns(draw: st.DrawFn) -> list[list[Delta]]:
    """A turn as batches: prose first, calls (if any) last, as models speak."""
    deltas: list[Delta] = draw(st.lists(_pieces, max_size=10))
    if draw(st.booleans()):
        deltas = deltas + draw(calls())
    batches: list[list[Delta]] = []
    while deltas:
        size = draw(st.integers(1, len(deltas)))
        batches.append(deltas[:size])
        deltas = deltas[size:]
    return batches


def with_logprobs(batches: list[list[Delta]]) -> list[list[Delta]]:
    """The same turn, every second text piece carrying logprobs."""
    return [
        [
            Text(d.text, logprobs=[Logprob(token=c, logprob=-0.5) for c in d.text])
            if isinstance(d, Text) and i % 2 == 0
            else d
            for i, d in enumerate(batch)
        ]
        for batch in batches
    ]


def compose(
    batches: list[list[Delta]],
    *,
    cut: bool = False,
    logprobs: bool = False,
    cuts: Cuts | None = None,
) -> tuple[Gate, list[Event]]:
    """All events of one turn up to, not including, the terminal one."""
    gate = Gate(response(), cuts=cuts)
    composer = Composer(gate, ItemIds(RESPONSE_ID), logprobs=logprobs)
    gate.emit(Created(response=gate.response))
    gate.emit(InProgress(response=gate.response))
    for batch in batches:
        composer.feed(batch)
    composer.close(cut=cut)
    return gate, gate.take()
