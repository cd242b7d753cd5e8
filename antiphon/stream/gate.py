"""The one gate: every event of a response goes through ``Gate.emit``.

Rules. Nothing reaches a reader, a socket or the store that did not pass here. The gate checks
the event against ``grammar.py``, gives it the next number, folds it into the snapshot and
keeps it until it is taken; it never invents, drops or reorders one. An illegal event is our own
bug and raises ``LocalProtocolError`` before anything has changed.

Numbers are dense from 0 and are never reused: they are the cursor of every later replay.
"""

from __future__ import annotations

from copy import copy
from typing import Any

from antiphon.errors import LocalProtocolError
from antiphon.stream.fold import Fold, OpenItem
from antiphon.stream.grammar import ITEMS, LIFE, NEW, OVER, PART_OF_DELTA, RUNNING
from antiphon.types.events import (
    ContentPartDone,
    Event,
    Lifecycle,
    OutputItemAdded,
    OutputItemDone,
    PartEvent,
)
from antiphon.types.response import Response


class Gate:
    """Checks, numbers and folds the events of one response.

    ``response`` is the live snapshot. ``number`` is the next sequence number, and so also how
    many events have passed.
    """

    __slots__ = ("_fold", "_passed", "_state", "number")

    def __init__(self, response: Response) -> None:
        self._fold = Fold(response)
        self._state = NEW
        self._passed: list[Event] = []
        self.number = 0

    @property
    def response(self) -> Response:
        return self._fold.response

    @property
    def over(self) -> bool:
        """True once the terminal event has passed."""
        return self._state == OVER

    def open_item(self, output_index: int) -> OpenItem:
        """The open item at that index (for the composer, which closes it)."""
        return self._fold.open[output_index]

    def emit(self, event: Event) -> None:
        """Let one event pass: it gets its number and waits to be taken.

        A lifecycle event gets a frozen copy of its snapshot here: what was emitted must not
        change when the response goes on.
        """
        kind = type(event)
        item = self._fold.open.get(getattr(event, "output_index", -1))
        if item is not None:
            state = ITEMS[item.type].get((item.state, kind))
            if state is None or self._state != RUNNING:
                raise self._illegal(event, f"item {item.type} is {item.state}")
            self._agree(event, item)
            self._fold.apply(event)
            item.state = state
        else:
            self._live(event)
        event.sequence_number = self.number
        self.number += 1
        self._passed.append(event)

    def take(self) -> list[Event]:
        """The events that passed since the last time. What passed is never lost: whoever fails
        in the middle of making events leaves those before the failure here."""
        passed, self._passed = self._passed, []
        return passed

    def _live(self, event: Event) -> None:
        """An event of the response itself, or the birth of an item."""
        state = LIFE.get((self._state, type(event)))
        if state is None:
            raise self._illegal(event, f"response is {self._state}")
        if state == OVER and self._fold.open:
            raise self._illegal(event, "an item is still open")
        if isinstance(event, OutputItemAdded):
            if event.item.__struct_config__.tag not in ITEMS:
                raise self._illegal(event, "no grammar for this item")
        elif isinstance(event, Lifecycle):
            event.response = copy(event.response)
            event.response.output = list(event.response.output)
        self._fold.apply(event)
        self._state = state

    def _agree(self, event: Any, item: OpenItem) -> None:
        """Ids, part numbers and part kinds must be those of the open item."""
        kind = PART_OF_DELTA.get(type(event))  # asked first: nearly every event is a delta
        if kind is None:
            if isinstance(event, OutputItemDone):
                return
            if isinstance(event, ContentPartDone):
                kind = str(event.part.__struct_config__.tag)
        if event.item_id != item.id:
            raise self._illegal(event, f"open item is {item.id}")
        if not isinstance(event, PartEvent):
            return
        if event.content_index != item.parts:
            raise self._illegal(event, f"open part is {item.parts}")
        if kind is not None and kind != item.part:
            raise self._illegal(event, f"open part is {item.part}")

    def _illegal(self, event: Event, why: str) -> LocalProtocolError:
        return LocalProtocolError(f"{type(event).__name__} is illegal: {why}")
