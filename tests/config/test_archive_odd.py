"""``antiphon import archive`` with files somebody edited, and databases that have half of them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from antiphon import restoring
from antiphon.app import purge, running
from antiphon.config import StoreSettings
from antiphon.types.resources import CreateConversation
from tests.config.test_archive import chain, config, lines_of, run, simple, sqlite, written


@pytest.fixture(params=["sqlite", "postgres"])
def target(request: pytest.FixtureRequest, tmp_path: Path) -> StoreSettings:
    """A fresh database to import into."""
    if request.param == "sqlite":
        return sqlite(tmp_path / "new")
    url = request.getfixturevalue("postgres_url")
    return StoreSettings(url=url, data=str(tmp_path / "new"))


def into(settings: StoreSettings) -> tuple[str, ...]:
    if settings.url is not None:
        return ("--database", settings.url)
    return ("--data", str(settings.data))


def conversation(tmp_path: Path, count: int) -> tuple[str, list[dict[str, Any]]]:
    """An export of one conversation with so many items, and its lines."""

    async def go() -> str:
        async with running(config(sqlite(tmp_path / "talk"))) as app:
            items = [{"role": "user", "content": f"item {number}"} for number in range(count)]
            made = await app.runs.threads.create("ours", CreateConversation(items=items))
            return str(json.loads(made)["id"])

    id = asyncio.run(go())
    file = tmp_path / "talk.jsonl"
    assert run("export", str(file), "--data", str(tmp_path / "talk")).exit_code == 0
    return id, lines_of(file)


@pytest.mark.requirement("archive:malformed")
def test_items_behind_a_line_that_is_missing_are_not_taken_for_known(
    tmp_path: Path, target: StoreSettings
) -> None:
    _, (head, talk, second, third, end) = conversation(tmp_path, 1_203)
    assert third["after"] == 1_000
    file = written(tmp_path / "gap.jsonl", [head, talk, third, end])
    done = run("import", "archive", str(file), *into(target))
    assert done.exit_code == 1, done.output
    assert "\nline 3: 'after': the conversation has 500 items, not 1000" in done.output
    assert "left as they are" not in done.output
    whole = written(tmp_path / "whole.jsonl", [head, talk, second, third, end])
    done = run("import", "archive", str(whole), *into(target))
    assert done.exit_code == 0 and "0 conversations with 703 items" in done.output


SPOILS: dict[str, Callable[[list[dict[str, Any]]], list[dict[str, Any]]]] = {
    "no-type": lambda items: [{"id": "item_1"}],
    "unknown-type": lambda items: [{"id": "item_1", "type": "nonsense"}],
    "no-content": lambda items: [{"id": "item_1", "type": "message", "role": "user"}],
}


@pytest.mark.requirement("archive:malformed")
@pytest.mark.parametrize("spoil", SPOILS.values(), ids=SPOILS)
@pytest.mark.parametrize("place", ["input", "output", "items"])
def test_items_that_could_not_be_read_again_are_left_out(
    tmp_path: Path, spoil: Callable[[list[dict[str, Any]]], list[dict[str, Any]]], place: str
) -> None:
    if place == "items":
        _, (head, line, end) = conversation(tmp_path, 1)
    else:
        _, (head, line, end) = simple(tmp_path, 1)
    bad = {**line, place: spoil(line[place])}
    file = written(tmp_path / "bad.jsonl", [head, bad, end])
    done = run("import", "archive", str(file), "--data", str(tmp_path / "new"))
    assert done.exit_code == 1 and f"\nline 2: '{place}': " in done.output, done.output
    assert json.dumps(line) in written(tmp_path / "good.jsonl", [head, line, end]).read_text()
    done = run("import", "archive", str(tmp_path / "good.jsonl"), "--data", str(tmp_path / "new"))
    assert done.exit_code == 0 and "left out" not in done.output


ODD: dict[str, dict[str, Any]] = {
    "nul-model": {"model": "a\0b"},
    "nul-metadata": {"metadata": {"a\0": "b\0"}},
    "nul-id": {"id": "chatcmpl-\0"},
}


@pytest.mark.requirement("archive:malformed")
@pytest.mark.parametrize("odd", ODD.values(), ids=ODD)
def test_an_odd_chat_completion_spoils_no_other(
    tmp_path: Path, target: StoreSettings, odd: dict[str, Any]
) -> None:
    def line(**fields: Any) -> dict[str, Any]:
        row = {
            "object": "chat.completion",
            "project": "ours",
            "id": "chatcmpl-1",
            "created_at": 1,
            "expires_at": None,
            "model": "m",
            "metadata": {},
            "messages": [],
            **fields,
        }
        return {**row, "completion": {"id": row["id"], "object": "chat.completion"}}

    head = {"object": "antiphon.archive", "version": 1, "exported_at": 1}
    end = {
        "object": "antiphon.archive.end",
        "responses": 0,
        "conversations": 0,
        "completions": 2,
    }
    lines = [head, line(**odd), line(id="chatcmpl-2"), end]
    file = written(tmp_path / "odd.jsonl", lines)
    done = run("import", "archive", str(file), *into(target))
    assert "chat completion" in done.output, done.output
    again = run("import", "archive", str(file), *into(target))
    assert "imported: 0 responses; 0 deleted" in again.output and "0 chat" in again.output


@pytest.mark.requirement("archive:encrypted")
def test_what_was_purged_does_not_stop_an_export_without_encryption(tmp_path: Path) -> None:
    async def go() -> None:
        settings = config(sqlite(tmp_path), at_rest=True)
        async with running(settings) as app:
            await chain(app, 2)
            items = [{"role": "user", "content": "hello"}]
            await app.runs.threads.create("ours", CreateConversation(items=items))
        assert await purge(settings, "ours")
        async with running(config(sqlite(tmp_path))) as app:
            await chain(app, 1)

    asyncio.run(go())
    file = tmp_path / "out.jsonl"
    done = run("export", str(file), "--data", str(tmp_path))
    assert done.exit_code == 0, done.exception
    assert "exported: 1 responses, 2 deleted" in done.output and "3 of them cannot" in done.output


@pytest.mark.requirement("archive:again")
def test_who_stops_an_import_is_not_shown_what_goes_on_inside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, _ = simple(tmp_path, 4)
    monkeypatch.setattr(restoring, "LINES_AT_ONCE", 2)
    unheard: list[dict[str, Any]] = []

    async def go() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: unheard.append(context))

        def lines() -> Iterator[bytes]:
            for number, line in enumerate(file.read_bytes().splitlines(keepends=True), 1):
                if number == 3:  # two responses are on their way when this is heard
                    loop.call_soon(stopped.cancel)
                yield line

        target = config(sqlite(tmp_path / "new"))
        work = restoring.restore(lines(), target, None, dry_run=False, progress=lambda _: None)
        stopped = asyncio.create_task(work)
        with pytest.raises(asyncio.CancelledError):
            await stopped

    asyncio.run(go())
    assert not unheard
    done = run("import", "archive", str(file), "--data", str(tmp_path / "new"))
    assert done.exit_code == 0 and "imported: 2 responses;" in done.output
