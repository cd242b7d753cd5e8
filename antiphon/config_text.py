"""The settings as TOML, each with the place it came from: ``antiphon config show``."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

from antiphon.config_sources import KeyPath, Loaded, is_secret, type_at

MASK = "********"
_COLUMN = 44


def as_toml(loaded: Loaded) -> str:
    """Every setting, in the order of the reference; what is unset stands in a comment."""
    lines: list[str] = []
    for name in loaded.config.__struct_fields__:
        section = getattr(loaded.config, name)
        if isinstance(section, Struct):
            lines += [f"[{name}]", *_section((name,), section, loaded), ""]
        elif not section:
            lines += [f"# [[{name}]]: none", ""]
        else:
            for index, element in enumerate(section):
                lines += [f"[[{name}]]", *_section((name, index), element, loaded), ""]
    return "\n".join(lines).rstrip()


def _section(path: KeyPath, section: Struct, loaded: Loaded) -> list[str]:
    kind = section.__struct_config__.tag
    lines = [] if kind is None else [_line((*path, "kind"), kind, loaded)]
    return lines + [
        _line((*path, name), getattr(section, name), loaded) for name in section.__struct_fields__
    ]


def _line(path: KeyPath, value: Any, loaded: Loaded) -> str:
    origin = loaded.origin(path)
    if value is None:
        return f"# {path[-1]} is unset"
    tree = msgspec.to_builtins(loaded.config)
    shown = _shown(value, secret=is_secret(type_at(path, tree)))
    return f"{f'{path[-1]} = {shown}':{_COLUMN}} # {origin}"


def _shown(value: Any, *, secret: bool) -> str:
    match value:
        case dict():
            fields = [f"{_quoted(name)} = {_shown(v, secret=secret)}" for name, v in value.items()]
            return "{ " + ", ".join(fields) + " }" if fields else "{}"
        case list() | tuple():
            return "[" + ", ".join(_shown(element, secret=secret) for element in value) + "]"
        case str() if secret:
            return _quoted(MASK)
        case str():
            return _quoted(without_secret(value))
        case bool():
            return "true" if value else "false"
        case _:
            return str(value)


_SECRET_IN_QUERY = re.compile(r"([?&][^=&#]*(?:key|token|secret|pass|sig)[^=&#]*=)[^&#]+", re.I)


def _quoted(text: str) -> str:
    return msgspec.json.encode(text).decode()  # JSON's strings are TOML's basic strings


def without_secret(text: str) -> str:
    """A URL without its secrets: the password, or a token that stands alone before the host, and
    what its query calls a key, token, secret, password or signature."""
    parts = urlsplit(text) if "://" in text else None
    if parts is None:
        return text
    if parts.query:
        text = _SECRET_IN_QUERY.sub(rf"\1{MASK}", text)
    if not parts.username:
        return text
    shown = f"{parts.username}:{MASK}" if parts.password else MASK
    return text.replace(f"{parts.netloc.rpartition('@')[0]}@", f"{shown}@", 1)
