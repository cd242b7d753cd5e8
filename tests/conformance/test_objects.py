"""Every kind of answer, four times: plain, streamed, retrieved, replayed. All obey the rules."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from antiphon.backends.scripts import SCRIPTS
from tests.conformance.conftest import House
from tests.conformance.rules import check_error, check_response, check_stream, frames

pytestmark = pytest.mark.anyio

WEATHER: Any = {
    "type": "function",
    "name": "get_weather",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
        "additionalProperties": False,
    },
    "strict": True,
}
SHELL: Any = {"type": "custom", "name": "shell"}
FORMAT: Any = {"type": "json_schema", "name": "city", "schema": WEATHER["parameters"]}
LOGPROBS = "message.output_text.logprobs"
ASKED: list[dict[str, Any]] = [
    {},
    {"tools": [WEATHER, SHELL], "metadata": {"a": "b"}, "instructions": "Be brief."},
    {"tools": [SHELL], "tool_choice": "required"},
    {"text": {"format": FORMAT}, "max_output_tokens": 16},
    {"include": [LOGPROBS], "top_logprobs": 2},
]
ENDLESS = {"endless", "stall", "silent", "slow"}
RETRIED = {"error", "error-before", "timeout", "flaky"}
"""They wait between attempts; the same failure without waiting is ``error-400``."""


@pytest.mark.requirement("conformance:object:rules")
@pytest.mark.parametrize("script", sorted(set(SCRIPTS) - ENDLESS - RETRIED))
async def test_every_answer_obeys_the_rules_in_all_its_forms(house: House, script: str) -> None:
    for asked in ASKED:
        body = {"model": f"scripted/{script}", "input": "Hi there you.", **asked}
        plain = await house.client.request("POST", "/v1/responses", body=body)
        live = await house.client.request("POST", "/v1/responses", body={**body, "stream": True})
        if live.status != 200:
            check_error(live.json())
            assert plain.status == live.status
            continue
        check_response(plain.json())
        final = check_stream(frames(live.body))
        assert _ending(plain.json()) == _ending(final)
        include = f"include[]={LOGPROBS}" if "include" in asked else ""
        at = f"/v1/responses/{final['id']}?{include}"
        assert (await house.client.request("GET", at)).json() == final
        replayed = await house.client.request("GET", f"{at}&stream=true")
        assert frames(replayed.body) == frames(live.body)
        middle = len(frames(live.body)) // 2
        rest = await house.client.request("GET", f"{at}&stream=true&starting_after={middle}")
        assert frames(rest.body) == frames(live.body)[middle + 1 :]


def _ending(response: dict[str, Any]) -> Any:
    error = response["error"] and response["error"]["code"]
    shapes = [(item["type"], item.get("status")) for item in response["output"]]
    return response["status"], error, response["incomplete_details"], shapes


@pytest.mark.requirement("conformance:object:format")
async def test_an_echoed_schema_format_has_all_its_keys(house: House) -> None:
    made = await house.create("scripted/json", text={"format": FORMAT})
    assert made["text"]["format"] == {**FORMAT, "description": None, "strict": False}
    strict = {**FORMAT, "description": "A city.", "strict": True}
    made = await house.create("scripted/json", text={"format": strict})
    assert made["text"]["format"] == strict


@pytest.mark.requirement("conformance:azure:objects")
@pytest.mark.parametrize("path", ["responses?api-version=2025-04-01-preview", "v1/responses?"])
async def test_azure_objects_obey_the_rules_too(house: House, path: str) -> None:
    base, _, query = f"/openai/{path}".partition("?")
    for script in ("hello", "reasoning", "tool", "filter", "error-after-3"):
        body = {"model": f"scripted/{script}", "input": "Hi.", "tools": [WEATHER], "stream": True}
        live = await house.client.request("POST", f"{base}?{query}", body=body)
        final = check_stream(frames(live.body))
        assert final["content_filters"] == []
        answer = await house.client.request("GET", f"{base}/{final['id']}?{query}")
        assert answer.json() == final
        answer = await house.client.request("GET", f"{base}/{final['id']}?{query}&stream=true")
        assert frames(answer.body) == frames(live.body)


def _broken(events: list[Any]) -> list[tuple[str, list[Any]]]:
    """The stream with one mistake each."""
    mistakes = []

    def mistake(name: str) -> list[Any]:
        mistakes.append((name, copy.deepcopy(events)))
        return mistakes[-1][1]

    mistake("number")[3]["sequence_number"] = 7
    mistake("logprobs")[4].pop("logprobs")
    mistake("item_id")[4]["item_id"] = "msg_other"
    mistake("delta")[4]["delta"] = "other"
    mistake("float")[0]["response"]["created_at"] = 1.5
    mistake("null")[-1]["response"]["top_p"] = None
    mistake("missing key")[-1]["response"].pop("store")
    mistake("null logprobs")[-1]["response"]["output"][0]["content"][0]["logprobs"] = None
    mistake("other id")[-1]["response"]["output"][0]["id"] = "msg_other"
    mistake("empty output")[-1]["response"]["output"] = []
    mistake("usage")[-1]["response"]["usage"]["total_tokens"] += 1
    mistake("in progress")[-1]["response"]["output"][0]["status"] = "in_progress"
    mistake("no closer").pop(-3)
    mistake("no terminal").pop()
    return mistakes


@pytest.mark.requirement("conformance:object:rules")
async def test_the_rules_find_mistakes(house: House) -> None:
    body = {"model": "scripted/hello", "input": "Hi.", "stream": True}
    events = frames((await house.client.request("POST", "/v1/responses", body=body)).body)
    check_stream(events)
    for name, broken in _broken(events):
        with pytest.raises((AssertionError, KeyError)):
            check_stream(broken)
            raise RuntimeError(f"{name} was not found")
