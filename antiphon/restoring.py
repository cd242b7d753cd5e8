"""The command `antiphon import archive`: the lines of a file (``archive.py``) into a store.

What is there already stays as it is, so importing again goes on where it broke off. Responses are
put by the same way as new ones, in the order of the file, which has parents first: they take their
places in the tree, and a line is stored whole or not at all. A line that cannot be stored is named
and left out, and so is what continues it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from functools import partial

import msgspec
from msgspec import Raw, Struct, field

from antiphon import archive
from antiphon.app import App, store_only
from antiphon.archive import (
    CompletionLine,
    ConversationLine,
    Counts,
    End,
    Head,
    ItemsLine,
    Malformed,
    ResponseLine,
)
from antiphon.config import Config
from antiphon.errors import ClientError, RemoteError
from antiphon.store import archive as stored
from antiphon.store.base import StoredResponse
from antiphon.store.conversations import Mark, StoredItem
from antiphon.store.work import Begin

LINES_AT_ONCE = 200
BYTES_AT_ONCE = 8 << 20

Key = tuple[str, str]
"""Project and id."""

_LINES_OWN = "cannot be stored"
"""What a store says of one row that is impossible, and of nothing else."""

Progress = Callable[[int], None]


class Restored(Struct):
    """What happened. ``known``: responses, conversations, completions and lines of items that were
    there; ``wrong``: lines (number, why) that were left out; ``whole``: the file has its end."""

    done: Counts = field(default_factory=Counts)
    known: int = 0
    wrong: list[tuple[int, str]] = []
    whole: bool = False


class NoArchive(Exception):
    """The file is not one that `antiphon export` wrote, or a newer version did."""


async def restore(
    lines: Iterable[bytes],
    config: Config,
    project: str | None,
    *,
    dry_run: bool,
    progress: Progress,
) -> Restored:
    """Store the lines of one project, or of all; ``progress`` hears how many now and then. Raises
    ``NoArchive``, ``AntiphonError`` or ``OSError``."""
    numbered = enumerate(lines, 1)
    _check_head(next(numbered, (1, b""))[1])
    app = store_only(config)
    async with app.only_store():
        restoring = _Restoring(app, project, dry_run)
        for number, line in numbered:
            if line.strip():
                await restoring.line(number, line)
            if number % 10_000 == 0:
                progress(number)
        await restoring.settle()
    restoring.told.wrong.sort()
    return restoring.told


def _check_head(line: bytes) -> None:
    try:
        head = archive.parsed(line)
    except Malformed:
        head = None
    if not isinstance(head, Head):
        raise NoArchive("this is no file of `antiphon export`: its first line does not say so")
    if head.version != archive.VERSION:
        raise NoArchive(
            f"the file has format {head.version}, this version of Antiphon reads "
            f"{archive.VERSION}: use the version that wrote it, or a newer one"
        )


class _Restoring:
    """One walk through a file, into an open store."""

    def __init__(self, app: App, project: str | None, dry_run: bool) -> None:
        self.told = Restored()
        self._store = app.store
        self._conversations = app.runs.holding.kept
        self._completions = app.runs.completions
        self._retention = app.runs.retention
        self._clock = app.ids.clock
        self._project = project
        self._dry_run = dry_run
        self._waiting: list[tuple[int, ResponseLine, StoredResponse]] = []
        self._bytes = 0
        self._would: set[Key] = set()  # what is not written in a dry run

    async def line(self, number: int, line: bytes) -> None:
        """Store what it says, now or in ``settle``."""
        try:
            said = archive.parsed(line)
            if isinstance(said, End):
                self.told.whole = True
                return
            if isinstance(said, Head):
                raise Malformed("a second head")
            if self._project is not None and said.project != self._project:
                return
            if self._retention.zero(said.project):
                raise Malformed(f"nothing of the project '{said.project}' may be stored here")
            match said:
                case ResponseLine():
                    await self._response(number, said, len(line))
                case ConversationLine():
                    await self._conversation(said)
                case ItemsLine():
                    await self._items(said)
                case CompletionLine():
                    await self._completion(said)
        except (Malformed, ClientError) as wrong:
            self.told.wrong.append((number, str(wrong)))
        except RemoteError as error:
            self._refused(number, error)

    # -- responses --------------------------------------------------------------------------

    async def _response(self, number: int, said: ResponseLine, size: int) -> None:
        self._waiting.append((number, said, archive.response_row(said)))
        self._bytes += size
        if len(self._waiting) >= LINES_AT_ONCE or self._bytes >= BYTES_AT_ONCE:
            await self.settle()

    async def settle(self) -> None:
        """Store the responses that were gathered."""
        waiting, self._waiting, self._bytes = self._waiting, [], 0
        keys = [(row.project, row.id) for _, _, row in waiting]
        parents = [(row.project, row.parent) for _, _, row in waiting if row.parent is not None]
        there = await self._store.read(partial(stored.known, [*keys, *parents]))
        there |= self._would
        puts, fresh = [], set[Key]()
        for number, said, row in waiting:
            if (row.project, row.id) in there:
                self.told.known += 1
            elif row.parent is not None and (row.project, row.parent) not in there:
                why = f"'parent': there is no response '{row.parent}' to continue"
                self.told.wrong.append((number, why))
            else:
                there.add((row.project, row.id))
                if self._dry_run:
                    self._would.add((row.project, row.id))
                    self._count(said)
                else:
                    beside = row.parent is not None and (row.project, row.parent) in fresh
                    puts.append(self._put(number, said, row, beside=beside))
                    fresh.add((row.project, row.id))
        await asyncio.gather(*puts)

    def _put(
        self, number: int, said: ResponseLine, row: StoredResponse, *, beside: bool
    ) -> asyncio.Future[None]:
        """Queue it now, so that it is stored after those before it. ``beside``: its parent is
        being stored too, and if that fails it must not become the beginning of a history."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def settled(error: Exception | None) -> None:
            if done.done():  # somebody stopped the import meanwhile
                return
            try:
                if error is None:
                    self._count(said)
                else:
                    self._refused(number, error)
                done.set_result(None)
            except RemoteError as failure:
                done.set_exception(failure)

        also: list[Begin[object]] = []
        if beside:
            also.append(partial(stored.expect, row.project, row.parent or ""))
        if said.deleted:
            also.append(partial(stored.hold, row.project, row.id, self._clock()))
        self._store.put(row, settled, also)
        return done

    def _count(self, said: ResponseLine) -> None:
        if said.deleted:
            self.told.done.deleted += 1
        else:
            self.told.done.responses += 1

    def _refused(self, number: int, error: Exception) -> None:
        """Wrong in this line alone, or the store has failed: then nothing more is tried."""
        if isinstance(error, RemoteError) and _LINES_OWN not in error.message:
            raise error
        self.told.wrong.append((number, str(error)))

    # -- conversations ----------------------------------------------------------------------

    async def _conversation(self, said: ConversationLine) -> None:
        items = _items(said.items)
        if await self._conversations.load(said.project, said.id) is not None:
            self.told.known += 1
            return
        if self._dry_run:
            self._would.add((said.project, said.id))
        else:
            metadata = msgspec.json.encode(said.metadata)
            await self._conversations.create(
                said.project, said.id, said.created_at, metadata, items
            )
        self.told.done.conversations += 1
        self.told.done.items += len(items)

    async def _items(self, said: ItemsLine) -> None:
        """Add them if the conversation ends exactly where they begin: else they are in it."""
        items = _items(said.items)
        project, id = said.project, said.conversation
        if (project, id) in self._would:
            self.told.done.items += len(items)
            return
        there = await self._conversations.load(project, id)
        if there is None:
            raise Malformed(f"'conversation': there is none with the id '{id}'")
        if there.mark.edition == 0 and there.mark.place < said.after:
            raise Malformed(
                f"'after': the conversation has {there.mark.place} items, not {said.after}"
            )
        if there.mark != Mark(0, said.after):
            self.told.known += 1
            return
        if not self._dry_run:
            added = await self._conversations.add(
                project, id, items, self._clock(), expected=there.mark
            )
            if isinstance(added, str):
                raise Malformed(f"'conversation': '{id}' is {added}")
        self.told.done.items += len(items)

    # -- chat completions -------------------------------------------------------------------

    async def _completion(self, said: CompletionLine) -> None:
        row = archive.completion_row(said)
        if await self._completions.load(row.project, row.id, 0) is not None:
            self.told.known += 1
            return
        if not self._dry_run:
            await self._completions.ready(row.project)
            await self._store.change(self._completions.saving(row))
        self.told.done.completions += 1


def _items(items: Sequence[Raw]) -> list[StoredItem]:
    names = archive.item_names(list(items))
    return [StoredItem(name, bytes(one)) for name, one in zip(names, items, strict=True)]
