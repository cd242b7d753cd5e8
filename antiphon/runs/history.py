"""A response's context as items: what its ancestors said, and what the caller brings.

Rules. Ancestors are never changed. What is stored of a turn is only what is new in it, each
item whole, with an id that stays for ever. A reference is replaced by the item it stands for.
Every call in the context has its output and every output its call; anything else is the
caller's mistake and is named.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence, Set
from typing import Any, get_args

import msgspec
from msgspec import Struct

from antiphon.errors import ClientError
from antiphon.ids import Ids, ItemIds, response_of
from antiphon.runs import pairing
from antiphon.runs.memory import Remembering
from antiphon.runs.retelling import contradicting, new_ones
from antiphon.runs.said import CALLS, OUTPUTS, Said
from antiphon.store.base import Responses
from antiphon.store.conversations import Conversations
from antiphon.types.codec import encode, open_items
from antiphon.types.content import InputText
from antiphon.types.items import (
    ID_PREFIX,
    LETTERS,
    CustomToolCallOutput,
    FunctionCallOutput,
    Item,
    ItemReference,
    Message,
    Opaque,
    Reasoning,
)
from antiphon.types.tool_items import HostedCall, McpItem

_WITHOUT_STATUS = frozenset(
    {
        "item_reference",
        "compaction",
        "mcp_list_tools",
        "mcp_approval_request",
        "mcp_approval_response",
        "additional_tools",
        "configuration_update",
    }
)
_STATUSES = frozenset({"in_progress", "completed", "incomplete"})
_OWN_STATUSES: Mapping[str, frozenset[str]] = {
    "apply_patch_call_output": frozenset({"completed", "failed"}),
    "computer_call_output": _STATUSES | {"failed"},
    "mcp_call": _STATUSES | {"calling", "failed"},
    "web_search_call": _STATUSES | {"searching", "failed"},
    "file_search_call": _STATUSES | {"searching", "failed"},
    "code_interpreter_call": _STATUSES | {"interpreting", "failed"},
    "image_generation_call": _STATUSES | {"generating", "failed"},
}
"""The statuses of items that have others than most; another one becomes ``completed``."""
_KNOWN_BY_ID = frozenset(get_args(McpItem | HostedCall))
"""Items a model is shown under a call id made of their own, which must be the same next time."""
_WITH_PARTS = frozenset({FunctionCallOutput, CustomToolCallOutput})
_DEFAULTS: Mapping[str, tuple[str, Any]] = {
    "computer_call": ("pending_safety_checks", []),
    "tool_search_output": ("execution", "client"),
    "tool_search_call": ("execution", "server"),
}
"""What a caller may leave out and readers of the item expect."""
_ONE_MESSAGE = frozenset({Message})
NO_CALLS: frozenset[str] = frozenset()
_ID_LENGTH_MAX = 512
_ARRAYS_OF_ONE_TURN = 2
"""Input and output of a turn that continues none."""
_KIND: dict[type[Any], str] = {
    shape: str(shape.__struct_config__.tag) for shape in (Message, ItemReference)
}
"""What those items are that may leave out their ``type``."""


class Brought(Struct):
    """The items of one request: ``raw`` as stored (normalised, with ids), ``items`` opened.
    ``kinds``: their types. ``dropped`` names items left out that were no mere retelling
    (``input[i]``). ``places``: where in the request the items stood, where that is not in order.
    """

    raw: list[Any]
    items: list[Item]
    kinds: Set[type[Any]]
    dropped: list[str] = []
    places: Sequence[int] | None = None

    def place(self, index: int) -> int:
        """Where in the request's ``input`` an item stood."""
        return index if self.places is None else self.places[index]

    @property
    def calling(self) -> bool:
        """Whether there are calls or outputs among them."""
        return not self.kinds.isdisjoint(pairing.ABOUT_CALLS)


async def said_before(
    store: Responses, project: str, parent: str, memory: Remembering | None
) -> tuple[Said, dict[Any, Any]]:
    """Everything said up to ``parent``, and what the backend remembers of it: from the memory, or
    from the store. Raises ``ClientError`` if it is not there."""
    if await _is_deleted_elsewhere(store, project, parent, memory):
        raise _not_found(parent)
    found = memory.recall(project, parent) if memory is not None else None
    if found is not None:
        return found
    forgotten = memory.forgotten if memory is not None else 0
    arrays = await store.context(project, parent)
    if arrays is not None and len(arrays) == _ARRAYS_OF_ONE_TURN:
        await _check_alone(store, project, parent)
    if arrays is None:
        raise _not_found(parent)
    said = Said()
    for array in arrays:
        said.read(array)
    if memory is not None:
        memory.learn(project, parent, said, forgotten)
    return said, {}


async def _is_deleted_elsewhere(
    store: Responses, project: str, parent: str, memory: Remembering | None
) -> bool:
    """Whether another process deleted what this one remembers and has not heard of it yet."""
    if memory is None or not memory.shared or memory.alone_knows(project, parent):
        return False
    return memory.peek(project, parent) is not None and not await store.alive(project, parent)


def _not_found(parent: str) -> ClientError:
    return ClientError(
        f"Previous response with id '{parent[:80]}' not found.",
        code="previous_response_not_found",
        param="previous_response_id",
    )


async def _check_alone(store: Responses, project: str, parent: str) -> None:
    """What a response in a conversation was told is in the conversation, and not known from the
    response: it is no beginning of a chain. Raises ``ClientError``."""
    found = await store.load_object(project, parent)
    if found is None or b'"conversation":{' not in found[0]:
        return
    conversation = msgspec.json.decode(found[0], type=_InConversation).conversation
    if conversation is not None:
        raise ClientError(
            f"The response '{parent}' was made in the conversation '{conversation['id']}': send "
            "that as 'conversation' instead of 'previous_response_id'.",
            code="response_in_conversation",
            param="previous_response_id",
        )


class _InConversation(Struct):
    conversation: dict[str, str] | None = None


def retold(said: Said) -> list[Any]:
    """Everything said, as raw items to be stored."""
    raw = [item.raw if isinstance(item, Opaque) else item for item in said.items]
    decoded: list[Any] = msgspec.json.decode(encode(raw))
    return decoded


def without_cut_calls(past: Said, brought: Brought) -> Said:
    """The history without the calls that were cut short and that nobody has answered."""
    if not past.cut:
        return past
    cut = past.cut - {i.call_id for i in brought.items if isinstance(i, OUTPUTS)}
    if not cut:
        return past
    return Said([i for i in past.items if not (isinstance(i, CALLS) and i.call_id in cut)])


async def referred(
    asked: Sequence[dict[str, Any]],
    *,
    past: Said,
    store: Responses,
    kept: Conversations,
    project: str,
    param: str = "input",
) -> Sequence[dict[str, Any]]:
    """The ``param`` items of a request with every reference replaced by what it stands for."""
    if not any("id" in raw and is_reference(raw) for raw in asked):
        return asked
    items = open_items(asked, param=param)
    return await _resolved(asked, items, past, store, kept, project, param)


def is_reference(raw: dict[str, Any]) -> bool:
    """Whether a raw item may stand for another one."""
    kind = raw.get("type")
    return kind == "item_reference" or (kind is None and raw.get("role") is None)


def bring(
    asked: str | Sequence[dict[str, Any]] | None, *, past: Said, ids: ItemIds, stored: bool
) -> Brought:
    """Open, deduplicate and, if they will be ``stored``, normalise the ``input`` of a request
    (references resolved)."""
    if isinstance(asked, str):
        part = InputText(text=asked)
        text = Message(role="user", content=[part], id=ids.mint("msg"), status="completed")
        return Brought([text] if stored else [], [text], _ONE_MESSAGE)
    raw: Sequence[dict[str, Any]] = asked or ()
    try:
        items = open_items(raw)
    except ClientError:
        again = pairing.tied(raw, past)
        if again is raw:
            raise
        items, raw = open_items(again), again
    raw = pairing.named(raw, items, past, ids)
    keep = new_ones(items, past)
    dropped: list[str] = []
    places: Sequence[int] | None = None
    if len(keep) != len(items):
        places = keep
        dropped = contradicting(items, past, keep)
        raw = [raw[index] for index in keep]
        items = [items[index] for index in keep]
    raws = normal(raw, items, ids, past.by_id) if stored else []
    kinds = set(map(type, items))
    if stored and not _KNOWN_BY_ID.isdisjoint(kinds):
        for item, one in zip(items, raws, strict=True):
            if type(item) in _KNOWN_BY_ID:
                item.id = one["id"]  # type: ignore[union-attr]
    return Brought(raws, items, kinds, dropped, places)


def normal(
    raw: Sequence[dict[str, Any]], items: Sequence[Item], ids: ItemIds | Ids, known: Container[str]
) -> list[Any]:
    """The items as they are stored; no id is one that is ``known``."""
    taken: set[str] = set()
    return [_normal(one, item, ids, known, taken) for one, item in zip(raw, items, strict=True)]


def _normal(
    raw: dict[str, Any], item: Item, ids: ItemIds | Ids, known: Container[str], taken: set[str]
) -> dict[str, Any]:
    """The item as it is stored and listed: typed, with an id, a status and content parts.

    An id that an earlier item has (``known``, ``taken``) is replaced: lists are paged by id. So
    is one that no database would index.
    """
    shape = type(item)
    if shape is Message and len(raw) == 2 + ("type" in raw):  # nothing but role and content
        role = raw["role"]
        minted = ids.mint("msg")
        taken.add(minted)
        content = _normal_content(raw["content"], role)
        return {
            "id": minted,
            "type": "message",
            "status": "completed",
            "role": role,
            "content": content,
        }
    kind = raw.get("type") or _KIND[shape]
    id = raw.get("id")
    if type(id) is not str or not _is_key(id) or id in taken or id in known:
        id = ids.mint(ID_PREFIX.get(kind, "item"))
    taken.add(id)
    normal = {"id": id, "type": kind}
    if kind not in _WITHOUT_STATUS:
        status = raw.get("status")
        kept = status if shape is Opaque else status in _OWN_STATUSES.get(kind, _STATUSES)
        normal["status"] = status if kept else "completed"
    for key, value in raw.items():
        if key not in normal and (value is not None or shape is Opaque):
            normal[key] = value
    if shape is Message:
        normal["content"] = _normal_content(raw["content"], raw["role"])
    elif shape in _WITH_PARTS and type(raw["output"]) is list:
        normal["output"] = [_normal_part(part, "user") for part in raw["output"]]
    elif shape is Reasoning:
        normal.setdefault("summary", [])
    elif (default := _DEFAULTS.get(kind)) is not None:
        normal.setdefault(*default)
    return normal


def _is_key(id: str) -> bool:
    return 0 < len(id) <= _ID_LENGTH_MAX and "\0" not in id


def _normal_content(content: str | list[dict[str, Any]], role: str) -> list[dict[str, Any]]:
    if type(content) is list:
        return [_normal_part(part, role) for part in content]
    if role == "assistant":
        return [{"type": "output_text", "text": content, "annotations": []}]
    return [{"type": "input_text", "text": content}]


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
    raw: Sequence[dict[str, Any]],
    items: Sequence[Item],
    past: Said,
    store: Responses,
    kept: Conversations,
    project: str,
    param: str,
) -> list[dict[str, Any]]:
    known = past.by_id
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
                param=f"{param}[{index}].id",
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
                one = await kept.find_item(project, item.id)
                if one is None:
                    raise _no_item(item.id, f"{param}[{index}].id")
                found = msgspec.json.decode(one)
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


def _no_item(item_id: str, param: str) -> ClientError:
    return ClientError(
        f"Item with id '{item_id[:80]}' not found. Items of responses created with `store: false` "
        "are not kept; send the item itself instead.",
        status=404,
        code="item_not_found",
        param=param,
    )


# Calls and outputs ------------------------------------------------------------------------


def check_calls(past: Said, brought: Brought) -> None:
    """The rules of ``pairing.py`` for what a request brings. Raises ``ClientError``."""
    pairing.check_calls(past, brought.items, brought.kinds, brought.places)


def call_ids(past: Said, brought: Brought) -> frozenset[str]:
    """The call ids a context already uses."""
    if not brought.calling:
        return frozenset(past.told) if past.told else NO_CALLS
    return frozenset(past.told).union(pairing.call_ids_of(pairing.ABOUT_CALLS, brought.items))


def skipped(past: Said, brought: Brought) -> list[str]:
    """The items no chat model can be shown, as ``type`` words (for the downgrade report)."""
    kinds = past.opaque
    if Opaque in brought.kinds:
        kinds = kinds | {item.type for item in brought.items if isinstance(item, Opaque)}
    return [f"input:{kind}" for kind in sorted(kinds - LETTERS)] if kinds else []
