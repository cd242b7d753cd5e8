"""What a model is shown between the calls the server answers: always its last prompt, and more."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from antiphon.types.items import FunctionCall, FunctionCallOutput, Message
from tests.runs.test_prefix import PIXEL, TOOL, assert_extends, talking
from tests.tools.served import Weather

pytestmark = pytest.mark.anyio

MINE = {**TOOL, "name": "ask_user"}
INPUTS: dict[str, Any] = {
    "text": "word",
    "image": [
        {
            "role": "user",
            "content": [
                {"type": "input_text", "text": "look"},
                {"type": "input_image", "image_url": PIXEL},
            ],
        }
    ],
    "developer": [{"role": "developer", "content": "Be kind."}, {"role": "user", "content": "go"}],
}
STEPS = st.lists(
    st.tuples(
        st.sampled_from(sorted(INPUTS)),
        st.sampled_from(["echo", "tool", "tools-parallel", "reasoning"]),
        st.sampled_from([(TOOL,), (TOOL, MINE), (MINE, TOOL)]),
    ),
    min_size=1,
    max_size=4,
)


@pytest.mark.requirement("tools:prompt:extends")
@pytest.mark.parametrize("memory", [0, 1 << 20], ids=["forgotten", "remembered"])
@settings(max_examples=15, deadline=None)
@given(steps=STEPS, streamed=st.booleans())
async def test_each_model_call_extends_the_one_before(
    memory: int, steps: list[tuple[str, str, tuple[Any, ...]]], streamed: bool
) -> None:
    async with talking(":memory:", memory) as talk:
        talk.runs.functions = {"weather": Weather("weather")}
        for kind, model, tools in steps:
            asked: dict[str, Any] = {"tools": list(tools), "stream": streamed}
            response = await talk.say(model, input=INPUTS[kind], **asked)
            answered = {i.call_id for i in response.output if isinstance(i, FunctionCallOutput)}
            calls = [i for i in response.output if isinstance(i, FunctionCall)]
            mine = [
                {"type": "function_call_output", "call_id": call.call_id, "output": "mine"}
                for call in calls
                if call.call_id not in answered
            ]
            assert all((c.call_id in answered) == (c.name == "weather") for c in calls)
            if mine:
                await talk.say("echo", input=mine, **asked)
        if all(model != "reasoning" for _, model, _ in steps):
            assert_extends(talk.prompts())


@pytest.mark.requirement("tools:prompt:remembered")
async def test_what_was_written_for_a_round_is_not_written_again() -> None:
    """The next turn's prompt is made of what the rounds before it have written."""
    async with talking(":memory:") as talk:
        talk.runs.functions = {"weather": Weather("weather")}
        response = await talk.say("tools-parallel", input="What is it like?")
        found = talk.runs.memory.recall("p", response.id)
        assert found is not None
        said, memo = found
        (cut,) = memo.values()
        user = next(i for i, item in enumerate(said.items) if isinstance(item, Message))
        assert cut.length > user
        await talk.say("echo", input="Thanks.")
        assert_extends(talk.prompts())
