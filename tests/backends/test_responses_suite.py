"""The responses backend against the shared suite: over both transports, and pushed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

import pytest

from antiphon.backends.base import Turn
from antiphon.backends.responses import Responses
from antiphon.backends.transport import transport_for
from antiphon.config import ResponsesSettings
from antiphon.stream.deltas import Delta
from tests.backends.upstream_antiphon import KEY, upstream_antiphon
from tests.suites.backend import *  # noqa: F403
from tests.suites.backend import Subject
from tests.suites.pushing import pushed

pytestmark = pytest.mark.anyio


class PushedResponses(Responses):
    """A responses backend whose streams are pushed."""

    def stream(self, turn: Turn) -> AsyncIterator[Sequence[Delta]]:
        return pushed(self, turn)


@pytest.fixture(params=["fast", "pushed", "aiohttp"])
async def subject(request: pytest.FixtureRequest) -> AsyncIterator[Subject]:
    async with upstream_antiphon() as (_, url):
        settings = ResponsesSettings(url=url, key=KEY, profile="antiphon")
        if request.param == "pushed":
            backend: Responses = PushedResponses(settings)
        else:
            backend = Responses(settings, transport_for(url, kind=request.param))
        await backend.open()
        yield Subject(
            backend=backend,
            text="scripted/echo",
            tool="scripted/tool",
            custom="scripted/custom",
            structured="scripted/json",
            reasoning="scripted/reasoning",
            missing="scripted/none-such",
        )
        await backend.close()
