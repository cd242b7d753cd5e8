"""The catalogue as data, and the refusals of the emulation mode."""

from __future__ import annotations

from typing import Any

import pytest

from antiphon.server.azure_catalogue import catalogue, older, refusal

MARCH, APRIL, UNDATED = "2025-03-01-preview", "2025-04-01-preview", "v1"
PAGE_REGIONS = set(
    """australiaeast eastus eastus2 francecentral japaneast norwayeast southindia swedencentral
    uaenorth uksouth westus westus3""".split()  # noqa: SIM905
)


def refused(body: dict[str, Any], version: str = MARCH, region: str = "") -> tuple[Any, ...]:
    """(status, code, param) of the refusal, or () if there is none."""
    error = refusal({"model": "gpt-4o", "input": "hi", **body}, version, region, catalogue())
    return (error.status, error.code, error.param) if error else ()


@pytest.mark.requirement("azure:emulation:models")
def test_the_catalogue_has_the_regions_and_models_of_april_2025() -> None:
    known = catalogue()
    assert known.first == MARCH
    assert set(known.regions_of(MARCH)) == set(known.regions_of(APRIL)) == PAGE_REGIONS
    assert set(known.regions_of(UNDATED)) > PAGE_REGIONS
    offers = {model.name: model for model in known.models}
    assert offers["gpt-4o"].versions == ["2024-05-13", "2024-08-06", "2024-11-20"]
    assert offers["gpt-4o-mini"].versions == ["2024-07-18"]
    assert offers["computer-use-preview"].versions == ["2025-03-11"]
    assert set(offers["computer-use-preview"].regions) == {"eastus2", "southindia", "swedencentral"}


@pytest.mark.requirement("azure:emulation:models")
def test_the_catalogue_is_consistent() -> None:
    known = catalogue()
    names = [model.name for model in known.models]
    assert len(names) == len(set(names))
    everywhere = set(known.regions_of(UNDATED))
    assert all(set(model.regions) <= everywhere for model in known.models)
    assert all(model.versions for model in known.models)
    versions = {
        entry.since for group in (known.regions, known.features, known.models) for entry in group
    }
    assert versions == {MARCH, APRIL, UNDATED}


def test_versions_are_compared_by_their_date() -> None:
    assert older("2024-10-21", MARCH)
    assert older(MARCH, APRIL)
    assert older("2026-01-01", UNDATED)
    assert not older("2025-03-01", MARCH)
    assert not older(UNDATED, UNDATED)


IMAGE = {"type": "input_image", "image_url": "https://example.com/cat.png"}
FILE = {"type": "input_file", "file_url": "https://example.com/a.pdf"}
USES: list[tuple[dict[str, Any], str, str]] = [
    ({"text": {"format": {"type": "json_schema"}}}, "text.format", APRIL),
    ({"tool_choice": "required"}, "tool_choice", APRIL),
    ({"tool_choice": {"type": "function", "name": "f"}}, "tool_choice", APRIL),
    (
        {"input": [{"role": "user", "content": "a"}, {"role": "user", "content": ["", IMAGE]}]},
        "input[1].content[1].image_url",
        APRIL,
    ),
    ({"reasoning": {"summary": "auto"}}, "reasoning.summary", APRIL),
    ({"tools": [{"type": "function"}, {"type": "web_search"}]}, "tools[1].type", UNDATED),
    ({"tools": [{"type": "web_search_preview"}]}, "tools[0].type", UNDATED),
    ({"input": [{"role": "user", "content": [FILE]}]}, "input[0].content[0]", UNDATED),
    ({"tools": [{"type": "mcp"}]}, "tools[0].type", UNDATED),
    ({"tools": [{"type": "image_generation"}]}, "tools[0].type", UNDATED),
    ({"tools": [{"type": "code_interpreter"}]}, "tools[0].type", UNDATED),
    ({"tools": [{"type": "custom", "name": "c"}]}, "tools[0].type", UNDATED),
    ({"background": True}, "background", UNDATED),
    ({"include": ["reasoning.encrypted_content"]}, "include[0]", UNDATED),
    ({"conversation": "conv_1"}, "conversation", UNDATED),
    ({"prompt": {"id": "p"}}, "prompt", UNDATED),
]


@pytest.mark.requirement("azure:emulation:features")
@pytest.mark.parametrize(("body", "param", "since"), USES, ids=lambda value: str(value)[:40])
def test_a_feature_is_refused_until_its_version(
    body: dict[str, Any], param: str, since: str
) -> None:
    for version in (MARCH, APRIL, UNDATED):
        expected = (400, "unsupported_parameter", param) if older(version, since) else ()
        assert refused(body, version) == expected


@pytest.mark.requirement("azure:emulation:features")
def test_every_feature_of_the_catalogue_is_recognised_somewhere() -> None:
    words = {feature.what for feature in catalogue().features}
    said = set()
    for body, _, _ in USES:
        error = refusal({"model": "gpt-4o", **body}, MARCH, "", catalogue())
        assert error is not None
        said |= {word for word in words if f"supports {word} only" in error.message}
    assert said == words


@pytest.mark.requirement("azure:emulation:features")
@pytest.mark.parametrize(
    "body",
    [
        {},
        {"text": {"format": {"type": "text"}}, "tool_choice": "auto", "stream": True},
        {"tools": [{"type": "function", "name": "f"}], "previous_response_id": "resp_1"},
        {
            "input": [
                {"role": "user", "content": [{**IMAGE, "image_url": "data:image/png;base64,"}]}
            ]
        },
        {"text": None, "reasoning": None, "tools": None, "include": None, "background": False},
        {"text": 3, "input": [3, None], "tools": {}, "include": "x", "reasoning": []},
    ],
)
def test_what_the_first_version_had_is_not_refused(body: dict[str, Any]) -> None:
    assert refused(body, MARCH, "eastus") == ()


@pytest.mark.requirement("azure:emulation:models")
@pytest.mark.parametrize(
    ("model", "version", "region", "accepted"),
    [
        ("gpt-4o", MARCH, "eastus", True),
        ("gpt-4o-2024-08-06", MARCH, "eastus", True),
        ("gpt-4o-2023-01-01", MARCH, "eastus", False),
        ("computer-use-preview", MARCH, "swedencentral", True),
        ("computer-use-preview", MARCH, "eastus", False),
        ("computer-use-preview", UNDATED, "westus3", False),
        ("computer-use-preview", MARCH, "", True),
        ("gpt-4.1", MARCH, "eastus", False),
        ("gpt-4.1", APRIL, "eastus", True),
        ("gpt-5", APRIL, "eastus", False),
        ("gpt-5", UNDATED, "eastus", True),
        ("my-own-deployment", MARCH, "eastus", True),
        ("my-own-2024-08-06", MARCH, "eastus", True),
    ],
)
def test_a_model_is_refused_where_it_was_not_offered(
    model: str, version: str, region: str, accepted: bool
) -> None:
    expected = () if accepted else (400, "model_not_found", "model")
    assert refused({"model": model}, version, region) == expected


@pytest.mark.requirement("azure:emulation:models")
def test_a_deployment_is_judged_by_its_model_where_its_name_says_nothing() -> None:
    body = {"model": "brain", "input": "hi"}
    assert refusal(body, APRIL, "eastus", catalogue(), resolved="gpt-4o") is None
    assert refusal(body, APRIL, "eastus", catalogue(), resolved="gpt-5") is not None


@pytest.mark.requirement("azure:emulation:models")
def test_a_region_without_the_api_is_refused_in_azures_words() -> None:
    assert refused({}, MARCH, "polandcentral") == (404, "NotFound", None)
    assert refused({}, UNDATED, "polandcentral") == ()
    error = refusal({"model": "gpt-4o"}, MARCH, "mars", catalogue())
    assert error is not None
    assert error.message.startswith("Azure OpenAI Responses API is not enabled in this region.")
