"""How a client that runs on Node is installed and run."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from tests.clients.client import PINS, PROGRAMS, Client

INSTALL_SECONDS_MAX = 900


def install_node(client: Client, folder: Path) -> None:
    """Its packages, exactly as its package-lock.json says, into ``folder``."""
    shutil.copytree(PINS / client.pins, folder)
    command = ["npm", "ci", "--no-audit", "--no-fund", "--loglevel=error"]
    limit = INSTALL_SECONDS_MAX
    subprocess.run(command, cwd=folder, capture_output=True, check=True, timeout=limit)


def node_command(client: Client, folder: Path) -> list[str]:
    """Node looks for packages beside the program, so the program is copied to its packages.
    A program in Python, for a client that is a command, runs in this environment."""
    if client.program.endswith(".py"):
        return [sys.executable, str(PROGRAMS / client.program)]
    for program in PROGRAMS.glob("*.mjs"):
        shutil.copy(program, folder / program.name)
    return ["node", str(folder / client.program)]
