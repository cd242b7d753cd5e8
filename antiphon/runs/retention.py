"""How long what a project stores lives, and whether it stores anything at all.

A response, a chat completion and a background response carry the date they go with them, so a new
setting holds for what is made from then on. Conversations have no such date: they live until they
are deleted. A project of *zero retention* stores nothing: each of its responses is made as with
``store: false``, and what cannot be had without storing something is refused.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec

from antiphon.config_state import ProjectSettings
from antiphon.errors import ClientError
from antiphon.types.request import CreateResponse

DAY_MS = 86_400_000


class Retention:
    """The rule of all projects. ``ms`` holds where a project has none of its own; None is for
    ever."""

    __slots__ = ("_own", "_zero", "ms")

    def __init__(self, ms: int | None = None, projects: Sequence[ProjectSettings] = ()) -> None:
        self.ms = ms
        self._own = {
            one.name: math.ceil(one.retention_days * DAY_MS) or None
            for one in projects
            if one.retention_days is not None
        }
        self._zero = frozenset(one.name for one in projects if one.zero_retention)

    def of(self, project: str) -> int | None:
        """Milliseconds that what is stored from now on lives; None for ever."""
        return self._own.get(project, self.ms) if self._own else self.ms

    def zero(self, project: str) -> bool:
        """Whether nothing of the project may be stored."""
        return project in self._zero

    def refuse(self, project: str, param: str, instead: str) -> None:
        """Raises ``ClientError`` 400 ``zero_retention`` if nothing of the project may be stored.
        ``instead``: what the caller can do."""
        if project in self._zero:
            raise ClientError(
                f"'{param}' is not available: nothing of this project may be stored "
                f"(zero retention). {instead}",
                code="zero_retention",
                param=param,
            )

    def unstored(self, asked: CreateResponse, project: str) -> CreateResponse:
        """The request as it is made in a project that stores nothing. Raises ``ClientError`` 400
        ``zero_retention``."""
        if asked.background:
            self.refuse(project, "background", "Send it with 'stream' instead, or without both.")
        if asked.conversation is not None:
            self.refuse(project, "conversation", "Send what was said as 'input'.")
        return msgspec.structs.replace(asked, store=False)
