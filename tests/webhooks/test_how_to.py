"""The programs of docs/how-to/receive-webhooks.md, against a real server."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from openai import OpenAI

from tests.examples.pages import Block, blocks
from tests.process.server import Server

PAGE = "docs/how-to/receive-webhooks.md"
PROGRAMS = [block for block in blocks("python") if block.page == PAGE]
RECEIVER = next(block for block in PROGRAMS if "serve_forever" in block.text)
ADDRESS = "http://127.0.0.1:8484"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    environment = {
        "ANTIPHON__WEBHOOKS__ALLOW_HTTP": "true",
        "ANTIPHON__WEBHOOKS__ALLOWED": "127.0.0.1",
    }
    with Server(tmp_path_factory.mktemp("data"), environment=environment) as server:
        yield server


def origin(server: Server) -> str:
    return f"http://{server.host}:{server.port}"


def program(block: Block, server: Server, folder: Path) -> list[str]:
    path = folder / "program.py"
    path.write_text(block.text.replace(ADDRESS, origin(server)), encoding="utf-8")
    return [sys.executable, str(path)]


@pytest.mark.requirement("webhooks:docs:how-to")
@pytest.mark.parametrize(
    "block", [block for block in PROGRAMS if block is not RECEIVER], ids=lambda block: block.place
)
def test_what_the_page_does_with_endpoints_works(
    block: Block, server: Server, tmp_path: Path
) -> None:
    done = subprocess.run(
        program(block, server, tmp_path), capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


@pytest.mark.requirement("webhooks:docs:how-to")
def test_the_receiver_of_the_page_hears_of_a_response(server: Server, tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    client = OpenAI(api_key="any", base_url=f"{origin(server)}/v1", max_retries=0)
    endpoint = client.webhooks.create(
        name="page", url=f"http://127.0.0.1:{port}/", event_types=["response.completed"]
    )
    environment = {
        **os.environ,
        "PORT": str(port),
        "OPENAI_WEBHOOK_SECRET": endpoint.signing_secret,
        "OPENAI_BASE_URL": f"{origin(server)}/v1",
    }
    receiving = subprocess.Popen(
        program(RECEIVER, server, tmp_path), stdout=subprocess.PIPE, text=True, env=environment
    )
    try:
        assert receiving.stdout is not None
        listens(port)
        client.responses.create(model="scripted/hello", input="Hello", background=True)
        said = receiving.stdout.readline()
    finally:
        receiving.kill()
        receiving.communicate()
        client.close()
    assert said.startswith("response.completed Hello")


def listens(port: int) -> None:
    for _ in range(200):
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.05)
    raise AssertionError("the receiver does not listen")
