"""The sealing port: content that a caller carries for us and cannot read or change.

What is sealed is bound to the project and to a purpose: nobody else's token opens, and a token of
one kind does not pass for one of another.
"""

from __future__ import annotations

from typing import Literal, Protocol

TOKEN_CHARS_MAX = 20_971_520
"""Of ``encrypted_content``, in and out (the API's own limit)."""

Purpose = Literal["reasoning", "compaction", "webhook", "mcp"]


class Unsealable(Exception):
    """A token that does not open. ``reason``:

    ``malformed``: not a token of ours, or cut; ``too_large``; ``unknown_key``: sealed under a key
    this server does not have (any more); ``foreign``: of another project; ``tampered``: changed, or
    sealed for another purpose.
    """

    def __init__(
        self,
        reason: Literal["malformed", "too_large", "unknown_key", "foreign", "tampered"],
    ) -> None:
        super().__init__(reason)
        self.reason = reason


class Seals(Protocol):
    """Seals and opens. Neither waits."""

    def seal(self, project: str, purpose: Purpose, content: bytes) -> str:
        """A token only ``open`` of the same project and purpose can read. Raises ``Unsealable``
        (``too_large``), or ``RemoteError`` if there is no key to seal with."""

    def open(self, project: str, purpose: Purpose, token: str) -> bytes:
        """What was sealed. Raises ``Unsealable``, or ``RemoteError`` if there are no keys."""
