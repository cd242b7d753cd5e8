"""The one gate: every event of a response goes through here.

Rules. Nothing reaches a reader, a socket or the store that did not pass here. The gate checks
what happens against ``grammar.py``, gives it the next number, folds it into the snapshot and
keeps the event until it is taken; it never drops or reorders one. An illegal event is our own
bug and raises ``LocalProtocolError`` before anything has changed.

Three kinds of steps are so frequent that they are told instead of made, checked once, and only
spelled as events if somebody will take them: a lifecycle event (``tell``), deltas that differ
in nothing but their text (``pieces``), and an item that is there as a whole (``whole``).

Numbers are dense from 0 and are never reused: they are the cursor of every later replay.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from copy import copy
from typing import Any, get_args

from antiphon.errors import LocalProtocolError
from antiphon.stream.cuts import Cuts
from antiphon.stream.fold import Fold, OpenItem
from antiphon.stream.grammar import ITEMS, LIFE, NEW, OVER, PART_OF_DELTA, QUEUED, RUNNING
from antiphon.stream.whole import EVENTS_AROUND_DELTAS, spelled
from antiphon.types.events import (
    ContentPartDone,
    Delta,
    Event,
    ItemEvent,
    Lifecycle,
    OutputItemAdded,
    OutputItemDone,
    PartEvent,
    SummaryEvent,
    SummaryTextDelta,
)
from antiphon.types.items import OutputMessage, Reasoning
from antiphon.types.response import Response
from antiphon.types.tool_events import CodeDelta, McpCallArgumentsDelta

_LIFECYCLE = frozenset(Lifecycle.__subclasses__())
_DELTAS = frozenset({*get_args(Delta), McpCallArgumentsDelta, CodeDelta})
_PART_EVENTS = frozenset(PartEvent.__subclasses__())
_SUMMARY_EVENTS = frozenset(SummaryEvent.__subclasses__())


class Gate:
    """Checks, numbers and folds the events of one response.

    ``response`` is the live snapshot: the object given, which changes as events pass. ``number``
    is the next sequence number, and so also how many events have passed. ``read`` False: nobody
    takes the events, so none is kept. ``cuts`` gets to know every delta.
    """

    __slots__ = ("_cuts", "_fold", "_last", "_passed", "_read", "_state", "number")

    def __init__(self, response: Response, *, read: bool = True, cuts: Cuts | None = None) -> None:
        self._cuts = cuts
        self._fold = Fold(response)
        self._last: OpenItem | None = None  # that pieces were told of
        self._state = NEW
        self._read = read
        self._passed: list[Event] = []
        self.number = 0

    @property
    def response(self) -> Response:
        return self._fold.response

    @property
    def over(self) -> bool:
        """True once the terminal event has passed."""
        return self._state == OVER

    @property
    def queued(self) -> bool:
        """True while the response waits for somebody to make it."""
        return self._state == QUEUED

    def open_items(self) -> list[OpenItem]:
        """The items between their ``added`` and their ``done``."""
        return list(self._fold.open.values())

    def open_item(self, output_index: int) -> OpenItem:
        """The open item at that index (for the composer, which closes it)."""
        return self._fold.open[output_index]

    def emit(self, event: Any) -> None:
        """Let one event pass: it gets its number and waits to be taken."""
        kind = type(event)
        if kind in _LIFECYCLE:
            self.tell(kind, event.response)
            return
        item = self._fold.open.get(event.output_index)
        if item is None:
            self._begin(event)
        else:
            state = ITEMS[item.type].get((item.state, kind))
            if state is None or self._state != RUNNING:
                raise self._illegal(kind, f"item {item.type} is {item.state}")
            if kind is not OutputItemDone:
                self._agree(event, kind, item)
            else:
                self._last = None
            self._fold.apply(event)
            item.state = state
            item.flow = None
            if self._cuts is not None:
                self._cuts.note(event)
        event.sequence_number = self.number
        self.number += 1
        if self._read:
            self._passed.append(event)

    def tell(self, kind: type[Lifecycle], response: Response) -> None:
        """An event of the response itself; ``response`` becomes the live snapshot.

        The event gets a frozen copy: what was emitted must not change when the response goes
        on. After the terminal event nothing changes any more.
        """
        state = LIFE.get((self._state, kind))
        if state is None:
            raise self._illegal(kind, f"response is {self._state}")
        if state == OVER and self._fold.open:
            raise self._illegal(kind, "an item is still open")
        self._fold.renew(response)
        self._state = state
        if self._read:
            if state != OVER:
                response = copy(response)
                response.output = list(response.output)
            self._passed.append(kind(sequence_number=self.number, response=response))
        self.number += 1

    def pieces(
        self, kind: type[Any], item_id: str, index: int, part: int, texts: Sequence[str]
    ) -> None:
        """Deltas of one class at one place, at least one; ``part`` is 0 in a call.

        They differ in their number and text only, so what holds for one holds for all.
        """
        item = self._last
        if item is None or item.index != index:
            item = self._last = self._fold.open.get(index)
        if (
            item is None
            or item.id != item_id
            or (item.summaries if kind is SummaryTextDelta else item.parts) != part
            or not (item.flow is kind or self._flows(item, kind))
        ):
            raise self._illegal(kind, f"part {part} of {item_id} is not open for it")
        item.pieces += texts
        if self._cuts is not None:
            self._cuts.pieces(texts)
        number = self.number
        self.number = number + len(texts)
        if not self._read:
            return
        passed = self._passed
        if item.part is None:
            for text in texts:
                passed.append(
                    kind(sequence_number=number, item_id=item_id, output_index=index, delta=text)
                )
                number += 1
            return
        if kind is SummaryTextDelta:
            at: dict[str, Any] = {"item_id": item_id, "output_index": index, "summary_index": part}
            passed += [kind(sequence_number=n, delta=t, **at) for n, t in enumerate(texts, number)]
            return
        for text in texts:
            passed.append(
                kind(
                    sequence_number=number,
                    item_id=item_id,
                    output_index=index,
                    content_index=part,
                    delta=text,
                )
            )
            number += 1

    def _flows(self, item: OpenItem, kind: type[Event]) -> bool:
        """Whether any number of such deltas may come now; known until an event changes that."""
        state = item.state
        if (
            self._state != RUNNING
            or item.part != PART_OF_DELTA.get(kind)
            or ITEMS[item.type].get((state, kind)) != state
        ):
            return False
        item.flow = kind
        return True

    def whole(self, item: OutputMessage | Reasoning, texts: Sequence[str]) -> None:
        """An item of one text part from its beginning to its end; ``texts`` are its deltas."""
        index = len(self._fold.response.output)
        if self._state != RUNNING or self._fold.open:
            raise self._illegal(OutputItemAdded, f"response is {self._state}, or an item is open")
        if self._read:
            self._passed += spelled(item, texts, index, self.number)
        self._fold.response.output.append(item)
        if self._cuts is not None:
            self._cuts.pieces(texts)
        self.number += EVENTS_AROUND_DELTAS + len(texts)

    def again(self, log: Iterable[Event]) -> None:
        """Let events pass that a gate before this one let pass, from the first on. Nobody takes
        them a second time; the response keeps what it says of itself, but for its output."""
        read, self._read = self._read, False
        for event in log:
            number = event.sequence_number
            kind: type[Any] = type(event)
            if number != self.number:
                raise self._illegal(kind, f"the log has {number} where {self.number} is next")
            if kind in _LIFECYCLE:
                self.tell(kind, self.response)
            elif kind in _DELTAS and not getattr(event, "logprobs", ()):
                self._piece_again(kind, event)
            else:
                self.emit(event)
        self._read = read

    def _piece_again(self, kind: type[Any], event: Any) -> None:
        part = getattr(event, "content_index", getattr(event, "summary_index", 0))
        self.pieces(kind, event.item_id, event.output_index, part, [event.delta])

    def take(self) -> list[Event]:
        """The events that passed since the last time. What passed is never lost: whoever fails
        in the middle of making events leaves those before the failure here."""
        passed, self._passed = self._passed, []
        return passed

    def _begin(self, event: Event) -> None:
        """The birth of an item."""
        state = LIFE.get((self._state, type(event)))
        if state is None:
            raise self._illegal(type(event), f"response is {self._state}")
        if isinstance(event, OutputItemAdded) and event.item.__struct_config__.tag not in ITEMS:
            raise self._illegal(type(event), "no grammar for this item")
        self._fold.apply(event)

    def _agree(self, event: Any, kind: type[Event], item: OpenItem) -> None:
        """Ids, part numbers and part kinds must be those of the open item."""
        if isinstance(event, ItemEvent) and event.item_id != item.id:
            raise self._illegal(kind, f"open item is {item.id}")
        if kind in _SUMMARY_EVENTS and event.summary_index != item.summaries:
            raise self._illegal(kind, f"open summary part is {item.summaries}")
        if kind not in _PART_EVENTS:
            return
        if event.content_index != item.parts:
            raise self._illegal(kind, f"open part is {item.parts}")
        part = PART_OF_DELTA.get(kind)
        if kind is ContentPartDone:
            part = event.part.__struct_config__.tag
        if part is not None and part != item.part:
            raise self._illegal(kind, f"open part is {item.part}")

    def _illegal(self, kind: type[Event], why: str) -> LocalProtocolError:
        return LocalProtocolError(f"{kind.__name__} is illegal: {why}")
