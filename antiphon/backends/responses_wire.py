"""What Responses servers say, as structs: events by their ``type``, items, the response at its end.

Only the fields that are read are named, and whatever is large and seldom read is left as it came
(``Raw``): a text delta costs one small struct. ``decode`` takes one SSE payload; what it cannot
open is for ``decode_odd``, where an event nobody here knows is no error (the API grows).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Literal, TypeVar, cast, get_type_hints

import msgspec
from msgspec import Raw, Struct

from antiphon.backends.chat_wire import Nothing, Token, clipped
from antiphon.errors import RemoteError

_S = TypeVar("_S", bound=Struct)


class Said(Struct, tag_field="type", gc=False):
    """Base of the events. Those with ``delta`` come in runs."""


class TextDelta(Said, tag="response.output_text.delta", gc=False):
    delta: str


class ThoughtDelta(Said, tag="response.reasoning_text.delta", gc=False):
    delta: str


class ThoughtDeltaOpen(Said, tag="response.reasoning.delta", gc=False):
    """The same under the name Open Responses gives it."""

    delta: str


class SummaryDelta(Said, tag="response.reasoning_summary_text.delta", gc=False):
    delta: str
    summary_index: int = 0


class RefusalDelta(Said, tag="response.refusal.delta", gc=False):
    delta: str


class ArgumentsDelta(Said, tag="response.function_call_arguments.delta", gc=False):
    delta: str
    output_index: int = 0


class InputDelta(Said, tag="response.custom_tool_call_input.delta", gc=False):
    delta: str
    output_index: int = 0


class CodeDelta(Said, tag="response.code_interpreter_call_code.delta", gc=False):
    delta: str
    output_index: int | None = None


class ItemAdded(Said, tag="response.output_item.added"):
    item: Raw
    output_index: int = 0


class ItemDone(Said, tag="response.output_item.done"):
    item: Raw
    output_index: int = 0


class AnnotationAdded(Said, tag="response.output_text.annotation.added"):
    annotation: dict[str, Any]


class Completed(Said, tag="response.completed"):
    response: Raw


class Incomplete(Said, tag="response.incomplete"):
    response: Raw


class Failed(Said, tag="response.failed"):
    response: Raw


class Failure(Said, tag="error"):
    """Flat, or nested in ``error``."""

    message: Any = None
    code: Any = None
    param: Any = None
    error: Any = None


class _Probed(Said, tag="response.output_text.delta"):
    delta: str
    logprobs: list[Token] | None = None


class Quiet(Struct, frozen=True):
    """An event that says nothing the others do not say, or the stage of a hosted call."""

    type: str
    output_index: int | None = None


QUIET = frozenset(
    {
        "response.created",
        "response.queued",
        "response.in_progress",
        "response.content_part.added",
        "response.content_part.done",
        "response.output_text.done",
        "response.refusal.done",
        "response.reasoning_text.done",
        "response.reasoning.done",
        "response.reasoning_summary_part.added",
        "response.reasoning_summary_part.done",
        "response.reasoning_summary_text.done",
        "response.function_call_arguments.done",
        "response.custom_tool_call_input.done",
        "response.code_interpreter_call_code.done",
        "keepalive",
    }
)
"""What is said besides: a text's end repeats it, and a lifecycle event repeats the request."""

ProbedDelta = _Probed
Event = (
    TextDelta
    | ThoughtDelta
    | ThoughtDeltaOpen
    | SummaryDelta
    | RefusalDelta
    | ArgumentsDelta
    | InputDelta
    | CodeDelta
    | ItemAdded
    | ItemDone
    | AnnotationAdded
    | Completed
    | Incomplete
    | Failed
    | Failure
)
_ProbedEvent = (
    _Probed
    | ThoughtDelta
    | ThoughtDeltaOpen
    | SummaryDelta
    | RefusalDelta
    | ArgumentsDelta
    | InputDelta
    | CodeDelta
    | ItemAdded
    | ItemDone
    | AnnotationAdded
    | Completed
    | Incomplete
    | Failed
    | Failure
)


class Part(Struct):
    """A part of a message, a reasoning text or a summary."""

    type: str = ""
    text: str | None = None
    refusal: str | None = None
    annotations: list[dict[str, Any]] | None = None
    logprobs: list[Token] | None = None


class Item(Struct):
    """An output item, as far as it is text, reasoning or a call of the caller's tools."""

    type: str = ""
    id: str = ""
    call_id: str | None = None
    name: str | None = None
    namespace: str | None = None
    arguments: Any = None
    input: str | None = None
    content: list[Part] | None = None
    summary: list[Part] | None = None
    encrypted_content: str | None = None
    phase: Literal["commentary", "final_answer"] | None = None
    status: str | None = None


class InputDetails(Struct):
    cached_tokens: int | None = None


class OutputDetails(Struct):
    reasoning_tokens: int | None = None


class Usage(Struct):
    input_tokens: int | None = None
    output_tokens: int | None = None
    input_tokens_details: InputDetails | None = None
    output_tokens_details: OutputDetails | None = None


class Reason(Struct):
    reason: str | None = None


class Answer(Struct):
    """A response that is over. ``output`` is read of a whole answer only."""

    status: str | None = None
    error: Any = None
    incomplete_details: Reason | None = None
    usage: Usage | None = None
    output: list[Raw] | None = None
    object: str | None = None
    message: Any = None
    code: Any = None


class PlainPart(Struct, gc=False):
    type: Literal["output_text"]
    text: str
    annotations: Nothing = None


class PlainMessage(Struct, gc=False):
    type: Literal["message"]
    content: tuple[PlainPart]
    phase: None = None


class PlainAnswer(Struct, gc=False):
    """The whole answer that most are: one text and nothing else, completed."""

    status: Literal["completed"]
    output: tuple[PlainMessage]
    usage: Usage | None = None
    error: None = None


class Ending(Struct):
    """The same at the end of a stream."""

    status: str | None = None
    error: Any = None
    incomplete_details: Reason | None = None
    usage: Usage | None = None
    output: list[Raw] | None = None


class _Typed(Struct):
    type: str = ""
    output_index: int | None = None
    error: Any = None


_encode = msgspec.json.Encoder().encode
decode: Callable[[bytes], Any] = msgspec.json.Decoder(Event).decode
"""One payload of a known shape; raises one of ``UNREADABLE`` for any other."""
decode_lines = msgspec.json.Decoder(Event).decode_lines
decode_probed: Callable[[bytes], Any] = msgspec.json.Decoder(_ProbedEvent).decode
"""The same with log probabilities of text."""
_decode_item = msgspec.json.Decoder(Item).decode
decode_plain_answer = msgspec.json.Decoder(PlainAnswer).decode
_decode_answer = msgspec.json.Decoder(Answer).decode
_decode_ending = msgspec.json.Decoder(Ending).decode
_decode_type = msgspec.json.Decoder(_Typed).decode

UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError)


def decode_odd(payload: bytes, *, probed: bool) -> Event | ProbedDelta | Quiet:
    """One payload that is no event of a known shape; its texts may hold halves of surrogate pairs:
    servers in JavaScript cut emoji so. ``RemoteError`` 502 ``upstream_invalid_response`` if it is
    no event at all."""
    try:
        typed = _decode_type(payload)
    except UNREADABLE:
        return _lenient(payload, probed=probed)
    if not typed.type and typed.error:
        return Failure(error=typed.error)  # as some say it
    return Quiet(typed.type, typed.output_index)


def decode_item(raw: Raw) -> Item:
    """An item, as far as it can be read."""
    try:
        return _decode_item(raw)
    except UNREADABLE:
        return _readable(bytes(raw), Item)


def decode_ending(raw: Raw) -> Ending:
    """The response a stream ends with, as far as it can be read."""
    try:
        return _decode_ending(raw)
    except UNREADABLE:
        return _readable(bytes(raw), Ending)


def decode_answer(body: bytes) -> Answer:
    """A whole answer. ``RemoteError`` 502 ``upstream_invalid_response`` if it is none."""
    try:
        return _decode_answer(body)
    except UNREADABLE:
        return _readable(body, Answer)


def garbage(payload: bytes) -> RemoteError:
    """The error for an answer that is not what it should be; shows its beginning."""
    shown = clipped(payload.decode("utf-8", "replace"))
    return RemoteError(
        f"The upstream sent something that is no part of a response: {shown!r}",
        status=502,
        code="upstream_invalid_response",
    )


def _object(payload: bytes) -> dict[str, Any]:
    """The object a payload is, whatever its texts hold."""
    try:
        raw = json.loads(payload.decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        raise garbage(payload) from None
    if not isinstance(raw, dict):
        raise garbage(payload)
    return raw


def _lenient(payload: bytes, *, probed: bool) -> Event | ProbedDelta | Quiet:
    raw = _object(payload)
    try:
        if isinstance(raw.get("delta"), str):  # the other half comes with the next
            found: Any = msgspec.convert(raw, _ProbedEvent if probed else Event)
        else:
            found = (decode_probed if probed else decode)(_encode(_mended(raw)))
    except (ValueError, RecursionError):
        return Quiet(_mended(str(raw.get("type", ""))))
    return cast("Event | ProbedDelta", found)


def _mended(value: Any) -> Any:
    """The value with texts that can be written: half a surrogate pair is no character."""
    if isinstance(value, str):
        return value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    if isinstance(value, dict):
        return {_mended(key): _mended(inner) for key, inner in value.items()}
    return [_mended(inner) for inner in value] if isinstance(value, list) else value


def _readable(payload: bytes, shape: type[_S]) -> _S:
    """What can be read of an object: fields of another shape than we know are left out."""
    return _loosely(_mended(_object(payload)), shape)


def _loosely(raw: dict[str, Any], shape: type[_S]) -> _S:
    made = shape()
    for name, kind in get_type_hints(shape).items():
        value = raw.get(name)
        try:
            setattr(made, name, msgspec.json.decode(_encode(value), type=kind, strict=False))
        except msgspec.ValidationError:
            if kind == list[Part] | None and isinstance(value, list):
                parts = [_loosely(part, Part) for part in value if isinstance(part, dict)]
                setattr(made, name, parts)
    return made
