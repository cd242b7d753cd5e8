"""The stream events of one response (Responses API: streaming events).

Every event carries ``type`` (the tag) and ``sequence_number``; the gate fills the number, so
an event is built with the default -1 and never leaves the process with it.
"""

from __future__ import annotations

from typing import Any

from antiphon.types.base import UNSET, UnsetType, Wire
from antiphon.types.content import Logprob, OutputPart, SummaryText
from antiphon.types.items import OutputItem
from antiphon.types.response import Response


class Event(Wire, tag_field="type", kw_only=True):
    """Base of all events; the tag is the event's name on the wire."""

    sequence_number: int = -1


class Lifecycle(Event, kw_only=True):
    """Carries a full snapshot of the response."""

    response: Response


class Created(Lifecycle, tag="response.created", kw_only=True):
    pass


class Queued(Lifecycle, tag="response.queued", kw_only=True):
    pass


class InProgress(Lifecycle, tag="response.in_progress", kw_only=True):
    pass


class Completed(Lifecycle, tag="response.completed", kw_only=True):
    pass


class Failed(Lifecycle, tag="response.failed", kw_only=True):
    pass


class Incomplete(Lifecycle, tag="response.incomplete", kw_only=True):
    pass


class OutputItemAdded(Event, tag="response.output_item.added", kw_only=True):
    output_index: int
    item: OutputItem


class OutputItemDone(Event, tag="response.output_item.done", kw_only=True):
    output_index: int
    item: OutputItem


class ItemEvent(Event, kw_only=True):
    """An event inside an item."""

    item_id: str
    output_index: int


class PartEvent(ItemEvent, kw_only=True):
    """An event inside a content part."""

    content_index: int


class ContentPartAdded(PartEvent, tag="response.content_part.added", kw_only=True):
    part: OutputPart


class ContentPartDone(PartEvent, tag="response.content_part.done", kw_only=True):
    part: OutputPart


class OutputTextDelta(PartEvent, tag="response.output_text.delta", kw_only=True):
    delta: str
    logprobs: list[Logprob] = []
    obfuscation: str | UnsetType = UNSET


class OutputTextDone(PartEvent, tag="response.output_text.done", kw_only=True):
    text: str
    logprobs: list[Logprob] = []


class AnnotationAdded(PartEvent, tag="response.output_text.annotation.added", kw_only=True):
    annotation_index: int
    annotation: dict[str, Any]


class RefusalDelta(PartEvent, tag="response.refusal.delta", kw_only=True):
    delta: str
    obfuscation: str | UnsetType = UNSET


class RefusalDone(PartEvent, tag="response.refusal.done", kw_only=True):
    refusal: str


class ReasoningTextDelta(PartEvent, tag="response.reasoning_text.delta", kw_only=True):
    delta: str
    obfuscation: str | UnsetType = UNSET


class ReasoningTextDone(PartEvent, tag="response.reasoning_text.done", kw_only=True):
    text: str


class SummaryEvent(ItemEvent, kw_only=True):
    """An event inside a part of a reasoning item's summary."""

    summary_index: int


class SummaryPartAdded(SummaryEvent, tag="response.reasoning_summary_part.added", kw_only=True):
    part: SummaryText


class SummaryPartDone(SummaryEvent, tag="response.reasoning_summary_part.done", kw_only=True):
    part: SummaryText


class SummaryTextDelta(SummaryEvent, tag="response.reasoning_summary_text.delta", kw_only=True):
    delta: str
    obfuscation: str | UnsetType = UNSET


class SummaryTextDone(SummaryEvent, tag="response.reasoning_summary_text.done", kw_only=True):
    text: str


class FunctionCallArgumentsDelta(
    ItemEvent, tag="response.function_call_arguments.delta", kw_only=True
):
    delta: str
    obfuscation: str | UnsetType = UNSET


class FunctionCallArgumentsDone(
    ItemEvent, tag="response.function_call_arguments.done", kw_only=True
):
    name: str
    arguments: str


class CustomToolCallInputDelta(
    ItemEvent, tag="response.custom_tool_call_input.delta", kw_only=True
):
    delta: str
    obfuscation: str | UnsetType = UNSET


class CustomToolCallInputDone(ItemEvent, tag="response.custom_tool_call_input.done", kw_only=True):
    input: str


class Compacting(ItemEvent, tag="response.compaction.compacting", kw_only=True):
    """A summary was sampled for this compaction item; it says nothing of what is in it."""


Delta = (
    OutputTextDelta
    | RefusalDelta
    | ReasoningTextDelta
    | SummaryTextDelta
    | FunctionCallArgumentsDelta
    | CustomToolCallInputDelta
)
TERMINAL_EVENTS = (Completed, Failed, Incomplete)


def name_of(event: type[Event]) -> str:
    """The event's name on the wire, e.g. ``response.output_text.delta``."""
    return str(event.__struct_config__.tag)
