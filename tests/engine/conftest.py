"""One engine for all tests of this folder, with the model that is in the box."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from antiphon.backends import demo
from antiphon.backends.llamacpp import LlamaCpp
from antiphon.backends.llamacpp_probe import probe
from antiphon.config import LlamaCppSettings


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def can_run() -> None:
    """Skips where the engine cannot run, and says why."""
    found = probe()
    if not found.ok:
        pytest.skip(found.detail)
    if not demo.path().is_file():
        pytest.skip(f"the demo model is not built: {demo.path()}")


@pytest.fixture(scope="session")
async def engine(can_run: None, anyio_backend: str) -> AsyncIterator[LlamaCpp]:
    backend = LlamaCpp(LlamaCppSettings())
    await backend.open()
    yield backend
    await backend.close()
