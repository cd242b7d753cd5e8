"""The shared suite, over all three kinds of bus."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.bus.rigs import LocalRig, NatsRig, NatsServer, PostgresRig, Rig
from tests.store import postgres
from tests.suites.bus import BusSuite

pytestmark = pytest.mark.anyio


class TestLocal(BusSuite):
    @pytest.fixture
    async def rig(self) -> AsyncIterator[Rig]:
        rig = LocalRig()
        yield rig
        await rig.close()


class TestPostgres(BusSuite):
    @pytest.fixture
    async def rig(self) -> AsyncIterator[Rig]:
        postgres.server()
        rig = PostgresRig()
        yield rig
        await rig.close()


class TestNats(BusSuite):
    @pytest.fixture
    async def rig(self) -> AsyncIterator[Rig]:
        if missing := NatsServer.missing():
            pytest.skip(missing)
        rig = NatsRig()
        yield rig
        await rig.close()
