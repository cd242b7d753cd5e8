"""The servers of the matrix: one on SQLite, two replicas on one PostgreSQL; and clients of them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from openai import AzureOpenAI, OpenAI

from antiphon.config import project_of_key
from tests.matrix.roads import Client
from tests.process.server import Server
from tests.store import postgres

KEY = "sk-matrix-0123456789"
OTHER_KEY = "sk-matrix-another"
ZERO_KEY = "sk-matrix-zero"
BRIEF_KEY = "sk-matrix-brief"
KEYS = (KEY, OTHER_KEY, ZERO_KEY, BRIEF_KEY)
BRIEF_SECONDS = 2.5
VERSION = "2025-04-01-preview"
SECONDS_MAX = 20.0
PROJECTS = [
    {"name": project_of_key(ZERO_KEY), "zero_retention": True},
    {"name": project_of_key(BRIEF_KEY), "retention_days": BRIEF_SECONDS / 86_400},
]
SETTINGS = {
    "ANTIPHON__PROJECTS": json.dumps(PROJECTS),
    "ANTIPHON__ENCRYPTION__KEY": "6d" * 32,
    "ANTIPHON__WEBHOOKS__ALLOW_HTTP": "true",
    "ANTIPHON__WEBHOOKS__ALLOWED": "127.0.0.1",
    "ANTIPHON__AZURE__DEPLOYMENTS": '{"echo": "scripted/echo", "hello": "scripted/hello"}',
}


class World:
    """What all tests on one store share. ``servers``: all on the same database."""

    def __init__(self, store: str, servers: list[Server]) -> None:
        self.store = store
        self.servers = servers
        self._clients: dict[tuple[int, str, str], Client] = {}

    def client(self, flavour: str, key: str = KEY, server: int = 0) -> Client:
        """The same one every time, because making one takes longer than most tests."""
        found = self._clients.get((server, flavour, key))
        if found is None:
            found = client_of(self.servers[server], flavour, key)
            self._clients[server, flavour, key] = found
        return found

    def close(self) -> None:
        for client in self._clients.values():
            client.close()


@contextmanager
def world(store: str, folder: Path) -> Iterator[World]:
    """Ends with all its servers."""
    with ExitStack() as stack:
        options: list[str] = []
        count = 1
        if store == "postgresql":
            options = ["--database", stack.enter_context(postgres.database())]
            count = 2
        servers = [
            stack.enter_context(
                Server(folder / str(number), *options, keys=KEYS, environment=SETTINGS)
            )
            for number in range(count)
        ]
        made = World(store, servers)
        stack.callback(made.close)
        yield made


def client_of(server: Server, flavour: str, key: str) -> Client:
    origin = f"http://{server.host}:{server.port}"
    if flavour == "azure":
        return AzureOpenAI(
            azure_endpoint=origin,
            api_key=key,
            api_version=VERSION,
            max_retries=0,
            timeout=SECONDS_MAX,
        )
    path = "/openai/v1" if flavour == "azure-v1" else "/v1"
    return OpenAI(base_url=f"{origin}{path}", api_key=key, max_retries=0, timeout=SECONDS_MAX)
