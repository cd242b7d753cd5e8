"""Chat completions in Azure's flavour: its client, its paths, its deployments."""

from __future__ import annotations

from typing import Any

import pytest
from openai import AsyncOpenAI, NotFoundError

from tests.azure.conftest import Site
from tests.azure.test_clients import azure, http
from tests.server.completions import HI
from tests.server.conftest import over_asgi

pytestmark = [pytest.mark.anyio, over_asgi]


@pytest.mark.requirement("completions:client")
async def test_azures_client_reaches_a_deployment(locked_site: Site) -> None:
    async with azure(locked_site) as client:
        answer = await client.chat.completions.create(model="gpt-4o", messages=HI)
        assert answer.choices[0].message.content == "hi"
        assert answer.model == "scripted/echo"
        stream = await client.chat.completions.create(model="gpt-4o", messages=HI, stream=True)
        said = "".join([chunk.choices[0].delta.content or "" async for chunk in stream])
        assert said == "hi"


@pytest.mark.requirement("completions:client")
async def test_the_plain_client_works_under_azures_v1(locked_site: Site) -> None:
    async with AsyncOpenAI(
        api_key="sk-alpha",
        base_url="http://antiphon/openai/v1/",
        http_client=http(locked_site),
        max_retries=0,
    ) as client:
        answer = await client.chat.completions.create(model="gpt-4o", messages=HI, store=True)
        assert answer.choices[0].message.content == "hi"
        assert [one.id async for one in client.chat.completions.list()] == [answer.id]
        assert (await client.chat.completions.delete(answer.id)).deleted


@pytest.mark.requirement("completions:client")
async def test_an_emulated_resource_knows_its_deployments_only(locked_site: Site) -> None:
    settings: Any = {"emulate": True, "region": "eastus"}
    async with azure(locked_site, **settings) as client:
        answer = await client.chat.completions.create(model="gpt-4o", messages=HI)
        assert answer.choices[0].message.content == "hi"
        with pytest.raises(NotFoundError) as missing:
            await client.chat.completions.create(model="nowhere", messages=HI)
        assert missing.value.code == "DeploymentNotFound"
