"""Reads the document's schemas and the official client's models into one comparable form."""

from __future__ import annotations

import inspect
from typing import Annotated, Any, NotRequired, Required, get_args, get_origin, get_type_hints

from pydantic import BaseModel

from antiphon.server.openapi import document
from tests.types.sdk_shapes import values_of

Fields = dict[str, tuple[bool, frozenset[str]]]

DOCUMENT = document()
SCHEMAS: dict[str, Any] = DOCUMENT["components"]["schemas"]


def ours(component: str) -> Fields:
    """Field → whether it is always there, and its values if they are listed."""
    schema = SCHEMAS[component]
    if "anyOf" in schema and "properties" not in schema:
        schema = schema["anyOf"][0]
    required = set(schema.get("required", ()))
    return {name: (name in required, _values(told)) for name, told in schema["properties"].items()}


def theirs(model: Any) -> Fields:
    """The same of a model of the official client: pydantic's, or a typed dictionary."""
    if inspect.isclass(model) and issubclass(model, BaseModel):
        return {
            field.alias or name: (field.is_required(), values_of(field.annotation))
            for name, field in model.model_fields.items()
        }
    hints = get_type_hints(model, include_extras=True)
    return {
        name: (
            get_origin(hint) is Required
            or (model.__total__ and get_origin(hint) is not NotRequired),
            values_of(hint),
        )
        for name, hint in hints.items()
    }


def _values(schema: Any) -> frozenset[str]:
    if "$ref" in schema:
        return frozenset()
    if "enum" in schema:
        return frozenset(str(value) for value in schema["enum"])
    if "items" in schema:
        return _values(schema["items"])
    return frozenset().union(*(_values(one) for one in schema.get("anyOf", ())))


def differences(component: str, model: Any, *, asked: bool) -> set[str]:
    """What differs, as short words: ``missing x``, ``extra x``, ``optional x`` (the client says it
    is always there), ``required x`` (the client may leave it out), ``values x: -less +more``."""
    here, there = ours(component), theirs(model)
    found = {f"missing {name}" for name in there.keys() - here.keys()}
    found |= {f"extra {name}" for name in here.keys() - there.keys()}
    for name in here.keys() & there.keys():
        (needed, values), (needs, others) = here[name], there[name]
        if needs and not needed and not asked:
            found.add(f"optional {name}")
        if needed and not needs and asked:
            found.add(f"required {name}")
        if values and others and values != others:
            less, more = sorted(others - values), sorted(values - others)
            found.add(f"values {name}: -{','.join(less)} +{','.join(more)}")
    return found


def members(union: Any) -> list[Any]:
    """The models of a union, however it is wrapped."""
    while get_origin(union) is not None and not inspect.isclass(union):
        arguments = get_args(union)
        if get_origin(union) is Annotated:
            union = arguments[0]
            continue
        return [model for one in arguments for model in members(one)]
    return [union]


def tags(model: Any) -> frozenset[str]:
    """What may stand in the model's ``type``."""
    fields = theirs(model)
    return fields["type"][1] if "type" in fields else frozenset()


def by_tag(union: str) -> dict[str, str]:
    """Tag → component, of a union of the document; empty for those without fields of their own."""
    found: dict[str, str] = {}
    for branch in SCHEMAS[union]["anyOf"]:
        name = branch.get("$ref", "").rpartition("/")[2]
        schema = SCHEMAS.get(name, branch)
        schema = schema if "properties" in schema else schema["anyOf"][0]
        for tag in _values(schema.get("properties", {}).get("type", {})):
            found.setdefault(tag, name)
    return found
