"""An item that is there as a whole, as the events a reader sees.

The grammar leaves no choice: an item of one part is opened, its part is opened, the deltas
follow, and part and item are closed. These are the events that come out when the composer
makes it piece by piece; making them in one step costs a fraction of that.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from antiphon.stream.deltas import Delta, Text, Thought
from antiphon.types.content import OutputText, ReasoningText, Refusal
from antiphon.types.events import (
    ContentPartAdded,
    ContentPartDone,
    Event,
    OutputItemAdded,
    OutputItemDone,
    OutputTextDelta,
    OutputTextDone,
    ReasoningTextDelta,
    ReasoningTextDone,
    RefusalDone,
)
from antiphon.types.items import OutputItem, OutputMessage, Reasoning

EVENTS_AROUND_DELTAS = 5


def thoughts_and_texts(deltas: Sequence[Delta]) -> tuple[list[str], list[str]] | None:
    """The pieces of a turn that is an answer, perhaps after thoughts; None if it is not."""
    thoughts = [delta.text for delta in deltas if type(delta) is Thought and delta.text]
    texts = [delta.text for delta in deltas if type(delta) is Text and delta.text]
    if len(thoughts) + len(texts) != len(deltas) or not any(texts):
        return None
    if thoughts and Text in map(type, deltas[: len(thoughts)]):
        return None
    return thoughts, texts


def text_done(part: OutputText | Refusal | ReasoningText, at: dict[str, Any]) -> Event:
    """The event that repeats the text of a part when all of it is there."""
    if isinstance(part, OutputText):
        return OutputTextDone(**at, text=part.text, logprobs=part.logprobs or [])
    if isinstance(part, Refusal):
        return RefusalDone(**at, refusal=part.refusal)
    return ReasoningTextDone(**at, text=part.text)


def spelled(
    item: OutputMessage | Reasoning, texts: Sequence[str], index: int, number: int
) -> list[Event]:
    """The events of ``item`` at ``index``, its one part cut into ``texts``, from ``number`` on."""
    empty: OutputText | ReasoningText
    begun: OutputItem
    delta: type[Any]
    done: type[Any]
    if isinstance(item, OutputMessage):
        part: Any = item.content[0]
        begun = OutputMessage(item.id, "in_progress", [], phase=item.phase)
        empty, delta, done = OutputText(""), OutputTextDelta, OutputTextDone
    else:
        part = cast("list[ReasoningText]", item.content)[0]
        begun = Reasoning([], item.id, [], status="in_progress")
        empty, delta, done = ReasoningText(""), ReasoningTextDelta, ReasoningTextDone
    item_id = str(item.id)
    at: dict[str, Any] = {"item_id": item_id, "output_index": index, "content_index": 0}
    end = number + 2 + len(texts)
    return [
        OutputItemAdded(sequence_number=number, output_index=index, item=begun),
        ContentPartAdded(sequence_number=number + 1, part=empty, **at),
        *(
            delta(
                sequence_number=place,
                item_id=item_id,
                output_index=index,
                content_index=0,
                delta=text,
            )
            for place, text in enumerate(texts, number + 2)
        ),
        done(sequence_number=end, text=part.text, **at),
        ContentPartDone(sequence_number=end + 1, part=part, **at),
        OutputItemDone(sequence_number=end + 2, output_index=index, item=item),
    ]
