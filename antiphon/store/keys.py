"""Project keys: the data key of each project, kept shut, and the content they encrypt.

A key is read once per process and looked at again every minute, so a dropped one is forgotten
everywhere within that time. Content names the key that shut it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from time import monotonic
from typing import Protocol

from msgspec import Struct

from antiphon.errors import RemoteError
from antiphon.store.base import Database
from antiphon.store.content import SHUT, erased
from antiphon.store.work import Work

LOOK_SECONDS = 60.0
_NUMBER_BYTES = 8

LOAD_KEY = """
SELECT number, wrapped FROM project_keys WHERE project = $1
"""
"""The project's key."""

SAVE_KEY = """
INSERT INTO project_keys (project, number, wrapped, created_at) VALUES ($1, $2, $3, $4)
ON CONFLICT (project) DO NOTHING
"""
"""A project's first key; whoever is first wins."""

REWRAP_KEY = """
UPDATE project_keys SET wrapped = $3 WHERE project = $1 AND number = $2
"""
"""The same key under another master key."""

DROP_KEY = """
DELETE FROM project_keys WHERE project = $1 RETURNING number
"""
"""From here on nobody reads what it shut."""

ANY_KEY = """
SELECT project FROM project_keys LIMIT 1
"""
"""A project whose content is encrypted, if there is one."""


class Box(Protocol):
    """A data key in use."""

    def shut(self, content: bytes) -> bytes: ...

    def open(self, content: bytes) -> bytes:
        """Raises ``RemoteError`` for what was changed since."""


class Vault(Protocol):
    """Shuts data keys under master keys (``sealing.aes.Sealer``)."""

    def new(self, project: str) -> bytes:
        """A fresh key, shut."""

    def box(self, project: str, wrapped: bytes) -> Box:
        """The key in use. Raises ``RemoteError`` if no master key opens it."""

    def rewrapped(self, project: str, wrapped: bytes) -> bytes | None:
        """The key under the active master key, or None if it is."""


class _Known(Struct):
    """A project's key in this process. ``number``: its name as bytes."""

    number: bytes
    box: Box
    until: float


class ProjectContent:
    """``content.Content`` with a data key per project. ``clock`` tells ms, ``seconds`` passes;
    ``random(n)`` gives n random bytes."""

    def __init__(
        self,
        database: Database,
        vault: Vault,
        *,
        clock: Callable[[], int],
        random: Callable[[int], bytes],
        seconds: Callable[[], float] = monotonic,
    ) -> None:
        self._database = database
        self._vault = vault
        self._clock = clock
        self._random = random
        self._seconds = seconds
        self._known: dict[str, _Known] = {}

    async def ready(self, project: str, *, writing: bool = True) -> None:
        """As the port says."""
        known = self._known.get(project)
        if known is not None and self._seconds() < known.until:
            return
        row = await self._database.read(partial(_load, project))
        if row is None:
            self._known.pop(project, None)
            if not writing:
                return
            number = self._random(_NUMBER_BYTES).hex()
            made = partial(_save, project, number, self._vault.new(project), self._clock())
            row = await self._database.change(made)
        number, wrapped = row
        if known is None or known.number.hex() != number:
            known = _Known(bytes.fromhex(number), self._vault.box(project, wrapped), 0.0)
        known.until = self._seconds() + LOOK_SECONDS
        self._known[project] = known
        again = self._vault.rewrapped(project, wrapped) if writing else None
        if again is not None:
            await self._database.change(partial(_rewrap, project, number, again))

    async def check(self) -> None:
        """Raise ``RemoteError`` if content could not be shut now, or not be opened again: no
        master key, or not the one that was used here."""
        self._vault.new("")
        project = await self._database.read(_any)
        if project is not None:
            await self.ready(project, writing=False)

    def knows(self, project: str) -> bool:
        """Whether ``shut`` can be called at all."""
        return project in self._known

    def fresh(self, project: str) -> bool:
        """Whether it can be called at once: the key was looked at within the minute."""
        known = self._known.get(project)
        return known is not None and self._seconds() < known.until

    def shut(self, project: str, content: bytes) -> bytes:
        """As the port says."""
        known = self._known.get(project)
        if known is None:
            raise RemoteError("The key of this project's content is not at hand.", status=500)
        return SHUT + known.number + known.box.shut(content)

    def open(self, project: str, content: bytes) -> bytes:
        """As the port says."""
        if content[:1] != SHUT:
            return content
        known = self._known.get(project)
        if known is None or content[1 : 1 + _NUMBER_BYTES] != known.number:
            raise erased()
        return known.box.open(content[1 + _NUMBER_BYTES :])

    async def drop(self, project: str) -> bool:
        """Forget the project's key for ever: everything it shut is unreadable from now on, in
        backups too. False if there was none."""
        dropped = await self._database.change(partial(_drop, project))
        self._known.pop(project, None)
        return dropped


async def has_keys(database: Database) -> bool:
    """Whether anything in this database was encrypted."""
    return await database.read(_any) is not None


def _load(project: str) -> Work[tuple[str, bytes] | None]:
    rows = yield LOAD_KEY, (project,)
    return (rows[0][0], bytes(rows[0][1])) if rows else None


def _save(project: str, number: str, wrapped: bytes, now: int) -> Work[tuple[str, bytes]]:
    yield SAVE_KEY, (project, number, wrapped, now)
    rows = yield LOAD_KEY, (project,)
    return rows[0][0], bytes(rows[0][1])


def _rewrap(project: str, number: str, wrapped: bytes) -> Work[None]:
    yield REWRAP_KEY, (project, number, wrapped)


def _drop(project: str) -> Work[bool]:
    rows = yield DROP_KEY, (project,)
    return bool(rows)


def _any() -> Work[str | None]:
    rows = yield ANY_KEY, ()
    return str(rows[0][0]) if rows else None
