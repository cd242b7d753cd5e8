"""The script that searches for tools, for tests of tools that are loaded on demand."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from antiphon.backends.script_parts import (
    Batch,
    Play,
    arguments_for,
    call,
    last_user_text,
    say,
    tool_results,
)
from antiphon.stream.deltas import Finish
from antiphon.types.items import Message
from antiphon.types.tool_items import ToolSearchOutput
from antiphon.types.tools import FunctionTool, called

_SEARCH = "tool_search"


def search_tools(play: Play) -> Iterator[Batch]:
    """Searches for tools with the last user text, calls the first one found, tells what it said."""
    turn = play.turn
    results = tool_results(turn)
    if results and not isinstance(turn.items[-1], ToolSearchOutput):
        yield from say(f"The tool said: {'; '.join(results)}")
        return
    offered = {tool.name: tool for tool in turn.tools}
    found = _found(play)
    if found is None and _SEARCH in offered:
        query = msgspec.json.encode({"query": last_user_text(turn)}).decode()
        yield from call(0, FunctionTool(_SEARCH), query)
    elif named := next((name for name in found or () if name in offered), None):
        yield from call(0, offered[named], arguments_for(offered[named], turn))
    else:
        shown = ", ".join(sorted(offered)) or "none"
        yield from say(f"I found no tool. Those I was shown: {shown}")
        return
    yield [Finish("calls")]


def _found(play: Play) -> list[str] | None:
    """The names a search has given since the user last spoke; None: there was no search."""
    for item in reversed(play.turn.items):
        if isinstance(item, Message) and item.role == "user":
            break
        if isinstance(item, ToolSearchOutput):
            return [name for tool in item.tools for name in _names(tool)]
    return None


def _names(tool: dict[str, object]) -> list[str]:
    if tool.get("type") == "mcp":
        allowed = tool.get("allowed_tools")
        names = allowed if isinstance(allowed, list) else []
        return [called(str(tool["server_label"]), str(name)) for name in names]
    inside = tool.get("tools")
    if not isinstance(inside, list):
        return [str(tool.get("name"))]
    return [called(str(tool["name"]), str(one["name"])) for one in inside]
