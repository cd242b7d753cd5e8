"""The scripted backend against the shared suite."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from antiphon.backends.scripted import Scripted
from tests.suites.backend import *  # noqa: F403
from tests.suites.backend import Subject

pytestmark = pytest.mark.anyio


@pytest.fixture
async def subject() -> AsyncIterator[Subject]:
    backend = Scripted()
    await backend.open()
    yield Subject(
        backend=backend,
        text="scripted/echo",
        tool="scripted/tool",
        custom="scripted/custom",
        structured="scripted/json",
        reasoning="scripted/reasoning",
        missing="scripted/no-such-script",
    )
    await backend.close()
