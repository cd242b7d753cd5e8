"""A call while its arguments arrive, and the item it becomes."""

from __future__ import annotations

import json

from antiphon.stream.deltas import CallStart
from antiphon.stream.forms import Form, Renamed
from antiphon.types.items import CustomToolCall, FunctionCall, Status


class CallPieces:
    """A call of the current turn; ``waiting`` holds its pieces while another call is live, or
    all of them where its ``form`` is shown as a whole."""

    __slots__ = ("closed", "form", "start", "waiting")

    def __init__(self, start: CallStart, form: Form | None) -> None:
        self.start = start
        self.form = form
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
    start: CallStart, form: Form | None, call_id: str, item_id: str, text: str, status: Status
) -> FunctionCall | CustomToolCall:
    """The item of a call with these arguments."""
    item: FunctionCall | CustomToolCall
    if start.kind == "function":
        item = FunctionCall(call_id, start.name, text, item_id, status)
    else:
        item = CustomToolCall(call_id, start.name, text, item_id, status)
    if isinstance(form, Renamed):
        item.name, item.namespace, item.later = form.name, form.namespace, form.later
    return item
