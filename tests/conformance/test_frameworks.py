"""What agents and frameworks send, before an upstream that refuses what a strict one refuses."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conformance.conftest import Fronted, House
from tests.conformance.test_objects import WEATHER

pytestmark = pytest.mark.anyio

LARK = {"type": "grammar", "syntax": "lark", "definition": 'start: "*** Begin" /(.|\\n)*/'}
PATCH = {"type": "custom", "name": "apply_patch", "description": "Patches.", "format": LARK}
PNG = "data:image/png;base64,iVBORw0KGgo="


def output(call: dict[str, Any], text: Any = "done") -> dict[str, Any]:
    return {"type": f"{call['type']}_output", "call_id": call["call_id"], "output": text} | (
        {"type": "custom_tool_call_output"} if call["type"] == "custom_tool_call" else {}
    )


def text_of(response: dict[str, Any]) -> str:
    text: str = response["output"][-1]["content"][0]["text"]
    return text


@pytest.mark.requirement("conformance:frameworks:codex")
async def test_a_coding_agent_without_storage(fronted: Fronted) -> None:
    house = fronted.house
    asked: dict[str, Any] = {
        "instructions": "You are a coding agent.",
        "tools": [{**WEATHER, "strict": False}, PATCH],
        "tool_choice": "auto",
        "parallel_tool_calls": True,
        "reasoning": {"effort": "medium", "summary": "auto"},
        "text": {"verbosity": "medium"},
        "store": False,
        "include": ["reasoning.encrypted_content"],
        "prompt_cache_key": "019a-thread",
        "client_metadata": {"session": "1"},
    }
    items: list[Any] = [
        {"type": "message", "role": role, "content": [{"type": "input_text", "text": text}]}
        for role, text in (("developer", "<permissions>"), ("user", "<cwd>"), ("user", "Fix it."))
    ]
    for turn in range(3):
        made = await house.streamed("tool", items, **asked)
        assert made["store"] is False
        if turn == 0:
            items += made["output"]
            items += [output(call) for call in made["output"] if "call_id" in call]
        else:
            items += [*made["output"], {"role": "user", "content": "More."}]
            asked["tool_choice"] = "none"
    sent = fronted.upstream.bodies[-1]
    assert sent["messages"][0] == {"role": "system", "content": "You are a coding agent."}
    assert "store" not in sent and "client_metadata" not in sent
    assert not fronted.upstream.refusals


@pytest.mark.requirement("conformance:frameworks:resend")
@pytest.mark.parametrize("script", ["tool", "tools-parallel", "reasoning-tool"])
async def test_a_framework_that_chains_and_sends_everything_again(
    house: House, script: str
) -> None:
    question = {"type": "message", "role": "user", "content": "What is the weather?"}
    first = await house.create(f"scripted/{script}", [question], tools=[WEATHER])
    answers = [output(call, "sunny") for call in first["output"] if "call_id" in call]
    chained = {"previous_response_id": first["id"], "tools": [WEATHER]}
    new = await house.create("scripted/transcript", answers[::-1], **chained)
    again = await house.create(
        "scripted/transcript", [question, *first["output"], *answers[::-1]], **chained
    )
    assert text_of(again) == text_of(new)
    assert text_of(new).count("What is the weather?") == 1


@pytest.mark.requirement("conformance:frameworks:resend")
async def test_a_framework_that_sends_its_question_with_the_output(house: House) -> None:
    question = {"type": "message", "role": "user", "content": "What is the weather?"}
    first = await house.create("scripted/tool", [question], tools=[WEATHER])
    chained = {"previous_response_id": first["id"], "tools": [WEATHER]}
    answer = output(first["output"][0], "sunny")
    told = await house.create("scripted/transcript", [question, answer], **chained)
    assert text_of(told).count("What is the weather?") == 1
    other = {"role": "user", "content": "And in Rome?"}
    both = await house.create("scripted/transcript", [other, answer], **chained)
    assert "And in Rome?" in text_of(both)
    after = await house.create("scripted/transcript", [answer, question], **chained)
    assert text_of(after).count("What is the weather?") == 2


@pytest.mark.requirement("conformance:frameworks:references")
async def test_a_framework_that_sends_references(house: House) -> None:
    first = await house.create("scripted/reasoning-tool", tools=[WEATHER])
    items: list[Any] = [{"role": "user", "content": "Hi."}]
    items += [{"type": "item_reference", "id": item["id"]} for item in first["output"]]
    items += [output(first["output"][-1], "sunny")]
    made = await house.create("scripted/transcript", items, tools=[WEATHER])
    verbatim = [items[0], *first["output"], items[-1]]
    again = await house.create("scripted/transcript", verbatim, tools=[WEATHER])
    assert text_of(made) == text_of(again)
    assert "result: sunny" in text_of(made)


@pytest.mark.requirement("conformance:frameworks:loop")
@pytest.mark.parametrize("chained", [True, False], ids=["chained", "stateless"])
async def test_ten_turns_of_two_calls(fronted: Fronted, chained: bool) -> None:
    house, items, parent = fronted.house, [{"role": "user", "content": "Go."}], None
    calls: list[str] = []
    for turn in range(10):
        asked = {"previous_response_id": parent} if chained else {"store": False}
        made = await house.create("tools-parallel", items, tools=[WEATHER], **asked)
        found = [item for item in made["output"] if item["type"] == "function_call"]
        assert len(found) == 2
        calls += [item["call_id"] for item in found]
        new: list[Any] = [output(call, str(turn)) for call in found[::-1]]
        new += [{"role": "user", "content": "Again."}]
        items, parent = new if chained else items + made["output"] + new, made["id"]
    assert len(set(calls)) == 20
    assert not fronted.upstream.refusals
    messages = fronted.upstream.bodies[-1]["messages"]
    assert [m["role"] for m in messages] == ["user", *["assistant", "tool", "tool", "user"] * 9]


@pytest.mark.requirement("conformance:frameworks:strict-upstream")
async def test_nothing_a_strict_upstream_refuses_is_sent(fronted: Fronted) -> None:
    call = {"type": "function_call", "call_id": "c", "name": "f", "arguments": ""}
    image = {"type": "input_image", "image_url": PNG, "detail": "original"}
    brought: list[Any] = [
        [output(call), call, {"role": "user", "content": "x"}],
        [call, {"role": "user", "content": "between"}, output(call, [image])],
        [{"type": "reasoning", "summary": None}, {"role": "assistant", "content": ""}],
        [{"role": "user", "content": []}, {"role": "developer", "content": "d"}],
        [{"role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]}],
        [
            {"type": "custom_tool_call", "call_id": "c", "name": "sh", "input": "ls"},
            {"type": "custom_tool_call_output", "call_id": "c", "output": [image]},
        ],
        [{"type": "web_search_call", "id": "ws_1", "status": "completed"}],
        "x",
    ]
    asked: list[dict[str, Any]] = [
        {"tools": None, "parallel_tool_calls": False, "tool_choice": "none"},
        {"tools": [{"type": "function", "name": "f" * 128}], "parallel_tool_calls": False},
        {"tools": [WEATHER], "tool_choice": {"type": "function", "name": "get_weather"}},
        {"top_logprobs": 2, "verbosity": "low", "user": "u", "service_tier": "auto"},
        {"text": {"format": {"type": "json_object"}}, "metadata": {"a": "b"}},
    ]
    for items in brought:
        for more in asked:
            body = {"model": "tool" if more.get("tools") else "json", "input": items, **more}
            answer = await fronted.house.client.request("POST", "/v1/responses", body=body)
            assert answer.status == 200, (body, answer.body)
    assert not fronted.upstream.refusals


@pytest.mark.requirement("conformance:upstream:codes")
async def test_the_type_of_an_upstreams_error_is_no_code(fronted: Fronted) -> None:
    body = {"model": "refuses-temperature", "input": "Hi.", "temperature": 0.5}
    error = await fronted.house.refused(body)
    assert (error["param"], error["code"]) == ("temperature", "invalid_value")


@pytest.mark.requirement("conformance:upstream:params")
async def test_what_an_upstream_refuses_has_the_callers_name(fronted: Fronted) -> None:
    body: dict[str, Any] = {"model": "refuses-reasoning_effort", "input": "Hi."}
    error = await fronted.house.refused({**body, "reasoning": {"effort": "low"}})
    assert (error["param"], error["code"]) == ("reasoning.effort", "invalid_value")
