"""Where a client is installed, how it gets there, and the command that runs its program.

Each client has an environment of its own, because frameworks want different versions of the
same packages: ``.venv-clients/PINS/`` (Python), ``.venv-clients/node/NAME/`` (Node).
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.clients.client import ENVIRONMENTS, PINS, PROGRAMS, Client
from tests.clients.installed_node import install_node, node_command

INSTALL_SECONDS_MAX = 900


class NotInstalled(Exception):
    """A package could not be installed; the message is what the installer said."""


def missing_need(client: Client) -> str | None:
    """Why this client cannot run on this machine at all, or None."""
    needs = ("node", "npm", *client.needs) if client.language == "node" else client.needs
    absent = [need for need in needs if shutil.which(need) is None]
    return f"no {' and no '.join(absent)} on this machine" if absent else None


def folder_of(client: Client) -> Path:
    if client.language == "node":
        return ENVIRONMENTS / "node" / client.name
    return ENVIRONMENTS / client.pins.removesuffix(".txt")


def is_installed(client: Client) -> bool:
    """Whether its environment is there and is what its pins say now."""
    stamp = folder_of(client) / "pins"
    return stamp.exists() and stamp.read_text() == _digest(client)


def install(client: Client) -> None:
    """Make its environment unless it is there. Raises NotInstalled."""
    if is_installed(client):
        return
    folder = folder_of(client)
    shutil.rmtree(folder, ignore_errors=True)
    try:
        if client.language == "node":
            install_node(client, folder)
        else:
            _install_python(client, folder)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        said = (error.stderr or error.stdout or b"").decode(errors="replace").strip()
        raise NotInstalled(said[-2000:] or str(error)) from error
    (folder / "pins").write_text(_digest(client))


def command_of(client: Client, *, dev: bool = False) -> list[str]:
    """The command that runs its program; ``dev``: with this environment instead of its own."""
    if client.language == "node":
        return node_command(client, folder_of(client))
    python = sys.executable if dev else str(_python(folder_of(client)))
    return [python, str(PROGRAMS / client.program)]


def _install_python(client: Client, folder: Path) -> None:
    # uv, where the environment has it, shares unpacked packages between these environments.
    if importlib.util.find_spec("uv"):
        _run(sys.executable, "-m", "uv", "venv", "-q", "--python", sys.executable, str(folder))
        into = [sys.executable, "-m", "uv", "pip", "install", "-q", "--python"]
        _run(*into, str(_python(folder)), "-r", str(PINS / client.pins))
        return
    _run(sys.executable, "-m", "venv", str(folder))
    pip = [str(_python(folder)), "-m", "pip", "install", "-q", "--disable-pip-version-check"]
    _run(*pip, "-r", str(PINS / client.pins))


def _run(*command: str) -> None:
    subprocess.run(command, capture_output=True, check=True, timeout=INSTALL_SECONDS_MAX)


def _python(folder: Path) -> Path:
    return folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def _digest(client: Client) -> str:
    pins = PINS / client.pins
    files = sorted(pins.glob("package*.json")) if pins.is_dir() else [pins]
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()
