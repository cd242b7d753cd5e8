"""Tool calls a model wrote into its text, told apart as they arrive.

The form is the one of ``llamacpp_grammar``, which also guarantees it. Rules: pieces may be cut
anywhere; white space before a call belongs to nobody; text that only looks like the beginning
of a call is text; a call that the token limit cut keeps what came.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal

import msgspec

from antiphon.backends.chat_body import Offered
from antiphon.backends.chat_reading import Reader
from antiphon.backends.chat_wire import CallPart, FunctionPart
from antiphon.backends.llamacpp_grammar import CLOSE, OPEN
from antiphon.backends.profiles import Profile
from antiphon.stream.deltas import Delta

_HEAD = re.compile(r'\{"name": "([^"]*)", "(?:arguments": |input":\n)')
_HEAD_LENGTH_MAX = 128
_ARGUMENTS_END = "}" + CLOSE


class ToolText:
    """One answer's text. What comes out is text to pass on and parts of calls."""

    def __init__(self) -> None:
        self._state: Literal["text", "head", "arguments", "raw"] = "text"
        self._held = ""
        self._index = -1
        self._arguments: list[str] = []  # of the call under way

    def feed(self, piece: str) -> list[str | CallPart]:
        self._held += piece
        found: list[str | CallPart] = []
        while self._step(found):
            pass
        return found

    def end(self) -> list[str | CallPart]:
        """What was held back because it might have been the border of a call."""
        held, self._held = self._held, ""
        match self._state:
            case "text":
                return [held] if held else []
            case "head":
                return []
            case "arguments":
                # A lone brace may be the arguments' own; more is the border, cut in the middle.
                return [self._part(held)] if held == "}" and not self._is_whole() else []
            case "raw":
                return [self._part('"}')]

    def _is_whole(self) -> bool:
        try:
            msgspec.json.decode("".join(self._arguments), type=msgspec.Raw)
        except msgspec.DecodeError:
            return False
        return True

    def _step(self, found: list[str | CallPart]) -> bool:
        match self._state:
            case "text":
                return self._text(found)
            case "head":
                return self._head(found)
            case "arguments":
                return self._inside(_ARGUMENTS_END, found)
            case "raw":
                return self._inside(CLOSE, found)

    def _text(self, found: list[str | CallPart]) -> bool:
        text, opened, rest = self._held.partition(OPEN)
        if opened:
            if text := text.rstrip():
                found.append(text)
            self._state, self._held = "head", rest
            return True
        cut = len(text) - _overlap(text, OPEN)
        cut = len(text[:cut].rstrip())
        if cut:
            found.append(text[:cut])
            self._held = text[cut:]
        return False

    def _head(self, found: list[str | CallPart]) -> bool:
        head = _HEAD.match(self._held)
        if head is None:
            if len(self._held) > _HEAD_LENGTH_MAX:  # not one of our calls: it is text
                found.append(OPEN + self._held)
                self._state, self._held = "text", ""
            return False
        self._index += 1
        self._arguments.clear()
        self._state = "raw" if head[0].endswith("\n") else "arguments"
        self._held = self._held[head.end() :]
        name = FunctionPart(name=head[1])
        found.append(CallPart(index=self._index, function=name))
        if self._state == "raw":
            found.append(self._part('{"input":"'))
        return True

    def _inside(self, end: str, found: list[str | CallPart]) -> bool:
        text, closed, rest = self._held.partition(end)
        if not closed:
            cut = len(text) - _overlap(text, end)
            text, rest = text[:cut], text[cut:]
        if text:
            found.append(self._part(_escaped(text) if self._state == "raw" else text))
        self._held = rest
        if closed:
            if self._state == "raw":
                found.append(self._part('"}'))
            self._state = "text"
        return bool(closed)

    def _part(self, arguments: str) -> CallPart:
        self._arguments.append(arguments)
        return CallPart(index=self._index, function=FunctionPart(arguments=arguments))


class ToolTextReader(Reader):
    """Reads an answer whose calls stand in its text."""

    def __init__(
        self, profile: Profile, offered: Mapping[str, Offered], *, logprobs: bool = False
    ) -> None:
        super().__init__(profile, offered, logprobs=logprobs)
        self._tool_text = ToolText()

    def say(self, content: str, deltas: list[Delta]) -> None:
        self._sort(self._tool_text.feed(content), deltas)

    def end(self) -> list[Delta]:
        deltas: list[Delta] = []
        self._sort(self._tool_text.end(), deltas)
        return deltas + super().end()

    def _sort(self, found: list[str | CallPart], deltas: list[Delta]) -> None:
        for part in found:
            if isinstance(part, str):
                super().say(part, deltas)
            else:
                self._tokens = []  # log probabilities belong to text, not to calls
                deltas += self.calls.feed(part)


def _overlap(text: str, border: str) -> int:
    """Length of the longest end of ``text`` that ``border`` begins with."""
    for size in range(min(len(border) - 1, len(text)), 0, -1):
        if text.endswith(border[:size]):
            return size
    return 0


def _escaped(text: str) -> str:
    return msgspec.json.encode(text).decode()[1:-1]
