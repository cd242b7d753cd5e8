"""Reasoning that a server left in the text as ``<think>…</think>``, told apart as it arrives.

Only a tag at the very start of the answer counts: later ones are something the model talks
about. The result does not depend on how the text was cut.
"""

from __future__ import annotations

from typing import Literal

OPEN, CLOSE = "<think>", "</think>"


class Thinking:
    """One answer's text. ``feed`` returns (thought, text), either may be empty."""

    def __init__(self) -> None:
        self._state: Literal["start", "thought", "gap", "text"] = "start"
        self._held = ""

    def feed(self, piece: str) -> tuple[str, str]:
        if self._state == "text":
            return "", piece
        text = self._held + piece
        self._held = ""
        thought = ""
        if self._state == "start":
            begun = text.lstrip()
            if begun.startswith(OPEN):
                self._state = "thought"
                text = begun[len(OPEN) :]
            elif OPEN.startswith(begun):
                self._held = text
                return "", ""
            else:
                self._state = "text"
        if self._state == "thought":
            thought, text = self._thought(text)
        if self._state == "gap":
            text = text.lstrip()
            self._state = "text" if text else "gap"
        return thought, text

    def end(self) -> tuple[str, str]:
        """What was held back because it might have been a tag."""
        held, self._held = self._held, ""
        return (held, "") if self._state == "thought" else ("", held)

    def _thought(self, text: str) -> tuple[str, str]:
        thought, tag, rest = text.partition(CLOSE)
        if tag:
            self._state = "gap"
            return thought, rest
        keep = next(n for n in range(len(CLOSE) - 1, -1, -1) if text.endswith(CLOSE[:n]))
        self._held = text[len(text) - keep :]
        return text[: len(text) - keep], ""
