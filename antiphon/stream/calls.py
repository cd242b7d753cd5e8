"""A call while its arguments arrive, and the item it becomes."""

from __future__ import annotations

import json

from antiphon.stream.deltas import CallStart
from antiphon.types.items import CustomToolCall, FunctionCall, Status


class CallPieces:
    """A call of the current turn; ``waiting`` holds its pieces while another call is live."""

    __slots__ = ("closed", "start", "waiting")

    def __init__(self, start: CallStart) -> None:
        self.start = start
        self.waiting: list[str] = []
        self.closed = False


def is_object(text: str) -> bool:
    """Whether a text is one whole JSON object."""
    if not text.rstrip().endswith("}"):
        return False
    try:
        return isinstance(json.loads(text), dict)
    except ValueError:
        return False


def call_item(
    start: CallStart, call_id: str, item_id: str, text: str, status: Status
) -> FunctionCall | CustomToolCall:
    """The item of a call with these arguments."""
    if start.kind == "function":
        return FunctionCall(
            call_id=call_id, name=start.name, arguments=text, id=item_id, status=status
        )
    return CustomToolCall(call_id=call_id, name=start.name, input=text, id=item_id, status=status)
