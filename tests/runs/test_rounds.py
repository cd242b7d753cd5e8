"""The rounds of a run by hand: no driver, no function; answers in any order, logs cut anywhere."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from antiphon.backends.scripted import Scripted
from antiphon.errors import LocalProtocolError, RemoteError
from antiphon.ids import counted
from antiphon.runs.compacting import CallModel
from antiphon.runs.context import Begun, Context
from antiphon.runs.rounds import (
    NOT_AN_OBJECT,
    TOO_MANY,
    UNKNOWN,
    UNMADE,
    CallTools,
)
from antiphon.runs.run import Run
from antiphon.stream.deltas import CallArguments, CallStart, Delta, Finish, Text
from antiphon.stream.fold import fold
from antiphon.stream.replay import replay
from antiphon.stream.resume import logged, opened
from antiphon.types.codec import decode_create, encode
from antiphon.types.events import TERMINAL_EVENTS, Event, OutputItemAdded
from antiphon.types.items import FunctionCall, FunctionCallOutput, OutputMessage
from tests.runs.rig import PROJECT, Rig, rig, text_of
from tests.tools.served import OURS, THEIRS, Served

pytestmark = pytest.mark.anyio


def body(script: str, **more: Any) -> dict[str, Any]:
    return {
        "model": f"scripted/{script}",
        "input": "hello big world",
        "stream": True,
        "tools": [OURS],
        **more,
    }


async def resolved(house: Rig, script: str, begun: Begun | None = None, **more: Any) -> Context:
    asked = decode_create(msgspec.json.encode(body(script, **more)))
    return await house.runs.resolve(asked, PROJECT, "openai", begun=begun)


async def taken(run: Run, answer: Callable[[FunctionCall], str]) -> list[list[Event]]:
    """The groups of events from now to the end: the scripted model, and these answers."""
    groups: list[list[Event]] = []
    while not run.over:
        match run.step:
            case CallModel(turn=turn):
                step = run.step
                async for batch in Scripted().stream(turn):
                    groups.append(run.feed(batch))
                    if run.step is not step:
                        break
            case CallTools(calls=calls):
                groups += [run.answered({call.call_id: answer(call)}) for call in calls]
    return groups


def ids_in(events: Sequence[Event]) -> list[str]:
    added = [event.item for event in events if isinstance(event, OutputItemAdded)]
    own = [str(item.id) for item in added]
    return own + [i.call_id for i in added if isinstance(i, FunctionCall)]


def lines(events: Sequence[Event]) -> list[bytes]:
    return [encode(event) for event in events]


def check(run: Run, events: list[Event]) -> None:
    """One legal whole, and the same when it is read again."""
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert isinstance(events[-1], TERMINAL_EVENTS)
    assert encode(fold(events)) == encode(run.response)
    assert len(set(ids_in(events))) == len(ids_in(events))
    assert lines(replay(run.response, run.cuts)) == lines(events)
    calls = [i for i in run.response.output if isinstance(i, FunctionCall)]
    ours = [c.call_id for c in calls if c.name == OURS["name"] and c.status == "completed"]
    answered = [i.call_id for i in run.response.output if isinstance(i, FunctionCallOutput)]
    assert answered == ours


ROUNDS = (
    "echo",
    "tool",
    "tools-parallel",
    "tools-interleaved",
    "tool-ids",
    "tool-same-ids",
    "text-then-tool",
    "reasoning-tool",
    "no-arguments",
    "not-json-arguments",
    "length-in-call",
)


@pytest.mark.requirement("tools:takeover:any-cut")
@pytest.mark.parametrize("script", ROUNDS)
async def test_wherever_a_log_ends_the_rounds_go_on_to_one_legal_whole(script: str) -> None:
    served = Served()
    async with rig(served.into) as house:
        context = await resolved(house, script, background=True)
        first = Run(context)
        groups = [first.resume([]), *(await taken(first, lambda call: f"first {call.call_id}"))]
        whole = first.response
        for cut in range(1, len(groups) + 1):
            log = opened(logged([event for group in groups[:cut] for event in group]))
            begun = Begun(whole.id, context.started_ms, counted(whole.id, ids_in(log)))
            run = Run(await resolved(house, script, begun, background=True))
            events = [*log, *run.resume(log)]
            for group in await taken(run, lambda call: f"second {call.call_id}"):
                events += group
            check(run, [*events, *run.conclude()])
            told = [e.item for e in log if isinstance(e, OutputItemAdded)]
            kept = {i.call_id for i in told if isinstance(i, FunctionCallOutput)}
            for item in run.response.output:
                if isinstance(item, FunctionCallOutput) and "first" in str(item.output):
                    assert item.call_id in kept


@pytest.mark.requirement("tools:takeover:answered")
async def test_what_was_called_is_answered_and_not_asked_for_again() -> None:
    served = Served()
    async with rig(served.into) as house:
        context = await resolved(house, "tools-parallel", background=True)
        first = Run(context)
        log = first.resume([])
        async for batch in Scripted().stream(context.turn):
            log += first.feed(batch)
        step = first.step
        assert isinstance(step, CallTools)
        one, two = step.calls

        heir = Run(await resolved(house, "tools-parallel", Begun(first.response.id, 0, 9)))
        assert heir.resume(log) == []
        assert heir.step == step

        log += first.answered({one.call_id: "done"})
        heir = Run(await resolved(house, "tools-parallel", Begun(first.response.id, 0, 9)))
        assert heir.resume(log) == []
        assert heir.step == CallTools((two,))

        log += first.answered({two.call_id: "done too"})
        heir = Run(await resolved(house, "tools-parallel", Begun(first.response.id, 0, 9)))
        assert heir.resume(log) == []
        assert isinstance(heir.step, CallModel) and isinstance(first.step, CallModel)
        assert encode(heir.step.turn.items[-4:]) == encode(first.step.turn.items[-4:])


@pytest.mark.requirement("tools:outputs:order")
async def test_an_output_is_told_as_soon_as_those_before_it_are() -> None:
    served = Served()
    async with rig(served.into) as house:
        run = Run(await resolved(house, "tools-parallel"))
        run.begin()
        async for batch in Scripted().stream(run.context.turn):
            run.feed(batch)
        assert isinstance(run.step, CallTools)
        one, two = run.step.calls
        assert run.answered({two.call_id: "second"}) == []
        told = run.answered({one.call_id: "first"})
        items = [e.item for e in told if isinstance(e, OutputItemAdded)]
        assert [i.call_id for i in items] == [one.call_id, two.call_id]  # type: ignore[union-attr]
        assert all(i.status == "in_progress" and i.output == "" for i in items)  # type: ignore[union-attr]
        with pytest.raises(LocalProtocolError):
            run.answered({one.call_id: "again"})


KINDS = ("ours", "theirs", "broken")


@pytest.mark.requirement("tools:outputs:any-order")
@settings(max_examples=60, deadline=None)
@given(st.data())
def test_whatever_is_called_and_in_whatever_order_answers_come(data: st.DataObject) -> None:
    asyncio.run(_any_order(data))


async def _any_order(data: st.DataObject) -> None:
    served = Served()
    kinds = data.draw(st.lists(st.sampled_from(KINDS), min_size=1, max_size=5))
    limit = data.draw(st.none() | st.integers(1, 4))
    async with rig(served.into) as house:
        more: dict[str, Any] = {"tools": [OURS, THEIRS], "max_tool_calls": limit}
        context = await resolved(house, "echo", background=True, **more)
        run = Run(context)
        groups = [run.resume([])]
        groups += [run.feed(batch) for batch in turn_of(kinds, data)]
        answers = await answered_somehow(run, data)
        groups += answers
        if not run.over:
            assert "theirs" not in kinds
            groups += await taken(run, str)
        check(run, [*(e for group in groups for e in group), *run.conclude()])
        outputs = [i for i in run.response.output if isinstance(i, FunctionCallOutput)]
        good = kinds.count("ours") if limit is None else min(limit, kinds.count("ours"))
        assert [i.output for i in outputs].count("made") == good
        assert [i.output for i in outputs].count(NOT_AN_OBJECT) == kinds.count("broken")
        assert [i.output for i in outputs].count(TOO_MANY) == kinds.count("ours") - good
        if "theirs" in kinds:
            assert run.response.status == "completed"
            assert not isinstance(run.response.output[-1], OutputMessage)

        cut = data.draw(st.integers(1, len(groups)))
        log = opened(logged([event for group in groups[:cut] for event in group]))
        begun = Begun(run.response.id, context.started_ms, counted(run.response.id, ids_in(log)))
        heir = Run(await resolved(house, "echo", begun, background=True, **more))
        events = [*log, *heir.resume(log)]
        for group in await taken(heir, lambda call: "made"):
            events += group
        check(heir, [*events, *heir.conclude()])
        if limit is not None:
            outputs = [i for i in heir.response.output if isinstance(i, FunctionCallOutput)]
            assert [i.output for i in outputs].count("made") <= limit


def turn_of(kinds: Sequence[str], data: st.DataObject) -> list[list[Delta]]:
    """A turn with such calls, cut into batches somehow."""
    deltas: list[Delta] = [Text("I will call.")] if data.draw(st.booleans()) else []
    for index, kind in enumerate(kinds):
        name = THEIRS["name"] if kind == "theirs" else OURS["name"]
        deltas.append(CallStart(index, "function", name, data.draw(st.sampled_from(("", "c")))))
        deltas.append(CallArguments(index, '{"ci' if kind == "broken" else '{"city": "Oslo"}'))
    deltas.append(Finish("calls"))
    cuts = sorted(data.draw(st.sets(st.integers(1, len(deltas)))) | {len(deltas)})
    return [deltas[begin:end] for begin, end in zip([0, *cuts], cuts, strict=False)]


async def answered_somehow(run: Run, data: st.DataObject) -> list[list[Event]]:
    """Answers in any order, some together."""
    groups: list[list[Event]] = []
    step = run.step
    if isinstance(step, CallTools):
        left = data.draw(st.permutations(step.calls))
        while left:
            count = data.draw(st.integers(1, len(left)))
            now, left = left[:count], left[count:]
            groups.append(run.answered({call.call_id: "made" for call in now}))
    return groups


@pytest.mark.requirement("tools:outputs:never-missing")
@pytest.mark.parametrize(
    "end",
    [
        pytest.param(lambda run: run.cancel(), id="cancelled"),
        pytest.param(lambda run: run.fail(RemoteError("gone")), id="failed"),
    ],
)
async def test_a_response_that_ends_before_its_calls_says_so(end: Callable[[Run], Any]) -> None:
    served = Served()
    async with rig(served.into) as house:
        run = Run(await resolved(house, "tools-parallel"))
        events = run.begin()
        async for batch in Scripted().stream(run.context.turn):
            events += run.feed(batch)
        assert isinstance(run.step, CallTools)
        events += run.answered({run.step.calls[1].call_id: "known"})
        events += end(run)
        outputs = [i.output for i in run.response.output if isinstance(i, FunctionCallOutput)]
        assert outputs == [UNKNOWN, "known"]
        assert encode(fold(events).output) == encode(run.response.output)


async def test_calls_of_a_turn_that_was_cut_are_not_made() -> None:
    served = Served()
    async with rig(served.into) as house:
        run = Run(await resolved(house, "echo"))
        run.begin()
        whole: list[Delta] = [CallStart(0, "function", OURS["name"], "a"), CallArguments(0, "{}")]
        cut: list[Delta] = [CallStart(1, "function", OURS["name"], "b"), CallArguments(1, '{"ci')]
        run.feed([*whole, *cut, Finish("length")])
        assert run.over and run.response.status == "incomplete"
        (output,) = [i for i in run.response.output if isinstance(i, FunctionCallOutput)]
        assert (output.call_id, output.output) == ("a", UNMADE)


@pytest.mark.requirement("tools:choice:once")
@pytest.mark.parametrize(
    "choice", ["required", {"type": "function", "name": OURS["name"]}], ids=["required", "named"]
)
async def test_a_call_that_was_demanded_is_demanded_once(choice: Any) -> None:
    served = Served()
    async with rig(served.into) as house:
        run = Run(await resolved(house, "tool", tool_choice=choice))
        run.begin()
        await taken(run, lambda call: "sunny")
        assert run.response.status == "completed"
        assert text_of(run.response) == "The tool said: sunny"
        assert run.context.turn.tool_choice == "auto"


@pytest.mark.requirement("tools:budget")
async def test_max_output_tokens_is_for_all_rounds_together() -> None:
    served = Served()
    async with rig(served.into) as house:
        run = Run(await resolved(house, "endless-tools", max_output_tokens=16))
        run.begin()
        await taken(run, lambda call: "sunny")
        assert run.response.status == "incomplete"
        assert run.response.incomplete_details is not None
        assert run.response.incomplete_details.reason == "max_output_tokens"
        assert run.response.usage is not None
        assert run.response.usage.output_tokens <= 16
        assert encode(run.response.output).count(b'"function_call_output"') > 1


def test_nothing_is_said_of_calls_to_somebody_else() -> None:
    async def main() -> Mapping[str, Any]:
        async with rig() as house:
            return (await resolved(house, "tool")).served

    assert asyncio.run(main()) == {}
