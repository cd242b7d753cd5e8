"""A response that searches for tools, taken over wherever its log ends."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from antiphon.backends.scripted import Scripted
from antiphon.ids import counted
from antiphon.runs.context import Begun, Context
from antiphon.runs.rounds import CallTools
from antiphon.runs.run import CallModel, Run
from antiphon.stream.resume import logged, opened
from antiphon.types.codec import decode_create, encode
from antiphon.types.events import Event, OutputItemAdded
from tests.runs.rig import PROJECT, Rig, rig
from tests.tools.served import OURS, Served

pytestmark = pytest.mark.anyio

BODY = {
    "model": "scripted/search-tools",
    "input": "weather",
    "stream": True,
    "background": True,
    "tools": [{"type": "tool_search"}, {**OURS, "defer_loading": True}],
}


async def resolved(house: Rig, begun: Begun | None = None) -> Context:
    asked = decode_create(msgspec.json.encode(BODY))
    return await house.runs.resolve(asked, PROJECT, "openai", begun=begun)


async def taken(run: Run) -> list[list[Event]]:
    """The groups of events from now to the end."""
    groups: list[list[Event]] = []
    while not run.over:
        step = run.step
        match step:
            case CallModel(turn=turn):
                async for batch in Scripted().stream(turn):
                    groups.append(run.feed(batch))
                    if run.step is not step:
                        break
            case CallTools(calls=calls):
                for call in calls:
                    output = await run.context.served[call.name].call(call.arguments, key=call.key)
                    groups.append(run.answered({call.call_id: output}))
    return groups


def ids_in(events: Sequence[Event]) -> list[str]:
    added: list[Any] = [event.item for event in events if isinstance(event, OutputItemAdded)]
    return [str(item.id) for item in added] + [
        str(item.call_id) for item in added if hasattr(item, "call_id")
    ]


def told(run: Run) -> list[tuple[str, Any, Any]]:
    """The output without its ids; what a first try had begun is left out."""
    items: list[dict[str, Any]] = msgspec.json.decode(encode(run.response))["output"]
    whole = [item for item in items if item["status"] == "completed"]
    return [(item["type"], item.get("arguments"), item.get("tools")) for item in whole]


@pytest.mark.requirement("offering:search:takeover")
async def test_wherever_a_log_ends_the_found_tools_are_there() -> None:
    served = Served()
    async with rig(served.into) as house:
        context = await resolved(house)
        first = Run(context)
        groups = [first.resume([]), *(await taken(first))]
        whole = first.response
        assert whole.status == "completed" and len(told(first)) == 5
        for cut in range(1, len(groups) + 1):
            log = opened(logged([event for group in groups[:cut] for event in group]))
            begun = Begun(whole.id, context.started_ms, counted(whole.id, ids_in(log)))
            run = Run(await resolved(house, begun))
            run.resume(log)
            await taken(run)
            assert run.response.status == "completed", cut
            assert [kind for kind, _, _ in told(run)] == [kind for kind, _, _ in told(first)], cut
            assert told(run)[:3] == told(first)[:3], cut
