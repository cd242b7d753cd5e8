"""What every store must do. A test file imports these tests and says what ``harness`` is.

    from tests.suites.store import *

    @pytest.fixture
    def harness() -> Iterator[Harness]: ...

``tests/suites/store_machine.py`` adds random sequences compared with an oracle.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Protocol

import msgspec
import pytest

from antiphon.errors import RemoteError
from antiphon.store import sql
from antiphon.store.base import Past, Store, StoredResponse
from antiphon.store.work import Work

HOUR_MS = 3_600_000
GRACE_AT_MOST_MS = 24 * HOUR_MS
START_MS = 1_800_000_000_000


class Clock:
    """Milliseconds that pass only when told to."""

    def __init__(self) -> None:
        self.now = START_MS

    def __call__(self) -> int:
        return self.now


class Harness(Protocol):
    """A fresh database, and a look behind it. ``statements``: the texts executed so far;
    ``clock``: what the stores of this harness read; ``keeps``: it outlives ``close``."""

    clock: Clock
    statements: list[str]
    keeps: bool

    def create(self) -> Store:
        """A store on this database, not open yet; one is open at a time."""

    def leftovers(self) -> int:
        """How many rows are in the tables of the open store (but migrations and the like)."""

    def count(self, statement: str) -> int:
        """The one number a query of the open store's database gives."""


@asynccontextmanager
async def opened(harness: Harness) -> AsyncIterator[Store]:
    store = harness.create()
    await store.open()
    try:
        yield store
    finally:
        await store.close()


@asynccontextmanager
async def told_to_the_loop() -> AsyncIterator[list[BaseException]]:
    """What callbacks raise meanwhile."""
    raised: list[BaseException] = []
    loop = asyncio.get_running_loop()
    before = loop.get_exception_handler()
    loop.set_exception_handler(lambda _, context: raised.append(context["exception"]))
    try:
        yield raised
    finally:
        loop.set_exception_handler(before)


def turn(id: str, parent: str | None = None, **changes: object) -> StoredResponse:
    """A row whose items tell which response they belong to."""
    row = StoredResponse(
        id=id,
        project="ours",
        parent=parent,
        created_at=START_MS,
        expires_at=None,
        status="completed",
        head=b'{"id":"%s"}' % id.encode(),
        input=b'["ask %s"]' % id.encode(),
        output=b'["say %s"]' % id.encode(),
    )
    return msgspec.structs.replace(row, **changes)


def past(id: str, deleted: bool = False) -> Past:
    return Past(id, deleted, b'["ask %s"]' % id.encode(), b'["say %s"]' % id.encode())


def blank(id: str) -> Past:
    return Past(id, True, b"[]", b"[]")


async def save_chain(store: Store, count: int, prefix: str = "r") -> list[str]:
    ids: list[str] = []
    for index in range(count):
        id = f"{prefix}{index:05}"
        await store.save(turn(id, ids[-1] if ids else None))
        ids.append(id)
    return ids


def ids_of(history: Sequence[Past] | None) -> list[str]:
    assert history is not None
    return [one.response_id for one in history]


def joined(pieces: Sequence[bytes] | None) -> list[Any]:
    """The items of several JSON arrays."""
    assert pieces is not None
    return [item for piece in pieces for item in msgspec.json.decode(piece)]


def told(history: Sequence[Past] | None) -> list[Any]:
    """The items of a history, in order."""
    assert history is not None
    return joined([array for one in history for array in (one.input, one.output)])


# --- saving and loading -------------------------------------------------------------------------


@pytest.mark.requirement("store:save:round-trip")
async def test_what_is_saved_is_loaded_as_it_was(harness: Harness) -> None:
    rows = [
        turn("plain"),
        turn("streamed", cuts=b"\x00\xff cuts", status="incomplete"),
        turn("child", "plain", expires_at=START_MS + 5, created_at=START_MS - 1),
        turn("odd'\"; DROP TABLE responses; --", project="ünï \U0001f600"),
        turn("large", input=b"[" + b" " * 3_000_000 + b"]"),
        turn("empty", input=b"[]", output=b"[]", head=b"{}"),
    ]
    async with opened(harness) as store:
        for row in rows:
            await store.save(row)
        for row in rows:
            assert await store.load(row.project, row.id) == row
            assert await store.load_object(row.project, row.id) == (row.head, row.output)


@pytest.mark.requirement("store:save:reopen")
async def test_reopening_keeps_responses_histories_and_tombstones(harness: Harness) -> None:
    if not harness.keeps:
        pytest.skip("this database does not outlive its store")
    async with opened(harness) as store:
        ids = await save_chain(store, 5)
        await store.save(turn("fork", ids[1]))
        await store.delete("ours", ids[0])
    async with opened(harness) as store:
        assert await store.load("ours", ids[0]) is None
        assert await store.load("ours", ids[4]) == turn(ids[4], ids[3])
        assert await store.history("ours", "fork") == [
            past(ids[0], deleted=True),
            past(ids[1]),
            past("fork"),
        ]
        await store.save(turn("later", ids[4]))
        await store.save(turn("root"))
        assert ids_of(await store.history("ours", "later")) == [*ids, "later"]
        assert ids_of(await store.history("ours", "root")) == ["root"]


@pytest.mark.requirement("store:save:duplicate")
async def test_duplicates_among_200_concurrent_saves_fail_alone(harness: Harness) -> None:
    async with opened(harness) as store:
        await store.save(turn("taken", head=b'{"first":1}'))
        rows = [turn(f"r{index:03}") for index in range(190)]
        for index in range(0, 190, 19):
            rows.insert(index, turn("taken", head=b'{"second":1}'))
        results = await asyncio.gather(*map(store.save, rows), return_exceptions=True)
        for row, result in zip(rows, results, strict=True):
            if row.id == "taken":
                assert isinstance(result, RemoteError) and result.status == 500
                assert "taken" in result.message
            else:
                assert result is None
                assert await store.load("ours", row.id) == row
        first = await store.load("ours", "taken")
        assert first is not None and first.head == b'{"first":1}'


@pytest.mark.requirement("store:save:any-text")
async def test_text_a_database_lacks_is_refused_alone_or_kept_as_it_is(harness: Harness) -> None:
    async with opened(harness) as store:
        odd = [turn("nul\x00"), turn("half", project="\ud800"), turn("status", status="\x00")]
        rows = [turn("before"), *odd, turn("after"), turn("child", "after")]
        results = await asyncio.gather(*map(store.save, rows), return_exceptions=True)
        for row, result in zip(rows, results, strict=True):
            if row not in odd or result is None:
                assert await store.load(row.project, row.id) == row
            else:
                assert isinstance(result, RemoteError) and "does not fit" in result.message
                assert await store.load(row.project, row.id) is None
        assert results[1:4].count(None) < 3  # no database has the half of a character
        assert ids_of(await store.history("ours", "child")) == ["after", "child"]


@pytest.mark.requirement("store:save:any-text")
async def test_a_work_finds_nothing_under_text_no_row_can_have(harness: Harness) -> None:
    def find(id: str) -> Work[int]:
        rows = yield sql.LOAD_OBJECT, ("ours", id, START_MS)
        return len(rows)

    def write(id: str) -> Work[None]:
        yield sql.SAVE_FORK, (99, "ours", 1, 0, id)

    async with opened(harness) as store:
        await store.save(turn("there"))
        for run in (store.read, store.change):
            assert await run(partial(find, "there")) == 1
            for id in ("there\x00", "\ud800"):
                assert await run(partial(find, id)) == 0
        before = harness.leftovers()
        with pytest.raises(RemoteError, match="cannot be stored"):
            await store.change(partial(write, "\ud800"))
        assert harness.leftovers() == before


@pytest.mark.requirement("store:save:duplicate")
async def test_children_of_a_refused_row_still_join_the_row_that_has_the_id(
    harness: Harness,
) -> None:
    async with opened(harness) as store:
        await store.save(turn("root"))
        await store.save(turn("taken", "root"))
        rows = [turn("taken"), turn("a", "taken"), turn("b", "a"), turn("c", "taken")]
        results = await asyncio.gather(*map(store.save, rows), return_exceptions=True)
        assert [type(result) for result in results] == [RemoteError, *[type(None)] * 3]
        assert ids_of(await store.history("ours", "b")) == ["root", "taken", "a", "b"]
        assert ids_of(await store.history("ours", "c")) == ["root", "taken", "c"]


async def test_a_save_whose_caller_left_disturbs_nobody(harness: Harness) -> None:
    async with opened(harness) as store:
        leaving = asyncio.ensure_future(store.save(turn("left")))
        staying = asyncio.ensure_future(store.save(turn("stayed")))
        await asyncio.sleep(0)
        leaving.cancel()
        await staying
        assert leaving.cancelled()
        assert await store.load("ours", "stayed") is not None


# --- putting: saving without waiting ---


@pytest.mark.requirement("store:put:settled")
async def test_what_is_put_is_settled_later_once_and_in_order(harness: Harness) -> None:
    async with opened(harness) as store:
        await store.save(turn("taken"))
        settled: list[tuple[str, RemoteError | None]] = []
        over = asyncio.Event()

        def note(id: str, error: RemoteError | None) -> None:
            settled.append((id, error))
            if id == "first":  # inside a callback others can be put
                store.put(turn("nested", "first"), partial(note, "nested"))
            elif id == "nested":
                over.set()

        for id in ("first", "taken", "last"):
            store.put(turn(id), partial(note, id))
        assert settled == []
        await asyncio.wait_for(over.wait(), 5)
        assert [id for id, _ in settled] == ["first", "taken", "last", "nested"]
        refused = {id: error.message for id, error in settled if error is not None}
        assert list(refused) == ["taken"] and "'taken'" in refused["taken"]
        assert await store.history("ours", "nested") == [past("first"), past("nested")]


@pytest.mark.requirement("store:put:settled")
async def test_a_callback_that_raises_keeps_nobody_else_waiting(harness: Harness) -> None:

    def fail(error: RemoteError | None) -> None:
        raise ZeroDivisionError

    async with told_to_the_loop() as raised, opened(harness) as store:
        for index in range(3):
            store.put(turn(f"r{index}"), fail)
            await asyncio.wait_for(store.save(turn(f"s{index}")), 5)
        store.put(turn("last"), fail)
    assert [type(one) for one in raised] == [ZeroDivisionError] * 4


@pytest.mark.requirement("store:put:settled")
async def test_a_closed_store_refuses_what_is_put_without_raising(harness: Harness) -> None:
    store = harness.create()
    outcomes: list[RemoteError | None] = []
    store.put(turn("early"), outcomes.append)
    await store.open()
    store.put(turn("queued"), outcomes.append)
    await store.close()
    store.put(turn("late"), outcomes.append)
    assert len(outcomes) == 2
    await asyncio.sleep(0)
    early, queued, late = outcomes
    assert early is not None and "not open" in early.message
    assert queued is None
    assert late is not None and "closed" in late.message


async def test_a_local_store_answers_without_being_waited_for(harness: Harness) -> None:
    async with opened(harness) as store:
        if not store.local:
            pytest.skip("this store is not local")
        ids = await save_chain(store, 3)
        for reading in (store.load, store.load_object, store.history, store.context):
            for id in (ids[2], "missing"):
                with pytest.raises(StopIteration) as ended:
                    reading("ours", id).send(None)
                assert (ended.value.value is None) == (id == "missing")


async def test_closing_finishes_the_queued_saves_and_refuses_new_ones(harness: Harness) -> None:
    store = harness.create()
    with pytest.raises(RemoteError, match="not open"):
        await store.save(turn("early"))
    await store.open()
    saves = [asyncio.ensure_future(store.save(turn(f"r{index}"))) for index in range(20)]
    await asyncio.sleep(0)
    await store.close()
    assert await asyncio.gather(*saves) == [None] * 20
    for refused in (store.save(turn("late")), store.load("ours", "r1"), store.ping()):
        with pytest.raises(RemoteError, match="closed"):
            await refused
    await store.close()


@pytest.mark.requirement("store:life:readiness")
async def test_ping_writes_without_leaving_a_trace(harness: Harness) -> None:
    async with opened(harness) as store:
        before = harness.leftovers()
        harness.statements.clear()
        await store.ping()
        assert any("UPDATE" in statement for statement in harness.statements)
        assert harness.leftovers() == before


# --- tenants ------------------------------------------------------------------------------------


@pytest.mark.requirement("store:tenant:isolation")
async def test_another_projects_ids_behave_like_missing_ones(harness: Harness) -> None:
    async with opened(harness) as store:
        await store.save(turn("secret"))
        await store.save(turn("child", "secret"))
        for project in ("theirs", "", "OURS", "ours "):
            for id in ("secret", "child", "nonsense", "", "secret\x00", "\ud800"):
                assert await store.load(project, id) is None
                assert await store.load_object(project, id) is None
                assert await store.history(project, id) is None
                assert await store.context(project, id) is None
                assert not await store.alive(project, id)
                assert await store.delete(project, id) is False
        assert ids_of(await store.history("ours", "child")) == ["secret", "child"]
        assert await store.alive("ours", "secret")
        await store.delete("ours", "secret")
        assert not await store.alive("ours", "secret")
        assert await store.alive("ours", "child")


@pytest.mark.requirement("store:tenant:isolation")
async def test_a_foreign_parent_is_no_parent_and_the_same_id_may_exist_twice(
    harness: Harness,
) -> None:
    async with opened(harness) as store:
        await store.save(turn("same"))
        await store.save(turn("same", project="theirs", input=b'["theirs"]'))
        await store.save(turn("child", "same", project="theirs"))
        await store.save(turn("thief", "child"))
        theirs = await store.history("theirs", "child")
        assert ids_of(theirs) == ["same", "child"]
        assert theirs is not None and theirs[0].input == b'["theirs"]'
        assert await store.history("ours", "thief") == [past("thief")]
        assert await store.delete("theirs", "same")
        assert await store.load("ours", "same") == turn("same")


# --- histories ----------------------------------------------------------------------------------


@pytest.mark.requirement("store:history:branches")
async def test_siblings_see_their_ancestors_and_never_each_other(harness: Harness) -> None:
    async with opened(harness) as store:
        ids = await save_chain(store, 3)
        await store.save(turn("x", ids[1]))
        await store.save(turn("x2", "x"))
        await store.save(turn("y", ids[1]))
        await store.save(turn("z", "x"))
        await store.save(turn("z2", "z"))
        expected = {
            ids[2]: [*ids],
            "x2": [*ids[:2], "x", "x2"],
            "y": [*ids[:2], "y"],
            "z2": [*ids[:2], "x", "z", "z2"],
            ids[0]: [ids[0]],
        }
        for id, way in expected.items():
            assert await store.history("ours", id) == [past(one) for one in way]


@pytest.mark.requirement("store:history:branches")
async def test_children_of_one_parent_saved_together_all_join_it(harness: Harness) -> None:
    async with opened(harness) as store:
        await store.save(turn("root"))
        children = [turn(f"c{index}", "root") for index in range(5)]
        grandchildren = [turn(f"g{index}", f"c{index}") for index in range(5)]
        await asyncio.gather(*map(store.save, [*children, *grandchildren]))
        for index in range(5):
            way = ["root", f"c{index}", f"g{index}"]
            assert ids_of(await store.history("ours", f"g{index}")) == way


@pytest.mark.requirement("store:history:two-queries")
async def test_a_history_of_1000_turns_costs_two_queries(harness: Harness) -> None:
    async with opened(harness) as store:
        ids = [f"r{index:05}" for index in range(1_000)]
        parents = [None, *ids[:-1]]
        await asyncio.gather(*map(store.save, map(turn, ids, parents)))
        harness.statements.clear()
        history = await store.history("ours", ids[-1])
        assert len(harness.statements) <= 2
        assert history == [past(id) for id in ids]
        harness.statements.clear()
        context = await store.context("ours", ids[-1])
        assert len(harness.statements) <= 2
        assert joined(context) == told(history)
        assert context is not None and len(context) < 100


@pytest.mark.requirement("store:history:two-queries")
async def test_a_history_with_a_fork_at_every_turn_costs_two_queries(harness: Harness) -> None:
    async with opened(harness) as store:
        way: list[str] = []
        for index in range(60):
            parent = way[-1] if way else None
            for kind in "abc":  # the last of three siblings goes on
                await store.save(turn(f"{kind}{index}", parent))
            way.append(f"c{index}")
        harness.statements.clear()
        history = await store.history("ours", way[-1])
        assert len(harness.statements) <= 2
        assert history == [past(id) for id in way]
        harness.statements.clear()
        context = await store.context("ours", way[-1])
        assert len(harness.statements) <= 2
        assert joined(context) == told(history)


# --- deleting -----------------------------------------------------------------------------------


@pytest.mark.requirement("store:delete:tombstone")
async def test_a_deleted_response_is_gone_at_once_and_its_id_stays_taken(harness: Harness) -> None:
    async with opened(harness) as store:
        await store.save(turn("a"))
        assert await store.delete("ours", "a") is True
        assert await store.load("ours", "a") is None
        assert await store.load_object("ours", "a") is None
        assert await store.history("ours", "a") is None
        assert await store.context("ours", "a") is None
        assert await store.delete("ours", "a") is False
        with pytest.raises(RemoteError):
            await store.save(turn("a"))


@pytest.mark.requirement("store:delete:tombstone")
async def test_two_deletions_at_once_have_one_winner(harness: Harness) -> None:
    async with opened(harness) as store:
        await store.save(turn("a"))
        results = await asyncio.gather(*(store.delete("ours", "a") for _ in range(5)))
        assert sorted(results) == [False] * 4 + [True]


@pytest.mark.requirement("store:delete:descendants")
async def test_descendants_keep_a_deleted_ancestors_items_as_deleted(harness: Harness) -> None:
    async with opened(harness) as store:
        ids = await save_chain(store, 3)
        await store.save(turn("fork", ids[0]))
        assert await store.delete("ours", ids[0])
        await store.sweep(harness.clock.now)
        rest = [past(ids[1]), past(ids[2])]
        assert await store.history("ours", ids[2]) == [past(ids[0], deleted=True), *rest]
        assert await store.history("ours", "fork") == [past(ids[0], deleted=True), past("fork")]
        child = await store.load("ours", ids[1])
        assert child == turn(ids[1], ids[0])


@pytest.mark.requirement("store:history:dead-parent")
async def test_a_child_joins_a_parent_deleted_while_it_ran(harness: Harness) -> None:
    async with opened(harness) as store:
        ids = await save_chain(store, 2)
        await store.delete("ours", ids[1])
        harness.clock.now += HOUR_MS - 1
        await store.sweep(harness.clock.now)
        await store.save(turn("late", ids[1]))
        await store.save(turn("later", ids[1]))
        for id in ("late", "later"):
            history = await store.history("ours", id)
            assert ids_of(history) == [*ids, id]
            assert history is not None and history[1].deleted


@pytest.mark.requirement("store:history:dead-parent")
async def test_a_child_joins_a_parent_expired_while_it_ran_with_its_items(
    harness: Harness,
) -> None:
    async with opened(harness) as store:
        await store.save(turn("root", expires_at=START_MS + 10))
        harness.clock.now += 10
        assert await store.sweep(harness.clock.now) == 1
        await store.save(turn("child", "root"))
        for _ in range(5):
            assert await store.history("ours", "child") == [
                past("root", deleted=True),
                past("child"),
            ]
            harness.clock.now += GRACE_AT_MOST_MS
            assert await store.sweep(harness.clock.now) == 0


async def test_a_child_of_an_unknown_parent_begins_a_history(harness: Harness) -> None:
    async with opened(harness) as store:
        await store.save(turn("orphan", "never saved"))
        await store.save(turn("child", "orphan"))
        assert await store.history("ours", "child") == [past("orphan"), past("child")]


@pytest.mark.requirement("store:delete:erased")
async def test_what_nobody_needs_any_more_is_erased_from_the_leaves_up(harness: Harness) -> None:
    async with opened(harness) as store:
        empty = harness.leftovers()
        ids = await save_chain(store, 4)
        await store.save(turn("fork", ids[1]))
        await store.save(turn("other"))
        for id in (ids[0], ids[1], ids[3], "fork"):
            assert await store.delete("ours", id)
        for _ in range(4):
            harness.clock.now += GRACE_AT_MOST_MS
            await store.sweep(harness.clock.now)
        # ids[2] still descends from the first two
        kept = [past(ids[0], deleted=True), past(ids[1], deleted=True), past(ids[2])]
        assert await store.history("ours", ids[2]) == kept
        assert harness.leftovers() == empty + 4
        assert await store.delete("ours", ids[2])
        for _ in range(4):
            harness.clock.now += GRACE_AT_MOST_MS
            await store.sweep(harness.clock.now)
        assert harness.leftovers() == empty + 1
        assert await store.load("ours", "other") == turn("other")


@pytest.mark.requirement("store:delete:erased")
async def test_a_parent_is_erased_after_the_last_of_its_forks(harness: Harness) -> None:
    async with opened(harness) as store:
        empty = harness.leftovers()
        ids = await save_chain(store, 2)
        await store.save(turn("fork", ids[0]))
        for id in (ids[1], ids[0], "fork"):
            assert await store.delete("ours", id)
            for _ in range(4):
                harness.clock.now += GRACE_AT_MOST_MS
                await store.sweep(harness.clock.now)
        assert harness.leftovers() == empty


@pytest.mark.requirement("store:history:dead-parent")
async def test_a_tombstone_stays_while_a_blank_child_may_still_be_joined(harness: Harness) -> None:
    async with opened(harness) as store:
        await store.save(turn("root"))
        await store.delete("ours", "root")
        harness.clock.now += HOUR_MS - 1
        await store.save(turn("child", "root"))
        await store.delete("ours", "child")
        for _ in range(3):
            harness.clock.now += HOUR_MS // 4
            await store.sweep(harness.clock.now)
        await store.save(turn("late", "child"))
        assert ids_of(await store.history("ours", "late")) == ["root", "child", "late"]


@pytest.mark.requirement("store:delete:erased")
async def test_a_long_deleted_conversation_is_erased_within_the_limit_of_each_sweep(
    harness: Harness,
) -> None:
    async with opened(harness) as store:
        empty = harness.leftovers()
        ids = await save_chain(store, 70)
        for id in ids:  # the worst order: every one but the last is still needed when it goes
            assert await store.delete("ours", id)
        sweeps = 0
        while harness.leftovers() > empty:
            harness.clock.now += GRACE_AT_MOST_MS
            harness.statements.clear()
            await store.sweep(harness.clock.now, 10)
            erased = [one for one in harness.statements if "DELETE FROM responses" in one]
            assert len(erased) <= 10
            sweeps += 1
            assert sweeps < 100


# --- expiry -------------------------------------------------------------------------------------


@pytest.mark.requirement("store:expiry:invisible")
async def test_an_expired_response_is_missing_before_any_sweep(harness: Harness) -> None:
    async with opened(harness) as store:
        await store.save(turn("short", expires_at=START_MS + 10))
        await store.save(turn("child", "short"))
        harness.clock.now = START_MS + 9
        assert await store.load("ours", "short") is not None
        harness.clock.now = START_MS + 10
        assert await store.load("ours", "short") is None
        assert await store.load_object("ours", "short") is None
        assert await store.history("ours", "short") is None
        assert await store.context("ours", "short") is None
        assert await store.delete("ours", "short") is False
        expected = [past("short", deleted=True), past("child")]
        assert await store.history("ours", "child") == expected


@pytest.mark.requirement("store:expiry:sweep")
async def test_a_sweep_counts_each_expired_response_once_and_obeys_its_limit(
    harness: Harness,
) -> None:
    async with opened(harness) as store:
        empty = harness.leftovers()
        rows = [turn(f"r{index:03}", expires_at=START_MS + 1 + index) for index in range(100)]
        await asyncio.gather(*map(store.save, [*rows, turn("stays")]))
        harness.clock.now = START_MS + 90
        counts = [await store.sweep(harness.clock.now, 40) for _ in range(4)]
        assert counts == [40, 40, 10, 0]
        assert await store.load("ours", "r089") is None
        assert await store.load("ours", "r090") is not None
        for _ in range(4):
            harness.clock.now += GRACE_AT_MOST_MS
            await store.sweep(harness.clock.now)
        assert harness.leftovers() == empty + 1
        assert await store.load("ours", "stays") == turn("stays")
