"""How the deltas of one stream were cut: all that a replay needs besides the response.

One small record per streamed response: the length of each delta in characters (0 stands for an
annotation), in order, and the number of logprobs of each text delta where the response carries
logprobs. The gate keeps it as events pass.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from antiphon.types.events import AnnotationAdded, Event, OutputTextDelta


class Cuts(msgspec.Struct, array_like=True):
    """The record (see the module)."""

    lengths: list[int] = []
    logprobs: list[int] = []

    def pieces(self, texts: Sequence[str]) -> None:
        """Note deltas that carry nothing but text."""
        self.lengths.extend(map(len, texts))

    def note(self, event: Event) -> None:
        """Note an event if it is a text delta with logprobs, or an annotation."""
        if isinstance(event, OutputTextDelta):
            self.lengths.append(len(event.delta))
            self.logprobs.append(len(event.logprobs))
        elif isinstance(event, AnnotationAdded):
            self.lengths.append(0)

    def packed(self) -> bytes:
        return msgspec.msgpack.encode(self)


def unpacked(cuts: bytes | None) -> Cuts | None:
    """The record as stored, opened."""
    return None if cuts is None else msgspec.msgpack.decode(cuts, type=Cuts)
