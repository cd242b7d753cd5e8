"""Every row of ``conflicts.py``, in the profile it holds in."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.open_responses import conflicts, test_conflicts
from tests.open_responses.client import Asking, Json
from tests.open_responses.scenarios import PIXELS, WEATHER, said
from tests.open_responses.schema import ERROR_TYPES, check, fits

pytestmark = pytest.mark.anyio


@pytest.mark.requirement("open-responses:conflicts")
async def test_every_conflict_has_a_test_or_a_reason() -> None:
    for row in conflicts.CONFLICTS:
        assert row.test or row.reason, row.topic
        assert not row.test or hasattr(test_conflicts, row.test), row.test
        assert row.reason or row.where == "everywhere", row.topic


async def events_of(server: Asking, **body: Any) -> list[Json]:
    """As they come, whatever the schema says of them."""
    status, text = await server.post("/responses", {"stream": True, **body})
    assert status == 200, text
    data = [line[6:] for line in text.split("\n") if line.startswith("data: {")]
    return [json.loads(line) for line in data]


@pytest.mark.requirement("open-responses:profile:reasoning")
async def test_raw_reasoning_has_the_names_of_the_profile(profiled: Asking, usual: Asking) -> None:
    told = []
    for server in (usual, profiled):
        events = await events_of(server, model="scripted/reasoning", input="Hello.")
        told.append([event["type"] for event in events])
    assert "response.reasoning_text.delta" in told[0]
    assert "response.reasoning.delta" not in told[0]
    renamed = [kind.replace("reasoning_text.", "reasoning.") for kind in told[0]]
    assert told[1] == renamed
    await profiled.stream(model="scripted/reasoning", input="Hello.")


@pytest.mark.requirement("open-responses:profile:reasoning")
async def test_raw_reasoning_over_a_socket_and_replayed_has_them_too(profiled: Asking) -> None:
    async with profiled.socket() as socket:
        events = await socket.turn(model="scripted/reasoning", input="Hello.")
    heard = [event["type"] for event in events]
    assert "response.reasoning.delta" in heard
    replayed = await profiled.get(f"/responses/{events[-1]['response']['id']}?stream=true")
    kinds = [line[7:] for line in replayed.split("\n") if line.startswith("event: ")]
    assert "response.reasoning.done" in kinds
    assert "response.reasoning_text.done" not in kinds


@pytest.mark.requirement("open-responses:conflicts")
async def test_a_failure_while_streaming_is_a_failed_response(server: Asking) -> None:
    events = await server.stream(model="scripted/error-after-3", input="Hello.")
    assert "error" not in [event["type"] for event in events]
    assert events[-1]["type"] == "response.failed"


@pytest.mark.requirement("open-responses:profile:errors")
async def test_an_error_has_the_type_of_the_profile(profiled: Asking, usual: Asking) -> None:
    wrong = [
        ({"model": "scripted/echo", "input": 1}, 400, "invalid_request_error", "invalid_request"),
        ({"model": "nothing", "input": "a"}, 404, "invalid_request_error", "not_found"),
        ({"model": "scripted/error-429", "input": "a"}, 429, "rate_limit_exceeded", None),
        ({"model": "scripted/error-502", "input": "a"}, 502, "server_error", "model_error"),
    ]
    for body, status, kind, mended in wrong:
        found = []
        for server, expected in ((usual, status), (profiled, 500 if status > 500 else status)):
            got, text = await server.post("/responses", body)
            assert got == expected, text
            found.append(json.loads(text)["error"])
        assert found[0]["type"] == kind
        assert found[1]["type"] == (mended or "too_many_requests")
        assert ERROR_TYPES[found[1]["type"]] == expected
        assert found[0]["code"] == found[1]["code"]


@pytest.mark.requirement("open-responses:conflicts")
async def test_an_error_over_websocket_has_a_code(server: Asking) -> None:
    async with server.socket() as socket:
        for body in ({"input": 1}, {"previous_response_id": "resp_x"}, {"model": "nothing"}):
            (error,) = await socket.turn(**{"input": "Hello.", **body})
            check(error, "WebSocketError")
            assert error["status"] < 500


@pytest.mark.requirement("open-responses:conflicts")
async def test_a_stream_ends_with_done_and_a_socket_does_not(server: Asking) -> None:
    _, text = await server.post(
        "/responses", {"model": "scripted/echo", "input": "Hello.", "stream": True}
    )
    assert text.endswith("}\n\ndata: [DONE]\n\n")
    async with server.socket() as socket:
        for _ in range(2):  # what followed the first would be read as the second's
            await socket.complete(input="Hello.")


@pytest.mark.requirement("open-responses:conflicts")
async def test_every_key_of_the_resource_is_there(server: Asking) -> None:
    for event in await server.stream(input="Hello."):
        if "response" not in event:
            continue
        response = event["response"]
        check(response, "ResponseResource")
        assert type(response["created_at"]) is int
        assert response["instructions"] is None
        assert response["reasoning"].keys() >= {"effort", "summary"}
    assert response["usage"]["input_tokens_details"].keys() >= {
        "cached_tokens",
        "cache_write_tokens",
    }


@pytest.mark.requirement("open-responses:profile:nulls")
async def test_what_callers_gave_comes_back_without_nulls(profiled: Asking) -> None:
    parts: list[Json] = [
        {"type": "input_text", "text": "Look."},
        {"type": "input_image", "image_url": PIXELS, "detail": None, "file_id": None},
    ]
    body = {
        "model": "scripted/echo",
        "input": [
            {"type": "message", "role": "user", "content": parts, "status": None, "phase": None},
            said("user", "Hello."),
        ],
    }
    status, text = await profiled.post("/responses/compact", body)
    assert status == 200, text
    made = json.loads(text)
    check(made, "CompactResource")
    assert [item["type"] for item in made["output"]] == ["message", "message", "compaction"]


@pytest.mark.requirement("open-responses:beyond")
async def test_values_beyond_the_specification_are_repeated(server: Asking) -> None:
    name = "f" * 128
    schema = {
        "type": "object",
        "properties": {"a": {"type": "integer"}},
        "required": ["a"],
        "additionalProperties": False,
    }
    status, text = await server.post(
        "/responses",
        {
            "model": "scripted/json",
            "input": "Hello.",
            "reasoning": {"effort": "max"},
            "tools": [{"type": "function", "name": name}],
            "text": {"format": {"type": "json_schema", "name": "a", "schema": schema}},
        },
    )
    assert status == 200, text
    made = json.loads(text)
    assert made["reasoning"]["effort"] == "max"
    assert made["tools"][0]["name"] == name
    assert made["text"]["format"]["schema"]["required"] == ["a"]
    assert not fits(made, "ResponseResource")
    made["reasoning"]["effort"] = "high"
    check(made, "ResponseResource")


@pytest.mark.requirement("open-responses:beyond")
async def test_tools_beyond_the_specification_keep_their_names(server: Asking) -> None:
    events = await events_of(
        server,
        model="scripted/custom",
        input="Hello.",
        tools=[{"type": "custom", "name": "say"}],
    )
    kinds = [event["type"] for event in events]
    assert "response.custom_tool_call_input.done" in kinds
    assert events[-1]["response"]["output"][0]["type"] == "custom_tool_call"


@pytest.mark.requirement("open-responses:profile:lanes")
async def test_a_stream_id_is_refused_in_the_profile(profiled: Asking, usual: Asking) -> None:
    async with profiled.socket() as socket:
        (error,) = await socket.turn(input="Hello.", stream_id="a")
        assert error["error"]["code"] == "unsupported_parameter"
        assert error["error"]["param"] == "stream_id"
        await socket.complete(input="Hello.")
    async with usual.socket() as socket:
        assert await socket.complete(input="Hello.", stream_id="a")


@pytest.mark.requirement("open-responses:conflicts")
async def test_fields_of_http_over_websocket(server: Asking) -> None:
    async with server.socket() as socket:
        await socket.complete(input="Hello.", stream=True)
        (error,) = await socket.turn(input="Hello.", background=True)
    assert error["error"]["param"] == "background"


@pytest.mark.requirement("open-responses:conflicts")
async def test_a_text_delta_has_logprobs(server: Asking) -> None:
    events = await server.stream(input="Hello.")
    deltas = [event for event in events if event["type"] == "response.output_text.delta"]
    assert deltas
    assert [event["logprobs"] for event in deltas] == [[]] * len(deltas)


@pytest.mark.requirement("open-responses:beyond")
async def test_a_stored_response_is_spelled_alike(server: Asking) -> None:
    made = await server.create(model="scripted/reasoning", input="Hello.")
    assert json.loads(await server.get(f"/responses/{made['id']}")) == made


@pytest.mark.requirement("open-responses:conflicts")
async def test_every_item_has_a_status(profiled: Asking, usual: Asking) -> None:
    for server in (profiled, usual):
        for model in ("reasoning-tool", "text-then-tool"):
            made = await server.create(model=f"scripted/{model}", input="Hello.", tools=[WEATHER])
            assert [item["status"] for item in made["output"]] == ["completed"] * 2
    asked = [said("user", "Hello."), {"type": "compaction_trigger"}]
    events = await events_of(profiled, model="scripted/summary", input=asked)
    items = {event["type"]: event["item"] for event in events if "item" in event}
    assert items["response.output_item.added"]["status"] == "in_progress"
    assert items["response.output_item.done"]["status"] == "completed"
    body = {"model": "scripted/echo", "input": "Hello."}
    _, text = await profiled.post("/responses/compact", body)
    assert {item["status"] for item in json.loads(text)["output"]} == {"completed"}


@pytest.mark.requirement("open-responses:items")
async def test_every_item_of_the_specification_is_taken(server: Asking) -> None:
    """In every shape it may have, with null wherever null may stand."""
    reasoning = {"type": "reasoning", "id": None, "summary": [], "content": None}
    call = {"type": "function_call", "id": None, "call_id": "c", "name": "f", "arguments": "{}"}
    parts: list[Json] = [
        {"type": "input_text", "text": "Look."},
        {"type": "input_image", "image_url": PIXELS, "detail": None},
        {"type": "input_file", "filename": "a.txt", "file_data": "SGk=", "file_url": None},
    ]
    said_back: list[Json] = [
        {"type": "output_text", "text": "a"},
        {"type": "refusal", "refusal": "b"},
    ]
    result = {"type": "function_call_output", "id": None, "call_id": "c", "status": None}
    made = await server.create(
        model="scripted/vision",
        input=[
            said("system", "Be brief.", id=None, status=None),
            {**said("developer", ""), "content": [{"type": "input_text", "text": "Be kind."}]},
            {**said("user", ""), "content": parts},
            {**reasoning, "encrypted_content": None},
            {**said("assistant", ""), "content": said_back, "phase": "commentary"},
            {**call, "status": None},
            {**result, "output": parts},
            said("user", "Well?"),
        ],
    )
    assert made["status"] == "completed"
    stored = await server.create(input="Hello.")
    reference = {"id": stored["output"][0]["id"], "type": None}
    again = await server.create(input=[reference, said("user", "Well?")])
    assert again["status"] == "completed"


@pytest.mark.requirement("open-responses:refused")
async def test_what_is_not_served_is_refused_by_name(server: Asking) -> None:
    video = {"type": "input_video", "video_url": "https://example.com/a.mp4"}
    call = {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}
    result = {"type": "function_call_output", "call_id": "c", "output": [video]}
    among = {"type": "allowed_tools", "mode": "none", "tools": [{"type": "function", "name": "f"}]}
    tools = [{"type": "function", "name": "f"}]
    for more, param in (
        ({"input": [call, result]}, "input[1].output[0].type"),
        ({"text": {"format": {"type": "json_schema", "name": "a"}}}, "text.format.schema"),
        ({"tool_choice": among, "tools": tools}, "tool_choice.mode"),
    ):
        status, text = await server.post(
            "/responses", {"model": "scripted/echo", "input": "Hello.", **more}
        )
        assert (status, json.loads(text)["error"]["param"]) == (400, param), text
