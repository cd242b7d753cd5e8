"""One server per store for all of the matrix; a client per flavour and tenant."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from openai import AzureOpenAI, OpenAI

from tests.matrix.roads import ROADS, Client, Road
from tests.process.server import Server
from tests.store import postgres

KEY = "sk-matrix-0123456789"
OTHER_KEY = "sk-matrix-another"


@pytest.fixture(scope="package", params=["sqlite", "postgresql"])
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    data: Path = tmp_path_factory.mktemp("matrix")
    with ExitStack() as stack:
        options: list[str] = []
        if request.param == "postgresql":
            options = ["--database", stack.enter_context(postgres.database())]
        yield stack.enter_context(Server(data, *options, keys=(KEY, OTHER_KEY)))


@pytest.fixture(params=["openai", "azure", "azure-v1"])
def client(request: pytest.FixtureRequest, server: Server) -> Iterator[Client]:
    made = client_of(server, request.param, KEY)
    yield made
    made.close()


@pytest.fixture
def stranger(server: Server) -> Iterator[Client]:
    """Another tenant."""
    made = client_of(server, "openai", OTHER_KEY)
    yield made
    made.close()


@pytest.fixture(params=list(ROADS))
def ask(request: pytest.FixtureRequest) -> Road:
    return ROADS[request.param]


def client_of(server: Server, flavour: str, key: str) -> Client:
    if flavour == "azure":
        return AzureOpenAI(
            azure_endpoint=f"http://{server.host}:{server.port}",
            api_key=key,
            api_version="2025-04-01-preview",
            max_retries=0,
        )
    path = "/openai/v1" if flavour == "azure-v1" else "/v1"
    url = f"http://{server.host}:{server.port}{path}"
    return OpenAI(base_url=url, api_key=key, max_retries=0)
