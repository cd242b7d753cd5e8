"""Token counts for models that do not tell: an estimate that learns.

Text is cut into pieces about the size of a modern tokenizer's tokens; the number of pieces is
the estimate. What a model really reported is compared with it, and the ratio, averaged
exponentially per model, corrects the next estimate. Order of truth: the upstream's usage, the
backend's own count, this.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec

from antiphon.backends.base import Turn
from antiphon.backends.equivalents import shown
from antiphon.stream.deltas import CallArguments, CallStart, Declined, Delta, Text, Thought
from antiphon.types.content import (
    InputFile,
    InputImage,
    InputText,
    MessagePart,
    OutputText,
    PlainText,
    Refusal,
    ToolOutputPart,
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
from antiphon.types.tools import CustomTool, FunctionTool, JsonSchemaFormat

PIECE = re.compile(
    r" ?[A-Za-z\u00c0-\u024f]{1,9}"
    r"|[0-9]{1,3}"
    r"| ?[\u0370-\u05ff]{1,4}"
    r"|[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]{1,2}"
    r"| ?[^\w\s]{1,2}"
    r"|\s+"
    r"|\w{1,3}"
)
MESSAGE_TOKENS = 4
IMAGE_TOKENS = {"low": 85}
IMAGE_TOKENS_OTHERWISE = 765
FILE_TOKENS = 500
LEARNING_RATE = 0.2
MODELS_MAX = 1_000


WHOLE_CHARS_MAX = 4_096
SAMPLES, SAMPLE_CHARS = 16, 128
"""Of a longer text so many evenly spread parts are counted. Counting takes 30 ns a character: a
text of megabytes would hold up everybody else for a tenth of a second."""


def text_tokens(text: str) -> int:
    """Estimated tokens of a text, uncorrected."""
    length = len(text)
    if length <= WHOLE_CHARS_MAX:
        return len(PIECE.findall(text))
    gap = (length - SAMPLE_CHARS) // (SAMPLES - 1)
    starts = range(0, gap * SAMPLES, gap)
    pieces = sum(len(PIECE.findall(text, at, at + SAMPLE_CHARS)) for at in starts)
    return round(pieces * length / (SAMPLES * SAMPLE_CHARS))


def turn_tokens(turn: Turn) -> int:
    """Estimated input tokens of a turn, uncorrected: items, instructions, tools, format."""
    total = _items_tokens(turn) + 3
    if turn.instructions:
        total += text_tokens(turn.instructions) + MESSAGE_TOKENS
    for tool in turn.tools:
        total += _tool_tokens(tool)
    if isinstance(turn.format, JsonSchemaFormat):
        total += text_tokens(msgspec.json.encode(turn.format.schema).decode())
    return total


def output_tokens(deltas: Sequence[Delta]) -> int:
    """Estimated output tokens of a turn's deltas, uncorrected."""
    written = [d.text for d in deltas if isinstance(d, Text | Thought | Declined | CallArguments)]
    names = [d.name for d in deltas if isinstance(d, CallStart)]
    return text_tokens("".join(written)) + sum(map(text_tokens, names)) + 3 * len(names)


_MEMO = "tokens"
"""Key of what is remembered of a conversation: (number of items, their tokens)."""


def _items_tokens(turn: Turn) -> int:
    thoughts = _thought_tokens(turn)
    known = turn.known
    if known is None:
        return thoughts + sum(map(_item_tokens, turn.items))
    counted, total = known.memo.get(_MEMO, (0, 0))
    if counted < known.length:
        total += sum(map(_item_tokens, turn.items[counted : known.length]))
        known.memo[_MEMO] = known.length, total
    return thoughts + int(total) + sum(map(_item_tokens, turn.items[known.length :]))


def _thought_tokens(turn: Turn) -> int:
    """The reasoning the model is shown: behind the last message of a user, or all."""
    total = 0
    for item in reversed(turn.items):
        if type(item) is Reasoning:
            if isinstance(item.content, list):
                total += sum(text_tokens(part.text) for part in item.content)
        elif type(item) is Message and item.role == "user" and turn.thoughts == "current_turn":
            break
    return total


def _item_tokens(item: Item) -> int:
    match item:
        case Message(content=content):
            return _content_tokens(content) + MESSAGE_TOKENS
        case FunctionCall(name=name, arguments=text) | CustomToolCall(name=name, input=text):
            return text_tokens(name) + text_tokens(text) + MESSAGE_TOKENS
        case FunctionCallOutput(output=output) | CustomToolCallOutput(output=output):
            return _content_tokens(output) + MESSAGE_TOKENS
        case _:
            return sum(map(_item_tokens, shown(item)))  # reasoning is counted apart


def _content_tokens(content: str | Sequence[MessagePart | ToolOutputPart]) -> int:
    if isinstance(content, str):
        return text_tokens(content)
    total = 0
    for part in content:
        match part:
            case InputText(text=text) | OutputText(text=text) | PlainText(text=text):
                total += text_tokens(text)
            case Refusal(refusal=text):
                total += text_tokens(text)
            case InputImage(detail=detail):
                total += IMAGE_TOKENS.get(detail or "auto", IMAGE_TOKENS_OTHERWISE)
            case InputFile():
                total += FILE_TOKENS
    return total


def _tool_tokens(tool: FunctionTool | CustomTool) -> int:
    return text_tokens(msgspec.json.encode(tool).decode())


class Estimator:
    """Estimates corrected per model by what was reported before. Not shared between processes."""

    def __init__(self) -> None:
        self._factors: dict[str, float] = {}

    def factor(self, model: str) -> float:
        """Reported ÷ estimated, 1.0 for a model nothing is known about."""
        return self._factors.get(model, 1.0)

    def learn(self, model: str, *, estimated: int, reported: int) -> None:
        """Take note that ``reported`` tokens were counted where we had said ``estimated``."""
        if estimated <= 0 or reported <= 0:
            return
        ratio = min(10.0, max(0.1, reported / estimated))
        old = self._factors.get(model)
        if old is None and len(self._factors) >= MODELS_MAX:
            del self._factors[next(iter(self._factors))]
        self._factors[model] = ratio if old is None else old + LEARNING_RATE * (ratio - old)

    def input(self, turn: Turn) -> int:
        """Estimated input tokens of a turn."""
        return max(1, round(turn_tokens(turn) * self.factor(turn.model)))

    def output(self, model: str, deltas: Sequence[Delta]) -> int:
        """Estimated output tokens of what a model answered."""
        return round(output_tokens(deltas) * self.factor(model))
