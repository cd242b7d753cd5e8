"""Stored responses as their readers see them: the object, its replay, its input.

A missing id, a deleted one, an expired one and another project's are the same 404 everywhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import msgspec
from msgspec import Struct

from antiphon.errors import ClientError
from antiphon.runs.echo import Flavour
from antiphon.store.base import Responses, StoredResponse
from antiphon.stream.cuts import unpacked
from antiphon.stream.replay import replay as replayed
from antiphon.stream.spelling import joined
from antiphon.types.codec import encode
from antiphon.types.events import Event
from antiphon.types.items import OutputItem
from antiphon.types.resources import Deleted, Page
from antiphon.types.response import Response

if TYPE_CHECKING:
    from antiphon.runs.driver import Runs

_LOGPROBS = "message.output_text.logprobs"
_IMAGE_URL = "message.input_image.image_url"
_SCREENSHOT = "computer_call_output.output.image_url"
_CONTENT_FILTERS = b',"content_filters":[]}'


class _Made(Struct):
    background: bool = False


def _missing(response_id: str) -> ClientError:
    return ClientError(
        f"Response with id '{response_id[:80]}' not found.",
        status=404,
        code="response_not_found",
        param="response_id",
    )


async def _row(store: Responses, project: str, response_id: str) -> StoredResponse:
    row = await store.load(project, response_id)
    if row is None:
        raise _missing(response_id)
    return row


async def retrieve(
    runs: Runs,
    project: str,
    response_id: str,
    *,
    include: frozenset[str] = frozenset(),
    flavour: Flavour = "openai",
) -> bytes:
    """The Response object as JSON, also of one that is being made in the background; logprobs
    only if included. Raises ``ClientError`` 404."""
    store = runs.store
    found = await store.load_object(project, response_id)
    if found is None and runs.background is not None:
        found = await runs.background.snapshot(project, response_id)
        if found is None:  # it may have ended between the two
            found = await store.load_object(project, response_id)
    if found is None:
        raise _missing(response_id)
    head, output = found
    if b'"logprobs":' in output and _LOGPROBS not in include:
        output = _without_logprobs(output)
    return joined(_flavoured(head, flavour), output)


def _flavoured(head: bytes, flavour: Flavour) -> bytes:
    """The head for this reader: ``content_filters``, its last field, is Azure's alone."""
    asked_by_azure = head.endswith(_CONTENT_FILTERS)
    if asked_by_azure == (flavour == "azure"):
        return head
    if asked_by_azure:
        return head[: -len(_CONTENT_FILTERS)] + b"}"
    return head[:-1] + _CONTENT_FILTERS


def _without_logprobs(output: bytes) -> bytes:
    items = msgspec.json.decode(output)
    for item in items:
        _hide_logprobs(item)
    return encode(items)


async def replay(
    store: Responses, project: str, response_id: str, *, starting_after: int = -1
) -> Sequence[Event]:
    """The events of its stream numbered above ``starting_after``. Raises ``ClientError`` 404."""
    row = await _row(store, project, response_id)
    response = msgspec.json.decode(row.head, type=Response)
    response.output = msgspec.json.decode(row.output, type=list[OutputItem])
    return replayed(response, unpacked(row.cuts))[starting_after + 1 :]


async def input_items(
    runs: Runs,
    project: str,
    response_id: str,
    *,
    after: str | None,
    limit: int,
    order: Literal["asc", "desc"],
    include: frozenset[str],
) -> bytes:
    """One page of the items the response was made from, ancestors' included, as JSON.

    Items of deleted ancestors are not shown. Image URLs are left out unless included.
    Raises ``ClientError`` 404, or 400 for an ``after`` that is not in the list.
    """
    store = runs.store
    history = await store.history(project, response_id)
    if history is None and runs.background is not None:
        history = await runs.background.history(project, response_id)
    if history is None:
        raise _missing(response_id)
    items: list[dict[str, Any]] = []
    for past in history:
        if past.deleted:
            continue
        items += msgspec.json.decode(past.input)
        if past.response_id != response_id:
            items += msgspec.json.decode(past.output)
    if order == "desc":
        items.reverse()
    start = 0
    if after is not None:
        at = next((i for i, item in enumerate(items) if item.get("id") == after), None)
        if at is None:
            raise ClientError(f"No item with id '{after[:80]}' in this list.", param="after")
        start = at + 1
    data = items[start : start + limit]
    for item in data:
        if _IMAGE_URL not in include:
            _hide_images(item)
        if _SCREENSHOT not in include:
            _hide_screenshot(item)
        if _LOGPROBS not in include:
            _hide_logprobs(item)
    page = Page(
        data=data,
        first_id=data[0]["id"] if data else None,
        last_id=data[-1]["id"] if data else None,
        has_more=start + limit < len(items),
    )
    return encode(page)


def _hide_logprobs(item: dict[str, Any]) -> None:
    content = item.get("content")
    for part in content if isinstance(content, list) else ():
        if isinstance(part, dict):
            part.pop("logprobs", None)


def _hide_images(item: dict[str, Any]) -> None:
    if item.get("type") != "message" or not isinstance(item.get("content"), list):
        return
    for part in item["content"]:
        if part.get("type") == "input_image" and part.get("image_url"):
            part["image_url"] = None


def _hide_screenshot(item: dict[str, Any]) -> None:
    if item.get("type") == "computer_call_output" and isinstance(item.get("output"), dict):
        item["output"].pop("image_url", None)


async def delete(
    store: Responses, project: str, response_id: str, *, running: bool = False
) -> bytes:
    """Delete it; the deletion object as JSON. ``running``: what was being made of it is deleted
    already. Raises ``ClientError`` 404."""
    if not await store.delete(project, response_id) and not running:
        raise _missing(response_id)
    return encode(Deleted(id=response_id))


async def cancel(runs: Runs, project: str, response_id: str) -> None:
    """See that a background response is cancelled, if it has not ended yet. Raises
    ``ClientError``: 404, or 400 for one that was not made in the background."""
    if runs.background is not None and await runs.background.cancel(project, response_id):
        return
    row = await _row(runs.store, project, response_id)
    if msgspec.json.decode(row.head, type=_Made).background:
        return
    raise ClientError(
        "Cannot cancel a synchronous response. Only responses created with 'background': true "
        "can be cancelled; to stop a stream, close its connection.",
        code="response_not_cancellable",
        param="response_id",
    )
