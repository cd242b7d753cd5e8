"""Stored responses over HTTP: the object, its replay, its input, its end."""

from __future__ import annotations

from typing import Any

import pytest

from tests.server.asgi_client import Answer, events_of
from tests.server.conftest import House
from tests.server.test_routes import HELLO, error_of

pytestmark = pytest.mark.anyio

DONE = b"data: [DONE]\n\n"
MISSING = "/v1/responses/resp_0"


async def made(house: House, **parameters: Any) -> dict[str, Any]:
    answer = await house.client.request("POST", "/v1/responses", body={**HELLO, **parameters})
    assert answer.status == 200, answer.body
    got: dict[str, Any] = answer.json()
    return got


@pytest.mark.requirement("http:retrieve:same")
async def test_a_retrieved_response_is_the_response_that_was_answered(house: House) -> None:
    response = await made(house, metadata={"a": "b"}, instructions="Be brief.")
    path = f"/v1/responses/{response['id']}"
    assert (await house.client.request("GET", path)).json() == response
    with_query = await house.client.request("GET", f"{path}?include[]=reasoning.encrypted_content")
    assert with_query.json() == response


@pytest.mark.requirement("http:retrieve:same")
async def test_what_a_caller_wrote_is_never_taken_for_the_output(house: House) -> None:
    """A stored object is put together from its bytes; the caller's own JSON is in them."""
    schema = {"type": "object", "properties": {}, "output": [], "content_filters": []}
    response = await made(
        house,
        input='"output":[] "logprobs":',
        instructions=',"output":[],"content_filters":[]}',
        metadata={"output": "[]", "content_filters": ',"content_filters":[]}'},
        tools=[{"type": "function", "name": "f", "parameters": schema, "strict": False}],
        tool_choice="none",
    )
    assert response["output"] and response["tools"][0]["parameters"] == schema
    assert "content_filters" not in response
    found = await house.client.request("GET", f"/v1/responses/{response['id']}")
    assert found.json() == response


@pytest.mark.requirement("http:retrieve:same")
async def test_log_probabilities_are_shown_to_those_who_ask(house: House) -> None:
    asked = "message.output_text.logprobs"
    response = await made(house, model="scripted/logprobs", include=[asked], top_logprobs=2)
    (part,) = response["output"][0]["content"]
    assert part["logprobs"]
    path = f"/v1/responses/{response['id']}"
    assert (await house.client.request("GET", f"{path}?include[]={asked}")).json() == response
    del part["logprobs"]
    assert (await house.client.request("GET", path)).json() == response


@pytest.mark.requirement("http:retrieve:faults")
@pytest.mark.parametrize(
    ("query", "param"),
    [
        ("include[]=output", "include[0]"),
        ("stream=yes", "stream"),
        ("stream=true&starting_after=-1", "starting_after"),
        ("starting_after=x", "starting_after"),
        ("include_obfuscation=1", "include_obfuscation"),
        ("steam=true", "steam"),
    ],
)
async def test_a_wrong_query_is_400_and_named(house: House, query: str, param: str) -> None:
    response = await made(house)
    answer = await house.client.request("GET", f"/v1/responses/{response['id']}?{query}")
    status, _, named = error_of(answer)
    assert (status, named) == (400, param)


@pytest.mark.requirement("http:replay:cursor")
async def test_a_replay_is_the_stream_again_from_any_event_on(house: House) -> None:
    body = {**HELLO, "stream": True}
    original = await house.client.request("POST", "/v1/responses", body=body)
    events = events_of(original.body)
    path = f"/v1/responses/{events[0][1]['response']['id']}?stream=true"
    assert (await house.client.request("GET", path)).body == original.body
    for number in range(len(events)):
        again = await house.client.request("GET", f"{path}&starting_after={number}")
        assert events_of(again.body) == events[number + 1 :]
        assert again.body.endswith(DONE)
        assert again.headers["content-type"] == "text/event-stream; charset=utf-8"
    beyond = await house.client.request("GET", f"{path}&starting_after=999999")
    assert beyond.body == DONE


async def test_a_long_replay_leaves_in_bounded_writes(house: House) -> None:
    body = {"model": "scripted/long-1000", "input": "Go.", "stream": True}
    streamed = await house.client.request("POST", "/v1/responses", body=body)
    path = f"/v1/responses/{events_of(streamed.body)[0][1]['response']['id']}?stream=true"
    async with house.client.stream("GET", path) as answer:
        writes = [chunk async for chunk in answer]
    assert len(writes) == 4 and b"".join(writes) == streamed.body


@pytest.mark.requirement("http:missing:404")
@pytest.mark.parametrize(
    "response_id",
    ["resp_0", "x", "resp_" + "f" * 34, "..", "%00", "resp_" + "é" * 10, "r" * 5000, "null"],
)
async def test_an_id_of_any_shape_that_is_not_there_is_404(house: House, response_id: str) -> None:
    for method, suffix in [
        ("GET", ""),
        ("GET", "?stream=true"),
        ("DELETE", ""),
        ("POST", "/cancel"),
        ("GET", "/input_items"),
    ]:
        answer = await house.client.request(method, f"/v1/responses/{response_id}{suffix}")
        assert error_of(answer)[0] == 404


@pytest.mark.requirement("http:store:false")
async def test_a_response_that_was_not_stored_is_not_there(house: House) -> None:
    response = await made(house, store=False)
    path = f"/v1/responses/{response['id']}"
    for suffix in ("", "?stream=true", "/input_items"):
        assert (await house.client.request("GET", path + suffix)).status == 404


@pytest.mark.requirement("http:delete:gone")
async def test_a_deleted_response_is_gone_for_every_reader(house: House) -> None:
    response = await made(house)
    path = f"/v1/responses/{response['id']}"
    gone = await house.client.request("DELETE", path, headers=EMPTY_JSON)
    assert gone.json() == {"id": response["id"], "object": "response", "deleted": True}
    for suffix in ("", "?stream=true", "/input_items"):
        assert (await house.client.request("GET", path + suffix)).status == 404
    assert (await house.client.request("DELETE", path)).status == 404
    child = await house.client.request(
        "POST", "/v1/responses", body={**HELLO, "previous_response_id": response["id"]}
    )
    assert error_of(child)[:2] == (400, "previous_response_not_found")


EMPTY_JSON = {"content-type": "application/json"}


@pytest.mark.requirement("http:cancel:synchronous")
async def test_a_synchronous_response_cannot_be_cancelled(house: House) -> None:
    response = await made(house)
    answer = await house.client.request(
        "POST", f"/v1/responses/{response['id']}/cancel", headers=EMPTY_JSON
    )
    assert error_of(answer)[0] == 400
    assert "Cannot cancel a synchronous response" in answer.json()["error"]["message"]


ITEMS = [{"role": "user", "content": f"Message {n}."} for n in range(5)]


async def listed(house: House, response: dict[str, Any], query: str = "") -> Answer:
    return await house.client.request("GET", f"/v1/responses/{response['id']}/input_items{query}")


@pytest.mark.requirement("http:input-items:paging")
async def test_input_items_are_paged_newest_first_by_the_last_id(house: House) -> None:
    response = await made(house, input=ITEMS)
    whole = (await listed(house, response, "?order=asc&limit=100")).json()
    texts = [item["content"][0]["text"] for item in whole["data"]]
    assert texts == [item["content"] for item in ITEMS]
    ids = [item["id"] for item in whole["data"]]
    assert (whole["first_id"], whole["last_id"], whole["has_more"]) == (ids[0], ids[-1], False)

    paged, cursor = [], ""
    while True:
        page = (await listed(house, response, f"?limit=2{cursor}")).json()
        paged += [item["id"] for item in page["data"]]
        assert page["object"] == "list" and page["last_id"] == page["data"][-1]["id"]
        if not page["has_more"]:
            break
        cursor = f"&after={page['last_id']}"
    assert paged == ids[::-1]


@pytest.mark.requirement("http:input-items:faults")
@pytest.mark.parametrize(
    ("query", "param", "code"),
    [
        ("?limit=0", "limit", "integer_below_min_value"),
        ("?limit=101", "limit", "integer_above_max_value"),
        ("?limit=two", "limit", "invalid_type"),
        ("?order=newest", "order", "invalid_value"),
        ("?after=msg_unknown", "after", "invalid_value"),
        ("?include[]=x", "include[0]", "invalid_value"),
        ("?before=msg_1", "before", "unknown_parameter"),
    ],
)
async def test_a_wrong_page_is_400_and_named(
    house: House, query: str, param: str, code: str
) -> None:
    response = await made(house)
    assert error_of(await listed(house, response, query)) == (400, code, param)


@pytest.mark.requirement("http:input-items:images")
async def test_image_urls_are_listed_only_when_included(house: House) -> None:
    url = "data:image/png;base64,iVBORw0KGgo="
    content = [
        {"type": "input_text", "text": "See."},
        {"type": "input_image", "image_url": url, "detail": "low"},
    ]
    response = await made(
        house, model="scripted/vision", input=[{"role": "user", "content": content}]
    )
    assert url.encode() not in (await listed(house, response)).body
    shown = await listed(house, response, "?include[]=message.input_image.image_url")
    assert url.encode() in shown.body


# Counting


@pytest.mark.requirement("http:input-tokens:count")
async def test_tokens_are_counted_and_nothing_is_made(house: House) -> None:
    body = {"model": "scripted/hello", "input": "One two three."}
    answer = await house.client.request("POST", "/v1/responses/input_tokens", body=body)
    counted = answer.json()
    assert counted["object"] == "response.input_tokens"
    assert answer.headers["x-antiphon-token-count"] == "exact"
    response = await made(house, **body)
    assert counted["input_tokens"] == response["usage"]["input_tokens"]
    longer = {**body, "previous_response_id": response["id"]}
    more = await house.client.request("POST", "/v1/responses/input_tokens", body=longer)
    assert more.json()["input_tokens"] > counted["input_tokens"]


@pytest.mark.requirement("http:input-tokens:faults")
async def test_counting_refuses_what_a_create_would_refuse(house: House) -> None:
    body = {"model": "scripted/hello", "input": 3}
    answer = await house.client.request("POST", "/v1/responses/input_tokens", body=body)
    assert error_of(answer) == (400, "invalid_type", "input")


async def test_a_missing_response_is_404_and_not_taken_for_the_counter(house: House) -> None:
    assert (await house.client.request("GET", MISSING)).status == 404
