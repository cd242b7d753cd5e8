"""A server that encrypts what it stores: the same answers, another file."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from antiphon.app import purge, running
from antiphon.cli import main
from antiphon.config import Config, ScriptedSettings, StoreSettings
from antiphon.config_state import EncryptionSettings
from antiphon.errors import ClientError, RemoteError
from antiphon.runs import stored
from antiphon.sealing.keys import KEY_FILE
from antiphon.store.keys import ProjectContent
from antiphon.types.codec import decode_create
from antiphon.types.resources import CreateConversation
from tests.runs.rig import text_of

pytestmark = pytest.mark.anyio

PROJECT = "default"


def config(data: Path, *, at_rest: bool = True) -> Config:
    return Config(
        store=StoreSettings(data=str(data)),
        backends=(ScriptedSettings(),),
        encryption=EncryptionSettings(at_rest=at_rest),
    )


def in_all_files(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.iterdir())


async def said(data: Path, text: str, parent: str | None = None) -> tuple[str, str]:
    """One turn on a server that is started for it: the response's id and what it answered."""
    body = {"model": "scripted/recall", "input": text, "previous_response_id": parent}
    async with running(config(data)) as app:
        asked = decode_create(msgspec.json.encode(body))
        listener = await app.runs.create(asked, project=PROJECT)
        response = await listener.finish()
        shown = await stored.retrieve(app.runs, PROJECT, response.id)
        assert msgspec.json.decode(shown)["id"] == response.id
        return response.id, text_of(response)


@pytest.mark.requirement("sealing:rest:server")
async def test_conversations_go_on_after_a_restart_and_the_file_says_nothing(
    tmp_path: Path,
) -> None:
    first, _ = await said(tmp_path, "My name is Wilhelmina.")
    _, answer = await said(tmp_path, "Who am I?", first)
    assert answer == "Your name is Wilhelmina."
    everything = in_all_files(tmp_path)
    assert b"Wilhelmina" not in everything and first.encode() in everything


@pytest.mark.requirement("sealing:rest:server")
async def test_what_is_encrypted_is_not_served_by_mistake_without_its_key(tmp_path: Path) -> None:
    await said(tmp_path, "hello")
    with pytest.raises(RemoteError, match=r"encryption\.at_rest = true"):
        async with running(config(tmp_path, at_rest=False)):
            pass
    os.unlink(tmp_path / KEY_FILE)
    with pytest.raises(RemoteError, match=r"encryption\.key"):
        await said(tmp_path, "again")


@pytest.mark.requirement("sealing:rest:server")
@pytest.mark.parametrize("at_rest", [True, False])
@pytest.mark.parametrize("key", ["hunter2", " ", ","])
async def test_a_master_key_that_is_none_is_told_at_the_start(
    tmp_path: Path, key: str, at_rest: bool
) -> None:
    mistaken = EncryptionSettings(key=key, at_rest=at_rest)
    settings = msgspec.structs.replace(config(tmp_path), encryption=mistaken)
    with pytest.raises(RemoteError, match="an encryption key is 32 random bytes") as said:
        async with running(settings):
            pass
    assert "hunter2" not in str(said.value)


@pytest.mark.requirement("sealing:rest:purge")
async def test_purge_by_name(tmp_path: Path) -> None:
    first, _ = await said(tmp_path, "My name is Wilhelmina.")
    assert await purge(config(tmp_path), PROJECT)
    with pytest.raises(ClientError) as gone:
        await said(tmp_path, "Who am I?", first)
    assert gone.value.code == "content_erased"


@pytest.mark.requirement("sealing:rest:purge")
def test_purge_on_the_command_line(tmp_path: Path) -> None:
    run = CliRunner()
    asked = ["purge", "default", "--data", str(tmp_path)]
    mistaken = run.invoke(main, [*asked, "--yes"])
    assert mistaken.exit_code == 1 and "there is no database at" in mistaken.output
    assert not any(tmp_path.iterdir())
    assert run.invoke(main, ["migrate", "--data", str(tmp_path)]).exit_code == 0
    refused = run.invoke(main, asked, input="n\n")
    assert refused.exit_code == 1 and "Nobody can undo this" in refused.output
    nothing = run.invoke(main, [*asked, "--yes"])
    assert nothing.exit_code == 1 and "has no key" in nothing.output


@pytest.mark.requirement("sealing:rest:purge")
async def test_a_purge_while_a_conversation_is_answered_keeps_nobody_waiting(
    tmp_path: Path,
) -> None:
    async with running(config(tmp_path)) as app:
        threads = app.runs.threads
        made = msgspec.json.decode(await threads.create(PROJECT, CreateConversation()))
        body = {"model": "scripted/slow-20ms", "input": "Hi", "stream": True}
        body["conversation"] = made["id"]
        listener = await app.runs.create(decode_create(msgspec.json.encode(body)), project=PROJECT)
        assert isinstance(app.content, ProjectContent)
        await app.content.drop(PROJECT)
        async with asyncio.timeout(5):
            with pytest.raises(RemoteError, match="could not be stored"):
                await listener.finish()
        assert not app.runs.live
