"""Chaining: what the next turn knows, and what it must not."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from antiphon.errors import ClientError
from antiphon.runs.truncation import shortened
from antiphon.types.items import FunctionCall, FunctionCallOutput, Message
from tests.runs.rig import rig, text_of

pytestmark = pytest.mark.anyio

WEATHER = {
    "type": "function",
    "name": "get_weather",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
}


@pytest.mark.requirement("runs:chain:recalls")
async def test_the_next_turn_knows_what_was_said() -> None:
    async with rig() as r:
        first = await r.create("recall", input="My name is Zoe.")
        second = await r.create("recall", input="What is my name?", previous_response_id=first.id)
        assert text_of(second) == "Your name is Zoe."
        assert second.previous_response_id == first.id


@pytest.mark.requirement("runs:chain:nothing-leaks")
async def test_instructions_and_tools_are_of_this_turn_only() -> None:
    async with rig() as r:
        first = await r.create("echo", instructions="Talk like a pirate.", tools=[WEATHER])
        second = await r.create("instructions", input="?", previous_response_id=first.id)
        assert "pirate" not in text_of(second)
        assert (second.instructions, second.tools) == (None, [])
        assert "pirate" not in str(await r.items(second.id))


@pytest.mark.requirement("runs:chain:branches")
async def test_branches_do_not_see_each_other() -> None:
    async with rig() as r:
        root = await r.create("echo", input="root")
        left = await r.create("echo", input="left", previous_response_id=root.id)
        right = await r.create("transcript", input="right", previous_response_id=root.id)
        leaf = await r.create("transcript", input="leaf", previous_response_id=left.id)
        assert "left" not in text_of(right)
        assert "right" not in text_of(leaf) and "left" in text_of(leaf)
        assert [i["content"][0]["text"] for i in await r.items(leaf.id)] == [
            "root",
            "root",
            "left",
            "left",
            "leaf",
        ]


@pytest.mark.requirement("runs:chain:unknown-parent")
@pytest.mark.parametrize("case", ["unknown", "foreign", "deleted", "unstored"])
async def test_a_parent_that_is_not_there_is_refused(case: str) -> None:
    async with rig() as r:
        parent = await r.create(
            "echo", project="proj_b" if case == "foreign" else "proj_a", store=case != "unstored"
        )
        if case == "deleted":
            await r.delete(parent.id)
        asked = "resp_nothing" if case == "unknown" else parent.id
        with pytest.raises(ClientError) as refusal:
            await r.create("echo", previous_response_id=asked)
        assert refusal.value.code == "previous_response_not_found"
        assert refusal.value.param == "previous_response_id"
        assert refusal.value.message == f"Previous response with id '{asked}' not found."


@pytest.mark.requirement("runs:delete:tombstone")
async def test_deleting_a_parent_neither_breaks_nor_leaks() -> None:
    async with rig() as r:
        parent = await r.create("recall", input="My name is Zoe.")
        child = await r.create("echo", input="noted", previous_response_id=parent.id)
        await r.delete(parent.id)
        with pytest.raises(ClientError):
            await r.retrieve(parent.id)
        assert "Zoe" not in str(await r.items(child.id))
        grandchild = await r.create("recall", input="Name?", previous_response_id=child.id)
        assert text_of(grandchild) == "Your name is Zoe."
        item_id = f"msg_{parent.id.partition('_')[2]}0001"
        with pytest.raises(ClientError):
            await r.create("echo", input=[{"type": "item_reference", "id": item_id}])


@pytest.mark.requirement("runs:calls:answered")
async def test_every_call_needs_its_output_and_every_output_its_call() -> None:
    async with rig() as r:
        called = await r.create("tools-parallel", tools=[WEATHER])
        calls = [item for item in called.output if isinstance(item, FunctionCall)]
        assert len(calls) == 2
        one = {"type": "function_call_output", "call_id": calls[0].call_id, "output": "sunny"}
        with pytest.raises(ClientError) as missing:
            await r.create(
                "tools-parallel", input=[one], tools=[WEATHER], previous_response_id=called.id
            )
        assert calls[1].call_id in missing.value.message
        assert missing.value.message.startswith("No tool output found for function call")
        orphan = {**one, "call_id": "call_of_nobody"}
        with pytest.raises(ClientError) as stray:
            await r.create("echo", input=[orphan])
        assert stray.value.param == "input[0].call_id"
        both = [one, {**one, "call_id": calls[1].call_id, "output": "rain"}]
        answered = await r.create(
            "tools-parallel", input=both, tools=[WEATHER], previous_response_id=called.id
        )
        assert "sunny" in text_of(answered) and "rain" in text_of(answered)


@pytest.mark.requirement("runs:calls:answered")
async def test_a_call_left_open_cannot_be_talked_over() -> None:
    async with rig() as r:
        called = await r.create("tools-parallel", tools=[WEATHER])
        for _ in range(2):
            with pytest.raises(ClientError) as missing:
                await r.create("echo", input="Never mind.", previous_response_id=called.id)
            assert missing.value.code == "tool_output_not_found"


@pytest.mark.requirement("runs:input:retelling")
async def test_a_message_sent_again_with_its_id_is_not_doubled() -> None:
    async with rig() as r:
        first = await r.create("echo", input="hello")
        told = [*await r.items(first.id), *msgspec.to_builtins(first.output)]
        asked = {"role": "user", "content": "and now?"}
        second = await r.create("echo", input=[*told, asked], previous_response_id=first.id)
        said = [item["content"][0]["text"] for item in await r.items(second.id)]
        assert said == ["hello", "hello", "and now?"]


@pytest.mark.requirement("runs:input:retelling")
async def test_items_sent_again_are_not_doubled() -> None:
    async with rig() as r:
        called = await r.create("tool", input="weather?", tools=[WEATHER])
        call = called.output[0]
        assert isinstance(call, FunctionCall)
        retold: list[dict[str, Any]] = [
            {"role": "user", "content": "weather?"},
            {
                "type": "function_call",
                "call_id": call.call_id,
                "name": call.name,
                "arguments": call.arguments,
                "id": call.id,
            },
            {"type": "function_call_output", "call_id": call.call_id, "output": "sunny"},
        ]
        told = await r.create("transcript", input=retold, previous_response_id=called.id)
        kinds = [item["type"] for item in await r.items(told.id)]
        assert kinds == ["message", "function_call", "function_call_output"]


def weather(city: str, outcome: str) -> list[dict[str, Any]]:
    """A call and its output, under the id some upstreams give every call."""
    arguments = json.dumps({"city": city})
    return [
        {"type": "function_call", "call_id": "call_0", "name": "weather", "arguments": arguments},
        {"type": "function_call_output", "call_id": "call_0", "output": outcome},
    ]


@pytest.mark.requirement("runs:input:reused-call-ids")
async def test_a_call_id_used_again_is_another_call() -> None:
    paris, rome, changed = weather("Paris", "sun"), weather("Rome", "rain"), weather("Paris", "fog")
    async with rig() as r:
        asked = [{"role": "user", "content": "weather?"}, *paris, *rome, *changed, *paris]
        first = await r.create("transcript", input=asked)
        outputs = [item.get("output") for item in await r.items(first.id)]
        assert [o for o in outputs if o] == ["sun", "rain", "fog"]
        second = await r.create(
            "transcript",
            input=[*paris, *weather("Oslo", "snow")],
            previous_response_id=first.id,
        )
        outputs = [item.get("output") for item in await r.items(second.id)]
        assert [o for o in outputs if o] == ["sun", "rain", "fog", "snow"]


@pytest.mark.requirement("runs:input:made-up-ids")
async def test_an_id_used_for_everything_drops_nothing() -> None:
    one = {"id": "__fake_id__"}
    async with rig() as r:
        first = await r.create("echo", input=[{"role": "user", "content": "hi", **one}])
        call, output = weather("Rome", "rain")
        thought = {"type": "reasoning", "summary": [], "content": []}
        search = {"type": "program", "id": 7, "status": "completed"}
        second = await r.create(
            "transcript",
            input=[{**thought, **one}, {**call, **one}, {**output, **one}, search],
            previous_response_id=first.id,
        )
        listed = await r.items(second.id)
        assert [item["type"] for item in listed][2:] == [
            "reasoning",
            "function_call",
            "function_call_output",
            "program",
        ]
        assert len({item["id"] for item in listed}) == len(listed)


@pytest.mark.requirement("runs:input:references-bounded")
async def test_references_are_bounded() -> None:
    async with rig(context_items_max=3) as r:
        said = (await r.create("echo", input="remember this")).output[0].id
        with pytest.raises(ClientError, match="Duplicate item") as twice:
            await r.create("echo", input=[{"id": said}, {"id": said}])
        assert twice.value.param == "input[1].id"
        with pytest.raises(ClientError, match="at most 3"):
            await r.create("echo", input=[{"id": f"msg_{n}"} for n in range(4)])


@pytest.mark.requirement("runs:input:asking-twice")
async def test_asking_the_same_question_twice_is_not_a_retelling() -> None:
    async with rig() as r:
        first = await r.create("echo", input="again")
        second = await r.create(
            "echo", input=[{"role": "user", "content": "again"}], previous_response_id=first.id
        )
        assert len(await r.items(second.id)) == 3


@pytest.mark.requirement("runs:input:references")
async def test_a_reference_stands_for_the_stored_item() -> None:
    async with rig() as r:
        first = await r.create("echo", input="remember this")
        said = str(first.output[0].id)
        second = await r.create(
            "transcript",
            input=[{"id": said}, {"role": "user", "content": "what was it?"}],
        )
        assert "remember this" in text_of(second)
        assert (await r.items(second.id))[0]["id"] == said
        with pytest.raises(ClientError) as foreign:
            await r.create("echo", project="proj_b", input=[{"id": said}])
        assert (foreign.value.status, foreign.value.param) == (404, "input[0].id")


@pytest.mark.requirement("runs:input:own-output-verbatim")
@pytest.mark.parametrize("model", ["echo", "reasoning", "tool", "custom", "refusal", "length"])
async def test_every_output_can_be_fed_back_verbatim(model: str) -> None:
    tools = [WEATHER, {"type": "custom", "name": "patch"}]
    async with rig() as r:
        first = await r.create(model, tools=tools)
        output = (await r.retrieve(first.id))["output"]
        answers = [
            {"type": f"{item['type']}_output", "call_id": item["call_id"], "output": "done"}
            for item in output
            if "call_id" in item
        ]
        history = [{"role": "user", "content": "hi"}, *output, *answers]
        again = await r.create("transcript", input=[*history, {"role": "user", "content": "so?"}])
        assert again.status == "completed"
        stored_ids = [item["id"] for item in await r.items(again.id)]
        assert all(item["id"] in stored_ids for item in output)


@pytest.mark.requirement("runs:items:ids-stable")
async def test_item_ids_are_minted_once_and_stay() -> None:
    async with rig() as r:
        made = await r.create("echo", input=[{"role": "user", "content": "hi"}])
        first, second = await r.items(made.id), await r.items(made.id)
        assert first == second and first[0]["id"].startswith("msg_")
        assert first[0]["content"] == [{"type": "input_text", "text": "hi"}]
        assert (await r.retrieve(made.id))["output"][0]["id"] == made.output[0].id


@pytest.mark.requirement("runs:store:false")
async def test_what_is_not_stored_cannot_be_found() -> None:
    async with rig() as r:
        made = await r.create("echo", store=False)
        assert made.store is False
        with pytest.raises(ClientError) as gone:
            await r.retrieve(made.id)
        assert gone.value.status == 404
        with pytest.raises(ClientError):
            await r.create("echo", input=[{"id": made.output[0].id}])


@pytest.mark.requirement("runs:truncation")
async def test_truncation_drops_the_oldest_exchanges_or_refuses() -> None:
    async with rig() as r:
        parent = (await r.create("echo", input="old " * 30)).id
        for word in ("middle " * 10, "newer "):
            parent = (await r.create("echo", input=word, previous_response_id=parent)).id
        with pytest.raises(Exception, match="context"):
            await r.create("overflow-120", input="new", previous_response_id=parent)
        made = await r.create(
            "overflow-120", input="new", previous_response_id=parent, truncation="auto"
        )
        assert made.status == "completed"
        with pytest.raises(Exception, match="context"):
            await r.create("overflow-120", input="too long " * 40, truncation="auto")


@pytest.mark.requirement("runs:truncation:calls")
def test_truncation_keeps_the_call_whose_output_is_brought() -> None:
    asked = Message(role="user", content="weather?")
    call = FunctionCall(call_id="c", name="weather", arguments="{}")
    output = FunctionCallOutput(call_id="c", output="sun")
    assert shortened([asked, call, output], 1) is None
    assert shortened([asked, asked, call, output], 1) == [asked, call, output]
    assert shortened([asked, call, output, asked], 1) == [asked]


@pytest.mark.requirement("runs:calls:cut-and-answered")
async def test_a_call_that_was_cut_may_be_answered_or_left() -> None:
    async with rig() as r:
        cut = await r.create("length-in-call", tools=[WEATHER])
        call = cut.output[0]
        assert isinstance(call, FunctionCall) and call.status == "incomplete"
        left = await r.create("transcript", input="never mind", previous_response_id=cut.id)
        assert left.status == "completed" and call.name not in text_of(left)
        output = {"type": "function_call_output", "call_id": call.call_id, "output": "sunny"}
        told = await r.create("transcript", input=[output], previous_response_id=cut.id)
        assert told.status == "completed" and "sunny" in text_of(told)


@pytest.mark.requirement("runs:input:contradicting")
async def test_another_output_of_an_answered_call_is_left_out_and_named() -> None:
    async with rig() as r:
        called = await r.create("tool", input="weather?", tools=[WEATHER])
        call = called.output[0]
        assert isinstance(call, FunctionCall)
        output = {"type": "function_call_output", "call_id": call.call_id, "output": "sunny"}
        told = await r.create("echo", input=[output], previous_response_id=called.id)
        parts = {**output, "output": [{"type": "input_text", "text": "sunny"}]}
        question = {"role": "user", "content": "so?"}
        same = await r.start("echo", input=[parts, question], previous_response_id=told.id)
        assert same.downgrades == []
        other = {**output, "output": "rain"}
        live = await r.start("transcript", input=[other, question], previous_response_id=told.id)
        assert live.downgrades == ["input[0]"]
        said = text_of(await live.finish())
        assert "sunny" in said and "rain" not in said
