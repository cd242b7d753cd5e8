"""The reference says everything: each route, each code, each header."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from antiphon.server.asgi import routes

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "docs" / "reference"
CODE = re.compile(r'code="([a-z_]+)"')
HEADER = re.compile(r'b"((?:x|openai|retry)-[a-z-]+)"')


def named(pattern: re.Pattern[str], folder: str) -> set[str]:
    """What the pattern finds in the source files of a folder."""
    files = (ROOT / "antiphon" / folder).rglob("*.py")
    return {found for file in files for found in pattern.findall(file.read_text())}


@pytest.mark.requirement("http:docs:complete")
def test_every_error_code_is_documented() -> None:
    page = (REFERENCE / "errors.md").read_text()
    assert {code for code in named(CODE, "") if f"`{code}`" not in page} == set()


@pytest.mark.requirement("http:docs:complete")
def test_every_route_is_documented() -> None:
    page = (REFERENCE / "http.md").read_text()
    paths = [route.path.replace(":path", "") for route in routes()]
    assert [path for path in paths if f"`{path}`" not in page] == []


@pytest.mark.requirement("http:docs:complete")
def test_every_header_is_documented() -> None:
    page = (REFERENCE / "http.md").read_text()
    sent = named(HEADER, "server") - {"x-gzip", "x-accel-buffering"}
    azure = {header for header in sent if header.startswith("x-ms-")}
    assert {header for header in sent - azure if f"`{header}`" not in page} == set()
