"""Stored chat completions as their readers see them, and how one comes to be stored.

Only completions created with ``store: true`` are here. A missing id, a deleted one, an expired one
and another project's are the same 404 everywhere.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from antiphon.errors import ClientError
from antiphon.runs.chat_view import View
from antiphon.runs.idempotency import Claim
from antiphon.store.base import StoredResponse
from antiphon.store.completions import Completions, StoredCompletion, Wanted
from antiphon.store.work import Begin
from antiphon.types.base import UNSET
from antiphon.types.chat import (
    AssistantMessage,
    ChatMessage,
    CreateChatCompletion,
    FilePart,
    ImagePart,
    RefusalPart,
    TextPart,
    ToolMessage,
)
from antiphon.types.codec import encode
from antiphon.types.completion import CompletionDeleted
from antiphon.types.items import OutputItem
from antiphon.types.resources import Page
from antiphon.types.response import Response

_KEPT = frozenset({"completed", "incomplete"})

# How one is stored ------------------------------------------------------------------------


def keeping(
    completions: Completions,
    view: View,
    chat: CreateChatCompletion,
    retention_ms: int | None,
    ended: StoredResponse,
) -> Sequence[Begin[object]]:
    """What is written when the response of a completion with ``store: true`` ends: nothing, if it
    failed or its reader left."""
    if ended.status not in _KEPT:
        return ()
    response = msgspec.json.decode(ended.head, type=Response)
    response.output = msgspec.json.decode(ended.output, type=list[OutputItem])
    completion = view.completion(response)
    completion.metadata = UNSET
    row = StoredCompletion(
        id=view.id,
        project=ended.project,
        created_at=ended.created_at,
        expires_at=None if retention_ms is None else ended.created_at + retention_ms,
        model=view.model,
        metadata=chat.metadata or {},
        object=encode(completion),
        messages=encode(_stored_messages(chat.messages, view.id)),
    )
    return [completions.saving(row)]


def answering(
    claim: Claim, view: View, chat: CreateChatCompletion, ended: StoredResponse
) -> Sequence[Begin[object]]:
    """What is written for the idempotency key a completion was made for: its id. What failed is no
    answer to repeat, and frees the key."""
    claim.let_go()
    if ended.status not in _KEPT:
        return [claim.lease.release]
    return [claim.answered(view.id, kept=chat.store is True)]


def _stored_messages(messages: Sequence[ChatMessage], id: str) -> list[dict[str, Any]]:
    return [
        {"id": f"{id}-{index}", **_stored_message(message)}
        for index, message in enumerate(messages)
    ]


def _stored_message(message: ChatMessage) -> dict[str, Any]:
    """A message as it is listed: ``content`` is its text, or null where it came as parts."""
    content = message.content
    shown: dict[str, Any] = {
        "role": str(message.__struct_config__.tag),
        "content": content if isinstance(content, str) else None,
        "content_parts": None,
        "refusal": None,
        "name": getattr(message, "name", None),
    }
    if not isinstance(content, str | None):
        shown["content_parts"] = [_stored_part(part) for part in content]
    if isinstance(message, ToolMessage):
        shown["tool_call_id"] = message.tool_call_id
    if isinstance(message, AssistantMessage):
        shown["refusal"] = message.refusal
        for field in ("tool_calls", "function_call", "reasoning_content"):
            value = getattr(message, field)
            if value is not None:
                shown[field] = value
    return shown


def _stored_part(part: Any) -> dict[str, Any]:
    """The API lists text and images only: any other part is shown as a text that names it."""
    match part:
        case ImagePart(image_url=source):
            return {
                "type": "image_url",
                "image_url": {"url": source.url, "detail": source.detail or "auto"},
            }
        case FilePart(file=source):
            text = f"[the file {source.filename or 'without a name'}]"
        case RefusalPart(refusal=text):
            pass
        case TextPart():
            text = part.text
        case _:
            text = part.text
    return {"type": "text", "text": text}


# How it is read ---------------------------------------------------------------------------


def _missing(id: str) -> ClientError:
    return ClientError(
        f"Chat completion with id '{id[:80]}' not found. Only completions created with "
        "'store': true are kept.",
        status=404,
        code="completion_not_found",
        param="completion_id",
    )


async def _row(completions: Completions, project: str, id: str, now: int) -> StoredCompletion:
    row = await completions.load(project, id, now)
    if row is None:
        raise _missing(id)
    return row


async def retrieve(completions: Completions, project: str, id: str, now: int) -> bytes:
    """The ``chat.completion`` as JSON. Raises ``ClientError`` 404."""
    return _shown(await _row(completions, project, id, now))


async def update(
    completions: Completions, project: str, id: str, metadata: Mapping[str, str] | None, now: int
) -> bytes:
    """Replace the metadata (null: by none); the object as JSON. Raises ``ClientError`` 404."""
    row = await completions.set_metadata(project, id, metadata or {}, now)
    if row is None:
        raise _missing(id)
    return _shown(row)


async def delete(completions: Completions, project: str, id: str, now: int) -> bytes:
    """Erase it; the deletion object as JSON. Raises ``ClientError`` 404."""
    if not await completions.delete(project, id, now):
        raise _missing(id)
    return encode(CompletionDeleted(id=id))


async def listed(completions: Completions, project: str, wanted: Wanted, now: int) -> bytes:
    """One page as JSON. Raises ``ClientError`` 400 for an ``after`` that is not there."""
    found = await completions.page(project, wanted, now)
    if found is None:
        raise _not_in_list(str(wanted.after))
    rows, more = found
    data = [msgspec.Raw(_shown(row)) for row in rows]
    first, last = (rows[0].id, rows[-1].id) if rows else (None, None)
    return encode(Page(data=data, first_id=first, last_id=last, has_more=more))


async def messages(
    completions: Completions,
    project: str,
    id: str,
    *,
    after: str | None,
    limit: int,
    descending: bool,
    now: int,
) -> bytes:
    """One page of the messages it was made from, as JSON. Raises ``ClientError`` 404, or 400 for
    an ``after`` that is not there."""
    row = await _row(completions, project, id, now)
    every = msgspec.json.decode(row.messages)
    if descending:
        every.reverse()
    start = 0
    if after is not None:
        start = next((i for i, one in enumerate(every, 1) if one["id"] == after), 0)
        if not start:
            raise _not_in_list(after)
    data = every[start : start + limit]
    first, last = (data[0]["id"], data[-1]["id"]) if data else (None, None)
    more = start + limit < len(every)
    return encode(Page(data=data, first_id=first, last_id=last, has_more=more))


def _not_in_list(after: str) -> ClientError:
    return ClientError(f"Nothing with id '{after[:80]}' in this list.", param="after")


def _shown(row: StoredCompletion) -> bytes:
    return row.object[:-1] + b',"metadata":' + encode(row.metadata) + b"}"
