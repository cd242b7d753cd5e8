"""Items of tools: whatever is called in whatever order, one item is open at a time, and a replay
made from the items alone has the same events."""

from __future__ import annotations

import json
from copy import copy
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from antiphon.errors import RemoteError
from antiphon.ids import ItemIds
from antiphon.stream.compose import Composer
from antiphon.stream.cuts import Cuts, unpacked
from antiphon.stream.deltas import (
    CallArguments,
    CallStart,
    Delta,
    ItemEnd,
    ItemStage,
    ItemStart,
    Text,
    Thought,
)
from antiphon.stream.fold import fold
from antiphon.stream.forms import NATIVE, Answered, Form, Renamed, approval, tool_search
from antiphon.stream.gate import Gate
from antiphon.stream.replay import replay
from antiphon.stream.resume import call_under_way, cut_open_items, logged, opened
from antiphon.types.events import Completed, Created, Event, InProgress, OutputItemAdded, name_of
from antiphon.types.events import OutputItemDone as Done
from antiphon.types.items import OutputItem
from antiphon.types.response import Response
from antiphon.types.tool_events import STAGES
from antiphon.types.tool_items import (
    CodeInterpreterCall,
    HostedCall,
    ImageGenerationCall,
    McpCall,
    McpListTools,
    WebSearchCall,
)
from tests.stream.walks import RESPONSE_ID, response

ARGUMENTS: dict[str, dict[str, Any]] = {
    "f": {"v": 1},
    "ns__f": {"v": 2},
    "later": {},
    "shell": {"commands": ["ls", "pwd"], "timeout_ms": 5},
    "local_shell": {"command": ["ls"], "env": {"A": "b"}},
    "apply_patch": {"type": "update_file", "path": "a.py", "diff": "@@\n-a\n+b"},
    "computer": {"actions": [{"type": "click", "x": 1, "y": 2, "button": "left"}]},
    "tool_search": {"query": "x"},
    "srv__do": {"a": [1]},
    "srv__ask": {"b": None},
}
FORMS: dict[str, Form] = {
    "ns__f": Renamed("f", "ns"),
    "later": Renamed("later", later=True),
    "tool_search": tool_search("client"),
    "srv__do": Answered("srv", "do"),
    "srv__ask": approval("srv", "ask"),
    **{NATIVE[kind].name: NATIVE[kind].form for kind in ("shell", "local_shell", "apply_patch")},
    "computer": NATIVE["computer"].form,
}
HOSTED: list[tuple[HostedCall, HostedCall]] = [
    (
        WebSearchCall(),
        WebSearchCall({"type": "search", "query": "q"}, status="completed"),
    ),
    (
        CodeInterpreterCall("cntr_1"),
        CodeInterpreterCall("cntr_1", "print(1)", [], status="completed"),
    ),
    (ImageGenerationCall(), ImageGenerationCall(status="failed")),
]


@st.composite
def turns(draw: st.DrawFn) -> list[list[Delta]]:
    """Text, hosted calls and calls by name, the pieces of calls interleaved, text behind them."""
    deltas: list[Delta] = draw(st.lists(st.builds(Text, st.text(max_size=3)), max_size=2))
    for begun, ended in draw(st.lists(st.sampled_from(HOSTED), max_size=2)):
        deltas.append(ItemStart(begun))
        if isinstance(ended, CodeInterpreterCall) and draw(st.booleans()):
            deltas += [ItemStage(code="print"), ItemStage(code="(1)")]
        elif draw(st.booleans()):
            deltas.append(ItemStage(stage=2))
        deltas.append(ItemEnd(ended))
    streams: list[list[Delta]] = []
    for index, name in enumerate(draw(st.lists(st.sampled_from(sorted(ARGUMENTS)), max_size=4))):
        text = json.dumps(ARGUMENTS[name])
        at = draw(st.integers(0, len(text)))
        streams.append(
            [
                CallStart(index, "function", name, draw(st.sampled_from(["", "call_a"]))),
                CallArguments(index, text[:at]),
                CallArguments(index, text[at:]),
            ]
        )
    while streams:
        stream = draw(st.sampled_from(streams))
        deltas.append(stream.pop(0))
        streams = [s for s in streams if s]
    deltas += draw(st.sampled_from([[], [Thought("hm")], [Text("so"), Text("!")]]))
    batches: list[list[Delta]] = []
    while deltas:
        size = draw(st.integers(1, len(deltas)))
        batches.append(deltas[:size])
        deltas = deltas[size:]
    return batches


def composed(
    batches: list[list[Delta]], *, cut: bool = False, fails: bool = False, cuts: Cuts | None = None
) -> tuple[Gate, list[list[Event]]]:
    gate = Gate(response(), cuts=cuts)
    composer = Composer(gate, ItemIds(RESPONSE_ID))
    composer.forms = FORMS
    gate.emit(Created(response=gate.response))
    gate.emit(InProgress(response=gate.response))
    groups = [gate.take()]
    for batch in batches:
        composer.feed(batch)
        groups.append(gate.take())
    composer.close(cut=cut)
    groups.append(gate.take())
    while composer.answering is not None:
        if fails:
            composer.conclude(error={"type": "http_error", "code": 500, "message": "no"})
        else:
            composer.conclude(output=f"did {composer.answering.arguments}")
        groups.append(gate.take())
    return gate, groups


def finished(gate: Gate) -> Response:
    final = copy(gate.response)
    final.status = "completed"
    gate.emit(Completed(response=final))
    return msgspec.json.decode(msgspec.json.encode(final), type=Response)


@pytest.mark.requirement("stream:tools:replay")
@given(turns(), st.booleans(), st.booleans())
@settings(max_examples=400, deadline=None)
def test_a_replay_of_tools_items_has_the_same_events(
    batches: list[list[Delta]], cut: bool, fails: bool
) -> None:
    cuts = Cuts()
    gate, groups = composed(batches, cut=cut, fails=fails, cuts=cuts)
    stored = finished(gate)
    events = [event for group in groups for event in group] + gate.take()
    assert fold(events) == stored
    again = replay(stored, unpacked(cuts.packed()))
    assert [msgspec.json.encode(e) for e in again] == [msgspec.json.encode(e) for e in events]
    added = [event.item for event in events if isinstance(event, OutputItemAdded)]
    assert [item.id for item in added] == [item.id for item in stored.output]


@pytest.mark.requirement("stream:tools:replay")
@given(turns())
@settings(max_examples=150, deadline=None)
def test_one_item_is_open_at_a_time(batches: list[list[Delta]]) -> None:
    _, groups = composed(batches)
    open_now: set[int] = set()
    for event in (event for group in groups for event in group):
        if isinstance(event, OutputItemAdded):
            assert not open_now
            open_now.add(event.output_index)
        elif isinstance(event, Done):
            open_now.remove(event.output_index)
    assert not open_now


@pytest.mark.requirement("stream:tools:resume")
@given(turns(), st.data())
@settings(max_examples=200, deadline=None)
def test_a_log_of_tools_items_can_be_gone_on_with_wherever_it_ends(
    batches: list[list[Delta]], data: st.DataObject
) -> None:
    _, groups = composed(batches)
    keep = data.draw(st.integers(1, len(groups)))
    log = opened(logged([event for group in groups[:keep] for event in group]))
    gate = Gate(response())
    gate.again(log)
    cut_open_items(gate, log)
    under_way = call_under_way(gate, log)
    composer = Composer(gate, ItemIds(RESPONSE_ID, 500))
    composer.after(gate.response.output)
    if under_way is not None:
        assert under_way.arguments == json.dumps(ARGUMENTS["srv__do"])
        composer.reopen(under_way, len(gate.response.output))
        composer.conclude(output="did it")
        last = gate.response.output[-1]
        assert isinstance(last, McpCall) and (last.status, last.output) == ("completed", "did it")
    composer.feed([Text("on")])
    composer.close(cut=False)
    stored = finished(gate)
    assert fold([*log, *gate.take()]) == stored
    assert not gate.open_items()


@pytest.mark.requirement("stream:tools:answered")
def test_what_is_said_after_a_call_of_ours_waits_for_its_answer() -> None:
    calls: list[Delta] = [
        CallStart(0, "function", "srv__do"),
        CallArguments(0, "{}"),
        CallStart(1, "function", "srv__do"),
        CallArguments(1, '{"n": 1}'),
        Text("done?"),
    ]
    gate, groups = composed([calls])
    kinds = [
        (item.__struct_config__.tag, getattr(item, "output", "")) for item in gate.response.output
    ]
    assert kinds == [
        ("mcp_call", "did {}"),
        ("mcp_call", 'did {"n": 1}'),
        ("message", ""),
    ]
    assert len([group for group in groups if group]) == 5  # opened, asked, answered twice, said


@pytest.mark.requirement("stream:tools:listing")
@pytest.mark.parametrize("error", [None, "it did not answer"])
def test_a_listing_of_tools_replays(error: str | None) -> None:
    gate = Gate(response())
    composer = Composer(gate, ItemIds(RESPONSE_ID))
    gate.emit(Created(response=gate.response))
    gate.emit(InProgress(response=gate.response))
    composer.listing("srv")
    tools = [] if error else [{"name": "do", "input_schema": {}}]
    item = McpListTools("srv", tools)
    if error:
        item.error = error
    composer.listed(item)
    composer.approved("mcpr_1", Answered("srv", "do"), '{"a": 1}')
    composer.conclude(output="yes")
    stored = finished(gate)
    assert [e.sequence_number for e in replay(stored, None)] == list(range(gate.number))
    called = stored.output[1]
    assert isinstance(called, McpCall)
    assert (called.approval_request_id, called.output) == ("mcpr_1", "yes")


@pytest.mark.requirement("stream:tools:nonsense")
@pytest.mark.parametrize("text", ["[1]", "{", '{"commands": 1}', "{}"])
def test_a_call_that_says_nothing_is_the_models_fault(text: str) -> None:
    asked: list[Delta] = [CallStart(0, "function", "shell"), CallArguments(0, text)]
    with pytest.raises(RemoteError):
        composed([asked])
    gate, _ = composed([asked], cut=True)
    left: list[OutputItem] = gate.response.output
    assert left == []


@pytest.mark.requirement("stream:tools:odd")
@pytest.mark.parametrize(
    ("name", "text", "field", "said"),
    [
        ("shell", '{"commands": ["\\ud83d"]}', "action", {"commands": ["\ufffd"]}),
        ("shell", '{"commands": ["\\uD83D\\uDE00"]}', "action", {"commands": ["\U0001f600"]}),
        (
            "shell",
            '{"commands": ["ls"], "timeout_ms": 5.0}',
            "action",
            {"commands": ["ls"], "timeout_ms": 5},
        ),
        (
            "apply_patch",
            '{"type": "create_file", "path": "a", "diff": "+\\uDE00"}',
            "operation",
            {"type": "create_file", "path": "a", "diff": "+\ufffd"},
        ),
    ],
)
def test_arguments_written_oddly_become_an_item_that_can_be_kept(
    name: str, text: str, field: str, said: Any
) -> None:
    gate, _ = composed([[CallStart(0, "function", name), CallArguments(0, text)]])
    (item,) = gate.response.output
    assert msgspec.json.decode(msgspec.json.encode(item))[field] == said


@pytest.mark.requirement("stream:tools:stages")
@pytest.mark.parametrize(("begun", "ended"), HOSTED)
def test_a_hosted_call_has_all_its_stages_in_order(begun: HostedCall, ended: HostedCall) -> None:
    _, groups = composed([[ItemStart(begun)], [ItemEnd(ended)]])
    told = [name_of(type(event)).rpartition(".")[2] for event in groups[1] + groups[2]]
    middle = [stage for stage in told if stage not in ("added", "done", "delta")]
    expected = [name_of(stage).rpartition(".")[2] for stage in STAGES[begun.__struct_config__.tag]]
    if ended.status != "completed":
        expected.pop()
    assert middle == [stage for stage in expected if stage != "done"]


@pytest.mark.requirement("stream:tools:stages-cut")
@pytest.mark.parametrize("begun", [begun for begun, _ in HOSTED])
@pytest.mark.parametrize("taken_over", [False, True])
def test_a_hosted_call_that_is_cut_stays_what_it_is(begun: HostedCall, taken_over: bool) -> None:
    cuts = Cuts()
    batches: list[list[Delta]] = [[ItemStart(begun)]]
    if isinstance(begun, CodeInterpreterCall):
        batches.append([ItemStage(code="pri"), ItemStage(code="nt")])
    if taken_over:
        first = Composer(before := Gate(response()), ItemIds(RESPONSE_ID))
        before.emit(Created(response=before.response))
        before.emit(InProgress(response=before.response))
        for batch in batches:
            first.feed(batch)
        log = before.take()
        gate = Gate(response(), cuts=cuts)
        gate.again(log)
        cut_open_items(gate, log)
        events = [*log, *gate.take()]
    else:
        gate, groups = composed(batches, cut=True, cuts=cuts)
        events = [event for group in groups for event in group]
    (item,) = gate.response.output
    assert type(item) is type(begun)
    assert item.status == ("failed" if isinstance(item, ImageGenerationCall) else "incomplete")
    if isinstance(item, CodeInterpreterCall):
        assert item.code == "print"
    stored = finished(gate)
    again = replay(stored, unpacked(cuts.packed()))
    assert [msgspec.json.encode(e) for e in again] == [
        msgspec.json.encode(e) for e in [*events, *gate.take()]
    ]
