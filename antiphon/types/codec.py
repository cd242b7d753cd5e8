"""Bytes ↔ structs, and nothing else.

Decoding has two speeds. The fast path is one msgspec call. When it fails, ``explain.py`` looks
at the value again and says what was wrong in the API's words (``ClientError``).

Items are opened in two steps, raw object → look up ``type`` → struct, because the API lets
messages and references omit their ``type`` and because item types we do not interpret must
survive (``Opaque``). Whatever we emit can be fed back verbatim: unknown keys are tolerated and
null stands for absent wherever a field is optional.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar, cast, get_args

import msgspec
from msgspec import Struct

from antiphon.errors import ClientError
from antiphon.types import explain
from antiphon.types.content import (
    InputFile,
    InputImage,
    InputText,
    OutputText,
    PlainText,
    Refusal,
)
from antiphon.types.explain import at_index, at_key
from antiphon.types.items import (
    OPAQUE_TYPES,
    Compaction,
    CompactionTrigger,
    CustomToolCall,
    CustomToolCallOutput,
    FunctionCall,
    FunctionCallOutput,
    Item,
    ItemReference,
    Message,
    Opaque,
    Reasoning,
)
from antiphon.types.request import CountInput, CreateResponse
from antiphon.types.tool_items import ToolItem

_S = TypeVar("_S", bound=Struct)

_Opened = (
    Message
    | FunctionCall
    | FunctionCallOutput
    | CustomToolCall
    | CustomToolCallOutput
    | Reasoning
    | ItemReference
    | Compaction
    | CompactionTrigger
    | ToolItem
)
_TOOL_ITEMS: Mapping[str, type[Any]] = {
    str(shape.__struct_config__.tag): shape for shape in get_args(ToolItem)
}
_ITEMS: Mapping[str, type[Any]] = {
    "message": Message,
    "function_call": FunctionCall,
    "function_call_output": FunctionCallOutput,
    "custom_tool_call": CustomToolCall,
    "custom_tool_call_output": CustomToolCallOutput,
    "reasoning": Reasoning,
    "item_reference": ItemReference,
    "compaction": Compaction,
    "compaction_trigger": CompactionTrigger,
    **_TOOL_ITEMS,
}
_SHAPES: Mapping[Any, type[Any]] = {**_ITEMS, None: Message}
"""By what stands in ``type``; where nothing does, it is a message nearly always."""
FIELD_OF_PARTS: Mapping[type[Any], str] = {
    Message: "content",
    FunctionCallOutput: "output",
    CustomToolCallOutput: "output",
}
"""Where the content parts of an item are, if it has any."""
WHOLE_PARTS = frozenset({InputText, OutputText, PlainText, Refusal})
"""Parts without rules between their fields."""

_create = msgspec.json.Decoder(CreateResponse).decode
_count = msgspec.json.Decoder(CountInput).decode
_stored_items = msgspec.json.Decoder(list[_Opened]).decode
_encode = msgspec.json.Encoder().encode
_to = msgspec.convert


def encode(obj: Any) -> bytes:
    """The JSON of a struct, or of plain data. An ``Opaque`` item becomes the object it keeps."""
    return _encode(obj.raw if type(obj) is Opaque else obj)


def decode_create(body: bytes | memoryview) -> CreateResponse:
    """The body of ``POST /v1/responses``. Raises ``ClientError`` naming the parameter."""
    try:
        return _create(body)
    except (ValueError, RecursionError) as failure:
        raise explain.explain_body(bytes(body), CreateResponse, failure) from None


def decode_count(body: bytes) -> CreateResponse:
    """The body of ``POST /v1/responses/input_tokens``, as the create it asks about."""
    try:
        asked = _count(body)
    except (ValueError, RecursionError) as failure:
        raise explain.explain_body(body, CountInput, failure) from None
    if asked.personality is not None:
        raise ClientError(
            "Unsupported parameter: 'personality'. Models served here have no style presets; "
            "say it in 'instructions'.",
            code="unsupported_parameter",
            param="personality",
        )
    fields = {name: getattr(asked, name) for name in asked.__struct_fields__}
    del fields["personality"]
    return CreateResponse(**fields)


def decode_body(body: bytes, shape: type[_S]) -> _S:
    """The body of any other request. Raises ``ClientError`` naming the parameter."""
    try:
        return msgspec.json.decode(body, type=shape)
    except (ValueError, RecursionError) as failure:
        raise explain.explain_body(body, shape, failure) from None


# Items ------------------------------------------------------------------------------------


def open_items(raw: Sequence[dict[str, Any]], *, param: str = "input") -> list[Item]:
    """The items of a request, in order. Raises ``ClientError`` with a path below ``param``."""
    try:
        items: list[Item] = [_to(item, _SHAPES[item.get("type")]) for item in raw]
    except (msgspec.ValidationError, RecursionError, KeyError, TypeError):
        # A closer look finds what is wrong, or that nothing is.
        items = [_open_item(item, at_index(param, i)) for i, item in enumerate(raw)]
    for index, item in enumerate(items):
        field = FIELD_OF_PARTS.get(type(item))
        if field is None:
            continue
        parts = getattr(item, field)
        if type(parts) is list and not WHOLE_PARTS.issuperset(map(type, parts)):
            _check_parts(parts, param, index, field)
    return items


def open_stored(items: bytes) -> list[Item]:
    """The items of a stored JSON array, without the checks a request needs. A tool's item that
    has another shape than we know is kept as it is."""
    try:
        return cast("list[Item]", _stored_items(items))
    except msgspec.ValidationError:
        raw = msgspec.json.decode(items)
        return [_stored_item(item, at_index("items", i)) for i, item in enumerate(raw)]


def _stored_item(raw: dict[str, Any], path: str) -> Item:
    try:
        return _open_item(raw, path)
    except ClientError:
        if raw.get("type") not in _TOOL_ITEMS:
            raise
        return Opaque(raw["type"], raw)


def _open_item(raw: dict[str, Any], path: str) -> Item:
    kind = _type_of_item(raw, path)
    shape = _ITEMS.get(kind)
    if shape is None:
        if kind in OPAQUE_TYPES:
            return Opaque(kind, raw)
        raise explain.wrong_value(at_key(path, "type"), kind, sorted({*_ITEMS, *OPAQUE_TYPES}))
    return cast(Item, convert(raw, shape, path))


def _type_of_item(raw: dict[str, Any], path: str) -> str:
    """The item's type; a message and a reference may leave it out or send null."""
    kind = raw.get("type")
    if kind is None:
        if raw.get("role") is not None:
            return "message"
        if raw.get("id") is not None and not any(
            value is not None for key, value in raw.items() if key != "id"
        ):
            return "item_reference"
        raise explain.missing(at_key(path, "role" if "content" in raw else "type"))
    if not isinstance(kind, str):
        raise explain.wrong_type(at_key(path, "type"), "a string", kind)
    return kind


def convert(raw: dict[str, Any], shape: type[_S], path: str) -> _S:
    """The struct of an object; nulls stand for absent where the first try refuses them."""
    try:
        return msgspec.convert(raw, shape)
    except msgspec.ValidationError:
        pass
    try:
        return msgspec.convert(_without_nulls(raw), shape)
    except msgspec.ValidationError as failure:
        raise explain.explain(raw, shape, failure, param=path) from None
    except RecursionError:
        raise ClientError(
            f"Invalid '{path}': it is nested too deeply to be read.", param=path
        ) from None


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nulls(inner) for key, inner in value.items() if inner is not None}
    if isinstance(value, list):
        return [_without_nulls(inner) for inner in value]
    return value


def _check_parts(parts: Sequence[object], param: str, index: int, field: str) -> None:
    """The rules between the fields of a part: an image and a file need exactly their source."""
    for number, part in enumerate(parts):
        if isinstance(part, InputImage):
            given = [name for name in ("image_url", "file_id") if getattr(part, name) is not None]
            wanted = "'image_url' or 'file_id'"
        elif isinstance(part, InputFile):
            names = ("file_data", "file_url", "file_id")
            given = [name for name in names if getattr(part, name) is not None]
            wanted = "'file_data', 'file_url' or 'file_id'"
        else:
            continue
        if len(given) != 1:
            path = at_index(at_key(at_index(param, index), field), number)
            raise _not_one_source(path, wanted, given)


def _not_one_source(path: str, wanted: str, given: list[str]) -> ClientError:
    if not given:
        return ClientError(
            f"Missing required parameter: '{path}' needs one of {wanted}.",
            code="missing_required_parameter",
            param=path,
        )
    return ClientError(
        f"Invalid '{path}': exactly one of {wanted} may be given, but got "
        f"{' and '.join(repr(name) for name in given)}.",
        code="mutually_exclusive_parameters",
        param=path,
    )
