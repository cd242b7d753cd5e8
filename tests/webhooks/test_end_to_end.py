"""A background response ends, and its owner hears of it: over real sockets, with the client's own
check of the signature."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import msgspec
import openai
import pytest
from openai import AsyncOpenAI

from antiphon.app import App, running
from antiphon.config import StoreSettings
from antiphon.config_state import EncryptionSettings
from tests.process.server import Server
from tests.webhooks.conftest import ENDED, Receiver, Tried, client_of, config

pytestmark = pytest.mark.anyio


async def listening(client: AsyncOpenAI, receiver: Receiver, *types: str) -> Any:
    return await client.webhooks.create(
        name="mine",
        url=receiver.url,
        event_types=list(types) or ENDED,  # type: ignore[arg-type]
    )


async def over(client: AsyncOpenAI, id: str) -> Any:
    for _ in range(500):
        found = await client.responses.retrieve(id)
        if found.status not in ("queued", "in_progress"):
            return found
        await asyncio.sleep(0.02)
    raise AssertionError("it is not over")


async def asked(client: AsyncOpenAI, model: str, **other: Any) -> Any:
    return await client.responses.create(
        model=f"scripted/{model}", input="Hello", background=True, **other
    )


@pytest.mark.requirement("webhooks:delivery:signed")
@pytest.mark.requirement("webhooks:delivery:events")
async def test_every_way_to_end_is_told_and_the_client_unwraps_it(
    client: AsyncOpenAI, receiver: Receiver
) -> None:
    endpoint = await listening(client, receiver)
    ended = {}
    for model, other in (
        ("hello", {}),
        ("error-after-3", {}),
        ("long-200", {"max_output_tokens": 16}),
        ("slow-200ms", {}),
    ):
        response = await asked(client, model, **other)
        if model.startswith("slow"):
            await client.responses.cancel(response.id)
        found = await over(client, response.id)
        ended[found.id] = f"response.{found.status}"
    assert sorted(ended.values()) == sorted(ENDED)
    await receiver.until(4)
    told = {}
    for headers, body in receiver.arrived:
        event: Any = client.webhooks.unwrap(body, headers, secret=endpoint.signing_secret)
        assert (event.object, set(event.to_dict())) == (
            "event",
            {"id", "object", "type", "created_at", "data"},
        )
        assert event.id.startswith("evt_")
        assert event.data.to_dict().keys() == {"id"}
        assert abs(event.created_at - time.time()) < 60
        assert headers["content-type"] == "application/json"
        assert headers[":path"] == "/hooks"
        told[event.data.id] = event.type
        with pytest.raises(openai.InvalidWebhookSignatureError):
            client.webhooks.unwrap(body + b" ", headers, secret=endpoint.signing_secret)
    assert told == ended
    ids = [headers["webhook-id"] for headers, _ in receiver.arrived]
    assert len(set(ids)) == 4


@pytest.mark.requirement("webhooks:delivery:only-background")
async def test_only_background_responses_of_types_that_were_asked_for_are_told(
    client: AsyncOpenAI, receiver: Receiver, app: App
) -> None:
    await listening(client, receiver, "response.completed")
    await client.responses.create(model="scripted/hello", input="Hello")
    failed = await asked(client, "error-after-3")
    assert (await over(client, failed.id)).status == "failed"
    completed = await asked(client, "hello")
    await over(client, completed.id)
    await receiver.until(1)
    await app.deliveries.take()
    await app.deliveries.idle()
    (one,) = receiver.arrived
    assert completed.id.encode() in one[1]


@pytest.mark.requirement("webhooks:delivery:rotation")
async def test_during_a_rotation_both_secrets_check(
    client: AsyncOpenAI, receiver: Receiver
) -> None:
    endpoint = await listening(client, receiver)
    first = endpoint.signing_secret
    rotated = await client.webhooks.rotate_secret(
        endpoint.id, keep_old_secret_active_for_24_hours=True
    )
    second = rotated.signing_secret
    await over(client, (await asked(client, "hello")).id)
    (headers, body), *_ = await receiver.until(1)
    assert len(headers["webhook-signature"].split()) == 2
    for secret in (first, second):
        client.webhooks.unwrap(body, headers, secret=secret)
    third = (await client.webhooks.rotate_secret(endpoint.id)).signing_secret
    await over(client, (await asked(client, "hello")).id)
    (headers, body) = (await receiver.until(2))[1]
    client.webhooks.unwrap(body, headers, secret=third)
    for secret in (first, second):
        with pytest.raises(openai.InvalidWebhookSignatureError):
            client.webhooks.unwrap(body, headers, secret=secret)


@pytest.mark.requirement("webhooks:delivery:restart")
async def test_the_outbox_outlives_the_process(
    store_settings: StoreSettings,
    tmp_path: Path,
    receiver: Receiver,
    monkeypatch: pytest.MonkeyPatch,
    seal_key: EncryptionSettings,
) -> None:
    monkeypatch.setattr("antiphon.runs.deliveries.FIRST_DELAY_MS", 100)
    await receiver.stop()  # nobody is there
    settings = msgspec.structs.replace(
        config(tmp_path, store=store_settings.url), encryption=seal_key
    )
    async with running(settings) as app, client_of(app) as client:
        tried = Tried(app.observe)
        endpoint = await listening(client, receiver)
        response = await asked(client, "hello")
        await over(client, response.id)
        async with asyncio.timeout(10):
            await tried.news.wait()
        assert (tried.seen[0].outcome, tried.seen[0].reason) == ("failed", "it cannot be reached")
    await receiver.start()
    async with running(settings) as app, client_of(app) as client:
        await receiver.until(1)
        headers, body = receiver.arrived[0]
        event: Any = client.webhooks.unwrap(body, headers, secret=endpoint.signing_secret)
        assert event.data.id == response.id
        assert headers["webhook-id"] == tried.seen[0].delivery_id


@pytest.mark.requirement("webhooks:delivery:kill")
async def test_what_a_killed_process_had_written_is_delivered_by_the_next(
    tmp_path: Path, receiver: Receiver
) -> None:
    environment = {
        "ANTIPHON__WEBHOOKS__ALLOW_HTTP": "true",
        "ANTIPHON__WEBHOOKS__ALLOWED": "127.0.0.1",
    }
    receiver.hangs = 0.5
    data = tmp_path / "data"

    async def first_life() -> tuple[Any, Any]:
        with Server(data, environment=environment) as server:
            async with AsyncOpenAI(
                api_key="any", base_url=f"http://{server.host}:{server.port}/v1", max_retries=0
            ) as client:
                endpoint = await listening(client, receiver)
                response = await asked(client, "hello")
                await receiver.until(1)  # it is being delivered, and not answered yet
                server.process.kill()
                server.process.wait(10)
        return endpoint, response

    endpoint, response = await first_life()
    receiver.hangs = 0
    settings = config(data)
    async with running(settings) as app:
        ids = app.ids
        real = ids.clock
        ids.clock = lambda: real() + 31_000  # past the lease of the dead
        app.deliveries._stored._clock = ids.clock
        app.webhooks.wake()
        await receiver.until(2)
    (first, body), (second, again) = receiver.arrived[:2]
    assert first["webhook-id"] == second["webhook-id"]
    assert body == again
    assert response.id.encode() in body
    assert endpoint.id.startswith("we_")
