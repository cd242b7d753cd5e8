"""Texts that end an answer, for an upstream whose API has no field for them.

``feed`` gives what of the text may be said: what could be the beginning of a stop is held back
until it is certain that it is none. How the text was cut does not matter.
"""

from __future__ import annotations

from collections.abc import Sequence


class Stops:
    """Of one answer. ``found``: a stop was there; nothing is said from there on."""

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = [stop for stop in stops if stop]
        self._held = ""
        self.found = False

    def feed(self, text: str) -> str:
        """What may be said now of what came so far."""
        if self.found:
            return ""
        text = self._held + text
        keep = max((_overlap(text, stop) for stop in self._stops), default=0)
        begun = len(text) - keep  # a stop that may begin here comes before one that is there
        end = self._first(text)
        if end is not None and end <= begun:
            self.found = True
            return text[:end]
        self._held = text[begun:]
        return text[:begun]

    def end(self) -> str:
        """What was held back of an answer that is over."""
        held, self._held = self._held, ""
        end = self._first(held)
        if self.found or end is None:
            return "" if self.found else held
        self.found = True
        return held[:end]

    def _first(self, text: str) -> int | None:
        """Where the first stop in a text begins."""
        return min((at for stop in self._stops if (at := text.find(stop)) >= 0), default=None)


def _overlap(text: str, stop: str) -> int:
    """How much of the end of ``text`` is a beginning of ``stop``."""
    for length in range(min(len(stop) - 1, len(text)), 0, -1):
        if text.endswith(stop[:length]):
            return length
    return 0
