"""Reasoning that is sealed, carried by the caller, and shown to the model again."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from antiphon.errors import ClientError
from antiphon.types.base import UNSET
from antiphon.types.items import Reasoning
from antiphon.types.response import Response
from tests.runs.rig import PROJECT, Rig, rig, text_of

pytestmark = pytest.mark.anyio

SEALED = ["reasoning.encrypted_content"]
ALL = {"context": "all_turns"}


def raw(response: Response) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = msgspec.json.decode(msgspec.json.encode(response.output))
    return items


def thought_of(response: Response) -> Reasoning:
    (thought,) = (item for item in response.output if isinstance(item, Reasoning))
    return thought


def user(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


async def carried(r: Rig, items: list[dict[str, Any]], **asked: Any) -> Response:
    """The answer to a caller who keeps the conversation without plain reasoning."""
    kept = [
        {k: v for k, v in item.items() if k != "content" or item.get("type") == "message"}
        for item in items
    ]
    said = [user("one"), *kept, user("two")]
    return await r.create("rethink", input=said, store=False, **asked)


@pytest.mark.requirement("reasoning:sealed:everywhere")
@pytest.mark.parametrize("policy", ["content", "none"])
async def test_asked_for_it_is_sealed_wherever_the_item_is_seen(policy: str) -> None:
    async with rig(raw_reasoning=policy) as r:
        events: Any = await r.stream("rethink", input="one", include=SEALED)
        response = events[-1].response
        thought = thought_of(response)
        assert isinstance(thought.encrypted_content, str)
        assert "Thought" not in thought.encrypted_content
        added, done = (e.item for e in events if hasattr(e, "item") and e.item.id == thought.id)
        assert added.encrypted_content is UNSET and done == thought
        shown = policy == "content"
        assert (thought.content is not UNSET) is shown
        assert any("reasoning_text" in e.__struct_config__.tag for e in events) is shown
        assert (await r.retrieve(response.id))["output"] == raw(response)
        replayed = await r.replay(response.id)
        assert list(map(msgspec.json.encode, replayed)) == list(map(msgspec.json.encode, events))
        plain = await r.create("rethink", input="one", include=SEALED)
        assert (thought_of(plain).content is UNSET) is (not shown)


@pytest.mark.requirement("reasoning:sealed:asked")
async def test_not_asked_for_the_key_is_absent() -> None:
    async with rig() as r:
        item = raw(await r.create("rethink"))[0]
        assert "encrypted_content" not in item and item["content"]
    async with rig(raw_reasoning="none") as r:
        assert [item["type"] for item in raw(await r.create("rethink"))] == ["message"]


@pytest.mark.requirement("reasoning:sealed:carried")
@pytest.mark.parametrize("policy", ["content", "none"])
async def test_sealed_thoughts_come_back_to_their_model(policy: str) -> None:
    async with rig(raw_reasoning=policy) as r:
        first = await r.create("rethink", input="one", include=SEALED, store=False)
        again = await carried(r, raw(first), reasoning=ALL)
        assert text_of(again) == "I remember: Thought number 1."
        assert again.reasoning.context == "all_turns" and again.input_transformations is UNSET
        current = await carried(r, raw(first), reasoning={"context": "auto"})
        assert text_of(current) == "I remember: nothing"
        assert current.reasoning.context == "current_turn"
        removed = msgspec.to_builtins(current.input_transformations)
        assert removed == [
            {
                "id": thought_of(first).id,
                "reason": "turn_boundary",
                "action": "removed",
                "type": "reasoning",
            }
        ]


@pytest.mark.requirement("reasoning:sealed:chained")
@pytest.mark.parametrize("memory", [0, 1 << 20])
async def test_hidden_thoughts_are_remembered_along_a_chain(memory: int) -> None:
    async with rig(raw_reasoning="none", memory_bytes=memory) as r:
        first = await r.create("rethink", input="one", include=SEALED)
        said: Any = {"include": SEALED, "reasoning": ALL}
        second = await r.create("rethink", input="two", previous_response_id=first.id, **said)
        third = await r.create("rethink", input="three", previous_response_id=second.id, **said)
        assert text_of(third) == "I remember: Thought number 1. / Thought number 2."
        listed = [i for i in await r.items(third.id) if i["type"] == "reasoning"]
        assert len(listed) == 2 and all("content" not in item for item in listed)


@pytest.mark.requirement("reasoning:sealed:mismatch")
async def test_thoughts_of_another_project_or_model_are_left_out_and_named() -> None:
    async with rig() as r:
        first = await r.create("rethink", input="one", include=SEALED, store=False)
        elsewhere = await carried(r, raw(first), project="proj_b", reasoning=ALL)
        other = await r.create("reasoning", input="one", include=SEALED, store=False)
        for answer, reason in (
            (elsewhere, "organization_mismatch"),
            (await carried(r, raw(other), reasoning=ALL), "model_mismatch"),
        ):
            assert text_of(answer) == "I remember: nothing"
            (removed,) = msgspec.to_builtins(answer.input_transformations)
            assert removed["reason"] == reason and removed["action"] == "removed"


@pytest.mark.requirement("reasoning:sealed:tampered")
async def test_changed_thoughts_are_refused() -> None:
    async with rig() as r:
        item = raw(await r.create("rethink", include=SEALED))[0]
        item["encrypted_content"] = item["encrypted_content"][:-6] + "AAAAAA"
        with pytest.raises(ClientError) as refusal:
            await r.create("rethink", project=PROJECT, input=[user("a"), user("b"), item])
        assert refusal.value.code == "invalid_encrypted_content"
        assert refusal.value.param == "input[2].encrypted_content"


@pytest.mark.requirement("reasoning:sealed:cut")
async def test_thoughts_cut_short_are_sealed_as_far_as_they_went() -> None:
    async with rig(raw_reasoning="none") as r:
        cut = await r.create("length-in-reasoning", include=SEALED)
        assert cut.status == "incomplete" and thought_of(cut).status == "incomplete"
        assert isinstance(thought_of(cut).encrypted_content, str)
