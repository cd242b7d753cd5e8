"""How long what a project stores lives."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import pytest
from click.testing import CliRunner

from antiphon.app import App, running
from antiphon.banner import banner
from antiphon.cli import main
from antiphon.config import Config, KeySettings, ScriptedSettings, StoreSettings, unnamed_projects
from antiphon.config_state import ProjectSettings
from antiphon.doctor import examine
from antiphon.observe import Broke, Observation, Observers, Swept
from antiphon.runs import chat
from antiphon.runs.retention import DAY_MS, Retention
from antiphon.store import idempotency
from antiphon.store.idempotency import IdempotencyKeys
from antiphon.store.work import Work
from antiphon.types.chat import CreateChatCompletion
from antiphon.types.codec import decode_create

pytestmark = pytest.mark.anyio

SECONDS_MAX = 5.0
T = TypeVar("T")
PROJECTS = (
    ProjectSettings(name="short", retention_days=1.5),
    ProjectSettings(name="ever", retention_days=0),
    ProjectSettings(name="plain"),
    ProjectSettings(name="zero", zero_retention=True, retention_days=3),
)


def config(store: StoreSettings, **changes: Any) -> Config:
    return Config(store=store, backends=(ScriptedSettings(),), projects=PROJECTS, **changes)


def decoded(**fields: Any) -> Any:
    return decode_create(
        msgspec.json.encode({"model": "scripted/echo", "input": "hello", **fields})
    )


def lives(created_at: int, expires_at: int | None) -> int | None:
    return None if expires_at is None else expires_at - created_at


@pytest.mark.requirement("retention:project")
def test_the_rule() -> None:
    rule = Retention(DAY_MS, PROJECTS)
    assert rule.of("short") == DAY_MS * 3 // 2
    assert rule.of("ever") is None
    assert rule.of("plain") == rule.of("nobody") == DAY_MS
    assert rule.zero("zero") and not rule.zero("short") and not rule.zero("nobody")
    assert Retention().of("nobody") is None and not Retention().zero("nobody")


LIVES = {"short": DAY_MS * 3 // 2, "ever": None, "plain": 30 * DAY_MS, "nobody": 30 * DAY_MS}


@pytest.mark.requirement("retention:project")
@pytest.mark.parametrize("project", LIVES)
async def test_a_projects_own_date_on_all_it_stores(
    store_settings: StoreSettings, project: str
) -> None:
    async with running(config(store_settings)) as app:
        listener = await app.runs.create(decoded(), project=project)
        response = await listener.finish()
        row = await app.store.load(project, response.id)
        assert row is not None and lives(row.created_at, row.expires_at) == LIVES[project]
        body = {"model": "scripted/hello", "messages": [{"role": "user", "content": "hi"}]}
        asked = msgspec.convert({**body, "store": True}, CreateChatCompletion)
        made = await (await chat.create(app.runs, asked, project=project)).finish()
        kept = await app.runs.completions.load(project, made.id, 0)
        assert kept is not None and lives(kept.created_at, kept.expires_at) == LIVES[project]
        queued = await app.background.create(decoded(background=True), project=project)
        row = await until(partial(app.store.load, project, queued.response_id))
        assert row is not None and lives(row.created_at, row.expires_at) == LIVES[project]


@pytest.mark.requirement("retention:memory")
async def test_what_is_remembered_goes_with_its_projects_date() -> None:
    projects = (ProjectSettings(name="short", retention_days=0.2 / 86_400),)
    settings = Config(
        store=StoreSettings(file=":memory:"), backends=(ScriptedSettings(),), projects=projects
    )
    async with running(settings) as app:
        first = await (await app.runs.create(decoded(), project="short")).finish()
        memory = app.runs.memory
        assert memory.peek("short", first.id) is not None
        said = memory.peek("short", first.id)
        memory.drop("short", first.id)
        assert said is not None
        memory.learn("short", first.id, said, memory.forgotten)  # as if it was read again
        assert memory.peek("short", first.id) is not None
        await until(lambda: said_is_gone(app, first.id))
        assert await app.store.load("short", first.id) is None


@pytest.mark.requirement("retention:settings")
def test_two_settings_for_one_project_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "antiphon.toml"
    file.write_text(
        '[[projects]]\nname = "a"\n[[projects]]\nname = "b"\n[[projects]]\nname = "a"\n'
    )
    done = CliRunner().invoke(main, ["config", "check", "--config", str(file)])
    assert done.exit_code == 2
    assert "projects[2].name: the project 'a' has settings already" in done.output


@pytest.mark.requirement("retention:settings")
async def test_a_project_no_key_names_is_warned_of() -> None:
    store = StoreSettings(file=":memory:")
    open_to_all = Config(store=store, projects=(ProjectSettings(name="default"),))
    assert unnamed_projects(open_to_all) == []
    keys = (KeySettings(key="k", project="short"),)
    keyed = config(store, keys=keys)
    assert unnamed_projects(keyed) == ["ever", "plain", "zero"]
    said = banner(keyed, 1)
    assert "WARNING: no key names the project zero" in said
    assert "Nothing is stored of: zero." in said and "the project short" not in said
    about = [one async for one in examine(keyed) if one.about == "projects"]
    assert [one.level for one in about] == ["warn"] * 3


@pytest.mark.requirement("retention:sweeper")
async def test_what_fails_keeps_nothing_else_from_being_swept(tmp_path: Path) -> None:
    seen: list[Observation] = []
    swept = asyncio.Event()

    def look(observation: Observation) -> None:
        seen.append(observation)
        if isinstance(observation, Swept) and observation.responses:
            swept.set()

    observers = Observers()
    observers.subscribe(look)
    store = StoreSettings(data=str(tmp_path), retention_days=1e-9, sweep_seconds=0.02)
    async with running(config(store), observe=observers) as app:
        await app.store.change(_drop_completions)
        await IdempotencyKeys(app.store).claim("plain", "k", "digest", "owner", 1, 0)
        await (await app.runs.create(decoded(), project="plain")).finish()
        async with asyncio.timeout(SECONDS_MAX):
            await swept.wait()
        await until(lambda: has_no_key(app))
    assert any(isinstance(one, Broke) and one.where == "store" for one in seen)


@pytest.mark.requirement("retention:sweeper")
async def test_the_sweeper_tells_what_it_removed(store_settings: StoreSettings) -> None:
    told: list[Swept] = []
    observers = Observers()
    observers.subscribe(lambda seen: told.append(seen), Swept)  # type: ignore[arg-type]
    quick = msgspec.structs.replace(store_settings, retention_days=1e-9, sweep_seconds=0.02)
    async with running(config(quick), observe=observers) as app:
        body = {"model": "scripted/hello", "messages": [{"role": "user", "content": "hi"}]}
        asked = msgspec.convert({**body, "store": True}, CreateChatCompletion)
        await (await chat.create(app.runs, asked, project="plain")).finish()
        await (await app.runs.create(decoded(), project="plain")).finish()
        await until(lambda: swept_both(told))
    assert sum(one.responses for one in told) == sum(one.completions for one in told) == 1


def _drop_completions() -> Work[None]:
    yield "DROP TABLE completions", ()


async def has_no_key(app: App) -> bool:
    def look() -> Work[bool]:
        rows = yield idempotency.LOAD_KEY, ("plain", "k")
        return not rows

    return await app.store.read(look)


async def said_is_gone(app: App, response_id: str) -> bool:
    return app.runs.memory.peek("short", response_id) is None


async def swept_both(told: Sequence[Swept]) -> bool:
    return any(one.responses for one in told) and any(one.completions for one in told)


async def until(look: Callable[[], Awaitable[T]]) -> T:
    """Wait until it finds something."""
    async with asyncio.timeout(SECONDS_MAX):
        while True:
            found = await look()
            if found:
                return found
            await asyncio.sleep(0.01)
