"""Ids nobody could have been given, over each database: missing, never a failure of ours."""

from __future__ import annotations

import base64
import random
import string
from typing import Any

import httpx2
import pytest

from antiphon.app import running
from antiphon.config import Config, ScriptedSettings, StoreSettings
from antiphon.config_state import EncryptionSettings

pytestmark = pytest.mark.anyio

_MESSAGE = {"type": "message", "role": "user", "content": "Hi"}
_ENDPOINT = {
    "name": "hooks",
    "url": "https://example.com/hooks",
    "event_types": ["response.completed"],
}


@pytest.mark.requirement("store:databases:odd-ids")
async def test_an_id_with_nul_is_missing_or_refused(store_settings: StoreSettings) -> None:
    encryption = EncryptionSettings(key=base64.b64encode(bytes(32)).decode())
    config = Config(store=store_settings, backends=(ScriptedSettings(),), encryption=encryption)
    async with (
        running(config) as app,
        httpx2.AsyncClient(
            transport=httpx2.ASGITransport(app=app.asgi), base_url="http://antiphon/v1"
        ) as client,
    ):

        async def status(method: str, path: str, body: Any = None) -> int:
            return (await client.request(method, path, json=body)).status_code

        conversation = (await client.post("conversations", json={})).json()["id"]
        metadata = {"metadata": {}}
        assert await status("DELETE", "conversations/%00") == 404
        assert await status("POST", "conversations/%00", metadata) == 404
        assert await status("POST", "conversations/%00/items", {"items": [_MESSAGE]}) == 404
        assert await status("DELETE", f"conversations/{conversation}/items/%00") == 404
        assert await status("POST", "responses/%00/cancel") == 404
        assert await status("DELETE", "responses/%00") == 404
        assert await status("POST", "chat/completions/%00", metadata) == 404
        assert await status("DELETE", "chat/completions/%00") == 404
        assert await status("DELETE", "webhook_endpoints/%00") == 404
        assert await status("POST", "webhook_endpoints/%00/rotate_secret", {}) == 404
        assert await status("POST", "webhook_endpoints", {**_ENDPOINT, "name": "a\0"}) == 400
        made = (await client.post("webhook_endpoints", json=_ENDPOINT)).json()["id"]
        assert await status("POST", f"webhook_endpoints/{made}", {"name": "a\0"}) == 400
        for background in (False, True):
            asked = {"model": "scripted/echo", "input": "Hi", "background": background}
            assert await status("POST", "responses", {**asked, "conversation": "a\0"}) == 404


@pytest.mark.requirement("store:databases:odd-ids")
@pytest.mark.parametrize("kind", ["nul", "long"])
async def test_an_item_whose_id_cannot_be_a_key_gets_another(
    store_settings: StoreSettings, kind: str
) -> None:
    chance = random.Random(1)
    id = "a\0b" if kind == "nul" else "".join(chance.choices(string.ascii_letters, k=9_000))
    config = Config(store=store_settings, backends=(ScriptedSettings(),))
    async with (
        running(config) as app,
        httpx2.AsyncClient(
            transport=httpx2.ASGITransport(app=app.asgi), base_url="http://antiphon/v1"
        ) as client,
    ):
        item = {**_MESSAGE, "id": id}
        made = await client.post("conversations", json={"items": [item]})
        assert made.status_code == 200, made.text
        conversation = made.json()["id"]
        added = await client.post(f"conversations/{conversation}/items", json={"items": [item]})
        assert added.status_code == 200, added.text
        asked = {"model": "scripted/echo", "input": [item], "conversation": conversation}
        answered = await client.post("responses", json=asked)
        assert answered.status_code == 200, answered.text
        listed = (await client.get(f"conversations/{conversation}/items")).json()["data"]
        assert len({one["id"] for one in listed}) == 4
        assert all(len(one["id"]) < 512 and "\0" not in one["id"] for one in listed)
