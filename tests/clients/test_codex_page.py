"""What the page about Codex tells to write down is the configuration that is tested."""

from __future__ import annotations

import tomllib

import pytest

from tests.clients.client import EXAMPLES, ROOT
from tests.examples.pages import blocks

PAGE = "docs/how-to/use-codex.md"


@pytest.mark.requirement("clients:codex:page")
def test_the_page_shows_the_configuration_that_is_tested() -> None:
    example = (EXAMPLES / "codex.toml").read_text(encoding="utf-8")
    shown = [block.text for block in blocks("text") if block.page == PAGE]
    settings = example.partition("\n\n")[2]
    assert settings == shown[0]
    assert all(tomllib.loads(text) for text in shown)
    provider = tomllib.loads(example)["model_providers"]["antiphon"]
    assert provider["base_url"].startswith("http://127.0.0.1:8484/")
    assert (ROOT / PAGE).exists()
