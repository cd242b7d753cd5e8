"""MCP in background responses: secrets at rest, takeovers, nothing done twice."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest

from antiphon.backends.scripted import Scripted
from antiphon.errors import ClientError
from antiphon.ids import counted
from antiphon.runs.compacting import CallModel
from antiphon.runs.context import Begun, Context
from antiphon.runs.fitting import Fitting
from antiphon.runs.mcp_plan import Prepare
from antiphon.runs.rounds import CallTools
from antiphon.runs.run import Run
from antiphon.stream.fold import fold
from antiphon.stream.replay import replay
from antiphon.stream.resume import logged, opened
from antiphon.types.codec import decode_create, encode
from antiphon.types.events import TERMINAL_EVENTS, Event
from antiphon.types.response import Response
from tests.runs.rig import PROJECT, Rig
from tests.runs.test_mcp import free, kinds, plain, served, tool
from tests.runs.test_resume import ids_in, lines
from tests.runs.test_tools import Behind, died, until
from tests.tools.mcp_servers import Desk

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def behind(desk: Desk) -> AsyncIterator[Behind]:
    async with served(desk) as house:
        made = Behind(house)
        try:
            yield made
        finally:
            await made.close()


def types(response: dict[str, Any]) -> list[str]:
    return [item["type"] for item in response["output"]]


@pytest.mark.requirement("mcp:background:made")
@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "not streamed"])
async def test_a_background_response_lists_and_calls(stream: bool) -> None:
    desk = Desk("echo")
    async with behind(desk) as made:
        await made.work()
        id = await made.queue("tool", tools=[free(desk)], stream=stream)
        response = await made.ended(id)
        assert response["status"] == "completed"
        assert types(response) == ["mcp_list_tools", "mcp_call", "message"]
        assert desk.keys == [response["output"][1]["id"]]


@pytest.mark.requirement("mcp:secret:sealed_in_the_queue")
async def test_secrets_of_a_queued_request_are_sealed_and_still_used() -> None:
    desk = Desk("echo")
    async with behind(desk) as made:
        secret = free(desk, headers={"X-Key": "s3cret"}, authorization="s3cret")
        secret["server_url"] += "?token=s3cret"
        id = await made.queue("tool", tools=[secret], stream=True)
        request = await made.rows.load_request(PROJECT, id)
        assert request is not None and b"s3cret" not in request and b"/mcp" not in request
        state = await made.rows.load(PROJECT, id)
        assert state is not None and state.head is not None and b"s3cret" not in state.head
        await made.work()
        response = await made.ended(id)
        assert types(response) == ["mcp_list_tools", "mcp_call", "message"]
        assert all(one["x-key"] == "s3cret" for one in desk.headers)
        chunks = await made.log.read(PROJECT, id)
        assert chunks and all(b"s3cret" not in chunk.events for chunk in chunks)
        assert "s3cret" not in json.dumps(response)
        fitting = made.house.runs.fitting
        made.house.runs.fitting = Fitting(None, fitting.settings, fitting.estimator)
        with pytest.raises(ClientError) as refused:
            await made.queue("tool", tools=[secret])
        assert refused.value.param == "background"
        plain = await made.ended(await made.queue("tool", tools=[free(desk)]))
        assert types(plain) == ["mcp_list_tools", "mcp_call", "message"]


@pytest.mark.requirement("mcp:takeover:call")
@pytest.mark.parametrize("name", ["echo", "note"])
async def test_a_call_nobody_heard_the_end_of_is_made_again_only_if_it_reads(name: str) -> None:
    desk = Desk("slow" if name == "note" else name)
    desk.wait = asyncio.Event()
    desk.waits = ("echo", "slow")
    async with behind(desk) as made:
        id = await made.queue("tool", tools=[free(desk)], stream=True)
        first = await made.work()
        await until(lambda: len(desk.asked) == 1)
        await died(made, first)
        desk.wait.set()
        await made.work()
        response = await made.ended(id)
        assert response["status"] == "completed"
        assert types(response) == ["mcp_list_tools", "mcp_call", "message"]
        assert desk.lists == 1
        call = response["output"][1]
        if name == "echo":
            assert call["status"] == "completed" and len(desk.asked) == 2
            assert len(set(desk.keys)) == 1
        else:
            assert call["status"] == "failed" and len(desk.asked) == 1
            assert "stopped before its outcome" in json.dumps(call["error"])


@pytest.mark.requirement("mcp:takeover:approved")
async def test_an_approved_call_is_not_made_twice_by_who_takes_over() -> None:
    desk = Desk("note")
    async with behind(desk) as made:
        first = await made.house.create("tool", tools=[tool(desk)])
        desk.wait = asyncio.Event()
        more: dict[str, Any] = {
            "tools": [tool(desk)],
            "previous_response_id": first.id,
            "input": [
                {
                    "type": "mcp_approval_response",
                    "approval_request_id": plain(first)[1]["id"],
                    "approve": True,
                }
            ],
        }
        id = await made.queue("echo", **more)
        with pytest.raises(ClientError) as refused:
            await made.house.create("echo", **more)
        assert refused.value.code == "mcp_approval_already_used"
        working = await made.work()
        await until(lambda: len(desk.asked) == 1)
        await died(made, working)
        desk.wait.set()
        await made.work()
        response = await made.ended(id)
        assert types(response) == ["mcp_call", "message"]
        assert response["output"][0]["status"] == "failed" and len(desk.asked) == 1


@pytest.mark.requirement("mcp:takeover:list")
async def test_a_list_nobody_heard_is_asked_for_again() -> None:
    desk = Desk("echo")
    desk.holds_lists = asyncio.Event()
    async with behind(desk) as made:
        id = await made.queue("tool", tools=[free(desk)], stream=True)
        first = await made.work()
        await until(lambda: desk.lists == 1)
        await died(made, first)
        desk.holds_lists.set()
        await made.work()
        response = await made.ended(id)
        assert response["status"] == "completed"
        assert types(response)[-2:] == ["mcp_call", "message"]


@pytest.mark.requirement("mcp:background:cancelled")
async def test_cancelling_ends_a_list_and_a_call() -> None:
    desk = Desk("slow")
    desk.wait = asyncio.Event()
    desk.holds_lists = asyncio.Event()
    async with behind(desk) as made:
        working = await made.work()
        id = await made.queue("tool", tools=[free(desk)])
        await until(lambda: desk.lists == 1)
        assert await working.cancel(PROJECT, id)
        response = await made.ended(id)
        assert (response["status"], types(response)) == ("cancelled", ["mcp_list_tools"])
        assert response["output"][0]["error"]
        desk.holds_lists.set()
        id = await made.queue("tool", tools=[free(desk)])
        await until(lambda: len(desk.asked) == 1)
        assert await working.cancel(PROJECT, id)
        response = await made.ended(id)
        assert response["status"] == "cancelled"
        assert response["output"][1]["status"] == "incomplete"
        desk.wait.set()


@pytest.mark.requirement("mcp:approval:unused")
async def test_an_approval_whose_call_was_never_begun_may_be_used_again() -> None:
    desk = Desk("note")
    async with behind(desk) as made:
        first = await made.house.create("tool", tools=[tool(desk)])
        answer = {
            "type": "mcp_approval_response",
            "approval_request_id": plain(first)[1]["id"],
            "approve": True,
        }
        said = [{"role": "user", "content": "Note it."}, plain(first)[1], answer]
        more: dict[str, Any] = {"tools": [tool(desk)], "input": said}
        desk.holds_lists = asyncio.Event()
        working = await made.work()
        id = await made.queue("echo", **more)
        await until(lambda: desk.lists == 2)
        with pytest.raises(ClientError):
            await made.house.create("echo", **more)
        assert await working.cancel(PROJECT, id)
        assert (await made.ended(id))["status"] == "cancelled" and desk.asked == []
        desk.holds_lists.set()
        response = await made.house.create("echo", **more)
        assert kinds(response) == ["mcp_list_tools", "mcp_call", "message"]
        assert len(desk.asked) == 1


# Wherever a log is cut ----------------------------------------------------------------------


async def context_of(house: Rig, body: dict[str, Any], begun: Begun | None = None) -> Context:
    asked = decode_create(msgspec.json.encode(body))
    return await house.runs.resolve(asked, PROJECT, "openai", begun=begun)


async def made_to_its_end(run: Run) -> list[list[Event]]:
    """What a ``Live`` would do, step by step; the groups of events."""
    groups = []
    while not run.over:
        plan = run.context.mcp
        match run.step:
            case Prepare(labels=labels):
                assert plan is not None
                groups.append(run.prepare())
                for label in labels:
                    groups.append(run.listed(label, await plan.sessions[label].tools()))
            case CallTools(calls=calls):
                for call in calls:
                    tool = run.context.served[call.name]
                    output = await tool.call(call.arguments, key=call.key)
                    groups.append(run.answered({call.call_id: output}))
            case CallModel(turn=turn):
                async for batch in Scripted().stream(turn):
                    groups.append(run.feed(batch))
    return groups


def answered(response: Response) -> int:
    """How many calls were made; one the model was cut in is none."""
    return sum(one.get("status") == "completed" for one in plain(response) if "error" in one)


@pytest.mark.requirement("mcp:takeover:any_cut")
@pytest.mark.parametrize("script", ["tool", "tools-parallel", "text-then-tool", "approved"])
async def test_wherever_a_log_ends_the_response_goes_on_to_one_legal_whole(script: str) -> None:
    desk = Desk("echo")
    async with served(desk) as house:
        body: dict[str, Any] = {
            "model": f"scripted/{script}",
            "input": "hello big world",
            "background": True,
            "stream": True,
            "tools": [free(desk)],
        }
        if script == "approved":
            first = await house.create("tool", tools=[tool(desk)])
            answer = {
                "type": "mcp_approval_response",
                "approval_request_id": plain(first)[1]["id"],
                "approve": True,
            }
            body |= {"model": "scripted/echo", "input": [*plain(first), answer]}
        context = await context_of(house, body)
        whole = Run(context)
        groups = [whole.resume([]), *await made_to_its_end(whole)]
        expected = answered(whole.response)
        for cut in range(1, len(groups) + 1):
            log = opened(logged([event for group in groups[:cut] for event in group]))
            begun = Begun(
                context.response.id,
                context.started_ms,
                counted(context.response.id, ids_in(log)),
            )
            run = Run(await context_of(house, body, begun))
            rest = run.resume(log)
            rest += [event for group in await made_to_its_end(run) for event in group]
            events = [*log, *rest, *run.conclude()]
            assert [event.sequence_number for event in events] == list(range(len(events)))
            assert isinstance(events[-1], TERMINAL_EVENTS)
            assert encode(fold(events)) == encode(run.response)
            assert run.response.status == "completed"
            # A call that nobody was told of yet may be lost with who had it; the model decides.
            assert 1 <= answered(run.response) <= expected, cut
            assert lines(replay(run.response, run.cuts)) == lines(events)
            if run.context.mcp is not None:
                run.context.mcp.leave()
