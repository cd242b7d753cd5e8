"""What every section of the settings is made from."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Annotated
from urllib.parse import parse_qs, urlsplit

from msgspec import Meta, Struct

SECRET = {"secret": True}

Seconds = Annotated[float, Meta(ge=0, le=86_400)]
SecondsAboveZero = Annotated[float, Meta(gt=0, le=86_400)]
Word = Annotated[str, Meta(min_length=1)]

_ENVIRONMENT_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")


def place_of(url: str) -> str:
    """``NAME on HOST`` of a database's URL: without its user, password and options."""
    parts = urlsplit(url)
    query = parse_qs(parts.query)
    name = parts.path.strip("/") or query.get("dbname", query.get("database", ["?"]))[0]
    host = parts.netloc.rpartition("@")[2] or query.get("host", ["this machine"])[0]
    return f"{name} on {host}"


class Section(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of every section: frozen, named arguments only, no unknown keys."""


class Secret(Section, frozen=True, kw_only=True):
    """A section that may hold a secret: in place, in an environment variable, or in a file."""

    key: Annotated[
        str | None,
        Meta(description="The key itself; better named by `key_env`.", extra=SECRET),
    ] = None
    key_env: Annotated[
        str | None, Meta(description="Name of the environment variable that holds the key.")
    ] = None
    key_file: Annotated[
        str | None, Meta(description="File that holds the key; surrounding blanks are dropped.")
    ] = None

    def __post_init__(self) -> None:
        given = [value for value in (self.key, self.key_env, self.key_file) if value is not None]
        if len(given) > 1:
            raise ValueError("only one of key, key_env and key_file may be set")
        if "" in given:
            raise ValueError("key, key_env and key_file must not be empty")
        if self.key_env is not None and not _ENVIRONMENT_NAME.match(self.key_env):
            raise ValueError("key_env takes the name of an environment variable, not the key")

    def __repr__(self) -> str:
        return f"{type(self).__name__}(…)"  # a key must not reach a log through a traceback

    def secret(self) -> str | None:
        """The key, read now; None if none is set. Raises ``ValueError`` if it cannot be read."""
        if self.key_env is not None:
            value = os.environ.get(self.key_env, "")
            if not value:
                raise ValueError(f"the environment variable {self.key_env} is not set")
            return value
        if self.key_file is not None:
            try:
                value = Path(self.key_file).expanduser().read_text(encoding="utf-8").strip()
            except (OSError, UnicodeDecodeError) as error:
                why = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
                raise ValueError(f"cannot read the key file {self.key_file}: {why}") from None
            if not value:
                raise ValueError(f"the key file {self.key_file} is empty")
            return value
        return self.key
