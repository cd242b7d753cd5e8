"""Transcripts as text files: what an upstream sent, and the deltas it must become.

A file holds a sentence, the settings, the bytes as a stream and/or as one JSON body, and the
deltas. ``REWRITE_GOLDEN=1 pytest tests/backends/test_chat_reading.py`` writes the last section
anew from the stream; the change is then reviewed as a diff.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from itertools import chain
from pathlib import Path
from typing import Literal

import msgspec
from msgspec import Struct

from antiphon.backends.chat_body import Offered
from antiphon.backends.chat_reading import Reader
from antiphon.backends.profiles import PROFILES
from antiphon.backends.sse import Events
from antiphon.errors import RemoteError
from antiphon.stream.deltas import CallArguments, Declined, Delta, Spent, Text, Thought

FOLDER = Path(__file__).parent.parent / "golden" / "chat"
FILES = sorted(FOLDER.glob("*.txt"))


class Transcript(Struct):
    path: Path
    about: str
    profile: str = "generic"
    tools: dict[str, Offered] = {}
    logprobs: bool = False
    stream: bytes | None = None
    whole: bytes | None = None
    deltas: str = ""

    def reader(self) -> Reader:
        return Reader(PROFILES[self.profile], self.tools, logprobs=self.logprobs)


def load(path: Path) -> Transcript:
    head, *sections = path.read_text(encoding="utf-8").split("=== ")
    about, *settings = head.splitlines()
    transcript = Transcript(path, about.removeprefix("# "))
    for line in settings:
        name, _, value = line.partition(": ")
        match name:
            case "profile":
                transcript.profile = value
            case "tools":
                transcript.tools = dict(map(_tool, value.split(", ")))
            case "logprobs":
                transcript.logprobs = value == "yes"
            case _:
                raise ValueError(f"{path.name}: no setting is called {name!r}")
    for section in sections:
        name, _, text = section.partition("\n")
        match name:
            case "stream":
                transcript.stream = text.encode() + b"\n"
            case "whole":
                transcript.whole = text.encode()
            case "deltas":
                transcript.deltas = text
            case _:
                raise ValueError(f"{path.name}: no section is called {name!r}")
    return transcript


def _tool(text: str) -> tuple[str, Offered]:
    kind, name = text.split(" ")
    custom: Literal["custom", "function"] = "custom" if kind == "custom" else "function"
    return name, Offered(name, custom)


def read_stream(transcript: Transcript, pieces: Iterable[bytes]) -> str:
    """The deltas of the stream cut into ``pieces``, as text."""
    reader, events = transcript.reader(), Events()
    deltas: list[Delta] = []
    try:
        for piece in pieces:
            deltas += reader.batch(events.feed(piece))
            if reader.failure:
                raise reader.failure
            if reader.over:
                return shown(deltas)
        deltas += reader.last(events.end())
        if reader.failure:
            raise reader.failure
    except RemoteError as error:
        return shown(deltas, error)
    return shown(deltas)


def read_whole(transcript: Transcript) -> str:
    """The deltas of the JSON body, as text."""
    assert transcript.whole is not None
    try:
        return shown(transcript.reader().whole(transcript.whole))
    except RemoteError as error:
        return shown([], error)


def check(transcript: Transcript, found: str) -> None:
    """``found`` is what the file says; with the switch set the file says it from now on."""
    if os.environ.get("REWRITE_GOLDEN"):
        text = transcript.path.read_text(encoding="utf-8")
        kept = text[: text.index("=== deltas\n")]
        transcript.path.write_text(f"{kept}=== deltas\n{found}", encoding="utf-8")
        transcript.deltas = found
    assert found == transcript.deltas


def joined(deltas: Sequence[Delta]) -> list[Delta]:
    """The deltas with neighbours of one kind made one: what no cut may change."""
    merged: list[Delta] = []
    for delta in deltas:
        last = merged[-1] if merged else None
        match last, delta:
            case (Text(), Text()):
                both = [*(last.logprobs or []), *(delta.logprobs or [])]
                merged[-1] = Text(last.text + delta.text, both or None)
            case (Thought(), Thought()):
                merged[-1] = Thought(last.text + delta.text)
            case (Declined(), Declined()):
                merged[-1] = Declined(last.text + delta.text)
            case (CallArguments(), CallArguments()) if last.index == delta.index:
                merged[-1] = CallArguments(last.index, last.text + delta.text)
            case _:
                merged.append(delta)
    return merged


def shown(deltas: Sequence[Delta], error: RemoteError | None = None) -> str:
    """One line per delta, then the error if there was one."""
    lines = [_line(delta) for delta in joined(deltas)]
    if error is not None:
        retry = " retryable" if error.retryable else ""
        lines.append(f"{type(error).__name__} {error.status} {error.code}{retry}: {error.message}")
    return "\n".join(lines) + "\n"


def _line(delta: Delta) -> str:
    name = type(delta).__name__
    if isinstance(delta, Text) and delta.logprobs:
        tokens = msgspec.json.encode(delta.logprobs).decode()
        return f"{name} {json.dumps(delta.text, ensure_ascii=False)} {tokens}"
    values = [getattr(delta, field) for field in delta.__struct_fields__ if field != "logprobs"]
    if isinstance(delta, Spent):
        names = ("input", "output", "cached", "reasoning")
        return f"{name} " + " ".join(map(str, chain(*zip(names, values, strict=True))))
    return " ".join([name, *(json.dumps(value, ensure_ascii=False) for value in values)])
