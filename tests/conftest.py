"""Fixtures every test may use."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from antiphon.config import StoreSettings

# The shared suites' asserts are explained like those of a test file.
pytest.register_assert_rewrite("tests.suites")

from tests.store import postgres  # noqa: E402

# One slow example on a busy machine is no finding; what is slow by nature has tests of its own.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def postgres_url() -> Iterator[str]:
    """The URL of a new database in a real PostgreSQL; skips where there is none."""
    with postgres.database() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgres"])
def store_settings(request: pytest.FixtureRequest, tmp_path: Path) -> StoreSettings:
    """The test runs twice: over a new SQLite file, and over a new database in PostgreSQL."""
    if request.param == "sqlite":
        return StoreSettings(data=str(tmp_path))
    return StoreSettings(data=str(tmp_path), url=request.getfixturevalue("postgres_url"))


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "requirement(id): the requirement this test proves")
