"""The shared suite of logs, in the store's tables."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from antiphon.app import store_of
from antiphon.config import StoreSettings
from tests.store.run_log_rig import TableLogRig
from tests.suites.run_log import *  # noqa: F403 - the tests

pytestmark = pytest.mark.anyio


@pytest.fixture
async def rig(store_settings: StoreSettings) -> AsyncIterator[TableLogRig]:
    store = store_of(store_settings)
    await store.open()
    yield TableLogRig(store)
    await store.close()
