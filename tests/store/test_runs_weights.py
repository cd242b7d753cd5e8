"""The weights of projects come from the settings."""

from __future__ import annotations

import pytest

from antiphon.app import running
from antiphon.config import Config, ScriptedSettings, StoreSettings
from antiphon.config_state import BackgroundSettings, ProjectSettings
from tests.suites.runs import new

pytestmark = pytest.mark.anyio


@pytest.mark.requirement("durable-runs:queue:fair")
async def test_the_settings_say_which_project_has_more_running() -> None:
    config = Config(
        store=StoreSettings(file=":memory:"),
        backends=(ScriptedSettings(),),
        background=BackgroundSettings(runs_max=0),  # we claim
        projects=(ProjectSettings(name="heavy", background_weight=2.0),),
    )
    async with running(config) as app:
        rows = app.background.rows
        for index in range(6):
            for project in ("light", "heavy"):
                await rows.enqueue(new(f"{project}{index}", project))
        projects = [run.claim.project for run in await rows.claim("me", 6)]
        assert sorted(projects) == ["heavy"] * 4 + ["light"] * 2
