"""The programs and settings of docs/how-to/let-the-server-run-functions.md, as they stand."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.examples.pages import blocks
from tests.process.server import Server

PAGE = "docs/how-to/let-the-server-run-functions.md"
FUNCTION, CALLER = [block.text for block in blocks("python") if block.page == PAGE]
(SETTINGS,) = [block.text for block in blocks("toml") if block.page == PAGE]


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def wait_for(port: int) -> None:
    until = time.monotonic() + 10
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            assert time.monotonic() < until
            time.sleep(0.02)


@pytest.mark.requirement("tools:docs:how-to")
def test_the_page_tells_all_it_takes(tmp_path: Path) -> None:
    port = free_port()
    settings = tmp_path / "antiphon.toml"
    settings.write_text(
        '[[backends]]\nkind = "scripted"\n\n' + SETTINGS.replace(":8000/", f":{port}/")
    )
    function = subprocess.Popen(
        [sys.executable, "-c", FUNCTION],
        env={**os.environ, "PORT": str(port)},
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_for(port)
        with Server(tmp_path, "--config", str(settings)) as server:
            done = subprocess.run(
                [
                    sys.executable,
                    "-c",
                    CALLER.replace("127.0.0.1:8484", f"127.0.0.1:{server.port}"),
                ],
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
    finally:
        function.kill()
        function.wait()
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "function_call ",
        "function_call_output It is sunny in example.",
        "message ",
        "The tool said: It is sunny in example.",
    ]
