"""A log of events, and a response that goes on where its log ends.

A background response is made from its log: what was logged has been seen, so whoever takes it
over lets the logged events pass through a new gate, closes the item that was open, and goes on
with the next numbers. The log holds every event but the terminal one.

A log is JSON, one event per line.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Union

import msgspec

from antiphon.stream.fold import OpenItem
from antiphon.stream.forms import cut
from antiphon.stream.gate import Gate
from antiphon.stream.grammar import ADDED, CALLING, CLOSING, PART, SUMMED, SUMMING
from antiphon.stream.whole import text_done
from antiphon.types.base import UNSET, given
from antiphon.types.content import OutputText, ReasoningText, Refusal, SummaryText
from antiphon.types.events import (
    ContentPartAdded,
    ContentPartDone,
    CustomToolCallInputDone,
    Event,
    FunctionCallArgumentsDone,
    OutputItemAdded,
    OutputItemDone,
    SummaryPartDone,
    SummaryTextDone,
)
from antiphon.types.items import (
    CustomToolCall,
    FunctionCall,
    OutputItem,
    OutputMessage,
    Reasoning,
)
from antiphon.types.tool_events import (
    STAGES,
    CodeDone,
    McpCallArgumentsDone,
    McpCallInProgress,
    McpListToolsFailed,
    McpListToolsInProgress,
)
from antiphon.types.tool_items import (
    CodeInterpreterCall,
    FileSearchCall,
    HostedCall,
    ImageGenerationCall,
    McpCall,
    McpListTools,
    WebSearchCall,
)


def _leaves(kind: type[Event]) -> Iterator[type[Event]]:
    inner = kind.__subclasses__()
    if not inner:
        yield kind
    for one in inner:
        yield from _leaves(one)


_encoder = msgspec.json.Encoder()
_decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(
    Union[tuple(_leaves(Event))]  # noqa: UP007  (made, not written)
)


def logged(events: Sequence[Event]) -> bytes:
    """The events as lines of a log."""
    return _encoder.encode_lines(events)


def opened(lines: bytes) -> list[Event]:
    """The events of some lines of a log."""
    events: list[Event] = _decoder.decode_lines(lines)
    return events


def call_under_way(gate: Gate, log: Sequence[Event]) -> McpCall | None:
    """The call that was being made where ``log`` ends, and of which nothing is known."""
    for item in gate.open_items():
        if item.state == CALLING:
            (added,) = [
                event.item
                for event in log
                if isinstance(event, OutputItemAdded) and event.output_index == item.index
            ]
            assert isinstance(added, McpCall)
            return msgspec.structs.replace(added, arguments=item.text)
    return None


def cut_open_items(gate: Gate, log: Sequence[Event]) -> None:
    """Close what is open after ``log`` has passed through the gate, as ``incomplete``: whoever
    made it is gone. The same events would have come had the model been stopped there. (A call the
    server was making stays open: ``call_under_way``.)"""
    for item in gate.open_items():
        own = [event for event in log if getattr(event, "output_index", -1) == item.index]
        added = next(event.item for event in own if isinstance(event, OutputItemAdded))
        at: dict[str, Any] = {"item_id": item.id, "output_index": item.index}
        done: OutputItem
        match added:
            case OutputMessage() | Reasoning():
                parts: list[Any] = [e.part for e in own if isinstance(e, ContentPartDone)]
                parts += _cut_part(gate, item, own, at)
                shown = parts if given(added.content) else UNSET
                done = msgspec.structs.replace(added, content=shown, status="incomplete")
                if isinstance(done, Reasoning):
                    done.summary = _cut_summary(gate, item, own, at)
            case FunctionCall():
                if item.state == ADDED:
                    gate.emit(FunctionCallArgumentsDone(**at, name=added.name, arguments=item.text))
                done = msgspec.structs.replace(added, arguments=item.text, status="incomplete")
            case CustomToolCall():
                if item.state == ADDED:
                    gate.emit(CustomToolCallInputDone(**at, input=item.text))
                done = msgspec.structs.replace(added, input=item.text, status="incomplete")
            case McpCall():
                if item.state == CALLING:
                    continue  # it was made: whoever goes on has to know what came of it
                if item.state == ADDED:
                    gate.emit(McpCallInProgress(**at))
                gate.emit(McpCallArgumentsDone(**at, arguments=item.text))
                done = msgspec.structs.replace(added, arguments=item.text, status="incomplete")
            case McpListTools():
                if item.state == ADDED:
                    gate.emit(McpListToolsInProgress(**at))
                if item.state != CLOSING:
                    gate.emit(McpListToolsFailed(**at))
                done = msgspec.structs.replace(added, error="The listing was interrupted.")
            case WebSearchCall() | FileSearchCall() | CodeInterpreterCall() | ImageGenerationCall():
                done = _cut_hosted(gate, item, added, own)
            case _:
                done = added  # its events are one group, so this is a log cut by hand
        gate.emit(OutputItemDone(output_index=item.index, item=done))


def _cut_hosted(gate: Gate, item: OpenItem, added: HostedCall, own: Sequence[Event]) -> HostedCall:
    """The call with all its stages but the last: a replay knows nothing but the item."""
    stages = STAGES[item.type]
    told = sum(isinstance(event, stages) for event in own)
    for stage in stages[told:-1]:
        more = {"code": item.text} if stage is CodeDone else {}
        gate.emit(stage(item_id=item.id, output_index=item.index, **more))
    return cut(added, item.text)


def _cut_summary(
    gate: Gate, item: OpenItem, own: Sequence[Event], at: dict[str, Any]
) -> list[SummaryText]:
    """The parts of a reasoning item's summary, the open one closed."""
    parts = [event.part for event in own if isinstance(event, SummaryPartDone)]
    if item.state in (SUMMING, SUMMED):
        part = SummaryText(item.text)
        at = {**at, "summary_index": item.summaries}
        if item.state == SUMMING:
            gate.emit(SummaryTextDone(**at, text=part.text))
        gate.emit(SummaryPartDone(**at, part=part))
        parts.append(part)
    return parts


def _cut_part(gate: Gate, item: OpenItem, own: Sequence[Event], at: dict[str, Any]) -> list[Any]:
    """The open part of the item, closed; none if no part is open."""
    if item.state not in (PART, CLOSING):
        return []
    begun = [event.part for event in own if isinstance(event, ContentPartAdded)][-1]
    at = {**at, "content_index": item.parts}
    part: OutputText | Refusal | ReasoningText
    match begun:
        case OutputText():
            logprobs = list(item.logprobs) if given(begun.logprobs) else UNSET
            part = OutputText(item.text, annotations=list(item.annotations), logprobs=logprobs)
        case Refusal():
            part = Refusal(item.text)
        case _:
            part = ReasoningText(item.text)
    if item.state == PART:
        gate.emit(text_done(part, at))
    gate.emit(ContentPartDone(**at, part=part))
    return [part]
