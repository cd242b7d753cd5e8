"""A response that searches for tools, taken over wherever its log ends."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from antiphon.backends.scripted import Scripted
from antiphon.ids import counted
from antiphon.runs.compacting import CallModel
from antiphon.runs.context import Begun, Context
from antiphon.runs.rounds import CallTools
from antiphon.runs.run import Run
from antiphon.stream.resume import logged, opened
from antiphon.types.codec import decode_create, encode
from antiphon.types.events import Event, OutputItemAdded
from tests.runs.rig import PROJECT, Rig, rig
from tests.runs.test_mcp import free, plain
from tests.runs.test_mcp import served as server
from tests.runs.test_tools import Seeing
from tests.tools.mcp_servers import Desk
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


@pytest.mark.requirement("offering:search:mcp")
async def test_deferred_tools_of_a_server_are_found_called_and_stay() -> None:
    desk = Desk("echo", "note")
    async with server(desk) as house:
        tools = [{"type": "tool_search"}, free(desk, defer_loading=True)]
        made = await house.create("search-tools", input="echo", tools=tools)
        assert made.status == "completed", made.error
        kinds = [item["type"] for item in plain(made)]
        assert kinds == [
            "mcp_list_tools",
            "tool_search_call",
            "tool_search_output",
            "mcp_call",
            "message",
        ]
        (found,) = plain(made)[2]["tools"]
        assert (found["type"], found["server_label"]) == ("mcp", "desk")
        assert found["allowed_tools"] == ["echo"] and "headers" not in found
        seeing = Seeing()
        house.runs.backend = seeing
        chained = {"previous_response_id": made.id, "input": "again"}
        await house.create("echo", tools=tools, **chained)
        assert [tool.name for tool in seeing.turns[-1].tools] == ["tool_search", "desk__echo"]
        about = str(seeing.turns[-1].tools[0].description)
        assert "2 tools in the MCP server 'desk'" in about
        await house.create("echo", **chained)
        assert list(seeing.turns[-1].tools) == []


@pytest.mark.requirement("offering:search:mcp")
async def test_without_a_search_the_tools_of_a_server_are_loaded_at_once() -> None:
    desk = Desk("echo")
    async with server(desk) as house:
        live = await house.start("tool", tools=[free(desk, defer_loading=True)])
        made = await live.finish()
        assert "mcp_call" in [item["type"] for item in plain(made)]
        assert live.downgrades == ["tools[0].defer_loading"]


@pytest.mark.requirement("offering:choice:once")
@pytest.mark.parametrize("name", [None, "echo"])
async def test_a_server_that_must_be_asked_is_asked_first_and_not_for_ever(name: Any) -> None:
    desk = Desk("echo")
    async with server(desk) as house:
        other = {**OURS, "name": "other"}
        choice = {"type": "mcp", "server_label": "desk"} | ({"name": name} if name else {})
        tools = [other, free(desk)]
        made = await house.create("each-tool", tools=tools, tool_choice=choice)
        kinds = [item["type"] for item in plain(made)]
        assert kinds == ["mcp_list_tools", "mcp_call", "function_call"]
        assert made.tool_choice.server_label == "desk"
