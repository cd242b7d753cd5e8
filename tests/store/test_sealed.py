"""The shared suite on an encrypted store, and what its file and its keys tell."""

from __future__ import annotations

import os
from pathlib import Path

import apsw
import pytest

from antiphon.errors import ClientError
from antiphon.sealing.aes import Sealer
from antiphon.store.base import Store
from antiphon.store.keys import LOOK_SECONDS, ProjectContent, has_keys
from antiphon.store.sealed import SealedStore
from tests.store.sqlite_harness import SqliteHarness
from tests.suites.store import *  # noqa: F403 - the tests
from tests.suites.store import opened, save_chain, turn

pytestmark = pytest.mark.anyio

# What a store says while it is closed, how it words an odd id and how few pieces a context has are
# the inner store's business.
del test_a_closed_store_refuses_what_is_put_without_raising  # noqa: F821
del test_text_a_database_lacks_is_refused_alone_or_kept_as_it_is  # noqa: F821
del test_a_history_of_1000_turns_costs_two_queries  # noqa: F821

OLD, NEW = b"o" * 32, b"n" * 32


class SealedHarness(SqliteHarness):
    """``SqliteHarness`` with a sealed store round it. ``masters``: the master keys."""

    masters: tuple[bytes, ...] = (OLD,)
    seconds = 0.0

    def create(self) -> Store:
        inner = super().create()
        self.content = ProjectContent(
            inner,
            Sealer(lambda: self.masters),
            clock=self.clock,
            random=os.urandom,
            seconds=lambda: self.seconds,
        )
        return SealedStore(inner, self.content)


@pytest.fixture
def harness(tmp_path: Path) -> SealedHarness:
    return SealedHarness(tmp_path / "antiphon.db")


@pytest.mark.requirement("sealing:rest:file")
async def test_the_file_does_not_hold_what_was_said(harness: SealedHarness) -> None:
    async with opened(harness) as store:
        ids = await save_chain(store, 40)  # more than a pack
        row = turn("secret")
        row.input = b'[{"id":"i","text":"umbrella"}]'
        row.cuts = b"\x92umbrella"
        await store.save(row)
        loaded = await store.load("ours", "secret")
        assert loaded is not None and loaded.input == row.input and loaded.cuts == b"\x92umbrella"
        assert harness.count("SELECT count(*) FROM packs") == 1
        context = await store.context("ours", ids[-1])
        assert context is not None and len(context) == 80
    said = b"".join(path.read_bytes() for path in Path(harness.path).parent.iterdir())
    assert b"umbrella" not in said and ids[-1].encode() in said


@pytest.mark.requirement("sealing:rest:purge")
async def test_a_purged_project_is_unreadable_and_others_are_not(harness: SealedHarness) -> None:
    async with opened(harness) as store:
        await store.save(turn("a"))
        await store.save(turn("b", project="q"))
        assert await harness.content.drop("ours")
        assert not await harness.content.drop("ours")
        for asked in (
            store.load("ours", "a"),
            store.load_object("ours", "a"),
            store.context("ours", "a"),
        ):
            with pytest.raises(ClientError) as gone:
                await asked
            assert (gone.value.status, gone.value.code) == (404, "content_erased")
        assert await store.load("q", "b") is not None
        await store.save(turn("c"))  # a new key, which does not open the old rows
        assert await store.load("ours", "c") is not None
        with pytest.raises(ClientError):
            await store.load("ours", "a")


async def test_another_process_hears_of_a_purge_within_a_minute(harness: SealedHarness) -> None:
    async with opened(harness) as store:
        await store.save(turn("a"))
        elsewhere = ProjectContent(
            store, Sealer(lambda: harness.masters), clock=harness.clock, random=os.urandom
        )
        await elsewhere.drop("ours")
        assert await store.load("ours", "a") is not None
        harness.seconds += LOOK_SECONDS
        with pytest.raises(ClientError):
            await store.load("ours", "a")


@pytest.mark.requirement("sealing:rest:mixed")
async def test_rows_from_before_stay_readable(tmp_path: Path) -> None:
    plain = SqliteHarness(tmp_path / "antiphon.db")
    async with opened(plain) as store:
        await store.save(turn("old"))
        assert not await has_keys(store)
    async with opened(SealedHarness(tmp_path / "antiphon.db")) as store:
        await store.save(turn("new", parent="old"))
        context = await store.context("ours", "new")
        assert context is not None and len(context) == 4
        assert await has_keys(store)


@pytest.mark.requirement("sealing:rest:rotation")
async def test_data_keys_move_to_the_new_master_key(harness: SealedHarness) -> None:
    async with opened(harness) as store:
        await store.save(turn("a"))
    harness.masters = (NEW, OLD)
    async with opened(harness) as store:
        await store.save(turn("b"))
    harness.masters = (NEW,)
    async with opened(harness) as store:
        assert await store.load("ours", "a") is not None


async def test_rows_cannot_be_given_to_another_project(harness: SealedHarness) -> None:
    async with opened(harness) as store:
        await store.save(turn("a"))
    db = apsw.Connection(str(harness.path))
    db.execute("UPDATE responses SET project = 'q'")
    db.close()
    async with opened(harness) as store:
        with pytest.raises(ClientError):
            await store.load("q", "a")


@pytest.mark.requirement("sealing:rest:purge")
async def test_a_process_that_only_writes_hears_of_a_purge_too(harness: SealedHarness) -> None:
    async with opened(harness) as store:
        await store.save(turn("before"))
        elsewhere = ProjectContent(
            store, Sealer(lambda: harness.masters), clock=harness.clock, random=os.urandom
        )
        await elsewhere.drop("ours")
        harness.seconds += LOOK_SECONDS
        await store.save(turn("after"))
        harness.seconds += LOOK_SECONDS
        assert await store.load("ours", "after") is not None
