"""A message that is there as a whole, as the events a reader sees.

The grammar leaves no choice: a message of one text part is opened, its part is opened, the
deltas follow, and part and message are closed. These are the events that come out when the
composer makes it piece by piece; making them in one step costs a fraction of that.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from antiphon.types.content import OutputText
from antiphon.types.events import (
    ContentPartAdded,
    ContentPartDone,
    Event,
    OutputItemAdded,
    OutputItemDone,
    OutputTextDelta,
    OutputTextDone,
)
from antiphon.types.items import OutputMessage

EVENTS_AROUND_DELTAS = 5


def spelled(item: OutputMessage, texts: Sequence[str], index: int, number: int) -> list[Event]:
    """The events of ``item`` at ``index``, its one part cut into ``texts``, from ``number`` on."""
    part = cast("OutputText", item.content[0])
    begun = OutputMessage(item.id, "in_progress", [], item.role, item.phase)
    at, end = number + 2, number + 2 + len(texts)
    return [
        OutputItemAdded(sequence_number=number, output_index=index, item=begun),
        ContentPartAdded(
            sequence_number=number + 1,
            item_id=item.id,
            output_index=index,
            content_index=0,
            part=OutputText(""),
        ),
        *(
            OutputTextDelta(
                sequence_number=place,
                item_id=item.id,
                output_index=index,
                content_index=0,
                delta=text,
            )
            for place, text in enumerate(texts, at)
        ),
        OutputTextDone(
            sequence_number=end,
            item_id=item.id,
            output_index=index,
            content_index=0,
            text=part.text,
        ),
        ContentPartDone(
            sequence_number=end + 1,
            item_id=item.id,
            output_index=index,
            content_index=0,
            part=part,
        ),
        OutputItemDone(sequence_number=end + 2, output_index=index, item=item),
    ]
