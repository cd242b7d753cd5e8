"""What one connection remembers beside what the store holds: how ``store: false`` is continued.

A ``Local`` stands before the process's ``Memory`` and answers the same questions. It keeps the
latest response of each of its connection's lanes if that was not stored, whole: nobody else can
tell it again. It ends with its connection; nothing in it is ever written, unless a stored
response continues one that was not: then its history is written down with it (``history.retold``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from antiphon.runs.memory import Memory
from antiphon.runs.said import Said
from antiphon.store.base import StoredResponse
from antiphon.types.codec import encode
from antiphon.types.response import Response

if TYPE_CHECKING:
    from antiphon.runs.context import Context


class Local:
    """The responses only one connection knows. At most ``bytes_max`` (estimated); beyond, the
    lane that rested longest loses its latest response."""

    def __init__(self, memory: Memory, bytes_max: int) -> None:
        self.everything = True
        self._shared = memory
        self._own = Memory(bytes_max)
        self._latest: dict[str | None, tuple[str, str]] = {}

    @property
    def shared(self) -> bool:
        return self._shared.shared

    @property
    def forgotten(self) -> int:
        return self._shared.forgotten

    @property
    def size_bytes(self) -> int:
        """An estimate of what is held."""
        return self._own.size_bytes

    def recall(self, project: str, response_id: str) -> tuple[Said, dict[Any, Any]] | None:
        found = self._own.recall(project, response_id)
        return self._shared.recall(project, response_id) if found is None else found

    def peek(self, project: str, response_id: str) -> Said | None:
        found = self._own.peek(project, response_id)
        return self._shared.peek(project, response_id) if found is None else found

    def learn(self, project: str, response_id: str, said: Said, forgotten: int) -> None:
        self._shared.learn(project, response_id, said, forgotten)

    def alone_knows(self, project: str, response_id: str) -> bool:
        """Whether no store has this response."""
        return (project, response_id) in self._latest.values() and (
            self._own.peek(project, response_id) is not None
        )

    def keep(self, lane: str | None, context: Context, response: Response) -> None:
        """A response of this lane is over, and not stored: it takes the place of the lane's
        last one."""
        self.pass_by(lane)
        # Without its parent: that may be another lane's latest, and stays.
        row = StoredResponse(
            id=response.id,
            project=context.project,
            parent=None,
            created_at=context.started_ms,
            expires_at=None,
            status=response.status,
            head=b"",
            input=context.brought,
            output=encode(response.output),
        )
        self._own.keep(context, row)
        self._latest[lane] = (row.project, row.id)

    def pass_by(self, lane: str | None) -> None:
        """The lane has gone on: what it said last is not kept any more."""
        latest = self._latest.pop(lane, None)
        if latest is not None:
            self._own.drop(*latest)

    def evict(self, lane: str | None, project: str, response_id: str) -> None:
        """A continuation of this response failed. Where another lane owns it, it stays there."""
        if self._latest.get(lane) == (project, response_id):
            self.pass_by(lane)
