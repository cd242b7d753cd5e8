"""Turns and what came of them, for the tests of the engine."""

from __future__ import annotations

import asyncio
from typing import Any

from msgspec import Struct

from antiphon.backends.base import Backend, Turn
from antiphon.stream.deltas import CallArguments, CallStart, Delta, Finish, Spent, Text
from antiphon.types.items import Message
from antiphon.types.tools import FunctionTool

PATIENCE = 20.0  # for a machine that is busy with other things; nothing takes a second

CITY = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
WEATHER = FunctionTool(
    name="get_weather", description="Get the weather for a city", parameters=CITY, strict=True
)
MAIL = FunctionTool(
    name="send_email",
    description="Send an email",
    parameters={
        "type": "object",
        "properties": {
            "to": {"type": "string", "pattern": "^[a-z]{1,9}@[a-z]{1,9}[.]com$"},
            "urgent": {"type": "boolean"},
        },
        "required": ["to", "urgent"],
        "additionalProperties": False,
    },
    strict=True,
)
PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
    "required": ["name", "age"],
    "additionalProperties": False,
}


def asking(text: str, **fields: Any) -> Turn:
    """A turn with one user message. Short unless said otherwise."""
    fields.setdefault("max_output_tokens", 300)
    return Turn(model="demo-antiphon", items=[Message(role="user", content=text)], **fields)


class Said(Struct, frozen=True):
    """A turn's outcome. ``calls`` are (name, arguments)."""

    text: str
    calls: list[tuple[str, str]]
    spent: Spent | None
    reason: str
    deltas: list[Delta]


async def say(backend: Backend, turn: Turn) -> Said:
    deltas: list[Delta] = []
    async with asyncio.timeout(PATIENCE):
        async for batch in backend.stream(turn):
            deltas += batch
    names = {d.index: d.name for d in deltas if isinstance(d, CallStart)}
    calls = [
        (
            name,
            "".join(d.text for d in deltas if isinstance(d, CallArguments) and d.index == index),
        )
        for index, name in names.items()
    ]
    finish = deltas[-1]
    assert isinstance(finish, Finish)
    return Said(
        text="".join(d.text for d in deltas if isinstance(d, Text)),
        calls=calls,
        spent=next((d for d in deltas if isinstance(d, Spent)), None),
        reason=finish.reason,
        deltas=deltas,
    )
