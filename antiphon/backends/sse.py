"""Server-sent events, read incrementally and without I/O (WHATWG HTML §9.2.6).

Only the ``data`` of an event is of interest here: ``event``, ``id`` and ``retry`` fields and
comments are read over. Bytes stay bytes, so a chunk border inside a UTF-8 sequence is no case.

Theory of operation: carriage returns become line feeds on arrival, so an event ends exactly at
a double line feed. A read of the shape models send nearly always, events of one ``data: …`` line
each, is cut into payloads by one ``split``; its line feeds, counted, tell that shape from any
other; so is one of events with a line that names them. Everything else goes line by line.
"""

from __future__ import annotations

from antiphon.errors import RemoteError

EVENT_LIMIT_BYTES = 16 * 1024 * 1024
"""Longest event; an upstream that never ends one would otherwise fill the memory."""

_BOM = b"\xef\xbb\xbf"
_DATA = b"\ndata: "


class Events:
    """One stream's parser. Feed reads in any cut; the answer does not depend on the cut."""

    __slots__ = ("_after_cr", "_at_start", "_between", "_limit_bytes", "_pieces", "_size")

    def __init__(self, *, limit_bytes: int = EVENT_LIMIT_BYTES) -> None:
        self._limit_bytes = limit_bytes
        self._pieces: list[bytes] = []  # an event that has not ended yet, as it came
        self._size = 0
        self._at_start = True
        self._after_cr = False
        self._between = False  # events: nothing of what came before concerns what comes

    def feed(self, data: bytes) -> list[bytes]:
        """The payloads of the events that ``data`` completes, in order.

        Several ``data`` lines of one event are joined by a line feed. A payload may be empty
        (a bare ``data:``). Raises ``RemoteError`` 502 when an event exceeds the limit.
        """
        # Single bytes as numbers: looking for bytes costs ten times more.
        if not self._between or 13 in data:
            data = self._continued(data)
        end = len(data) - 2
        if data.find(10) == end and data[:6] == b"data: " and data[-1] == 10:
            if end <= self._limit_bytes:
                return [data[6:end]]
        elif not data:
            return []
        elif data[:7] == b"event: " and data.find(b"\n\n") == end <= self._limit_bytes:
            at = data.find(10)
            if data[at : at + 7] == _DATA and data.find(10, at + 1) == end:
                return [data[at + 7 : end]]
        elif not data.endswith(b"\n\n"):
            end = data.rfind(b"\n\n")
            self._keep(data[end + 2 :] if end >= 0 else data)
            if end < 0:
                return []
        if data[:6] == b"data: " and end <= self._limit_bytes:
            payloads = data[6:end].split(b"\n\ndata: ")
            if data.count(b"\n", 0, end) == 2 * len(payloads) - 2:
                return payloads
        elif data[:7] == b"event: " and end <= self._limit_bytes:
            named = data[:end].split(b"\n\n")
            if data.count(b"\n", 0, end) == 3 * len(named) - 2:
                payloads = [block[at + 7 :] for block in named if (at := block.find(_DATA)) > 0]
                if len(payloads) == len(named):  # each has its one line feed there
                    return payloads
        payloads = []
        for block in data[:end].split(b"\n\n"):
            payloads += _payload(block)
            if len(block) > self._limit_bytes:
                raise self._too_long()
        return payloads

    def end(self) -> list[bytes]:
        """The payload of a last event that the stream ended without a blank line, if any.

        The standard drops such an event; models' servers do forget the blank line.
        """
        rest = b"".join(self._pieces)
        self._pieces.clear()
        self._size = 0
        return _payload(rest)

    def _continued(self, data: bytes) -> bytes:
        """``data`` with what came before, its lines ending in line feeds; nothing while that
        cannot end an event."""
        if self._at_start:
            data = self._without_bom(data)
        if self._after_cr or 13 in data:
            data = self._line_feeds_only(data)
        if self._pieces and data:
            data = self._with_rest(data)
        self._between = not (self._at_start or self._after_cr or self._pieces)
        return data

    def _keep(self, rest: bytes) -> None:
        """The beginning of an event that has not ended yet."""
        self._between = False
        self._pieces.append(rest)
        self._size = len(rest)
        if self._size > self._limit_bytes:
            raise self._too_long()

    def _with_rest(self, data: bytes) -> bytes:
        """What came before joined to ``data`` if that can end an event, else nothing.

        Without this a long event in many small reads would be searched over and over.
        """
        pieces = self._pieces
        pieces.append(data)
        self._size += len(data)
        if data.find(b"\n\n") < 0 and not (data[0] == 10 and pieces[-2][-1] == 10):
            if self._size > self._limit_bytes:
                raise self._too_long()
            return b""
        joined = b"".join(pieces)
        pieces.clear()
        self._size = 0
        return joined

    def _without_bom(self, data: bytes) -> bytes:
        if self._pieces:
            data = self._pieces.pop() + data
        if len(data) < len(_BOM) and _BOM.startswith(data):
            if data:
                self._pieces.append(data)
            return b""
        self._at_start = False
        return data.removeprefix(_BOM)

    def _line_feeds_only(self, data: bytes) -> bytes:
        if self._after_cr and data:
            data = data.removeprefix(b"\n")
            self._after_cr = False
        if data.endswith(b"\r"):
            self._after_cr = True
        return data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")

    def _too_long(self) -> RemoteError:
        return RemoteError(
            f"The upstream sent an event longer than {self._limit_bytes} bytes.",
            code="upstream_too_large",
        )


def _payload(block: bytes) -> list[bytes]:
    """The data of one event, line by line: a list of one payload, or empty if it has none."""
    lines: list[bytes] = []
    for line in block.split(b"\n"):
        name, _, value = line.partition(b":")
        if name == b"data":
            lines.append(value.removeprefix(b" "))
    return [b"\n".join(lines)] if lines else []
