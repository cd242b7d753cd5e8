"""The pages about backends say what the code says; the backend they show passes the suite."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from antiphon.backends.profiles import PROFILES, Profile
from antiphon.backends.scripted import about_of
from antiphon.backends.scripts import COUNTED, SCRIPTS
from tests.suites.backend import *  # noqa: F403
from tests.suites.backend import Subject

pytestmark = pytest.mark.anyio

DOCS = Path(__file__).parent.parent.parent / "docs"
FLAGS = [field for field in Profile.__struct_fields__ if field != "capabilities"]
PROMISES = ("json_schema", "strict_tools", "tool_choice")


def page(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8")


def rows(text: str) -> list[list[str]]:
    """The cells of every table row that begins with a name in code."""
    found = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| `")]
    return [[cell.strip() for cell in row] for row in found]


@pytest.fixture
async def subject() -> AsyncIterator[Subject]:
    """The backend of the how-to page, as it stands there."""
    text = page("how-to/add-a-backend.md")
    program = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)[0]
    names: dict[str, Any] = {}
    exec(program, names)
    backend = names["Parrot"]()
    await backend.open()
    yield Subject(backend=backend, text="parrot", missing="crow")
    await backend.close()


@pytest.mark.requirement("chat:docs:backends")
def test_every_script_stands_in_the_page_with_its_sentence() -> None:
    listed = {row[0]: row[1] for row in rows(page("reference/scripted-models.md"))}
    assert listed == {f"`{name}`": about_of(script) for name, script in SCRIPTS.items()}
    counted = [name for name, script in SCRIPTS.items() if script in COUNTED]
    assert all(f"`{name}`" in page("reference/scripted-models.md") for name in counted)


@pytest.mark.requirement("chat:docs:backends")
def test_every_profile_and_every_flag_stands_in_the_page() -> None:
    before, flags = page("reference/backends.md").split("| flag | meaning |")
    _, described = before.split("| profile | schemas |")
    profiles = {row[0].strip("`"): row[1:] for row in rows(described)}
    assert set(profiles) == set(PROFILES)
    for name, cells in profiles.items():
        known = PROFILES[name].capabilities
        assert cells[:3] == [getattr(known, promise) for promise in PROMISES], name
        differs = [flag for flag in FLAGS if differs_in(PROFILES[name], flag)]
        assert re.findall(r"`(\w+)`", cells[3]) == differs, name
    assert [row[0].strip("`") for row in rows(flags)] == FLAGS


def differs_in(profile: Profile, flag: str) -> bool:
    return bool(getattr(profile, flag) != getattr(PROFILES["generic"], flag))
