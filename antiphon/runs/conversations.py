"""Conversations as their callers see them: the eight operations, each giving JSON.

Items get their ids when they come in and keep them. A caller adds and removes items only while no
response is being made in the conversation (409 ``conversation_locked``). A missing conversation, a
deleted one and another project's are the same 404. Deleting a conversation erases its items, but
not what responses have stored of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, assert_never

import msgspec

from antiphon.backends.base import Capabilities
from antiphon.config import RunSettings
from antiphon.errors import ClientError
from antiphon.ids import Ids
from antiphon.runs import history, pairing
from antiphon.runs.gained import bringing, gained_by
from antiphon.runs.held import Holding, locked, missing
from antiphon.runs.idempotency import Claim
from antiphon.runs.refusals import check_items
from antiphon.runs.retention import Retention
from antiphon.runs.said import Said
from antiphon.store.base import Responses
from antiphon.store.conversations import StoredConversation, StoredItem
from antiphon.types.codec import encode, open_items
from antiphon.types.items import ANSWERING, CALLING, Item
from antiphon.types.resources import (
    Conversation,
    ConversationDeleted,
    CreateConversation,
    CreateItems,
    Page,
    UpdateConversation,
)
from antiphon.types.tools import HOSTED

PARAM = "conversation_id"

_TRIES = 8
_INSTEAD = "Send what was said as 'input' of each response."
_ANYTHING = Capabilities(images=True)
"""No model is asked yet: what a later one can read, its own request will say."""


class Threads:
    """The operations on conversations of all projects. Methods raise ``ClientError``: 404
    ``conversation_not_found`` or ``item_not_found``, 409 ``conversation_locked``, and 400 for
    items that a request could not hold either."""

    def __init__(
        self,
        store: Responses,
        holding: Holding,
        ids: Ids,
        settings: RunSettings,
        retention: Retention,
    ) -> None:
        self._store = store
        self._kept = holding.kept
        self._holding = holding
        self._ids = ids
        self._settings = settings
        self._retention = retention

    async def create(
        self, project: str, asked: CreateConversation, claim: Claim | None = None
    ) -> bytes:
        """``POST /v1/conversations``. ``claim``: the idempotency key it is made for."""
        try:
            return await self._create(project, asked, claim)
        except BaseException as failure:
            gone = None if claim is None else claim.give_up()
            if gone is not None and isinstance(failure, ClientError):
                await gone  # who is refused may come again at once
            raise

    async def _create(self, project: str, asked: CreateConversation, claim: Claim | None) -> bytes:
        self._retention.refuse(project, "items" if asked.items else "conversation", _INSTEAD)
        raw, items = await self._opened(project, asked.items or ())
        raw = pairing.named(raw, items, Said(), self._ids)
        _check_called(Said(), items)
        new = history.normal(raw, items, self._ids, ())
        id = self._ids.mint("conv")
        found = await self._kept.create(
            project,
            id,
            self._ids.clock(),
            encode(asked.metadata or {}),
            _stored(new),
            also=() if claim is None else (claim.answered(id),),
        )
        if claim is not None:
            claim.let_go()
        return _shown(found)

    async def retrieve(self, project: str, id: str) -> bytes:
        """``GET /v1/conversations/{id}``."""
        found = await self._kept.load(project, id)
        if found is None:
            raise missing(id, PARAM)
        return _shown(found)

    async def update(self, project: str, id: str, asked: UpdateConversation) -> bytes:
        """``POST /v1/conversations/{id}``: the metadata is replaced as a whole."""
        self._retention.refuse(project, "metadata", "Delete the conversation or leave it.")
        found = await self._kept.update(project, id, encode(asked.metadata or {}))
        if found is None:
            raise missing(id, PARAM)
        return _shown(found)

    async def delete(self, project: str, id: str) -> bytes:
        """``DELETE /v1/conversations/{id}``, with its items. A response being made in it ends as
        it would have, and adds nothing."""
        if not await self._kept.delete(project, id):
            raise missing(id, PARAM)
        self._holding.forget(project, id)
        return encode(ConversationDeleted(id=id))

    async def add(
        self, project: str, id: str, asked: CreateItems, include: frozenset[str]
    ) -> bytes:
        """``POST /v1/conversations/{id}/items``: the items as they were added, oldest first."""
        self._retention.refuse(project, "items", _INSTEAD)
        raw, items = await self._opened(project, asked.items)
        needs_past = any("id" in one for one in raw) or any(map(_answers, items))
        for _ in range(_TRIES):
            said, mark = Said(), None
            if needs_past:
                mark, said, _ = await self._holding.look(project, id, param=PARAM)
            whole = pairing.named(raw, items, said, self._ids)
            if needs_past:
                _check_called(said, items)
            new = history.normal(whole, items, self._ids, said.by_id)
            added = await self._kept.add(
                project, id, _stored(new), self._ids.clock(), expected=mark
            )
            match added:
                case "missing":
                    raise missing(id, PARAM)
                case "moved":
                    continue
                case "locked":
                    raise locked(id, PARAM)
                case StoredConversation():
                    return _page([visible(item, include) for item in new], more=False)
                case _:
                    assert_never(added)
        raise locked(id, PARAM)

    async def page(
        self,
        project: str,
        id: str,
        *,
        after: str | None,
        limit: int,
        newest_first: bool,
        include: frozenset[str],
    ) -> bytes:
        """``GET /v1/conversations/{id}/items``. An ``after`` that is not in it is a 400."""
        found = await self._kept.page(
            project, id, after=after, limit=limit, newest_first=newest_first
        )
        match found:
            case "missing":
                raise missing(id, PARAM)
            case "unknown":
                raise ClientError(
                    f"No item with id '{(after or '')[:80]}' in this conversation.", param="after"
                )
            case _:
                items = [visible(msgspec.json.decode(one.item), include) for one in found.items]
                return _page(items, found.more)

    async def item(self, project: str, id: str, item_id: str, include: frozenset[str]) -> bytes:
        """``GET /v1/conversations/{id}/items/{item_id}``."""
        found = await self._kept.load_item(project, id, item_id)
        if found == "missing":
            raise missing(id, PARAM)
        if not isinstance(found, bytes):
            raise _no_item(item_id)
        return encode(visible(msgspec.json.decode(found), include))

    async def delete_item(self, project: str, id: str, item_id: str) -> bytes:
        """``DELETE /v1/conversations/{id}/items/{item_id}``: the conversation it was in."""
        found = await self._kept.delete_item(project, id, item_id, self._ids.clock())
        match found:
            case None:
                raise _no_item(item_id)
            case "missing":
                raise missing(id, PARAM)
            case "locked" | "moved":
                raise locked(id, PARAM)
            case StoredConversation():
                return _shown(found)
            case _:
                assert_never(found)

    async def sweep(self, now: int) -> None:
        """What deletions and dead processes have left (``now`` in ms)."""
        await self._kept.sweep(now)

    async def _opened(
        self, project: str, asked: Sequence[dict[str, Any]]
    ) -> tuple[Sequence[dict[str, Any]], Sequence[Item]]:
        """The items, references resolved, each checked as a request's would be."""
        raw = await history.referred(
            asked,
            past=Said(),
            store=self._store,
            kept=self._kept,
            project=project,
            param="items",
        )
        items = open_items(raw, param="items")
        if items:
            check_items(items, Said(), _ANYTHING, "", self._settings, param="items")
            gained_by(bringing((), items, None, "items"), HOSTED, frozenset())
        return raw, items


def _answers(item: Item) -> bool:
    return type(item) in ANSWERING


def _check_called(past: Said, items: Sequence[Item]) -> None:
    """Every output has its call: in the conversation, or among the new items."""
    calls = pairing.call_ids_of(CALLING, items)
    pairing.check_called(past.called.union(calls), items, "items")
    pairing.check_kinds(past, items, "items")


def _stored(items: Sequence[dict[str, Any]]) -> list[StoredItem]:
    return [StoredItem(item["id"], encode(item)) for item in items]


def _shown(found: StoredConversation) -> bytes:
    return encode(
        Conversation(
            id=found.id,
            created_at=found.created_at // 1000,
            metadata=msgspec.Raw(found.metadata),
        )
    )


def _page(items: Sequence[dict[str, Any]], more: bool) -> bytes:
    page = Page(
        data=list(items),
        first_id=items[0]["id"] if items else None,
        last_id=items[-1]["id"] if items else None,
        has_more=more,
    )
    return encode(page)


def _no_item(item_id: str) -> ClientError:
    return ClientError(
        f"Item with id '{item_id[:80]}' not found in this conversation.",
        status=404,
        code="item_not_found",
        param="item_id",
    )


# What is shown only to those who ask ------------------------------------------------------------


def visible(item: dict[str, Any], include: frozenset[str]) -> dict[str, Any]:
    """The item without what must be included by name."""
    for name, hide in _HIDING.items():
        if name not in include:
            hide(item)
    return item


def _parts(item: dict[str, Any], key: str) -> list[dict[str, Any]]:
    parts = item.get(key)
    return [part for part in parts if type(part) is dict] if type(parts) is list else []


def _hide_image_urls(item: dict[str, Any]) -> None:
    for part in _parts(item, "content"):
        if part.get("type") == "input_image" and part.get("image_url"):
            part["image_url"] = None


def _hide_logprobs(item: dict[str, Any]) -> None:
    for part in _parts(item, "content"):
        part.pop("logprobs", None)


def _without(kind: str, *path: str) -> Callable[[dict[str, Any]], None]:
    """Takes the field at ``path`` off items of a kind."""

    def hide(item: dict[str, Any]) -> None:
        inner: Any = item if item.get("type") == kind else None
        for key in path[:-1]:
            inner = inner.get(key) if type(inner) is dict else None
        if type(inner) is dict:
            inner.pop(path[-1], None)

    return hide


_HIDING: dict[str, Callable[[dict[str, Any]], None]] = {
    "message.input_image.image_url": _hide_image_urls,
    "message.output_text.logprobs": _hide_logprobs,
    "file_search_call.results": _without("file_search_call", "results"),
    "web_search_call.results": _without("web_search_call", "results"),
    "web_search_call.action.sources": _without("web_search_call", "action", "sources"),
    "computer_call_output.output.image_url": _without(
        "computer_call_output", "output", "image_url"
    ),
    "code_interpreter_call.outputs": _without("code_interpreter_call", "outputs"),
    "reasoning.encrypted_content": _without("reasoning", "encrypted_content"),
}
