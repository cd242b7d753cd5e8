"""The shared suite of conversations, on SQLite and PostgreSQL."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import pytest

from antiphon.app import store_of
from antiphon.backends.scripted import Scripted
from antiphon.config import RunSettings, StoreSettings
from antiphon.ids import Ids
from antiphon.runs.driver import Runs
from antiphon.store.base import Store
from antiphon.store.content import SHUT
from antiphon.store.work import Work
from antiphon.types.codec import decode_create
from antiphon.types.resources import CreateConversation, CreateItems, UpdateConversation
from tests.suites.conversations import *  # noqa: F403 - the tests

pytestmark = pytest.mark.anyio


@pytest.fixture
async def database(store_settings: StoreSettings) -> AsyncIterator[Store]:
    store = store_of(store_settings)
    await store.open()
    yield store
    await store.close()


class Turned:
    """Content written backwards: enough to see that nothing passes it by."""

    async def ready(self, project: str, *, writing: bool = True) -> None:
        await asyncio.sleep(0)

    def shut(self, project: str, content: bytes) -> bytes:
        return SHUT + content[::-1]

    def open(self, project: str, content: bytes) -> bytes:
        assert content.startswith(SHUT)
        return content[:0:-1]


@pytest.mark.requirement("conversations:at_rest")
async def test_what_is_said_is_shut_on_its_way_in_and_opened_on_its_way_out(
    database: Store,
) -> None:
    runs = Runs(
        backend=Scripted(),
        store=database,
        ids=Ids(),
        settings=RunSettings(),
        retention_ms=None,
        content=Turned(),
    )
    item = {"type": "message", "id": "msg_1", "role": "user", "content": "secret words"}
    asked = CreateConversation(items=[item], metadata={"a": "secret"})
    id = json.loads(await runs.threads.create("ours", asked))["id"]
    add = CreateItems(items=[{**item, "id": "msg_2"}])
    await runs.threads.add("ours", id, add, frozenset())
    body = decode_create(
        json.dumps({"model": "scripted/echo", "input": "secret", "conversation": id}).encode()
    )
    assert (await (await runs.create(body, project="ours")).finish()).status == "completed"
    runs.memory.forget_conversation("ours", id)
    assert (await (await runs.create(body, project="ours")).finish()).status == "completed"
    rows = await database.read(_everything)
    assert len(rows) == 7 and not [row for row in rows if b"secret" in row]
    shown = [
        await runs.threads.retrieve("ours", id),
        await runs.threads.update("ours", id, UpdateConversation(metadata={"b": "secret"})),
        await runs.threads.item("ours", id, "msg_1", frozenset()),
        await runs.threads.page(
            "ours", id, after=None, limit=9, newest_first=False, include=frozenset()
        ),
        await runs.threads.delete_item("ours", id, "msg_1"),
    ]
    assert all(b"secret" in one for one in shown)
    found = await runs.holding.kept.find_item("ours", "msg_2")
    assert found is not None and b"secret words" in found
    await runs.close()


def _everything() -> Work[list[bytes]]:
    items = yield "SELECT item FROM conversation_items", ()
    metadata = yield "SELECT metadata FROM conversations", ()
    return [bytes(row[0]) for row in (*items, *metadata)]
