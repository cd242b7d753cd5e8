"""The header Idempotency-Key over each database."""

from __future__ import annotations

from typing import Any

import httpx2
import pytest

from antiphon.app import running
from antiphon.config import Config, ScriptedSettings, StoreSettings

pytestmark = pytest.mark.anyio

CHAT: dict[str, Any] = {"messages": [{"role": "user", "content": "Hi."}]}


@pytest.mark.requirement("idempotency:freed")
@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("chat/completions", {**CHAT, "model": "nobody's"}, 404),
        ("chat/completions", {**CHAT, "model": "scripted/echo", "modalities": ["audio"]}, 400),
        ("responses", {"model": "nobody's", "input": "Hi."}, 404),
        ("responses", {"model": "nobody's", "input": "Hi.", "background": True}, 404),
        ("conversations", {"items": [{"type": "item_reference", "id": "msg_none"}]}, 404),
    ],
)
async def test_who_is_refused_may_come_again_at_once(
    store_settings: StoreSettings, path: str, body: dict[str, Any], status: int
) -> None:
    config = Config(store=store_settings, backends=(ScriptedSettings(),))
    async with (
        running(config) as app,
        httpx2.AsyncClient(
            transport=httpx2.ASGITransport(app=app.asgi),
            base_url="http://antiphon/v1",
            headers={"idempotency-key": "k"},
        ) as client,
    ):
        for _ in range(5):
            assert (await client.post(path, json=body)).status_code == status
