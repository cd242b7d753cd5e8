"""Functions a server answers without leaving the process: the port, with a memory."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from antiphon.tools.base import ServerTool
from tests.runs.rig import Rig

PARAMETERS = {
    "type": "object",
    "properties": {"city": {"type": "string", "enum": ["Oslo"]}},
    "required": ["city"],
}
OURS: dict[str, Any] = {"type": "function", "name": "get_weather", "parameters": PARAMETERS}
THEIRS: dict[str, Any] = {"type": "function", "name": "ask_user", "parameters": PARAMETERS}


class Weather:
    """``ServerTool``: says what it was asked. ``wait``: answers only when it is set; ``fails``:
    raises that instead."""

    def __init__(self, name: str = OURS["name"], *, again: bool = False) -> None:
        self.name = name
        self.again = again
        self.description: str | None = "Tells the weather."
        self.parameters: dict[str, Any] | None = PARAMETERS
        self.asked: list[tuple[str, str]] = []
        self.wait: asyncio.Event | None = None
        self.fails: Exception | None = None
        self.stopped = 0
        self.closed = False

    async def call(self, arguments: str, *, key: str) -> str:
        self.asked.append((arguments, key))
        try:
            if self.wait is not None:
                await self.wait.wait()
        except asyncio.CancelledError:
            self.stopped += 1
            raise
        if self.fails is not None:
            raise self.fails
        return f"sunny, call {len(self.asked)}"

    async def close(self) -> None:
        self.closed = True


class Served:
    """The functions of one rig."""

    def __init__(self, *tools: Weather) -> None:
        self.weather = tools[0] if tools else Weather()
        self.all: Mapping[str, ServerTool] = {one.name: one for one in tools or (self.weather,)}

    def into(self, house: Rig) -> None:
        house.runs.functions = self.all
