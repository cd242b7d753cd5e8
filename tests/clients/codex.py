"""The real Codex CLI at work: its home, a small repository, a model that works by rule.

``desk`` starts the model (``coder``) and a server in front of it; ``Codex.exec`` runs the binary
once and says what it did. Nothing of Codex is changed but what a user sets: its configuration is
``examples/clients/codex.toml``.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import threading
import urllib.request
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from msgspec import Struct

from tests.backends.strict_upstream import StrictUpstream
from tests.clients import coder
from tests.clients.client import ENVIRONMENTS, EXAMPLES
from tests.clients.site import KEY, site

BINARY = ENVIRONMENTS / "node" / "codex" / "node_modules" / ".bin" / "codex"
SECONDS_MAX = 50

FREEFORM = "gpt-5.5"
"""A model that Codex gives its freeform patch tool, and the search for tools."""
LITE = "gpt-6.1-sol"
"""A model that Codex gives its tools as an input item, and JavaScript to call them."""
OWN = "my-coder"
"""A model Codex knows nothing of."""

SETTINGS = """\
[server]
port = 0

[websocket]
enabled = {websocket}
connection_minutes_max = {minutes}

[[keys]]
key = "{key}"

[[backends]]
kind = "chat"
url = "{url}"
profile = "generic"
rename = {{ "{freeform}" = "{model}", "{lite}" = "{model}", "{own}" = "{model}" }}
"""

TROUBLE = re.compile(
    r"reconnect|retry|retrying|stream disconnected|stream error|falling back|timed out|timeout"
    r"|unknown tool|unsupported call|unsupported tool|not supported|ERROR|panicked",
    re.IGNORECASE,
)
"""What Codex says when it had to help itself, or could not."""

CALC = "def add(a, b):\n    return a - b\n"
CHECK = "from calc import add\n\nassert add(2, 3) == 5\nprint('5 it is')\n"


_REQUESTS = re.compile(r"^antiphon_requests_total{(.*)} (.*)$", re.M)


class Ran(Struct, frozen=True):
    """One run: its exit code, its events (``--json``), what it wrote to stderr."""

    code: int
    events: list[dict[str, Any]]
    err: str

    @property
    def said(self) -> str:
        """The last message to the user."""
        texts = [it["text"] for it in self.items("agent_message")]
        return texts[-1] if texts else ""

    @property
    def thread(self) -> str:
        return str(next(it["thread_id"] for it in self.events if it["type"] == "thread.started"))

    def items(self, kind: str) -> list[dict[str, Any]]:
        """The finished items of a kind: command_execution, file_change, agent_message, …"""
        done = [it["item"] for it in self.events if it["type"] == "item.completed"]
        return [it for it in done if it["type"] == kind]

    def check(self) -> None:
        """Raises AssertionError if it did not end well, or not smoothly."""
        odd = [it for it in self.events if it["type"] in ("error", "turn.failed")]
        odd += [it for it in self.items("error") if "metadata" not in it["message"]]
        assert not odd, odd
        assert self.code == 0, f"ended with {self.code}: {self.err[-1500:]}"
        lines = [line for line in self.err.splitlines() if TROUBLE.search(line)]
        assert not lines, lines


class Desk(Struct, frozen=True):
    """A server (``url``, ``key``) and the model behind it."""

    url: str
    key: str
    upstream: StrictUpstream

    def asked(self) -> Counter[str]:
        """How often what was asked of the server: "POST 200", "WEBSOCKET 200", "GET 426"."""
        with urllib.request.urlopen(self.url.removesuffix("/v1") + "/metrics") as reply:
            text = reply.read().decode()
        counts = Counter[str]()
        for labels, value in _REQUESTS.findall(text):
            known = dict(re.findall(r'(\w+)="([^"]*)"', labels))
            if known["route"] == "/v1/responses":
                counts[f"{known['method']} {known['status']}"] += int(float(value))
        return counts


@contextmanager
def desk(folder: Path, *, websocket: bool = True, minutes: float = 60) -> Iterator[Desk]:
    """Both, running. ``folder`` must exist and be empty. ``websocket``: whether there are any;
    ``minutes``: how old one may become."""
    with _coder() as upstream:
        names = {"freeform": FREEFORM, "lite": LITE, "own": OWN, "model": coder.MODEL}
        offered = json.dumps(websocket)
        settings = SETTINGS.format(
            key=KEY, url=upstream.url, websocket=offered, minutes=minutes, **names
        )
        with site(folder, settings) as server:
            yield Desk(server.url, KEY, upstream)


@contextmanager
def _coder() -> Iterator[StrictUpstream]:
    """The model, in a thread with a loop of its own."""
    upstream = StrictUpstream()
    loop = asyncio.new_event_loop()
    over: asyncio.Future[None] = loop.create_future()
    ready: Future[None] = Future()

    async def serve() -> None:
        await upstream.start()
        ready.set_result(None)
        await over
        await upstream.close()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    try:
        ready.result(10)
        yield upstream
    finally:
        loop.call_soon_threadsafe(over.set_result, None)
        thread.join()
        loop.close()


class Codex:
    """A home and a repository in ``folder``, set to a server. ``websocket``: how they talk.
    ``config``: another configuration than the example, with ``{url}`` in it."""

    def __init__(
        self, folder: Path, url: str, key: str, *, websocket: bool = True, config: str = ""
    ) -> None:
        self.home = folder / "home"
        self.repository = folder / "repository"
        self._key = key
        self.home.mkdir(parents=True)
        text = (EXAMPLES / "codex.toml").read_text(encoding="utf-8")
        text = text.replace("http://127.0.0.1:8484/v1", url)
        if not websocket:
            text = text.replace("supports_websockets = true", "supports_websockets = false")
        text = config.replace("{url}", url) or text
        assert url in text or config
        (self.home / "config.toml").write_text(text, encoding="utf-8")
        _repository(self.repository)

    def exec(self, prompt: str, *options: str, model: str, resume: str = "") -> Ran:
        """``codex exec``. The model's commands are ours, so there is no sandbox round them."""
        command = [str(BINARY), "exec", "--json", "--model", model]
        command += ["--dangerously-bypass-approvals-and-sandbox", *options]
        command += ["resume", resume] if resume else []
        command += ["--", prompt]  # an option like --image would take the prompt too
        done = subprocess.run(
            command,
            cwd=self.repository,
            env=self._environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=SECONDS_MAX,
            check=False,
        )
        events = [json.loads(line) for line in done.stdout.splitlines() if line[:1] == "{"]
        return Ran(done.returncode, events, done.stderr)

    def _environment(self) -> dict[str, str]:
        kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
        home = {"HOME": str(self.home), "CODEX_HOME": str(self.home)}
        key = {"ANTIPHON_KEY": self._key, "CODEX_API_KEY": self._key}
        return kept | home | key | {"NO_PROXY": "127.0.0.1"}


def _repository(folder: Path) -> None:
    """A repository with a mistake in it."""
    folder.mkdir()
    (folder / "calc.py").write_text(CALC)
    (folder / "check.py").write_text(CHECK)
    (folder / "big.txt").write_text("".join(f"line {n} of a long file\n" for n in range(600)))
    git = ["git", "-c", "user.name=Ada", "-c", "user.email=ada@example.com"]
    for command in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "A start"]):
        subprocess.run([*git, *command], cwd=folder, check=True, capture_output=True)
