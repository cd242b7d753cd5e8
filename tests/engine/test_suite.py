"""The embedded engine against the suite every backend passes."""

from __future__ import annotations

import pytest

from antiphon.backends.llamacpp import LlamaCpp
from tests.engine.turns import PATIENCE
from tests.suites.backend import *  # noqa: F403
from tests.suites.backend import Subject

pytestmark = pytest.mark.anyio


@pytest.fixture
def subject(engine: LlamaCpp) -> Subject:
    return Subject(
        backend=engine,
        text="demo-antiphon",
        tool="demo-antiphon",
        structured="demo-antiphon",
        patience_seconds=PATIENCE,
    )
