"""What scripts are made of: what they see of a conversation and the pieces they play."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from antiphon.backends.base import (
    Turn,
)
from antiphon.backends.equivalents import shown
from antiphon.backends.sample import (
    sample,
)
from antiphon.stream.deltas import (
    CallArguments,
    CallStart,
    Delta,
    Finish,
    Text,
)
from antiphon.types.content import (
    InputImage,
    InputText,
    OutputText,
    PlainText,
    Refusal,
)
from antiphon.types.items import (
    CustomToolCall,
    CustomToolCallOutput,
    FunctionCall,
    FunctionCallOutput,
    Item,
    Message,
    Reasoning,
)
from antiphon.types.tools import (
    CallableTool,
    CustomTool,
    NamedChoice,
    called,
)


class Pause(Struct, frozen=True):
    """The script waits; nothing is sent."""

    seconds: float


class Play(Struct, frozen=True):
    """What a script knows: the turn, the number in its name, which try this is (from 1)."""

    turn: Turn
    number: int | None
    attempt: int


Batch = list[Delta]
Script = Callable[[Play], Iterator[Batch | Pause]]

HAND_OVER = "Write a hand-over note"
"""How the question for a summary begins (``runs/compaction.py``)."""
GREETING = "Hello! How can I help you today?"
COUNTING = "one two three four five six seven eight nine ten"
NAME = re.compile(r"\b(?:my name is|i am called|call me|i'm)\s+([^\W\d_][\w'-]*)", re.IGNORECASE)
A_DAY = Pause(86_400)


# What the conversation holds


def text_of(content: str | Sequence[Any]) -> str:
    """The text of a message or a tool output, parts joined by nothing."""
    if isinstance(content, str):
        return content
    return "".join(_part_text(part) for part in content)


def _part_text(part: Any) -> str:
    match part:
        case InputText(text=text) | OutputText(text=text) | PlainText(text=text):
            return text
        case Refusal(refusal=text):
            return text
        case InputImage():
            return "[an image]"
        case _:
            return ""


def user_texts(turn: Turn) -> list[str]:
    """The texts of the user's messages, oldest first."""
    return [
        text_of(item.content)
        for item in turn.items
        if isinstance(item, Message) and item.role == "user"
    ]


def first_user_text(turn: Turn) -> str:
    return next(iter(user_texts(turn)), "")


def last_user_text(turn: Turn) -> str:
    return (user_texts(turn) or [""])[-1]


def plain(items: Sequence[Item]) -> list[Item]:
    """The items; those only this API has as calls and outputs of functions."""
    return [one for item in items for one in shown(item) or (item,)]


def tool_results(turn: Turn) -> list[str]:
    """The outputs at the end of the conversation: those nobody has answered yet."""
    results: list[str] = []
    for item in reversed(plain(turn.items)):
        if not isinstance(item, FunctionCallOutput | CustomToolCallOutput):
            break
        results.append(text_of(item.output))
    return results[::-1]


def calls_since_user(turn: Turn) -> tuple[list[str], list[str]]:
    """The names of the tools called since the user last spoke, and what came back."""
    names: list[str] = []
    results: list[str] = []
    for item in reversed(plain(turn.items)):
        if isinstance(item, Message) and item.role == "user":
            break
        if isinstance(item, FunctionCall | CustomToolCall):
            names.append(called(item.namespace, item.name))
        elif isinstance(item, FunctionCallOutput | CustomToolCallOutput):
            results.append(text_of(item.output))
    return names[::-1], results[::-1]


# Building blocks


def words(text: str) -> list[str]:
    """The text cut before every run of white space: joined, it is the text again."""
    return re.findall(r"\s*\S+|\s+$", text)


def say(text: str, *, finish: bool = True) -> Iterator[Batch]:
    for word in words(text):
        yield [Text(word)]
    if finish:
        yield [Finish("stop")]


def arguments_for(tool: CallableTool, turn: Turn) -> str:
    if isinstance(tool, CustomTool):
        return last_user_text(turn)
    return msgspec.json.encode(sample(tool.parameters)).decode()


def start(index: int, tool: CallableTool, call_id: str = "") -> CallStart:
    return CallStart(
        index, "custom" if isinstance(tool, CustomTool) else "function", tool.name, call_id
    )


def pieces(text: str, size: int = 8) -> list[str]:
    return [text[at : at + size] for at in range(0, len(text), size)]


def call(index: int, tool: CallableTool, arguments: str, call_id: str = "") -> Iterator[Batch]:
    yield [start(index, tool, call_id)]
    for piece in pieces(arguments):
        yield [CallArguments(index, piece)]


def chosen_tool(turn: Turn) -> CallableTool | None:
    """The tool the caller named, else the first one offered; None if there is none."""
    if isinstance(turn.tool_choice, NamedChoice):
        return next((t for t in turn.tools if t.name == turn.tool_choice.name), None)
    return None if turn.tool_choice == "none" else next(iter(turn.tools), None)


def words_instead(turn: Turn) -> Iterator[Batch] | None:
    """The answer in words when there is a result to tell or nothing to call, else None."""
    if results := tool_results(turn):
        return say(f"The tool said: {'; '.join(results)}")
    return None if chosen_tool(turn) else say("There is no tool I could call.")


def calling(play: Play, count: int, *, ids: Sequence[str] = ("", "")) -> Iterator[Batch]:
    if (answer := words_instead(play.turn)) is not None:
        yield from answer
        return
    tools = [t for t in [chosen_tool(play.turn)] if t]
    others = [t for t in play.turn.tools if t not in tools]
    for index, tool in enumerate(([*tools, *others] * count)[:count]):
        yield from call(index, tool, arguments_for(tool, play.turn), ids[index])
    yield [Finish("calls")]


def call_or_say(play: Play, tools: Sequence[CallableTool], arguments: str) -> Iterator[Batch]:
    if not tools or tool_results(play.turn):
        yield from words_instead(play.turn) or say("There is no tool I could call.")
        return
    yield from call(0, tools[0], arguments)
    yield [Finish("calls")]


def line_of(item: Any) -> str:
    match item:
        case Message(role=role, content=content):
            return f"{role}: {text_of(content)}"
        case FunctionCall(name=name, arguments=text) | CustomToolCall(name=name, input=text):
            return f"call {called(item.namespace, name)}: {text}"
        case FunctionCallOutput(output=output) | CustomToolCallOutput(output=output):
            return f"result: {text_of(output)}"
        case Reasoning(content=list(content)):
            return f"thought: {''.join(part.text for part in content)}"
        case _:
            return f"{item.type if hasattr(item, 'type') else type(item).__name__.lower()}"
