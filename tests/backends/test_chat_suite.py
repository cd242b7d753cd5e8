"""The chat backend against the shared suite: over both transports, and pushed."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from antiphon.backends.chat import Chat
from antiphon.backends.transport import transport_for
from antiphon.config import ChatSettings
from tests.backends.strict_upstream import strict_upstream
from tests.suites.backend import *  # noqa: F403
from tests.suites.backend import Subject
from tests.suites.pushing import PushedChat

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["fast", "pushed", "aiohttp"])
async def subject(request: pytest.FixtureRequest) -> AsyncIterator[Subject]:
    async with strict_upstream(api_key="k-1") as upstream:
        settings = ChatSettings(url=upstream.url, key="k-1")
        if request.param == "pushed":
            backend: Chat = PushedChat(settings)
        else:
            backend = Chat(settings, transport_for(upstream.url, kind=request.param))
        await backend.open()
        yield Subject(
            backend=backend,
            text="echo",
            tool="tool",
            custom="tool",
            structured="json",
            reasoning="reasoning",
            missing="missing",
        )
        await backend.close()
        assert upstream.refusals == []
