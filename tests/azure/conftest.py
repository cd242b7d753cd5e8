"""The application behind the dialect: the whole server, scripted models, both roads."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest

from antiphon.backends.scripted import Scripted
from antiphon.config import AzureSettings
from antiphon.server.azure import AzureDialect
from tests.server.conftest import KEYS, Client, House, opened, road

__all__ = ["Site", "road"]

DEPLOYMENTS = {
    "gpt-4o": "scripted/echo",
    "pirate": "scripted/instructions",
    "computer-use-preview": "scripted/hello",
}


@dataclass
class Site:
    """The server and ways to put the dialect before it."""

    house: House

    def app(self, **settings: Any) -> AzureDialect:
        """The dialect with the given ``[azure]`` settings; deployments as above by default."""
        return AzureDialect(
            self.house.app, AzureSettings(**{"deployments": DEPLOYMENTS, **settings})
        )

    def client(self, *, headers: dict[str, str] | None = None, **settings: Any) -> Client:
        return self.house.asking(self.app(**settings), headers=headers)


@pytest.fixture
async def site(road: str) -> AsyncIterator[Site]:
    """Open to everybody."""
    async for house in opened(Scripted(), {}, road):
        yield Site(house)


@pytest.fixture
async def locked_site(road: str) -> AsyncIterator[Site]:
    """Two projects, each with its key."""
    async for house in opened(Scripted(), KEYS, road):
        yield Site(house)
