"""Runs over the scripted model and SQLite in memory: real parts, no sockets."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import msgspec

from antiphon.backends.scripted import Scripted
from antiphon.config import RunSettings
from antiphon.ids import Ids
from antiphon.observe import Broke, Observation
from antiphon.runs import stored
from antiphon.runs.driver import Runs
from antiphon.runs.listener import Listener
from antiphon.sealing.aes import Sealer
from antiphon.store.sqlite import SqliteStore
from antiphon.types.codec import decode_create
from antiphon.types.events import Event
from antiphon.types.response import Response

PROJECT = "proj_a"


class Rig:
    """One server's run layer. ``seen`` are its observations; a crash of ours fails the test."""

    def __init__(self, **settings: Any) -> None:
        self.seen: list[Observation] = []
        self.store = SqliteStore(":memory:")
        self.runs = Runs(
            backend=Scripted(),
            store=self.store,
            ids=Ids(),
            settings=RunSettings(**settings),
            retention_ms=86_400_000,
            seals=Sealer(lambda: (b"0123456789abcdef" * 2,)),
            observe=self._observe,
        )

    def _observe(self, observation: Observation) -> None:
        self.seen.append(observation)
        if isinstance(observation, Broke) and observation.where == "run":
            raise observation.error

    async def start(self, model: str = "echo", project: str = PROJECT, **body: Any) -> Listener:
        asked = {"model": f"scripted/{model}", "input": "hello big world", **body}
        return await self.runs.create(decode_create(msgspec.json.encode(asked)), project=project)

    async def create(self, model: str = "echo", project: str = PROJECT, **body: Any) -> Response:
        return await (await self.start(model, project, **body)).finish()

    async def stream(self, model: str = "echo", **body: Any) -> list[Event]:
        live = await self.start(model, stream=True, **body)
        return [event async for group in live.groups() for event in group]

    async def delete(self, response_id: str, project: str = PROJECT) -> None:
        await stored.delete(self.store, project, response_id)
        self.runs.memory.forget(project, response_id)

    async def retrieve(self, response_id: str, project: str = PROJECT) -> dict[str, Any]:
        found = await stored.retrieve(self.runs, project, response_id)
        decoded: dict[str, Any] = msgspec.json.decode(found)
        return decoded

    async def replay(self, response_id: str, starting_after: int = -1) -> Sequence[Event]:
        return await stored.replay(self.store, PROJECT, response_id, starting_after=starting_after)

    async def items(
        self, response_id: str, project: str = PROJECT, include: str = ""
    ) -> list[dict[str, Any]]:
        page = await stored.input_items(
            self.runs,
            project,
            response_id,
            after=None,
            limit=100,
            order="asc",
            include=frozenset({include}),
        )
        data: list[dict[str, Any]] = msgspec.json.decode(page)["data"]
        return data


@asynccontextmanager
async def rig(change: Callable[[Rig], None] | None = None, **settings: Any) -> AsyncIterator[Rig]:
    """A rig with its store open. ``change`` alters it before it opens."""
    made = Rig(**settings)
    if change is not None:
        change(made)
    await made.store.open()
    try:
        yield made
    finally:
        await made.runs.close()
        await made.store.close()


def text_of(response: Response) -> str:
    """What the SDK calls ``output_text``."""
    return "".join(
        part.text
        for item in response.output
        if hasattr(item, "role")
        for part in item.content  # type: ignore[union-attr]
        if hasattr(part, "text")
    )
