"""Events as bytes of a stream (SSE), or as messages of a WebSocket. No I/O.

``event: <type>``, ``data: <one line of JSON>``, a blank line. The end is ``data: [DONE]`` after
the terminal event, in the same write (Open Responses asks for it, the SDK accepts it). Never
``id:`` or ``retry:``: after one, the SDK's decoder turns a comment into an event
(api-surface §7.1).

Nearly all events of a stream are deltas, and deltas come in runs of one type. So a run is
encoded in one call, one JSON per line, and what stands between two events of one type replaces
the line ends (JSON itself holds none): less than half the price of event by event.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from itertools import groupby
from typing import Any, get_args

import msgspec

from antiphon.types.events import Delta, Event, name_of
from antiphon.types.request import CreateResponse

CONTENT_TYPE = b"text/event-stream; charset=utf-8"
HEADERS = [(b"cache-control", b"no-cache"), (b"x-accel-buffering", b"no")]
"""Beside the type: nothing on the way may keep a stream, or wait until it has gathered much."""
DONE = b"data: [DONE]\n\n"
OBFUSCATION_MAX = 32

_SEPARATORS = [(mark.encode(), b"\\u%04x" % ord(mark)) for mark in "\u0085\u2028\u2029"]
_DELTAS: frozenset[type[Event]] = frozenset(get_args(Delta))
_FEW = 8
"""Up to here runs are not worth looking for."""
_DRAWN = 25
"""Random bytes per delta: 24 for up to 32 characters, one for how many of them."""
_encoder = msgspec.json.Encoder()
_encode = _encoder.encode
_encode_lines = _encoder.encode_lines


class _Prefixes(dict[type[Event], bytes]):
    """The bytes before an event's JSON, made at the first event of its type."""

    def __missing__(self, event: type[Event]) -> bytes:
        prefix = self[event] = b"event: %s\ndata: " % name_of(event).encode()
        return prefix


_PREFIXES = _Prefixes()


def chunk_frame(chunk: Any) -> bytes:
    """One chunk of a chat completion, or its error, as it goes over the wire: it has no name."""
    frame = b"data: %b\n\n" % _encode(chunk)
    return frame if frame.isascii() else safe(frame)


def frames(group: Sequence[Event], response: bytes | None = None) -> bytes:
    """The events as they go over the wire, joined.

    ``response``: the JSON of what the group's last event carries, a terminal event, where it is
    already spelled (``stream/spelling.py``); the event's own ``response`` is then not looked at.
    """
    if response is None and len(group) == 1:  # a paced stream: nearly all groups
        event = group[0]
        frame = _PREFIXES[type(event)] + _encode(event) + b"\n\n"
        return frame if frame.isascii() else safe(frame)
    parts: list[bytes] = []
    events = group if response is None else group[:-1]
    if len(events) > _FEW:
        for kind, run in groupby(events, type):
            prefix = _PREFIXES[kind]
            lines = _encode_lines(list(run))  # msgspec never lets go of an iterator it was given
            parts += (prefix, lines[:-1].replace(b"\n", b"\n\n" + prefix), b"\n\n")
    else:
        for event in events:
            parts += (_PREFIXES[type(event)], _encode(event), b"\n\n")
    if response is not None:
        parts += _around(group[-1], response)
    joined = b"".join(parts)
    return joined if joined.isascii() else safe(joined)


def messages(
    group: Sequence[Event], response: bytes | None = None, mark: bytes = b""
) -> list[bytes]:
    """The events as messages of a WebSocket: the same JSON, each by itself. ``response`` as for
    ``frames``; ``mark`` stands at the end of each object (``,"stream_id":"a"``)."""
    if response is None and len(group) == 1:
        told = [_encode(group[0])]
    else:
        events = group if response is None else group[:-1]
        told = _encode_lines(list(events)).split(b"\n")[:-1]
        if response is not None:
            _, head, body, _ = _around(group[-1], response)
            told.append(b"%b%b}" % (head, body))
    return [b"%b%b}" % (one[:-1], mark) for one in told] if mark else told


def safe(frames: bytes) -> bytes:
    """Without what readers that split text into lines the Unicode way would cut an event at."""
    for separator, escape in _SEPARATORS:
        if separator[-1] in frames:  # looking for one byte is ten times as fast as for three
            frames = frames.replace(separator, escape)
    return frames


def _around(event: Event, response: bytes) -> tuple[bytes, ...]:
    """The frame of a lifecycle event round the JSON of its response."""
    kind = type(event)
    name = name_of(kind).encode()
    head = b'{"type":"%b","sequence_number":%d,"response":' % (name, event.sequence_number)
    return _PREFIXES[kind], head, response, b"}\n\n"


def is_veiled(asked: CreateResponse) -> bool:
    """Whether this request wants its stream obfuscated. Unlike OpenAI's, ours is not by default."""
    return asked.stream_options is not None and asked.stream_options.include_obfuscation is True


def obfuscated(group: Sequence[Event], random: Callable[[int], bytes]) -> list[Event]:
    """The same events, the deltas among them with 1 to 32 random characters in ``obfuscation``.

    ``random(n)`` gives n random bytes; it is asked once for the whole group.
    """
    drawn = random(_DRAWN * len(group))
    return [
        msgspec.structs.replace(event, obfuscation=_padding(drawn[at : at + _DRAWN]))
        if type(event) in _DELTAS
        else event
        for at, event in zip(range(0, len(drawn), _DRAWN), group, strict=True)
    ]


def veil(random: Callable[[int], bytes]) -> str:
    """1 to 32 random characters for one chunk."""
    return _padding(random(_DRAWN))


def _padding(drawn: bytes) -> str:
    return base64.urlsafe_b64encode(drawn[:24])[: 1 + drawn[24] % OBFUSCATION_MAX].decode()
