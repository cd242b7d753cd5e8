"""Fixtures every test may use."""

from __future__ import annotations

import pytest
from hypothesis import settings

# One slow example on a busy machine is no finding; what is slow by nature has tests of its own.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "requirement(id): the requirement this test proves")
