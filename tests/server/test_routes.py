"""Paths, methods, keys and headers: what every answer has, and what is not there."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from antiphon.config_state import WebSocketSettings
from antiphon.observe import RequestFinished
from antiphon.server.asgi import build
from tests.server.asgi_client import Answer, Stream
from tests.server.conftest import House, over_asgi

pytestmark = pytest.mark.anyio

HELLO = {"model": "scripted/hello", "input": "Hi."}


def error_of(answer: Answer) -> tuple[int, str, str | None]:
    """Status, code and param of an error; fails unless it is the whole envelope."""
    error = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-request-id"]
    return answer.status, error["code"], error["param"]


# Headers every answer has


@pytest.mark.requirement("http:headers:request-id")
async def test_a_sane_request_id_is_honoured_and_told(house: House) -> None:
    answer = await house.client.request("GET", "/v1/models", headers={"x-request-id": "mine-1"})
    assert answer.headers["x-request-id"] == "mine-1"
    assert house.finished()[-1].request_id == "mine-1"


@pytest.mark.requirement("http:headers:request-id")
@pytest.mark.parametrize("insane", ["", "a b", "x" * 129, "é", "a\tb"])
async def test_an_insane_request_id_is_replaced(house: House, insane: str) -> None:
    answer = await house.client.request("GET", "/healthz", headers={"x-request-id": insane})
    assert answer.headers["x-request-id"].startswith("req_")


@pytest.mark.requirement("http:headers:common")
@pytest.mark.parametrize("path", ["/v1/models", "/v1/nowhere", "/healthz", "/"])
async def test_every_answer_tells_its_version_and_time(house: House, path: str) -> None:
    headers = (await house.client.request("GET", path)).headers
    assert headers["openai-version"] == "2020-10-01"
    assert int(headers["openai-processing-ms"]) >= 0
    assert "access-control-allow-origin" not in headers


# What is not there


@pytest.mark.requirement("http:routing:unknown")
@pytest.mark.parametrize(
    "path",
    [
        "/v1",
        "/v1/",
        "/v1/nowhere",
        "/v1/threads",
        "/v1/files",
        "/v1/realtime",
        "/v1/responses/",
        "/v1/responses/resp_1/nothing",
        "/v1/responses/resp_1/cancel/",
        "/healthz/",
        "/v2/responses",
        "//v1/responses",
    ],
)
async def test_an_unknown_path_is_404_with_the_envelope_and_never_a_redirect(
    house: House, path: str
) -> None:
    for method in ("GET", "POST", "DELETE"):
        answer = await house.client.request(method, path)
        assert error_of(answer) == (404, "unknown_url", None)


@pytest.mark.requirement("http:routing:hints")
@pytest.mark.parametrize(
    ("path", "hint"),
    [
        ("/responses", "Did you mean /v1/responses?"),
        ("/responses/resp_1", "Did you mean /v1/responses/resp_1?"),
        ("/models", "Did you mean /v1/models?"),
        ("/v1/v1/responses", "'/v1' once too often"),
        ("/v1/responses/", "without the slash"),
        ("/chat/completions", "Did you mean /v1/chat/completions?"),
    ],
)
async def test_a_wrong_base_url_is_guessed(house: House, path: str, hint: str) -> None:
    assert hint in (await house.client.request("POST", path)).json()["error"]["message"]


@pytest.mark.requirement("http:routing:methods")
@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("GET", "/v1/responses", "POST"),
        ("HEAD", "/v1/responses", "POST"),
        ("PUT", "/v1/responses", "POST"),
        ("OPTIONS", "/v1/responses", "POST"),
        ("POST", "/v1/responses/resp_1", "DELETE, GET, HEAD"),
        ("GET", "/v1/responses/resp_1/cancel", "POST"),
        ("GET", "/v1/responses/input_tokens", "POST"),
        ("GET", "/v1/responses/compact", "POST"),
        ("DELETE", "/v1/models/m", "GET, HEAD"),
        ("POST", "/healthz", "GET, HEAD"),
    ],
)
async def test_a_wrong_method_is_405_and_names_the_right_ones(
    house: House, method: str, path: str, allow: str
) -> None:
    answer = await house.client.request(method, path)
    assert (answer.status, answer.headers["allow"]) == (405, allow)
    if method != "HEAD":
        assert error_of(answer)[1] == "method_not_allowed"


async def test_head_is_get_without_its_body(house: House) -> None:
    got = await house.client.request("GET", "/v1/models")
    head = await house.client.request("HEAD", "/v1/models")
    assert (head.status, head.body) == (200, b"")
    assert head.headers["content-length"] == got.headers["content-length"]


@pytest.mark.requirement("http:websocket:426")
async def test_an_upgrade_is_answered_426_so_that_clients_fall_back_at_once(house: House) -> None:
    upgrade = {"connection": "Upgrade", "upgrade": "websocket"}
    answer = await house.client.request("GET", "/v1/responses", headers=upgrade)
    assert error_of(answer) == (426, "websocket_unsupported", None)


async def knock(house: House, path: str, extensions: dict[str, Any]) -> list[dict[str, Any]]:
    """Open a WebSocket; everything the application sends."""
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "websocket.connect"}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    scope = {"type": "websocket", "path": path, "headers": [], "extensions": extensions}
    await house.app(scope, receive, send)
    return sent


@over_asgi
@pytest.mark.requirement("http:websocket:426")
@pytest.mark.parametrize(("path", "status"), [("/v1/responses", 426), ("/v1/nowhere", 404)])
async def test_a_websocket_is_refused_by_an_http_answer(
    house: House, path: str, status: int
) -> None:
    off = replace(house.deps, websocket=WebSocketSettings(enabled=False))
    house.app = build(off)
    start, body = await knock(house, path, {"websocket.http.response": {}})
    assert start["type"] == "websocket.http.response.start" and start["status"] == status
    assert body["type"] == "websocket.http.response.body"
    assert "error" in msgspec.json.decode(body["body"])
    assert house.finished()[-1].status == status


@over_asgi
async def test_a_websocket_is_closed_where_the_server_cannot_answer_it(house: House) -> None:
    (close,) = await knock(house, "/v1/nowhere", {})
    assert close["type"] == "websocket.close"


@pytest.mark.requirement("http:responses:compact")
async def test_compact_is_not_taken_for_an_id(house: House) -> None:
    answer = await house.client.request("POST", "/v1/responses/compact", body={"model": "m"})
    assert error_of(answer) == (400, "missing_required_parameter", "input")


# Keys


@over_asgi
@pytest.mark.requirement("http:auth:first")
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/responses"),
        ("PUT", "/v1/responses"),
        ("GET", "/v1/models"),
        ("GET", "/v1/responses/resp_1"),
        ("GET", "/v1/nowhere"),
    ],
)
async def test_without_a_key_nothing_is_told_and_no_body_is_read(
    locked: House, method: str, path: str
) -> None:
    async with locked.client.stream(method, path, body=[b"{", b"}"]) as answer:
        body = await answer.chunk()
    assert answer.status == 401 and answer.headers["www-authenticate"] == "Bearer"
    assert body is not None and msgspec.json.decode(body)["error"]["code"] == "invalid_api_key"
    assert isinstance(answer, Stream) and len(answer._chunks) == 2


@pytest.mark.requirement("http:auth:exempt")
@pytest.mark.parametrize("path", ["/", "/healthz", "/readyz", "/metrics"])
async def test_the_operators_pages_need_no_key(locked: House, path: str) -> None:
    assert (await locked.client.request("GET", path)).status == 200


@over_asgi
async def test_a_websocket_without_a_key_is_401(locked: House) -> None:
    start, _ = await knock(locked, "/v1/responses", {"websocket.http.response": {}})
    assert start["status"] == 401


# The operator's pages


@pytest.mark.requirement("http:health:ready")
async def test_readiness_lists_the_problems(house: House) -> None:
    assert (await house.client.request("GET", "/readyz")).json() == {"status": "ready"}
    house.problems["store"] = "the disk is full"
    answer = await house.client.request("GET", "/readyz")
    assert answer.status == 503
    assert answer.json() == {
        "status": "unavailable",
        "problems": {"store": "the disk is full"},
    }
    assert (await house.client.request("GET", "/healthz")).json() == {"status": "ok"}


@pytest.mark.requirement("http:health:metrics")
async def test_metrics_are_rendered_or_absent(house: House) -> None:
    answer = await house.client.request("GET", "/metrics")
    assert (answer.headers["content-type"], answer.body) == ("text/plain; version=0.0.4", b"up 1\n")
    absent = await house.having(metrics=None).request("GET", "/metrics")
    assert absent.status == 404


async def test_the_front_page_says_what_this_is(house: House) -> None:
    page = (await house.client.request("GET", "/")).json()
    assert (page["name"], page["base_url"]) == ("antiphon", "/v1")


# Models


@pytest.mark.requirement("http:models:list")
async def test_models_are_listed_and_found_by_name(house: House) -> None:
    listed = (await house.client.request("GET", "/v1/models")).json()
    assert listed["object"] == "list"
    hello = next(model for model in listed["data"] if model["id"] == "scripted/hello")
    assert hello["object"] == "model" and hello["about"]
    one = await house.client.request("GET", "/v1/models/scripted/hello")
    assert one.json() == hello


@pytest.mark.requirement("http:models:unknown")
async def test_an_unknown_model_is_404(house: House) -> None:
    answer = await house.client.request("GET", "/v1/models/nobody/knows")
    assert error_of(answer) == (404, "model_not_found", "model")


# Limits and observation


@pytest.mark.requirement("http:limits:crowded")
async def test_one_request_too_many_is_503_and_may_be_repeated(house: House) -> None:
    client = house.having(requests_max=1)
    body = {"model": "scripted/stall", "input": "Hi.", "stream": True}
    async with client.stream("POST", "/v1/responses", body=body) as held:
        await held.chunk()
        refused = await client.request("POST", "/v1/responses", body=HELLO)
        alive = await client.request("GET", "/healthz")
    assert error_of(refused) == (503, "server_overloaded", None)
    assert refused.headers["x-should-retry"] == "true" and refused.headers["retry-after"] == "1"
    assert alive.status == 200
    assert (await client.request("POST", "/v1/responses", body=HELLO)).status == 200


@pytest.mark.requirement("http:observe:finished")
@pytest.mark.parametrize(
    ("method", "path", "route", "status", "code"),
    [
        ("GET", "/v1/models/a/b", "/v1/models/{model:path}", 404, "model_not_found"),
        ("GET", "/v1/responses/resp_9", "/v1/responses/{response_id}", 404, None),
        ("GET", "/v1/" + "x" * 50, "(none)", 404, "unknown_url"),
        ("GET", "/healthz", "/healthz", 200, None),
        ("PATCH", "/healthz", "/healthz", 405, "method_not_allowed"),
    ],
)
async def test_every_request_is_told_by_its_route_template(
    house: House, method: str, path: str, route: str, status: int, code: str | None
) -> None:
    await house.client.request(method, path)
    told = house.finished()[-1]
    assert isinstance(told, RequestFinished)
    assert (told.route, told.status) == (route, status)
    assert told.method == method
    assert code is None or told.code == code


@over_asgi  # the parser of the other road knows no such method
async def test_a_method_nobody_knows_is_told_as_other(house: House) -> None:
    answer = await house.client.request("BREW", "/healthz")
    assert error_of(answer) == (405, "method_not_allowed", None)
    assert house.finished()[-1].method == "OTHER"


@over_asgi
async def test_start_up_and_shutdown_pass_through(house: House) -> None:
    waiting = asyncio.Queue[dict[str, Any]]()
    sent: list[str] = []
    for kind in ("lifespan.startup", "lifespan.shutdown"):
        waiting.put_nowait({"type": kind})

    async def send(message: dict[str, Any]) -> None:
        sent.append(message["type"])

    await house.app({"type": "lifespan", "state": {}}, waiting.get, send)
    assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]


@pytest.mark.requirement("http:auth:isolation")
async def test_a_foreign_id_is_indistinguishable_from_a_missing_one(locked: House) -> None:
    alpha = locked.asking(headers={"authorization": "Bearer sk-alpha"})
    beta = locked.asking(headers={"api-key": "sk-beta"})
    made = (await alpha.request("POST", "/v1/responses", body=HELLO)).json()["id"]
    missing = "resp_" + "0" * (len(made) - 5)
    for method, suffix in [
        ("GET", ""),
        ("GET", "?stream=true"),
        ("GET", "/input_items"),
        ("POST", "/cancel"),
        ("DELETE", ""),
    ]:
        foreign = await beta.request(method, f"/v1/responses/{made}{suffix}")
        absent = await beta.request(method, f"/v1/responses/{missing}{suffix}")
        assert foreign.status == absent.status == 404
        assert foreign.body.replace(made.encode(), b"") == absent.body.replace(
            missing.encode(), b""
        )
    assert (await alpha.request("GET", f"/v1/responses/{made}")).status == 200
