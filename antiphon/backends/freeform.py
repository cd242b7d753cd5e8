"""Raw text out of the JSON a wrapped custom tool is called with, while it still arrives.

A freeform tool travels as a function with one string argument; the model writes
``{"input": "…"}`` and the caller must get what stands between the quotes, piece by piece.

Rules: the pieces joined do not depend on how the JSON was cut; no piece holds half a
surrogate pair; a model that forgets the wrapping and writes the text itself is taken at its
word; anything else that is JSON (other keys first, a value that is no string) is kept until
its end and then opened whole.
"""

from __future__ import annotations

import re
from typing import Literal

import msgspec

_OPENING = ("{", '"input"', ":", '"')
_ESCAPES = {
    "n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", '"': '"', "\\": "\\", "/": "/",
}  # fmt: skip
_SPECIAL = re.compile(r'["\\]')
_UNICODE = re.compile(r"\\u([0-9a-fA-F]{4})")
_UNICODE_BEGUN = re.compile(r"\\(u[0-9a-fA-F]{0,3})?")


class Unwrap:
    """One call's arguments. ``feed`` every piece, then ``end`` once."""

    def __init__(self) -> None:
        self._state: Literal["opening", "value", "over", "whole", "raw"] = "opening"
        self._held = ""

    def feed(self, text: str) -> str:
        """The raw text that ``text`` completes; may be empty."""
        match self._state:
            case "raw":
                return text
            case "over":
                return ""
            case "whole":
                self._held += text
                return ""
            case "value":
                return self._value(self._held + text)
            case "opening":
                self._held += text
                return self._opening()

    def end(self) -> str:
        """What is left when the arguments are complete (or were cut)."""
        held, self._held = self._held, ""
        match self._state:
            case "whole" | "opening":
                return _opened(held)
            case "value":
                return "\ufffd" if _UNICODE.match(held) else ""
            case _:
                return ""

    def _opening(self) -> str:
        at = 0
        held = self._held
        for expected in _OPENING:
            while at < len(held) and held[at] in " \t\r\n":
                at += 1
            found = held[at : at + len(expected)]
            if found == expected:
                at += len(expected)
            elif expected.startswith(found):
                return ""
            else:
                return self._other(expected, found[0])
        self._state, self._held = "value", ""
        return self._value(held[at:])

    def _other(self, expected: str, found: str) -> str:
        """Not the opening we asked for: other JSON is kept to its end, text is passed on."""
        if (expected == '"input"' and found in '"}') or expected == '"':
            self._state = "whole"
            return ""
        self._state = "raw"
        held, self._held = self._held, ""
        return held

    def _value(self, text: str) -> str:
        """Decode string content up to its closing quote or to an escape that is not complete."""
        pieces: list[str] = []
        at = 0
        self._held = ""
        while special := _SPECIAL.search(text, at):
            pieces.append(text[at : special.start()])
            at = special.start()
            if special[0] == '"':
                self._state = "over"
                return "".join(pieces)
            size, character = _escape(text, at)
            if size == 0:
                self._held = text[at:]
                return "".join(pieces)
            pieces.append(character)
            at += size
        pieces.append(text[at:])
        return "".join(pieces)


def _escape(text: str, at: int) -> tuple[int, str]:
    """Length and meaning of the escape at ``at``; length 0 if more text is needed to tell.

    What JSON does not allow is taken literally, as models forget to double backslashes.
    """
    if _UNICODE_BEGUN.fullmatch(text, at):
        return 0, ""
    code = _UNICODE.match(text, at)
    if code is None:
        letter = text[at + 1]
        return 2, _ESCAPES.get(letter, "\\" + letter)
    value = int(code[1], 16)
    if not 0xD800 <= value < 0xE000:
        return 6, chr(value)
    if value >= 0xDC00:
        return 6, "\ufffd"
    if at + 6 == len(text) or _UNICODE_BEGUN.fullmatch(text, at + 6):
        return 0, ""
    low = _UNICODE.match(text, at + 6)
    if low is None or not 0xDC00 <= int(low[1], 16) < 0xE000:
        return 6, "\ufffd"
    return 12, chr(0x10000 + ((value - 0xD800) << 10) + int(low[1], 16) - 0xDC00)


def _opened(text: str) -> str:
    """The raw input in complete arguments of another shape; the text itself if there is none."""
    try:
        arguments = msgspec.json.decode(text)
    except msgspec.DecodeError:
        return text
    if not isinstance(arguments, dict):
        return text
    if "input" in arguments:
        value = arguments["input"]
    elif len(arguments) == 1:
        value = next(iter(arguments.values()))
    else:
        return text
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
