"""A model that can see operates a real Chromium, with the programs of examples/.

It has a server of its own, because it needs a model of its own: examples/computer/rehearsed.py.
"""

from __future__ import annotations

import importlib
import os
import re
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from checking import check, run
from openai import BadRequestError, OpenAI

EXAMPLES = Path(__file__).parents[3] / "examples"
sys.path[:0] = [str(EXAMPLES), str(EXAMPLES / "computer")]
example: Any = importlib.import_module("computer_use")
rehearsed: Any = importlib.import_module("rehearsed")
browser: Any = importlib.import_module("computer.browser")

SERVE = (os.environ["ANTIPHON_PYTHON"], "-m", "antiphon", "serve", "--port", "0")
START_SECONDS_MAX = 60
STOP_SECONDS_MAX = 20
SENT = "Ada Lovelace: a large teal lamp"

_url: list[str] = []


@contextmanager
def server(upstream: str, data: str) -> Iterator[str]:
    """The base URL of a server in front of this model."""
    process = subprocess.Popen(
        [*SERVE, "--upstream", upstream, "--data", data],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    impatience = threading.Timer(START_SECONDS_MAX, process.kill)
    impatience.start()
    try:
        found = re.search(r"http://\S+/v1", process.stdout.readline())
        impatience.cancel()
        assert found is not None, "the server did not start"
        yield found[0]
    finally:
        impatience.cancel()
        process.terminate()
        process.communicate(timeout=STOP_SECONDS_MAX)


def official() -> OpenAI:
    return OpenAI(base_url=_url[0], api_key="any", max_retries=0, _strict_response_validation=True)


def operated(create: Callable[..., Any], tool: Any, *, allow: bool = True) -> Any:
    """The page's state after the loop, which ended as it should; what was refused is raised."""
    with example.Page() as page, browser.Chromium(page.url) as chromium:
        computer = browser.Computer(chromium)
        asked = {"model": rehearsed.NAME, "tools": [tool]}
        last = example.operate(create, computer, example.TASK, lambda checks: allow, **asked)
        assert last.output_text == "The form was sent.", last.output_text
        return chromium.value("state")


@check
def operates_a_browser_in_batches() -> None:
    state = operated(official().responses.create, example.COMPUTER)
    assert state["sent"] == SENT and state["lamp"] and state["terms"]


@check
def operates_a_browser_action_by_action() -> None:
    state = operated(official().responses.create, example.PREVIEW)
    assert state["sent"] == SENT and state["lamp"] and state["terms"]


@check
def operates_a_browser_over_a_websocket() -> None:
    with official().responses.connect() as connection:
        state = operated(example.over_websocket(connection), example.COMPUTER)
    assert state["sent"] == SENT


@check
def stops_where_the_user_says_no() -> None:
    try:
        operated(official().responses.create, example.COMPUTER, allow=False)
    except example.Refused as refused:
        assert str(refused) == "This sends the form."
        return
    raise AssertionError("nobody was asked")


@check
def must_acknowledge_safety_checks() -> None:
    create = official().responses.create

    def forgetful(**asked: Any) -> Any:
        for item in asked["input"]:
            if isinstance(item, dict):
                item.pop("acknowledged_safety_checks", None)
        return create(**asked)

    try:
        operated(forgetful, example.COMPUTER)
    except BadRequestError as refused:
        assert refused.code == "safety_checks_not_acknowledged", refused
        assert refused.param == "input[0].acknowledged_safety_checks", refused
        return
    raise AssertionError("it was taken")


def version() -> str:
    """Of the Chromium on this machine."""
    said = subprocess.run(
        [browser.program(), "--version"], capture_output=True, text=True, timeout=20, check=False
    )
    found = re.search(r"\d+(?:\.\d+)+", said.stdout)
    return found[0] if found else "unknown"


with (
    tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder,
    rehearsed.Model() as model,
    server(model.url, folder) as url,
):
    _url.append(url)
    run("openai", version=version())
