"""The examples, over a real socket."""

from __future__ import annotations

import asyncio
import runpy
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import anyio.to_thread
import pytest
import uvicorn

from tests.azure.conftest import Site
from tests.server.conftest import over_socket

pytestmark = [pytest.mark.anyio, over_socket]
EXAMPLES = Path(__file__).parents[2] / "examples"
PATIENCE_SECONDS = 5.0


@pytest.fixture
async def endpoint(locked_site: Site) -> AsyncIterator[str]:
    """The address of a server that is listening: connections wait until it accepts them."""
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    config = uvicorn.Config(locked_site.app(), lifespan="off", log_config=None)
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        async with asyncio.timeout(PATIENCE_SECONDS):
            await serving
        listener.close()


@pytest.fixture(autouse=True)
def environment(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_OPENAI_ENDPOINT", endpoint)
    monkeypatch.setenv("AZURE_OPENAI_API_KEY", "sk-alpha")
    monkeypatch.setenv("MODEL", "gpt-4o")


async def printed(example: str, capsys: pytest.CaptureFixture[str]) -> list[str]:
    def run() -> None:
        # The client is closed here, or its sockets would be closed by the garbage collector.
        runpy.run_path(str(EXAMPLES / example))["client"].close()

    async with asyncio.timeout(PATIENCE_SECONDS):
        await anyio.to_thread.run_sync(run)
    return capsys.readouterr().out.splitlines()


@pytest.mark.requirement("azure:clients:page-samples")
async def test_the_samples_of_the_page_run(capsys: pytest.CaptureFixture[str]) -> None:
    assert await printed("azure_samples.py", capsys) == [
        "created: This is a test.",
        "retrieved: This is a test.",
        "instructions: Are semicolons optional in JavaScript?",
        "developer message: Are semicolons optional in JavaScript?",
    ]


@pytest.mark.requirement("azure:clients:v1")
async def test_the_undated_api_runs(capsys: pytest.CaptureFixture[str]) -> None:
    assert await printed("azure_v1.py", capsys) == ["This is a test.", "status: completed"]
