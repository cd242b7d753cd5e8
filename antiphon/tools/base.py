"""The port of tools that the server runs itself: a call's arguments in, its output as text out.

A tool knows nothing of responses, runs or events. What it did is written down before and after
(the run's journal), so that a call is not made twice when its process dies.
"""

from __future__ import annotations

from typing import Any, Protocol

from msgspec import Struct

from antiphon.errors import RemoteError

INTERRUPTED = (
    "The server that made this call stopped before its outcome was known. It may or may not have "
    "taken effect."
)
"""The output of a call that must not be made again and whose outcome nobody knows."""


class ToolFailed(RemoteError):
    """The call failed in a way the model should hear of; the message becomes its output.
    ``detail``: the failure as the API words it, for items that have an ``error``."""

    def __init__(self, message: str, *, detail: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.detail = detail


class Failure(Struct, frozen=True, tag="failure"):
    """A call that failed: in words for the model, and as the API words it."""

    text: str
    detail: dict[str, Any] | None = None


class Found(Struct, frozen=True, tag="found"):
    """What a search for tools gave: their definitions."""

    tools: list[dict[str, Any]]


Output = str | Failure | Found
"""What came of a call."""


class ServerTool(Protocol):
    """One tool. ``again``: a call whose outcome is unknown may be made once more, with the same
    ``key``; otherwise the model is told that it was interrupted."""

    name: str
    again: bool
    description: str | None
    parameters: dict[str, Any] | None

    async def call(self, arguments: str, *, key: str) -> str | Found:
        """Run it. ``arguments`` is JSON text, ``key`` the same for every attempt at this call.
        Raises ``ToolFailed``."""

    async def close(self) -> None: ...
