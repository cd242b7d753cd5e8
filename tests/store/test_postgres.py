"""The shared suite on a real PostgreSQL, and what only PostgreSQL can be asked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Iterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from random import Random
from typing import Any

import asyncpg
import pytest

from antiphon.errors import ClientError, RemoteError
from antiphon.observe import StoreCommitted
from antiphon.store import sql
from antiphon.store.migrate import migrations
from antiphon.store.postgres import PostgresStore
from antiphon.store.postgres_writes import BATCH_ROWS_MAX
from antiphon.store.work import Fenced, Work
from tests.store import postgres
from tests.store.postgres_harness import PostgresHarness, SeenStore
from tests.suites.store import *  # noqa: F403 - the tests
from tests.suites.store import (
    GRACE_AT_MOST_MS,
    HOUR_MS,
    START_MS,
    ids_of,
    joined,
    opened,
    past,
    save_chain,
    told,
    told_to_the_loop,
    turn,
)
from tests.suites.store_machine import machine_case

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["direct", "pooler"])
def harness(request: pytest.FixtureRequest) -> Iterator[PostgresHarness]:
    name = postgres.create_database()
    yield PostgresHarness(name, pooler=request.param == "pooler")
    postgres.drop_database(name)


_machine_databases: list[str] = []


def machine_harness() -> PostgresHarness:
    """One database at a time."""
    while _machine_databases:
        postgres.drop_database(_machine_databases.pop())
    _machine_databases.append(postgres.create_database())
    return PostgresHarness(_machine_databases[0])


TestRandomSequences = pytest.mark.requirement("store:tenant:isolation")(
    machine_case(machine_harness)
)


@pytest.fixture
def database() -> Iterator[str]:
    """The name of a new database."""
    name = postgres.create_database()
    yield name
    postgres.drop_database(name)


@asynccontextmanager
async def two_replicas(database: str) -> AsyncIterator[tuple[SeenStore, SeenStore]]:
    """Two stores on one database, with one clock."""
    one, other = PostgresHarness(database), PostgresHarness(database)
    other.clock = one.clock
    async with opened(one), opened(other):
        yield one.store, other.store


async def outcomes(*saves: Awaitable[object]) -> list[object]:
    return list(await asyncio.wait_for(asyncio.gather(*saves, return_exceptions=True), 20))


# --- batches ------------------------------------------------------------------------------------


async def test_what_is_saved_together_is_one_statement(database: str) -> None:
    harness = PostgresHarness(database)
    async with opened(harness) as store:
        await store.save(turn("first"))
        harness.statements.clear()
        rows = [turn(f"r{index}") for index in range(BATCH_ROWS_MAX)]
        await asyncio.gather(*map(store.save, rows))
        assert len(harness.statements) == 1 and "unnest" in harness.statements[0]
        commit = harness.observed[-1]
        assert isinstance(commit, StoreCommitted)
        assert commit.rows == BATCH_ROWS_MAX and commit.seconds > 0


async def test_turns_that_continue_others_cost_a_batch_four_statements(database: str) -> None:
    harness = PostgresHarness(database)
    async with opened(harness) as store:
        await asyncio.gather(*(store.save(turn(f"p{index}")) for index in range(20)))
        harness.statements.clear()
        children = [turn(f"c{index}", f"p{index}") for index in range(20)]
        await asyncio.gather(*map(store.save, children))
        assert len(harness.statements) <= 5
        assert await store.history("ours", "c7") == [past("p7"), past("c7")]


@pytest.mark.requirement("store:save:failure")
async def test_a_bug_in_a_work_fails_its_batch_and_no_other(database: str) -> None:
    def buggy() -> Work[None]:
        yield sql.WRITE_PROBE, (1,)
        raise ZeroDivisionError

    harness = PostgresHarness(database)
    async with told_to_the_loop() as raised, opened(harness) as store:
        told: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()
        store.put(turn("unlucky"), told.set_result, [buggy])
        error = await asyncio.wait_for(told, 5)
        assert isinstance(error, RemoteError) and "failed while it was writing" in error.message
        await asyncio.wait_for(store.save(turn("next")), 5)
        assert await store.load("ours", "unlucky") is None
    assert [type(one) for one in raised] == [ZeroDivisionError]


@pytest.mark.requirement("store:works:own-affair")
@pytest.mark.parametrize("refusal", [Fenced(), ClientError("no"), RemoteError("not now")])
async def test_what_a_work_refuses_undoes_its_own_writes_only(
    database: str, refusal: Exception
) -> None:
    def mark(at: int) -> Work[int]:
        yield sql.WRITE_PROBE, (at,)
        return at

    def refused() -> Work[None]:
        yield sql.WRITE_PROBE, (666,)
        raise refusal

    def nonsense() -> Work[None]:
        yield "SELECT nothing FROM nowhere", ()

    harness = PostgresHarness(database)
    async with opened(harness) as store:
        await store.change(partial(mark, 5))
        told: list[tuple[str, Exception | None]] = []
        over = asyncio.Event()

        def note(id: str, error: Exception | None) -> None:
            told.append((id, error))
            if id == "last":
                over.set()

        store.put(turn("plain"), partial(note, "plain"))
        store.put(turn("fenced"), partial(note, "fenced"), [refused])
        store.put(None, partial(note, "works only"), [refused])
        store.put(turn("marked", "plain"), partial(note, "marked"), [partial(mark, 7)])
        store.put(turn("last"), partial(note, "last"))
        changes = await outcomes(
            store.change(refused), store.change(partial(mark, 8)), store.change(refused)
        )
        await asyncio.wait_for(over.wait(), 5)
        assert [id for id, _ in told] == ["plain", "fenced", "works only", "marked", "last"]
        assert [type(error) for _, error in told] == [
            type(None),
            type(refusal),
            type(refusal),
            type(None),
            type(None),
        ]
        assert changes == [refusal, 8, refusal]
        lost, kept = await outcomes(store.change(nonsense), store.change(partial(mark, 8)))
        assert isinstance(lost, RemoteError) and kept == 8
        assert harness.count("SELECT written_at FROM probe WHERE one = 1") in (7, 8)
        assert await store.load("ours", "fenced") is None
        assert ids_of(await store.history("ours", "marked")) == ["plain", "marked"]


# --- replicas -----------------------------------------------------------------------------------


@pytest.mark.requirement("store:replicas:forks")
async def test_children_of_one_parent_from_two_replicas_all_join_it(database: str) -> None:
    async with two_replicas(database) as (one, other):
        await one.save(turn("root"))
        for wave in range(5):
            saves = [
                store.save(turn(f"{name}{wave}.{index}", "root"))
                for index in range(4)
                for name, store in (("a", one), ("b", other))
            ]
            assert set(await outcomes(*saves)) == {None}
        for wave in range(5):
            for index in range(4):
                for name in "ab":
                    id = f"{name}{wave}.{index}"
                    assert await other.history("ours", id) == [past("root"), past(id)]


@pytest.mark.requirement("store:replicas:forks")
async def test_one_id_given_by_two_replicas_is_stored_once(database: str) -> None:
    async with two_replicas(database) as (one, other):
        for index in range(5):
            saves = [store.save(turn(f"r{index}")) for store in (one, other)]
            results = await outcomes(*saves)
            assert sorted(type(result).__name__ for result in results) == [
                "NoneType",
                "RemoteError",
            ]


@pytest.mark.requirement("store:replicas:forgetting")
async def test_two_replicas_that_store_delete_and_sweep_agree_and_leave_nothing(
    database: str,
) -> None:
    """Chains are continued, forked, deleted and swept at once: what survives has its whole
    history, and when all is deleted no row is left."""
    async with two_replicas(database) as (one, other):
        clock, alive, random = one._clock, ["root"], Random(7)
        await one.save(turn("root"))
        for wave in range(25):
            made, parents = [], list(alive)
            for index in range(6):
                id = f"r{wave:02}.{index}"
                store = random.choice((one, other))
                made.append(store.save(turn(id, random.choice(parents))))
                alive.append(id)
            gone = random.sample(alive[1:-6], min(4, max(0, len(alive) - 12)))
            deletions = [random.choice((one, other)).delete("ours", id) for id in gone]
            sweeps = [store.sweep(clock(), 50) for store in (one, other)]
            results = await outcomes(*made, *deletions, *sweeps)
            assert [result for result in results if isinstance(result, Exception)] == []
            assert results[6 : 6 + len(gone)] == [True] * len(gone)
            alive = [id for id in alive if id not in gone]
            clock.now += HOUR_MS // 3  # type: ignore[attr-defined]
        for id in alive:
            history = await one.history("ours", id)
            assert ids_of(history)[0] == "root"
            assert joined(await other.context("ours", id)) == told(history)
        halves = [(one, id) for id in alive[::2]] + [(other, id) for id in alive[1::2]]
        assert set(await outcomes(*(store.delete("ours", id) for store, id in halves))) == {True}
        look = PostgresHarness(database)
        for _ in range(200):
            if look.leftovers() == 0:
                break
            clock.now += GRACE_AT_MOST_MS  # type: ignore[attr-defined]
            await outcomes(one.sweep(clock()), other.sweep(clock()))
        assert look.leftovers() == 0


@pytest.mark.requirement("store:replicas:forgetting")
async def test_one_replica_sweeps_at_a_time(database: str) -> None:
    harness = PostgresHarness(database)
    async with opened(harness) as store:
        await store.save(turn("short", expires_at=START_MS + 1))
        harness.clock.now += 10
        sweeping = await asyncpg.connect(postgres.server().url(database))
        await sweeping.execute("BEGIN")
        await sweeping.fetch(sql.POSTGRES.render(sql.TRY_ALONE))
        assert await store.sweep(harness.clock.now) == 0
        await sweeping.close()
        assert await store.sweep(harness.clock.now) == 1


@pytest.mark.requirement("store:replicas:deadlock")
async def test_works_that_lock_each_other_out_are_done_again(database: str) -> None:
    met = asyncio.Barrier(2)
    tries = 0

    async with two_replicas(database) as (one, other):
        await one.save(turn("a"))
        await one.save(turn("b"))

        def park(first: str, second: str) -> Work[str]:
            nonlocal tries
            tries += 1
            yield "UPDATE responses SET cuts = $2 WHERE project = 'ours' AND id = $1", (first, b"1")
            yield (
                "UPDATE responses SET cuts = $2 WHERE project = 'ours' AND id = $1",
                (second, b"2"),
            )
            return first

        async def meet(store: SeenStore, connection: Any, statement: str, values: Any) -> Any:
            rows = await PostgresStore.rows(store, connection, statement, values)
            if store in early and values[-1:] == (b"1",):
                early.remove(store)
                await met.wait()
            return rows

        early = [one, other]
        for store in (one, other):
            store.rows = partial(meet, store)  # type: ignore[method-assign]
        done = await outcomes(
            one.change(partial(park, "a", "b")), other.change(partial(park, "b", "a"))
        )
        assert done == ["a", "b"] and tries >= 3


# --- a database that goes away ------------------------------------------------------------------


@pytest.mark.requirement("store:remote:restart")
async def test_a_restart_loses_nothing_and_stores_nothing_twice(database: str) -> None:
    harness = PostgresHarness(database)

    def add(at: int) -> Work[None]:
        yield "UPDATE probe SET written_at = written_at + $1 WHERE one = 1", (at,)

    async with opened(harness) as store:
        await store.save(turn("root"))
        kept = []
        restarting = asyncio.ensure_future(asyncio.to_thread(postgres.server().restart))
        for index in range(40):
            parent = "root" if index % 2 else None
            kept.append(store.save(turn(f"r{index}", parent)))
            kept.append(store.change(partial(add, 1)))
            kept[-2:] = [asyncio.ensure_future(one) for one in kept[-2:]]
            await asyncio.sleep(0.01)
        await restarting
        assert set(await outcomes(*kept)) == {None}
        assert harness.count("SELECT count(*) FROM responses") == 41
        assert harness.count("SELECT written_at FROM probe WHERE one = 1") == 40
        for index in range(40):
            assert await store.load("ours", f"r{index}") is not None


@pytest.mark.requirement("store:remote:restart")
async def test_a_database_that_stays_away_is_a_503_that_may_be_tried_again(database: str) -> None:
    harness = PostgresHarness(database, patience_seconds=0.2)
    async with opened(harness) as store:
        await store.save(turn("kept"))
        postgres.server().stop()
        try:
            calls = (
                store.save(turn("lost")),
                store.load("ours", "kept"),
                store.delete("ours", "kept"),
                store.ping(),
                harness.create().open(),
            )
            for error in await outcomes(*calls):
                assert isinstance(error, RemoteError), error
                assert error.retryable and error.status == 503
                assert f"PostgreSQL ({database} on " in error.message
        finally:
            postgres.server().start()
        await store.ping()
        assert await store.load("ours", "kept") == turn("kept")
        await store.save(turn("again", "kept"))


class CutStore(SeenStore):
    """Loses its connection after a statement was done and before it hears of it."""

    cut = ""

    async def status(self, connection: Any, statement: str, parameters: Sequence[Any]) -> str:
        said = await super().status(connection, statement, parameters)
        if self.cut and self.cut in statement:
            self.cut = ""
            connection.terminate()
            raise ConnectionResetError("cut")
        return said


@pytest.mark.requirement("store:remote:unknown-outcome")
@pytest.mark.parametrize("cut", ["INSERT INTO responses", "COMMIT"])
async def test_a_commit_nobody_heard_of_is_found_and_not_repeated(database: str, cut: str) -> None:
    def add() -> Work[str]:
        rows = yield (
            "UPDATE probe SET written_at = written_at + 1 WHERE one = 1 RETURNING written_at",
            (),
        )
        return f"now {rows[0][0]}"

    store = CutStore(postgres.server().url(database))
    store.seen = lambda statement: None
    await store.open()
    await store.save(turn("taken"))
    await store.save(turn("root"))
    store.cut = cut
    rows = [turn("a", "root"), turn("taken"), turn("b", "a"), turn("c", "root")]
    if cut != "COMMIT":  # a statement that is a transaction
        rows = [turn("a"), turn("taken"), turn("b"), turn("c")]
    results = await outcomes(*map(store.save, rows))
    assert store.cut == ""
    assert [type(result) for result in results] == [type(None), RemoteError, *[type(None)] * 2]
    if cut == "COMMIT":
        assert await store.history("ours", "b") == [past("root"), past("a"), past("b")]
        store.cut = cut
        assert await store.change(add) == "now 1"
        assert store.cut == ""
        assert await store.change(add) == "now 2"
    await store.close()


@pytest.mark.requirement("store:save:failure")
async def test_a_connection_that_dies_at_any_statement_is_replaced(database: str) -> None:
    """Of a turn that completes a pack and brings a work along: its whole transaction again."""
    harness = PostgresHarness(database)

    def add() -> Work[None]:
        yield "UPDATE probe SET written_at = written_at + 1 WHERE one = 1", ()

    async with opened(harness) as store:
        ids = await save_chain(store, 31)
        for fatal in range(1, 30):
            countdown = fatal

            def kill(statement: str) -> None:
                nonlocal countdown
                countdown -= 1
                if countdown == 0:
                    postgres.server().execute(
                        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                        f"WHERE datname = '{database}' AND pid <> pg_backend_pid()"
                    )

            harness.store.seen = kill
            told: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()
            id = f"packing{fatal}"
            store.put(
                turn(id, ids[30] if fatal == 1 else f"packing{fatal - 1}"), told.set_result, [add]
            )
            assert await asyncio.wait_for(told, 10) is None
            harness.store.seen = harness.statements.append
            assert await store.load("ours", id) == turn(
                id, ids[30] if fatal == 1 else f"packing{fatal - 1}"
            )
            assert harness.count("SELECT written_at FROM probe WHERE one = 1") == fatal
            if countdown > 0:
                assert fatal > 5
                return
    raise AssertionError("the turn was never saved without a failure")


async def test_no_message_holds_the_password_or_a_statement(database: str) -> None:
    url = "postgresql://someone:s3cret@127.0.0.1:1/antiphon"
    store = PostgresStore(url, patience_seconds=0)
    with pytest.raises(RemoteError) as refused:
        await store.open()
    assert "antiphon on 127.0.0.1:1" in refused.value.message
    assert "s3cret" not in f"{refused.value!r} {store.target!r} {refused.value.__cause__!r}"
    harness = PostgresHarness(database)

    def wrong() -> Work[None]:
        yield "SELECT nothing FROM nowhere WHERE secret = $1", ("s3cret",)

    async with opened(harness) as store_of_mine:
        for failing in (store_of_mine.read(wrong), store_of_mine.change(wrong)):
            with pytest.raises(RemoteError) as failed:
                await failing
            assert "nowhere" not in failed.value.message and "s3cret" not in failed.value.message
            assert "antiphon migrate" in failed.value.message


# --- durability and rights ----------------------------------------------------------------------


@pytest.mark.requirement("store:save:durable")
async def test_commits_are_durable_even_where_the_database_says_otherwise(database: str) -> None:
    postgres.server().execute(f"ALTER DATABASE {database} SET synchronous_commit = off")

    def look() -> Work[str]:
        rows = yield "SHOW synchronous_commit", ()
        return str(rows[0][0])

    async with opened(PostgresHarness(database)) as store:
        assert await store.read(look) == "on"
        assert await store.change(look) == "on"
    with pytest.raises(RemoteError, match="synchronous_commit off"):
        await PostgresHarness(database, pooler=True).create().open()


@pytest.mark.requirement("store:life:rights")
async def test_who_serves_needs_no_right_to_change_the_schema(database: str) -> None:
    server = postgres.server()
    server.execute(f"CREATE ROLE server_{database} LOGIN")
    store = PostgresStore(server.url(database, f"server_{database}"))
    try:
        with pytest.raises(RemoteError, match="lacks a permission"):
            await store.open()
        async with opened(PostgresHarness(database)):
            pass
        for right in (
            "SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public",
            "USAGE ON ALL SEQUENCES IN SCHEMA public",
        ):
            server.execute(f"GRANT {right} TO server_{database}", database)
        await store.open()
        await store.save(turn("a"))
        await store.save(turn("b", "a"))
        assert await store.delete("ours", "a")
        await store.close()
    finally:
        server.execute(f"DROP OWNED BY server_{database}", database)
        server.execute(f"DROP ROLE server_{database}")


@pytest.mark.requirement("store:life:two-versions")
async def test_a_replica_goes_on_while_a_newer_version_adds_to_its_schema(database: str) -> None:
    async with opened(PostgresHarness(database)) as store:
        ids = await save_chain(store, 8)  # its statements are prepared by now
        for _ in range(8):
            await store.load("ours", ids[0])
        for statement in (
            "ALTER TABLE responses ADD COLUMN later BIGINT NOT NULL DEFAULT 7",
            "CREATE INDEX later_index ON responses (later)",
            "ALTER TABLE packs ALTER COLUMN items DROP NOT NULL",
        ):
            postgres.server().execute(statement, database)
        await store.save(turn("after", ids[-1]))
        await asyncio.gather(*(store.save(turn(f"r{index}", "after")) for index in range(5)))
        assert await store.load("ours", ids[0]) == turn(ids[0])
        assert ids_of(await store.history("ours", "r3")) == [*ids, "after", "r3"]
        assert await store.delete("ours", "r3")


@pytest.mark.requirement("store:life:migrating-together")
async def test_replicas_that_start_together_migrate_once(database: str) -> None:
    stores = [PostgresHarness(database).create() for _ in range(4)]
    assert set(await outcomes(*(store.open() for store in stores))) == {None}
    for store in stores:
        assert await store.pending() == []  # type: ignore[attr-defined]
        await store.close()
    count = PostgresHarness(database).count("SELECT count(*) FROM migrations")
    assert count == len(migrations())


@pytest.mark.requirement("store:life:newer-schema")
async def test_a_newer_database_is_refused_and_left_alone(database: str) -> None:
    async with opened(PostgresHarness(database)) as store:
        await store.save(turn("a"))
    postgres.server().execute("INSERT INTO migrations VALUES (9999, 'later', 'abc', 0)", database)
    with pytest.raises(RemoteError, match=r"schema version 9999, this antiphon knows"):
        await PostgresHarness(database).create().open()
    postgres.server().execute("DELETE FROM migrations WHERE number = 9999", database)
    async with opened(PostgresHarness(database)) as store:
        assert await store.load("ours", "a") == turn("a")
