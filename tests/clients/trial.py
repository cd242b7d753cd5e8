"""One client's program, run against the server, and what it found."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import msgspec
from msgspec import Struct

from tests.clients.client import EXAMPLES, PROGRAMS, Client
from tests.clients.site import KEY, Site

UNKNOWN = "unknown"

# Nobody outside this machine hears of the runs.
SILENT = {
    "AGNO_TELEMETRY": "false",
    "AGENT_TELEMETRY": "false",
    "ANONYMIZED_TELEMETRY": "false",
    "DO_NOT_TRACK": "1",
    "HAYSTACK_TELEMETRY_ENABLED": "False",
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "NO_PROXY": "127.0.0.1,localhost",
    "no_proxy": "127.0.0.1,localhost",
    "OPENAI_AGENTS_DISABLE_TRACING": "1",
    "OTEL_SDK_DISABLED": "true",
    "PYTHONDONTWRITEBYTECODE": "1",
}


class Check(Struct, frozen=True, omit_defaults=True):
    """One thing a program tried."""

    check: str
    ok: bool
    error: str = ""


class Trial(Struct, frozen=True):
    """What one run of a client's program found. ``trouble``: why it could not make its checks."""

    client: str
    version: str
    checks: list[Check]
    trouble: str = ""

    @property
    def passed(self) -> list[str]:
        return sorted(it.check for it in self.checks if it.ok)

    @property
    def failed(self) -> list[str]:
        return sorted(it.check for it in self.checks if not it.ok)

    @property
    def good(self) -> bool:
        return bool(self.checks) and not self.failed and not self.trouble

    def without(self, checks: frozenset[str]) -> Trial:
        """The same without these checks, whatever they found."""
        kept = [it for it in self.checks if it.check not in checks]
        return Trial(self.client, self.version, kept, self.trouble)


def attempt(client: Client, command: list[str], site: Site, folder: Path) -> Trial:
    """Run the program in ``folder``, which is empty. Never longer than the client may take."""
    process = subprocess.Popen(
        command,
        cwd=folder,
        env=environment(client, site, folder),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    trouble = ""
    try:
        out, err = process.communicate(timeout=client.seconds_max)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        out, err = process.communicate()
        trouble = f"not done after {client.seconds_max} s"
    version, checks = read(out.decode(errors="replace"))
    if not trouble and process.returncode:
        trouble = f"ended with {process.returncode}"
    if not trouble and not checks:
        trouble = "made no check"
    if trouble:
        trouble += f": {err.decode(errors='replace').strip()[-1500:]}"
    return Trial(client.name, version, checks, trouble)


def environment(client: Client, site: Site, folder: Path) -> dict[str, str]:
    """Ours without what is set for other servers, and the protocol's variables."""
    foreign = ("ANTIPHON", "OPENAI", "AZURE", "PYTHON", "VIRTUAL_ENV", "MODEL")
    ours = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    return (
        ours
        | SILENT
        | {
            "ANTIPHON_URL": site.url,
            "ANTIPHON_ROOT": site.root,
            "ANTIPHON_KEY": KEY,
            "ANTIPHON_MODEL": site.model,
            "ANTIPHON_PROGRAMS": str(PROGRAMS),
            "ANTIPHON_PYTHON": sys.executable,
            "ANTIPHON_MCP": site.mcp,
            "ANTIPHON_EXAMPLE": str(EXAMPLES / client.example) if client.example else "",
            "OPENAI_BASE_URL": site.url,
            "OPENAI_API_KEY": KEY,
            "XDG_CONFIG_HOME": str(folder),
            "XDG_CACHE_HOME": str(folder),
        }
    )


def read(printed: str) -> tuple[str, list[Check]]:
    """The version and the checks in what a program printed."""
    version, checks = UNKNOWN, []
    for line in printed.splitlines():
        try:
            value = json.loads(line)
        except ValueError:
            continue
        if isinstance(value, dict) and "version" in value:
            version = str(value["version"])
        elif isinstance(value, dict) and "check" in value:
            checks.append(msgspec.convert(value, Check))
    return version, checks
