"""The shared suite's asserts are explained like those of a test file."""

from __future__ import annotations

import pytest

pytest.register_assert_rewrite(
    "tests.suites.store",
    "tests.suites.completions",
    "tests.suites.store_machine",
    "tests.suites.conversations",
    "tests.suites.idempotency",
)
