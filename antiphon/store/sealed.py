"""A store whose rows of responses are encrypted: any store, with a ``Content`` round it.

The columns that hold what was said (head, input, output, cuts) are shut before the store inside
sees them; packs are made of shut arrays and taken apart again here (``packs.pieces``). The other
nouns shut their own columns.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial

import msgspec

from antiphon.errors import RemoteError
from antiphon.store.base import Past, Settled, Store, StoredResponse
from antiphon.store.keys import ProjectContent
from antiphon.store.packs import pieces
from antiphon.store.work import Begin, T


class SealedStore:
    """``antiphon.store.base.Store`` round another one."""

    def __init__(self, inner: Store, content: ProjectContent) -> None:
        self.inner = inner
        self.local = inner.local
        self._content = content
        self._waiting: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        await self.inner.open()

    async def close(self) -> None:
        if self._waiting:
            await asyncio.wait(self._waiting)
        await self.inner.close()

    async def ping(self) -> None:
        await self.inner.ping()

    def put(
        self, row: StoredResponse | None, settled: Settled, also: Sequence[Begin[object]] = ()
    ) -> None:
        """As the port says. A project's first row waits for its key to be made, and once a minute
        one waits for a look at it: a key that was dropped must shut nothing more."""
        if row is None or self._content.fresh(row.project):
            self.inner.put(None if row is None else self._shut(row), settled, also)
            return
        task = asyncio.create_task(self._put_when_ready(row, settled, also))
        self._waiting.add(task)
        task.add_done_callback(self._waiting.discard)

    async def _put_when_ready(
        self, row: StoredResponse, settled: Settled, also: Sequence[Begin[object]]
    ) -> None:
        try:
            await self._content.ready(row.project)
        except RemoteError as error:
            if not self._content.knows(row.project):
                settled(error)
                return
        self.inner.put(self._shut(row), settled, also)

    async def save(self, row: StoredResponse) -> None:
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.put(row, partial(_settle, done))
        await done

    async def load(self, project: str, response_id: str) -> StoredResponse | None:
        row = await self.inner.load(project, response_id)
        return None if row is None else await self._opened(row)

    async def load_object(self, project: str, response_id: str) -> tuple[bytes, bytes] | None:
        found = await self.inner.load_object(project, response_id)
        if found is None:
            return None
        await self._content.ready(project, writing=False)
        head, output = found
        return self._content.open(project, head), self._content.open(project, output)

    async def history(self, project: str, response_id: str) -> Sequence[Past] | None:
        found = await self.inner.history(project, response_id)
        if found is None:
            return None
        await self._content.ready(project, writing=False)
        opened = self._content.open
        return [
            Past(
                one.response_id,
                one.deleted,
                opened(project, one.input),
                opened(project, one.output),
            )
            for one in found
        ]

    async def context(self, project: str, response_id: str) -> Sequence[bytes] | None:
        found = await self.inner.context(project, response_id)
        if found is None:
            return None
        await self._content.ready(project, writing=False)
        return [self._content.open(project, part) for items in found for part in pieces(items)]

    async def alive(self, project: str, response_id: str) -> bool:
        return await self.inner.alive(project, response_id)

    async def delete(self, project: str, response_id: str) -> bool:
        return await self.inner.delete(project, response_id)

    async def sweep(self, now: int, limit: int = 500) -> int:
        return await self.inner.sweep(now, limit)

    async def read(self, work: Begin[T]) -> T:
        return await self.inner.read(work)

    async def change(self, work: Begin[T]) -> T:
        return await self.inner.change(work)

    def _shut(self, row: StoredResponse) -> StoredResponse:
        project, shut = row.project, self._content.shut
        return msgspec.structs.replace(
            row,
            head=shut(project, row.head),
            input=shut(project, row.input),
            output=shut(project, row.output),
            cuts=None if row.cuts is None else shut(project, row.cuts),
        )

    async def _opened(self, row: StoredResponse) -> StoredResponse:
        project = row.project
        await self._content.ready(project, writing=False)
        opened = self._content.open
        row.head = opened(project, row.head)
        row.input = opened(project, row.input)
        row.output = opened(project, row.output)
        row.cuts = None if row.cuts is None else opened(project, row.cuts)
        return row


def _settle(done: asyncio.Future[None], error: Exception | None) -> None:
    if done.done():
        return
    if error is None:
        done.set_result(None)
    else:
        done.set_exception(error)
