"""The model that plays a coding agent: what it does follows from what it is shown."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.backends.strict_upstream import Json
from tests.clients.coder import coder

pytestmark = pytest.mark.requirement("clients:codex:coder")

CALC = "def add(a, b):\n    return a - b\n"


def function(name: str, *required: str) -> Json:
    properties = {key: {"type": "string"} for key in required}
    schema = {"type": "object", "properties": properties, "required": [*required]}
    return {"type": "function", "function": {"name": name, "parameters": schema}}


SHELL = function("exec_command", "cmd")
PATCH = function("apply_patch", "input")
SCRIPT = function("functions__exec", "input")


def user(text: str) -> Json:
    return {"role": "user", "content": text}


def tool(text: str) -> Json:
    return {"role": "tool", "tool_call_id": "call_1", "content": text}


def step(*messages: Json, tools: list[Json]) -> Any:
    """What it says, or the (name, arguments) of its calls."""
    deltas, reason = coder({"messages": [*messages], "tools": tools})
    if reason == "stop":
        return "".join(delta["content"] for delta in deltas)
    calls: dict[int, list[str]] = {}
    for delta in deltas:
        for call in delta.get("tool_calls", ()):
            known = calls.setdefault(call["index"], ["", ""])
            known[0] += call["function"].get("name", "")
            known[1] += call["function"]["arguments"]
    return [(name, json.loads(arguments)) for name, arguments in calls.values()]


def test_a_fix_takes_what_the_step_before_showed() -> None:
    asked = [user("<context>none</context>"), user("fix add")]
    assert step(*asked, tools=[SHELL, PATCH]) == [("exec_command", {"cmd": "cat calc.py"})]
    [(name, arguments)] = step(*asked, tool(CALC), tools=[SHELL, PATCH])
    assert name == "apply_patch"
    assert "-    return a - b\n+    return a + b\n" in arguments["input"]
    done = [tool(CALC), tool("Done."), tool("5 it is\n")]
    assert step(*asked, *done, tools=[SHELL]).endswith("5 it is")


def test_without_the_mistake_in_sight_it_patches_nothing() -> None:
    said = step(user("fix add"), tool("cat: calc.py: No such file"), tools=[SHELL, PATCH])
    assert said == "I cannot see the mistake in: cat: calc.py: No such file"


def test_it_calls_only_what_is_offered() -> None:
    assert step(user("fix add"), tools=[PATCH]) == "exec_command is not among ['apply_patch']"
    [(name, arguments)] = step(user("fix add"), tool(CALC), tools=[SHELL])
    assert name == "exec_command" and arguments["cmd"].startswith("apply_patch <<")
    [(name, arguments)] = step(user("fix add"), tools=[SCRIPT])
    assert name == "functions__exec" and "tools.exec_command" in arguments["input"]


def test_a_summary_stands_for_what_it_summed_up() -> None:
    asked = [user("read 3"), tool("a"), tool("b")]
    summary = step(*asked, user("This is a CONTEXT CHECKPOINT COMPACTION."), tools=[])
    assert summary == "SUMMARY: 2 of 3 parts read"
    [(_, arguments)] = step(user("read 3"), user(f"Before: {summary}"), tools=[SHELL])
    assert arguments["cmd"].startswith("echo part 3;")
    assert step(user(summary), tool("c"), tools=[SHELL]) == "Done after 3 parts."
