"""The command `antiphon export`: everything that is stored, as lines of a file (``archive.py``).

Rows are read a few at a time and written as they come, so a database of any size takes the same
memory. What is told: responses, with the tombstones those that live descend from; conversations
with their items; stored chat completions. What is not: background responses that are not over,
the exact events of background responses, webhook endpoints, idempotency keys. Content is in clear.
"""

from __future__ import annotations

import asyncio
import base64
import os
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import msgspec

from antiphon import archive
from antiphon.app import App, check_there, store_only
from antiphon.archive import Counts, raw, spelled
from antiphon.config import Config
from antiphon.errors import ClientError, RemoteError
from antiphon.importing import explained
from antiphon.store import archive as stored
from antiphon.store.archive import Chain, Turn
from antiphon.store.base import Store
from antiphon.store.content import Content

CHAINS_AT_ONCE = 256
ROWS_AT_ONCE = 64
"""Rows with content that are in memory at the same time."""

Write = Callable[[bytes], object]


def export_to(
    target: str, config: Config, project: str | None, progress: Callable[[int], None]
) -> list[str]:
    """Write a new file, which only its owner can read; what to tell. Raises as ``export``, and
    ``OSError`` if the file is there; it is gone again if the export fails."""
    path = Path(target)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise OSError(f"{path} is there already; an export writes a new file") from None
    try:
        with open(descriptor, "wb") as file:
            counts = asyncio.run(export(config, file.write, project, progress))
            file.flush()
            os.fsync(descriptor)
    except BaseException as failure:
        path.unlink()
        if isinstance(failure, RemoteError):
            raise explained(failure, config, "export") from failure
        raise
    return _told(counts, path)


def _told(counts: Counts, path: Path) -> list[str]:
    told = [
        f"exported: {counts.responses} responses, {counts.deleted} deleted ones that others "
        f"continue, {counts.conversations} conversations with {counts.items} items, "
        f"{counts.completions} chat completions",
        f"{path} holds what was said, in clear, for whoever can read it",
    ]
    if counts.erased:
        told.append(f"{counts.erased} of them cannot be read: the project's key was dropped")
    return told


async def export(
    config: Config, write: Write, project: str | None, progress: Callable[[int], None]
) -> Counts:
    """Write everything, or one project's, as lines; ``progress`` hears how many now and then.
    Raises ``AntiphonError`` or ``OSError``; then what was written is no archive."""
    check_there(config)
    app = store_only(config)
    async with app.only_store():
        exporter = _Exporter(app, project or "")
        head = archive.Head(
            version=archive.VERSION, exported_at=app.ids.clock(), project=project or None
        )
        write(spelled(head))
        lines = 0
        async for line in exporter.lines():
            write(spelled(line))
            lines += 1
            if lines % 10_000 == 0:
                progress(lines)
        counts = exporter.counts
        end = archive.End(
            responses=counts.responses + counts.deleted,
            conversations=counts.conversations,
            completions=counts.completions,
        )
        write(spelled(end))
    return counts


class _Exporter:
    """One walk through an open store."""

    def __init__(self, app: App, project: str) -> None:
        self.counts = Counts()
        self._store: Store = app.store
        self._content: Content = app.content
        self._now = app.ids.clock()
        self._project = project

    async def lines(self) -> AsyncIterator[archive.Line]:
        async for response in self._responses():
            yield response
        async for conversation in self._conversations():
            yield conversation
        async for completion in self._completions():
            yield completion

    # -- responses --------------------------------------------------------------------------

    async def _responses(self) -> AsyncIterator[archive.Line]:
        depth = await self._store.read(stored.depth)
        for level in range(depth + 1):
            after = 0
            while True:
                work = partial(stored.chains, self._project, level, after, CHAINS_AT_ONCE)
                chains = await self._store.read(work)
                async for line in self._turns(chains):
                    yield line
                if len(chains) < CHAINS_AT_ONCE:
                    break
                after = chains[-1].number

    async def _turns(self, chains: Sequence[Chain]) -> AsyncIterator[archive.Line]:
        """All turns of these chains, each chain from its beginning."""
        parents = {chain.number: chain.parent for chain in chains}
        for places in _batches(chains):
            for turn in await self._store.read(partial(stored.turns, places, self._now)):
                parent, parents[turn.chain] = parents[turn.chain], turn.id
                if turn.needed:
                    yield await self._response(turn, parent)

    async def _response(self, turn: Turn, parent: str | None) -> archive.Line:
        """Its line. What nobody can read any more is told like what was deleted."""
        await self._content.ready(turn.project, writing=False)
        try:
            content = [
                self._opened(turn.project, turn.input),
                self._opened(turn.project, turn.output),
            ]
            head = self._opened(turn.project, turn.head) if turn.living else None
            cuts = self._opened(turn.project, turn.cuts) if turn.living else None
        except ClientError:
            self.counts.erased += 1
            content, head, cuts = [None, None], None, None
        if head is None:
            self.counts.deleted += 1
        else:
            self.counts.responses += 1
        input, output = content
        return archive.ResponseLine(
            project=turn.project,
            id=turn.id,
            parent=parent,
            created_at=turn.created_at,
            expires_at=None if head is None else turn.expires_at,
            status=turn.status,  # type: ignore[arg-type]
            deleted=head is None,
            head=raw(head or archive.NULL),
            input=raw(input or b"[]"),
            output=raw(output or b"[]"),
            cuts=None if cuts is None else base64.b64encode(cuts).decode(),
        )

    def _opened(self, project: str, content: bytes | None) -> bytes | None:
        return None if content is None else self._content.open(project, bytes(content))

    # -- conversations ----------------------------------------------------------------------

    async def _conversations(self) -> AsyncIterator[archive.Line]:
        after = ("", "")
        while True:
            work = partial(stored.conversations, self._project, after, ROWS_AT_ONCE)
            found = await self._store.read(work)
            for project, id, created_at, metadata in found:
                await self._content.ready(project, writing=False)
                try:
                    pairs = msgspec.json.decode(self._content.open(project, bytes(metadata)))
                    async for line in self._conversation(project, id, created_at, pairs):
                        yield line
                except ClientError:
                    self.counts.erased += 1
            if len(found) < ROWS_AT_ONCE:
                break
            after = (found[-1][0], found[-1][1])

    async def _conversation(
        self, project: str, id: str, created_at: int, metadata: dict[str, str]
    ) -> AsyncIterator[archive.Line]:
        """Its line, then lines of further items."""
        told, place = 0, -1
        while True:
            work = partial(stored.items, project, id, place, archive.ITEMS_PER_LINE)
            rows = await self._store.read(work)
            items = [raw(self._content.open(project, bytes(item))) for _, item in rows]
            if not told:
                self.counts.conversations += 1
                yield archive.ConversationLine(
                    project=project, id=id, created_at=created_at, metadata=metadata, items=items
                )
            elif items:
                yield archive.ItemsLine(project=project, conversation=id, after=told, items=items)
            told += len(items)
            self.counts.items += len(items)
            if len(rows) < archive.ITEMS_PER_LINE:
                break
            place = rows[-1][0]

    # -- chat completions -------------------------------------------------------------------

    async def _completions(self) -> AsyncIterator[archive.Line]:
        after = ("", -1, "")
        while True:
            work = partial(stored.completions, self._project, after, self._now, ROWS_AT_ONCE)
            found = await self._store.read(work)
            for project, id, created_at, expires_at, model, metadata, object, messages in found:
                await self._content.ready(project, writing=False)
                try:
                    content = [
                        self._content.open(project, bytes(one)) for one in (object, messages)
                    ]
                except ClientError:
                    self.counts.erased += 1
                    continue
                self.counts.completions += 1
                yield archive.CompletionLine(
                    project=project,
                    id=id,
                    created_at=created_at,
                    expires_at=expires_at,
                    model=model,
                    metadata=msgspec.json.decode(metadata),
                    completion=raw(content[0]),
                    messages=raw(content[1]),
                )
            if len(found) < ROWS_AT_ONCE:
                break
            project, id, created_at, *_ = found[-1]
            after = (project, created_at, id)


def _batches(chains: Sequence[Chain]) -> Iterator[list[tuple[int, int]]]:
    """The places of all turns, so many at once as may be in memory."""
    places: list[tuple[int, int]] = []
    for chain in chains:
        for position in range(chain.last + 1):
            places.append((chain.number, position))
            if len(places) == ROWS_AT_ONCE:
                yield places
                places = []
    if places:
        yield places
