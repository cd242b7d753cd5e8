"""What is stored, as JSON lines: what `antiphon export` writes and `antiphon import archive` reads.

The first line says what the file is, the last one what it holds; in between each line is one
object, whole by itself. Content stands in the lines byte for byte as it was stored, in clear: a
model is shown the same after the file went into another database. Times are milliseconds since
1970. No I/O here.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from typing import Annotated, Literal, TypeVar

import msgspec
from msgspec import Meta, Raw, Struct

from antiphon.errors import ClientError
from antiphon.store.base import StoredResponse
from antiphon.store.completions import StoredCompletion
from antiphon.stream.cuts import unpacked
from antiphon.stream.spelling import joined
from antiphon.types.codec import open_stored
from antiphon.types.items import ItemReference
from antiphon.types.response import Response

T = TypeVar("T")

VERSION = 1
NULL = b"null"

ITEMS_PER_LINE = 500
"""So many items of a conversation stand in one line; what follows has lines of its own."""

_Project = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.-]{1,64}$")]
_Id = Annotated[str, Meta(min_length=1, max_length=128, pattern=r"^[^\x00]*$")]
_Ms = Annotated[int, Meta(ge=0, lt=1 << 62)]
_Pair = Annotated[str, Meta(max_length=512)]


class Head(Struct, kw_only=True, tag_field="object", tag="antiphon.archive"):
    """The first line. ``project``: the only one in the file, if it is one."""

    version: int
    exported_at: _Ms
    project: str | None = None


class ResponseLine(Struct, kw_only=True, tag_field="object", tag="response"):
    """A response. ``parent``: the one it continues, which stands above. ``deleted``: only ``input``
    and ``output`` are left, for those that continue it. ``head``: the Response object with an empty
    output, or null; ``cuts``: how its stream was cut, base64."""

    project: _Project
    id: _Id
    parent: _Id | None
    created_at: _Ms
    expires_at: _Ms | None
    status: Literal["completed", "incomplete", "failed", "cancelled"]
    deleted: bool
    head: Raw
    input: Raw
    output: Raw
    cuts: str | None


class ConversationLine(Struct, kw_only=True, tag_field="object", tag="conversation"):
    """A conversation with its first items."""

    project: _Project
    id: _Id
    created_at: _Ms
    metadata: dict[str, _Pair]
    items: list[Raw]


class ItemsLine(Struct, kw_only=True, tag_field="object", tag="conversation.items"):
    """More items of the conversation above, which has ``after`` of them before."""

    project: _Project
    conversation: _Id
    after: Annotated[int, Meta(ge=1)]
    items: list[Raw]


class CompletionLine(Struct, kw_only=True, tag_field="object", tag="chat.completion"):
    """A stored chat completion, without its metadata in itself."""

    project: _Project
    id: _Id
    created_at: _Ms
    expires_at: _Ms | None
    model: str
    metadata: dict[str, _Pair]
    completion: Raw
    messages: Raw


class End(Struct, kw_only=True, tag_field="object", tag="antiphon.archive.end"):
    """The last line: without it the file is a part of one."""

    responses: int
    conversations: int
    completions: int


Line = Head | ResponseLine | ConversationLine | ItemsLine | CompletionLine | End

_decode = msgspec.json.Decoder(Line).decode
_encode = msgspec.json.Encoder().encode


class Malformed(Exception):
    """Why a line cannot be read."""


class Counts(Struct):
    """What a file holds, or what became of it. ``erased``: content whose key was dropped."""

    responses: int = 0
    deleted: int = 0
    conversations: int = 0
    items: int = 0
    completions: int = 0
    erased: int = 0


class _Named(Struct):
    id: str


_objects = msgspec.json.Decoder(list[_Named]).decode
_response = msgspec.json.Decoder(Response).decode
_object = msgspec.json.Decoder(dict[str, Raw]).decode


def spelled(line: Line) -> bytes:
    """The line as it is written, with its end."""
    return _encode(line) + b"\n"


def raw(content: bytes) -> Raw:
    """Stored JSON as a part of a line."""
    return Raw(msgspec.json.format(content, indent=-1) if b"\n" in content else content)


def parsed(line: bytes) -> Line:
    """What a line says. Raises ``Malformed``."""
    try:
        said: Line = _decode(line)
        return said
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Malformed(str(error) or "it is not JSON") from None


# Lines → rows -----------------------------------------------------------------------------


def response_row(line: ResponseLine) -> StoredResponse:
    """The row to be stored; of a deleted response, one to be made a tombstone at once. Raises
    ``Malformed`` for what could not be read again later."""
    head, input, output = _tight(line.head), bytes(line.input), bytes(line.output)
    _check("input", lambda: _item_names(input))
    _check("output", lambda: _item_names(output))
    if line.deleted != (head == NULL):
        raise Malformed("'head' is there for what is not deleted, and null for what is")
    if not line.deleted:
        _check("head", lambda: _check_head(line.id, head, output))
    return StoredResponse(
        id=line.id,
        project=line.project,
        parent=line.parent,
        created_at=line.created_at,
        expires_at=line.expires_at,
        status=line.status,
        head=head,
        input=input,
        output=output,
        cuts=_cuts(line.cuts),
    )


def completion_row(line: CompletionLine) -> StoredCompletion:
    """The row to be stored. Raises ``Malformed``."""
    completion, messages = bytes(line.completion), bytes(line.messages)
    _check("messages", lambda: _names(messages))
    _check("completion", lambda: _check_completion(line.id, completion))
    return StoredCompletion(
        id=line.id,
        project=line.project,
        created_at=line.created_at,
        expires_at=line.expires_at,
        model=line.model,
        metadata=line.metadata,
        object=completion,
        messages=messages,
    )


def item_names(items: list[Raw]) -> list[str]:
    """The id of each item of a conversation. Raises ``Malformed``."""
    array = b"[%b]" % b",".join(map(bytes, items))
    names = _check("items", lambda: _item_names(array))
    if len(set(names)) < len(names):
        raise Malformed("'items': two items have the same id")
    return names


def _tight(head: Raw) -> bytes:
    """The head without blanks between its parts, which other programs put there when they write
    the file again: its empty output is sought by its bytes (``joined``)."""
    return msgspec.json.format(bytes(head), indent=-1)


def _check(name: str, look: Callable[[], T]) -> T:
    try:
        return look()
    except (ValueError, KeyError, RecursionError, ClientError) as error:
        raise Malformed(f"'{name}': {error}") from None


def _names(array: bytes) -> list[str]:
    names = [one.id for one in _objects(array)]
    if not all(names):
        raise ValueError("an item has no id")
    return names


def _item_names(array: bytes) -> list[str]:
    """The items' ids, of items that a history can be made of again."""
    names = _names(array)
    if any(isinstance(item, ItemReference) for item in open_stored(array)):
        raise ValueError("an item has no type, or is only a reference")
    return names


def _check_head(id: str, head: bytes, output: bytes) -> None:
    if _response(head).id != id:
        raise ValueError("it is another response's")
    joined(head, output)


def _check_completion(id: str, completion: bytes) -> None:
    if msgspec.json.decode(_object(completion)["id"]) != id:
        raise ValueError("it is another completion's")


def _cuts(text: str | None) -> bytes | None:
    if text is None:
        return None
    try:
        packed = base64.b64decode(text, validate=True)
        unpacked(packed)
    except (binascii.Error, ValueError) as error:
        raise Malformed(f"'cuts': {error}") from None
    return packed
