"""What PostgreSQL's notifications between replicas hold: letters of several entries. No I/O.

A letter is JSON text of at most ``LETTER_BYTES_MAX`` bytes: who wrote it, a number that no other
letter of theirs has (PostgreSQL drops a notification that repeats another of its transaction),
and entries of three parts: a kind, a topic, a payload.

    say     a message                 hello   I am new: forget what you knew of me, tell me yours
    want    I have a subscriber       told    now you know all the topics I want
    drop    I have none any more      bye     I am leaving
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

LETTER_BYTES_MAX = 7_900
"""PostgreSQL takes less than 8,000."""

SAY, WANT, DROP, HELLO, TOLD, BYE = "say", "want", "drop", "hello", "told", "bye"

Entry = tuple[str, str, bytes]
Letter = tuple[int, int, list[Entry]]

_HEAD_BYTES = 48  # brackets, commas, two numbers
_decode = msgspec.json.Decoder(Letter).decode


def written(entry: Entry) -> bytes:
    """An entry as it stands in a letter. Raises ``ValueError`` if no letter can hold it."""
    text = msgspec.json.encode(entry)
    if len(text) > LETTER_BYTES_MAX - _HEAD_BYTES:
        raise ValueError(f"a message of {len(text)} bytes is too long for the bus")
    return text


def sealed(sender: int, number: int, entries: Sequence[bytes]) -> list[str]:
    """The written entries as letters, numbered from ``number`` on."""
    letters: list[str] = []
    inside: list[bytes] = []
    size = _HEAD_BYTES
    for entry in entries:
        if size + len(entry) + 1 > LETTER_BYTES_MAX:
            letters.append(_letter(sender, number + len(letters), inside))
            inside, size = [], _HEAD_BYTES
        inside.append(entry)
        size += len(entry) + 1
    if inside:
        letters.append(_letter(sender, number + len(letters), inside))
    return letters


def opened(text: str) -> Letter | None:
    """What a letter says; None if it is none."""
    try:
        letter: Letter = _decode(text)
    except ValueError:
        return None
    return letter if letter[2] else None


def _letter(sender: int, number: int, entries: Sequence[bytes]) -> str:
    return f"[{sender},{number},[{b','.join(entries).decode()}]]"
