"""Master keys: 32 bytes each, from the settings or from a file of ours.

Several may be configured, separated by blanks or commas: the first seals, all of them open. Where
none is, the process that has a data directory to itself makes a key there once (``seal.key``,
readable by its owner only). Replicas have to be given one: each would make its own.
"""

from __future__ import annotations

import base64
import binascii
import os
import re
import secrets
from collections.abc import Callable
from pathlib import Path

from antiphon.config_state import EncryptionSettings
from antiphon.errors import RemoteError

KEY_BYTES = 32
KEY_FILE = "seal.key"

_SEPARATORS = re.compile(r"[\s,]+")


def key_from(text: str) -> bytes:
    """A key of 32 bytes written as base64 (either alphabet) or as 64 hex digits. Raises
    ``ValueError``, which never repeats the text."""
    if len(text) == 2 * KEY_BYTES:
        try:
            return bytes.fromhex(text)
        except ValueError:
            pass
    padded = text.rstrip("=").replace("-", "+").replace("_", "/")
    try:
        key = base64.b64decode(padded + "=" * (-len(padded) % 4), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != KEY_BYTES:
        raise ValueError(
            "an encryption key is 32 random bytes in base64; `openssl rand -base64 32` makes one"
        )
    return key


def keys_from(text: str) -> tuple[bytes, ...]:
    """All keys of a setting or a file, the active one first. Raises ``ValueError``."""
    words = [word for word in _SEPARATORS.split(text.strip()) if word]
    return tuple(key_from(word) for word in words or [""])


def master_keys(
    settings: EncryptionSettings, directory: Path | None, *, shared: bool
) -> Callable[[], tuple[bytes, ...]]:
    """What tells the keys when they are first needed. ``directory``: where one may be made; None
    keeps it in memory. ``shared``: other processes use the same database, so none is made.

    The function raises ``RemoteError`` with what the operator has to do.
    """

    def load() -> tuple[bytes, ...]:
        try:
            text = settings.secret()
            if text is not None:
                return keys_from(text)
            if shared:
                raise ValueError(
                    "this server shares its database, so its replicas need the same key: set "
                    "encryption.key_file or encryption.key_env"
                )
            if directory is None:
                return (secrets.token_bytes(KEY_BYTES),)
            return keys_from(_own_key(directory / KEY_FILE))
        except (ValueError, OSError) as error:
            why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            raise RemoteError(
                f"Nothing can be sealed or opened: {why}.", status=500, code="server_error"
            ) from None

    return load


def _own_key(path: Path) -> str:
    """The text of our key file; made if there is none, never half written."""
    try:
        return path.read_text(encoding="ascii")
    except FileNotFoundError:
        pass
    text = base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode()
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fresh = path.with_name(f"{path.name}.{os.getpid()}")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(text + "\n")
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(fresh, path)  # unlike a rename it never takes another one's place
        except FileExistsError:
            return path.read_text(encoding="ascii")
    finally:
        fresh.unlink()
    return text
