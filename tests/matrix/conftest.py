"""One world per store for all of the matrix; roads and clients as parameters."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.matrix.roads import ROADS, Client, Road
from tests.matrix.world import OTHER_KEY, World, world


@pytest.fixture(scope="package", params=["sqlite", "postgresql"])
def house(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    with world(request.param, tmp_path_factory.mktemp("matrix")) as made:
        yield made


@pytest.fixture(params=["openai", "azure"])
def client(request: pytest.FixtureRequest, house: World) -> Client:
    return house.client(request.param)


@pytest.fixture
def stranger(house: World) -> Client:
    """Another tenant."""
    return house.client("openai", OTHER_KEY)


@pytest.fixture
def beside(house: World) -> Client:
    """The other replica where there are two, else another client of the same server."""
    return house.client("openai", server=len(house.servers) - 1)


@pytest.fixture(params=list(ROADS))
def ask(request: pytest.FixtureRequest) -> Road:
    return ROADS[request.param]
