"""A response's context as items: what its ancestors said, and what the caller brings.

Rules. Ancestors are never changed. What is stored of a turn is only what is new in it, each
item whole, with an id that stays for ever. A reference is replaced by the item it stands for.
Every call in the context has its output and every output its call; anything else is the
caller's mistake and is named.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Struct

from antiphon.errors import ClientError
from antiphon.ids import ItemIds, response_of
from antiphon.runs.retelling import CALLS, OUTPUTS, by_id, contradicting, id_of, new_ones
from antiphon.store.base import Past, Responses
from antiphon.types.codec import encode, open_items, open_stored
from antiphon.types.content import InputText, OutputText
from antiphon.types.items import (
    ID_PREFIX,
    CustomToolCallOutput,
    FunctionCall,
    FunctionCallOutput,
    Item,
    ItemReference,
    Message,
    Opaque,
    Reasoning,
)

_WITHOUT_STATUS = frozenset({"item_reference", "compaction", "mcp_list_tools"})
_STATUSES = ("in_progress", "completed", "incomplete")
_KEEP_NULL = object()
"""No value is this one. Null means something in items we do not interpret."""


class Brought(Struct):
    """The items of one request: ``raw`` as stored (normalised, with ids), ``items`` opened.
    ``dropped`` names items left out that were no mere retelling (``input[i]``)."""

    raw: list[dict[str, Any]]
    items: list[Item]
    dropped: list[str] = []


async def past_of(store: Responses, project: str, parent: str) -> Sequence[Past]:
    """The history that ends with ``parent``. Raises ``ClientError`` if it is not there."""
    history = await store.history(project, parent)
    if history is None:
        raise ClientError(
            f"Previous response with id '{parent[:80]}' not found.",
            code="previous_response_not_found",
            param="previous_response_id",
        )
    return history


def items_of(history: Sequence[Past]) -> list[Item]:
    """All items of a history, oldest first."""
    items: list[Item] = []
    for past in history:
        items += open_stored(past.input)
        items += open_stored(past.output)
    return items


def without_cut_calls(past: Sequence[Item], brought: Sequence[Item]) -> list[Item]:
    """The history without the calls that were cut short and that nobody has answered."""
    cut = {i.call_id for i in past if isinstance(i, CALLS) and i.status == "incomplete"}
    if not cut:
        return list(past)
    cut -= {i.call_id for i in (*past, *brought) if isinstance(i, OUTPUTS)}
    return [i for i in past if not (isinstance(i, CALLS) and i.call_id in cut)]


async def bring(
    asked: str | Sequence[dict[str, Any]] | None,
    *,
    past: Sequence[Item],
    ids: ItemIds,
    store: Responses,
    project: str,
) -> Brought:
    """Open, resolve, deduplicate and normalise the ``input`` of a request."""
    if isinstance(asked, str):
        part = InputText(text=asked)
        text = Message(role="user", content=[part], id=ids.mint("msg"), status="completed")
        return Brought(raw=[msgspec.to_builtins(text)], items=[text])
    raw = list(asked or ())
    items = open_items(raw)
    if any(isinstance(item, ItemReference) for item in items):
        raw = await _resolved(raw, items, past, store, project)
        items = open_items(raw)
    keep = new_ones(items, past)
    dropped: list[str] = []
    if len(keep) != len(items):
        dropped = contradicting(items, past, keep)
        raw = [raw[index] for index in keep]
        items = [items[index] for index in keep]
    taken = set(by_id(past))
    pairs = zip(raw, items, strict=True)
    normal = [_normal(*pair, ids, taken) for pair in pairs]
    return Brought(raw=normal, items=items, dropped=dropped)


def _normal(raw: dict[str, Any], item: Item, ids: ItemIds, taken: set[str]) -> dict[str, Any]:
    """The item as it is stored and listed: typed, with an id, a status and content parts.

    An id that is ``taken`` by an earlier item is replaced: lists are paged by id.
    """
    kind = raw.get("type") or str(item.__struct_config__.tag)
    id = id_of(item)
    if not id or id in taken:
        id = ids.mint(ID_PREFIX.get(kind, "item"))
    taken.add(id)
    normal = {"id": id, "type": kind}
    if kind not in _WITHOUT_STATUS:
        status = raw.get("status")
        known = status if isinstance(item, Opaque) else status in _STATUSES
        normal["status"] = status if known else "completed"
    null = _KEEP_NULL if isinstance(item, Opaque) else None
    normal.update({k: v for k, v in raw.items() if k not in normal and v is not null})
    match item:
        case Message(content=str(text), role=role):
            part: Any = OutputText if role == "assistant" else InputText
            normal["content"] = [msgspec.to_builtins(part(text=text))]
        case Message(role=role):
            normal["content"] = [_normal_part(part, role) for part in raw["content"]]
        case FunctionCallOutput(output=list()) | CustomToolCallOutput(output=list()):
            normal["output"] = [_normal_part(part, "user") for part in raw["output"]]
        case Reasoning():
            normal.setdefault("summary", [])
    return normal


def _normal_part(raw: dict[str, Any], role: str) -> dict[str, Any]:
    """A content part as strict readers expect it: text of the kind its role has, no nulls where
    a key may be left out, the defaults the API promises."""
    part = {key: value for key, value in raw.items() if value is not None}
    if part["type"] in ("text", "input_text", "output_text"):
        part["type"] = "output_text" if role == "assistant" else "input_text"
    match part["type"]:
        case "output_text":
            part.setdefault("annotations", [])
        case "input_image":
            part.setdefault("detail", "auto")
    return part


# References -------------------------------------------------------------------------------


async def _resolved(
    raw: list[dict[str, Any]],
    items: Sequence[Item],
    past: Sequence[Item],
    store: Responses,
    project: str,
) -> list[dict[str, Any]]:
    known = by_id(past)
    stored: dict[str, dict[str, dict[str, Any]]] = {}
    resolved: list[dict[str, Any]] = []
    seen: set[str] = set()
    for index, item in enumerate(items):
        if not isinstance(item, ItemReference):
            resolved.append(raw[index])
            continue
        if item.id in seen:  # forty bytes each, and the item may be megabytes
            raise ClientError(
                f"Duplicate item found with id '{item.id[:80]}'. Remove the second reference.",
                param=f"input[{index}].id",
            )
        seen.add(item.id)
        if item.id in known:
            resolved.append(msgspec.json.decode(encode(known[item.id])))
        else:
            # Our ids name the response they were minted under.
            owner = response_of(item.id) or ""
            if owner not in stored:
                stored[owner] = await _stored_items(owner, store, project)
            found = stored[owner].get(item.id)
            if found is None:
                raise _no_item(item.id, index)
            resolved.append(found)
    return resolved


async def _stored_items(
    response_id: str, store: Responses, project: str
) -> dict[str, dict[str, Any]]:
    """The items of a response by their ids; none if it is not there."""
    row = await store.load(project, response_id)
    if row is None:
        return {}
    items = [*msgspec.json.decode(row.input), *msgspec.json.decode(row.output)]
    return {item["id"]: item for item in items}


def _no_item(item_id: str, index: int) -> ClientError:
    return ClientError(
        f"Item with id '{item_id[:80]}' not found. Items of responses created with `store: false` "
        "are not kept; send the item itself instead.",
        status=404,
        code="item_not_found",
        param=f"input[{index}].id",
    )


# Calls and outputs ------------------------------------------------------------------------


def check_calls(past: Sequence[Item], brought: Sequence[Item]) -> None:
    """Every call answered, every output called for. Raises ``ClientError`` naming the call."""
    called = {item.call_id for item in past if isinstance(item, CALLS)}
    answered = {item.call_id for item in past if isinstance(item, OUTPUTS)}
    for item in brought:
        if isinstance(item, CALLS):
            called.add(item.call_id)
    for index, item in enumerate(brought):
        if not isinstance(item, OUTPUTS):
            continue
        if item.call_id not in called:
            kind = "function" if isinstance(item, FunctionCallOutput) else "custom tool"
            raise ClientError(
                f"No tool call found for {kind} call output with call_id {item.call_id}. Send the "
                "call before its output, or the id of the response that made it as "
                "previous_response_id.",
                code="tool_call_not_found",
                param=f"input[{index}].call_id",
            )
        answered.add(item.call_id)
    for item in (*past, *brought):
        if isinstance(item, CALLS) and item.call_id not in answered:
            kind = "function" if isinstance(item, FunctionCall) else "custom tool"
            raise ClientError(
                f"No tool output found for {kind} call {item.call_id}.",
                code="tool_output_not_found",
                param="input",
            )


def call_ids(items: Sequence[Item]) -> frozenset[str]:
    """The call ids a context already uses."""
    return frozenset(item.call_id for item in items if isinstance(item, CALLS | OUTPUTS))


# Truncation -------------------------------------------------------------------------------


def shortened(items: Sequence[Item], new: int) -> list[Item] | None:
    """The context without the older half of its exchanges, or None if nothing can go.

    ``new`` items at the end stay, and so do system and developer messages. An exchange starts
    with a user message, so a call is never parted from its output.
    """
    old = len(items) - new
    starts = [
        index
        for index, item in enumerate(items[:old])
        if isinstance(item, Message) and item.role == "user"
    ]
    if not starts:
        return None
    middle = (len(starts) + 1) // 2
    end = starts[middle] if middle < len(starts) else old
    if end <= starts[0]:
        return None
    kept = [item for item in items[:end] if _is_standing(item)]
    if len(kept) == end or _answers(items[end:], items[:end]):
        return None
    return [*kept, *items[end:]]


def _answers(kept: Sequence[Item], gone: Sequence[Item]) -> bool:
    """Whether what is kept answers a call that would go: the one the new items bring results of."""
    called = {item.call_id for item in gone if isinstance(item, CALLS)}
    called -= {item.call_id for item in gone if isinstance(item, OUTPUTS)}
    return any(isinstance(item, OUTPUTS) and item.call_id in called for item in kept)


def _is_standing(item: Item) -> bool:
    return isinstance(item, Message) and item.role in ("system", "developer")


def skipped(items: Sequence[Item]) -> list[str]:
    """The items no chat model can be shown, as ``type`` words (for the downgrade report)."""
    return sorted({item.type for item in items if isinstance(item, Opaque)})
