"""What a refused or failed chat completion means to our caller.

Which of the upstream's words may travel on: the message of a 400 (it is about the caller's
request), clipped. Everything else may name the server's own account, address or insides: it is
said in our words, and theirs are a note on the exception, which logs show and callers do not.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any

import msgspec
from msgspec import Struct

from antiphon.backends.chat_wire import Chunk, clipped
from antiphon.backends.profiles import DISPENSABLE
from antiphon.errors import ContextOverflow, RemoteError
from antiphon.ids import now_ms

_OVERFLOW_CODES = frozenset(
    {"context_length_exceeded", "exceed_context_size_error", "context_window_exceeded"}
)
_CALLERS_NAMES = {
    "logprobs": "include",
    "max_completion_tokens": "max_output_tokens",
    "max_tokens": "max_output_tokens",
    "messages": "input",
    "reasoning_effort": "reasoning.effort",
    "response_format": "text.format",
}
"""Parameters of chat completions that have another name in the Responses API."""


class Endpoint(Struct, frozen=True):
    """What callers of an API are told of it: its name in words, the path that is added to the
    configured address, and its parameters that have another name in the Responses API."""

    name: str
    path: str
    callers_names: Mapping[str, str]


CHAT = Endpoint("chat completions", "/chat/completions", _CALLERS_NAMES)

_GENERAL = frozenset({"invalid_request_error", "badrequesterror", "bad_request"})
"""Types of errors that tell no more than the status, so are no codes."""
_OVERFLOW = re.compile(
    r"maximum context length|context size|context length|context window|"
    r"prompt is too long|input is too long|exceed context limit|"
    r"input tokens? exceed|input token count|too large for model with|"
    r"reduce the length of the (messages|prompt|input)",
    re.IGNORECASE,
)
_NOT_TAKEN = re.compile(
    r"unsupported|not supported|unrecognized|unrecognised|unknown|unexpected|extra (inputs|field)|"
    r"not permitted|not allowed|forbidden|unavailable|does not support|doesn't support|"
    r"not implemented|cannot find field",
    re.IGNORECASE,
)
_ABOUT_SCHEMA = re.compile(r"invalid[ _](json[ _])?schema|invalid_function", re.IGNORECASE)


class Complaint(Struct, frozen=True):
    """An upstream's error body, whatever its shape. ``code`` is its word or type, or empty."""

    message: str
    code: str = ""
    param: str = ""
    status: int | None = None


def complaint_of(body: bytes) -> Complaint:
    """The error in a body: OpenAI's envelope, its variants, plain text; empty for HTML."""
    try:
        raw = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        text = body.decode("utf-8", "replace").strip()
        return Complaint("" if text.startswith("<") else clipped(text))
    if isinstance(raw, list) and raw:
        raw = raw[0]
    return _complaint(raw)


def _complaint(raw: Any) -> Complaint:
    if isinstance(raw, str):
        return Complaint(clipped(raw))
    if not isinstance(raw, dict):
        return Complaint("")
    inner = raw.get("error")
    if isinstance(inner, dict):
        raw = inner
    message = next((m for m in map(raw.get, ("message", "error", "detail", "msg")) if m), "")
    if not isinstance(message, str):
        message = msgspec.json.encode(message).decode()
    code, kind = raw.get("code"), raw.get("type")
    status = raw.get("status", raw.get("status_code"))
    numbers = [n for n in (code, status) if isinstance(n, int) and 400 <= n < 600]
    words = [w for w in (code, kind) if isinstance(w, str)]
    if words and words[0].isdecimal():
        numbers.append(int(words.pop(0)))
    return Complaint(
        clipped(message),
        code=words[0] if words else "",
        param=str(raw.get("param") or ""),
        status=numbers[0] if numbers else None,
    )


def error_of(
    status: int, headers: Mapping[str, str], complaint: Complaint, asked: Endpoint = CHAT
) -> RemoteError:
    """The error for an answer that is not 200. ``headers`` have lower-case names."""
    if status in (400, 413, 422):
        return _refused(status, complaint, asked)
    error = _failed(status, headers, complaint, asked)
    if complaint.message and status not in (401, 403):
        error.add_note(f"The upstream said: {complaint.message}")
    return error


def _failed(
    status: int, headers: Mapping[str, str], complaint: Complaint, asked: Endpoint
) -> RemoteError:
    """The error for what is not about the caller's request."""
    if status in (401, 403):
        return RemoteError(
            f"The server's own credentials were refused by the upstream (HTTP {status}); "
            "whoever runs this server has to check its key.",
            status=502,
            code="upstream_unauthorized",
        )
    if status == 404:
        return _missing(complaint, asked)
    if status == 429:
        return RemoteError(
            "The upstream limits the rate of requests.",
            status=429,
            code="rate_limit_exceeded",
            retryable=True,
            retry_after_seconds=retry_after(headers),
        )
    if status == 408 or status >= 500:
        if _overflows(complaint):
            return ContextOverflow(_overflow_message(complaint))
        return RemoteError(
            f"The upstream failed (HTTP {status}).",
            status=504 if status in (408, 504) else 502,
            code="upstream_timeout" if status in (408, 504) else "upstream_error",
            retryable=True,
            retry_after_seconds=retry_after(headers),
        )
    if 300 <= status < 400:
        return RemoteError(
            f"The upstream redirects (HTTP {status}); its url has to be set to the final address.",
            status=502,
            code="upstream_redirected",
        )
    return RemoteError(f"The upstream refused (HTTP {status}).", status=502, code="upstream_error")


def error_in_stream(chunk: Chunk, *, produced: bool) -> RemoteError:
    """The error for an ``error`` object inside an answer that began with 200."""
    raw = {"message": chunk.message, "code": chunk.code}
    complaint = _complaint({"error": chunk.error} if chunk.error else raw)
    error = error_of(complaint.status or status_of(complaint.code), {}, complaint)
    if produced:
        error.retryable = False
    return error


def status_of(code: str) -> int:
    """The HTTP status a word of an error object stands for; 500 if it is none of them."""
    word = code.lower()
    if "rate_limit" in word or "too_many" in word or "quota" in word:
        return 429
    if "invalid" in word or word in _OVERFLOW_CODES or word == "badrequesterror":
        return 400
    return 500


def _refused(status: int, complaint: Complaint, asked: Endpoint) -> RemoteError:
    if _overflows(complaint):
        return ContextOverflow(_overflow_message(complaint))
    if "model_not_found" in complaint.code:
        return _missing(complaint, asked)
    if status == 413:
        message, code = "The request is too large for the upstream", "request_too_large"
    else:
        message, code = "The upstream refused the request", complaint.code
        if not code or code.lower() in _GENERAL:
            code = "invalid_value"
    said = f": {complaint.message}" if complaint.message else f" (HTTP {status})."
    return RemoteError(message + said, status=400, code=code[:64], param=_param(complaint, asked))


def _param(complaint: Complaint, asked: Endpoint) -> str | None:
    """The caller's parameter the upstream means: it knows them by the names of its own API."""
    named = complaint.param
    return asked.callers_names.get(re.split(r"[.\[]", named, maxsplit=1)[0], named) or None


def _overflows(complaint: Complaint) -> bool:
    return complaint.code in _OVERFLOW_CODES or bool(_OVERFLOW.search(complaint.message))


def _overflow_message(complaint: Complaint) -> str:
    said = f": {complaint.message}" if complaint.message else "."
    return f"The input does not fit the model's context window{said}"


def _missing(complaint: Complaint, asked: Endpoint) -> RemoteError:
    said = f"{complaint.code} {complaint.message}".lower()
    if "model" in said or "deployment" in said:  # Azure's word
        return RemoteError(
            f"The model does not exist: {complaint.message}",
            status=404,
            code="model_not_found",
            param="model",
        )
    return RemoteError(
        f"The upstream has no {asked.name} at its configured address (HTTP 404); "
        f"its url has to end where {asked.path} begins, usually in /v1.",
        status=502,
        code="upstream_not_found",
    )


def retry_after(headers: Mapping[str, str]) -> float | None:
    """The wait a reply asks for, in seconds: ``retry-after-ms``, or ``retry-after`` in
    seconds or as a date."""
    try:
        if value := headers.get("retry-after-ms"):
            return max(0.0, float(value) / 1000)
        value = headers.get("retry-after", "")
        if value.replace(".", "", 1).isdecimal():
            return float(value)
        if value:
            return max(0.0, parsedate_to_datetime(value).timestamp() - now_ms() / 1000)
    except (ValueError, TypeError):
        pass
    return None


def is_not_taken(complaint: Complaint) -> bool:
    """Whether it says that the server does not know or support something."""
    return bool(_NOT_TAKEN.search(complaint.message))


def is_about_schema(complaint: Complaint) -> bool:
    """Whether it is about what is written in a JSON Schema."""
    return bool(_ABOUT_SCHEMA.search(f"{complaint.code} {complaint.message}"))


def refused_field(complaint: Complaint, body: Mapping[str, Any]) -> str | None:
    """The dispensable field of ``body`` that the complaint says the server does not take.

    None if it is about anything else: a value, a schema, a field nobody may leave out.
    """
    if not is_not_taken(complaint) or is_about_schema(complaint):
        return None
    sent = [field for field in DISPENSABLE if field in body]
    if any(tool["function"].get("strict") for tool in body.get("tools", ())):
        sent.append("strict")
    top = complaint.param.partition(".")[0]
    if top in sent:
        return top
    places = {
        field: found.start()
        for field in sent
        if (found := re.search(rf"(?<![\w]){field}(?![\w])", complaint.message))
    }
    return min(places, key=places.__getitem__) if places else None
