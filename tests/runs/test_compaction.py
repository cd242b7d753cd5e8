"""Compaction, automatic and asked for: what is said to the model, shown to the caller and kept."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from antiphon.errors import ClientError, RemoteError
from antiphon.runs.compact import compact
from antiphon.runs.compaction import ASKING
from antiphon.runs.run import Run
from antiphon.sealing.aes import Sealer
from antiphon.stream.deltas import Finish, Text
from antiphon.types.codec import decode_create
from antiphon.types.items import Compaction
from antiphon.types.request import CompactInput
from antiphon.types.response import Response
from tests.runs.rig import PROJECT, Rig, rig, text_of

pytestmark = pytest.mark.anyio

LONG = "My dog is called Rex. " + "and so on " * 600
WANTED = [{"type": "compaction", "compact_threshold": 1_000}]
TOOL = {"type": "function", "name": "weather", "parameters": {"type": "object"}}


def raw(response: Response) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = msgspec.json.decode(msgspec.json.encode(response.output))
    return items


def names(events: Any) -> list[str]:
    return [event.__struct_config__.tag for event in events]


async def compacted(r: Rig, **asked: Any) -> dict[str, Any]:
    answer, _ = await compact(r.runs, CompactInput(model="scripted/summary", **asked), PROJECT)
    decoded: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(answer))
    return decoded


def test_the_scripted_model_knows_the_question() -> None:
    assert ASKING.startswith("Write a hand-over note")


@pytest.mark.requirement("compaction:automatic")
@pytest.mark.parametrize("live", [True, False])
async def test_a_context_beyond_the_threshold_is_compacted_and_the_answer_follows(
    live: bool,
) -> None:
    async with rig() as r:
        first = await r.create("summary", input=LONG)
        said: Any = {
            "input": "And my cat?",
            "previous_response_id": first.id,
            "context_management": WANTED,
        }
        if live:
            events = await r.stream("summary", **said)
            assert names(events)[:6] == [
                "response.created",
                "response.in_progress",
                "response.output_item.added",
                "response.compaction.compacting",
                "response.output_item.done",
                "response.output_item.added",
            ]
            assert [event.sequence_number for event in events] == list(range(len(events)))
            made = events[-1].response  # type: ignore[attr-defined]
            assert list(map(msgspec.json.encode, await r.replay(made.id))) == list(
                map(msgspec.json.encode, events)
            )
        else:
            made = await r.create("summary", **said)
        item, _ = made.output
        assert isinstance(item, Compaction) and str(item.id).startswith("cmp_")
        assert "Rex" not in item.encrypted_content
        told = text_of(made)
        assert "Summary of 2: My dog is called Rex." in told and told.endswith("/ And my cat?")
        assert (await r.retrieve(made.id))["output"] == raw(made)


@pytest.mark.requirement("compaction:automatic:usage")
async def test_usage_is_summed_and_the_summary_is_not_taken_from_the_budget() -> None:
    async with rig() as r:
        first = await r.create("long-60", input=LONG)
        said: Any = {"previous_response_id": first.id, "context_management": WANTED}
        made = await r.create("long-60", input="go", max_output_tokens=60, **said)
        assert made.status == "completed" and made.usage is not None
        assert made.usage.output_tokens == 120
        assert made.usage.input_tokens > first.usage.input_tokens  # type: ignore[union-attr]


@pytest.mark.requirement("compaction:automatic:below")
async def test_below_the_threshold_nothing_happens() -> None:
    async with rig() as r:
        first = await r.create("summary", input="short")
        made = await r.create(
            "summary", input="on", previous_response_id=first.id, context_management=WANTED
        )
        assert [type(item).__name__ for item in made.output] == ["OutputMessage"]
        live = await r.start("summary", input=LONG, context_management=WANTED)
        assert len((await live.finish()).output) == 1  # all of it waits for its answer
        unknown = [{"type": "compaction"}]
        live = await r.start("summary", input=LONG, context_management=unknown)
        assert live.downgrades == ["context_management"]  # no threshold, and no window known


@pytest.mark.requirement("compaction:chain")
@pytest.mark.parametrize("memory", [0, 1 << 20])
async def test_later_turns_start_from_the_compaction(memory: int) -> None:
    async with rig(memory_bytes=memory) as r:
        first = await r.create("summary", input=LONG)
        made = await r.create(
            "summary", input="And my cat?", previous_response_id=first.id, context_management=WANTED
        )
        third = await r.create("summary", input="third", previous_response_id=made.id)
        assert text_of(third).startswith("I was told: Summary of 2: My dog is called Rex.")
        assert text_of(third).endswith("/ And my cat? / third")
        assert third.usage.input_tokens < 300  # type: ignore[union-attr]
        branch = await r.create("summary", input="branch", previous_response_id=first.id)
        assert text_of(branch).startswith("I was told: My dog is called Rex.")


@pytest.mark.requirement("compaction:stateless")
async def test_a_caller_may_drop_what_is_before_the_compaction_or_not() -> None:
    async with rig() as r:
        history = [
            {"role": "developer", "content": "Be brief."},
            {"role": "user", "content": LONG},
            {"role": "assistant", "content": "ok"},
        ]
        asked = {"role": "user", "content": "And my cat?"}
        said: Any = {"store": False, "context_management": WANTED}
        made = await r.create("summary", input=[*history, asked], **said)
        following = {"role": "user", "content": "next"}
        whole = [*history, asked, *raw(made), following]
        short = [*raw(made), following]
        answers = [text_of(await r.create("transcript", input=one)) for one in (whole, short)]
        assert answers[0] == answers[1]
        assert "Be brief." in answers[0] and "Rex" in answers[0]
        assert answers[0].count("And my cat?") >= 1 and answers[0].endswith("user: next")


@pytest.mark.requirement("compaction:tools")
async def test_a_call_that_is_being_answered_stays_word_for_word() -> None:
    async with rig() as r:
        first = await r.create("tool", input=LONG, tools=[TOOL])
        (call,) = first.output
        output = {"type": "function_call_output", "call_id": call.call_id, "output": "sunny"}  # type: ignore[union-attr]
        made = await r.create(
            "transcript",
            input=[output],
            tools=[TOOL],
            previous_response_id=first.id,
            context_management=WANTED,
        )
        lines = text_of(made).splitlines()
        assert lines[-2:] == ["call weather: {}", "result: sunny"]
        again = await r.create("transcript", input="thanks", previous_response_id=made.id)
        assert text_of(again).splitlines()[-1] == "user: thanks"


@pytest.mark.requirement("compaction:trigger")
async def test_a_trigger_compacts_and_does_nothing_else() -> None:
    async with rig() as r:
        said = [{"role": "user", "content": "alpha"}, {"role": "assistant", "content": "x"}]
        made = await r.create("summary", input=[*said, {"type": "compaction_trigger"}])
        assert made.status == "completed"
        assert [type(item) for item in made.output] == [Compaction]
        assert [item["type"] for item in await r.items(made.id)] == ["message", "message"]
        following = {"role": "user", "content": "beta"}
        answer = await r.create("summary", input=[said[0], *raw(made), following])
        assert text_of(answer) == "I was told: alpha / Summary of 1: alpha / beta"
        chained = await r.create("summary", input="beta", previous_response_id=made.id)
        assert text_of(chained) == text_of(answer)
        with pytest.raises(ClientError, match="nothing to compact"):
            await r.create("summary", input=[{"type": "compaction_trigger"}])


@pytest.mark.requirement("compaction:endpoint")
async def test_the_endpoint_keeps_the_users_messages_and_adds_one_compaction() -> None:
    async with rig() as r:
        first = await r.create("summary", input="alpha")
        answer = await compacted(r, previous_response_id=first.id, input="beta")
        assert answer["object"] == "response.compaction"
        *users, item = answer["output"]
        assert [one["content"][0]["text"] for one in users] == ["alpha", "beta"]
        assert all(one["id"] and one["status"] == "completed" for one in users)
        assert set(item) == {"type", "id", "encrypted_content"}
        assert answer["usage"]["output_tokens"] > 0
        assert set(answer["usage"]["input_tokens_details"]) >= {"cached_tokens"}
        following = {"role": "user", "content": "gamma"}
        went_on = await r.create("summary", input=[*answer["output"], following])
        assert text_of(went_on).startswith("I was told: alpha / beta / Summary of 2: alpha / beta")
        with pytest.raises(ClientError) as missing:
            await r.create("summary", input="x", previous_response_id=answer["id"])
        assert missing.value.code == "previous_response_not_found"


@pytest.mark.requirement("compaction:endpoint:refusals")
async def test_the_endpoint_names_what_is_missing() -> None:
    async with rig() as r:
        for asked, param in (
            (CompactInput(input="x"), "model"),
            (CompactInput(model="m"), "input"),
        ):
            with pytest.raises(ClientError) as refusal:
                await compact(r.runs, asked, PROJECT)
            assert (refusal.value.code, refusal.value.param) == (
                "missing_required_parameter",
                param,
            )
        with pytest.raises(RemoteError):
            await compact(r.runs, CompactInput(model="scripted/error-500", input="x"), PROJECT)
        with pytest.raises(RemoteError, match="no summary"):
            await compact(r.runs, CompactInput(model="scripted/empty", input="x"), PROJECT)


@pytest.mark.requirement("compaction:sealed")
async def test_a_changed_or_foreign_compaction_is_refused_by_name() -> None:
    async with rig() as r:
        said = [{"role": "user", "content": "alpha"}, {"type": "compaction_trigger"}]
        (item,) = raw(await r.create("summary", input=said))
        changed = {**item, "encrypted_content": item["encrypted_content"][:-4] + "AAAA"}
        foreign = {**item, "encrypted_content": "gAAAAABn"}
        for one, project in ((changed, PROJECT), (foreign, PROJECT), (item, "proj_b")):
            with pytest.raises(ClientError) as refusal:
                said = [{"role": "user", "content": "a"}, one, {"role": "user", "content": "b"}]
                await r.create("summary", project=project, input=said)
            assert refusal.value.code == "invalid_encrypted_content"
            assert refusal.value.param == "input[1].encrypted_content"


@pytest.mark.requirement("compaction:sealed")
async def test_without_its_key_a_compacted_chain_is_not_answered_blindly() -> None:
    async with rig() as r:
        first = await r.create("summary", input=LONG)
        made = await r.create(
            "summary", input="b", previous_response_id=first.id, context_management=WANTED
        )
        other = Sealer(lambda: (b"another key, of thirty-two bytes",))
        r.runs.fitting = msgspec.structs.replace(r.runs.fitting, seals=other)
        with pytest.raises(ClientError, match="compacted") as refusal:
            await r.create("summary", input="c", previous_response_id=made.id)
        assert refusal.value.code == "invalid_encrypted_content"
        assert (await r.create("summary", input="c", previous_response_id=first.id)).output


@pytest.mark.requirement("compaction:failure")
async def test_without_a_summary_the_response_goes_on() -> None:
    async with rig() as r:
        first = await r.create("summary", input=LONG)
        said: Any = {"previous_response_id": first.id, "context_management": WANTED}
        made = await r.create("flaky-1", input="hi", **said)
        assert made.status == "completed"
        assert [type(item).__name__ for item in made.output] == ["OutputMessage"]
        with pytest.raises(RemoteError):
            await r.create("error-500", input="hi", **said)
        empty = await r.create("empty", input="hi", **said)
        assert empty.status == "completed" and not any(
            isinstance(item, Compaction) for item in empty.output
        )


@pytest.mark.requirement("compaction:failure:overflow")
async def test_a_conversation_that_outgrew_the_window_is_summed_up_from_its_newer_part() -> None:
    async with rig() as r:
        parent = None
        for number in range(6):
            said = f"part {number} " + "word " * 300
            turn = await r.create("echo", input=said, previous_response_id=parent)
            parent = turn.id
        made = await r.create(
            "overflow-9000", input="end", previous_response_id=parent, context_management=WANTED
        )
        assert made.status == "completed", made.error
        assert isinstance(made.output[0], Compaction)


@pytest.mark.requirement("compaction:resumed")
async def test_who_takes_a_response_over_does_not_compact_it_again() -> None:
    async with rig() as r:
        first = await r.create("summary", input=LONG)
        body: Any = {"model": "scripted/summary", "input": "b", "stream": True}
        body |= {"previous_response_id": first.id, "context_management": WANTED}
        asked = decode_create(msgspec.json.encode(body))
        run = Run(await r.runs.resolve(asked, PROJECT, "openai"))
        log = run.begin()
        log += run.feed([Text("A summary."), Finish("stop")])
        assert not run.compacting and run.step is not None
        again = Run(await r.runs.resolve(asked, PROJECT, "openai"))
        again.context.response.id = run.response.id
        assert again.compacting
        again.resume(log)
        assert not again.compacting and again.step is not None
        assert list(again.step.turn.items) == list(run.step.turn.items)
        events = again.feed([Text("An answer."), Finish("stop")])
        assert events[0].sequence_number == len(log)
        made, said = again.response.output
        assert isinstance(made, Compaction) and said.content[0].text == "An answer."  # type: ignore[union-attr]


@pytest.mark.requirement("compaction:cancel")
async def test_leaving_during_the_summary_cancels() -> None:
    async with rig() as r:
        first = await r.create("summary", input=LONG)
        live = await r.start(
            "endless",
            input="x",
            previous_response_id=first.id,
            context_management=WANTED,
            stream=True,
        )
        async for _ in live.groups():
            break
        await r.runs.close()
        assert (await r.retrieve(live.response.id))["status"] == "cancelled"


@pytest.mark.requirement("compaction:sealed")
async def test_a_compaction_without_content_is_refused_and_not_overlooked() -> None:
    async with rig() as r:
        empty = {"type": "compaction", "encrypted_content": ""}
        first = await r.create("summary", input="alpha")
        for parent in (None, first.id):
            with pytest.raises(ClientError) as refusal:
                said = [{"role": "user", "content": "a"}, empty, {"role": "user", "content": "b"}]
                await r.create("summary", input=said, previous_response_id=parent)
            assert refusal.value.code == "invalid_encrypted_content"
            assert refusal.value.param == "input[1].encrypted_content"


UNFIT: list[tuple[dict[str, Any], str]] = [
    ({"type": "function_call_output", "call_id": "call_x", "output": "y"}, "call_id"),
    (
        {"role": "user", "content": [{"type": "input_image", "image_url": "nowhere"}]},
        "content[0].image_url",
    ),
]


@pytest.mark.requirement("compaction:sealed")
async def test_what_is_refused_behind_a_compaction_is_named_by_its_place() -> None:
    async with rig() as r:
        said: list[dict[str, Any]] = [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "alpha"},
            {"type": "compaction_trigger"},
        ]
        (item,) = raw(await r.create("summary", input=said))
        changed = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "x"}
        for one, field in ((changed, "encrypted_content"), *UNFIT):
            said = [{"role": "user", "content": "a"}, item, {"role": "user", "content": "b"}, one]
            with pytest.raises(ClientError) as refusal:
                await r.create("rethink", input=said)
            assert refusal.value.param == f"input[3].{field}"


@pytest.mark.requirement("compaction:sealed")
async def test_what_is_refused_behind_items_sent_again_is_named_by_its_place() -> None:
    async with rig() as r:
        first = await r.create("rethink", input="alpha")
        again = raw(first)
        changed = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "x"}
        broken = {"type": "compaction", "encrypted_content": "x"}
        sealed = [(one, "encrypted_content") for one in (changed, broken)]
        for one, field in (*sealed, *UNFIT):
            with pytest.raises(ClientError) as refusal:
                await r.create("rethink", input=[*again, one], previous_response_id=first.id)
            assert refusal.value.param == f"input[{len(again)}].{field}"
