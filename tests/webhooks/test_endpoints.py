"""Webhook endpoints over the official client, and what is refused."""

from __future__ import annotations

import asyncio
import base64
from pathlib import Path
from typing import Any

import pytest
from openai import AsyncOpenAI, BadRequestError, InternalServerError, NotFoundError

from antiphon.app import App, running
from tests.webhooks.conftest import ENDED, Receiver, client_of, config

pytestmark = pytest.mark.anyio


async def made(client: AsyncOpenAI, **other: Any) -> Any:
    given: dict[str, Any] = {
        "name": "mine",
        "url": "https://example.com/hooks",
        "event_types": ["response.completed"],
        **other,
    }
    return await client.webhooks.create(**given)


@pytest.mark.requirement("webhooks:endpoints:lifecycle")
async def test_an_endpoint_lives_as_the_client_knows_it(client: AsyncOpenAI) -> None:
    created = await made(client)
    shown = created.to_dict()
    secret = shown.pop("signing_secret")
    assert set(shown) == {
        "id",
        "object",
        "created_at",
        "updated_at",
        "name",
        "url",
        "event_types",
        "signing_secret_hint",
    }
    assert created.object == "webhook_endpoint"
    assert created.updated_at == created.created_at
    assert isinstance(secret, str)
    assert secret.startswith("whsec_")
    assert len(base64.b64decode(secret.removeprefix("whsec_"), validate=True)) == 32
    assert created.signing_secret_hint == f"whsec_...{secret[-4:]}"

    retrieved = await client.webhooks.retrieve(created.id)
    assert retrieved.to_dict() == shown
    changed = await client.webhooks.update(
        created.id, name="other", event_types=["response.failed", "response.failed"]
    )
    assert (changed.name, changed.event_types) == ("other", ["response.failed"])
    assert changed.url == created.url
    assert (await client.webhooks.update(created.id)).to_dict() == changed.to_dict()
    deleted = await client.webhooks.delete(created.id)
    assert deleted.to_dict() == {
        "id": created.id,
        "object": "webhook_endpoint.deleted",
        "deleted": True,
    }
    with pytest.raises(NotFoundError) as caught:
        await client.webhooks.retrieve(created.id)
    assert caught.value.code == "webhook_endpoint_not_found"
    assert caught.value.param == "webhook_endpoint_id"


@pytest.mark.requirement("webhooks:endpoints:pages")
async def test_pages_are_followed_by_the_client(client: AsyncOpenAI) -> None:
    ids = [(await made(client, name=f"n{number}")).id for number in range(5)]
    assert [one.id async for one in client.webhooks.list(limit=2)] == ids[::-1]
    page = await client.webhooks.list(limit=2)
    assert page.has_more
    assert [one.id for one in page.data] == [ids[4], ids[3]]
    with pytest.raises(BadRequestError) as caught:
        await client.webhooks.list(after="we_nobody")
    assert caught.value.param == "after"
    types = await client.webhooks.event_types.list()
    assert types.to_dict() == {"object": "list", "data": ENDED}


@pytest.mark.requirement("webhooks:endpoints:refused")
@pytest.mark.parametrize(
    ("given", "param", "code"),
    [
        ({"event_types": []}, "event_types", "array_below_min_length"),
        ({"event_types": ["response.odd"]}, "event_types[0]", "invalid_value"),
        (
            {"event_types": ["response.failed", "batch.completed"]},
            "event_types[1]",
            "unsupported_value",
        ),
        ({"name": ""}, "name", "string_below_min_length"),
        ({"name": "x" * 257}, "name", "string_above_max_length"),
        ({"url": "http://example.com/"}, "url", "invalid_value"),
        ({"url": "https:///hooks"}, "url", "invalid_value"),
        ({"url": "ftp://example.com/"}, "url", "invalid_value"),
        ({"url": "example.com/hooks"}, "url", "invalid_value"),
        ({"url": "https://exa mple.com/"}, "url", "invalid_value"),
        ({"url": "https://example.com:port/"}, "url", "invalid_value"),
        ({"url": "https://[::1/"}, "url", "invalid_value"),
        ({"url": "https://me:secret@example.com/"}, "url", "invalid_value"),
        ({"url": "https://127.0.0.1/"}, "url", "invalid_value"),
        ({"url": "https://2130706433/"}, "url", "invalid_value"),
        ({"url": "https://0177.0.0.1/"}, "url", "invalid_value"),
        ({"url": "https://[::ffff:10.0.0.1]/"}, "url", "invalid_value"),
        ({"url": "https://169.254.169.254/latest"}, "url", "invalid_value"),
        ({"url": "https://example.com/" + "x" * 2048}, "url", "string_above_max_length"),
        ({"extra_body": {"description": "x"}}, "description", "unknown_parameter"),
    ],
)
async def test_what_is_wrong_is_named(
    tmp_path: Path, given: dict[str, Any], param: str, code: str
) -> None:
    strict = config(tmp_path, allow_http=False, allowed=[])
    async with running(strict) as app, client_of(app) as client:
        with pytest.raises(BadRequestError) as caught:
            await made(client, **given)
        assert (caught.value.param, caught.value.code) == (param, code)
        assert (await client.webhooks.list()).data == []


@pytest.mark.requirement("webhooks:endpoints:tenants")
async def test_another_projects_endpoint_is_not_found(tmp_path: Path) -> None:
    async with (
        running(config(tmp_path, keys=["sk-one", "sk-two"])) as app,
        client_of(app, "sk-one") as one,
        client_of(app, "sk-two") as two,
    ):
        id = (await made(one)).id
        asks = [
            two.webhooks.retrieve(id),
            two.webhooks.update(id, name="x"),
            two.webhooks.rotate_secret(id),
            two.webhooks.test(id, event_type="response.completed"),
            two.webhooks.delete(id),
        ]
        for ask in asks:
            with pytest.raises(NotFoundError) as caught:
                await ask
            assert caught.value.code == "webhook_endpoint_not_found"
        assert (await two.webhooks.list()).data == []
        assert (await one.webhooks.retrieve(id)).name == "mine"


@pytest.mark.requirement("webhooks:endpoints:test")
async def test_a_test_is_delivered_at_once_and_tells_the_status(
    client: AsyncOpenAI, receiver: Receiver
) -> None:
    endpoint = await made(client, url=receiver.url)
    receiver.statuses = [200, 503]
    for status in (200, 503):
        result = await client.webhooks.test(endpoint.id, event_type="response.failed")
        assert result.to_dict() == {
            "object": "webhook_endpoint.test",
            "webhook_endpoint_id": endpoint.id,
            "event_type": "response.failed",
            "status_code": status,
            "success": True,
        }
    headers, body = receiver.arrived[0]
    event = client.webhooks.unwrap(body, headers, secret=endpoint.signing_secret)
    assert event.type == "response.failed"
    assert event.data.id.startswith("resp_")
    assert (await client.webhooks.retrieve(endpoint.id)).updated_at == endpoint.updated_at
    await receiver.stop()
    with pytest.raises(BadRequestError) as caught:
        await client.webhooks.test(endpoint.id, event_type="response.failed")
    assert caught.value.code == "webhook_delivery_failed"
    with pytest.raises(BadRequestError) as caught:
        await client.webhooks.test(endpoint.id, event_type="batch.failed")
    assert (caught.value.param, caught.value.code) == ("event_type", "unsupported_value")


@pytest.mark.requirement("webhooks:endpoints:sealed")
async def test_secrets_are_sealed_where_they_are_stored(tmp_path: Path) -> None:
    async with running(config(tmp_path)) as app, client_of(app) as client:
        first = await made(client)
        second = await client.webhooks.rotate_secret(
            first.id, keep_old_secret_active_for_24_hours=True
        )
    kept = (tmp_path / "antiphon.db").read_bytes()
    assert b"example.com/hooks" in kept
    for secret in (first.signing_secret, second.signing_secret):
        assert secret.encode() not in kept
        assert secret.removeprefix("whsec_").encode() not in kept
        assert base64.b64decode(secret.removeprefix("whsec_")) not in kept


@pytest.mark.requirement("webhooks:endpoints:sealed")
async def test_replicas_without_a_common_key_say_what_to_set(
    postgres_url: str, tmp_path: Path
) -> None:
    async with running(config(tmp_path, store=postgres_url)) as app, client_of(app) as client:
        with pytest.raises(InternalServerError, match=r"encryption\.key"):
            await made(client)
        assert (await client.webhooks.list()).data == []


@pytest.mark.requirement("webhooks:endpoints:azure")
@pytest.mark.parametrize("path", ["/openai/v1/dashboard", "/openai/v1"])
async def test_azures_paths_and_objects(app: App, receiver: Receiver, path: str) -> None:
    async with client_of(app, path=path) as client:
        client._strict_response_validation = False  # Azure's objects have another name
        created = await made(client, url=receiver.url)
        assert created.to_dict()["object"] == "webhook.endpoint"
        (listed,) = (await client.webhooks.list()).data
        assert listed.to_dict()["object"] == "webhook.endpoint"
        changed = await client.webhooks.update(created.id, name="new")
        assert changed.name == "new"
        tested = await client.webhooks.test(created.id, event_type="response.completed")
        assert tested.to_dict()["object"] == "webhook.endpoint.test"
        assert (await client.webhooks.event_types.list()).data == ENDED
        deleted = await client.webhooks.delete(created.id)
        assert deleted.to_dict()["object"] == "webhook.endpoint.deleted"


@pytest.mark.requirement("webhooks:guard:connection")
async def test_a_name_that_means_this_machine_is_not_called(tmp_path: Path) -> None:
    receiver = Receiver()
    await receiver.start()
    async with running(config(tmp_path, allowed=[])) as app, client_of(app) as client:
        endpoint = await made(client, url=f"http://localhost:{receiver.port}/")
        with pytest.raises(BadRequestError, match="its address is not public"):
            await client.webhooks.test(endpoint.id, event_type="response.completed")
    allowing = config(tmp_path / "other", allowed=["localhost"])
    async with running(allowing) as app, client_of(app) as client:
        endpoint = await made(client, url=f"http://localhost:{receiver.port}/")
        await client.webhooks.test(endpoint.id, event_type="response.completed")
    assert len(receiver.arrived) == 1
    await receiver.stop()
    await asyncio.sleep(0)


@pytest.mark.requirement("webhooks:guard:settings")
@pytest.mark.parametrize("allowed", ["10.0.0.0/33", "1.2.3", "a b", "https://x", ""])
def test_the_setting_takes_networks_addresses_and_names(allowed: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="networks, addresses and host names"):
        config(tmp_path, allowed=[allowed])
