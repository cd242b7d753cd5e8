"""Tools the caller runs: every kind of call made and answered, on every road."""

from __future__ import annotations

import json
from typing import Any

import pytest
from openai.types.responses import Response

from tests.matrix.roads import Client, Road, polled, refusal

PIXEL = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9"
    "awAAAABJRU5ErkJggg=="
)
LATER = {"type": "function", "name": "render", "parameters": {"type": "object"}, "async": True}
CUSTOM = {"type": "custom", "name": "write"}
TOOLS: dict[str, dict[str, Any]] = {
    "shell": {"type": "shell"},
    "local_shell": {"type": "local_shell"},
    "apply_patch": {"type": "apply_patch"},
    "computer": {"type": "computer"},
    "computer_use_preview": {
        "type": "computer_use_preview",
        "display_width": 800,
        "display_height": 600,
        "environment": "browser",
    },
    "custom": CUSTOM,
    "namespace": {"type": "namespace", "name": "crm", "description": "d", "tools": [CUSTOM]},
}


def answered(call: Any, text: str = "hello") -> dict[str, Any]:
    """An output of the kind the call wants."""
    kind = call.type
    if kind == "local_shell_call":
        return {"type": "local_shell_call_output", "id": call.call_id, "output": text}
    output: dict[str, Any] = {"type": f"{kind}_output", "call_id": call.call_id, "output": text}
    if kind == "shell_call":
        ran = {"stdout": text, "stderr": "", "outcome": {"type": "exit", "exit_code": 0}}
        return {**output, "output": [ran]}
    if kind == "apply_patch_call":
        return {**output, "status": "completed"}
    if kind == "computer_call":
        return {**output, "output": {"type": "computer_screenshot", "image_url": PIXEL}}
    return output


def written(response: Response) -> list[dict[str, Any]]:
    found: dict[str, Any] = json.loads(response.model_dump_json(exclude_unset=True))
    output: list[dict[str, Any]] = found["output"]
    return output


def replayed(client: Client, response_id: str) -> Response:
    *_, last = client.responses.retrieve(response_id, stream=True)
    assert last.type == "response.completed"
    return last.response


@pytest.mark.requirement("client-tools:roads")
@pytest.mark.parametrize("kind", TOOLS)
def test_every_kind_is_called_and_answered(ask: Road, client: Client, kind: str) -> None:
    tools = [TOOLS[kind]]
    made = ask(client, model="scripted/tool", input="go", tools=tools)
    assert made.status == "completed"
    call: Any = made.output[0]
    assert len(made.output) == 1 and call.id and call.call_id
    assert written(client.responses.retrieve(made.id)) == written(made)
    if ask is not polled:
        assert written(replayed(client, made.id)) == written(made)
    after = ask(
        client,
        model="scripted/tool",
        input=[answered(call)],
        tools=tools,
        previous_response_id=made.id,
    )
    seen = "[an image]" if "computer" in kind else "hello"
    assert after.output_text.startswith("The tool said: ") and seen in after.output_text
    output = answered(call)
    body = [{"role": "user", "content": "go"}, *written(made), output]
    again = ask(client, model="scripted/tool", input=body, tools=tools)
    assert again.output_text == after.output_text


@pytest.mark.requirement("client-tools:pairs:unanswered")
@pytest.mark.parametrize("kind", TOOLS)
def test_an_unanswered_call_is_refused(ask: Road, client: Client, kind: str) -> None:
    made = ask(client, model="scripted/tool", input="go", tools=[TOOLS[kind]])
    refused = refusal(
        ask, client, model="scripted/echo", input="And?", previous_response_id=made.id
    )
    assert (refused.status_code, refused.code) == (400, "tool_output_not_found")
    assert refused.param == "input"


@pytest.mark.requirement("client-tools:safety")
def test_safety_checks_reach_the_caller_and_come_back(ask: Road, client: Client) -> None:
    made = ask(client, model="scripted/safety", input="buy", tools=[{"type": "computer"}])
    call: Any = made.output[0]
    assert call.type == "computer_call"
    checks = [check.model_dump() for check in call.pending_safety_checks]
    assert [check["id"] for check in checks] == ["sc_money", "sc_login"]
    common = {"model": "scripted/safety", "previous_response_id": made.id}
    refused = refusal(ask, client, input=[answered(call)], **common)
    assert refused.code == "safety_checks_not_acknowledged"
    assert refused.param == "input[0].acknowledged_safety_checks"
    output = {**answered(call), "acknowledged_safety_checks": checks}
    after = ask(client, input=[output], **common)
    assert after.output_text == "The tool said: [an image]"


@pytest.mark.requirement("client-tools:later")
def test_a_function_may_be_answered_in_a_later_turn(ask: Road, client: Client) -> None:
    made = ask(client, model="scripted/tool", input="render", tools=[LATER])
    call: Any = made.output[0]
    assert call.type == "function_call"
    waiting = ask(client, model="scripted/echo", input="meanwhile", previous_response_id=made.id)
    assert waiting.output_text == "meanwhile"
    output = {"type": "function_call_output", "call_id": call.call_id, "output": "a cat"}
    after = ask(client, model="scripted/tool", input=[output], previous_response_id=waiting.id)
    assert after.output_text == "The tool said: a cat"


@pytest.mark.requirement("client-tools:pairs:listed")
@pytest.mark.parametrize("kind", TOOLS)
def test_a_conversation_holds_calls_and_outputs(client: Client, kind: str) -> None:
    conversation = client.conversations.create()
    made = client.responses.create(
        model="scripted/tool",
        input="go",
        tools=[TOOLS[kind]],  # type: ignore[list-item]
        conversation=conversation.id,
    )
    call: Any = made.output[0]
    output = answered(call)
    client.conversations.items.create(conversation.id, items=[output])  # type: ignore[list-item]
    listed = list(client.conversations.items.list(conversation.id, order="asc"))
    assert [item.type for item in listed] == ["message", call.type, output["type"]]
    after = client.responses.create(
        model="scripted/transcript", input="and?", conversation=conversation.id
    )
    assert "result: " in after.output_text and "call " in after.output_text
    shown = list(client.responses.input_items.list(after.id, order="asc"))
    assert [item.type for item in shown][-1] == "message"
