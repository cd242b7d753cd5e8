"""A response that goes on where its log ends: whatever the log holds, and wherever it was cut."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from antiphon.backends.scripted import Scripted
from antiphon.errors import LocalProtocolError
from antiphon.ids import counted
from antiphon.runs.context import Begun, Context
from antiphon.runs.run import Run
from antiphon.stream.deltas import Delta
from antiphon.stream.fold import fold
from antiphon.stream.gate import Gate
from antiphon.stream.replay import replay
from antiphon.stream.resume import logged, opened
from antiphon.types.codec import decode_create, encode
from antiphon.types.events import TERMINAL_EVENTS, Event, OutputItemAdded
from tests.runs.rig import PROJECT, Rig, rig

pytestmark = pytest.mark.anyio

TOOL: dict[str, Any] = {
    "type": "function",
    "name": "get_weather",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
        "additionalProperties": False,
    },
    "strict": False,
}
SCRIPTS = (
    "echo",
    "reasoning",
    "refusal",
    "cited",
    "unicode",
    "logprobs",
    "empty",
    "tool",
    "tools-parallel",
    "tools-interleaved",
    "text-then-tool",
    "reasoning-tool",
    "custom",
    "length",
    "length-in-call",
    "length-in-reasoning",
)


def body(script: str) -> dict[str, Any]:
    asked: dict[str, Any] = {
        "model": f"scripted/{script}",
        "input": "hello big world",
        "background": True,
        "stream": True,
        "tools": [TOOL, {"type": "custom", "name": "shell"}],
    }
    if script == "logprobs":
        asked["include"] = ["message.output_text.logprobs"]
    return asked


async def resolved(house: Rig, script: str, begun: Begun | None = None) -> Context:
    asked = decode_create(msgspec.json.encode(body(script)))
    return await house.runs.resolve(asked, PROJECT, "openai", begun=begun)


async def batches_of(context: Context) -> list[Sequence[Delta]]:
    return [batch async for batch in Scripted().stream(context.turn)]


def fed(run: Run, batches: Sequence[Sequence[Delta]]) -> list[list[Event]]:
    """The groups of events; the last batch ends the run."""
    return [run.feed(batch) for batch in batches if not run.over]


def ids_in(events: Sequence[Event]) -> list[str]:
    added = [event.item for event in events if isinstance(event, OutputItemAdded)]
    return [str(item.id) for item in added] + [getattr(item, "call_id", "") for item in added]


def lines(events: Sequence[Event]) -> list[bytes]:
    return [encode(event) for event in events]


@pytest.mark.requirement("background:takeover:any-cut")
@pytest.mark.parametrize("script", SCRIPTS)
async def test_wherever_a_log_ends_the_response_goes_on_to_one_legal_whole(script: str) -> None:
    async with rig() as house:
        context = await resolved(house, script)
        batches = await batches_of(context)
        first = Run(context)
        groups = [first.resume([]), *fed(first, batches)]
        response_id = first.response.id
        for cut in range(1, len(groups) + 1):
            log = opened(logged([event for group in groups[:cut] for event in group]))
            last_id = counted(response_id, ids_in(log))
            begun = Begun(response_id, context.started_ms, last_id)
            run = Run(await resolved(house, script, begun))
            rest = run.resume(log)
            rest += [event for group in fed(run, batches) for event in group]
            events = [*log, *rest, *run.conclude()]
            assert [event.sequence_number for event in events] == list(range(len(events)))
            assert isinstance(events[-1], TERMINAL_EVENTS)
            assert encode(fold(events)) == encode(run.response)
            named = [name for name in ids_in(events) if name]
            assert len(set(named)) == len(named)
            assert lines(replay(run.response, run.cuts)) == lines(events)


@pytest.mark.requirement("background:takeover:cut-item")
async def test_the_open_item_is_closed_as_incomplete_and_the_turn_is_asked_again() -> None:
    async with rig() as house:
        context = await resolved(house, "echo")
        batches = await batches_of(context)
        first = Run(context)
        log = first.resume([]) + first.feed(batches[0])
        run = Run(await resolved(house, "echo", Begun(first.response.id, 0, 1)))
        closing = run.resume(log)
        assert [type(event).__name__ for event in closing] == [
            "OutputTextDone",
            "ContentPartDone",
            "OutputItemDone",
        ]
        fed(run, batches)
        cut, whole = run.response.output
        assert [i.status for i in (cut, whole)] == ["incomplete", "completed"]  # type: ignore[union-attr]
        assert whole.content[0].text == "hello big world"  # type: ignore[union-attr, index]
        assert run.step is None and run.response.status == "completed"


@pytest.mark.requirement("background:takeover:calls-once")
async def test_a_call_the_caller_was_told_of_is_not_made_twice() -> None:
    async with rig() as house:
        context = await resolved(house, "tools-parallel")
        first = Run(context)
        groups = [first.resume([]), *fed(first, await batches_of(context))]
        log = [event for group in groups for event in group]
        for cut in range(len(groups)):
            log = [event for group in groups[: cut + 1] for event in group]
            run = Run(await resolved(house, "tools-parallel", Begun(first.response.id, 0, 9)))
            run.resume(log)
            told = [i for i in run.response.output if getattr(i, "status", "") == "completed"]
            assert run.over is bool(told)


def test_a_log_with_a_gap_is_refused() -> None:
    response = opened(
        b'{"type":"response.created","sequence_number":1,"response":{"id":"resp_1",'
        b'"created_at":1,"model":"m","reasoning":{},"text":{}}}\n'
    )
    with pytest.raises(LocalProtocolError, match="the log has 1 where 0 is next"):
        Gate(response[0].response).again(response)  # type: ignore[attr-defined]
