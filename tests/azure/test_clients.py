"""The official clients: the samples of Azure's page as they stand, and the plain client on v1."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
from openai import (
    AsyncAzureOpenAI,
    AsyncOpenAI,
    AuthenticationError,
    BadRequestError,
    NotFoundError,
)

from tests.azure.conftest import Site
from tests.server.conftest import over_asgi

pytestmark = [pytest.mark.anyio, over_asgi]


def http(site: Site, **settings: Any) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(transport=httpx2.ASGITransport(app=site.app(**settings)))


def azure(site: Site, version: str = "2025-03-01-preview", **settings: Any) -> AsyncAzureOpenAI:
    return AsyncAzureOpenAI(
        api_key="sk-alpha",
        api_version=version,
        azure_endpoint="http://antiphon",
        http_client=http(site, **settings),
        max_retries=0,
        _strict_response_validation=True,
    )


@pytest.fixture
async def client(locked_site: Site) -> AsyncIterator[AsyncAzureOpenAI]:
    async with azure(locked_site) as client:
        yield client


@pytest.mark.requirement("azure:clients:page-samples")
async def test_the_sample_that_creates_and_retrieves(client: AsyncAzureOpenAI) -> None:
    response = await client.responses.create(model="gpt-4o", input="This is a test.")
    assert response.status == "completed"
    assert response.output_text == "This is a test."
    assert response.to_dict()["content_filters"] == []
    again = await client.responses.retrieve(response.id)
    assert again.to_dict() == response.to_dict()


@pytest.mark.requirement("azure:clients:page-samples")
async def test_the_sample_with_instructions(client: AsyncAzureOpenAI) -> None:
    response = await client.responses.create(
        model="pirate",
        instructions="Talk like a pirate.",
        input="Are semicolons optional in JavaScript?",
    )
    assert response.instructions == "Talk like a pirate."
    assert "Talk like a pirate." in response.output_text


@pytest.mark.requirement("azure:clients:page-samples")
async def test_the_sample_with_a_developer_message(client: AsyncAzureOpenAI) -> None:
    response = await client.responses.create(
        model="gpt-4o",
        input=[
            {"role": "developer", "content": "Talk like a pirate."},
            {"role": "user", "content": "Are semicolons optional in JavaScript?"},
        ],
    )
    assert response.output_text == "Are semicolons optional in JavaScript?"
    items = await client.responses.input_items.list(response.id, order="asc")
    assert [item.role for item in items.data] == ["developer", "user"]  # type: ignore[union-attr]


@pytest.mark.requirement("azure:clients:page-samples")
async def test_the_other_calls_of_the_page(client: AsyncAzureOpenAI) -> None:
    first = await client.responses.create(model="gpt-4o", input="Remember seven.")
    second = await client.responses.create(
        model="gpt-4o",
        previous_response_id=first.id,
        input=[{"role": "user", "content": "Explain this."}],
    )
    assert second.previous_response_id == first.id
    stream = await client.responses.create(model="gpt-4o", input="Stream me.", stream=True)
    texts = [event.delta async for event in stream if event.type == "response.output_text.delta"]
    assert "".join(texts) == "Stream me."
    await client.responses.delete(first.id)
    with pytest.raises(NotFoundError):
        await client.responses.retrieve(first.id)


@pytest.mark.requirement("azure:paths:rewritten")
async def test_a_client_bound_to_a_deployment_works(locked_site: Site) -> None:
    async with AsyncAzureOpenAI(
        azure_ad_token="sk-alpha",
        api_version="2025-04-01-preview",
        azure_endpoint="http://antiphon",
        azure_deployment="gpt-4o",
        http_client=http(locked_site),
        max_retries=0,
    ) as client:
        response = await client.responses.create(model="gpt-4o", input="Hi.")
        assert response.output_text == "Hi."


@pytest.mark.requirement("azure:clients:v1")
async def test_the_plain_client_works_on_v1(locked_site: Site) -> None:
    async with AsyncOpenAI(
        api_key="sk-alpha",
        base_url="http://antiphon/openai/v1/",
        http_client=http(locked_site),
        max_retries=0,
        _strict_response_validation=True,
    ) as client:
        made = await client.responses.create(model="gpt-4o", input="Hi.")
        assert made.output_text == "Hi."
        assert [model.id async for model in client.models.list()]


@pytest.mark.requirement("azure:clients:v1")
async def test_azures_client_works_on_v1_too(locked_site: Site) -> None:
    async with AsyncAzureOpenAI(
        api_key="sk-alpha",
        api_version="preview",
        base_url="http://antiphon/openai/v1/",
        http_client=http(locked_site),
        max_retries=0,
    ) as client:
        assert (await client.responses.create(model="gpt-4o", input="Hi.")).output_text == "Hi."


@pytest.mark.requirement("azure:errors:gateway")
async def test_the_client_raises_its_usual_errors(locked_site: Site) -> None:
    async with azure(locked_site, "2024-10-21") as old:
        with pytest.raises(BadRequestError) as refused:
            await old.responses.create(model="gpt-4o", input="Hi.")
        assert refused.value.code == "BadRequest"
    async with azure(locked_site, emulate=True, region="eastus") as emulated:
        with pytest.raises(BadRequestError) as lacking:
            await emulated.responses.create(model="gpt-4o", input="Hi.", tool_choice="none")
        assert lacking.value.param == "tool_choice"
        with pytest.raises(NotFoundError) as missing:
            await emulated.responses.create(model="nobody", input="Hi.")
        assert missing.value.code == "DeploymentNotFound"
        with pytest.raises(AuthenticationError) as locked:
            await emulated.with_options(api_key="wrong").responses.create(model="x", input="Hi.")
        assert locked.value.code == "401"
