"""One server in a process of its own for all examples and snippets, as a reader would start it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec import Struct

from antiphon.backends.llamacpp_probe import probe

START_SECONDS_MAX = 30.0
STOP_SECONDS_MAX = 15.0

CONFIG = """\
[server]
port = 0

[webhooks]
allow_http = true
allowed = ["127.0.0.1"]

[[backends]]
kind = "scripted"

[[backends]]
kind = "llamacpp"
"""


class Server(Struct, frozen=True):
    """``url`` is its base URL, ``demo`` whether demo-antiphon answers on this machine."""

    url: str
    demo: bool

    @property
    def origin(self) -> str:
        return self.url.removesuffix("/v1")


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The scripted models, and the demo model where the engine can run."""

    folder = tmp_path_factory.mktemp("server")
    demo = probe().ok
    config = folder / "antiphon.toml"
    config.write_text(CONFIG if demo else CONFIG.rpartition("[[")[0], encoding="utf-8")
    command = [sys.executable, "-m", "antiphon", "serve", "--config", str(config)]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            [*command, "--data", str(folder / "data")],
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env=_environment(),
        )
    try:
        yield Server(_address(process, folder / "log"), demo)
    finally:
        process.terminate()
        process.communicate(timeout=STOP_SECONDS_MAX)
    assert process.returncode == 0


def _address(process: subprocess.Popen[str], log: Path) -> str:
    """The base URL in the first line the server prints, which it does when it is ready."""
    assert process.stdout is not None
    impatience = threading.Timer(START_SECONDS_MAX, process.kill)
    impatience.start()
    found = re.search(r"http://\S+/v1", process.stdout.readline())
    impatience.cancel()
    if found is None:
        process.kill()
        process.wait(STOP_SECONDS_MAX)
        pytest.fail(f"the server did not start:\n{log.read_text()}")
    return found[0]


def _environment() -> dict[str, str]:
    return {k: v for k, v in os.environ.items() if not k.startswith("ANTIPHON")}
