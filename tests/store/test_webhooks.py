"""The shared suite of webhooks, on SQLite and PostgreSQL."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from antiphon.app import store_of
from antiphon.config import StoreSettings
from antiphon.store.base import Store
from tests.suites.webhooks import *  # noqa: F403 - the tests

pytestmark = pytest.mark.anyio


@pytest.fixture
async def database(store_settings: StoreSettings) -> AsyncIterator[Store]:
    store = store_of(store_settings)
    await store.open()
    yield store
    await store.close()
