"""``Said``: the items of a chain of responses, and what the rules ask of them.

It only grows, at its end, and everything it tells grows with it: so a turn costs its own items,
however long its past. Turns that follow one another share one; who needs it as it was (a branch,
or a turn that went on while another was waiting) takes ``upto``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from antiphon.types.base import given
from antiphon.types.codec import open_stored
from antiphon.types.content import InputFile
from antiphon.types.items import (
    ANSWERING,
    CALLING,
    Call,
    CallOutput,
    Compaction,
    CustomToolCallOutput,
    FunctionCallOutput,
    Item,
    Message,
    Opaque,
    Reasoning,
)
from antiphon.types.tool_items import AdditionalTools, ConfigurationUpdate, ToolSearchOutput

BRINGING = frozenset({AdditionalTools, ConfigurationUpdate, ToolSearchOutput})
"""Items that bring tools or settings (``gained.py``)."""
CALLS, OUTPUTS = Call, CallOutput
WITH_PARTS = FunctionCallOutput | CustomToolCallOutput
"""Outputs that are made of content parts, or one text."""


class Said:
    """Everything said up to one response.

    ``items``: oldest first. ``by_id``: those with an id (of several with one id, the last).
    ``told``: calls and outputs by call_id. ``called``, ``answered``: the call_ids of calls, of
    outputs. ``open``: calls without an output, by call_id, in their order. ``cut``: those of them
    that were cut short. ``opaque``: types of the items we do not interpret. ``files``: one holds
    a document. ``compacted``: one is a compaction; ``sealed``: reasoning among them is sealed.
    ``bringing``: those that bring tools or settings.
    ``size_bytes``: of the JSON it was read from.
    """

    __slots__ = (
        "answered",
        "bringing",
        "by_id",
        "called",
        "compacted",
        "cut",
        "files",
        "items",
        "opaque",
        "open",
        "sealed",
        "size_bytes",
        "told",
    )

    def __init__(self, items: Sequence[Item] = (), size_bytes: int = 0) -> None:
        self.items: list[Item] = []
        self.by_id: dict[str, Item] = {}
        self.told: dict[str, list[Call | CallOutput]] = {}
        self.called: set[str] = set()
        self.answered: set[str] = set()
        self.open: dict[str, Call] = {}
        self.cut: set[str] = set()
        self.opaque: set[str] = set()
        self.bringing: list[Item] = []
        self.files = False
        self.compacted = False
        self.sealed = False
        self.size_bytes = size_bytes
        if items:
            self.add(items)

    def upto(self, length: int) -> Said:
        """What was said when there were ``length`` items."""
        return Said(self.items[:length], self.size_bytes * length // (len(self.items) or 1))

    def read(self, array: bytes) -> None:
        """Add the items of a stored JSON array."""
        self.size_bytes += len(array)
        self.add(open_stored(array))

    def add(self, items: Sequence[Item]) -> None:
        """What was said next."""
        self.items += items
        for item in items:
            kind = type(item)
            if kind is Message:
                self.files = self.files or has_file(item.content)  # type: ignore[union-attr,arg-type]
            elif kind in CALLING:
                self._call(item)  # type: ignore[arg-type]
            elif kind in ANSWERING:
                self._answer(item)  # type: ignore[arg-type]
            elif kind is Reasoning:
                self.sealed = self.sealed or given(item.encrypted_content)  # type: ignore[union-attr]
            elif kind is Compaction:
                self.compacted = True
            elif kind is Opaque:
                self.opaque.add(item.type)  # type: ignore[union-attr]
            elif kind in BRINGING:
                self.bringing.append(item)
            if id := id_of(item):
                self.by_id[id] = item

    def _call(self, call: Call) -> None:
        call_id = call.call_id
        if not isinstance(call_id, str):  # of a search somebody else has made and answered
            return
        self.told.setdefault(call_id, []).append(call)
        self.called.add(call_id)
        if call_id not in self.answered:
            self.open.setdefault(call_id, call)
            if call.status == "incomplete":
                self.cut.add(call_id)

    def _answer(self, output: CallOutput) -> None:
        call_id = output.call_id
        if type(output) in BRINGING:
            self.bringing.append(output)
        if not isinstance(call_id, str):
            return
        self.told.setdefault(call_id, []).append(output)
        self.answered.add(call_id)
        self.open.pop(call_id, None)
        self.cut.discard(call_id)
        if isinstance(output, WITH_PARTS):
            self.files = self.files or has_file(output.output)


def has_file(content: str | Sequence[Any]) -> bool:
    """Whether one of the parts is a document."""
    return type(content) is not str and InputFile in map(type, content)


def id_of(item: Item) -> str | None:
    """The item's id, if it has one."""
    id = item.raw.get("id") if type(item) is Opaque else item.id  # type: ignore[union-attr]
    return id if type(id) is str else None
