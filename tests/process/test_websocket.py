"""WebSockets of a real process: its end, and what it loads."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import connect

from tests.process.server import Server

pytestmark = pytest.mark.anyio


async def hear(socket: Any) -> dict[str, Any]:
    async with asyncio.timeout(10):
        message: dict[str, Any] = json.loads(await socket.recv())
    return message


def create(model: str, **more: Any) -> str:
    return json.dumps(
        {"type": "response.create", "model": f"scripted/{model}", "input": "x", **more}
    )


def socket_url(server: Server) -> str:
    return f"{server.url.replace('http', 'ws', 1)}/responses"


@pytest.mark.requirement("websocket:end:finishes")
async def test_sigterm_lets_a_response_finish_and_refuses_what_follows(tmp_path: Path) -> None:
    with Server(tmp_path) as server:
        async with connect(socket_url(server)) as busy, connect(socket_url(server)) as idle:
            await busy.send(create("slow-50ms"))
            await busy.send(create("echo"))
            heard = [await hear(busy)]
            server.signal(signal.SIGTERM)
            while heard[-1]["type"] != "error":
                heard.append(await hear(busy))
            assert heard.pop()["status"] == 503  # the create that waited
            await busy.send(create("echo", stream_id="late"))
            while heard[-1]["type"] != "error":
                heard.append(await hear(busy))
            late = heard.pop()
            assert (late["status"], late["stream_id"]) == (503, "late")
            while heard[-1]["type"] != "response.completed":
                heard.append(await hear(busy))
            assert [it["sequence_number"] for it in heard] == list(range(len(heard)))
            for socket in (busy, idle):
                assert (await hear(socket))["status"] == 503
                async with asyncio.timeout(10):
                    await socket.wait_closed()
                assert socket.close_code == 1012
        assert server.ended() == 0
        log = server.log()
        assert '"level":"error"' not in log and log.count('"event":"websocket"') == 2
    with Server(tmp_path) as server:
        made = heard[-1]["response"]
        assert server.ask("GET", f"/v1/responses/{made['id']}") == (200, made)


@pytest.mark.requirement("websocket:end:cut")
async def test_what_does_not_end_in_time_is_cut_and_recorded(tmp_path: Path) -> None:
    limit = {"ANTIPHON__SERVER__SHUTDOWN_SECONDS": "1"}
    with Server(tmp_path, environment=limit) as server:
        async with connect(socket_url(server)) as socket:
            await socket.send(create("endless"))
            made = (await hear(socket))["response"]["id"]
            server.signal(signal.SIGTERM)
            event = await hear(socket)
            while event["type"] != "error":
                event = await hear(socket)
            assert event["status"] == 503
            async with asyncio.timeout(10):
                await socket.wait_closed()
            assert socket.close_code == 1012
        assert server.ended() == 0
        assert '"level":"error"' not in server.log()
    with Server(tmp_path) as server:
        status, response = server.ask("GET", f"/v1/responses/{made}")
        assert (status, response["status"]) == (200, "cancelled")


@pytest.mark.requirement("websocket:lazy")
def test_the_library_is_not_loaded_before_it_is_needed() -> None:
    program = (
        "import sys; from antiphon import app, process; from antiphon.config import Config;"
        "process._uvicorn_config(app.App(Config()));"
        "print([name for name in sys.modules if name.partition('.')[0] == 'websockets'])"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert ran.stdout.strip() == b"[]"
