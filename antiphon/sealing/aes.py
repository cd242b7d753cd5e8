"""AES-256-GCM: tokens for callers, boxes for what is stored.

A token is ``sealed1_`` and, in base64 without padding: key id (8 bytes), project mark (8), nonce
(12), ciphertext with its tag. Every master key gives each project a key of its own (HKDF), so one
project's tokens mean nothing to another; id and mark are derived from the key as well and tell
nobody anything. What stands before the ciphertext and the purpose are authenticated with it.

A project's data key is random, and kept shut under the master keys (``new``, ``box``); without its
row nothing that it shut can be read any more.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from antiphon.errors import RemoteError
from antiphon.sealing.base import TOKEN_CHARS_MAX, Purpose, Unsealable

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

PREFIX = "sealed1_"
_ID, _MARK, _NONCE, _TAG = 8, 8, 12, 16
_HEAD = _ID + _MARK
_DERIVED_MAX = 4_096
"""So many projects' keys are kept ready."""


def _derived(key: bytes, *words: str) -> bytes:
    """A key for one use (HKDF-Expand with SHA-256, one block: master keys are random already)."""
    said = b"".join(len(word).to_bytes(4, "big") + word for word in map(_bytes, words))
    return hmac.digest(key, b"antiphon " + said + b"\x01", hashlib.sha256)


def _bytes(word: str) -> bytes:
    return word.encode("utf-8", "surrogatepass")


class _Master:
    """One master key and what it gives."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        self.id = _derived(key, "id")[:_ID]
        self._ready: OrderedDict[tuple[str, str], tuple[bytes, AESGCM]] = OrderedDict()

    def use(self, kind: str, project: str) -> tuple[bytes, AESGCM]:
        """The project's mark and cipher."""
        found = self._ready.get((kind, project))
        if found is None:
            from cryptography.hazmat.primitives.ciphers.aead import AESGCM

            mark = _derived(self._key, "mark", project)[:_MARK]
            found = mark, AESGCM(_derived(self._key, kind, project))
            self._ready[kind, project] = found
            if len(self._ready) > _DERIVED_MAX:
                self._ready.popitem(last=False)
        return found


class Sealer:
    """``sealing.base.Seals``, and the vault of data keys. ``keys`` tells the master keys (the
    active one first) when they are first needed; ``random(n)`` gives n random bytes."""

    def __init__(
        self,
        keys: Callable[[], Sequence[bytes]],
        *,
        random: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self._keys = keys
        self._random = random
        self._masters: list[_Master] = []

    def __repr__(self) -> str:
        return "Sealer(…)"

    # -- tokens ---------------------------------------------------------------------------------

    def seal(self, project: str, purpose: Purpose, content: bytes) -> str:
        """As the port says."""
        sealed = self._shut("token", project, purpose, content)
        token = PREFIX + base64.urlsafe_b64encode(sealed).rstrip(b"=").decode()
        if len(token) > TOKEN_CHARS_MAX:
            raise Unsealable("too_large")
        return token

    def open(self, project: str, purpose: Purpose, token: str) -> bytes:
        """As the port says."""
        if len(token) > TOKEN_CHARS_MAX:
            raise Unsealable("too_large")
        if not token.startswith(PREFIX):
            raise Unsealable("malformed")
        text = token[len(PREFIX) :]
        try:
            sealed = base64.b64decode(
                text.encode("ascii") + b"=" * (-len(text) % 4), altchars=b"-_", validate=True
            )
        except (binascii.Error, ValueError):
            raise Unsealable("malformed") from None
        return self._open("token", project, purpose, sealed)

    # -- data keys ------------------------------------------------------------------------------

    def new(self, project: str) -> bytes:
        """A fresh data key for the project, shut: to be kept with what it will shut."""
        return self._shut("wrap", project, "data key", self._random(32))

    def box(self, project: str, wrapped: bytes) -> Box:
        """The data key in use. Raises ``RemoteError`` if no master key opens it."""
        return Box(self._data_key(project, wrapped), self._random)

    def rewrapped(self, project: str, wrapped: bytes) -> bytes | None:
        """The data key under the active master key; None if that is how it is shut."""
        if wrapped[:_ID] == self._all()[0].id:
            return None
        return self._shut("wrap", project, "data key", self._data_key(project, wrapped))

    def _data_key(self, project: str, wrapped: bytes) -> bytes:
        try:
            return self._open("wrap", project, "data key", wrapped)
        except Unsealable as fault:
            raise RemoteError(
                "The key of this project's content does not open: the master key that shut it is "
                f"not among those of encryption.key ({fault.reason}).",
                status=500,
            ) from None

    # -- both -----------------------------------------------------------------------------------

    def _all(self) -> list[_Master]:
        if not self._masters:
            self._masters = [_Master(key) for key in self._keys()]
        return self._masters

    def _shut(self, kind: str, project: str, purpose: str, content: bytes) -> bytes:
        master = self._all()[0]
        mark, cipher = master.use(kind, project)
        head = master.id + mark
        nonce = self._random(_NONCE)
        return head + nonce + cipher.encrypt(nonce, content, head + _bytes(purpose))

    def _open(self, kind: str, project: str, purpose: str, sealed: bytes) -> bytes:
        if len(sealed) < _HEAD + _NONCE + _TAG:
            raise Unsealable("malformed")
        head, nonce = sealed[:_HEAD], sealed[_HEAD : _HEAD + _NONCE]
        master = next((one for one in self._all() if one.id == head[:_ID]), None)
        if master is None:
            raise Unsealable("unknown_key")
        mark, cipher = master.use(kind, project)
        if head[_ID:] != mark:
            raise Unsealable("foreign")
        return _decrypted(cipher, nonce, sealed[_HEAD + _NONCE :], head + _bytes(purpose))


class Box:
    """One project's data key: ``shut`` and ``open`` its content columns."""

    def __init__(self, key: bytes, random: Callable[[int], bytes]) -> None:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        self._cipher = AESGCM(key)
        self._random = random

    def __repr__(self) -> str:
        return "Box(…)"

    def shut(self, content: bytes) -> bytes:
        """Nonce and ciphertext."""
        nonce = self._random(_NONCE)
        return nonce + self._cipher.encrypt(nonce, content, None)

    def open(self, content: bytes) -> bytes:
        """What was shut. Raises ``RemoteError`` for what was changed since."""
        try:
            return _decrypted(self._cipher, content[:_NONCE], content[_NONCE:], None)
        except Unsealable:
            raise RemoteError("Stored content was changed and does not open.", status=500) from None


def _decrypted(cipher: AESGCM, nonce: bytes, content: bytes, bound: bytes | None) -> bytes:
    from cryptography.exceptions import InvalidTag

    try:
        return cipher.decrypt(nonce, content, bound)
    except (InvalidTag, ValueError):
        raise Unsealable("tampered") from None
