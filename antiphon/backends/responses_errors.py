"""What a refused or failed response means to our caller; ``chat_errors`` has what is common.

The words of an upstream travel on by the same rule: of a 400 about the caller's request, clipped;
all others are a note on the exception, which logs show and callers do not.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from antiphon.backends.base import Turn
from antiphon.backends.chat_errors import (
    Complaint,
    Endpoint,
    error_of,
    is_about_schema,
    is_not_taken,
    status_of,
)
from antiphon.backends.chat_wire import clipped
from antiphon.backends.responses_profiles import Dialect
from antiphon.errors import RemoteError

RESPONSES = Endpoint("responses", "/responses", {"input": "input", "tools": "tools"})
"""Places in what was sent are not those of the caller's request: history and other tools are in
it."""

_BAD_REQUEST = frozenset(
    {
        "bio_policy",
        "data_residency_mismatch",
        "empty_image_file",
        "failed_to_download_image",
        "image_content_policy_violation",
        "image_file_not_found",
        "image_file_too_large",
        "image_parse_error",
        "image_too_large",
        "image_too_small",
        "misalignment_policy_violation",
        "unsupported_image_media_type",
    }
)
"""Codes of failed responses that are about the request; those with ``invalid`` are too."""

_TOOL = re.compile(r"tools\[(\d+)\](?:\.type)?")
_ITEM_ID = re.compile(r"input(?:\[\d+\])?.*\.id\b")
_STRICT = re.compile(r"tools\[\d+\](?:\.function)?\.strict|(?<!\w)strict(?!\w)")
_PLACES = {
    "stream_options": "stream_options",
    "include_obfuscation": "stream_options",
    "parallel_tool_calls": "parallel_tool_calls",
    "prompt_cache_key": "prompt_cache_key",
    "safety_identifier": "safety_identifier",
    "reasoning.summary": "reasoning.summary",
    "reasoning.context": "reasoning.context",
    "text.verbosity": "text.verbosity",
    "phase": "phase",
}
"""What a complaint may name → the field that is then left out."""


def failure_of(status: int, headers: Mapping[str, str], complaint: Complaint) -> RemoteError:
    """The error for an answer that is not 2xx."""
    return error_of(status, headers, complaint, RESPONSES)


def failed(error: Any, *, produced: bool) -> RemoteError:
    """The error for a response that ended as failed, or an ``error`` event."""
    raw = error if isinstance(error, dict) else {"message": error}
    code, message = raw.get("code") or raw.get("type"), raw.get("message")
    told = code if type(code) is int and 400 <= code < 600 else None  # as HTTP would say it
    if told is not None:
        code = raw.get("type")
    complaint = Complaint(
        clipped(message) if isinstance(message, str) else "",
        code=code if isinstance(code, str) else "",
        param=str(raw.get("param") or ""),
    )
    status = 400 if complaint.code in _BAD_REQUEST else told or status_of(complaint.code)
    found = error_of(status, {}, complaint, RESPONSES)
    if produced:
        found.retryable = False
    return found


def refused_field(
    complaint: Complaint, turn: Turn, dialect: Dialect, body: Mapping[str, Any]
) -> str | None:
    """What the complaint says the server does not take, in the words of
    ``responses_profiles.without``; None if it is about anything else, or cannot be spared."""
    said = f"{complaint.param} {complaint.message}"
    if dialect.encrypted and (lesson := _about_encrypted(complaint, dialect)):
        return lesson
    if not dialect.item_ids and _ITEM_ID.search(said) and "equired" in said:
        return "id"
    if found := _TOOL.search(complaint.param):
        return _refused_tool(int(found[1]), body.get("tools", ()), dialect, said)
    if not is_not_taken(complaint) or is_about_schema(complaint):
        return None
    for name, field in _PLACES.items():
        if re.search(rf"(?<!\w){re.escape(name)}(?!\w)", said) and _is_sent(field, body, dialect):
            return field
    if (
        dialect.strict
        and _STRICT.search(said)
        and any("strict" in t for t in body.get("tools", ()))
    ):
        return "strict"
    return None


def _about_encrypted(complaint: Complaint, dialect: Dialect) -> str | None:
    """Encrypted reasoning is not to be asked for, or what was sent of it is not known again."""
    said = f"{complaint.code} {complaint.param} {complaint.message}"
    about = re.search(r"encrypted[ _]content", said, re.IGNORECASE)
    if "include" in complaint.param:
        return None if "logprob" in complaint.message else "reasoning.encrypted_content"
    if about is None:
        return None
    return "encrypted_content" if dialect.resends else "reasoning.encrypted_content"


def _refused_tool(
    at: int, tools: Sequence[Mapping[str, Any]], dialect: Dialect, said: str
) -> str | None:
    """A type of tool the server does not know, if it can be sent as a function instead."""
    kind = tools[at].get("type") if at < len(tools) else None
    if kind == "custom" and kind in dialect.native and not re.search(r"grammar|format", said):
        return "tool:custom"
    return None


def _is_sent(field: str, body: Mapping[str, Any], dialect: Dialect) -> bool:
    if field == "phase":
        return dialect.phases
    top, _, inner = field.partition(".")
    return top in body and (not inner or inner in body[top])
