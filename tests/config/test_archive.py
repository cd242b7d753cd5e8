"""``antiphon export`` and ``antiphon import archive``: a database in a file, and back."""

from __future__ import annotations

import asyncio
import json
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner, Result

from antiphon import archive, exporting, restoring
from antiphon.app import App, running
from antiphon.cli import main
from antiphon.config import Config, ScriptedSettings, StoreSettings
from antiphon.config_state import EncryptionSettings
from antiphon.ids import now_ms
from antiphon.runs import chat, stored
from antiphon.runs.listener import Listener
from antiphon.store import archive as works
from antiphon.store.base import StoredResponse
from antiphon.types.chat import CreateChatCompletion
from antiphon.types.codec import decode_create
from antiphon.types.resources import CreateConversation
from tests.runs.rig import text_of

HOUR_MS = 3_600_000


def config(store: StoreSettings, *, at_rest: bool = False) -> Config:
    return Config(
        store=store,
        backends=(ScriptedSettings(),),
        encryption=EncryptionSettings(at_rest=at_rest),
    )


def sqlite(folder: Path) -> StoreSettings:
    return StoreSettings(data=str(folder))


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, list(arguments))


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def unordered(path: Path) -> list[bytes]:
    """Everything the file holds but when it was written."""
    return sorted(path.read_bytes().splitlines()[1:])


async def said(
    app: App, text: str, parent: str | None = None, project: str = "ours", **fields: Any
) -> str:
    body = {"model": "scripted/echo", "input": text, "previous_response_id": parent, **fields}
    asked = decode_create(msgspec.json.encode(body))
    listener: Listener = await app.runs.create(asked, project=project)
    return (await listener.finish()).id


async def chain(app: App, length: int, parent: str | None = None, word: str = "turn") -> list[str]:
    ids = []
    for number in range(length):
        parent = await said(app, f"{word} {number}", parent)
        ids.append(parent)
    return ids


async def prompt(app: App, parent: str) -> str:
    """What a model is shown that continues this response."""
    body = {"model": "scripted/transcript", "input": "?", "previous_response_id": parent}
    asked = decode_create(msgspec.json.encode({**body, "store": False}))
    listener = await app.runs.create(asked, project="ours")
    return text_of(await listener.finish())


async def fill(app: App) -> dict[str, str]:
    """Traffic of every kind; the ends of conversations that go on, by name."""
    trunk = await chain(app, 70)
    fork = await chain(app, 35, trunk[40], "fork")
    twig = await chain(app, 3, fork[33], "twig")
    other = await chain(app, 2, trunk[0], "other")
    await said(app, "streamed", stream=True)
    await said(app, "theirs", project="theirs")
    await said(app, 'Größe: "5" 𝄞\n\u2028', metadata={"a": "b"}, instructions="Be brief.")
    alone = await said(app, "deleted alone")
    gone = await chain(app, 4, None, "gone")
    for id in (alone, trunk[41], trunk[10], fork[34], gone[3], gone[1]):
        await app.runs.delete("ours", id)
    items = [{"role": "user", "content": f"item {number}"} for number in range(1_203)]
    await app.runs.threads.create("ours", CreateConversation(items=items, metadata={"k": "v"}))
    body = {"model": "scripted/hello", "messages": [{"role": "user", "content": "hi"}]}
    asked = msgspec.convert({**body, "store": True, "metadata": {"x": "y"}}, CreateChatCompletion)
    await (await chat.create(app.runs, asked, project="ours")).finish()
    return {
        "trunk": trunk[-1],
        "fork": fork[33],
        "twig": twig[-1],
        "other": other[-1],
        "gone": gone[2],
    }


async def prompts(settings: Config, ends: dict[str, str]) -> dict[str, str]:
    async with running(settings) as app:
        return {name: await prompt(app, end) for name, end in ends.items()}


async def filled(settings: Config) -> dict[str, str]:
    async with running(settings) as app:
        return await fill(app)


@pytest.mark.requirement("archive:round-trip")
@pytest.mark.requirement("archive:prompt")
def test_a_database_moves_to_postgresql_and_is_the_same(tmp_path: Path, postgres_url: str) -> None:
    here = config(sqlite(tmp_path / "here"))
    there = config(StoreSettings(url=postgres_url, data=str(tmp_path / "there")))
    ends = asyncio.run(filled(here))
    before = asyncio.run(prompts(here, ends))
    assert "turn 10" in before["trunk"] and "turn 41" in before["trunk"]  # deleted, still history
    first, second = tmp_path / "first.jsonl", tmp_path / "second.jsonl"
    done = run("export", str(first), "--data", str(tmp_path / "here"))
    assert done.exit_code == 0, done.output
    asked = ("import", "archive", str(first), "--database", postgres_url)
    assert "would be imported" in run(*asked, "--dry-run").output
    done = run(*asked)
    assert done.exit_code == 0 and "left as they are" not in done.output, done.output
    assert run("export", str(second), "--database", postgres_url).exit_code == 0
    assert unordered(first) == unordered(second)
    assert asyncio.run(prompts(there, ends)) == before
    again = run(*asked)
    assert again.exit_code == 0 and "imported: 0 responses; 0 deleted" in again.output


@pytest.mark.requirement("archive:round-trip")
def test_a_database_comes_back_from_postgresql(tmp_path: Path, postgres_url: str) -> None:
    there = config(StoreSettings(url=postgres_url, data=str(tmp_path / "there")))
    ends = asyncio.run(filled(there))
    before = asyncio.run(prompts(there, ends))
    first, second = tmp_path / "first.jsonl", tmp_path / "second.jsonl"
    assert run("export", str(first), "--database", postgres_url).exit_code == 0
    done = run("import", "archive", str(first), "--data", str(tmp_path / "here"))
    assert done.exit_code == 0, done.output
    assert run("export", str(second), "--data", str(tmp_path / "here")).exit_code == 0
    assert unordered(first) == unordered(second)
    assert asyncio.run(prompts(config(sqlite(tmp_path / "here")), ends)) == before


@pytest.mark.requirement("archive:content")
def test_parents_come_first_whoever_numbered_them(tmp_path: Path, postgres_url: str) -> None:
    """Two replicas number their rows from blocks of their own: a child's may be the smaller."""
    settings = config(StoreSettings(url=postgres_url, data=str(tmp_path)))

    async def two_replicas() -> int:
        async with running(settings) as one, running(settings) as other:
            await said(one, "takes the first block")
            root = await said(other, "root")
            fork = twig = await said(other, "turn", root)
            for number in range(4):
                fork = await said(one, f"fork {number}", root)
                twig = await said((one, other)[number % 2], f"twig {number}", fork)
            await chain(one, 2, twig)
            return 13

    made = asyncio.run(two_replicas())
    file = tmp_path / "out.jsonl"
    assert run("export", str(file), "--database", postgres_url).exit_code == 0
    lines = lines_of(file)[1:-1]
    ids = [line["id"] for line in lines]
    assert len(ids) == len(set(ids)) == made
    for place, line in enumerate(lines):
        assert line["parent"] is None or line["parent"] in ids[:place]


@pytest.mark.requirement("archive:content")
def test_what_an_export_holds(tmp_path: Path) -> None:
    asyncio.run(filled(config(sqlite(tmp_path))))
    target = tmp_path / "out.jsonl"
    done = run("export", str(target), "--data", str(tmp_path))
    assert "in clear" in done.output
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    head, *lines, end = lines_of(target)
    assert (head["object"], head["version"]) == ("antiphon.archive", archive.VERSION)
    responses = [line for line in lines if line["object"] == "response"]
    assert end["responses"] == len(responses) and end["conversations"] == 1
    assert end["completions"] == 1
    seen: set[str] = set()
    for line in responses:
        assert line["parent"] is None or line["parent"] in seen
        seen.add(line["id"])
        assert (line["head"] is None) == line["deleted"]
    text = target.read_text()
    assert "deleted alone" not in text and "gone 3" not in text and "fork 34" not in text
    assert "gone 1" in text  # gone 2 lives
    assert any(line["cuts"] for line in responses)
    (conversation,) = [line for line in lines if line["object"] == "conversation"]
    more = [line for line in lines if line["object"] == "conversation.items"]
    assert [line["after"] for line in more] == [500, 1_000]
    assert len(conversation["items"]) + sum(len(line["items"]) for line in more) == 1_203


@pytest.mark.requirement("archive:project")
def test_one_project_alone(tmp_path: Path) -> None:
    asyncio.run(filled(config(sqlite(tmp_path))))
    every, theirs = tmp_path / "every.jsonl", tmp_path / "theirs.jsonl"
    run("export", str(every), "--data", str(tmp_path))
    run("export", str(theirs), "--project", "theirs", "--data", str(tmp_path))
    (line,) = lines_of(theirs)[1:-1]
    assert line["project"] == "theirs"
    other = tmp_path / "other"
    done = run("import", "archive", str(every), "--project", "theirs", "--data", str(other))
    assert "imported: 1 response; 0 deleted responses" in done.output
    again = tmp_path / "again.jsonl"
    run("export", str(again), "--data", str(other))
    assert lines_of(again)[1:-1] == [line]


@pytest.mark.requirement("archive:replay")
def test_an_imported_stream_is_replayed_as_it_was(tmp_path: Path) -> None:
    async def made(settings: Config) -> tuple[str, list[Any]]:
        async with running(settings) as app:
            id = await said(app, "one two three", stream=True)
            return id, list(await stored.replay(app.store, "ours", id, starting_after=-1))

    async def replayed(settings: Config, id: str) -> list[Any]:
        async with running(settings) as app:
            return list(await stored.replay(app.store, "ours", id, starting_after=-1))

    id, events = asyncio.run(made(config(sqlite(tmp_path))))
    file = tmp_path / "out.jsonl"
    run("export", str(file), "--data", str(tmp_path))
    run("import", "archive", str(file), "--data", str(tmp_path / "new"))
    assert asyncio.run(replayed(config(sqlite(tmp_path / "new")), id)) == events


def simple(tmp_path: Path, length: int = 3) -> tuple[Path, list[dict[str, Any]]]:
    """An export of one chain, and its lines."""

    async def go() -> None:
        async with running(config(sqlite(tmp_path / "source"))) as app:
            await chain(app, length)

    asyncio.run(go())
    file = tmp_path / "simple.jsonl"
    assert run("export", str(file), "--data", str(tmp_path / "source")).exit_code == 0
    return file, lines_of(file)


def written(path: Path, lines: list[Any]) -> Path:
    path.write_text(
        "".join((one if isinstance(one, str) else json.dumps(one)) + "\n" for one in lines)
    )
    return path


SPOILS: dict[str, Callable[[dict[str, Any]], object]] = {
    "no-json": lambda line: '{"object": "response", ',
    "kind": lambda line: {**line, "object": "thread"},
    "missing": lambda line: {name: line[name] for name in line if name != "status"},
    "status": lambda line: {**line, "status": "done"},
    "head": lambda line: {**line, "head": {"id": "resp_other"}},
    "no-head": lambda line: {**line, "head": None},
    "input": lambda line: {**line, "input": "hello"},
    "nameless": lambda line: {**line, "input": [{"type": "message"}]},
    "cuts": lambda line: {**line, "cuts": "no base64!"},
    "project": lambda line: {**line, "project": "a b"},
    "nul": lambda line: {**line, "id": "resp_\0"},
    "time": lambda line: {**line, "created_at": -1},
}


@pytest.mark.requirement("archive:malformed")
@pytest.mark.parametrize("spoil", SPOILS.values(), ids=SPOILS)
def test_a_malformed_line_is_named_and_what_continues_it_too(
    tmp_path: Path, spoil: Callable[[dict[str, Any]], object]
) -> None:
    _, (head, first, second, third, end) = simple(tmp_path)
    file = written(tmp_path / "bad.jsonl", [head, first, spoil(second), third, end])
    done = run("import", "archive", str(file), "--data", str(tmp_path / "new"))
    assert done.exit_code == 1
    assert "imported: 1 response;" in done.output and "2 lines left out" in done.output
    assert "\nline 3: " in done.output and "\nline 4: 'parent': there is no" in done.output
    again = tmp_path / "again.jsonl"
    run("export", str(again), "--data", str(tmp_path / "new"))
    assert [line["id"] for line in lines_of(again)[1:-1]] == [first["id"]]
    good = written(tmp_path / "good.jsonl", [head, first, second, third, end])
    done = run("import", "archive", str(good), "--data", str(tmp_path / "new"))
    assert done.exit_code == 0 and "imported: 2 responses;" in done.output


@pytest.mark.requirement("archive:malformed")
def test_a_child_is_never_stored_without_its_parent_that_failed(tmp_path: Path) -> None:
    """The parent is refused by the store itself, while the child waits behind it."""

    async def go() -> None:
        app = App(config(sqlite(tmp_path)))
        async with app.only_store():
            row = StoredResponse(
                id="resp_child",
                project="ours",
                parent="resp_parent",
                created_at=1,
                expires_at=None,
                status="completed",
                head=b"{}",
                input=b"[]",
                output=b"[]",
            )
            settled: asyncio.Future[Exception | None] = asyncio.Future()
            expect = lambda: works.expect("ours", "resp_parent")  # noqa: E731
            app.store.put(row, settled.set_result, (expect,))
            assert "cannot be stored" in str(await settled)
            assert await app.store.load("ours", "resp_child") is None

    asyncio.run(go())


@pytest.mark.requirement("archive:malformed")
def test_files_that_are_no_archive(tmp_path: Path) -> None:
    _, (head, *rest) = simple(tmp_path)
    data = ("--data", str(tmp_path / "new"))
    for lines in ([], ["hello"], rest, [{"object": "thread"}]):
        done = run("import", "archive", str(written(tmp_path / "x.jsonl", lines)), *data)
        assert done.exit_code == 1 and "no file of `antiphon export`" in done.output
    newer = written(tmp_path / "x.jsonl", [{**head, "version": 2}, *rest])
    assert "format 2" in run("import", "archive", str(newer), *data).output
    broken_off = written(tmp_path / "x.jsonl", [head, *rest[:-1]])
    done = run("import", "archive", str(broken_off), *data)
    assert done.exit_code == 1 and "broke off" in done.output and "3 responses" in done.output


@pytest.mark.requirement("archive:again")
def test_importing_again_goes_on_where_it_broke_off(tmp_path: Path) -> None:
    asyncio.run(filled(config(sqlite(tmp_path / "source"))))
    file, part = tmp_path / "whole.jsonl", tmp_path / "part.jsonl"
    run("export", str(file), "--data", str(tmp_path / "source"))
    lines = file.read_bytes().splitlines(keepends=True)
    items = next(n for n, line in enumerate(lines) if b'"conversation.items"' in line)
    part.write_bytes(b"".join(lines[: items + 1]))  # in the midst of a conversation
    new = ("--data", str(tmp_path / "new"))
    assert run("import", "archive", str(part), *new).exit_code == 1
    done = run("import", "archive", str(file), *new)
    assert done.exit_code == 0 and "0 conversations with 203 items" in done.output
    again = tmp_path / "again.jsonl"
    run("export", str(again), *new)
    assert unordered(again) == unordered(file)
    done = run("import", "archive", str(file), *new)
    assert "0 conversations with 0 items" in done.output


@pytest.mark.requirement("retention:zero:store")
def test_nothing_is_imported_into_a_project_that_stores_nothing(tmp_path: Path) -> None:
    file, (head, *_) = simple(tmp_path)
    settings = tmp_path / "antiphon.toml"
    data = tmp_path / "new"
    settings.write_text(
        f'[store]\ndata = "{data}"\n[[projects]]\nname = "ours"\nzero_retention = true\n'
    )
    done = run("import", "archive", str(file), "--config", str(settings))
    assert done.exit_code == 1 and "imported: 0 responses;" in done.output
    assert "line 2: nothing of the project 'ours' may be stored here" in done.output
    thread = written(tmp_path / "t.jsonl", [{"id": "t", "object": "thread", "created_at": 1}])
    asked = ("import", "assistants", str(thread), "--project", "ours", "--config", str(settings))
    done = run(*asked)
    assert done.exit_code == 1 and "zero_retention" in done.output
    again = tmp_path / "again.jsonl"
    run("export", str(again), "--config", str(settings))
    assert len(lines_of(again)) == 2 and head["version"] == 1


@pytest.mark.requirement("archive:expiry")
def test_dates_go_along(tmp_path: Path) -> None:
    _file, lines = simple(tmp_path, length=1)
    line = lines[1]
    assert line["expires_at"] - line["created_at"] == 30 * 24 * HOUR_MS
    expired = {**line, "created_at": 1, "expires_at": 2}
    old = written(tmp_path / "old.jsonl", [lines[0], expired, lines[2]])
    new = ("--data", str(tmp_path / "new"))
    assert run("import", "archive", str(old), *new).exit_code == 0
    again = tmp_path / "again.jsonl"
    run("export", str(again), *new)
    assert len(lines_of(again)) == 2  # nobody can read it any more
    assert expired["expires_at"] < now_ms()


@pytest.mark.requirement("archive:encrypted")
def test_an_encrypted_database_is_exported_only_by_name(tmp_path: Path) -> None:
    settings = tmp_path / "antiphon.toml"
    data = tmp_path / "data"
    settings.write_text(f'[store]\ndata = "{data}"\n[encryption]\nat_rest = true\n')
    asyncio.run(filled(config(sqlite(data), at_rest=True)))
    file, plain = tmp_path / "out.jsonl", tmp_path / "plain.jsonl"
    refused = run("export", str(file), "--config", str(settings))
    assert refused.exit_code == 1 and "--in-clear" in refused.output and not file.exists()
    done = run("export", str(file), "--in-clear", "--config", str(settings))
    assert done.exit_code == 0 and b"turn 10" in file.read_bytes()
    run("import", "archive", str(file), "--data", str(tmp_path / "plain"))
    run("export", str(plain), "--data", str(tmp_path / "plain"))
    assert unordered(plain) == unordered(file)
    assert run("purge", "ours", "--yes", "--config", str(settings)).exit_code == 0
    left = tmp_path / "left.jsonl"
    done = run("export", str(left), "--in-clear", "--config", str(settings))
    assert "cannot be read" in done.output and b"turn 10" not in left.read_bytes()


@pytest.mark.requirement("archive:locked")
def test_a_database_in_use_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    file, _ = simple(tmp_path)

    async def busy() -> list[Result]:
        async with running(config(sqlite(tmp_path / "source"))):
            data = ("--data", str(tmp_path / "source"))
            out = str(tmp_path / "busy.jsonl")
            return [
                await asyncio.to_thread(run, "export", out, *data),
                await asyncio.to_thread(run, "import", "archive", str(file), *data),
            ]

    for done, word in zip(asyncio.run(busy()), ("export", "import"), strict=True):
        assert done.exit_code == 1
        assert f"Stop the server that uses it, {word}, and start it again" in done.output
        assert len(done.output.splitlines()) == 1
    assert not (tmp_path / "busy.jsonl").exists()


@pytest.mark.requirement("archive:locked")
def test_an_export_neither_overwrites_nor_invents(tmp_path: Path) -> None:
    file, _ = simple(tmp_path)
    before = file.read_bytes()
    done = run("export", str(file), "--data", str(tmp_path / "source"))
    assert done.exit_code == 1 and "is there already" in done.output
    assert file.read_bytes() == before
    nothing = tmp_path / "nothing"
    done = run("export", str(tmp_path / "n.jsonl"), "--data", str(nothing))
    assert done.exit_code == 1 and "there is no database at" in done.output
    assert not nothing.exists() and not (tmp_path / "n.jsonl").exists()


@pytest.mark.requirement("archive:memory")
def test_only_a_few_rows_are_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _file, lines = simple(tmp_path, length=1)
    head, line, end = lines
    wide = {**line["input"][0], "content": [{"type": "input_text", "text": "x" * 20_000}]}

    def many() -> Any:
        yield json.dumps(head).encode()
        for number in range(2_000):
            id = f"resp_{number:034x}"
            one = {**line, "id": id, "head": {**line["head"], "id": id}, "input": [wide]}
            yield json.dumps(one).encode()
        yield json.dumps(end).encode()

    import tracemalloc

    settings = config(sqlite(tmp_path / "big"))
    written_bytes = 0

    def count(text: bytes) -> None:
        nonlocal written_bytes
        written_bytes += len(text)

    async def go() -> int:
        tracemalloc.start()
        found = await restoring.restore(
            many(), settings, None, dry_run=False, progress=lambda _: None
        )
        assert found.done.responses == 2_000 and not found.wrong
        counts = await exporting.export(settings, count, None, lambda _: None)
        assert counts.responses == 2_000
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak

    peak = asyncio.run(go())
    assert written_bytes > 40_000_000 and peak < 20_000_000
