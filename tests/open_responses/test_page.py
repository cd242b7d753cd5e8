"""The page says what the data say, and what was seen was seen of every scenario."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.open_responses import page
from tests.open_responses.__main__ import PROFILES, chosen
from tests.open_responses.client import Asking
from tests.process.server import Server


@pytest.mark.requirement("open-responses:page")
def test_the_page_is_what_the_data_say() -> None:
    assert page.PAGE.read_text(encoding="utf-8") == page.text(), "run: make docs"


@pytest.mark.requirement("open-responses:page")
def test_every_scenario_was_seen_in_every_profile() -> None:
    seen = json.loads(page.SEEN.read_text(encoding="utf-8"))["profiles"]
    assert {profile: set(told) for profile, told in seen.items()} == {
        profile: set(chosen(profile)) for profile in PROFILES
    }
    assert {problem for told in seen.values() for problem in told.values()} == {""}


@pytest.mark.requirement("open-responses:switch")
@pytest.mark.anyio
@pytest.mark.parametrize("how", ["flag", "environment"])
async def test_the_profile_is_chosen_where_settings_are(tmp_path: Path, how: str) -> None:
    import httpx2

    from tests.open_responses.scenarios import error_types

    flags = ("--api-profile", "open-responses") if how == "flag" else ()
    told = {} if how == "flag" else {"ANTIPHON__SERVER__PROFILE": "open-responses"}
    with Server(tmp_path, *flags, environment=told) as server:
        async with httpx2.AsyncClient() as http:
            await error_types(Asking(http, server.url, "none", "scripted/echo", "scripted/tool"))
