"""What chat completions ask of the engine besides: texts that end the answer, a seed."""

from __future__ import annotations

import pytest

from antiphon.backends.llamacpp import LlamaCpp
from tests.engine.turns import asking, say

pytestmark = pytest.mark.anyio

WILD = 2.0


@pytest.mark.requirement("completions:upstream")
async def test_the_engine_stops_before_a_stop(engine: LlamaCpp) -> None:
    whole = (await say(engine, asking("Hello"))).text
    word = whole.split()[-1]
    said = await say(engine, asking("Hello", stop=("nowhere in it", word)))
    assert said.text == whole[: whole.index(word)] and said.reason == "stop"


@pytest.mark.requirement("completions:upstream")
async def test_the_same_seed_says_the_same_and_another_may_not(engine: LlamaCpp) -> None:
    async def said(seed: int) -> str:
        turn = asking(
            "Tell me a joke about zebras", seed=seed, temperature=WILD, max_output_tokens=20
        )
        return (await say(engine, turn)).text

    first = [await said(seed) for seed in range(6)]
    assert [await said(seed) for seed in range(6)] == first
    assert len(set(first)) > 1
