"""Afterwards: was every promise kept?"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import aiohttp

from tests.chaos.load import TERMINAL, Load, Watched, events_of


@dataclass
class Verdict:
    """Counts of one phase. All that should be zero is; ``broken`` says what was not."""

    runs: int = 0
    resumed: int = 0
    gaps: int = 0
    duplicates: int = 0
    contradictions: int = 0
    not_one_terminal: int = 0
    failed: int = 0
    stuck: int = 0
    lost_runs: int = 0
    promises: int = 0
    lost_promises: int = 0
    turns: int = 0
    lost_turns: int = 0
    doubled_turns: int = 0
    retold: int = 0
    calls: int = 0
    doubled_calls: int = 0
    unanswered_calls: int = 0
    silence_seconds: float = 0.0

    @property
    def broken(self) -> dict[str, int]:
        harmless = {"runs", "resumed", "promises", "turns", "silence_seconds", "retold", "calls"}
        return {
            one.name: value
            for one in fields(self)
            if one.name not in harmless and (value := getattr(self, one.name))
        }


async def judge(load: Load) -> Verdict:
    """Read everything again, from every replica in turn, and compare it with what callers saw."""
    found = Verdict()
    for number, run in enumerate(load.runs):
        await _judge_run(load, run, number, found)
    found.calls = len(load.fleet.function.calls)
    found.doubled_calls = sum(times > 1 for times in load.fleet.function.calls.values())
    load.fleet.function.calls.clear()
    for number, promise in enumerate(load.promises):
        found.promises += 1
        made = await _get(load, number, f"/v1/responses/{promise.id}")
        found.lost_promises += made is None or promise.text not in _text(made)
    for number, talk in enumerate(load.talks):
        page = await _get(load, number, f"/v1/conversations/{talk.id}/items?limit=100&order=asc")
        said = [_text({"output": [item]}) for item in (page or {"data": []})["data"]]
        for text in talk.asked:
            times = said.count(text)
            found.turns += text in talk.answered
            found.lost_turns += text in talk.answered and times < 2  # the question, its echo
            found.doubled_turns += times > 2 or times == 1
    return found


async def _judge_run(load: Load, run: Watched, number: int, found: Verdict) -> None:
    found.runs += 1
    found.resumed += run.readers - 1
    found.stuck += run.stuck
    found.lost_runs += run.lost
    if run.lost or run.stuck:
        return
    await _replay(load, run, number)
    found.gaps += run.gaps
    found.duplicates += run.duplicates
    found.contradictions += run.contradictions
    found.not_one_terminal += run.terminals != 1
    found.failed += run.events[run.last]["type"] != "response.completed"
    found.silence_seconds = max(found.silence_seconds, run.silence_seconds(load.fleet.harmed))
    response = await _get(load, number, f"/v1/responses/{run.id}")
    if response is None:
        found.lost_runs += 1
    elif response["output"] != run.events[run.last]["response"]["output"]:
        found.contradictions += 1
    elif any(item.get("status") == "incomplete" for item in response["output"]):
        found.retold += 1
    if response is not None:
        kinds = [item["type"] for item in response["output"]]
        calls, outputs = kinds.count("function_call"), kinds.count("function_call_output")
        found.unanswered_calls += calls != outputs


async def _replay(load: Load, run: Watched, number: int) -> None:
    """Every event once more, which must be those that were seen live."""
    replica = load.fleet.replicas[number % len(load.fleet.replicas)]
    asked = {"stream": "true", "include_obfuscation": "false"}
    expected = 0
    async with load.session.get(f"{replica.url}/v1/responses/{run.id}", params=asked) as reply:
        if reply.status != 200:
            run.contradictions += 1
            return
        async for event in events_of(reply):
            if event["sequence_number"] != expected:
                run.contradictions += 1
            expected += 1
            known = run.events.get(event["sequence_number"])
            if known != event:
                run.contradictions += 1
            if event["type"] in TERMINAL and expected != run.last + 1:
                run.contradictions += 1


async def _get(load: Load, number: int, path: str) -> dict[str, Any] | None:
    replica = load.fleet.replicas[number % len(load.fleet.replicas)]
    try:
        async with load.session.get(replica.url + path) as reply:
            if reply.status != 200:
                return None
            found: dict[str, Any] = await reply.json()
            return found
    except aiohttp.ClientError:
        return None


def _text(response: dict[str, Any]) -> str:
    """All the text of a response's output, or of one item."""
    return "".join(
        part.get("text", "")
        for item in response["output"]
        for part in item.get("content") or ()
        if isinstance(part, dict)
    )
