"""A chat model that works as a coding agent would, by rule: for coding agents under test.

It is a model of the strict upstream, so it knows nothing of the Responses API: it sees chat
messages and functions, whatever they were before. It fixes ``calc.py`` step by step, and every
step needs what the one before it brought: the patch removes the very line that reading the file
showed, and the last words repeat what the check printed. What it is asked for is the last user
message; what tools told it is counted from there. Asked to hand over, it says how far it came.

    ``fix add``       reads calc.py, patches it, runs check.py, tells its output
    ``read N``        prints the file big.txt N times, one call after the other, then says so
    ``check twice``   two calls in one turn, then tells both outputs
    ``recall``        says what it was asked first
    ``look``          says how many images it was shown
    ``ask``           calls ``get_weather``, searched for if it is not there, tells what it said
    ``delegate``      has another agent say something, tells what that one said
    anything else     repeats it; as JSON, if a schema is asked for

How it calls a tool depends on what it is offered: ``exec_command``, ``apply_patch``, or ``exec``
that runs JavaScript which calls the others.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from tests.backends.strict_upstream import (
    ANSWERS,
    COUNTING,
    Deltas,
    Json,
    structured,
    words,
)

MODEL = "coder"
HAND_OVER = "Write a hand-over note"
"""How the server asks for a summary; a coding agent that sums up by itself has words of its own."""

WEATHER = {"get_weather": {"city": "Paris"}, "tool_search": {"query": "weather of a city"}}

_WRONG = re.compile(r"^ *return a - b$", re.M)
_AGENT = re.compile(r'"(?:agent_id|task_name)":"([^"]+)"')
_READ = re.compile(r"read (\d+)")
_SUMMARY = re.compile(r"SUMMARY: (\d+) of (\d+) parts read")


class Move(Exception):
    """Raised with (tool, argument) for each call when calls are the next step."""


class Scene(Struct, frozen=True):
    """What a conversation has come to.

    ``asked``: what is asked for, ``first``: what was asked for at first, ``told``: what tools said
    since it was asked for, ``images``: how many were shown. What a coding agent says of itself in
    the user's name stands in angle brackets, and a summary stands for the results it replaced.
    """

    asked: str = ""
    first: str = ""
    told: tuple[str, ...] = ()
    images: int = 0


def coder(body: Json) -> tuple[Deltas, str]:
    """The next step. Before a call it thinks."""
    thought: Deltas = [{"reasoning_content": "The next step is clear."}]
    try:
        text = _step(_scene(body["messages"]))
    except Move as move:
        try:
            return [*thought, *_calls(body, move.args)], "tool_calls"
        except LookupError as error:
            text = str(error)
    if body.get("response_format"):
        return structured(body)
    return words(text), "stop"


def _scene(messages: list[Json]) -> Scene:
    scene = Scene()
    for message in messages:
        content = message["content"]
        if message["role"] == "tool":
            scene = replace(scene, told=(*scene.told, content))
        elif message["role"] == "user":
            parts = [{"type": "text", "text": content}] if isinstance(content, str) else content
            for part in parts:
                scene = _heard(scene, part)
    return scene


def _heard(scene: Scene, part: Json) -> Scene:
    if part["type"] != "text":
        return replace(scene, images=scene.images + 1)
    text = part["text"]
    if found := _SUMMARY.search(text):
        return replace(scene, asked=f"read {found[2]}", told=("summed up",) * int(found[1]))
    if "CONTEXT CHECKPOINT COMPACTION" in text or text.startswith(HAND_OVER):
        done = _READ.search(scene.asked)
        asked = f"SUMMARY: {len(scene.told)} of {done[1] if done else 0} parts read"
        return replace(scene, asked=asked)
    if text.lstrip().startswith("<"):
        return scene
    return replace(scene, asked=text, first=scene.first or text, told=())


def _step(scene: Scene) -> str:
    """What it says, or raises Move with what it does."""
    asked, told = scene.asked, scene.told
    if found := _READ.match(asked):
        if len(told) < int(found[1]):
            raise Move(("exec_command", f"echo part {len(told) + 1}; cat big.txt"))
        return f"Done after {len(told)} parts."
    match asked.split():
        case ["fix", "add"]:
            return _fix(told)
        case ["check", "twice"]:
            if not told:
                raise Move(("exec_command", "echo one"), ("exec_command", "echo two"))
            return f"They print {' and '.join(_last_line(text) for text in told[-2:])}."
        case ["recall"]:
            return f"At first you said: {scene.first}"
        case ["look"]:
            return f"I see {scene.images} image(s)."
        case ["ask"]:
            return _ask(told)
        case ["delegate"]:
            return _delegate(told)
        case _:
            return asked


def _fix(told: tuple[str, ...]) -> str:
    match len(told):
        case 0:
            raise Move(("exec_command", "cat calc.py"))
        case 1:
            wrong = _WRONG.search(told[0])
            if wrong is None:
                return f"I cannot see the mistake in: {told[0]}"
            raise Move(("apply_patch", _patch(wrong[0])))
        case 2:
            raise Move(("exec_command", "python3 check.py"))
        case _:
            return f"I fixed add. The check printed: {_last_line(told[2])}"


def _patch(wrong: str) -> str:
    right = wrong.replace("-", "+")
    return (
        f"*** Begin Patch\n*** Update File: calc.py\n@@\n-{wrong}\n+{right}\n"
        "*** Add File: notes/CHANGES\n+add adds.\n*** End Patch\n"
    )


def _ask(told: tuple[str, ...]) -> str:
    """Once a search has been answered, the tool it found must be there."""
    if told and "sunny" in told[-1]:
        return f"It said: {told[-1]}"
    if len(told) > 1:
        return f"I could not find it: {told}"
    raise Move(("get_weather or tool_search" if not told else "get_weather", WEATHER))


def _delegate(told: tuple[str, ...]) -> str:
    match len(told):
        case 0:
            raise Move(("spawn_agent", {"message": "pineapple", "task_name": "fruit"}))
        case 1:
            targets = _AGENT.findall(told[0])
            if not targets:
                return f"There is no agent: {told[0]}"
            raise Move(("wait_agent", {"targets": targets, "timeout_ms": 20_000}))
        case _:
            return f"It said: {told[-1]}"


def _last_line(text: str) -> str:
    return next((line for line in reversed(text.splitlines()) if line.strip()), "nothing")


# Calls


def _calls(body: Json, moves: tuple[tuple[str, Any], ...]) -> Iterator[Json]:
    offered = {it["function"]["name"]: it["function"] for it in body.get("tools", ())}
    for index, (tool, argument) in enumerate(moves):
        name, arguments = _call(offered, tool, argument)
        first = {"name": name, "arguments": ""}
        call_id = f"call_{len(body['messages'])}_{index}"
        head = {"index": index, "id": call_id, "type": "function", "function": first}
        yield {"tool_calls": [head]}
        for at in range(0, len(arguments), 9):
            piece = {"arguments": arguments[at : at + 9]}
            yield {"tool_calls": [{"index": index, "function": piece}]}


def _call(offered: dict[str, Json], tool: str, argument: Any) -> tuple[str, str]:
    """Name and arguments of the function that does this: the tool itself, or what can run it.
    Of ``a or b`` the first that is there, ``argument`` by name."""
    for name in tool.split(" or "):
        if function := _ending(offered, name):
            given = argument[name] if argument is WEATHER else argument
            return function["name"], _arguments(function, given)
    if script := _ending(offered, "exec"):
        argument = {"cmd": argument} if tool == "exec_command" else argument
        return script["name"], _arguments(script, SCRIPT % (tool, json.dumps(argument)))
    if tool == "apply_patch":
        return _call(offered, "exec_command", f"apply_patch <<'END'\n{argument}END\n")
    raise LookupError(f"{tool} is not among {sorted(offered)}")


SCRIPT = """\
const said = await tools.%s(%s);
text(typeof said === "string" ? said : (said.output ?? JSON.stringify(said)));
"""


def _ending(offered: dict[str, Json], name: str) -> Json | None:
    """The function of this name, or of this name behind that of a namespace."""
    return next((it for key, it in offered.items() if re.search(rf"(^|\W|_){name}$", key)), None)


def _arguments(function: Json, argument: Any) -> str:
    if isinstance(argument, dict):
        taken = function["parameters"]["properties"]
        return json.dumps({key: value for key, value in argument.items() if key in taken})
    (name,) = function["parameters"]["required"]
    return json.dumps({name: argument})


ANSWERS[MODEL] = coder
COUNTING.add(MODEL)
