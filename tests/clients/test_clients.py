"""Each client's program against one server: those the development environment has packages for
always, the others where ``make clients`` installed them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clients.client import Client
from tests.clients.installed import command_of, is_installed, missing_need
from tests.clients.registry import CLIENTS
from tests.clients.roads import LEFT_OUT, ROADS, before
from tests.clients.site import Site, site
from tests.clients.trial import attempt


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with site(tmp_path_factory.mktemp("server")) as running:
        yield running
    assert running.broken() == []


@pytest.mark.requirement("clients:run:unchanged")
@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.name)
def test_a_client_makes_all_its_checks(client: Client, server: Site, tmp_path: Path) -> None:
    if reason := missing_need(client):
        pytest.skip(reason)
    if not client.dev and not is_installed(client):
        pytest.skip(f"not installed: make clients ARGS={client.name}")
    trial = attempt(client, command_of(client, dev=client.dev), server, tmp_path)
    assert trial.trouble == ""
    assert [f"{it.check}: {it.error}" for it in trial.checks if not it.ok] == []
    assert trial.passed


@pytest.mark.requirement("clients:roads:translated")
@pytest.mark.parametrize("road", ROADS)
def test_a_client_works_when_every_model_is_behind_another_server(
    road: str, tmp_path: Path
) -> None:
    client = CLIENTS[0]
    assert client.dev
    folder, empty = tmp_path / "server", tmp_path / "client"
    folder.mkdir()
    empty.mkdir()
    with before(folder, road, demo=False) as server:
        # Some of its checks; `make clients ARGS="--before chat"` makes them all, with all clients.
        command = [*command_of(client, dev=True), "tool", "stream", "parses", "chains"]
        trial = attempt(client, command, server, empty)
        assert server.broken() == []
    trial = trial.without(LEFT_OUT[road].get(client.name, frozenset()))
    assert trial.trouble == ""
    assert [f"{it.check}: {it.error}" for it in trial.checks if not it.ok] == []
    assert len(trial.passed) > 8
