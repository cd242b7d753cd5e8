"""The log in the store's own tables: the one a server has unless it is told otherwise.

Appending is one transaction for all runs of a tick. The row of each run counts its events, and a
chunk goes in only where it begins at that count and names the epoch of that row: so a log is dense
from 0, and only its owner writes it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from antiphon.errors import LocalProtocolError, RemoteError
from antiphon.store import runs_sql as sql
from antiphon.store.base import Database
from antiphon.store.content import PLAIN, Content
from antiphon.store.log import Chunk, Claim
from antiphon.store.runs_works import held
from antiphon.store.work import Fenced, Work


class TableLog:
    """``antiphon.store.log.Log`` beside the rows of ``StoredRuns``."""

    def __init__(self, database: Database, content: Content = PLAIN) -> None:
        self._database = database
        self._content = content

    async def open(self) -> None:
        """The store is open already."""

    async def close(self) -> None:
        """The store is closed by who opened it."""

    async def begin(self, claim: Claim) -> int:
        """As the port says. The claim itself has shut out the earlier epochs."""
        return await self._database.read(partial(_begin, claim))

    async def append(self, appends: Sequence[tuple[Claim, Chunk]]) -> Mapping[str, Exception]:
        """As the port says: all in one transaction."""
        shut: list[tuple[Claim, Chunk]] = []
        refused: dict[str, Exception] = {}
        for claim, chunk in appends:
            try:
                await self._content.ready(claim.project)
                events = self._content.shut(claim.project, chunk.events)
            except RemoteError as error:  # this project's key is not at hand
                refused[claim.id] = error
            else:
                shut.append((claim, Chunk(chunk.first, chunk.count, events)))
        if shut:
            refused |= await self._database.change(partial(_append, shut))
        return refused

    async def read(self, project: str, id: str, after: int = -1, limit: int = 64) -> list[Chunk]:
        """As the port says."""
        await self._content.ready(project, writing=False)
        chunks = await self._database.read(partial(_read, project, id, after + 1, limit))
        open = self._content.open
        return [Chunk(one.first, one.count, open(project, one.events)) for one in chunks]

    async def drop(self, project: str, id: str) -> None:
        """The log goes with the run's row: ``StoredRuns.delete`` and ``sweep``."""


def _begin(claim: Claim) -> Work[int]:
    rows = yield sql.PLACE, (claim.number, claim.id, claim.epoch, 0)
    if not rows:
        raise Fenced(claim.id)
    events: int = rows[0][0]
    return events


def _append(appends: Sequence[tuple[Claim, Chunk]]) -> Work[dict[str, Exception]]:
    claims = [claim for claim, _ in appends]
    ends = [(chunk.first, chunk.count) for _, chunk in appends]
    went = {number for (number,) in (yield sql.APPEND_TO, (held(claims, ends),))}
    refused: dict[str, Exception] = {}
    for claim, chunk in appends:
        if claim.number in went:
            part = (claim.number, chunk.first, chunk.count, claim.epoch, chunk.events)
            yield sql.SAVE_CHUNK, part
        else:
            error = yield from _refusal(claim, chunk)
            if error is not None:
                refused[claim.id] = error
    return refused


def _refusal(claim: Claim, chunk: Chunk) -> Work[Exception | None]:
    """Why a chunk did not go; None if it is there already."""
    rows = yield sql.PLACE, (claim.number, claim.id, claim.epoch, chunk.first)
    if not rows:
        return Fenced(claim.id)
    events, count = rows[0]
    if count == chunk.count:
        return None
    return LocalProtocolError(
        f"the log of {claim.id} goes on with event {events}; a chunk of {chunk.count} events from "
        f"{chunk.first} on does not follow it"
    )


def _read(project: str, id: str, first: int, limit: int) -> Work[list[Chunk]]:
    rows = yield sql.READ_LOG, (project, id, first, limit)
    return [Chunk(*row) for row in rows]
