"""Bytes ↔ structs, and nothing else.

Decoding has two speeds. The fast path is one msgspec call. When it fails, ``explain.py`` looks
at the value again and says what was wrong in the API's words (``ClientError``).

Items are opened in two steps, raw object → look up ``type`` → struct, because the API lets
messages and references omit their ``type`` and because item types we do not interpret must
survive (``Opaque``). Whatever we emit can be fed back verbatim: unknown keys are tolerated and
null stands for absent wherever a field is optional. Tools and tool choice, which a caller
writes by hand, are read strictly.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, TypeVar, cast

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
from antiphon.types.tools import (
    KNOWN,
    AllowedTools,
    CustomTool,
    FunctionTool,
    NamedChoice,
    Tool,
)

_S = TypeVar("_S", bound=Struct)

Choice = Literal["none", "auto", "required"] | NamedChoice | AllowedTools

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
)
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
_TOOLS: Mapping[str, type[Any]] = {"function": FunctionTool, "custom": CustomTool}
_TOOL_KEYS = {
    "function": frozenset(
        {
            "type",
            "name",
            "description",
            "parameters",
            "strict",
            "async",
            "defer_loading",
            "allowed_callers",
            "output_schema",
        }
    ),
    "custom": frozenset(
        {"type", "name", "description", "format", "async", "defer_loading", "allowed_callers"}
    ),
}
_PLAIN_KEYS = {
    "function": frozenset({"type", "name", "description", "parameters", "strict"}),
    "custom": frozenset({"type", "name", "description", "format"}),
}
"""Keys that are the struct's, so that converting is all there is to do."""
_HOSTED_CHOICES = KNOWN | {"computer_use"}

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
    """The items of a stored JSON array, without the checks a request needs."""
    try:
        return cast("list[Item]", _stored_items(items))
    except msgspec.ValidationError:
        raw = msgspec.json.decode(items)
        return [_open_item(item, at_index("items", i)) for i, item in enumerate(raw)]


def _open_item(raw: dict[str, Any], path: str) -> Item:
    kind = _type_of_item(raw, path)
    shape = _ITEMS.get(kind)
    if shape is None:
        if kind in OPAQUE_TYPES:
            return Opaque(kind, raw)
        raise explain.wrong_value(at_key(path, "type"), kind, sorted({*_ITEMS, *OPAQUE_TYPES}))
    return cast(Item, _convert(raw, shape, path))


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


def _convert(raw: dict[str, Any], shape: type[_S], path: str) -> _S:
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


# Tools ------------------------------------------------------------------------------------


def open_tools(raw: Sequence[dict[str, Any]] | None) -> list[Tool]:
    """The tools of a request. A tool we cannot run is refused, never dropped."""
    tools: list[Tool] = []
    names: set[str] = set()
    for index, definition in enumerate(raw or ()):
        tool = _plain_tool(definition) or _open_tool(definition, at_index("tools", index))
        if isinstance(tool, FunctionTool) and tool.parameters is not None:
            tool.parameters = _object_schema(tool.name, tool.parameters, index)
        if tool.name in names:
            path = at_index("tools", index)
            raise ClientError(
                f"Invalid '{path}.name': a tool named {explain.echoed(tool.name)} is already "
                "defined; names must be unique.",
                code="invalid_value",
                param=f"{path}.name",
            )
        names.add(tool.name)
        tools.append(tool)
    return tools


def _plain_tool(raw: dict[str, Any]) -> Tool | None:
    """The tool, if nothing about it needs a closer look."""
    kind = raw.get("type")
    if type(kind) is not str or kind not in _TOOLS or not _PLAIN_KEYS[kind].issuperset(raw):
        return None
    try:
        return cast(Tool, _to(raw, _TOOLS[kind]))
    except msgspec.ValidationError:
        return None


def _open_tool(raw: dict[str, Any], path: str) -> Tool:
    kind = raw.get("type")
    where = at_key(path, "type")
    if kind is None:
        raise explain.missing(where)
    if not isinstance(kind, str):
        raise explain.wrong_type(where, "a string", kind)
    if kind not in _TOOLS:
        raise _not_runnable(kind, where)
    if kind == "function" and isinstance(raw.get("function"), dict):
        raise _nested(f"{path}.name", "{'type': 'function', 'name': …, 'parameters': …}")
    for key in raw:
        if key not in _TOOL_KEYS[kind]:
            raise explain.unknown_parameter(path, key)
    _check_calling(raw, path)
    return cast(Tool, _convert_tool(raw, _TOOLS[kind], path))


def _convert_tool(raw: dict[str, Any], shape: type[_S], path: str) -> _S:
    """Like ``_convert``, but a schema keeps its nulls."""
    try:
        return msgspec.convert(raw, shape)
    except msgspec.ValidationError as failure:
        raise explain.explain(raw, shape, failure, param=path) from None


def _not_runnable(kind: str, where: str) -> ClientError:
    if kind not in KNOWN:
        return explain.wrong_value(where, kind, sorted(KNOWN))
    return ClientError(
        f"Unsupported value: tools of type '{kind}' cannot be run by this server. Supported "
        "tool types are 'function' and 'custom'.",
        code="unsupported_value",
        param=where,
    )


def _nested(param: str, flat: str) -> ClientError:
    return ClientError(
        f"Missing required parameter: '{param}'. The Responses API takes the fields of a "
        f"function directly, without a nested 'function' object: {flat}.",
        code="missing_required_parameter",
        param=param,
    )


def _check_calling(raw: dict[str, Any], path: str) -> None:
    """Keys of 2026 that change how a tool is called: only their neutral values work here."""
    for key in ("async", "defer_loading"):
        value = raw.get(key)
        if value is not None and not isinstance(value, bool):
            raise explain.wrong_type(at_key(path, key), "a boolean", value)
        if value:
            raise _unsupported_calling(at_key(path, key), "true", "false")
    callers = raw.get("allowed_callers")
    if callers is None:
        return
    where = at_key(path, "allowed_callers")
    if not isinstance(callers, list):
        raise explain.wrong_type(where, "an array", callers)
    for index, caller in enumerate(callers):
        if caller == "programmatic":
            raise _unsupported_calling(at_index(where, index), "'programmatic'", "'direct'")
        if caller != "direct":
            raise explain.wrong_value(at_index(where, index), caller, ["direct", "programmatic"])


def _unsupported_calling(where: str, value: str, instead: str) -> ClientError:
    return ClientError(
        f"Unsupported value: '{where}' is {value}, which this server does not support; "
        f"use {instead} or leave it out.",
        code="unsupported_value",
        param=where,
    )


def _object_schema(name: str, schema: dict[str, Any], index: int) -> dict[str, Any]:
    """The schema with its ``type`` written out; raises unless it describes an object."""
    kind = schema.get("type")
    fault = ""
    if kind is None and schema and "properties" not in schema:
        fault = "its root must have 'type': 'object'"
    elif kind is not None and kind != "object":
        fault = f"its root must have 'type': 'object', but got {explain.echoed(kind)}"
    elif not isinstance(schema.get("properties", {}), dict):
        fault = "'properties' must be an object"
    elif not _strings(schema.get("required", [])):
        fault = "'required' must be an array of strings"
    if fault:
        raise ClientError(
            f"Invalid schema for function {explain.echoed(name)}: {fault}.",
            code="invalid_function_parameters",
            param=f"tools[{index}].parameters",
        )
    return schema if kind else {**schema, "type": "object"}


def _strings(value: Any) -> bool:
    return isinstance(value, list) and {str}.issuperset(map(type, value))


# Tool choice ------------------------------------------------------------------------------


def open_choice(raw: str | dict[str, Any] | None, tools: Sequence[Tool]) -> Choice:
    """The effective ``tool_choice`` (``auto`` when absent); it names only tools that exist."""
    if raw is None:
        return "auto"
    if isinstance(raw, str):
        return _mode(raw, tools)
    kind = raw.get("type")
    if kind is None:
        raise explain.missing("tool_choice.type")
    if not isinstance(kind, str):
        raise explain.wrong_type("tool_choice.type", "a string", kind)
    opener = _CHOICES.get(kind)
    if opener is not None:
        return opener(raw, tools)
    if kind in _HOSTED_CHOICES:
        raise _absent(f"a tool of type '{kind}'")
    raise explain.wrong_value("tool_choice.type", kind, sorted({*_CHOICES, *_HOSTED_CHOICES}))


def _mode(raw: str, tools: Sequence[Tool]) -> Literal["none", "auto", "required"]:
    match raw:
        case "none" | "auto":
            return raw
        case "required":
            if not tools:
                raise ClientError(
                    "Invalid 'tool_choice': 'required' needs at least one tool in 'tools'.",
                    param="tool_choice",
                )
            return raw
    raise explain.wrong_value("tool_choice", raw, ["none", "auto", "required"])


def _named(raw: dict[str, Any], tools: Sequence[Tool]) -> NamedChoice:
    if isinstance(raw.get("function"), dict):
        raise _nested("tool_choice.name", "{'type': 'function', 'name': …}")
    choice = _convert(raw, NamedChoice, "tool_choice")
    _require(choice.type, choice.name, tools)
    return choice


def _allowed(raw: dict[str, Any], tools: Sequence[Tool]) -> AllowedTools:
    choice = _convert(raw, AllowedTools, "tool_choice")
    for index, entry in enumerate(choice.tools):
        path = at_index("tool_choice.tools", index)
        if isinstance(entry.get("function"), dict):
            raise _nested(f"{path}.name", "{'type': 'function', 'name': …}")
        kind = entry.get("type")
        if kind is None:
            raise explain.missing(f"{path}.type")
        if isinstance(kind, str) and kind in KNOWN - _TOOLS.keys():
            raise _absent(f"a tool of type '{kind}'")
        named = _convert(entry, NamedChoice, path)
        _require(named.type, named.name, tools)
    return choice


def _require(kind: str, name: str, tools: Sequence[Tool]) -> None:
    if not any(tool.name == name and _tag(tool) == kind for tool in tools):
        raise _absent(f"the {kind} tool {explain.echoed(name)}")


def _tag(tool: Tool) -> str:
    return "function" if isinstance(tool, FunctionTool) else "custom"


def _absent(what: str) -> ClientError:
    return ClientError(
        f"Invalid 'tool_choice': it names {what}, which is not in 'tools'.", param="tool_choice"
    )


_CHOICES: Mapping[str, Callable[[dict[str, Any], Sequence[Tool]], Choice]] = {
    "function": _named,
    "custom": _named,
    "allowed_tools": _allowed,
}
