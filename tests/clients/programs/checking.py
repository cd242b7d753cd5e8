"""What the Python programs share: they run in a client's environment, so only the standard
library is here. See ``tests/clients/client.py`` for the protocol."""

from __future__ import annotations

import asyncio
import importlib.metadata
import inspect
import json
import os
import subprocess
import sys
import traceback
from collections.abc import Callable
from typing import Any

URL = os.environ["ANTIPHON_URL"]
ROOT = os.environ["ANTIPHON_ROOT"]
KEY = os.environ["ANTIPHON_KEY"]
MODEL = os.environ["ANTIPHON_MODEL"]
MCP = os.environ["ANTIPHON_MCP"]
EXAMPLE = os.environ.get("ANTIPHON_EXAMPLE", "")
EXAMPLE_SECONDS_MAX = 90

_checks: list[tuple[str, Callable[[], Any]]] = []


def check(function: Callable[[], Any]) -> Callable[[], Any]:
    """Make this function, plain or async, a check; its name with spaces is the check's name."""
    _checks.append((function.__name__.strip("_").replace("_", " "), function))
    return function


def run(distribution: str, example: str | None = None, *, version: str = "") -> None:
    """Say the client's version, make all checks in one event loop, then run its example.

    ``example`` is the text the example must print; None: anything. It is meant for the demo
    model, and left out where that cannot run.
    ``version``: of a client that is no Python distribution.
    """
    _say({"version": version or importlib.metadata.version(distribution)})
    asyncio.run(_all())
    if EXAMPLE.endswith(".py") and MODEL == "demo-antiphon":
        _tried("example", lambda: _example(example))


async def _all() -> None:
    chosen = sys.argv[1:]
    for name, function in _checks:
        if chosen and not any(word in name for word in chosen):
            continue
        try:
            found = function()
            if inspect.isawaitable(found):
                async with asyncio.timeout(60):
                    await found
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            _failed(name, error)
        else:
            _say({"check": name, "ok": True})


def _tried(name: str, function: Callable[[], Any]) -> None:
    try:
        function()
    except Exception as error:
        _failed(name, error)
    else:
        _say({"check": name, "ok": True})


def _failed(name: str, error: BaseException) -> None:
    traceback.print_exception(error)
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if "/programs/" in frame.filename]
    line = f" (line {ours[-1].lineno}: {ours[-1].line})" if ours else ""
    text = f"{type(error).__name__}: {error}"[:600]
    _say({"check": name, "ok": False, "error": text + line})


def _example(expected: str | None) -> None:
    azure = {"AZURE_OPENAI_ENDPOINT": ROOT, "AZURE_OPENAI_API_KEY": KEY}
    done = subprocess.run(
        [sys.executable, EXAMPLE],
        capture_output=True,
        text=True,
        timeout=EXAMPLE_SECONDS_MAX,
        check=False,
        env={**os.environ, "MODEL": MODEL, **azure},
    )
    assert done.returncode == 0, done.stderr[-800:]
    said = done.stdout.strip()
    assert said, "it prints nothing"
    assert expected is None or expected in said, said


def _say(line: dict[str, Any]) -> None:
    print(json.dumps(line), flush=True)
