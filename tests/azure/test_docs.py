"""The reference page says what the code does."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import msgspec
import pytest

from antiphon.config import Config
from antiphon.server.azure import BAD_KEY, NO_DEPLOYMENT, NO_REGION, NOT_FOUND, locate
from antiphon.server.azure_catalogue import catalogue

DOCS = Path(__file__).parents[2] / "docs"
REFERENCE = (DOCS / "reference" / "azure.md").read_text()
GUIDE = (DOCS / "how-to" / "use-azure-clients.md").read_text()


@pytest.mark.requirement("azure:errors:gateway")
def test_the_page_names_every_error() -> None:
    old = locate("/openai/responses", b"api-version=2024-10-21", catalogue().first)
    assert old is not None and old.error is not None
    for error in (NOT_FOUND, old.error):
        assert f'"code": "{error.code}", "message": "{error.message}"' in REFERENCE
    assert f'"code": "{BAD_KEY.code}", "message": "{BAD_KEY.message[:45]}' in REFERENCE
    for code in (NO_DEPLOYMENT.code, "NotFound", "model_not_found", "unsupported_parameter"):
        assert f"`{code}`" in REFERENCE
    assert f"`{NO_REGION}`" in REFERENCE


@pytest.mark.requirement("azure:emulation:features")
def test_the_table_of_features_has_the_versions_of_the_catalogue() -> None:
    rows = re.findall(r"^\| (.+) \| (no|yes) \| (no|yes) \| yes \|$", REFERENCE, re.MULTILINE)
    since = {"no no": "v1", "no yes": "2025-04-01-preview"}
    told = {
        name.split(" (")[0].split(" other")[0].strip("`"): since[f"{a} {b}"] for name, a, b in rows
    }
    features = {name: version for names, version in told.items() for name in names.split(", ")}
    assert len(features) == len(catalogue().features)
    for version in set(since.values()):
        known = [feature for feature in catalogue().features if feature.since == version]
        assert len(known) == sum(told_version == version for told_version in features.values())


@pytest.mark.requirement("azure:deployments:mapped")
@pytest.mark.parametrize("page", [REFERENCE, GUIDE], ids=["reference", "guide"])
def test_the_settings_shown_are_settings(page: str) -> None:
    blocks = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    assert blocks
    for block in blocks:
        assert msgspec.convert(tomllib.loads(block), Config).azure != Config().azure
