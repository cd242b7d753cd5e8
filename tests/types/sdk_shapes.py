"""Reads the fields of our structs and of the SDK's models into one comparable form."""

from __future__ import annotations

import inspect
import types
import typing
from typing import Any, get_args, get_origin

import msgspec
from pydantic import BaseModel


def differences(struct: type[msgspec.Struct], model: Any) -> set[str]:
    """What differs, as short words: ``missing x``, ``extra x``, ``optional x``, ``values x …``.

    ``optional`` is a field the SDK requires and we may leave out.
    """
    ours, theirs = _our_fields(struct), _their_fields(model)
    found = {f"missing {name}" for name in theirs.keys() - ours.keys()}
    found |= {f"extra {name}" for name in ours.keys() - theirs.keys()}
    for name in ours.keys() & theirs.keys():
        our_present, our_values = ours[name]
        their_required, their_values = theirs[name]
        if their_required and not our_present:
            found.add(f"optional {name}")
        if our_values and their_values and our_values != their_values:
            less, more = sorted(their_values - our_values), sorted(our_values - their_values)
            found.add(f"values {name}: -{','.join(less)} +{','.join(more)}")
    return found


def _our_fields(struct: type[msgspec.Struct]) -> dict[str, tuple[bool, frozenset[str]]]:
    hints = typing.get_type_hints(struct, include_extras=True)
    fields = {
        field.encode_name: (field.default is not msgspec.UNSET, values_of(hints[field.name]))
        for field in msgspec.structs.fields(struct)
    }
    config = struct.__struct_config__
    if config.tag_field:
        fields[config.tag_field] = (True, frozenset({str(config.tag)}))
    return fields


def _their_fields(model: Any) -> dict[str, tuple[bool, frozenset[str]]]:
    if inspect.isclass(model) and issubclass(model, BaseModel):
        return {
            field.alias or name: (field.is_required(), values_of(field.annotation))
            for name, field in model.model_fields.items()
        }
    hints = typing.get_type_hints(model, include_extras=True)
    required = model.__required_keys__
    return {name: (name in required, values_of(hint)) for name, hint in hints.items()}


def values_of(hint: Any) -> frozenset[str]:
    """All literal strings a type allows at its own level; empty if it is not an enumeration."""
    origin = get_origin(hint)
    if origin is typing.Literal:
        return frozenset(str(value) for value in get_args(hint))
    if origin in (typing.Union, types.UnionType):
        return frozenset().union(*(values_of(branch) for branch in get_args(hint)))
    if origin in (typing.Annotated, typing.Required, typing.NotRequired, list):
        return values_of(get_args(hint)[0])
    return frozenset()
