"""The acceptance scenarios against the real server, in both profiles."""

from __future__ import annotations

import pytest

from tests.open_responses.__main__ import trial
from tests.open_responses.client import Asking
from tests.open_responses.scenarios import OURS, PROFILE_ONLY, SCENARIOS, WEATHER

pytestmark = pytest.mark.anyio


@pytest.mark.requirement("open-responses:scenarios")
@pytest.mark.parametrize("name", [*SCENARIOS, *OURS])
async def test_a_scenario_passes(server: Asking, name: str) -> None:
    await {**SCENARIOS, **OURS}[name](server)


@pytest.mark.requirement("open-responses:scenarios")
async def test_the_published_suite_has_seventeen_scenarios() -> None:
    assert len(SCENARIOS) == 17


@pytest.mark.requirement("open-responses:scenarios:at-once")
async def test_all_scenarios_pass_when_they_start_at_the_same_time(server: Asking) -> None:
    results = await trial(server, {**SCENARIOS, **OURS}, at_once=True)
    assert {name: problem for name, problem in results.items() if problem} == {}


@pytest.mark.requirement("open-responses:profile:errors")
@pytest.mark.parametrize("name", [*PROFILE_ONLY])
async def test_a_scenario_of_the_profile_passes_there_and_nowhere_else(
    profiled: Asking, usual: Asking, name: str
) -> None:
    await PROFILE_ONLY[name](profiled)
    with pytest.raises(AssertionError):
        await PROFILE_ONLY[name](usual)


MODELS = [
    "hello",
    "long-20",
    "burst-20",
    "reasoning",
    "refusal",
    "unicode",
    "cited",
    "logprobs",
    "empty",
    "cached",
    "tool",
    "tools-parallel",
    "tool-same-ids",
    "text-then-tool",
    "reasoning-tool",
    "length",
    "length-in-call",
    "length-in-reasoning",
    "filter",
    "error-after-3",
    "error-in-call",
]


@pytest.mark.requirement("open-responses:models")
@pytest.mark.parametrize("model", MODELS)
async def test_whatever_a_model_does_the_profile_is_kept(profiled: Asking, model: str) -> None:
    body = {
        "model": f"scripted/{model}",
        "input": "Say something nice about lighthouses.",
        "tools": [WEATHER],
        "include": ["message.output_text.logprobs", "reasoning.encrypted_content"],
    }
    events = await profiled.stream(**body)
    assert (await profiled.create(**body))["status"] == events[-1]["response"]["status"]
