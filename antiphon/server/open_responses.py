"""The profile ``open-responses``: our answers spelled the way that specification wants them.

OpenAI's clients and the Open Responses specification (2026-04-24) agree nearly everywhere, and
where both can be satisfied at once the server satisfies both in any profile. What is left, where
one of them would refuse what the other demands, is here, and nowhere else:

* the events of raw reasoning are named ``response.reasoning.delta`` and ``.done``;
* an ``error`` in a stream is nested, and always has a code;
* a key that may be missing but not null is left out, in items, parts and ``text``;
* an error's ``type`` is one of the five the specification has (``error_type``), and one of the
  model behind the server is a 500;
* a WebSocket is one queue: a ``stream_id`` is refused (``no_lanes``).

What comes only to a caller who asked for something the specification does not know (a tool of
another type, an effort of ``max``) stays as OpenAI has it.

A projection of finished events and bodies: nothing below ``server/`` knows of it. With it, every
request goes over ASGI (``heads.py`` knows no hot head then), so that the hot road pays nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from antiphon.errors import ClientError
from antiphon.server import frames as plain
from antiphon.server.errors import Problem
from antiphon.types.events import Event, name_of
from antiphon.types.resources import ErrorBody

RENAMED = {
    "response.reasoning_text.delta": "response.reasoning.delta",
    "response.reasoning_text.done": "response.reasoning.done",
}
"""Events that are the same but for their name."""
NEVER_NULL = frozenset(
    {"phase", "logprobs", "encrypted_content", "created_by", "verbosity", "filename", "file_url"}
)
"""Keys of items, parts and ``text`` that are left out where they have no value."""
ERROR_TYPES = {404: "not_found", 429: "too_many_requests"}
"""By status; any other below 500 is ``invalid_request``."""

_ERROR_WITHOUT_CODE = "server_error"
_SHOWING = (b'"item":', b'"part":', b'"response":', b'"error":')
_decode = msgspec.json.decode
_encode = msgspec.json.encode


def messages(
    group: Sequence[Event], response: bytes | None = None, mark: bytes = b""
) -> list[bytes]:
    """As ``frames.messages``."""
    return [
        _told(one, name)
        for one, name in zip(plain.messages(group, response, mark), _names(group), strict=True)
    ]


def frames(group: Sequence[Event], response: bytes | None = None) -> bytes:
    """As ``frames.frames``."""
    joined = b"".join(
        b"event: %b\ndata: %b\n\n" % (RENAMED.get(name, name).encode(), told)
        for told, name in zip(messages(group, response), _names(group), strict=True)
    )
    return joined if joined.isascii() else plain.safe(joined)


def body(answer: bytes) -> bytes:
    """A response, or a compaction of one, as JSON."""
    whole = _decode(answer)
    _mend_response(whole)
    return _encode(whole)


def problem(found: Problem) -> Problem:
    """A failure with the type and the code the specification has for it."""
    error = found.error
    mended = ErrorBody(
        message=error.message,
        type=error_type(found.status, error.code),
        param=error.param,
        code=error.code or _ERROR_WITHOUT_CODE,
    )
    return Problem(500 if mended.type == "model_error" else found.status, mended, found.headers)


def error_type(status: int, code: str | None) -> str:
    """``model_error`` where the model behind the server failed, ``server_error`` where it did."""
    if status >= 500:
        return "model_error" if status in (502, 504) else "server_error"
    if code == "model_not_found":
        return "not_found"
    return ERROR_TYPES.get(status, "invalid_request")


def no_lanes() -> ClientError:
    """The refusal of a ``stream_id``."""
    return ClientError(
        "Unsupported parameter: 'stream_id'. In the profile 'open-responses' the responses of a "
        "connection are made one after the other; leave it out.",
        code="unsupported_parameter",
        param="stream_id",
    )


# The parts of it --------------------------------------------------------------------------


def _names(group: Sequence[Event]) -> list[str]:
    return [name_of(type(event)) for event in group]


def _told(event: bytes, name: str) -> bytes:
    if name not in RENAMED and not any(key in event for key in _SHOWING):
        return event  # a delta: nothing in it to mend
    whole = _decode(event)
    whole["type"] = RENAMED.get(name, name)
    if isinstance(whole.get("item"), dict):
        begins = name == "response.output_item.added"
        _mend_item(whole["item"], "in_progress" if begins else "completed")
    if isinstance(whole.get("part"), dict):
        _mend_part(whole["part"])
    if isinstance(whole.get("response"), dict):
        _mend_response(whole["response"])
    if name == "error" and not isinstance(whole.get("error"), dict):
        whole["error"] = {
            "type": _ERROR_WITHOUT_CODE,
            **{key: whole.pop(key, None) for key in ("code", "message", "param")},
        }
    return _encode(whole)


def _mend_response(response: dict[str, Any]) -> None:
    for item in response.get("output") or ():
        _mend_item(item)
    if isinstance(response.get("text"), dict):
        _drop_nulls(response["text"])


def _mend_item(item: dict[str, Any], status: str = "completed") -> None:
    """``status``: of an item whose type has none."""
    _drop_nulls(item)
    if item.get("type") == "reasoning":
        if item.get("content", ()) is None:
            del item["content"]
        item["summary"] = item.get("summary") or []
    item.setdefault("status", status)
    for key in ("content", "output"):
        if isinstance(item.get(key), list):
            for part in item[key]:
                _mend_part(part)
    if item.get("type") == "message" and isinstance(item.get("content"), str):
        kind = "output_text" if item.get("role") == "assistant" else "input_text"
        item["content"] = [{"type": kind, "text": item["content"]}]


def _mend_part(part: dict[str, Any]) -> None:
    _drop_nulls(part)
    match part.get("type"):
        case "input_image":
            part["detail"] = part.get("detail") or "auto"
            part.setdefault("image_url", None)
        case "output_text":
            part["annotations"] = part.get("annotations") or []


def _drop_nulls(value: dict[str, Any]) -> None:
    for key in NEVER_NULL.intersection(value):
        if value[key] is None:
            del value[key]
