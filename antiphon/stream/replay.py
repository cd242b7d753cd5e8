"""A stored response spelled out again as the events its first reader saw.

Events are not stored: a finished response and the way its deltas were cut determine them. The
same composer and gate run over the same pieces with the recorded ids, so a replay has the same
events with the same numbers as the original stream, for as long as the response is kept.

A response that was not streamed has no record of cuts; nobody saw its events, and its replay has
one delta per part.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from copy import copy
from typing import TypeVar

from antiphon.errors import LocalProtocolError
from antiphon.ids import ItemIds
from antiphon.stream.compose import Composer, Seal
from antiphon.stream.cuts import Cuts
from antiphon.stream.deltas import (
    Annotated,
    CallArguments,
    CallStart,
    Declined,
    Delta,
    ItemEnd,
    ItemStage,
    ItemStart,
    Sealed,
    Summary,
    Text,
    Thought,
)
from antiphon.stream.forms import Answered, Renamed
from antiphon.stream.gate import Gate
from antiphon.types.base import UNSET, UnsetType, given
from antiphon.types.content import OutputText, Refusal
from antiphon.types.events import (
    Completed,
    Created,
    Event,
    Failed,
    Incomplete,
    InProgress,
    Lifecycle,
    Queued,
)
from antiphon.types.items import (
    Compaction,
    CustomToolCall,
    FunctionCall,
    FunctionCallOutput,
    OutputItem,
    OutputMessage,
    Reasoning,
)
from antiphon.types.response import Response
from antiphon.types.tool_items import (
    CodeInterpreterCall,
    FileSearchCall,
    HostedCall,
    ImageGenerationCall,
    McpCall,
    McpListTools,
    WebSearchCall,
)

_T = TypeVar("_T")

TERMINAL_EVENT: dict[str, type[Lifecycle]] = {
    "completed": Completed,
    "incomplete": Incomplete,
    "failed": Failed,
}
"""The last event by status. A cancelled response has none: its stream just ends."""


def opening(response: Response) -> Response:
    """The response as it was when it began."""
    first = copy(response)
    first.status = "in_progress"
    first.completed_at = None
    first.output = []
    first.error = None
    first.incomplete_details = None
    first.usage = None
    return first


def replay(response: Response, cuts: Cuts | None) -> list[Event]:
    """All events of a finished response, numbered from 0 as in the original stream."""
    final = copy(response)
    gate = Gate(opening(response))
    if response.background:
        gate.response.status = "queued"
        gate.tell(Created, gate.response)
        gate.tell(Queued, gate.response)
        gate.response.status = "in_progress"
    else:
        gate.tell(Created, gate.response)
    gate.tell(InProgress, gate.response)
    with_logprobs = any(
        given(part.logprobs)
        for item in response.output
        if isinstance(item, OutputMessage)
        for part in item.content
        if isinstance(part, OutputText)
    )
    ids = _Recorded([str(item.id) for item in response.output])
    composer = Composer(gate, ids, logprobs=with_logprobs)
    pieces = _Pieces(cuts)
    for index, item in enumerate(response.output):
        _compose(composer, item, index, pieces)
    terminal = TERMINAL_EVENT.get(final.status)
    if terminal is not None:
        gate.emit(terminal(response=final))
    return gate.take()


def _compose(composer: Composer, item: OutputItem, index: int, pieces: _Pieces) -> None:
    """One item as its events came about."""
    match item:
        case Compaction():
            composer.compact(item.encrypted_content)
        case FunctionCallOutput():
            composer.answer(item.call_id, item.output)
        case McpListTools():
            composer.listing(item.server_label)
            composer.listed(item)
        case McpCall():
            _compose_mcp(composer, item, index, pieces)
        case WebSearchCall() | FileSearchCall() | CodeInterpreterCall() | ImageGenerationCall():
            composer.feed([ItemStart(item)])
            composer.feed([ItemStage(code=piece or "") for piece in _code(item, pieces)])
            composer.feed([ItemEnd(item)])
        case OutputMessage() | Reasoning() | FunctionCall() | CustomToolCall():
            if isinstance(item, Reasoning):
                composer.seal = _as_sealed(item)
                composer.hides = not given(item.content)
            if isinstance(item, FunctionCall | CustomToolCall):
                composer.forms = {
                    item.name: Renamed(item.name, _or_unset(item.namespace), _or_unset(item.later))
                }
            composer.phase = item.phase if isinstance(item, OutputMessage) else UNSET
            composer.feed(list(_deltas(item, index, pieces)))
            composer.close(cut=item.status == "incomplete", answer=_is_blank(item))
        case _:
            composer.show(item)


def _or_unset(value: _T | UnsetType | None) -> _T | UnsetType:
    return UNSET if value is None else value


def _compose_mcp(composer: Composer, item: McpCall, index: int, pieces: _Pieces) -> None:
    called = Answered(item.server_label, item.name)
    if item.approval_request_id is not None:
        list(pieces.of(item.arguments))  # which were one, and are again
        composer.approved(item.approval_request_id, called, item.arguments)
    else:
        composer.forms = {item.name: called}
        deltas: list[Delta] = [CallStart(index, "function", item.name)]
        deltas += [CallArguments(index, piece or "") for piece in pieces.of(item.arguments)]
        composer.feed(deltas)
        composer.close(cut=item.status == "incomplete" and not item.error, answer=False)
    if composer.answering is None:
        return
    if item.status == "incomplete":
        composer.abandon()
    else:
        composer.conclude(output=item.output, error=item.error)


def _code(item: HostedCall, pieces: _Pieces) -> Iterator[str | None]:
    if isinstance(item, CodeInterpreterCall) and item.code:
        yield from pieces.of(item.code)


def _as_sealed(item: Reasoning) -> Seal | None:
    """Seals as it was sealed."""
    sealed = item.encrypted_content
    return (lambda texts: sealed) if isinstance(sealed, str) else None


def _is_blank(item: OutputItem) -> bool:
    """The empty message that closes a turn in which the model answered nothing."""
    if not isinstance(item, OutputMessage):
        return False
    return all(isinstance(part, OutputText) and not part.text for part in item.content)


class _Recorded(ItemIds):
    """Hands out the ids of the stored items in their order."""

    def __init__(self, ids: Sequence[str]) -> None:
        self._recorded = iter(ids)

    def mint(self, prefix: str) -> str:
        return next(self._recorded)


class _Pieces:
    """Cuts texts as they were cut; without a record, each text is one piece."""

    def __init__(self, cuts: Cuts | None) -> None:
        self._lengths = None if cuts is None else iter(cuts.lengths)
        self._logprobs = iter(cuts.logprobs if cuts is not None else ())

    def of(self, text: str, annotations: int = 0) -> Iterator[str | None]:
        """The pieces of one text; None where an annotation was added."""
        if self._lengths is None:
            if text:
                yield text
            yield from [None] * annotations
            return
        at = 0
        while at < len(text) or annotations:
            length = next(self._lengths, None)
            if length is None:
                raise LocalProtocolError("the recorded cuts do not reach the end of the text")
            if length:
                yield text[at : at + length]
                at += length
            else:
                annotations -= 1
                yield None

    def logprob_count(self, left: int) -> int:
        return left if self._lengths is None else next(self._logprobs, 0)


def _deltas(item: OutputItem, index: int, pieces: _Pieces) -> Iterator[Delta]:
    if isinstance(item, FunctionCall | CustomToolCall):
        kind, text = (
            ("function", item.arguments)
            if isinstance(item, FunctionCall)
            else ("custom", item.input)
        )
        yield CallStart(index=index, kind=kind, name=item.name, call_id=item.call_id)  # type: ignore[arg-type]
        for piece in pieces.of(text):
            yield CallArguments(index=index, text=piece or "")
    elif isinstance(item, OutputMessage):
        for part in item.content:
            if isinstance(part, Refusal):
                yield from (Declined(piece or "") for piece in pieces.of(part.refusal))
            else:
                yield from _text(part, pieces)
    elif isinstance(item, Reasoning):
        yield from _reasoning(item, pieces)


def _reasoning(item: Reasoning, pieces: _Pieces) -> Iterator[Delta]:
    for part, summary in enumerate(item.summary or ()):
        yield from (Summary(piece or "", part) for piece in pieces.of(summary.text))
    if not isinstance(item.content, list):
        yield Thought("…")  # what it was is sealed; only that there was one matters
        return
    for thought in item.content:
        yield from (Thought(piece or "") for piece in pieces.of(thought.text))
    if not (item.summary or item.content):
        yield Sealed(str(item.encrypted_content))


def _text(part: OutputText, pieces: _Pieces) -> Iterator[Delta]:
    logprobs = list(part.logprobs) if isinstance(part.logprobs, list) else None
    annotations = iter(part.annotations)
    for piece in pieces.of(part.text, len(part.annotations)):
        if piece is None:
            yield Annotated(next(annotations))
            continue
        if logprobs is None:
            yield Text(piece)
            continue
        count = pieces.logprob_count(len(logprobs))
        yield Text(piece, logprobs=logprobs[:count])
        del logprobs[:count]
