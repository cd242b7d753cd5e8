"""Calls as a Responses upstream says them → ``CallStart`` and ``CallArguments``.

A function's or freeform call begins with its name and id and goes on in pieces. A call of a tool
with an item of its own (a shell's, a patch) is there at once; it becomes the call of the function
a model without that tool would have made, so that the composer makes the same item of both
(``stream/forms.py``). Calls the upstream makes itself pass as they are.

An upstream may leave out the places of its output, or use one twice: calls are counted here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from msgspec import Raw

from antiphon.backends.chat_body import Offered
from antiphon.backends.freeform import Unwrap
from antiphon.backends.responses_wire import UNREADABLE, Item
from antiphon.errors import RemoteError
from antiphon.stream.deltas import (
    CallArguments,
    CallStart,
    Delta,
    ItemEnd,
    ItemStage,
    ItemStart,
)
from antiphon.stream.forms import NATIVE
from antiphon.types.base import given
from antiphon.types.tool_items import (
    ApplyPatchCall,
    ComputerCall,
    HostedCall,
    LocalShellCall,
    ShellCall,
    WebSearchCall,
)
from antiphon.types.tools import called

CALL_ID_LENGTH_MAX = 64

STAGE_OF = {
    f"response.{kind}.{stage}": place
    for kind, stages in {
        "web_search_call": ("in_progress", "searching", "completed"),
        "file_search_call": ("in_progress", "searching", "completed"),
        "code_interpreter_call": ("in_progress", "code", "interpreting", "completed"),
        "image_generation_call": ("in_progress", "generating", "completed"),
    }.items()
    for place, stage in enumerate(stages, 1)
}
"""The events of a hosted call → how many of its stages are then there."""

_encode = msgspec.json.Encoder().encode
_decode_hosted = msgspec.json.Decoder(HostedCall).decode
_Native = ShellCall | LocalShellCall | ApplyPatchCall | ComputerCall


class _Call:
    """One call while it arrives."""

    __slots__ = ("number", "pieces", "unwrap")

    def __init__(self, number: int, unwrap: Unwrap | None) -> None:
        self.number = number
        self.unwrap = unwrap
        self.pieces = False


class Calls:
    """The calls of one answer, open ones by their place in the upstream's output. True once there
    is one. ``offered``: the turn's tools by the name the upstream knows."""

    def __init__(self, offered: Mapping[str, Offered]) -> None:
        self._offered = offered
        self._calls: dict[int, _Call] = {}
        self._count = 0

    def __bool__(self) -> bool:
        return self._count > 0

    def begin(self, item: Item, index: int) -> list[Delta]:
        """A call was added. One without a name waits for its end."""
        if not item.name or index in self._calls:
            return []
        name = called(item.namespace, item.name)
        custom = item.type == "custom_tool_call"
        tool = self._offered.get(name) or Offered(name, "custom" if custom else "function")
        wrapped = tool.kind == "custom" and not custom
        self._calls[index] = _Call(self._count, Unwrap() if wrapped else None)
        self._count += 1
        return [CallStart(self._count - 1, tool.kind, tool.name, _usable(item.call_id))]

    def piece(self, index: int, text: str) -> list[Delta]:
        """A piece of the arguments or the input of the call at ``index``."""
        call = self._calls.get(index)
        if call is None or not text:
            return []
        call.pieces = True
        if call.unwrap is not None:
            text = call.unwrap.feed(text)
        return [CallArguments(call.number, text)] if text else []

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
            deltas.append(CallArguments(call.number, rest))
        del self._calls[index]
        return deltas

    def native(self, type: str, raw: Raw) -> list[Delta] | None:
        """A call of a tool that is more than a function; None if it is none of these. Raises
        ``RemoteError`` for one that cannot be read: it must not go missing."""
        arguments_of = _ARGUMENTS.get(type)
        if arguments_of is None:
            return None
        try:
            said = msgspec.json.decode(raw)
            call_id = said.get("call_id")
            item: Any = msgspec.convert({**said, "call_id": "any"}, _Native)
        except UNREADABLE:
            raise RemoteError(
                f"The upstream made a '{type[:64]}' that cannot be read.",
                code="upstream_invalid_response",
                retryable=False,
            ) from None
        name, arguments = arguments_of(item)
        number, self._count = self._count, self._count + 1
        start = CallStart(number, "function", name, _usable(call_id))
        return [start, CallArguments(number, _encode(arguments).decode())]


class Hosted:
    """The calls of one answer that the upstream makes itself. One is told while it goes on
    (``live``: its place); whatever else is said meanwhile has to wait, and one that went on beside
    it is told when it is over."""

    def __init__(self) -> None:
        self.live: int | None = None
        self._kind: type[Any] | None = None

    def begin(self, raw: Raw, index: int) -> list[Delta]:
        call = hosted_call(raw)
        if call is None or self.live is not None:
            return []
        self.live, self._kind = index, type(call)
        return [ItemStart(call)]

    def stage(self, index: int | None, stage: ItemStage) -> list[Delta]:
        """How far the live one is."""
        mine = self.live is not None and (index is None or index == self.live)
        return [stage] if mine else []

    def end(self, raw: Raw, index: int) -> tuple[list[Delta], bool] | None:
        """One is over; whether it was the live one. None if the item is anything else."""
        call = hosted_call(raw)
        if call is None:
            return None
        if call.status != "completed":  # it is over, and the answer goes on without it
            fell = call.status in ("failed", "incomplete")
            call = msgspec.structs.replace(call, status="failed" if fell else "completed")
        if isinstance(call, WebSearchCall) and not given(call.action):
            call.action = {"type": "search"}  # which the API demands, and not all say
        if self.live == index and type(call) is self._kind:
            self.live = None
            return [ItemEnd(call)], True
        return [ItemStart(call), ItemEnd(call)], False


def _usable(call_id: Any) -> str:
    fits = isinstance(call_id, str) and len(call_id) <= CALL_ID_LENGTH_MAX
    return str(call_id) if fits else ""


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
