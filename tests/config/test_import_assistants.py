"""``antiphon import assistants``: an export becomes conversations a server continues."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from antiphon.app import App
from antiphon.assistants import importable, read
from antiphon.cli import main
from antiphon.config import Config, ScriptedSettings, StoreSettings
from tests.server.asgi_client import AsgiClient


def thread(id: str, **fields: Any) -> dict[str, Any]:
    return {"id": id, "object": "thread", "created_at": 1_700_000_000, "metadata": {}, **fields}


def message(id: str, thread: str, at: int, content: Any, **fields: Any) -> dict[str, Any]:
    text = [{"type": "text", "text": {"value": content, "annotations": []}}]
    return {
        "id": id,
        "object": "thread.message",
        "created_at": 1_700_000_000 + at,
        "thread_id": thread,
        "role": "user",
        "content": text if isinstance(content, str) else content,
        "attachments": [],
        "metadata": {},
        **fields,
    }


CITED = {
    "type": "text",
    "text": {
        "value": "It says so【1】.",
        "annotations": [
            {
                "type": "file_citation",
                "text": "【1】",
                "start_index": 10,
                "end_index": 13,
                "file_citation": {"file_id": "file-1"},
            }
        ],
    },
}
PICTURES = [
    {"type": "text", "text": {"value": "Look.", "annotations": []}},
    {"type": "image_url", "image_url": {"url": "https://example.com/a.png", "detail": "low"}},
    {"type": "image_file", "image_file": {"file_id": "file-2", "detail": "auto"}},
]
EXPORT: list[Any] = [
    thread("thread_a", metadata={"customer": "7"}),
    message("msg_3", "thread_a", 9, [CITED], role="assistant", run_id="run_1"),
    message("msg_2", "thread_a", 5, "What does it say?"),
    message("msg_1", "thread_a", 5, PICTURES, attachments=[{"file_id": "file-3", "tools": []}]),
    {"id": "run_1", "object": "thread.run", "thread_id": "thread_a", "status": "completed"},
    {"id": "step_1", "object": "thread.run.step", "thread_id": "thread_a"},
    {"object": "list", "data": [message("msg_4", "thread_b", 2, "My name is Ann.")]},
]


class Place:
    """Where a server keeps what it is given: its settings as a file, and what it then lists."""

    def __init__(self, settings: StoreSettings, directory: Path) -> None:
        self.config = Config(store=settings, backends=(ScriptedSettings(),))
        self.directory = directory
        self.file = directory / "antiphon.toml"
        lines = ["[store]", f"data = {json.dumps(settings.data)}"]
        if settings.url is not None:
            lines.append(f"url = {json.dumps(settings.url)}")
        self.file.write_text("\n".join(lines))

    def run(self, lines: Sequence[Any], *options: str) -> Result:
        source = self.directory / "export.jsonl"
        texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
        source.write_text("\n".join(texts), encoding="utf-8")
        arguments = ["import", "assistants", str(source), "--config", str(self.file), *options]
        return CliRunner().invoke(main, arguments)

    def ask(self, method: str, path: str, body: Any = b"", **headers: str) -> Any:
        async def asked() -> Any:
            app = App(self.config)
            await app.open()
            try:
                client = AsgiClient(app.asgi, headers=headers)
                return (await client.request(method, path, body=body)).json()
            finally:
                await app.close()

        return asyncio.run(asked())


@pytest.fixture
def place(store_settings: StoreSettings, tmp_path: Path) -> Place:
    return Place(store_settings, tmp_path)


@pytest.fixture
def here(tmp_path: Path) -> Place:
    """On SQLite only."""
    return Place(StoreSettings(data=str(tmp_path)), tmp_path)


def conversations() -> list[str]:
    return [one.conversation_id for one in read([json.dumps(x).encode() for x in EXPORT]).threads]


@pytest.mark.requirement("assistants:import:whole")
def test_threads_become_conversations_with_their_messages_in_order(place: Place) -> None:
    done = place.run(EXPORT)
    assert done.exit_code == 0, done.output
    assert done.output.splitlines() == [
        "2 threads with 4 messages became conversations of project default",
        "left out: 1 run, 1 run step",
        "not carried over: 1 attached file, 1 file behind a citation, 1 image file, "
        "1 thread's own object, which the file does not have",
    ]
    first, second = conversations()
    found = place.ask("GET", f"/v1/conversations/{first}")
    assert found == {
        "id": first,
        "object": "conversation",
        "created_at": 1_700_000_000,
        "metadata": {"customer": "7", "assistants_thread_id": "thread_a"},
    }
    items = place.ask("GET", f"/v1/conversations/{first}/items?order=asc&{IMAGES}")["data"]
    assert [item["id"] for item in items] == ["msg_1", "msg_2", "msg_3"]
    assert items[0] == {
        "id": "msg_1",
        "type": "message",
        "status": "completed",
        "role": "user",
        "content": [
            {"type": "input_text", "text": "Look."},
            {"type": "input_image", "image_url": "https://example.com/a.png", "detail": "low"},
            {"type": "input_text", "text": "[the image file-2, which was not imported]"},
        ],
    }
    (part,) = items[2]["content"]
    assert part["annotations"] == [
        {"type": "file_citation", "file_id": "file-1", "index": 10, "filename": "file-1"}
    ]
    other = place.ask("GET", f"/v1/conversations/{second}")
    assert other["created_at"] == 1_700_000_002


IMAGES = "include[]=message.input_image.image_url"


@pytest.mark.requirement("assistants:import:continues")
def test_a_response_goes_on_where_the_thread_ended(place: Place) -> None:
    assert place.run(EXPORT).exit_code == 0
    body = {
        "model": "scripted/recall",
        "conversation": conversations()[1],
        "input": "What is my name?",
    }
    response = place.ask("POST", "/v1/responses", body)
    assert response["output"][0]["content"][0]["text"] == "Your name is Ann."


@pytest.mark.requirement("assistants:import:once")
def test_a_thread_is_never_imported_twice(place: Place) -> None:
    assert place.run(EXPORT).exit_code == 0
    again = place.run([*EXPORT, message("msg_9", "thread_c", 1, "new")])
    assert again.output.splitlines()[:2] == [
        "1 thread with 1 message became conversations of project default",
        "2 threads imported before: left as they are",
    ]
    items = place.ask("GET", f"/v1/conversations/{conversations()[0]}/items")["data"]
    assert len(items) == 3


@pytest.mark.requirement("assistants:import:project")
def test_they_are_the_named_projects_only(here: Place) -> None:
    assert here.run(EXPORT, "--project", "team-a").exit_code == 0
    missing = here.ask("GET", f"/v1/conversations/{conversations()[0]}")
    assert missing["error"]["code"] == "conversation_not_found"
    again = here.run(EXPORT)
    assert "2 threads with 4 messages became conversations of project default" in again.output
    wrong = here.run(EXPORT, "--project", "team a")
    assert wrong.exit_code == 1 and "no name of a project" in wrong.output


@pytest.mark.requirement("assistants:import:dry-run")
def test_a_dry_run_writes_nothing(here: Place) -> None:
    dry = here.run(EXPORT, "--dry-run")
    assert dry.output.startswith("2 threads with 4 messages would become conversations")
    missing = here.ask("GET", f"/v1/conversations/{conversations()[0]}")
    assert missing["error"]["code"] == "conversation_not_found"
    assert here.run(EXPORT).output.startswith("2 threads with 4 messages became")


BROKEN: list[tuple[Any, str]] = [
    ('{"object": "thread', "it is not JSON"),
    ("[1]", "it is not a JSON object"),
    ({"id": "x"}, "'object' is nothing, not 'thread' or 'thread.message'"),
    ({"id": "x", "object": "fred"}, "'object' is 'fred', not 'thread' or 'thread.message'"),
    (thread(""), "'id' is missing or no text"),
    (thread("thread_x", created_at="today"), "'created_at' is missing or not in seconds"),
    (thread("thread_x", metadata={"a": 1}), "'metadata' is not an object of texts"),
    (message("m", "thread_x", 1, "hi", role="tool"), "'role' is not 'user' or 'assistant'"),
    (message("m", "thread_x", 1, None), "'content' is not a list of parts"),
    (message("m", "thread_x", 1, [{"type": "video"}]), "'content' has a part that is no text"),
    (message("m", "thread_x", 1, "hi", attachments=1), "'attachments' is not a list"),
]


@pytest.mark.requirement("assistants:import:malformed")
@pytest.mark.parametrize(("line", "why"), BROKEN, ids=[why for _, why in BROKEN])
def test_a_malformed_line_is_named_and_nothing_is_imported(
    here: Place, line: Any, why: str
) -> None:
    refused = here.run([*EXPORT, "", line])
    assert refused.exit_code == 1
    assert f"line {len(EXPORT) + 2}: {why}" in refused.output
    assert "nothing was imported" in refused.output
    missing = here.ask("GET", f"/v1/conversations/{conversations()[0]}")
    assert missing["error"]["code"] == "conversation_not_found"


@pytest.mark.requirement("assistants:import:malformed")
def test_threads_without_malformed_lines_can_be_imported_alone(here: Place) -> None:
    broken = message("msg_0", "thread_a", 1, None)
    done = here.run([*EXPORT, broken], "--skip-malformed")
    assert done.exit_code == 0
    assert done.output.splitlines()[:3] == [
        "1 thread with 1 message became conversations of project default",
        "1 thread skipped:",
        "line 8: 'content' is not a list of parts",
    ]
    missing = here.ask("GET", f"/v1/conversations/{conversations()[0]}")
    assert missing["error"]["code"] == "conversation_not_found"
    unknown = here.run([*EXPORT, "{"], "--skip-malformed")
    assert unknown.exit_code == 1 and "no thread is left" in unknown.output


@pytest.mark.requirement("assistants:import:locked")
def test_a_store_in_use_is_explained(here: Place) -> None:
    async def beside_a_server() -> Result:
        app = App(here.config)
        await app.open()
        try:
            return await asyncio.to_thread(here.run, EXPORT)
        finally:
            await app.close()

    refused = asyncio.run(beside_a_server())
    assert refused.exit_code == 1
    assert "Stop the server that uses it" in refused.output


@pytest.mark.requirement("assistants:import:order")
@pytest.mark.parametrize("newest_first", [False, True])
def test_messages_of_one_second_keep_the_order_of_the_file(newest_first: bool) -> None:
    lines = [message(f"m{n}", "t", n // 3, f"{n}") for n in range(9)]
    if newest_first:
        lines.reverse()
    export = read([json.dumps(line).encode() for line in lines])
    assert [item["id"] for item in export.threads[0].items] == [f"m{n}" for n in range(9)]
    assert importable(export) == export.threads


@pytest.mark.requirement("assistants:import:order")
def test_ids_that_come_twice_or_are_too_long_are_replaced() -> None:
    lines = [message(id, "t", n, "x") for n, id in enumerate(["m", "m", "l" * 65])]
    items = read([json.dumps(line).encode() for line in lines]).threads[0].items
    assert items[0]["id"] == "m" and len({item["id"] for item in items}) == 3
    assert all(len(item["id"]) <= 64 for item in items)


@pytest.mark.requirement("assistants:import:order")
def test_a_message_that_is_told_twice_is_imported_once() -> None:
    first, second = message("m1", "t", 1, "x"), message("m2", "t", 2, "y")
    pages = [[first, second], [second], [message("m2", "t", 3, "y")]]
    lines = [json.dumps({"object": "list", "data": page}).encode() for page in pages]
    found = read(lines)
    said = [item["content"][0]["text"] for item in found.threads[0].items]
    assert said == ["x", "y", "y"] and found.left_out == {"repeated message": 1}
