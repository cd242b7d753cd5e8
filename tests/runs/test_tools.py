"""Functions the server answers: the loop of model and calls, in the foreground and behind it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import msgspec
import pytest

from antiphon.backends.base import Turn
from antiphon.backends.scripted import Scripted
from antiphon.bus.local import LocalBus
from antiphon.config_state import BackgroundSettings
from antiphon.ids import now_ms
from antiphon.observe import Broke, ToolFinished
from antiphon.runs.background import Background
from antiphon.runs.rounds import NOT_AN_OBJECT, TOO_MANY, UNKNOWN
from antiphon.store.log_table import TableLog
from antiphon.store.runs import StoredRuns
from antiphon.stream.deltas import Delta
from antiphon.tools.base import INTERRUPTED, ToolFailed
from antiphon.types.codec import decode_create, encode
from antiphon.types.events import OutputItemDone
from antiphon.types.items import FunctionCall, FunctionCallOutput, Reasoning
from antiphon.types.response import Response
from tests.runs.rig import PROJECT, Rig, rig, text_of
from tests.tools.served import OURS, PARAMETERS, THEIRS, Served, Weather

pytestmark = pytest.mark.anyio


@pytest.fixture
def served() -> Served:
    return Served()


@pytest.fixture
async def house(served: Served) -> AsyncIterator[Rig]:
    async with rig(served.into, tool_rounds_max=4) as made:
        yield made


def kinds(response: Response) -> list[str]:
    return [str(item.__struct_config__.tag) for item in response.output]


def outputs(response: Response) -> list[Any]:
    return [item.output for item in response.output if isinstance(item, FunctionCallOutput)]


async def until(happened: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while True:
            if happened():
                return
            await asyncio.sleep(0.001)


@pytest.mark.requirement("tools:loop:answered")
@pytest.mark.parametrize("stream", [False, True])
async def test_the_server_calls_and_the_model_goes_on(
    house: Rig, served: Served, stream: bool
) -> None:
    response = await house.create("tool", tools=[OURS], stream=stream)
    assert response.status == "completed"
    assert kinds(response) == ["function_call", "function_call_output", "message"]
    call, output, _ = response.output
    assert isinstance(call, FunctionCall) and isinstance(output, FunctionCallOutput)
    assert output.call_id == call.call_id and str(output.id).startswith("fco_")
    assert (output.output, output.status) == ("sunny, call 1", "completed")
    assert text_of(response) == "The tool said: sunny, call 1"
    assert served.weather.asked == [('{"city":"Oslo"}', call.id)]
    (told,) = [seen for seen in house.seen if isinstance(seen, ToolFinished)]
    assert (told.name, told.outcome, told.response_id) == ("get_weather", "ok", response.id)


@pytest.mark.requirement("tools:loop:usage")
async def test_usage_is_summed_over_all_rounds(house: Rig) -> None:
    open_call = await house.create("tool", tools=[THEIRS])
    whole = await house.create("tool", tools=[OURS])
    assert open_call.usage is not None and whole.usage is not None
    assert whole.usage.input_tokens > open_call.usage.input_tokens
    assert whole.usage.output_tokens > open_call.usage.output_tokens


@pytest.mark.requirement("tools:loop:parallel")
async def test_calls_of_one_turn_run_side_by_side(house: Rig, served: Served) -> None:
    served.weather.wait = asyncio.Event()
    making = asyncio.create_task(house.create("tools-parallel", tools=[OURS]))
    await until(lambda: len(served.weather.asked) == 2)
    served.weather.wait.set()
    response = await making
    assert kinds(response) == [*["function_call"] * 2, *["function_call_output"] * 2, "message"]
    first, second, one, two, _ = response.output
    assert [one.call_id, two.call_id] == [first.call_id, second.call_id]  # type: ignore[union-attr]
    assert len({key for _, key in served.weather.asked}) == 2


async def test_calls_with_the_same_id_are_told_apart(house: Rig, served: Served) -> None:
    response = await house.create("tool-same-ids", tools=[OURS])
    assert len({item.call_id for item in response.output if isinstance(item, FunctionCall)}) == 2
    assert len(set(outputs(response))) == 2


@pytest.mark.requirement("tools:loop:one-call")
async def test_one_call_per_turn_if_the_caller_wants_that(house: Rig, served: Served) -> None:
    response = await house.create("tools-parallel", tools=[OURS], parallel_tool_calls=False)
    assert kinds(response) == ["function_call", "function_call_output", "message"]
    assert len(served.weather.asked) == 1


@pytest.mark.requirement("tools:loop:mixed")
async def test_the_callers_own_functions_stay_open(house: Rig, served: Served) -> None:
    response = await house.create("tools-parallel", tools=[OURS, THEIRS])
    assert response.status == "completed"
    assert kinds(response) == ["function_call", "function_call", "function_call_output"]
    ours, theirs, output = response.output
    assert isinstance(ours, FunctionCall) and isinstance(theirs, FunctionCall)
    assert isinstance(output, FunctionCallOutput) and output.call_id == ours.call_id
    assert theirs.name == THEIRS["name"]
    answer = {"type": "function_call_output", "call_id": theirs.call_id, "output": "they say so"}
    after = await house.create(
        "transcript", previous_response_id=response.id, input=[answer], tools=[OURS, THEIRS]
    )
    assert text_of(after).splitlines()[-2:] == ["result: sunny, call 1", "result: they say so"]
    assert len(served.weather.asked) == 1


@pytest.mark.requirement("tools:loop:chained")
async def test_the_next_turn_knows_calls_and_outputs(house: Rig) -> None:
    first = await house.create("reasoning-tool", tools=[OURS])
    assert kinds(first)[0] == "reasoning"
    for forgotten in (False, True):
        if forgotten:
            house.runs.memory.forget(PROJECT, first.id)
        second = await house.create("transcript", previous_response_id=first.id, input="And now?")
        assert text_of(second).splitlines() == [
            "user: hello big world",
            "thought: A tool will know.",
            'call get_weather: {"city":"Oslo"}',
            "result: sunny, call 1",
            "assistant: The tool said: sunny, call 1",
            "user: And now?",
        ]
    items = await house.items(second.id)
    assert [item["type"] for item in items] == [
        "message",
        "reasoning",
        "function_call",
        "function_call_output",
        "message",
        "message",
    ]


@pytest.mark.requirement("tools:loop:carried")
async def test_a_caller_may_carry_the_items_himself(house: Rig) -> None:
    first = await house.create("tool", tools=[OURS], store=False)
    said = [{"role": "user", "content": "Hi."}, *msgspec.json.decode(encode(first.output))]
    second = await house.create(
        "transcript", input=[*said, {"role": "user", "content": "So?"}], tools=[OURS]
    )
    assert "result: sunny, call 1" in text_of(second)


@pytest.mark.requirement("tools:loop:replay")
async def test_a_stored_response_is_spelled_again_with_its_outputs(house: Rig) -> None:
    for script in ("tool", "tools-parallel", "text-then-tool", "reasoning-tool"):
        events = await house.stream(script, tools=[OURS])
        again = await house.replay(events[0].response.id)  # type: ignore[attr-defined]
        assert [encode(event) for event in again] == [encode(event) for event in events]


@pytest.mark.requirement("tools:limit:calls")
async def test_calls_above_the_limit_are_not_made(house: Rig, served: Served) -> None:
    response = await house.create("tools-parallel", tools=[OURS], max_tool_calls=1)
    assert outputs(response) == ["sunny, call 1", TOO_MANY]
    assert response.status == "completed"
    assert len(served.weather.asked) == 1


@pytest.mark.requirement("tools:limit:rounds")
async def test_a_model_that_never_stops_calling_fails(house: Rig, served: Served) -> None:
    response = await house.create("endless-tools", tools=[OURS])
    assert response.status == "failed" and response.error is not None
    assert "tool_rounds_max" in response.error.message
    assert len(served.weather.asked) == 4
    assert kinds(response).count("function_call") == kinds(response).count("function_call_output")


@pytest.mark.requirement("tools:arguments:invalid")
async def test_arguments_that_are_no_object_are_not_sent(house: Rig, served: Served) -> None:
    response = await house.create("not-json-arguments", tools=[OURS])
    assert outputs(response) == [NOT_AN_OBJECT]
    assert response.status == "completed" and served.weather.asked == []


async def test_a_strict_function_gets_valid_arguments_only(house: Rig, served: Served) -> None:
    strict = {**OURS, "strict": True, "parameters": {**PARAMETERS, "additionalProperties": False}}
    response = await house.create("bad-arguments", tools=[strict])
    assert response.status == "completed"
    assert [arguments for arguments, _ in served.weather.asked] == ['{"city":"Oslo"}']


@pytest.mark.requirement("tools:failure:told")
async def test_the_model_hears_what_failed(house: Rig, served: Served) -> None:
    served.weather.fails = ToolFailed("The function get_weather answered with HTTP status 503.")
    response = await house.create("tool", tools=[OURS])
    assert outputs(response) == ["The function get_weather answered with HTTP status 503."]
    assert response.status == "completed"
    served.weather.fails = ValueError("a secret")
    response = await house.create("tool", tools=[OURS])
    assert outputs(response) == ["The function get_weather failed."]
    broken = [seen for seen in house.seen if isinstance(seen, Broke)]
    assert [seen.where for seen in broken] == ["tool"]
    assert [s.outcome for s in house.seen if isinstance(s, ToolFinished)] == ["failed", "failed"]


@pytest.mark.requirement("tools:settings:described")
async def test_what_a_tool_leaves_open_is_filled_in(house: Rig) -> None:
    bare = {"type": "function", "name": OURS["name"]}
    response = await house.create("tool", tools=[bare])
    (echoed,) = response.tools
    assert echoed.description == "Tells the weather."
    assert echoed.parameters == PARAMETERS
    own = {**bare, "description": "Mine.", "parameters": {"type": "object", "properties": {}}}
    (echoed,) = (await house.create("tool", tools=[own])).tools
    assert echoed.description == "Mine." and echoed.parameters["properties"] == {}


async def test_without_such_a_tool_the_server_answers_nothing(house: Rig, served: Served) -> None:
    response = await house.create("tool", tools=[THEIRS])
    assert kinds(response) == ["function_call"]
    custom = {"type": "custom", "name": OURS["name"]}
    assert kinds(await house.create("custom", tools=[custom])) == ["custom_tool_call"]
    assert served.weather.asked == []


@pytest.mark.requirement("tools:cancel")
async def test_who_leaves_stops_the_calls(house: Rig, served: Served) -> None:
    served.weather.wait = asyncio.Event()
    live = await house.start("tools-parallel", tools=[OURS], stream=True)
    groups = live.groups()
    async for group in groups:
        if any(isinstance(e, OutputItemDone) and e.output_index == 1 for e in group):
            break
    await until(lambda: len(served.weather.asked) == 2)
    await groups.aclose()  # type: ignore[attr-defined]
    await until(lambda: served.weather.stopped == 2)
    response = await house.retrieve(live.response.id)
    assert response["status"] == "cancelled"
    told = [item["output"] for item in response["output"] if "output" in item]
    assert told == [UNKNOWN, UNKNOWN]
    assert [s.outcome for s in house.seen if isinstance(s, ToolFinished)] == ["cancelled"] * 2
    after = await house.create("transcript", previous_response_id=live.response.id, input="Well?")
    assert text_of(after).count(UNKNOWN) == 2


async def test_a_slow_function_may_take_longer_than_a_model_call(served: Served) -> None:
    served.weather.wait = asyncio.Event()
    async with rig(served.into, turn_seconds_max=0.2) as house:
        making = asyncio.create_task(house.create("tool", tools=[OURS]))
        await asyncio.sleep(0.5)
        served.weather.wait.set()
        assert (await making).status == "completed"


class Seeing(Scripted):
    """Remembers what it was shown."""

    def __init__(self) -> None:
        super().__init__()
        self.turns: list[Turn] = []

    def stream(self, turn: Turn) -> AsyncIterator[Sequence[Delta]]:
        self.turns.append(turn)
        return super().stream(turn)


@pytest.mark.requirement("tools:loop:reasoning")
async def test_the_model_sees_its_own_thoughts_also_where_nobody_else_does(
    served: Served,
) -> None:
    async with rig(served.into, raw_reasoning="none") as house:
        seeing = Seeing()
        house.runs.backend = seeing
        sealed: dict[str, Any] = {"include": ["reasoning.encrypted_content"], "tools": [OURS]}
        response = await house.create("reasoning-tool", **sealed)
        assert isinstance(response.output[0], Reasoning)
        assert b"A tool will know." not in encode(response)
        (shown,) = [item for item in seeing.turns[-1].items if isinstance(item, Reasoning)]
        assert isinstance(shown.content, list)
        assert shown.content[0].text == "A tool will know."


@pytest.mark.requirement("tools:loop:compacted")
async def test_calls_after_a_compaction(house: Rig, served: Served) -> None:
    seeing = Seeing()
    house.runs.backend = seeing
    response = await house.create(
        "tool",
        tools=[OURS],
        input=[
            {"role": "user", "content": "My dog is Rex. " + "and so on " * 600},
            {"role": "assistant", "content": "Noted."},
            {"role": "user", "content": "What is it like?"},
        ],
        context_management=[{"type": "compaction", "compact_threshold": 1_000}],
    )
    assert kinds(response) == ["compaction", "function_call", "function_call_output", "message"]
    _, asked, after = seeing.turns
    assert list(after.items[: len(asked.items)]) == list(asked.items)
    assert [type(i) for i in after.items[len(asked.items) :]] == [FunctionCall, FunctionCallOutput]
    second = await house.create("transcript", previous_response_id=response.id, input="So?")
    assert "result: sunny, call 1" in text_of(second)


# In the background -----------------------------------------------------------------------


class Behind:
    """A rig with a background that claims nothing by itself before ``work``."""

    def __init__(self, house: Rig) -> None:
        self.house = house
        self.rows = StoredRuns(house.store, clock=now_ms)
        self.log = TableLog(house.store)
        self.queueing = self._background(0)
        self._working: list[Background] = []

    def _background(self, runs_max: int) -> Background:
        settings = BackgroundSettings(runs_max=runs_max)
        return Background(self.house.runs, self.rows, self.log, LocalBus(), settings)

    async def queue(self, script: str, **more: Any) -> str:
        asked = {"model": f"scripted/{script}", "input": "Hi.", "background": True, **more}
        asked.setdefault("tools", [OURS])
        made = await self.queueing.create(decode_create(encode(asked)), project=PROJECT)
        return made.response_id

    async def work(self) -> Background:
        working = self._background(8)
        self._working.append(working)
        await working.open()
        return working

    async def ended(self, response_id: str) -> dict[str, Any]:
        async with asyncio.timeout(5):
            while True:
                state = await self.rows.load(PROJECT, response_id)
                assert state is not None
                if state.over:
                    return await self.house.retrieve(response_id)
                await asyncio.sleep(0.01)

    async def close(self) -> None:
        for working in self._working:
            await working.close()


@pytest.fixture
async def behind(house: Rig) -> AsyncIterator[Behind]:
    made = Behind(house)
    yield made
    await made.close()


async def died(behind: Behind, working: Background) -> None:
    """What is left when a process dies: nothing of it is given back, nothing more is written."""
    claims = [held.claim for held in working.maker._held.values()]
    for held in list(working.maker._held.values()):
        working.maker._lose(held)
    await working.close()
    await behind.rows.release(claims, failed=True)


def answers(response: dict[str, Any]) -> list[str]:
    return [item["output"] for item in response["output"] if "output" in item]


@pytest.mark.requirement("tools:background")
async def test_a_background_response_has_its_calls_in_its_log(behind: Behind) -> None:
    await behind.work()
    response = await behind.ended(await behind.queue("tools-parallel", stream=True))
    assert [item["type"] for item in response["output"]] == [
        *["function_call"] * 2,
        *["function_call_output"] * 2,
        "message",
    ]
    events: list[Any] = []
    tail = await behind.queueing.events(PROJECT, response["id"])
    assert tail is not None
    async for group in tail:
        events += group
    done = [event.item for event in events if isinstance(event, OutputItemDone)]
    assert msgspec.json.decode(encode(done)) == response["output"]


@pytest.mark.requirement("tools:takeover:repeatable")
@pytest.mark.parametrize("again", [True, False], ids=["repeatable", "not repeatable"])
@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "not streamed"])
async def test_a_call_nobody_heard_the_end_of(
    behind: Behind, served: Served, again: bool, stream: bool
) -> None:
    weather = served.weather
    weather.again = again
    weather.wait = asyncio.Event()
    response_id = await behind.queue("tool", stream=stream)
    first = await behind.work()
    await until(lambda: len(weather.asked) == 1)
    (chunk,) = await behind.log.read(PROJECT, response_id)
    assert b'"function_call"' in chunk.events  # known before it is made
    await died(behind, first)
    weather.wait.set()
    await behind.work()
    response = await behind.ended(response_id)
    assert response["status"] == "completed"
    assert answers(response) == (["sunny, call 2"] if again else [INTERRUPTED])
    assert len(weather.asked) == (2 if again else 1)
    assert len({key for _, key in weather.asked}) == 1
    told = [s.outcome for s in behind.house.seen if isinstance(s, ToolFinished)]
    assert told[-1] == ("ok" if again else "interrupted")


@pytest.mark.requirement("tools:takeover:done")
async def test_a_call_that_ended_is_not_made_again(behind: Behind, served: Served) -> None:
    class Slower(Weather):
        """The second call of a turn takes its time."""

        async def call(self, arguments: str, *, key: str) -> str:
            if self.asked:
                self.wait = asyncio.Event()
            return await super().call(arguments, key=key)

    slower = Slower()
    behind.house.runs.functions = {slower.name: slower}
    response_id = await behind.queue("tools-parallel")
    first = await behind.work()
    await until(lambda: len(slower.asked) == 2)
    async with asyncio.timeout(5):
        while True:
            if any(step.done for step in await steps(behind)):
                break
            await asyncio.sleep(0.005)
    await died(behind, first)
    behind.house.runs.functions = served.all
    await behind.work()
    response = await behind.ended(response_id)
    assert answers(response) == ["sunny, call 1", INTERRUPTED]
    assert served.weather.asked == []


async def steps(behind: Behind) -> Sequence[Any]:
    working = behind._working[-1]
    found: list[Any] = []
    for held in list(working.maker._held.values()):
        found += await behind.rows.steps(held.claim)
    return found


@pytest.mark.requirement("tools:takeover:usage")
async def test_usage_of_turns_before_a_takeover_counts(behind: Behind, served: Served) -> None:
    served.weather.again = True
    await behind.work()
    whole = await behind.ended(await behind.queue("text-then-tool"))
    await behind.close()
    served.weather.wait = asyncio.Event()
    response_id = await behind.queue("text-then-tool")
    first = await behind.work()
    await until(lambda: len(served.weather.asked) == 2)
    shown = await behind.queueing.snapshot(PROJECT, response_id)
    assert shown is not None and b'"usage":null' in shown[0]
    await died(behind, first)
    served.weather.wait.set()
    await behind.work()
    response = await behind.ended(response_id)
    assert response["usage"] == whole["usage"]


@pytest.mark.requirement("tools:takeover:fenced")
async def test_who_has_lost_the_response_says_nothing_more(behind: Behind, served: Served) -> None:
    weather = served.weather
    weather.again = True
    weather.wait = asyncio.Event()
    response_id = await behind.queue("tool")
    first = await behind.work()
    await until(lambda: len(weather.asked) == 1)
    claims = [held.claim for held in first.maker._held.values()]
    await behind.rows.release(claims)  # as if its lease had run out
    await behind.work()
    await until(lambda: len(weather.asked) == 2)
    weather.wait.set()
    response = await behind.ended(response_id)
    assert response["status"] == "completed" and len(answers(response)) == 1
    assert not [seen for seen in behind.house.seen if isinstance(seen, Broke)]


async def test_a_response_claimed_too_often_fails_with_all_its_calls_answered(
    behind: Behind, served: Served
) -> None:
    served.weather.wait = asyncio.Event()
    response_id = await behind.queue("tool")
    first = await behind.work()
    await until(lambda: len(served.weather.asked) == 1)
    await died(behind, first)
    for _ in range(5):
        claimed = await behind.rows.claim("somebody who dies", 1)
        await behind.rows.release([run.claim for run in claimed], failed=True)
    await behind.work()
    response = await behind.ended(response_id)
    assert response["status"] == "failed"
    assert answers(response) == [UNKNOWN]


async def test_cancelling_stops_a_call(behind: Behind, served: Served) -> None:
    served.weather.wait = asyncio.Event()
    response_id = await behind.queue("tool")
    working = await behind.work()
    await until(lambda: len(served.weather.asked) == 1)
    assert await working.cancel(PROJECT, response_id)
    response = await behind.ended(response_id)
    assert (response["status"], answers(response)) == ("cancelled", [UNKNOWN])
    assert served.weather.stopped == 1


async def test_no_step_is_written_for_a_response_somebody_waits_for(house: Rig) -> None:
    context = await house.runs.resolve(
        decode_create(encode({"model": "scripted/tool", "input": "Hi.", "tools": [OURS]})),
        PROJECT,
        "openai",
    )
    assert context.steps is None and list(context.served) == [OURS["name"]]
