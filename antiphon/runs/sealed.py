"""``encrypted_content`` of the items callers send: opened, or refused in the API's words."""

from __future__ import annotations

from antiphon.errors import ClientError, RemoteError
from antiphon.sealing.base import Purpose, Seals, Unsealable

_WHY = {
    "malformed": "it was not made by this server, or is not complete; send the item exactly as "
    "you received it",
    "too_large": "it is longer than 20,971,520 characters",
    "unknown_key": "it was sealed under a key this server no longer has",
    "foreign": "it belongs to another project",
    "tampered": "it was changed, or belongs to an item of another type",
}


def refusal(fault: Unsealable, param: str) -> ClientError:
    """The 400 for a token that does not open. ``param`` is the item's path."""
    return ClientError(
        f"The encrypted content of '{param}' cannot be opened: {_WHY[fault.reason]}.",
        code="invalid_encrypted_content",
        param=f"{param}.encrypted_content",
    )


class Keeper:
    """Seals and opens for one project."""

    __slots__ = ("_project", "_seals")

    def __init__(self, seals: Seals | None, project: str) -> None:
        self._seals = seals
        self._project = project

    def seal(self, purpose: Purpose, content: bytes) -> str:
        """Raises ``Unsealable`` (too large) and ``RemoteError`` (no key)."""
        return self._all().seal(self._project, purpose, content)

    def open(self, purpose: Purpose, token: str) -> bytes:
        """Raises ``Unsealable`` and ``RemoteError``."""
        return self._all().open(self._project, purpose, token)

    def _all(self) -> Seals:
        if self._seals is None:
            raise RemoteError("Nothing can be sealed here: there is no key.", status=500)
        return self._seals
