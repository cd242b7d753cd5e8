"""The server the clients are run against: a new one, with scripted models and the demo model."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from msgspec import Struct

from antiphon.backends.llamacpp_probe import probe
from tests.clients.client import PROGRAMS

START_SECONDS_MAX = 60.0
STOP_SECONDS_MAX = 20.0

KEY = "sk-clients"

CONFIG = f"""\
[server]
port = 0

[[keys]]
key = "{KEY}"
project = "clients"

[azure.deployments]
my-deployment = "scripted/echo"
my-tools = "scripted/tool"
# For clients that look up by a model's name what it can do.
"gpt-4.1" = "scripted/summary"
"gpt-4.1-mini" = "scripted/json"
"gpt-4o" = "scripted/tool"

[log]
format = "json"
level = "debug"

[webhooks]
allow_http = true
allowed = ["127.0.0.1"]

[remote_mcp]
allowed = ["127.0.0.1"]

[[mcp]]
label = "weather"
command = "{sys.executable}"
args = ["{PROGRAMS / "weather_mcp.py"}"]

[[backends]]
kind = "scripted"
"""

DEMO = """
[[backends]]
kind = "llamacpp"
"""


class Site(Struct, frozen=True):
    """``url`` is the base URL, ``model`` one that answers without a script where it can, ``log``
    the file the server logs to, ``mcp`` the URL of an MCP server."""

    url: str
    model: str
    log: Path
    mcp: str

    @property
    def root(self) -> str:
        return self.url.removesuffix("/v1")

    def broken(self) -> list[str]:
        """What went wrong inside the server: each exception, where it was raised."""
        found = []
        for line in self.log.read_text(encoding="utf-8").splitlines():
            seen = json.loads(line) if line.startswith("{") else {}
            if seen.get("event") == "broke":
                place = (seen["raised_at"] or ["nowhere"])[-1]
                found.append(f"{seen['error']}: {seen.get('message')} ({place})")
        return found


@contextmanager
def site(folder: Path, settings: str | None = None) -> Iterator[Site]:
    """A server on a free port of loopback, with its data and its log in ``folder``. ``settings``:
    its configuration file, instead of the one all clients share."""
    demo = settings is None and probe().ok
    config = folder / "antiphon.toml"
    config.write_text(settings or CONFIG + (DEMO if demo else ""), encoding="utf-8")
    command = [sys.executable, "-m", "antiphon", "serve", "--config", str(config)]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            [*command, "--data", str(folder / "data")],
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env={k: v for k, v in os.environ.items() if not k.startswith("ANTIPHON")},
        )
    try:
        url = _address(process, folder / "log")
        with _mcp_server() as mcp:
            yield Site(url, "demo-antiphon" if demo else "scripted/hello", folder / "log", mcp)
    finally:
        _end(process)


@contextmanager
def _mcp_server() -> Iterator[str]:
    """The URL of an MCP server in a process of its own."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, str(PROGRAMS / "weather_mcp.py"), str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + START_SECONDS_MAX
        while not _answers(port):
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("the MCP server did not start")
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port}/mcp"
    finally:
        _end(process)


def _answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


def _end(process: subprocess.Popen[Any]) -> None:
    process.terminate()
    try:
        process.communicate(timeout=STOP_SECONDS_MAX)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()


def _address(process: subprocess.Popen[str], log: Path) -> str:
    """The base URL in the first line the server prints, which it does when it is ready."""
    assert process.stdout is not None
    impatience = threading.Timer(START_SECONDS_MAX, process.kill)
    impatience.start()
    found = re.search(r"http://\S+/v1", process.stdout.readline())
    impatience.cancel()
    if found is None:
        raise RuntimeError(f"the server did not start:\n{log.read_text()}")
    return found[0]
