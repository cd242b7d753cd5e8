"""Where an Azure URL leads: a table."""

from __future__ import annotations

import pytest

from antiphon.server.azure import NOT_FOUND, AzureError, Place, locate

FIRST = "2025-03-01-preview"
DATED = b"api-version=2025-03-01-preview"
TOO_OLD = AzureError(
    400,
    "BadRequest",
    "Azure OpenAI Responses API is enabled only for api-version 2025-03-01-preview and later",
)

REWRITTEN = [
    ("/openai/responses", "/v1/responses"),
    ("/openai/responses/resp_1", "/v1/responses/resp_1"),
    ("/openai/responses/resp_1/cancel", "/v1/responses/resp_1/cancel"),
    ("/openai/responses/resp_1/input_items", "/v1/responses/resp_1/input_items"),
    ("/openai/responses/input_tokens", "/v1/responses/input_tokens"),
    ("/openai/responses/compact", "/v1/responses/compact"),
    ("/openai/models", "/v1/models"),
    ("/openai/models/gpt-4o", "/v1/models/gpt-4o"),
    ("/openai/conversations", "/v1/conversations"),
    ("/openai/files/file-1/content", "/v1/files/file-1/content"),
]


@pytest.mark.requirement("azure:paths:rewritten")
@pytest.mark.parametrize(("path", "ours"), REWRITTEN)
def test_a_dated_path_leads_to_ours(path: str, ours: str) -> None:
    assert locate(path, DATED, FIRST) == Place(ours, "2025-03-01-preview")


@pytest.mark.requirement("azure:paths:rewritten")
@pytest.mark.parametrize(("path", "ours"), REWRITTEN)
@pytest.mark.parametrize("query", [b"", b"api-version=preview", b"api-version=v1", DATED])
def test_an_undated_path_leads_to_ours_with_any_version(path: str, ours: str, query: bytes) -> None:
    assert locate(path.replace("/openai", "/openai/v1"), query, FIRST) == Place(ours, "v1")


@pytest.mark.requirement("azure:paths:rewritten")
@pytest.mark.parametrize(
    ("path", "place"),
    [
        ("/openai/deployments/d/responses", Place("/v1/responses", "2025-03-01-preview", "d")),
        (
            "/openai/deployments/d/chat/completions",
            Place("/v1/chat/completions", "2025-03-01-preview", "d"),
        ),
        ("/openai/v1/deployments/d/responses", Place("/v1/responses", "v1", "d")),
        ("/openai/v1/deployments/d/responses/x", Place("/v1/responses/x", "v1", "d")),
        ("/openai/v1/deployments/d/embeddings", Place("/v1/embeddings", "v1", "d")),
    ],
)
def test_a_deployment_in_the_path_is_noticed(path: str, place: Place) -> None:
    assert locate(path, DATED, FIRST) == place


@pytest.mark.requirement("webhooks:endpoints:azure")
@pytest.mark.parametrize("rest", ["webhook_endpoints", "webhook_endpoints/we_1/test"])
def test_webhook_endpoints_stand_under_the_dashboard(rest: str) -> None:
    assert locate(f"/openai/v1/dashboard/{rest}", b"", FIRST) == Place(f"/v1/{rest}", "v1")
    dated = locate(f"/openai/dashboard/{rest}", DATED, FIRST)
    assert dated == Place(f"/v1/{rest}", "2025-03-01-preview")
    other = locate("/openai/v1/dashboard/keys", b"", FIRST)
    assert other == Place("/v1/dashboard/keys", "v1")


@pytest.mark.requirement("azure:version:required")
@pytest.mark.parametrize(
    "query", [b"", b"api-version=", b"api-version=soon", b"version=2025-03-01"]
)
def test_a_dated_path_needs_an_api_version(query: bytes) -> None:
    place = locate("/openai/responses", query, FIRST)
    assert place == Place("/openai/responses", error=NOT_FOUND)


@pytest.mark.requirement("azure:version:required")
@pytest.mark.parametrize(
    ("version", "known_as"),
    [
        ("2025-03-01-preview", "2025-03-01-preview"),
        ("2025-03-01-PREVIEW", "2025-03-01-preview"),
        ("2025-04-01-preview", "2025-04-01-preview"),
        ("2026-01-01", "2026-01-01"),
        ("preview", "v1"),
        ("latest", "v1"),
        ("v1", "v1"),
    ],
)
def test_every_later_version_is_taken(version: str, known_as: str) -> None:
    query = f"a=b&api-version={version}".encode()
    assert locate("/openai/responses", query, FIRST) == Place("/v1/responses", known_as)


@pytest.mark.requirement("azure:version:too-old")
@pytest.mark.parametrize("version", ["2025-02-01-preview", "2024-10-21", "2023-05-15"])
@pytest.mark.parametrize("path", ["/openai/responses", "/openai/deployments/d/responses/resp_1"])
def test_responses_are_refused_for_an_older_version(version: str, path: str) -> None:
    place = locate(path, f"api-version={version}".encode(), FIRST)
    assert place is not None
    assert place.error == TOO_OLD


@pytest.mark.requirement("azure:version:too-old")
def test_only_responses_are_refused_for_an_older_version() -> None:
    place = locate("/openai/models", b"api-version=2024-10-21", FIRST)
    assert place == Place("/v1/models", "2024-10-21")


@pytest.mark.requirement("azure:paths:rewritten")
@pytest.mark.parametrize("path", ["/v1/responses", "/", "/openaix/responses", "/healthz", ""])
def test_a_path_that_is_not_azures_is_left_alone(path: str) -> None:
    assert locate(path, b"", FIRST) is None


@pytest.mark.requirement("azure:paths:unknown")
@pytest.mark.parametrize("path", ["/openai", "/openai/", "/openai/deployments", "/openai/v1"])
def test_a_path_without_a_resource_leads_nowhere(path: str) -> None:
    place = locate(path, DATED, FIRST)
    assert place is not None
    assert place.path in ("/v1/", "/v1/deployments")
