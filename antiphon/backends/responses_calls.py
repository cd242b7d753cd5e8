"""Calls as a Responses upstream says them → ``CallStart`` and ``CallArguments``.

A function's or freeform call begins with its name and id and goes on in pieces. A call of a tool
with an item of its own (a shell's, a patch) is there at once; it becomes the call of the function
a model without that tool would have made, so that the composer makes the same item of both
(``stream/forms.py``). Calls the upstream makes itself pass as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from msgspec import Raw

from antiphon.backends.chat_body import Offered
from antiphon.backends.freeform import Unwrap
from antiphon.backends.responses_wire import UNREADABLE, Item
from antiphon.stream.deltas import CallArguments, CallStart, Delta
from antiphon.stream.forms import NATIVE
from antiphon.types.tool_items import (
    ApplyPatchCall,
    ComputerCall,
    HostedCall,
    LocalShellCall,
    ShellCall,
)
from antiphon.types.tools import called

CALL_ID_LENGTH_MAX = 64

_encode = msgspec.json.Encoder().encode
_decode_hosted = msgspec.json.Decoder(HostedCall).decode
_decode_native = msgspec.json.Decoder(
    ShellCall | LocalShellCall | ApplyPatchCall | ComputerCall
).decode


class _Call:
    """One call while it arrives."""

    __slots__ = ("pieces", "unwrap")

    def __init__(self, unwrap: Unwrap | None) -> None:
        self.unwrap = unwrap
        self.pieces = False


class Calls:
    """The calls of one answer, by their place in the upstream's output. True once there is one.
    ``offered``: the turn's tools by the name the upstream knows."""

    def __init__(self, offered: Mapping[str, Offered]) -> None:
        self._offered = offered
        self._calls: dict[int, _Call] = {}
        self._any = False

    def __bool__(self) -> bool:
        return self._any

    def begin(self, item: Item, index: int) -> list[Delta]:
        """A call was added. One without a name waits for its end."""
        if not item.name or index in self._calls:
            return []
        name = called(item.namespace, item.name)
        custom = item.type == "custom_tool_call"
        tool = self._offered.get(name) or Offered(name, "custom" if custom else "function")
        wrapped = tool.kind == "custom" and not custom
        self._calls[index] = _Call(Unwrap() if wrapped else None)
        self._any = True
        return [CallStart(index, tool.kind, tool.name, _usable(item.call_id))]

    def piece(self, index: int, text: str) -> list[Delta]:
        """A piece of the arguments or the input of the call at ``index``."""
        call = self._calls.get(index)
        if call is None or not text:
            return []
        call.pieces = True
        if call.unwrap is not None:
            text = call.unwrap.feed(text)
        return [CallArguments(index, text)] if text else []

    def end(self, item: Item, index: int) -> list[Delta]:
        """A call is whole: what of it was not told yet."""
        deltas = self.begin(item, index)
        call = self._calls.get(index)
        if call is None:
            return deltas
        if not call.pieces:
            whole = item.input if item.type == "custom_tool_call" else item.arguments
            text = whole if isinstance(whole, str) else _encode(whole or {}).decode()
            deltas += self.piece(index, text)
        if call.unwrap is not None and (rest := call.unwrap.end()):
            deltas.append(CallArguments(index, rest))
        return deltas

    def native(self, type: str, raw: Raw, index: int) -> list[Delta] | None:
        """A call of a tool that is more than a function; None if it is none of these."""
        arguments_of = _ARGUMENTS.get(type)
        if arguments_of is None:
            return None
        try:
            item: Any = _decode_native(raw)
        except UNREADABLE:
            return None
        self._any = True
        name, arguments = arguments_of(item)
        start = CallStart(index, "function", name, _usable(item.call_id))
        return [start, CallArguments(index, _encode(arguments).decode())]


def _usable(call_id: str | None) -> str:
    return call_id if call_id and len(call_id) <= CALL_ID_LENGTH_MAX else ""


def hosted_call(raw: Raw) -> HostedCall | None:
    """The call of a tool the upstream runs itself; None if the item is anything else."""
    try:
        call: HostedCall = _decode_hosted(raw)
        return call
    except UNREADABLE:
        return None


def _computer(item: ComputerCall) -> tuple[str, dict[str, Any]]:
    arguments: dict[str, Any] = {}
    if item.pending_safety_checks:
        arguments["pending_safety_checks"] = item.pending_safety_checks
    if isinstance(item.actions, list):
        arguments["actions"] = item.actions
    else:
        arguments["action"] = item.action or {}
    return NATIVE["computer"].name, arguments


def _local_shell(item: LocalShellCall) -> tuple[str, dict[str, Any]]:
    action = msgspec.to_builtins(item.action)
    return NATIVE["local_shell"].name, action


_ARGUMENTS: Mapping[str, Callable[[Any], tuple[str, dict[str, Any]]]] = {
    "shell_call": lambda item: (NATIVE["shell"].name, msgspec.to_builtins(item.action)),
    "local_shell_call": _local_shell,
    "apply_patch_call": lambda item: (NATIVE["apply_patch"].name, item.operation),
    "computer_call": _computer,
}
"""By the type of the item: the function a model without the tool calls, and its arguments."""
