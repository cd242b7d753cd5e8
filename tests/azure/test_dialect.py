"""The dialect before the real server: paths, deployments, errors, headers, emulation."""

from __future__ import annotations

import gzip
from typing import Any

import msgspec
import pytest

from antiphon.config import AzureSettings
from antiphon.server.azure import BAD_KEY, AzureDialect, Place, rework, translate
from antiphon.server.azure_catalogue import catalogue
from tests.azure.conftest import Site
from tests.server.asgi_client import AsgiClient

pytestmark = pytest.mark.anyio

DATED = "api-version=2025-03-01-preview"
CREATE = f"/openai/responses?{DATED}"
ASKED = {"model": "gpt-4o", "input": "This is a test."}
NOT_FOUND = {"error": {"code": "404", "message": "Resource not found"}}
URLS = [
    CREATE,
    "/openai/v1/responses",
    "/openai/v1/responses?api-version=preview",
    f"/openai/deployments/gpt-4o/responses?{DATED}",
    "/openai/v1/deployments/gpt-4o/responses",
]


def text_of(response: dict[str, Any]) -> str:
    return str(response["output"][0]["content"][0]["text"])


# Paths ------------------------------------------------------------------------------------


@pytest.mark.requirement("azure:paths:rewritten")
@pytest.mark.requirement("azure:response:content-filters")
@pytest.mark.parametrize("url", URLS)
async def test_a_response_is_created_and_found_again(site: Site, url: str) -> None:
    client = site.client()
    made = await client.request("POST", url, body=ASKED)
    assert made.status == 200, made
    assert made.json()["content_filters"] == []
    assert text_of(made.json()) == "This is a test."
    path = f"/openai/responses/{made.json()['id']}"
    again = await client.request("GET", f"{path}?{DATED}")
    assert again.json() == made.json()
    items = await client.request("GET", f"{path}/input_items?{DATED}&limit=1")
    assert items.json()["data"][0]["content"][0]["text"] == "This is a test."
    gone = await client.request("DELETE", f"{path}?{DATED}")
    assert gone.json()["deleted"] is True


@pytest.mark.requirement("azure:response:content-filters")
async def test_a_response_made_elsewhere_has_content_filters_when_azure_reads_it(
    site: Site,
) -> None:
    client = site.client()
    body = {"model": "scripted/hello", "input": "Hi."}
    made = await client.request("POST", "/v1/responses", body=body)
    assert "content_filters" not in made.json()
    read = await client.request("GET", f"/openai/v1/responses/{made.json()['id']}")
    assert read.json()["content_filters"] == []


@pytest.mark.requirement("azure:paths:rewritten")
async def test_a_stream_passes_through_unchanged(site: Site) -> None:
    answer = await site.client().request("POST", CREATE, body={**ASKED, "stream": True})
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.body.endswith(b"data: [DONE]\n\n")
    assert answer.headers["x-ms-region"] == "local"


@pytest.mark.requirement("azure:paths:rewritten")
async def test_models_and_token_counts_are_served(site: Site) -> None:
    client = site.client()
    models = await client.request("GET", f"/openai/models?{DATED}")
    assert models.json() == (await client.request("GET", "/v1/models")).json()
    one = await client.request("GET", "/openai/v1/models/scripted/echo")
    assert one.json()["id"] == "scripted/echo"
    count = await client.request("POST", f"/openai/responses/input_tokens?{DATED}", body=ASKED)
    assert count.json()["object"] == "response.input_tokens"


@pytest.mark.requirement("azure:paths:unknown")
@pytest.mark.parametrize(
    ("method", "url"),
    [
        ("POST", f"/openai/deployments/gpt-4o/completions?{DATED}"),
        ("POST", "/openai/v1/deployments/gpt-4o/embeddings"),
        ("GET", f"/openai/nothing?{DATED}"),
        ("GET", "/openai"),
        ("GET", "/openai/v1"),
        ("POST", "/openai/responses"),
        ("POST", "/openai/responses?api-version=someday"),
        ("POST", f"/openai/responses/?{DATED}"),
    ],
)
async def test_what_is_not_served_is_azures_not_found(site: Site, method: str, url: str) -> None:
    answer = await site.client().request(method, url, body=ASKED if method == "POST" else b"")
    assert (answer.status, answer.json()) == (404, NOT_FOUND)
    assert int(answer.headers["content-length"]) == len(answer.body)


@pytest.mark.requirement("azure:version:too-old")
@pytest.mark.parametrize("method", ["POST", "GET"])
async def test_an_older_api_version_is_refused_in_azures_words(site: Site, method: str) -> None:
    url = "/openai/responses?api-version=2024-10-21"
    answer = await site.client().request(method, url, body=ASKED if method == "POST" else b"")
    message = (
        "Azure OpenAI Responses API is enabled only for api-version 2025-03-01-preview and later"
    )
    assert answer.status == 400
    assert answer.json() == {"error": {"code": "BadRequest", "message": message}}


@pytest.mark.requirement("azure:paths:rewritten")
async def test_the_other_flavour_is_untouched(site: Site) -> None:
    client = site.client()
    answer = await client.request(
        "POST", "/v1/responses", body={**ASKED, "model": "scripted/hello"}
    )
    assert "content_filters" not in answer.json()
    assert "x-ms-region" not in answer.headers
    missing = await client.request("GET", "/v1/nothing")
    assert missing.json()["error"]["code"] == "unknown_url"


# Keys, errors, headers --------------------------------------------------------------------


@pytest.mark.requirement("azure:auth:either-header")
@pytest.mark.parametrize("url", [*URLS, "/v1/responses"])
@pytest.mark.parametrize("headers", [{"api-key": "sk-alpha"}, {"authorization": "Bearer sk-alpha"}])
async def test_either_header_lets_the_caller_in(
    locked_site: Site, url: str, headers: dict[str, str]
) -> None:
    model = "scripted/hello" if url == "/v1/responses" else "gpt-4o"
    client = locked_site.client(headers=headers)
    answer = await client.request("POST", url, body={"model": model, "input": "Hi."})
    assert answer.status == 200


@pytest.mark.requirement("azure:errors:gateway")
@pytest.mark.parametrize("headers", [{}, {"api-key": "wrong"}, {"authorization": "Bearer wrong"}])
@pytest.mark.parametrize("url", [*URLS, "/openai/responses", "/openai/nothing"])
async def test_a_bad_key_is_refused_in_azures_words(
    locked_site: Site, headers: dict[str, str], url: str
) -> None:
    answer = await locked_site.client(headers=headers, emulate=True).request(
        "POST", url, body=ASKED
    )
    assert answer.status == 401
    assert answer.json() == {"error": {"code": "401", "message": BAD_KEY.message}}
    assert int(answer.headers["content-length"]) == len(answer.body)


@pytest.mark.requirement("azure:errors:gateway")
async def test_all_other_errors_have_the_same_envelope_in_both_flavours(site: Site) -> None:
    client = site.client()
    missing = await client.request("GET", f"/openai/responses/resp_0?{DATED}")
    same = await client.request("GET", "/v1/responses/resp_0")
    assert (missing.status, missing.json()) == (404, same.json())
    invalid = await client.request("POST", CREATE, body={**ASKED, "temperature": 9})
    assert invalid.status == 400
    assert invalid.json()["error"]["code"] == "decimal_above_max_value"
    assert invalid.json()["error"]["param"] == "temperature"


@pytest.mark.requirement("azure:headers:present")
@pytest.mark.parametrize("url", [CREATE, f"/openai/responses?{DATED}&x=y", "/openai/nothing"])
async def test_every_answer_has_azures_headers(site: Site, url: str) -> None:
    answer = await site.client(region="swedencentral").request("POST", url, body=ASKED)
    assert answer.headers["x-ms-region"] == "swedencentral"
    assert answer.headers["apim-request-id"] == answer.headers["x-request-id"]


@pytest.mark.requirement("azure:headers:present")
async def test_a_429_says_how_long_to_wait_in_milliseconds() -> None:
    async def crowded(scope: Any, receive: Any, send: Any) -> None:
        headers = [(b"retry-after", b"2"), (b"x-request-id", b"req_1")]
        await send({"type": "http.response.start", "status": 429, "headers": headers})
        await send({"type": "http.response.body", "body": b"{}", "more_body": False})

    answer = await AsgiClient(AzureDialect(crowded, AzureSettings())).request("POST", CREATE)
    assert answer.headers["retry-after-ms"] == "2000"


@pytest.mark.requirement("azure:errors:gateway")
@pytest.mark.parametrize("body", [b"", b"nonsense", b"[]", b'{"error":"x"}', b'{"error":{}}'])
def test_a_body_that_is_no_error_object_is_not_translated(body: bytes) -> None:
    assert translate(body, Place("/v1/x"), emulate=True) is None


async def test_a_head_request_keeps_its_status(site: Site) -> None:
    answer = await site.client().request("HEAD", f"/openai/responses/resp_0?{DATED}")
    assert (answer.status, answer.body) == (404, b"")


# Deployments ------------------------------------------------------------------------------


@pytest.mark.requirement("azure:deployments:mapped")
async def test_a_deployment_answers_with_the_model_it_stands_for(site: Site) -> None:
    answer = await site.client().request("POST", CREATE, body=ASKED)
    assert answer.json()["model"] == "scripted/echo"


@pytest.mark.requirement("azure:deployments:mapped")
@pytest.mark.parametrize("place", ["responses", "deployments/gpt-4o/responses"])
async def test_a_deployment_compacts_with_the_model_it_stands_for(site: Site, place: str) -> None:
    answer = await site.client().request("POST", f"/openai/v1/{place}/compact", body=ASKED)
    assert answer.status == 200, answer.body
    assert answer.json()["output"][-1]["type"] == "compaction"


@pytest.mark.requirement("azure:deployments:mapped")
@pytest.mark.parametrize("body", [{"input": "Hi."}, {"input": "Hi.", "model": "other"}])
async def test_a_deployment_in_the_path_wins(site: Site, body: dict[str, Any]) -> None:
    answer = await site.client().request(
        "POST", f"/openai/deployments/gpt-4o/responses?{DATED}", body=body
    )
    assert answer.json()["model"] == "scripted/echo"


@pytest.mark.requirement("azure:deployments:mapped")
async def test_a_name_that_is_not_listed_is_the_model(site: Site) -> None:
    body = {**ASKED, "model": "scripted/hello"}
    answer = await site.client().request("POST", CREATE, body=body)
    assert answer.json()["model"] == "scripted/hello"


@pytest.mark.requirement("azure:deployments:mapped")
def test_a_body_that_needs_no_change_keeps_its_bytes() -> None:
    settings, place = AzureSettings(deployments={"a": "b"}), Place("/v1/responses")
    for body in (b'{ "model":"c" }', b'{"input":1}', b"[]", b"nonsense", b"", b'{"model":3}'):
        assert rework(body, place, settings, catalogue()) == body
    changed = rework(b'{"model":"a","x":[1.0,null]}', place, settings, catalogue())
    assert msgspec.json.decode(changed) == {"model": "b", "x": [1.0, None]}


@pytest.mark.requirement("azure:body:limits")
async def test_a_compressed_body_is_read(site: Site) -> None:
    packed = gzip.compress(msgspec.json.encode(ASKED))
    headers = {"content-encoding": "gzip", "content-length": str(len(packed))}
    answer = await site.client().request("POST", CREATE, body=packed, headers=headers)
    assert text_of(answer.json()) == "This is a test."


@pytest.mark.requirement("azure:body:limits")
async def test_a_body_over_the_limit_is_refused(site: Site) -> None:
    settings = AzureSettings(deployments={"a": "b"})
    app = AzureDialect(site.house.app, settings, body_limit_bytes=100)
    body = {**ASKED, "input": "x" * 200}
    answer = await site.house.asking(app).request("POST", CREATE, body=body)
    assert (answer.status, answer.json()["error"]["code"]) == (413, "request_too_large")


@pytest.mark.requirement("azure:body:limits")
async def test_a_broken_body_is_explained_by_the_application(site: Site) -> None:
    answer = await site.client().request("POST", CREATE, body=b'{"model": "gpt-4o",')
    assert (answer.status, answer.json()["error"]["code"]) == (400, "invalid_json")


# Emulation --------------------------------------------------------------------------------


STRUCTURED = {**ASKED, "tool_choice": "none"}


@pytest.mark.requirement("azure:emulation:features")
async def test_emulation_refuses_what_the_version_lacked(site: Site) -> None:
    client = site.client(emulate=True, region="eastus")
    answer = await client.request("POST", CREATE, body=STRUCTURED)
    assert answer.status == 400
    assert answer.json()["error"] == {
        "message": "Azure OpenAI Responses API supports tool_choice only for api-version "
        "2025-04-01-preview and later",
        "type": "invalid_request_error",
        "param": "tool_choice",
        "code": "unsupported_parameter",
    }
    later = "/openai/responses?api-version=2025-04-01-preview"
    assert (await client.request("POST", later, body=STRUCTURED)).status == 200
    assert (await client.request("POST", "/openai/v1/responses", body=STRUCTURED)).status == 200


@pytest.mark.requirement("azure:emulation:off")
async def test_without_emulation_everything_works_under_every_version(site: Site) -> None:
    client = site.client(region="mars")
    assert (await client.request("POST", CREATE, body=STRUCTURED)).status == 200
    body = {**ASKED, "model": "computer-use-preview"}
    assert (await client.request("POST", CREATE, body=body)).status == 200


@pytest.mark.requirement("azure:emulation:models")
async def test_emulation_refuses_a_region_without_the_api(site: Site) -> None:
    client = site.client(emulate=True, region="polandcentral")
    answer = await client.request("POST", CREATE, body=ASKED)
    assert answer.status == 404
    assert answer.json()["error"]["code"] == "NotFound"
    assert answer.json()["error"].keys() == {"code", "message"}
    assert (await client.request("POST", "/openai/v1/responses", body=ASKED)).status == 200


@pytest.mark.requirement("azure:emulation:models")
async def test_emulation_knows_only_its_deployments(site: Site) -> None:
    body = {**ASKED, "model": "scripted/hello"}
    answer = await site.client(emulate=True).request("POST", CREATE, body=body)
    assert (answer.status, answer.json()["error"]["code"]) == (404, "DeploymentNotFound")
    unlisted = await site.client(emulate=True, deployments={}).request("POST", CREATE, body=body)
    assert unlisted.status == 200


@pytest.mark.requirement("azure:emulation:models")
async def test_emulation_refuses_a_model_its_region_did_not_have(site: Site) -> None:
    body = {**ASKED, "model": "computer-use-preview"}
    refused = await site.client(emulate=True, region="eastus").request("POST", CREATE, body=body)
    assert (refused.status, refused.json()["error"]["param"]) == (400, "model")
    taken = await site.client(emulate=True, region="eastus2").request("POST", CREATE, body=body)
    assert taken.status == 200


@pytest.mark.requirement("azure:errors:gateway")
def test_a_model_nobody_serves_is_a_missing_deployment_in_emulation() -> None:
    body = b'{"error":{"message":"m","type":"t","param":"model","code":"model_not_found"}}'
    found = translate(body, Place("/v1/responses"), emulate=True)
    assert found is not None
    assert found.code == "DeploymentNotFound"
    assert translate(body, Place("/v1/responses"), emulate=False) is None


# WebSocket --------------------------------------------------------------------------------


@pytest.mark.requirement("azure:paths:rewritten")
@pytest.mark.parametrize(
    ("path", "query", "status"),
    [
        ("/openai/deployments/gpt-4o/files", DATED, 404),
        ("/openai/v1/files", "", 404),
        ("/openai/responses", "", 404),
        ("/openai/responses", "api-version=2024-10-21", 400),
    ],
)
async def test_an_upgrade_is_refused_like_a_request(
    site: Site, path: str, query: str, status: int
) -> None:
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "websocket",
        "path": path,
        "query_string": query.encode(),
        "headers": [],
        "extensions": {"websocket.http.response": {}},
    }
    await site.app()(scope, receive, send)
    start, body = sent
    assert (start["type"], start["status"]) == ("websocket.http.response.start", status)
    assert dict(start["headers"])[b"x-ms-region"] == b"local"
    assert msgspec.json.decode(body["body"])["error"]["message"]
