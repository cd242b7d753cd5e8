"""What chat-completions servers answer, as structs: decoded strictly first, leniently if need be.

Only the fields that are read are named. ``decode`` takes one SSE payload or one whole body;
the two differ in ``delta`` and ``message``. A server that breaks a type somewhere (numbers as
text, objects for lists) costs a second, tolerant pass over that payload and nothing else.
"""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from antiphon.errors import RemoteError

SHOWN_MAX = 200


class FunctionPart(Struct):
    name: str | None = None
    arguments: str | dict[str, Any] | None = None


class CallPart(Struct):
    index: int | None = None
    id: str | None = None
    function: FunctionPart | None = None


class Piece(Struct):
    """A delta of a stream, or the whole message."""

    content: str | list[Any] | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    refusal: str | None = None
    tool_calls: list[CallPart] | None = None
    reasoning_details: list[Any] | None = None
    function_call: FunctionPart | None = None


class Token(Struct):
    token: str
    logprob: float
    bytes: list[int] | None = None
    top_logprobs: list[Token] | None = None


class Logprobs(Struct):
    content: list[Token] | None = None


class Choice(Struct):
    delta: Piece | None = None
    finish_reason: str | None = None
    index: int | None = 0
    message: Piece | None = None
    logprobs: Logprobs | None = None


class InputDetails(Struct):
    cached_tokens: int | None = None


class OutputDetails(Struct):
    reasoning_tokens: int | None = None


class UsagePart(Struct):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_tokens_details: InputDetails | None = None
    completion_tokens_details: OutputDetails | None = None
    prompt_cache_hit_tokens: int | None = None
    total_tokens: int | None = None


class Chunk(Struct):
    choices: list[Choice] | None = None
    usage: UsagePart | None = None
    error: Any = None
    object: str | None = None
    message: Any = None
    code: Any = None
    odd: bool = False  # ours: decoded leniently, may hold halves of surrogate pairs


Nothing = Annotated[list[Any], Meta(max_length=0)] | None


class PlainPiece(Struct, gc=False):
    """Text and nothing else: any other field with a value makes decoding fail."""

    content: str = ""
    reasoning_content: None = None
    reasoning: None = None
    refusal: None = None
    tool_calls: Nothing = None
    function_call: None = None
    reasoning_details: None = None


class PlainChoice(Struct, gc=False):
    delta: PlainPiece
    index: int | None = 0
    finish_reason: str | None = None
    logprobs: None = None


class PlainChunk(Struct, gc=False):
    """The chunk that streams consist of: one choice with text. Half the cost of ``Chunk``."""

    choices: tuple[PlainChoice]
    usage: None = None
    error: None = None


class PlainAnswer(Struct, gc=False):
    """One choice whose message is text, and why it ended."""

    message: PlainPiece
    finish_reason: str
    index: int | None = 0
    logprobs: None = None
    delta: None = None


class PlainWhole(Struct, gc=False):
    """The whole answer that most are."""

    choices: tuple[PlainAnswer]
    usage: UsagePart | None = None
    error: None = None
    object: Literal["chat.completion"] | None = None


decode_plain = msgspec.json.Decoder(PlainChunk).decode
decode_plain_lines = msgspec.json.Decoder(PlainChunk).decode_lines
decode_plain_whole = msgspec.json.Decoder(PlainWhole).decode

_STRICT = msgspec.json.Decoder(Chunk)


def decode(payload: bytes) -> Chunk:
    """One payload. ``RemoteError`` 502 ``upstream_invalid_response`` if it is not an object."""
    try:
        return _STRICT.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return _lenient(payload)


def garbage(payload: bytes) -> RemoteError:
    """The error for an answer that is not what it should be; shows its beginning."""
    shown = clipped(payload.decode("utf-8", "replace"))
    return RemoteError(
        f"The upstream sent something that is not a chat completion: {shown!r}",
        status=502,
        code="upstream_invalid_response",
    )


def clipped(text: str) -> str:
    """At most 200 characters of a stranger's text, on one line."""
    text = " ".join(text.split())
    return text if len(text) <= SHOWN_MAX else text[: SHOWN_MAX - 1] + "…"


def _lenient(payload: bytes) -> Chunk:
    """The same with every field of a wrong type dropped or converted."""
    try:
        # Unlike msgspec, the standard library lets half a surrogate pair pass: servers in
        # JavaScript cut emoji that way. The reader puts the halves together.
        raw = json.loads(payload.decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        raise garbage(payload) from None
    if not isinstance(raw, dict):
        raise garbage(payload)
    choices = raw.get("choices")
    return Chunk(
        choices=[_choice(c) for c in choices if isinstance(c, dict)]
        if isinstance(choices, list)
        else None,
        usage=_usage(raw.get("usage")),
        error=raw.get("error"),
        object=_text(raw.get("object")),
        message=raw.get("message"),
        code=raw.get("code"),
        odd=True,
    )


def _choice(raw: dict[str, Any]) -> Choice:
    return Choice(
        delta=_piece(raw.get("delta")),
        finish_reason=_text(raw.get("finish_reason")),
        index=_number(raw.get("index")),
        message=_piece(raw.get("message")),
        logprobs=_logprobs(raw.get("logprobs")),
    )


def _piece(raw: Any) -> Piece | None:
    if not isinstance(raw, dict):
        return None
    content = raw.get("content")
    calls = raw.get("tool_calls")
    if isinstance(calls, dict):
        calls = [calls]
    details = raw.get("reasoning_details")
    return Piece(
        content=content if isinstance(content, str | list) else None,
        reasoning_content=_text(raw.get("reasoning_content")),
        reasoning=_text(raw.get("reasoning")),
        refusal=_text(raw.get("refusal")),
        tool_calls=[_call(c) for c in calls if isinstance(c, dict)]
        if isinstance(calls, list)
        else None,
        reasoning_details=details if isinstance(details, list) else None,
        function_call=_function(raw.get("function_call")),
    )


def _call(raw: dict[str, Any]) -> CallPart:
    call_id = raw.get("id")
    return CallPart(
        index=_number(raw.get("index")),
        id=str(call_id) if isinstance(call_id, str | int) else None,
        function=_function(raw.get("function")),
    )


def _function(raw: Any) -> FunctionPart | None:
    if not isinstance(raw, dict):
        return None
    arguments = raw.get("arguments")
    if isinstance(arguments, list):
        arguments = msgspec.json.encode(arguments).decode()
    return FunctionPart(
        name=_text(raw.get("name")),
        arguments=arguments if isinstance(arguments, str | dict) else None,
    )


def _logprobs(raw: Any) -> Logprobs | None:
    try:
        return msgspec.convert(raw, Logprobs)
    except msgspec.ValidationError:
        return None


def _usage(raw: Any) -> UsagePart | None:
    if not isinstance(raw, dict):
        return None
    before = raw.get("prompt_tokens_details")
    after = raw.get("completion_tokens_details")
    return UsagePart(
        prompt_tokens=_number(raw.get("prompt_tokens")),
        completion_tokens=_number(raw.get("completion_tokens")),
        prompt_tokens_details=InputDetails(_number(before.get("cached_tokens")))
        if isinstance(before, dict)
        else None,
        completion_tokens_details=OutputDetails(_number(after.get("reasoning_tokens")))
        if isinstance(after, dict)
        else None,
        prompt_cache_hit_tokens=_number(raw.get("prompt_cache_hit_tokens")),
        total_tokens=_number(raw.get("total_tokens")),
    )


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _number(value: Any) -> int | None:
    if isinstance(value, str) and value.isdecimal():
        return int(value)
    return int(value) if isinstance(value, int | float) else None
