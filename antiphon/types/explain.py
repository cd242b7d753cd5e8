"""Why a value does not fit its struct, in the API's words. The slow path only.

msgspec says that something is wrong and roughly where; a caller needs the parameter, the code
and what would have been right. So, after a decode failed, the value is walked once more beside
the type tree, and the first misfit becomes a ``ClientError``. The walk is ours, not msgspec's:
where the two disagree (a key given twice, a number too large to hold) msgspec's own path is
used, so that a cause is always named.

Rules: null stands for absent wherever a field has a default; at most ``ECHO_CHARACTERS`` of a
caller's value and ``KEY_CHARACTERS`` of a caller's key are repeated, never more.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from typing import Any

import msgspec
from msgspec import inspect as shapes

from antiphon.errors import ClientError

ECHO_CHARACTERS = 50
KEY_CHARACTERS = 40

_PLACE = re.compile(r" - at `(?:key in )?\$\.?(?P<path>[^`]*)`")
_BYTE = re.compile(r"\(byte (\d+)\)")
_HALF_PAIR = re.compile(
    rb"(?<!\\)\\u[dD](?:[89abAB]..(?!\\u[dD][c-fC-F])|(?<!\\u[dD][89abAB]..\\u.)[c-fC-F]..)"
)
_CHAT_PARAMETERS = {
    "messages": "input",
    "max_tokens": "max_output_tokens",
    "max_completion_tokens": "max_output_tokens",
    "response_format": "text.format",
    "reasoning_effort": "reasoning.effort",
    "functions": "tools",
    "function_call": "tool_choice",
}
_HINTS = {
    "tool": "A tool's result is an item of type 'function_call_output'.",
    "function": "A tool's result is an item of type 'function_call_output'.",
    "image_url": "An image is a part of type 'input_image' whose 'image_url' is a string.",
    "file": "A document is a part of type 'input_file'.",
    "input_audio": "Audio input is not supported by this API.",
}


def explain_body(body: bytes, shape: Any, failure: Exception) -> ClientError:
    """The error for a body that ``shape`` refused with ``failure``."""
    if isinstance(failure, RecursionError):
        return ClientError("The request body is nested too deeply to be read.", code="invalid_json")
    try:
        value = msgspec.json.decode(body)
    except msgspec.ValidationError:
        return _from_text(failure, "")
    except (ValueError, RecursionError) as broken:
        return _malformed(body, broken)
    return explain(value, shape, failure)


def explain(value: Any, shape: Any, failure: Exception, *, param: str = "") -> ClientError:
    """The error for a decoded ``value`` at ``param`` that ``shape`` refused with ``failure``."""
    return misfit(value, shape, param) or _from_text(failure, param)


def misfit(value: Any, shape: Any, param: str = "") -> ClientError | None:
    """The first thing in ``value`` that does not fit ``shape``, or None."""
    return _misfit(value, _tree(shape), param)


def at_key(param: str, key: str) -> str:
    """The path of a field below ``param``, as the API writes it."""
    return f"{param}.{key}" if param else key


def at_index(param: str, index: int) -> str:
    """The path of an element of the array at ``param``."""
    return f"{param}[{index}]"


def missing(param: str) -> ClientError:
    return ClientError(
        f"Missing required parameter: '{param}'.", code="missing_required_parameter", param=param
    )


def unknown_parameter(param: str, key: str) -> ClientError:
    """``param`` is the path of the object, ``key`` the name nobody knows."""
    path = at_key(param, cut(key, KEY_CHARACTERS))
    moved = _CHAT_PARAMETERS.get(key) if not param else None
    if moved is None:
        return ClientError(f"Unknown parameter: '{path}'.", code="unknown_parameter", param=path)
    return ClientError(
        f"Unsupported parameter: '{key}'. In the Responses API this is '{moved}'.",
        code="unsupported_parameter",
        param=path,
    )


def wrong_type(param: str, expected: str, value: Any) -> ClientError:
    where = f"Invalid type for '{param}'" if param else "Invalid request body"
    return ClientError(
        f"{where}: expected {expected}, but got {_kind_of(value)} instead.",
        code="invalid_type",
        param=param or None,
    )


def wrong_value(param: str, value: Any, supported: Sequence[Any]) -> ClientError:
    """``value`` is none of ``supported``; all of them are listed."""
    hint = _HINTS.get(value, "") if isinstance(value, str) else ""
    names = _listed([f"'{name}'" for name in supported], "and")
    verb = "Supported values are" if len(supported) != 1 else "The supported value is"
    return ClientError(
        f"Invalid value: {echoed(value)}. {verb}: {names}. {hint}".rstrip(),
        code="invalid_value",
        param=param or None,
    )


def cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"


def echoed(value: Any) -> str:
    """The value as it may be repeated to its sender."""
    if isinstance(value, str):
        return f"'{cut(value, ECHO_CHARACTERS)}'"
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    if isinstance(value, int | float):
        return cut(str(value), ECHO_CHARACTERS) if abs(value) < 1e15 else "a larger number"
    return _kind_of(value)


# The walk ---------------------------------------------------------------------------------


@cache
def _tree(shape: Any) -> shapes.Type:
    return shapes.type_info(shape)


def _misfit(value: Any, shape: shapes.Type, path: str) -> ClientError | None:
    match shape:
        case shapes.AnyType():
            return None
        case shapes.Metadata():
            return _misfit(value, shape.type, path)
        case shapes.UnionType():
            return _in_union(value, shape, path)
        case shapes.LiteralType():
            return _in_literal(value, shape, path)
    if not _accepts(shape, value):
        return wrong_type(path, _phrase(shape), value)
    match shape:
        case shapes.StrType():
            return _in_string(value, shape, path)
        case shapes.IntType() | shapes.FloatType():
            return _in_number(value, shape, path)
        case shapes.ListType():
            return _in_list(value, shape, path)
        case shapes.DictType():
            return _in_dict(value, shape, path)
        case shapes.StructType():
            return _in_struct(value, shape, path)
    return None


def _in_union(value: Any, shape: shapes.UnionType, path: str) -> ClientError | None:
    fitting = [branch for branch in shape.types if _accepts(branch, value)]
    structs = [branch for branch in fitting if isinstance(branch, shapes.StructType)]
    if not fitting:
        return wrong_type(path, _phrase(shape), value)
    if len(structs) > 1:
        return _in_tagged(value, structs, path)
    return _misfit(value, fitting[0], path)


def _in_tagged(
    value: dict[str, Any], structs: list[shapes.StructType], path: str
) -> ClientError | None:
    field = structs[0].tag_field or "type"
    by_tag = {struct.tag: struct for struct in structs}
    tag = value.get(field)
    where = at_key(path, field)
    if field not in value:
        return missing(where)
    if not isinstance(tag, str):
        return wrong_type(where, "a string", tag)
    if tag not in by_tag:
        return wrong_value(where, tag, sorted(str(name) for name in by_tag))
    return _in_struct(value, by_tag[tag], path)


def _in_literal(value: Any, shape: shapes.LiteralType, path: str) -> ClientError | None:
    if value in shape.values and not isinstance(value, bool):
        return None
    if not isinstance(value, str):
        return wrong_type(path, _phrase(shape), value)
    return wrong_value(path, value, shape.values)


def _in_string(value: str, shape: shapes.StrType, path: str) -> ClientError | None:
    size = len(value)
    if shape.max_length is not None and size > shape.max_length:
        return _length_fault("string", "above_max", path, shape.max_length, size)
    if shape.min_length is not None and size < shape.min_length:
        return _length_fault("string", "below_min", path, shape.min_length, size)
    if shape.pattern is not None and not re.search(shape.pattern, value):
        return ClientError(
            f"Invalid '{path}': string does not match pattern. Expected a string that matches "
            f"the pattern '{shape.pattern}'.",
            code="invalid_value",
            param=path,
        )
    return None


def _length_fault(kind: str, side: str, path: str, limit: int, size: int) -> ClientError:
    word, bound = ("long", "maximum") if side == "above_max" else ("short", "minimum")
    article = "an" if kind == "array" else "a"
    return ClientError(
        f"Invalid '{path}': {kind} too {word}. Expected {article} {kind} with {bound} length "
        f"{limit}, but got {article} {kind} with length {size} instead.",
        code=f"{kind}_{side}_length",
        param=path,
    )


def _in_number(
    value: float, shape: shapes.IntType | shapes.FloatType, path: str
) -> ClientError | None:
    kind = "integer" if isinstance(shape, shapes.IntType) else "decimal"
    if shape.ge is not None and value < shape.ge:
        side, sign, limit = "below_min", ">=", shape.ge
    elif shape.le is not None and value > shape.le:
        side, sign, limit = "above_max", "<=", shape.le
    else:
        return None
    word, bound = ("below", "minimum") if side == "below_min" else ("above", "maximum")
    return ClientError(
        f"Invalid '{path}': {kind} {word} {bound} value. Expected a value {sign} {limit:g}, "
        f"but got {echoed(value)} instead.",
        code=f"{kind}_{side}_value",
        param=path,
    )


def _in_list(value: list[Any], shape: shapes.ListType, path: str) -> ClientError | None:
    size = len(value)
    if shape.max_length is not None and size > shape.max_length:
        return _length_fault("array", "above_max", path, shape.max_length, size)
    if shape.min_length is not None and size < shape.min_length:
        return _length_fault("array", "below_min", path, shape.min_length, size)
    for index, element in enumerate(value):
        if fault := _misfit(element, shape.item_type, at_index(path, index)):
            return fault
    return None


def _in_dict(value: dict[str, Any], shape: shapes.DictType, path: str) -> ClientError | None:
    if shape.max_length is not None and len(value) > shape.max_length:
        return ClientError(
            f"Invalid '{path}': too many properties. Expected an object with at most "
            f"{shape.max_length} properties, but got {len(value)} instead.",
            code="object_above_max_properties",
            param=path,
        )
    for key, element in value.items():
        where = at_key(path, cut(key, KEY_CHARACTERS))
        fault = _misfit(key, shape.key_type, where) or _misfit(element, shape.value_type, where)
        if fault:
            return fault
    return None


def _in_struct(value: dict[str, Any], shape: shapes.StructType, path: str) -> ClientError | None:
    tag = value.get(shape.tag_field) if shape.tag_field else None
    if shape.tag_field and tag is not None and tag != shape.tag:
        where = at_key(path, shape.tag_field)
        if not isinstance(tag, str):
            return wrong_type(where, "a string", tag)
        return wrong_value(where, tag, [shape.tag])
    if shape.forbid_unknown_fields:
        known = {field.encode_name for field in shape.fields} | {shape.tag_field}
        for key in value:
            if key not in known:
                return unknown_parameter(path, key)
    for field in shape.fields:
        where = at_key(path, field.encode_name)
        if field.encode_name not in value:
            if field.required:
                return missing(where)
            continue
        inner = value[field.encode_name]
        if inner is None and not field.required:
            continue
        if fault := _misfit(inner, field.type, where):
            return fault
    return None


# Kinds ------------------------------------------------------------------------------------


def _accepts(shape: shapes.Type, value: Any) -> bool:
    """Whether the value is of the JSON kind the shape wants (its limits are not looked at)."""
    match shape:
        case shapes.AnyType():
            return True
        case shapes.UnionType():
            return any(_accepts(branch, value) for branch in shape.types)
        case shapes.Metadata():
            return _accepts(shape.type, value)
        case shapes.NoneType():
            return value is None
        case shapes.BoolType():
            return isinstance(value, bool)
        case shapes.StrType() | shapes.LiteralType():
            return isinstance(value, str)
        case shapes.IntType():
            return isinstance(value, int) and not isinstance(value, bool)
        case shapes.FloatType():
            return isinstance(value, int | float) and not isinstance(value, bool)
        case shapes.ListType():
            return isinstance(value, list)
    return isinstance(value, dict)


def _phrase(shape: shapes.Type) -> str:
    """What the shape wants, in words."""
    match shape:
        case shapes.UnionType():
            words = [_phrase(branch) for branch in shape.types]
            wanted = list(dict.fromkeys(word for word in words if word != "null"))
            return wanted[0] if len(wanted) == 1 else "one of " + _listed(wanted, "or")
        case shapes.Metadata():
            return _phrase(shape.type)
        case shapes.NoneType():
            return "null"
        case shapes.BoolType():
            return "a boolean"
        case shapes.StrType() | shapes.LiteralType():
            return "a string"
        case shapes.IntType():
            return "an integer"
        case shapes.FloatType():
            return "a decimal"
        case shapes.ListType():
            return "an array"
    return "an object"


def _kind_of(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "a boolean"
    kinds = {str: "a string", int: "an integer", float: "a decimal", list: "an array"}
    return kinds.get(type(value), "an object")


def _listed(words: Sequence[str], last: str) -> str:
    if len(words) < 3:
        return f" {last} ".join(words)
    return f"{', '.join(words[:-1])}, {last} {words[-1]}"


# What only msgspec knows ------------------------------------------------------------------


def _malformed(body: bytes, broken: Exception) -> ClientError:
    """The body is not JSON: say where, in lines and columns."""
    if not body.strip():
        return ClientError("The request body is empty; send a JSON object.", code="invalid_json")
    if isinstance(broken, RecursionError):
        why, offset = "it is nested too deeply", 0
    elif isinstance(broken, UnicodeDecodeError):
        why, offset = "it is not valid UTF-8", _bad_utf8(body)
    elif half := _HALF_PAIR.search(body):
        why, offset = "it contains half of a surrogate pair", half.start()
    else:
        text = str(broken)
        found = _BYTE.search(text)
        why = _BYTE.sub("", text).removeprefix("JSON is malformed:").strip()
        why = "it ends too early" if "truncated" in why else why
        offset = int(found.group(1)) if found else len(body)
    line = body.count(b"\n", 0, offset) + 1
    column = offset - (body.rfind(b"\n", 0, offset) + 1) + 1
    return ClientError(
        f"The request body is not valid JSON: {why} (line {line}, column {column}).",
        code="invalid_json",
    )


def _bad_utf8(body: bytes) -> int:
    try:
        body.decode()
    except UnicodeDecodeError as error:
        return error.start
    return 0


def _from_text(failure: Exception, param: str) -> ClientError:
    """The last resort: the place and the words msgspec gave (never a caller's value)."""
    text = str(failure)
    found = _PLACE.search(text)
    inner = found.group("path").replace("[...]", "") if found else ""
    joined = f"{param}{inner}" if inner.startswith("[") else at_key(param, inner)
    path = cut(joined if inner else param, 2 * KEY_CHARACTERS)
    if text.startswith("Expected `"):
        why = text.split(" - at ")[0].replace("`", "").lower()
    elif "out of range" in text:
        why = "a number is out of range"
    elif "missing required field" in text:
        why = "a required field is missing"
    else:
        why = "it is not what this parameter takes"
    where = f"Invalid '{path}'" if path else "Invalid request body"
    code = "invalid_type" if ", got `" in text else "invalid_value"
    return ClientError(f"{where}: {cut(why, 120)}.", code=code, param=path or None)
