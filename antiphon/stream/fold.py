"""Events folded into a response: what a reader knows after having read them.

``Fold`` is the state after some events; the gate keeps one while it emits, and ``fold`` builds
one from events alone. Both therefore say the same, which is what makes the streamed answer,
the plain answer, the stored row and a replay four views of one thing.

A fold trusts deltas, not the texts repeated in ``*.done`` events: those are compared with what
was folded, and a difference is a ``LocalProtocolError``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from copy import copy
from typing import Any

from antiphon.errors import LocalProtocolError
from antiphon.stream.grammar import ADDED
from antiphon.types.content import Logprob
from antiphon.types.events import (
    AnnotationAdded,
    Compacting,
    ContentPartAdded,
    ContentPartDone,
    CustomToolCallInputDelta,
    CustomToolCallInputDone,
    Event,
    FunctionCallArgumentsDelta,
    FunctionCallArgumentsDone,
    Lifecycle,
    OutputItemAdded,
    OutputItemDone,
    OutputTextDelta,
    OutputTextDone,
    ReasoningTextDelta,
    ReasoningTextDone,
    RefusalDelta,
    RefusalDone,
    SummaryPartAdded,
    SummaryPartDone,
    SummaryTextDelta,
    SummaryTextDone,
)
from antiphon.types.response import Response
from antiphon.types.tool_events import (
    CodeDelta,
    CodeDone,
    McpCallArgumentsDelta,
    McpCallArgumentsDone,
    ShellEvent,
    Stage,
)


class OpenItem:
    """An item between its ``added`` and its ``done``.

    ``pieces`` are the deltas of the open part (or of the call); ``parts`` counts the closed ones,
    ``summaries`` those of a summary.
    ``flow`` is the class of the deltas known to be legal now (the gate's).
    """

    __slots__ = (
        "annotations",
        "flow",
        "id",
        "index",
        "logprobs",
        "part",
        "parts",
        "pieces",
        "state",
        "summaries",
        "type",
    )

    def __init__(self, index: int, type: str, id: str) -> None:
        self.index = index
        self.type = type
        self.id = id
        self.state = ADDED
        self.flow: Any = None
        self.part: str | None = None
        self.parts = 0
        self.summaries = 0
        self.pieces: list[str] = []
        self.logprobs: list[Logprob] = []
        self.annotations: list[dict[str, Any]] = []

    @property
    def text(self) -> str:
        """The pieces joined; once, because closing a part asks more than once."""
        if len(self.pieces) != 1:
            self.pieces = ["".join(self.pieces)]
        return self.pieces[0]


class Fold:
    """The response and its open items after the events applied so far."""

    __slots__ = ("open", "response")

    def __init__(self, response: Response) -> None:
        self.response = response
        self.open: dict[int, OpenItem] = {}

    def apply(self, event: Event) -> None:
        """Take one event in. Raises ``LocalProtocolError`` if it contradicts the ones before."""
        _APPLY[type(event)](self, event)

    def _added(self, event: OutputItemAdded) -> None:
        if event.output_index != len(self.response.output) + len(self.open):
            raise LocalProtocolError(f"output_index {event.output_index} is not the next one")
        item = event.item
        kind = str(item.__struct_config__.tag)
        self.open[event.output_index] = OpenItem(event.output_index, kind, str(item.id))

    def _done(self, event: OutputItemDone) -> None:
        item = self.open.pop(event.output_index)
        if item.id != event.item.id:
            raise LocalProtocolError(f"item {item.id} was closed as {event.item.id}")
        if event.output_index != len(self.response.output):
            raise LocalProtocolError(f"item {item.id} was closed out of order")
        self.response.output.append(event.item)

    def _part_added(self, event: ContentPartAdded) -> None:
        item = self.open[event.output_index]
        item.part = str(event.part.__struct_config__.tag)
        item.pieces = []
        item.logprobs = []
        item.annotations = []

    def _part_done(self, event: ContentPartDone) -> None:
        item = self.open[event.output_index]
        item.part = None
        item.parts += 1

    def _summary_added(self, event: SummaryPartAdded) -> None:
        item = self.open[event.output_index]
        item.part = str(event.part.__struct_config__.tag)
        item.pieces = []

    def _summary_done(self, event: SummaryPartDone) -> None:
        item = self.open[event.output_index]
        item.part = None
        item.summaries += 1

    def _piece(self, event: Any) -> None:
        self.open[event.output_index].pieces.append(event.delta)

    def _text_piece(self, event: OutputTextDelta) -> None:
        item = self.open[event.output_index]
        item.pieces.append(event.delta)
        if event.logprobs:
            item.logprobs.extend(event.logprobs)

    def _annotation(self, event: AnnotationAdded) -> None:
        self.open[event.output_index].annotations.append(event.annotation)

    def _same(self, event: Any, text: str) -> None:
        if self.open[event.output_index].text != text:
            raise LocalProtocolError(f"{type(event).__name__} does not repeat its deltas")

    def renew(self, response: Response) -> None:
        """Take a newer snapshot: everything of it but its output, which is folded here."""
        if response is self.response:
            return
        if response.id != self.response.id:
            raise LocalProtocolError(f"an event carries response {response.id}")
        output = self.response.output
        self.response = copy(response)
        self.response.output = output

    def _lifecycle(self, event: Lifecycle) -> None:
        self.renew(event.response)


def fold(events: Iterable[Event]) -> Response:
    """Rebuild the response from its events (the first one is ``response.created``).

    ``output`` comes from the item events alone; everything else from the newest snapshot.
    """
    state: Fold | None = None
    for event in events:
        if state is None:
            if not isinstance(event, Lifecycle):
                raise LocalProtocolError("a stream begins with response.created")
            first = copy(event.response)
            first.output = []
            state = Fold(first)
        state.apply(event)
    if state is None:
        raise LocalProtocolError("no events to fold")
    return state.response


_APPLY: dict[type[Event], Callable[[Fold, Any], None]] = {
    OutputItemAdded: Fold._added,
    OutputItemDone: Fold._done,
    ContentPartAdded: Fold._part_added,
    ContentPartDone: Fold._part_done,
    OutputTextDelta: Fold._text_piece,
    RefusalDelta: Fold._piece,
    ReasoningTextDelta: Fold._piece,
    SummaryPartAdded: Fold._summary_added,
    SummaryPartDone: Fold._summary_done,
    SummaryTextDelta: Fold._piece,
    SummaryTextDone: lambda self, event: self._same(event, event.text),
    FunctionCallArgumentsDelta: Fold._piece,
    CustomToolCallInputDelta: Fold._piece,
    McpCallArgumentsDelta: Fold._piece,
    CodeDelta: Fold._piece,
    AnnotationAdded: Fold._annotation,
    Compacting: lambda self, event: None,
    OutputTextDone: lambda self, event: self._same(event, event.text),
    RefusalDone: lambda self, event: self._same(event, event.refusal),
    ReasoningTextDone: lambda self, event: self._same(event, event.text),
    FunctionCallArgumentsDone: lambda self, event: self._same(event, event.arguments),
    CustomToolCallInputDone: lambda self, event: self._same(event, event.input),
    McpCallArgumentsDone: lambda self, event: self._same(event, event.arguments),
    CodeDone: lambda self, event: self._same(event, event.code),
}
for _quiet in (*Stage.__subclasses__(), *ShellEvent.__subclasses__()):
    _APPLY[_quiet] = lambda self, event: None
for _lifecycle in Lifecycle.__subclasses__():
    _APPLY[_lifecycle] = Fold._lifecycle
