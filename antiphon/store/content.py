"""What callers said, on its way into a row and out of it again: as it is, or encrypted.

Every noun of the store that keeps content takes a ``Content`` and asks it at three places:
``await content.ready(project)`` first (``writing=False`` where nothing is stored),
``content.shut(project, blob)`` for each content column before it becomes a parameter,
``content.open(project, blob)`` for each that was read. Columns of content are ``{blob}``; no
statement looks into them. Encrypted and plain content may stand in one table: the first byte tells.
"""

from __future__ import annotations

from typing import Protocol

from antiphon.errors import ClientError

SHUT = b"\x00"
"""How shut content begins; JSON never does."""


def erased() -> ClientError:
    """What is said of content whose key was dropped."""
    return ClientError(
        "What was stored here was erased: the key of this project's content was dropped.",
        status=404,
        code="content_erased",
    )


class Content(Protocol):
    """Shuts and opens the content columns of a project's rows."""

    async def ready(self, project: str, *, writing: bool = True) -> None:
        """Have the project's key at hand; made if there is none and something will be written.
        Ends without being suspended where it is known, and where the database is ``local`` and
        nothing is written. Raises ``RemoteError``."""

    def shut(self, project: str, content: bytes) -> bytes:
        """As it is stored. Never waits; the project is ``ready``."""

    def open(self, project: str, content: bytes) -> bytes:
        """What was shut, or was stored before anything was. Raises ``ClientError`` 404
        ``content_erased`` where the key was dropped."""


class Plain:
    """Content that is stored as it is."""

    async def ready(self, project: str, *, writing: bool = True) -> None:
        """Nothing to do."""

    def shut(self, project: str, content: bytes) -> bytes:
        return content

    def open(self, project: str, content: bytes) -> bytes:
        """As the port says. Where nothing is encrypted any more, no key is left for what was."""
        if content[:1] == SHUT:
            raise erased()
        return content


PLAIN = Plain()
