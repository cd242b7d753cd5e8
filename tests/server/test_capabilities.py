"""The capability manifest, beside what requests meet; and every downgrade, provoked."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from antiphon.backends.base import Capabilities
from antiphon.backends.scripted import Scripted
from antiphon.config import RunSettings
from antiphon.runs.abilities import INCLUDES, PARAMETERS, TOOLS, abilities
from antiphon.runs.downgrades import DOWNGRADES, listed
from antiphon.types.request import CreateResponse
from antiphon.types.tool_codec import KNOWN
from tests.server.conftest import House, opened

pytestmark = pytest.mark.anyio

PATH = "/v1/antiphon/capabilities"
WORDS = {"native", "emulated", "downgraded", "unsupported"}


async def shown(house: House, query: str = "") -> dict[str, Any]:
    answer = await house.client.request("GET", f"{PATH}{query}")
    assert answer.status == 200, answer.body
    made: dict[str, Any] = answer.json()
    return made


@pytest.mark.requirement("capabilities:resource")
async def test_the_manifest_tells_what_each_model_can_do(house: House) -> None:
    manifest = await shown(house)
    assert manifest["object"] == "antiphon.capabilities"
    listed = (await house.client.request("GET", "/v1/models")).json()["data"]
    told = [name for group in manifest["models"] for name in group["models"]]
    assert sorted(told) == sorted(model["id"] for model in listed)
    for group in manifest["models"]:
        for table in ("tools", "items", "parameters", "include"):
            assert group[table] and set(group[table].values()) <= WORDS
        assert set(group["tools"]) == KNOWN
        assert set(group["include"]) == set(INCLUDES)
    assert manifest["downgrades"] == dict(DOWNGRADES)
    assert manifest["transports"] == {
        "json": True,
        "sse": True,
        "websocket": True,
        "background": False,
    }
    (one,) = (await shown(house, "?model=scripted/echo"))["models"]
    assert one["models"] == ["scripted/echo"]


@pytest.mark.requirement("capabilities:resource")
async def test_the_manifest_needs_a_key_and_a_model_that_may_be(road: str) -> None:
    async for house in opened(Scripted(), {"sk-alpha": "alpha"}, road):
        answer = await house.client.request("GET", PATH)
        assert answer.status == 401
        headers = {"authorization": "Bearer sk-alpha"}
        answer = await house.client.request("GET", f"{PATH}?model=x", headers=headers)
        assert answer.status == 200
        answer = await house.client.request("GET", f"{PATH}?modle=x", headers=headers)
        assert answer.status == 400


def test_every_parameter_and_value_has_a_sample() -> None:
    names = {name.partition(".")[0] for name in PARAMETERS} | {"tools"}
    assert set(CreateResponse.__struct_fields__) == names


async def outcome(house: House, **asked: Any) -> str:
    """What a request with this meets: refused, downgraded or taken."""
    body = {"model": "scripted/hello", "input": "hi", **asked}
    answer = await house.client.request("POST", "/v1/responses", body=body)
    if answer.status == 400:
        return "unsupported"
    assert answer.status in (200, 404), answer.body
    return "downgraded" if "x-antiphon-downgrades" in answer.headers else "taken"


@pytest.mark.requirement("capabilities:derived")
async def test_requests_meet_what_the_manifest_says(house: House) -> None:
    (group,) = (await shown(house, "?model=scripted/hello"))["models"]
    for kind, raw in TOOLS.items():
        met = await outcome(house, tools=[raw])
        assert (met == "unsupported") == (group["tools"][kind] == "unsupported"), kind
    known = (Scripted().capabilities("hello"), RunSettings())
    assert group["parameters"] == abilities(*known, background=False).parameters
    outside = ("conversation", "previous_response_id", "background")
    for name, fields in PARAMETERS.items():
        if name.startswith(outside):
            continue
        called = "tool_choice" in fields or "text.format" in name
        fields = {
            **fields,
            "model": "scripted/tool" if "tool_choice" in fields else "scripted/json",
        }
        met = await outcome(house, **(fields if called else PARAMETERS[name]))
        said = group["parameters"][name]
        assert met == (said if said in ("unsupported", "downgraded") else "taken"), name
    for value in INCLUDES:
        assert await outcome(house, include=[value]) == "taken", value


def test_an_upstream_that_has_a_tool_has_it_natively() -> None:
    able = Capabilities(
        native=frozenset({"web_search", "custom", "shell"}),
        json_schema="enforced",
        strict_tools="enforced",
        tool_choice="enforced",
        summaries=True,
    )
    known = abilities(able, RunSettings())
    assert known.tools["web_search"] == known.tools["custom"] == known.tools["shell"] == "native"
    assert known.items["shell_call_output"] == known.items["web_search_call"] == "native"
    assert known.items["apply_patch_call"] == "emulated"
    assert known.parameters["text.format.json_schema"] == "native"
    assert known.parameters["reasoning.summary"] == "native"
    assert known.include["web_search_call.action.sources"] == "native"
    deaf = abilities(Capabilities(tools=False, logprobs=False), RunSettings())
    assert set(deaf.tools.values()) == {"unsupported"}
    assert deaf.include["message.output_text.logprobs"] == "unsupported"


SAY = {"role": "user", "content": "hi"}
CALL = {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"}
BRINGS = {"type": "additional_tools", "role": "developer", "tools": [{"type": "web_search"}]}
FOUND = [
    {"type": "tool_search_call", "call_id": "s1", "arguments": {}, "execution": "client"},
    {**BRINGS, "type": "tool_search_output", "call_id": "s1", "execution": "client"},
]


def output(text: str) -> dict[str, Any]:
    return {"type": "function_call_output", "call_id": "c1", "output": text}


LEAST = Capabilities(
    takes_reasoning=False,
    unsent=frozenset({"presence_penalty", "frequency_penalty", "reasoning.effort", "seed"}),
)
"""What a backend is that can do the least."""

PROVOKED: dict[str, Any] = {
    "presence_penalty": {"presence_penalty": 1},
    "frequency_penalty": {"frequency_penalty": 1},
    "reasoning.effort": {"reasoning": {"effort": "low"}},
    "reasoning.summary": {"reasoning": {"summary": "auto"}},
    "reasoning.mode": {"reasoning": {"mode": "pro"}},
    "reasoning.context": {"reasoning": {"context": "all_turns"}},
    "service_tier": {"service_tier": "flex"},
    "access_programs": {"access_programs": {}},
    "background_options.continuation_id": {"background_options": {"continuation_id": "c"}},
    "image.context_compression": {"image": {"context_compression": "enabled"}},
    "context_management": {"context_management": [{"type": "compaction"}]},
    "input:TYPE": {"input": [{"type": "program", "code": "1"}, SAY]},
    "input[i]": {"input": [SAY, CALL, output("one"), output("two"), SAY]},
    "tools[i]:TYPE": {"tools": [{"type": "web_search"}]},
    "input[i].tools[i]:TYPE": {"input": [BRINGS, SAY]},
    "additional_tools.tools[i]:TYPE": [{"input": [BRINGS, SAY]}, {"input": "on"}],
    "tool_search_output.tools[i]:TYPE": [{"input": [SAY, *FOUND]}, {"input": "on"}],
}
"""What provokes each over ``/v1/responses``; of a list, the last continues the first."""
ELSEWHERE = {
    "store": "tests/server/test_zero_retention.py",
    "tools[i].defer_loading": "tests/runs/test_found_tools.py",
    "tools[i].KEY": "tests/runs/test_mcp.py",
    "messages.name": "tests/server/test_completions.py",
    "prediction": "tests/server/test_completions.py",
    "seed": "tests/server/test_completions.py",
}
"""Where those are provoked that take another server or another API."""


class Poor(Scripted):
    """Scripts on a server with few fields."""

    def capabilities(self, model: str) -> Capabilities:
        return LEAST


@pytest.mark.requirement("capabilities:downgrades")
@pytest.mark.parametrize("name", sorted(PROVOKED))
async def test_each_downgrade_can_be_provoked_and_is_listed(name: str, road: str) -> None:
    async for house in opened(Poor(), {}, road):
        steps = PROVOKED[name] if isinstance(PROVOKED[name], list) else [PROVOKED[name]]
        before: dict[str, Any] = {}
        for asked in steps:
            body = {"model": "scripted/echo", "input": "hi", **before, **asked}
            headers = {"originator": "codex_exec"}
            answer = await house.client.request("POST", "/v1/responses", body=body, headers=headers)
            assert answer.status == 200, answer.body
            before = {"previous_response_id": answer.json()["id"]}
        told = answer.headers["x-antiphon-downgrades"].split(", ")
        assert [listed(one) for one in told] == [name]


@pytest.mark.requirement("capabilities:downgrades")
def test_every_downgrade_is_provoked_somewhere() -> None:
    assert set(DOWNGRADES) == {*PROVOKED, *ELSEWHERE}
    assert listed("tools[12]:web_search") == "tools[i]:TYPE"
    assert listed("no_such_thing") is None and listed("nothing:here") is None
    assert msgspec.json.encode(dict(DOWNGRADES))
