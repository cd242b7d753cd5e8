"""The port of tools that the server runs itself: a call's arguments in, its output as text out.

A tool knows nothing of responses, runs or events. What it did is written down before and after
(the run's journal), so that a call is not made twice when its process dies.
"""

from __future__ import annotations

from typing import Any, Protocol

from antiphon.errors import RemoteError

INTERRUPTED = (
    "The server that made this call stopped before its outcome was known. It may or may not have "
    "taken effect."
)
"""The output of a call that must not be made again and whose outcome nobody knows."""


class ToolFailed(RemoteError):
    """The call failed in a way the model should hear of; the message becomes its output."""


class ServerTool(Protocol):
    """One tool. ``again``: a call whose outcome is unknown may be made once more, with the same
    ``key``; otherwise the model is told that it was interrupted."""

    name: str
    again: bool
    description: str | None
    parameters: dict[str, Any] | None

    async def call(self, arguments: str, *, key: str) -> str:
        """Run it. ``arguments`` is JSON text, ``key`` the same for every attempt at this call.
        Raises ``ToolFailed``."""

    async def close(self) -> None: ...
