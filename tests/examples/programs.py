"""Runs a program the way a reader would, in a process of its own, without its start-up time.

Importing the official client takes longer than everything else a program does. So the processes
are forked from one that has imported it (where the platform can fork; elsewhere they start anew).
"""

from __future__ import annotations

import multiprocessing
import os
import runpy
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

SECONDS_MAX = 60.0

_METHOD = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
_context: Any = multiprocessing.get_context(_METHOD)
_context.set_forkserver_preload(
    ["openai", "openai.lib.azure", "openai.resources.responses", "openai.types.responses"]
)


def printed_by(program: Path, folder: Path, environment: Mapping[str, str]) -> str:
    """What the program prints. ``environment`` is all of it. Fails the test if it fails."""
    out, err = folder / "printed", folder / "complained"
    process = _context.Process(target=_perform, args=(program, folder, dict(environment), out, err))
    process.start()
    process.join(SECONDS_MAX)
    if process.is_alive():
        process.kill()
        process.join()
        pytest.fail(f"{program.name} did not end in {SECONDS_MAX:.0f} s:\n{out.read_text()}")
    if process.exitcode != 0:
        pytest.fail(err.read_text() or f"{program.name} ended with {process.exitcode}")
    return out.read_text(encoding="utf-8")


def _perform(
    program: Path, folder: Path, environment: dict[str, str], out: Path, err: Path
) -> None:
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.stdout = out.open("w", encoding="utf-8")
    sys.stderr = err.open("w", encoding="utf-8")
    sys.argv = [str(program)]
    runpy.run_path(str(program), run_name="__main__")
    sys.stdout.flush()
