"""A response of an upstream, streamed or whole → deltas. No I/O.

``Reader.batch`` takes the SSE payloads of one network read, ``Reader.whole`` one JSON body; both
walk the same path item by item, so an answer gives the same deltas either way.

Rules: an item is told by its deltas, and by its end where there were none; what was told neither
way, by the response at its end. Nothing is told twice, whatever came twice. An upstream's ids and
numbers go no further; what ends the response ends the answer, whatever follows; a stream that
stops without that was cut, and says so. Events nobody knows are read over and counted
(``ignored``), for the API grows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, NoReturn

from msgspec import Raw

from antiphon.backends import responses_wire as wire
from antiphon.backends.chat_body import Offered
from antiphon.backends.chat_wire import Token
from antiphon.backends.responses_calls import STAGE_OF, Calls, Hosted
from antiphon.backends.responses_errors import failed
from antiphon.backends.responses_wire import Answer, Ending, Item, Part, Usage
from antiphon.backends.stops import Stops
from antiphon.errors import RemoteError
from antiphon.stream.deltas import (
    Annotated,
    Declined,
    Delta,
    Finish,
    ItemStage,
    Opened,
    Sealed,
    Spent,
    Summary,
    Text,
    Thought,
)
from antiphon.types.content import Logprob, TopLogprob

MANY = 4
"""From so many payloads in one read on they are decoded together."""

Reason = Literal["stop", "calls", "length", "filter"]

_CUT: Mapping[str, Reason] = {"content_filter": "filter"}
"""Why a response is incomplete; any reason but these counts as the token limit."""


class Reader:
    """Reads one answer. ``offered``: the turn's tools by the name the upstream knows; ``mark``: how
    its encrypted reasoning is told from any other; ``stop``: texts that end the answer."""

    failure: RemoteError | None = None
    _half = ""
    _odd = False  # texts need a closer look: they may hold halves of surrogate pairs, or must wait
    _heard = False  # any item, or anything of one
    _phase: str | None = None

    def __init__(
        self,
        offered: Mapping[str, Offered],
        mark: str,
        *,
        logprobs: bool = False,
        stop: Sequence[str] = (),
        ignored: Callable[[str], None] = lambda type: None,
    ) -> None:
        self.over = False
        self._ignored = ignored
        self._mark = mark
        self._probed = logprobs
        self._stops = Stops(stop) if stop else None
        self._calls = Calls(offered)
        self._plain = not (logprobs or stop)
        self._decode = wire.decode_probed if logprobs else wire.decode
        self._produced = False
        self._said = False  # the open item, by deltas
        self._noted = False  # its annotations, too
        self._last = ""  # the type of the item before what comes, as far as it could go on
        self._closed = False  # the last item, as completed
        self._open: dict[int, str] = {}  # items that were added and not done: their types
        self._known: set[tuple[int, str]] = set()  # places and ids of all that were added or done
        self._hosted = Hosted()
        self._waiting: list[Delta] = []  # for the end of a call the upstream makes itself

    def batch(self, payloads: Sequence[bytes]) -> list[Delta]:
        """The deltas of what one network read held; ends with ``Finish`` where the response ends.

        What came before an error in the same read is returned, and the error left in
        ``failure``: whoever calls raises it next.
        """
        deltas: list[Delta] = []
        if self.over:
            return deltas
        try:
            if len(payloads) == 1:  # a paced stream
                self._read(payloads[0], deltas)
            elif not (self._plain and len(payloads) >= MANY and self._many(payloads, deltas)):
                self._one_by_one(payloads, deltas)
        except RemoteError as error:
            self._produced = self._produced or bool(deltas)
            if self._produced:
                error.retryable = False
            if not deltas:
                raise
            self.failure = error
        if deltas:
            self._produced = True
        return deltas

    def last(self, payloads: Sequence[bytes]) -> list[Delta]:
        """The deltas of what was left when the connection ended before the response did."""
        deltas = self.batch(payloads)
        if not self.over and self.failure is None:
            error = _broke_off(produced=self._produced)
            if not deltas:
                raise error
            self.failure = error
        return deltas

    def whole(self, body: bytes) -> list[Delta]:
        """The deltas of a whole JSON answer, ``Finish`` included, or ``failure`` in its place."""
        if self._plain and (plain := self._plain_whole(body)) is not None:
            return plain
        answer = wire.decode_answer(body)
        if answer.output is None and answer.error is None:
            raise wire.garbage(body)
        deltas: list[Delta] = []
        try:
            for index, raw in enumerate(answer.output or ()):
                self._done(raw, index, deltas)
            if not self.over:  # by a stop
                self._end(answer, answer.status, deltas)
        except RemoteError as error:
            if not deltas:
                raise
            self.failure = error
        return deltas

    def _plain_whole(self, body: bytes) -> list[Delta] | None:
        """The deltas of the answer that most are; None if it is anything more."""
        try:
            answer = wire.decode_plain_answer(body)
        except wire.UNREADABLE:
            return None
        self.over = True
        text = answer.output[0].content[0].text
        deltas: list[Delta] = [Text(text)] if text else []
        if answer.usage is not None:
            deltas.append(_spent(answer.usage))
        deltas.append(Finish("stop"))
        return deltas

    def _one_by_one(self, payloads: Sequence[bytes], deltas: list[Delta]) -> None:
        for payload in payloads:
            self._read(payload, deltas)
            if self.over:
                return

    def _read(self, payload: bytes, deltas: list[Delta]) -> None:
        """What one payload adds."""
        try:
            event = self._decode(payload)
        except wire.UNREADABLE:
            if payload == b"[DONE]" or not payload.strip():
                return
            event = wire.decode_odd(payload, probed=self._probed)
            self._odd = True
        if type(event) is wire.TextDelta and self._plain and event.delta and not self._odd:
            self._said = True
            deltas.append(Text(event.delta))
            return
        self._hear(event, deltas)
        self._odd = bool(self._half) or self._hosted.live is not None

    def _many(self, payloads: Sequence[bytes], deltas: list[Delta]) -> bool:
        """Read events in one go; False if one is anything but a known event on one line."""
        lines = payloads[:-1] if payloads[-1] == b"[DONE]" else payloads
        try:
            events = wire.decode_lines(b"\n".join(lines))
        except wire.UNREADABLE:
            return False
        if len(events) != len(lines):
            return False
        add = deltas.append
        for event in events:
            if type(event) is wire.TextDelta and event.delta and not self._odd:
                self._said = True
                add(Text(event.delta))
            else:
                self._hear(event, deltas)
                if self.over:
                    break
        return True

    def _hear(self, event: Any, deltas: list[Delta]) -> None:
        """What one event adds."""
        kind = type(event)
        hear = _HEAR.get(kind)
        if hear is not None:
            hear(self, event, deltas)
        elif kind is wire.Quiet:
            if event.type not in wire.QUIET:
                self._stage_or_ignored(event, deltas)
        else:
            if self._hosted.live is not None:
                deltas = self._waiting
            if kind is wire.TextDelta:
                self._text(event.delta, None, deltas)
            elif kind is wire.ProbedDelta:
                self._text(event.delta, event.logprobs, deltas)
            else:
                _SAY[kind](self, event, deltas)

    # Text and reasoning

    def _text(self, text: str, tokens: Sequence[Token] | None, deltas: list[Delta]) -> None:
        text = self._mended(text)
        if not text:
            return
        self._said = True
        if self._stops is not None:
            text = self._stops.feed(text)
            if text:
                deltas.append(Text(text))
            if self._stops.found:
                deltas.append(Finish("stop"))
                self.over = True
        elif self._probed:
            deltas.append(Text(text, [_logprob(token) for token in tokens or ()]))
        else:
            deltas.append(Text(text))

    def _mended(self, text: str) -> str:
        """Halves of surrogate pairs, which some servers cut in two, joined or replaced."""
        if not self._odd:
            return text
        text = self._half + text
        self._half = ""
        if "\ud800" <= text[-1:] < "\udc00":
            self._half = text[-1]
            text = text[:-1]
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")

    def _thought(self, event: Any, deltas: list[Delta]) -> None:
        if event.delta:
            self._said = True
            deltas.append(Thought(self._mended(event.delta)))

    def _summary(self, event: wire.SummaryDelta, deltas: list[Delta]) -> None:
        if event.delta:
            self._said = True
            deltas.append(Summary(self._mended(event.delta), event.summary_index))

    def _declined(self, event: wire.RefusalDelta, deltas: list[Delta]) -> None:
        if event.delta:
            self._said = True
            deltas.append(Declined(self._mended(event.delta)))

    def _annotation(self, event: wire.AnnotationAdded, deltas: list[Delta]) -> None:
        self._noted = True
        deltas.append(Annotated(event.annotation))

    # Items

    def _item_added(self, event: wire.ItemAdded, deltas: list[Delta]) -> None:
        self._added(event.item, event.output_index, deltas)

    def _item_done(self, event: wire.ItemDone, deltas: list[Delta]) -> None:
        self._done(event.item, event.output_index, deltas)

    def _added(self, raw: Raw, index: int, deltas: list[Delta]) -> None:
        item = wire.decode_item(raw)
        if item.id and (index, item.id) in self._known:
            return  # said before
        self._known.add((index, item.id))
        self._begin(item, raw, index, deltas)

    def _begin(self, item: Item, raw: Raw, index: int, deltas: list[Delta]) -> None:
        self._heard = True
        self._open[index] = item.type
        before, self._last = self._last, item.type
        self._closed = False
        said = deltas if self._hosted.live is None else self._waiting
        match item.type:
            case "message":
                self._said = self._noted = False
                if before == "message" or item.phase != self._phase:
                    said.append(Opened("message", item.phase))
                self._phase = item.phase
            case "reasoning":
                self._said = False
                if before == "reasoning":
                    said.append(Opened("reasoning"))
            case "function_call" | "custom_tool_call":
                said += self._calls.begin(item, index)
            case _:
                deltas += self._hosted.begin(raw, index)
                self._odd = self._odd or self._hosted.live is not None

    def _done(self, raw: Raw, index: int, deltas: list[Delta]) -> None:
        item = wire.decode_item(raw)
        begun = self._open.get(index) == item.type
        if not begun and item.id and (index, item.id) in self._known:
            return  # said before
        self._known.add((index, item.id))
        worded = item.type in ("message", "reasoning")
        if not begun and not (worded and self._said):
            self._begin(item, raw, index, deltas)
        self._open.pop(index, None)
        self._closed = item.status != "incomplete"
        said = deltas if self._hosted.live is None else self._waiting
        match item.type:
            case "message":
                parts = item.content or ()
                if not self._said:
                    self._message(parts, said)
                elif len(parts) == 1 and not self._noted:
                    said += [Annotated(one) for one in parts[0].annotations or ()]
                if self._half:
                    said.append(Text("\ufffd"))
                if self._stops is not None and (held := self._stops.end()):
                    said.append(Text(held))
            case "reasoning":
                if not self._said:
                    self._reasoning(item, said)
                if item.encrypted_content:
                    said.append(Sealed(self._mark + item.encrypted_content))
            case "function_call" | "custom_tool_call":
                said += self._calls.end(item, index)
            case _:
                self._other_done(item.type, raw, index, deltas, said)
        if worded:
            self._said = False
            self._half = ""

    def _message(self, parts: Sequence[Part], deltas: list[Delta]) -> None:
        for part in parts:
            if self.over:
                return
            if part.refusal:
                deltas.append(Declined(part.refusal))
            elif part.text:
                self._text(part.text, part.logprobs, deltas)
                deltas += [Annotated(annotation) for annotation in part.annotations or ()]

    def _reasoning(self, item: Item, deltas: list[Delta]) -> None:
        for number, part in enumerate(item.summary or ()):
            if part.text:
                deltas.append(Summary(part.text, number))
        deltas += [Thought(part.text) for part in item.content or () if part.text]

    def _other_done(
        self, type: str, raw: Raw, index: int, deltas: list[Delta], said: list[Delta]
    ) -> None:
        if (found := self._calls.native(type, raw)) is not None:
            said += found
        elif (ended := self._hosted.end(raw, index)) is None:
            self._ignored(f"item:{type}")
        elif ended[1]:
            deltas += ended[0]
            deltas += self._waited()
        else:
            said += ended[0]

    def _waited(self) -> list[Delta]:
        waiting, self._waiting = self._waiting, []
        return waiting

    def _stage_or_ignored(self, event: wire.Quiet, deltas: list[Delta]) -> None:
        """An event of a call the upstream makes itself tells how far it is."""
        stage = STAGE_OF.get(event.type)
        if stage is None:
            self._ignored(event.type)
        elif stage > 1:
            deltas += self._hosted.stage(event.output_index, ItemStage(stage))

    def _code(self, event: wire.CodeDelta, deltas: list[Delta]) -> None:
        if event.delta:
            code = self._mended(event.delta)
            deltas += self._hosted.stage(event.output_index, ItemStage(code=code))

    # Ends

    def _ended(self, event: Any, deltas: list[Delta]) -> None:
        answer = wire.decode_ending(event.response)
        silent = not (self._heard or self._said)
        for index, raw in enumerate(answer.output or ()):
            begun = self._open.get(index)
            if self.over or not (silent if begun is None else wire.decode_item(raw).type == begun):
                continue
            self._done(raw, index, deltas)
        if not self.over:
            self._end(answer, _status(event, answer), deltas)

    def _error(self, event: wire.Failure, deltas: list[Delta]) -> None:
        nested = isinstance(event.error, dict)
        raw: Any = event.error if nested else {"message": event.message, "code": event.code}
        raise failed(raw, produced=self._produced or bool(deltas))

    def _fail(self, answer: Answer | Ending, deltas: list[Delta]) -> NoReturn:
        """The response failed; what was said before stands, and was paid for."""
        produced = self._produced or bool(deltas)
        if produced:
            if self._closed:
                deltas.append(Opened("message"))
            if answer.usage is not None:
                deltas.append(_spent(answer.usage))
        raise failed(answer.error or {}, produced=produced)

    def _end(self, answer: Answer | Ending, status: str | None, deltas: list[Delta]) -> None:
        """The response is over: held text, usage, ``Finish``; or the error it ended with."""
        deltas += self._waited()
        if status in ("failed", "cancelled") or (answer.error is not None and status is None):
            self._fail(answer, deltas)
        if status in ("queued", "in_progress"):
            raise _broke_off(produced=self._produced or bool(deltas))
        reason: Reason = "calls" if self._calls else "stop"
        if status == "incomplete":
            details = answer.incomplete_details
            reason = _CUT.get((details.reason if details else None) or "", "length")
        if self._stops is not None and (held := self._stops.end()):
            deltas.append(Text(held))
        if answer.usage is not None:
            deltas.append(_spent(answer.usage))
        deltas.append(Finish(reason))
        self.over = True


_SAY: dict[type[Any], Callable[[Reader, Any, list[Delta]], None]] = {
    wire.ThoughtDelta: Reader._thought,
    wire.ThoughtDeltaOpen: Reader._thought,
    wire.SummaryDelta: Reader._summary,
    wire.RefusalDelta: Reader._declined,
    wire.ArgumentsDelta: lambda self, event, deltas: deltas.extend(
        self._calls.piece(event.output_index, self._mended(event.delta))
    ),
    wire.InputDelta: lambda self, event, deltas: deltas.extend(
        self._calls.piece(event.output_index, self._mended(event.delta))
    ),
    wire.AnnotationAdded: Reader._annotation,
}
"""What waits while a call of the upstream's own goes on."""

_HEAR: dict[type[Any], Callable[[Reader, Any, list[Delta]], None]] = {
    wire.CodeDelta: Reader._code,
    wire.ItemAdded: Reader._item_added,
    wire.ItemDone: Reader._item_done,
    wire.Completed: Reader._ended,
    wire.Incomplete: Reader._ended,
    wire.Failed: Reader._ended,
    wire.Failure: Reader._error,
}

_ENDS = {wire.Incomplete: "incomplete", wire.Failed: "failed"}


def _status(event: Any, answer: Ending) -> str | None:
    """How a stream ended: as its last event says, for some leave the rest as it was."""
    ended = _ENDS.get(type(event))
    if ended is None and answer.status in (None, "queued", "in_progress"):
        ended = "completed" if answer.error is None else "failed"
    return ended or answer.status


def _logprob(token: Token) -> Logprob:
    top = [TopLogprob(t.token, t.logprob, t.bytes or []) for t in token.top_logprobs or ()]
    return Logprob(token.token, token.logprob, token.bytes or [], top)


def _spent(usage: Usage) -> Spent:
    before, after = usage.input_tokens_details, usage.output_tokens_details
    read, written = max(usage.input_tokens or 0, 0), max(usage.output_tokens or 0, 0)
    cached = max((before.cached_tokens if before else None) or 0, 0)
    thought = max((after.reasoning_tokens if after else None) or 0, 0)
    return Spent(read, written, min(cached, read), min(thought, written))  # parts of a whole


def _broke_off(*, produced: bool) -> RemoteError:
    return RemoteError(
        "The upstream's answer broke off before its end.",
        status=502,
        code="upstream_broke_off",
        retryable=not produced,
    )
