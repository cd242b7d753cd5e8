"""What conversations must do on every database. A test file imports these tests and says what
``database`` is: an open store, fresh for each test."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

import msgspec
import pytest

from antiphon.store import conversations as works
from antiphon.store.base import Store
from antiphon.store.conversations import (
    ERASED_AT_ONCE,
    FOR_EVER,
    LOCK_GRACE_MS,
    Conversations,
    Leaf,
    Mark,
    Reading,
    StoredConversation,
    StoredItem,
)
from antiphon.store.work import Fenced

NOW = 1_800_000_000_000
LEASE = 20_000


def item(id: str) -> StoredItem:
    return StoredItem(id, b'{"id":"%s"}' % id.encode())


def numbered(count: int, start: int = 0) -> list[StoredItem]:
    return [item(f"msg_{number:04}") for number in range(start, start + count)]


async def made(store: Store, count: int = 0, id: str = "conv_1", project: str = "ours") -> str:
    await Conversations(store).create(project, id, NOW, b"{}", numbered(count))
    return id


async def read(store: Store, id: str = "conv_1", known: Mark | None = None) -> Reading:
    found = await Conversations(store).items_since("ours", id, known)
    assert found is not None
    return found


async def ids(store: Store, id: str = "conv_1") -> list[str]:
    return [msgspec.json.decode(one)["id"] for one in (await read(store, id)).items]


async def enter(
    store: Store, holder: str, *, now: int = NOW, known: Mark | None = None, lease: int = LEASE
) -> Any:
    work = partial(works.enter, "ours", "conv_1", holder, now + lease, now, known)
    return await store.change(work)


async def finish(store: Store, holder: str, *items: StoredItem) -> bool:
    return await store.change(partial(works.finish, "ours", "conv_1", holder, items))


async def test_a_conversation_is_kept_as_it_was_made(database: Store) -> None:
    kept = Conversations(database)
    made = await kept.create("ours", "conv_1", NOW, b'{"a":"b"}', numbered(3))
    assert made == await kept.load("ours", "conv_1")
    assert made == StoredConversation(
        id="conv_1", created_at=NOW, metadata=b'{"a":"b"}', mark=Mark(0, 3)
    )
    assert await ids(database) == ["msg_0000", "msg_0001", "msg_0002"]
    changed = await kept.update("ours", "conv_1", b"{}")
    assert changed is not None and changed.metadata == b"{}" and changed.mark == made.mark


@pytest.mark.requirement("conversations:tenant")
async def test_another_projects_conversation_looks_missing(database: Store) -> None:
    kept = Conversations(database)
    id = await made(database, 2)
    assert await kept.load("theirs", id) is None
    assert await kept.update("theirs", id, b"{}") is None
    assert await kept.items_since("theirs", id, None) is None
    assert await kept.add("theirs", id, [item("x")], NOW) == "missing"
    assert await kept.page("theirs", id, after=None, limit=5, newest_first=True) == "missing"
    assert await kept.load_item("theirs", id, "msg_0000") == "missing"
    assert await kept.find_item("theirs", "msg_0000") is None
    assert await kept.delete_item("theirs", id, "msg_0000", NOW) == "missing"
    assert await kept.delete("theirs", id) is False
    entering = partial(works.enter, "theirs", id, "resp_1", NOW + LEASE, NOW, None)
    assert await database.change(entering) == "missing"
    # Nor does one of the same name in both get in the way of the other.
    await made(database, 1, project="theirs")
    assert await kept.delete("theirs", id) is True
    assert await ids(database) == ["msg_0000", "msg_0001"]


@pytest.mark.requirement("conversations:items:pages")
@pytest.mark.parametrize("newest_first", [True, False])
async def test_pages_meet_every_item_once(database: Store, newest_first: bool) -> None:
    kept = Conversations(database)
    id = await made(database, 20)
    await kept.add("ours", id, numbered(25, start=20), NOW)
    await kept.delete_item("ours", id, "msg_0007", NOW)
    met: list[str] = []
    more = True
    while more:
        after = met[-1] if met else None
        leaf = await kept.page("ours", id, after=after, limit=10, newest_first=newest_first)
        assert isinstance(leaf, Leaf)
        met += [one.id for one in leaf.items]
        more = leaf.more
    every = [one.id for one in numbered(45) if one.id != "msg_0007"]
    assert met == (every[::-1] if newest_first else every)
    unknown = await kept.page("ours", id, after="msg_0007", limit=5, newest_first=newest_first)
    assert unknown == "unknown"


async def test_an_item_is_found_and_erased(database: Store) -> None:
    kept = Conversations(database)
    id = await made(database, 3)
    assert await kept.load_item("ours", id, "msg_0001") == item("msg_0001").item
    assert await kept.find_item("ours", "msg_0001") == item("msg_0001").item
    assert await kept.delete_item("ours", id, "none", NOW) is None
    assert isinstance(await kept.delete_item("ours", id, "msg_0001", NOW), StoredConversation)
    assert await kept.load_item("ours", id, "msg_0001") is None
    assert await kept.find_item("ours", "msg_0001") is None
    assert await ids(database) == ["msg_0000", "msg_0002"]


@pytest.mark.requirement("conversations:cost")
async def test_who_knows_the_beginning_reads_the_rest(database: Store) -> None:
    kept = Conversations(database)
    id = await made(database, 3)
    first = await read(database)
    assert (await read(database, known=first.mark)).items == []
    await kept.add("ours", id, numbered(2, start=3), NOW)
    second = await read(database, known=first.mark)
    assert second.since == 3 and [*second.items] == [one.item for one in numbered(2, start=3)]
    await kept.delete_item("ours", id, "msg_0000", NOW)
    third = await read(database, known=second.mark)
    assert third.since == 0 and len(third.items) == 4


async def test_what_is_added_to_another_mark_is_not_added(database: Store) -> None:
    kept = Conversations(database)
    id = await made(database, 1)
    mark = (await read(database)).mark
    await kept.add("ours", id, [item("a")], NOW, expected=mark)
    assert await kept.add("ours", id, [item("b")], NOW, expected=mark) == "moved"
    assert await ids(database) == ["msg_0000", "a"]


@pytest.mark.requirement("conversations:locked")
async def test_one_response_at_a_time_holds_a_conversation(database: Store) -> None:
    kept = Conversations(database)
    id = await made(database, 1)
    assert isinstance(await enter(database, "resp_1"), Reading)
    assert await enter(database, "resp_2") == "locked"
    assert await kept.add("ours", id, [item("a")], NOW) == "locked"
    assert await kept.delete_item("ours", id, "msg_0000", NOW) == "locked"
    assert await finish(database, "resp_1", item("b"), item("c"))
    assert await ids(database) == ["msg_0000", "b", "c"]
    assert isinstance(await enter(database, "resp_2"), Reading)
    await database.change(partial(works.release, "ours", id, "resp_1"))  # not its own any more
    assert await enter(database, "resp_3") == "locked"
    await database.change(partial(works.release, "ours", id, "resp_2"))
    assert isinstance(await enter(database, "resp_3"), Reading)


@pytest.mark.requirement("conversations:locked")
async def test_many_who_enter_at_once_are_told_apart(database: Store) -> None:
    await made(database)
    entered = await asyncio.gather(*(enter(database, f"resp_{number}") for number in range(10)))
    assert sum(isinstance(one, Reading) for one in entered) == 1
    assert entered.count("locked") == 9


@pytest.mark.requirement("conversations:lease")
async def test_a_lock_nobody_renews_is_taken_over_and_its_holder_adds_nothing(
    database: Store,
) -> None:
    await made(database)
    await enter(database, "resp_dead")
    late = NOW + LEASE
    assert await enter(database, "resp_2", now=late - 1) == "locked"
    assert isinstance(await enter(database, "resp_2", now=late), Reading)
    with pytest.raises(Fenced):
        await finish(database, "resp_dead", item("a"))
    assert await finish(database, "resp_2", item("b"))
    assert await ids(database) == ["b"]
    with pytest.raises(Fenced):  # the same end twice adds nothing twice
        await finish(database, "resp_2", item("b"))


@pytest.mark.requirement("conversations:lease")
async def test_a_renewed_lock_holds_and_a_lasting_one_for_ever(database: Store) -> None:
    id = await made(database)
    await enter(database, "resp_1")
    await database.change(partial(works.renew, "ours", id, "resp_1", NOW + 2 * LEASE))
    await database.change(partial(works.renew, "ours", id, "resp_9", NOW + 9 * LEASE))
    assert await enter(database, "resp_2", now=NOW + LEASE) == "locked"
    await database.change(partial(works.renew, "ours", id, "resp_1", FOR_EVER))
    # Its own response enters again, in another process, and makes it no shorter.
    assert isinstance(await enter(database, "resp_1", now=NOW + 5 * LEASE), Reading)
    await Conversations(database).sweep(NOW + 10 * LOCK_GRACE_MS)
    assert await enter(database, "resp_2", now=NOW + 10 * LOCK_GRACE_MS) == "locked"
    assert await finish(database, "resp_1")
    assert isinstance(await enter(database, "resp_2"), Reading)


@pytest.mark.requirement("conversations:deleted_meanwhile")
async def test_the_end_of_a_response_adds_nothing_to_a_deleted_conversation(
    database: Store,
) -> None:
    id = await made(database, 2)
    await enter(database, "resp_1")
    assert await Conversations(database).delete("ours", id)
    assert await finish(database, "resp_1", item("a")) is False
    assert await enter(database, "resp_2") == "missing"
    assert await Conversations(database).find_item("ours", "msg_0000") is None


async def test_a_large_conversation_is_erased_and_a_broken_off_deletion_too(
    database: Store,
) -> None:
    kept = Conversations(database)
    id = await made(database)
    count = 2 * ERASED_AT_ONCE + 5
    await kept.add("ours", id, numbered(count), NOW)
    await database.change(partial(works.bury, "ours", id))  # and the process died
    assert await kept.load("ours", id) is None
    assert await kept.find_item("ours", "msg_0000") is None
    await kept.sweep(NOW)
    await made(database)  # nothing of it is left that could be in the way
    assert await ids(database) == []
    await kept.add("ours", id, numbered(count), NOW)
    assert await kept.delete("ours", id) and not await kept.delete("ours", id)
    await made(database, 1)


@pytest.mark.requirement("conversations:append")
async def test_what_a_response_adds_stands_together_in_its_order(database: Store) -> None:
    """Ten responses and ten callers at once: refused or added whole, never between others."""
    kept = Conversations(database)
    id = await made(database)

    async def respond(number: int) -> None:
        while not isinstance(await enter(database, f"resp_{number}"), Reading):  # noqa: ASYNC110
            await asyncio.sleep(0.001)
        group = [item(f"r{number}.{part}") for part in range(3)]
        assert await finish(database, f"resp_{number}", *group)

    async def post(number: int) -> None:
        group = [item(f"p{number}.{part}") for part in range(3)]
        while await kept.add("ours", id, group, NOW) == "locked":  # noqa: ASYNC110
            await asyncio.sleep(0.001)

    async with asyncio.timeout(30):
        await asyncio.gather(*map(respond, range(10)), *map(post, range(10)))
    found = await ids(database)
    assert len(found) == 60
    for at in range(0, 60, 3):
        name = found[at].partition(".")[0]
        assert found[at : at + 3] == [f"{name}.{part}" for part in range(3)]
