"""Functions behind an address: what is sent, what comes back, what can go wrong."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from antiphon.config_sources import ConfigError, load
from antiphon.config_state import FunctionSettings
from antiphon.tools.base import ToolFailed
from antiphon.tools.functions import OUTPUT_BYTES_MAX, HttpFunction
from tests.tools.functions import Functions, functions

pytestmark = pytest.mark.anyio


@pytest.fixture
async def here() -> AsyncIterator[Functions]:
    async with functions() as serving:
        yield serving


async def call(url: str, **settings: object) -> str:
    tool = HttpFunction(FunctionSettings(name="weather", url=url, **settings))  # type: ignore[arg-type]
    try:
        return await tool.call('{"city": "Oslo ☂"}', key="call_1")
    finally:
        await tool.close()


@pytest.mark.requirement("tools:function:called")
async def test_the_arguments_arrive_as_they_were_written(here: Functions) -> None:
    assert await call(f"{here.url}/weather", key="s3cret") == "weather says sunny"
    assert here.asked == [("weather", '{"city": "Oslo ☂"}', "call_1")]
    assert here.headers["Authorization"] == "Bearer s3cret"


@pytest.mark.requirement("tools:function:failures")
async def test_what_fails_is_said_without_secrets(here: Functions) -> None:
    async def broken(request: web.Request) -> web.StreamResponse:
        return web.Response(status=500, text="secret trace")

    async def elsewhere(request: web.Request) -> web.StreamResponse:
        raise web.HTTPFound("/weather")

    async def endless(request: web.Request) -> web.StreamResponse:
        return web.Response(body=b"x" * (OUTPUT_BYTES_MAX + 1))

    here.answers = {"broken": broken, "elsewhere": elsewhere, "endless": endless}
    for name, words in (("broken", "500"), ("elsewhere", "302"), ("endless", "longer than")):
        with pytest.raises(ToolFailed, match=words) as failure:
            await call(f"{here.url}/{name}", key="s3cret")
        assert "secret" not in failure.value.message
    with pytest.raises(ToolFailed, match="cannot be reached"):
        await call("http://127.0.0.1:9/none")


@pytest.mark.requirement("tools:function:patience")
async def test_a_silent_function_is_not_waited_for_for_ever(here: Functions) -> None:
    import asyncio

    here.wait = asyncio.Event()
    with pytest.raises(ToolFailed, match="too long"):
        await call(f"{here.url}/weather", seconds_max=0.1)
    here.wait.set()


@pytest.mark.requirement("tools:function:settings")
def test_a_function_needs_an_address_and_a_name() -> None:
    settings: Any
    for settings in ({"url": "ftp://x/y"}, {"url": "weather"}):
        with pytest.raises(ValueError, match="http"):
            FunctionSettings(name="weather", **settings)


@pytest.mark.requirement("tools:settings:names")
def test_a_function_is_declared_once(tmp_path: Path) -> None:
    one = '[[functions]]\nname = "weather"\nurl = "http://127.0.0.1:9/weather"\n'
    path = tmp_path / "antiphon.toml"
    path.write_text(one)
    assert load(file=str(path)).config.functions[0].seconds_max == 60.0
    path.write_text(one + one)
    with pytest.raises(ConfigError, match="declared already"):
        load(file=str(path))
