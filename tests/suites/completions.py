"""What stored chat completions must do, on any database.

A test file imports these tests and says what ``store`` is: an open store.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import msgspec
import pytest

from antiphon.store.base import Store
from antiphon.store.completions import STEP_ROWS, Completions, StoredCompletion, Wanted

NOW = 1_800_000_000_000


def completion(number: int, **changes: Any) -> StoredCompletion:
    fields: dict[str, Any] = {
        "id": f"chatcmpl-{number:04d}",
        "project": "ours",
        "created_at": NOW + number // 2,  # two share a millisecond
        "expires_at": None,
        "model": "m",
        "metadata": {},
        "object": b'{"n":%d}' % number,
        "messages": b'[{"id":"a"}]',
    }
    return StoredCompletion(**(fields | changes))


async def keep(store: Store, *rows: StoredCompletion) -> None:
    for row in rows:
        await store.change(Completions(store).saving(row))


async def ids(store: Store, project: str = "ours", now: int = NOW, **wanted: Any) -> list[str]:
    found = await Completions(store).page(project, Wanted(**wanted), now)
    assert found is not None
    return [row.id for row in found[0]]


@pytest.mark.requirement("completions:store:whole")
async def test_a_completion_comes_back_as_it_was_saved(store: Store) -> None:
    row = completion(1, metadata={"colour": "blue", "": "\0 and ü"}, expires_at=NOW + 5)
    await keep(store, row)
    completions = Completions(store)
    assert await completions.load("ours", row.id, NOW) == row
    assert await completions.load("ours", "chatcmpl-0002", NOW) is None
    assert await ids(store, metadata={"": "\0 and ü"}) == [row.id]


@pytest.mark.requirement("completions:tenants")
async def test_another_projects_completion_is_like_a_missing_one(store: Store) -> None:
    row = completion(1, metadata={"a": "b"})
    await keep(store, row)
    completions = Completions(store)
    assert await completions.load("theirs", row.id, NOW) is None
    assert await completions.set_metadata("theirs", row.id, {}, NOW) is None
    assert await completions.delete("theirs", row.id, NOW) is False
    assert await completions.page("theirs", Wanted(after=row.id), NOW) is None
    assert await ids(store, "theirs") == []
    assert await ids(store, "theirs", metadata={"a": "b"}) == []
    assert await completions.load("ours", row.id, NOW) == row


@pytest.mark.requirement("completions:list:pages")
@pytest.mark.parametrize("descending", [False, True])
async def test_pages_show_every_completion_once_and_in_order(
    store: Store, descending: bool
) -> None:
    rows = [completion(number) for number in range(7)]
    await keep(store, *rows)
    expected = [row.id for row in rows][:: -1 if descending else 1]
    seen: list[str] = []
    more = True
    while more:
        after = seen[-1] if seen else None
        wanted = Wanted(limit=3, descending=descending, after=after)
        found = await Completions(store).page("ours", wanted, NOW)
        assert found is not None
        seen += [row.id for row in found[0]]
        more = found[1]
    assert seen == expected
    assert await Completions(store).page("ours", Wanted(after="chatcmpl-9999"), NOW) is None


@pytest.mark.requirement("completions:list:filters")
async def test_a_list_holds_what_has_the_model_and_all_pairs_of_metadata(store: Store) -> None:
    def tagged(number: int, model: str, metadata: Mapping[str, str]) -> StoredCompletion:
        return completion(number, model=model, metadata=dict(metadata))

    await keep(
        store,
        tagged(0, "m", {"a": "1", "b": "1"}),
        tagged(1, "m", {"a": "1", "b": "2"}),
        tagged(2, "n", {"a": "1", "b": "1"}),
        tagged(3, "n", {}),
    )
    assert await ids(store, model="n") == ["chatcmpl-0002", "chatcmpl-0003"]
    assert await ids(store, model="n", descending=True) == ["chatcmpl-0003", "chatcmpl-0002"]
    assert await ids(store, metadata={"a": "1"}, limit=2) == ["chatcmpl-0000", "chatcmpl-0001"]
    assert await ids(store, metadata={"a": "1", "b": "1"}) == ["chatcmpl-0000", "chatcmpl-0002"]
    both = {"a": "1", "b": "1"}
    assert await ids(store, metadata=both, model="n", descending=True) == ["chatcmpl-0002"]
    assert await ids(store, metadata={"a": "2"}) == []
    assert await ids(store, model="") == []


@pytest.mark.requirement("completions:list:filters")
async def test_a_rare_completion_is_found_behind_many_others(store: Store) -> None:
    many = [completion(number, metadata={"a": "1"}) for number in range(STEP_ROWS + 1)]
    rare = completion(STEP_ROWS + 1, metadata={"a": "1", "b": "1"})
    await keep(store, *many, rare)
    wanted = Wanted(metadata={"a": "1", "b": "1"}, limit=1)
    found = await Completions(store).page("ours", wanted, NOW)
    assert found is not None
    assert ([row.id for row in found[0]], found[1]) == ([rare.id], False)


@pytest.mark.requirement("completions:update")
async def test_new_metadata_replaces_the_old_everywhere(store: Store) -> None:
    await keep(store, completion(1, metadata={"a": "1", "b": "2"}))
    completions = Completions(store)
    changed = await completions.set_metadata("ours", "chatcmpl-0001", {"a": "3"}, NOW)
    assert changed is not None and changed.metadata == {"a": "3"}
    assert await completions.load("ours", "chatcmpl-0001", NOW) == changed
    assert await ids(store, metadata={"a": "1"}) == await ids(store, metadata={"b": "2"}) == []
    assert await ids(store, metadata={"a": "3"}) == ["chatcmpl-0001"]


@pytest.mark.requirement("completions:delete")
async def test_a_deleted_completion_leaves_nothing(store: Store) -> None:
    await keep(store, completion(1, metadata={"a": "1"}), completion(2))
    completions = Completions(store)
    assert await completions.delete("ours", "chatcmpl-0001", NOW) is True
    assert await completions.delete("ours", "chatcmpl-0001", NOW) is False
    assert await ids(store) == ["chatcmpl-0002"]
    assert await ids(store, metadata={"a": "1"}) == []
    await keep(store, completion(1, metadata={"a": "1"}))  # no pair was left that is in its way


@pytest.mark.requirement("completions:retention")
async def test_what_expired_is_missing_at_once_and_erased_by_the_sweeper(store: Store) -> None:
    rows = [completion(n, expires_at=NOW + n, metadata={"a": "1"}) for n in range(1, 6)]
    await keep(store, *rows, completion(9, metadata={"a": "1"}))
    completions = Completions(store)
    later = NOW + 4
    assert await completions.load("ours", "chatcmpl-0004", later) is None
    assert await completions.set_metadata("ours", "chatcmpl-0004", {}, later) is None
    assert await completions.delete("ours", "chatcmpl-0004", later) is False
    assert await ids(store, now=later) == ["chatcmpl-0005", "chatcmpl-0009"]
    assert await ids(store, now=later, metadata={"a": "1"}) == ["chatcmpl-0005", "chatcmpl-0009"]
    assert [await completions.sweep(later, 3) for _ in range(3)] == [3, 1, 0]
    assert await ids(store) == ["chatcmpl-0005", "chatcmpl-0009"]


@pytest.mark.requirement("completions:store:shut")
async def test_the_content_columns_are_shut_and_opened_again(store: Store) -> None:
    class Turned:
        """Content that is stored backwards."""

        async def ready(self, project: str, *, writing: bool = True) -> None:
            self.asked = project

        def shut(self, project: str, content: bytes) -> bytes:
            return content[::-1]

        def open(self, project: str, content: bytes) -> bytes:
            return content[::-1]

    row = completion(1, metadata={"a": "1"})
    shut = Completions(store, Turned())
    await shut.ready("ours")
    await store.change(shut.saving(row))
    plain = await Completions(store).load("ours", row.id, NOW)
    assert plain is not None and plain.object == row.object[::-1]
    assert await shut.load("ours", row.id, NOW) == row
    found = await shut.page("ours", Wanted(), NOW)
    assert found is not None and found[0] == [row]
    changed = msgspec.structs.replace(row, metadata={})
    assert await shut.set_metadata("ours", row.id, {}, NOW) == changed


@pytest.mark.requirement("completions:update")
async def test_changes_at_the_same_time_leave_the_pairs_of_the_last(store: Store) -> None:
    await keep(store, completion(1, metadata={"a": "1"}))
    completions = Completions(store)
    changes = [{"a": str(n), "b": "same"} for n in range(8)]
    await asyncio.gather(
        *(completions.set_metadata("ours", "chatcmpl-0001", one, NOW) for one in changes)
    )
    last = await completions.load("ours", "chatcmpl-0001", NOW)
    assert last is not None and last.metadata in changes
    for one in changes:
        expected = ["chatcmpl-0001"] if one == last.metadata else []
        assert await ids(store, metadata={"a": one["a"]}) == expected
    assert await ids(store, metadata={"b": "same"}) == ["chatcmpl-0001"]
