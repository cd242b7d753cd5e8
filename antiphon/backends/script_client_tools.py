"""Scripts that use what the caller runs: a computer, a shell, patches."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from antiphon.backends.script_parts import (
    Batch,
    Play,
    arguments_for,
    call,
    calls_since_user,
    last_user_text,
    say,
    tool_results,
    words_instead,
)
from antiphon.stream.deltas import Finish

PATCHES = (
    {"type": "create_file", "path": "notes/penguins.md", "diff": "+# Penguins\n+\n+Some fly.\n+"},
    {
        "type": "update_file",
        "path": "notes/penguins.md",
        "diff": "@@ # Penguins\n \n-Some fly.\n+None of them flies.\n",
    },
    {"type": "delete_file", "path": "notes/penguins.md", "diff": ""},
)


def safety(play: Play) -> Iterator[Batch]:
    """Calls the computer with two safety checks that somebody has to acknowledge first."""
    chosen = next((tool for tool in play.turn.tools if tool.name == "computer"), None)
    if chosen is None or tool_results(play.turn):
        yield from words_instead(play.turn) or say("There is no computer.")
        return
    arguments = msgspec.json.decode(arguments_for(chosen, play.turn))
    arguments["pending_safety_checks"] = [
        {"id": "sc_money", "code": "spends_money", "message": "This buys something."},
        {"id": "sc_login"},
    ]
    yield from call(0, chosen, msgspec.json.encode(arguments).decode())
    yield [Finish("calls")]


def patch(play: Play) -> Iterator[Batch]:
    """Changes a file with apply_patch (create, update, delete: a turn each), then says so."""
    chosen = next((tool for tool in play.turn.tools if tool.name == "apply_patch"), None)
    done = len(calls_since_user(play.turn)[0])
    if chosen is None or done >= len(PATCHES):
        yield from say("The patches are applied." if chosen else "There is no apply_patch.")
        return
    yield from call(0, chosen, msgspec.json.encode(PATCHES[done]).decode())
    yield [Finish("calls")]


def commands(play: Play) -> Iterator[Batch]:
    """Runs each line of the last user text as a command of a shell, then tells what it gave."""
    chosen = next((tool for tool in play.turn.tools if tool.name in ("shell", "local_shell")), None)
    if chosen is None or tool_results(play.turn):
        yield from words_instead(play.turn) or say("There is no shell.")
        return
    lines = last_user_text(play.turn).splitlines()
    arguments = {"commands": lines}
    if chosen.name == "local_shell":
        arguments = {"command": ["bash", "-lc", "\n".join(lines)]}
    yield from call(0, chosen, msgspec.json.encode(arguments).decode())
    yield [Finish("calls")]
