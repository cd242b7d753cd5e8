"""Query strings: typed, bounded, and nothing in them silently ignored.

Arrays come as ``include[]=a&include[]=b``, ``include=a&include=b`` or ``include[0]=a``;
booleans as ``true`` and ``false`` (api-surface §1.2).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import get_args
from urllib.parse import parse_qsl

from antiphon.errors import ClientError
from antiphon.types.explain import cut, echoed, unknown_parameter, wrong_value
from antiphon.types.request import Include

INCLUDES: tuple[str, ...] = get_args(Include)
PAGE_MAX = 100
PAGE_DEFAULT = 20

_TOLERATED = frozenset({"api-version", "beta"})
"""Sent by official clients on every call of some kind; they select nothing here."""
_ARRAY = re.compile(r"\[\d*\]$")
_PARAMETERS_MAX = 100


class Query:
    """The decoded query of a route that knows the parameters ``known``, and ``mapping``, whose
    values have names: ``metadata[colour]=blue``.

    Raises ClientError 400 for a parameter outside of them, or one given twice (arrays may).
    """

    def __init__(self, query_string: bytes, known: Sequence[str], mapping: str = "") -> None:
        self._values: dict[str, list[str]] = {}
        self.named: dict[str, str] = {}
        for key, value in _pairs(query_string):
            if mapping and key.startswith(f"{mapping}[") and key.endswith("]"):
                name = key[len(mapping) + 1 : -1]
                if name in self.named:
                    raise _twice(cut(key, 80))
                self.named[name] = value
                continue
            name = _ARRAY.sub("", key)
            if name in known:
                self._values.setdefault(name, []).append(value)
            elif name not in _TOLERATED:
                raise unknown_parameter("", key)
        for name, values in self._values.items():
            if len(values) > 1 and name != "include":
                raise _twice(name)

    def text(self, name: str) -> str | None:
        """The value as it came, None if absent or empty."""
        return self._values.get(name, [""])[0] or None

    def flag(self, name: str) -> bool:
        """``true`` or ``false``; absent is false."""
        value = self.text(name)
        if value not in (None, "true", "false"):
            raise wrong_value(name, value, ("true", "false"))
        return value == "true"

    def word(self, name: str, words: Sequence[str], *, default: str) -> str:
        """One of ``words``."""
        value = self.text(name) or default
        if value not in words:
            raise wrong_value(name, value, words)
        return value

    def integer(self, name: str, *, default: int, least: int, most: int) -> int:
        """A decimal integer in ``least``…``most``."""
        value = self.text(name)
        if value is None:
            return default
        if not re.fullmatch(r"-?[0-9]{1,18}", value):
            raise ClientError(
                f"Invalid type for '{name}': expected an integer, but got {echoed(value)} instead.",
                code="invalid_type",
                param=name,
            )
        if int(value) < least:
            raise ClientError(
                f"Invalid '{name}': integer below minimum value. Expected a value >= {least}, "
                f"but got {cut(value, 20)} instead.",
                code="integer_below_min_value",
                param=name,
            )
        if int(value) > most:
            raise ClientError(
                f"Invalid '{name}': integer above maximum value. Expected a value <= {most}, "
                f"but got {cut(value, 20)} instead.",
                code="integer_above_max_value",
                param=name,
            )
        return int(value)

    def include(self) -> frozenset[str]:
        """What to add to the answer, out of the eight values the API names."""
        values = self._values.get("include", [])
        for index, value in enumerate(values):
            if value not in INCLUDES:
                raise wrong_value(f"include[{index}]", value, INCLUDES)
        return frozenset(values)


def _twice(name: str) -> ClientError:
    return ClientError(f"Parameter '{name}' was given more than once.", param=name)


def _pairs(query_string: bytes) -> list[tuple[str, str]]:
    try:
        return parse_qsl(
            query_string.decode("latin-1"), keep_blank_values=True, max_num_fields=_PARAMETERS_MAX
        )
    except ValueError:
        raise ClientError(
            f"The query has more than {_PARAMETERS_MAX} parameters.", code="invalid_value"
        ) from None
