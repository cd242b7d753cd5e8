"""Turns that call tools of every kind at once: each call is answered, wherever a log ends."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from itertools import permutations
from typing import Any

import pytest

from antiphon.backends.base import Turn
from antiphon.backends.scripted import Scripted
from antiphon.ids import counted
from antiphon.runs.compacting import CallModel
from antiphon.runs.context import Begun, Context
from antiphon.runs.mcp_plan import Prepare
from antiphon.runs.rounds import CallTools
from antiphon.runs.run import Run
from antiphon.stream.deltas import CallArguments, CallStart, Delta, Finish, Text
from antiphon.stream.fold import fold
from antiphon.stream.replay import replay
from antiphon.stream.resume import logged, opened
from antiphon.types.codec import decode_create, encode
from antiphon.types.events import TERMINAL_EVENTS, Event
from antiphon.types.items import FunctionCall, FunctionCallOutput
from antiphon.types.response import Response
from antiphon.types.tool_items import McpCall, ShellCall, ToolSearchCall, ToolSearchOutput
from tests.runs.rig import PROJECT, Rig, rig
from tests.runs.test_mcp import free, kinds, plain, served, tool
from tests.runs.test_resume import ids_in, lines
from tests.tools.mcp_servers import Desk
from tests.tools.served import OURS, PARAMETERS, THEIRS, Served

pytestmark = pytest.mark.anyio

FOUND = {"type": "function", "name": "found", "parameters": PARAMETERS, "defer_loading": True}
TOOLS = [OURS, THEIRS, FOUND, {"type": "tool_search"}, {"type": "shell"}]
CALLS = {
    "mcp": ("desk__echo", '{"text": "a"}'),
    "ours": ("get_weather", '{"city": "Oslo"}'),
    "theirs": ("ask_user", '{"city": "Oslo"}'),
    "search": ("tool_search", '{"query": "found"}'),
    "asks": ("other__note", '{"text": "a"}'),
    "shell": ("shell", '{"commands": ["ls"]}'),
}
TURNS = [
    *permutations(("mcp", "ours", "theirs", "search"), 2),
    ("ours", "mcp", "ours"),
    ("mcp", "ours", "mcp"),
    ("theirs", "mcp", "ours"),
    ("shell", "mcp", "ours"),
    ("asks", "mcp", "ours"),
    ("ours", "search", "mcp", "theirs"),
    ("search", "mcp", "text", "ours"),
]
OPEN = {"theirs", "asks", "shell"}


def spelled(turn: Sequence[str], reason: Any = "calls") -> list[list[Delta]]:
    """Batches of a turn with these calls, each in two pieces."""
    batches: list[list[Delta]] = []
    for index, kind in enumerate(turn):
        if kind == "text":
            batches.append([Text("Wait.")])
            continue
        name, arguments = CALLS[kind]
        batches.append([CallStart(index, "function", name), CallArguments(index, arguments[:4])])
        batches.append([CallArguments(index, arguments[4:])])
    return [*batches, [Finish(reason)]]


class Says(Scripted):
    """Says these turns, one after the other, then that it is done; remembers what it was shown."""

    def __init__(self, *turns: list[list[Delta]]) -> None:
        super().__init__()
        self.turns = list(turns)
        self.shown: list[Turn] = []

    async def stream(self, turn: Turn) -> AsyncIterator[Sequence[Delta]]:
        self.shown.append(turn)
        for batch in self.turns.pop(0) if self.turns else [[Text("Done."), Finish("stop")]]:
            yield batch


def check_shown(turn: Turn) -> None:
    """What the model is shown has an output for each call."""
    calls = [i.call_id for i in turn.items if isinstance(i, FunctionCall | ToolSearchCall)]
    outputs = [
        i.call_id for i in turn.items if isinstance(i, FunctionCallOutput | ToolSearchOutput)
    ]
    assert sorted(map(str, calls)) == sorted(map(str, outputs))
    assert not any(isinstance(i, ShellCall) for i in turn.items)


def check_made(response: Response, turn: Sequence[str]) -> None:
    """Every call is there once; those of the server's are answered, not refused."""
    assert response.status == "completed"
    output = response.output
    wanted = [kind for kind in turn if kind != "text"]
    made = [i for i in output if isinstance(i, McpCall) and i.status == "completed"]
    assert len(made) == wanted.count("mcp")
    answers = [i for i in output if isinstance(i, FunctionCallOutput)]
    assert len(answers) == wanted.count("ours")
    assert all("sunny" in str(answer.output) for answer in answers)
    searched = [i for i in output if isinstance(i, ToolSearchOutput)]
    assert [i.status for i in searched] == ["completed"] * wanted.count("search")
    assert not any(getattr(i, "status", "") == "in_progress" for i in output)


@pytest.mark.requirement("tools:mixed:answered")
@pytest.mark.parametrize("turn", TURNS, ids="-".join)
async def test_calls_of_every_kind_in_one_turn_are_answered(turn: tuple[str, ...]) -> None:
    desk, other, functions = Desk("echo"), Desk("note"), Served()
    async with served(desk, other) as house:
        functions.into(house)
        model = house.runs.backend = Says(spelled(turn))
        response = await house.create("any", tools=[free(desk), tool(other, "other"), *TOOLS])
        check_made(response, turn)
        for shown in model.shown:
            check_shown(shown)
        assert len(model.shown) == (1 if OPEN & set(turn) else 2)


async def to_its_end(run: Run, turn: Sequence[str]) -> list[list[Event]]:
    """What a ``Live`` would do; the model says ``turn`` unless it was shown that it has."""
    groups = []
    while not run.over:
        match step := run.step:
            case Prepare(labels=labels):
                plan = run.context.mcp
                assert plan is not None
                groups.append(run.prepare())
                for label in labels:
                    groups.append(run.listed(label, await plan.sessions[label].tools()))
            case CallTools(calls=calls):
                for call in calls:
                    output = await run.context.served[call.name].call(call.arguments, key=call.key)
                    groups.append(run.answered({call.call_id: output}))
            case CallModel(turn=shown):
                check_shown(shown)
                said = any(isinstance(i, McpCall | FunctionCall) for i in shown.items)
                for batch in [[Text("Done."), Finish("stop")]] if said else spelled(turn):
                    groups.append(run.feed(batch))
                    if run.step is not step:
                        break
    return groups


async def context_of(house: Rig, body: dict[str, Any], begun: Begun | None = None) -> Context:
    return await house.runs.resolve(decode_create(encode(body)), PROJECT, "openai", begun=begun)


@pytest.mark.requirement("tools:mixed:any-cut")
@pytest.mark.parametrize(
    "turn", [turn for turn in TURNS if "mcp" in turn and "text" not in turn], ids="-".join
)
async def test_wherever_the_log_of_a_mixed_turn_ends_it_goes_on(turn: tuple[str, ...]) -> None:
    desk, other, functions = Desk("echo"), Desk("note"), Served()
    async with served(desk, other) as house:
        functions.into(house)
        body = {
            "model": "scripted/any",
            "input": "hello",
            "background": True,
            "stream": True,
            "tools": [free(desk), tool(other, "other"), *TOOLS],
        }
        context = await context_of(house, body)
        whole = Run(context)
        groups = [whole.resume([]), *await to_its_end(whole, turn)]
        for cut in range(1, len(groups) + 1):
            log = opened(logged([event for group in groups[:cut] for event in group]))
            used = counted(context.response.id, ids_in(log))
            begun = Begun(context.response.id, context.started_ms, used)
            run = Run(await context_of(house, body, begun))
            events = [*log, *run.resume(log)]
            for group in await to_its_end(run, turn):
                events += group
            events += run.conclude()
            assert [event.sequence_number for event in events] == list(range(len(events)))
            assert isinstance(events[-1], TERMINAL_EVENTS)
            assert encode(fold(events)) == encode(run.response)
            assert lines(replay(run.response, run.cuts)) == lines(events)


@pytest.mark.requirement("tools:mixed:takeover-choice")
async def test_a_call_that_was_demanded_is_not_demanded_again_by_who_takes_over() -> None:
    desk = Desk("echo")
    async with served(desk) as house:
        body = {
            "model": "scripted/any",
            "input": "hello",
            "background": True,
            "stream": True,
            "tools": [free(desk)],
            "tool_choice": "required",
        }
        context = await context_of(house, body)
        first = Run(context)
        log = [*first.resume([]), *first.prepare()]
        assert first.context.mcp is not None
        log += first.listed("desk", await first.context.mcp.sessions["desk"].tools())
        for batch in spelled(["mcp"]):
            log += first.feed(batch)
        begun = Begun(
            context.response.id, context.started_ms, counted(context.response.id, ids_in(log))
        )
        run = Run(await context_of(house, body, begun))
        run.resume(opened(logged(log)))
        assert isinstance(run.step, CallTools)
        (call,) = run.step.calls
        run.answered({call.call_id: "a"})
        assert isinstance(run.step, CallModel) and run.step.turn.tool_choice == "auto"
        run.feed([Text("Done."), Finish("stop")])
        assert run.over and kinds(run.response) == ["mcp_list_tools", "mcp_call", "message"]


@pytest.mark.requirement("tools:mixed:search-failed")
async def test_a_search_that_failed_is_shown_with_its_answer() -> None:
    async with rig() as house:
        model = house.runs.backend = Says(spelled(["search", "search"]))
        response = await house.create("any", tools=TOOLS[2:4], max_tool_calls=1)
        assert [one.get("status") for one in plain(response) if "tools" in one] == [
            "completed",
            "incomplete",
        ]
        assert kinds(response)[-1] == "message"
        check_shown(model.shown[-1])


@pytest.mark.requirement("tools:mixed:nonsense")
async def test_nonsense_after_a_call_of_the_servers_is_the_models_fault() -> None:
    desk, other = Desk("echo"), Desk("note")
    async with served(desk, other) as house:
        turn = spelled(["mcp"])[:-1]
        turn.append([CallStart(1, "function", "tool_search"), CallArguments(1, "nonsense")])
        house.runs.backend = Says([*turn, [Finish("calls")]])
        search = {"type": "tool_search", "execution": "client", "parameters": {"type": "object"}}
        response = await house.create("any", tools=[free(desk), search])
        assert response.status == "failed" and response.error is not None
        assert "arguments that say nothing" in response.error.message
        assert not any(one.get("status") == "in_progress" for one in plain(response))
