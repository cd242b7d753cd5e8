"""Structs as JSON Schemas (2020-12), for the OpenAPI document.

A struct has up to three schemas, because the API reads less strictly than it writes:

* ``STRICT``: what a caller writes by hand (bodies, tools): no unknown key;
* ``LENIENT``: what a caller feeds back (items): unknown keys are kept, and null stands for absent
  wherever a field may be missing;
* ``SHOWN``: what the server answers: every field is there unless it may be left out.

Where a struct keeps raw objects that are opened later (``codec.py``, ``tool_codec.py``), the
schema of what they are opened as stands in their place: ``RAW``.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import Any, Literal, get_args

import msgspec
from msgspec import inspect as shapes

from antiphon.types import chat, completion, websocket
from antiphon.types.base import Asked
from antiphon.types.events import Event
from antiphon.types.items import ItemReference, Message
from antiphon.types.tools import CallableTool, McpTool, NamespaceTool, NativeTool, ToolSearchTool

Schema = dict[str, Any]
Mode = Literal["strict", "lenient", "shown"]

NULL: Schema = {"type": "null"}
INTEGER_MAX = 2**63 - 1

_OPTIONAL_TAG = (Message, ItemReference)
"""Items whose ``type`` may be missing or null."""
_ALWAYS_SHOWN = frozenset({"id", "status"})
"""Fields of items that may be missing on the way in and are there on the way out."""
_CLOSED = frozenset((*get_args(CallableTool | NativeTool), NamespaceTool, ToolSearchTool, McpTool))
"""Structs that are written too, and read strictly nevertheless (``tool_codec.py``)."""
_CHAT = {chat.__name__, completion.__name__}


class Shapes:
    """Collects the schemas of structs under their names; ``components`` are all that were met.

    ``raw(cls, field, mode)`` may give the schema of a field that the struct itself does not
    describe.
    """

    def __init__(self, raw: Callable[[Shapes, type, str, Mode], Schema | None]) -> None:
        self.components: dict[str, Schema] = {}
        self._raw = raw
        self._named: dict[str, tuple[type, Mode]] = {}

    def of(self, type_: Any, mode: Mode) -> Schema:
        """The schema of any type; a struct's is a reference to its component."""
        return self._schema(shapes.type_info(type_), mode)

    def define(self, name: str, schema: Schema) -> Schema:
        """A component by hand; a reference to it."""
        self.components.setdefault(name, schema)
        return reference(name)

    # -- the walk -----------------------------------------------------------------------------

    def _schema(self, shape: shapes.Type, mode: Mode) -> Schema:
        match shape:
            case shapes.StructType():
                return self._struct(shape, mode)
            case shapes.UnionType():
                return self._union(shape, mode)
            case shapes.ListType(item_type=item, min_length=least, max_length=most):
                return _bounded(
                    {"type": "array", "items": self._schema(item, mode)},
                    minItems=least,
                    maxItems=most,
                )
            case shapes.DictType():
                return self._mapping(shape, mode)
            case shapes.LiteralType(values=values):
                return {"type": _kind(values), "enum": list(values)}
            case shapes.Metadata(type=inner):
                return self._schema(inner, mode)
            case _:
                return _plain(shape)

    def _union(self, shape: shapes.UnionType, mode: Mode) -> Schema:
        branches = [self._schema(one, mode) for one in shape.types]
        structs = [one for one in shape.types if isinstance(one, shapes.StructType)]
        if len(branches) == 2 and len(structs) == 0 and branches[1] == NULL:
            return _nullable(branches[0])
        union: Schema = {"anyOf": branches}
        if len(structs) == len(branches) and len({one.tag_field for one in structs}) == 1:
            told = {
                str(one.tag): self._struct(one, mode)["$ref"]
                for one in structs
                if one.cls not in _OPTIONAL_TAG
            }
            field = structs[0].tag_field
            if field is not None and len(told) == len(branches):
                union["discriminator"] = {"propertyName": field, "mapping": told}
        return union

    def _mapping(self, shape: shapes.DictType, mode: Mode) -> Schema:
        schema = _bounded(
            {"type": "object"}, minProperties=shape.min_length, maxProperties=shape.max_length
        )
        value = self._schema(shape.value_type, mode)
        if value:
            schema["additionalProperties"] = value
        key = self._schema(shape.key_type, mode)
        if len(key) > 1:
            schema["propertyNames"] = key
        return schema

    def _struct(self, shape: shapes.StructType, mode: Mode) -> Schema:
        if mode == "lenient" and shape.forbid_unknown_fields:
            mode = "strict"
        name = name_of(shape.cls, mode)
        if name not in self.components:
            self._named[name] = shape.cls, mode
            self.components[name] = {}  # before its fields: types may contain themselves
            self.components[name] = self._object(shape, mode)
        elif name in self._named and self._named[name] != (shape.cls, mode):
            raise ValueError(f"{shape.cls} and {self._named[name]} are both named {name}")
        return reference(name)

    def _object(self, shape: shapes.StructType, mode: Mode) -> Schema:
        properties: dict[str, Schema] = {}
        required: list[str] = []
        if shape.tag_field is not None:
            tag: Schema = {"type": "string", "enum": [shape.tag]}
            optional = mode != "shown" and shape.cls in _OPTIONAL_TAG
            properties[shape.tag_field] = _nullable(tag) if optional else tag
            if not optional:
                required.append(shape.tag_field)
        for field in shape.fields:
            schema = self._raw(self, shape.cls, field.name, mode)
            if schema is None:
                schema = self._schema(field.type, mode)
            if mode == "lenient" and not field.required:
                schema = _nullable(schema)
            if self._is_there(shape, field, mode):
                required.append(field.encode_name)
                if mode == "shown" and field.name in _ALWAYS_SHOWN and _may_be_unset(field):
                    schema = _without_null(schema)
            properties[field.encode_name] = schema
        told: Schema = {"type": "object", "properties": properties}
        if required:
            told["required"] = required
        if shape.forbid_unknown_fields or (mode == "strict" and shape.cls in _CLOSED):
            told["additionalProperties"] = False
        if about := sentence(shape.cls):
            told["description"] = about
        return told

    def _is_there(self, shape: shapes.StructType, field: shapes.Field, mode: Mode) -> bool:
        if field.required or mode != "shown":
            return field.required
        if _may_be_unset(field):
            return field.name in _ALWAYS_SHOWN and not issubclass(shape.cls, Asked)
        return not shape.cls.__struct_config__.omit_defaults


def name_of(cls: type, mode: Mode) -> str:
    """The name of a struct's component: the class's, told apart by what it belongs to."""
    name = cls.__name__.lstrip("_")
    if issubclass(cls, Event):
        return f"{'' if name.startswith('Response') else 'Response'}{name}Event"
    if cls.__module__ == websocket.__name__:
        name = f"WebSocket{name}"
    if cls.__module__ in _CHAT and not name.startswith(("Chat", "CreateChat", "UpdateChat")):
        name = f"Chat{name}"
    if mode == "shown":
        return f"{name}Shown" if issubclass(cls, Asked) else name
    strict = cls.__struct_config__.forbid_unknown_fields  # type: ignore[attr-defined]
    return name if strict or cls.__module__ in _CHAT else f"{name}Param"


def reference(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def sentence(cls: type) -> str:
    """What the docstring says, as plain text."""
    if not isinstance(cls.__dict__.get("__doc__"), str) or not cls.__doc__:
        return ""
    return re.sub(r"\s+", " ", inspect.cleandoc(cls.__doc__).replace("``", "`"))


def object_of(properties: dict[str, Schema], *required: str, closed: bool = False) -> Schema:
    """An object by hand."""
    schema: Schema = {"type": "object", "properties": properties}
    if required:
        schema["required"] = list(required)
    if closed:
        schema["additionalProperties"] = False
    return schema


def array_of(schema: Schema, **bounds: int) -> Schema:
    return {"type": "array", "items": schema, **bounds}


def either(*schemas: Schema) -> Schema:
    """One of them, at least."""
    return {"anyOf": list(schemas)}


def _plain(shape: shapes.Type) -> Schema:
    match shape:
        case shapes.StrType(min_length=least, max_length=most, pattern=pattern):
            return _bounded({"type": "string"}, minLength=least, maxLength=most, pattern=pattern)
        case shapes.IntType(ge=least, le=most):
            bounds = {"minimum": least, "maximum": INTEGER_MAX if most is None else most}
            return _bounded({"type": "integer"}, **bounds)
        case shapes.FloatType(ge=least, le=most):
            return _bounded({"type": "number"}, minimum=least, maximum=most)
        case shapes.BoolType():
            return {"type": "boolean"}
        case shapes.NoneType():
            return NULL
        case shapes.AnyType() | shapes.RawType():
            return {}
    raise TypeError(f"no schema for {shape}")


def _may_be_unset(field: shapes.Field) -> bool:
    """Left out on the wire unless it was given."""
    nothing = msgspec.NODEFAULT
    return not field.required and field.default is nothing and field.default_factory is nothing


def _bounded(schema: Schema, **bounds: Any) -> Schema:
    return schema | {name: bound for name, bound in bounds.items() if bound is not None}


def _kind(values: tuple[Any, ...]) -> str:
    if all(isinstance(value, bool) for value in values):
        return "boolean"
    return "integer" if all(isinstance(value, int) for value in values) else "string"


def _nullable(schema: Schema) -> Schema:
    if not schema or schema == NULL or NULL in schema.get("anyOf", ()):
        return schema
    kind = schema.get("type")
    if isinstance(kind, list):
        return schema
    if "anyOf" in schema and "discriminator" not in schema:
        return {**schema, "anyOf": [*schema["anyOf"], NULL]}
    return either(schema, NULL)


def _without_null(schema: Schema) -> Schema:
    branches = [one for one in schema.get("anyOf", ()) if one != NULL]
    return branches[0] if len(branches) == 1 else schema
