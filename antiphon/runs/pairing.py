"""Calls and their outputs: each call has its output, each output its call, of its own kind.

An output names its call by ``call_id``. One that does not (a local shell's names it by ``id``, a
function's may say its name, a search for tools nothing) gets it when it comes in (``tied``,
``named``), so that nobody behind has to know. A call whose function has ``async`` may stay open:
its output comes in a later turn.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence, Set
from typing import Any

from antiphon.errors import ClientError
from antiphon.ids import Ids, ItemIds
from antiphon.runs.said import CALLS, OUTPUTS, Said
from antiphon.types.base import given
from antiphon.types.items import (
    ANSWERING,
    CALLING,
    Call,
    CallOutput,
    CustomToolCall,
    CustomToolCallOutput,
    FunctionCall,
    FunctionCallOutput,
    Item,
)
from antiphon.types.tool_items import (
    ApplyPatchCall,
    ApplyPatchCallOutput,
    ComputerCall,
    ComputerCallOutput,
    LocalShellCall,
    LocalShellCallOutput,
    ShellCall,
    ShellCallOutput,
    ToolSearchCall,
    ToolSearchOutput,
)

ABOUT_CALLS = CALLING | ANSWERING
_NAMELESS = frozenset({LocalShellCallOutput, ToolSearchCall, ToolSearchOutput})
"""Items of calls that may come without a ``call_id``."""

_Kind = type[Any]

_CALL_OF: Mapping[_Kind, tuple[_Kind, ...]] = {
    FunctionCallOutput: (FunctionCall, CustomToolCall),
    CustomToolCallOutput: (CustomToolCall, FunctionCall),
    ShellCallOutput: (ShellCall,),
    LocalShellCallOutput: (LocalShellCall,),
    ApplyPatchCallOutput: (ApplyPatchCall,),
    ComputerCallOutput: (ComputerCall,),
    ToolSearchOutput: (ToolSearchCall,),
}
"""Which calls an output may belong to, the one it is made for first. Agents mix up the first two,
whose outputs look alike."""
_OUTPUT_OF = {calls[0]: output for output, calls in _CALL_OF.items()}
_WORDS: Mapping[_Kind, str] = {
    FunctionCall: "function",
    CustomToolCall: "custom tool",
    ShellCall: "shell",
    LocalShellCall: "local shell",
    ApplyPatchCall: "apply patch",
    ComputerCall: "computer",
    ToolSearchCall: "tool search",
}


def call_ids_of(kinds: Set[_Kind], items: Sequence[Item]) -> list[str]:
    """The call ids of the items of these kinds (of calls, or of outputs)."""
    found: list[Any] = [item.call_id for item in items if type(item) in kinds]  # type: ignore[union-attr]
    return [call_id for call_id in found if type(call_id) is str]


def tied(raw: Sequence[dict[str, Any]], past: Said) -> Sequence[dict[str, Any]]:
    """The raw items, in which outputs of functions that say a ``name`` instead of a ``call_id``
    have that of the oldest open call of it; the same object if there are none. Raises
    ``ClientError`` where no call of that name is open."""
    if not any(_says_name(one) for one in raw):
        return raw
    open_calls: list[tuple[Any, Any, Any]] = [
        (call.name, call.namespace or "", call_id)
        for call_id, call in past.open.items()
        if isinstance(call, FunctionCall) and call_id not in past.cut
    ]
    answered = {one.get("call_id") for one in raw if one.get("type") == "function_call_output"}
    open_calls = [call for call in open_calls if call[2] not in answered]
    made = []
    for index, one in enumerate(raw):
        if one.get("type") == "function_call" and one.get("call_id") not in answered:
            open_calls.append((one.get("name"), one.get("namespace") or "", one.get("call_id")))
        if not _says_name(one):
            made.append(one)
            continue
        name, namespace = one["name"], one.get("namespace") or ""
        call = next((c for c in open_calls if c[:2] == (name, namespace)), None)
        if call is None:
            raise ClientError(
                f"No tool call found for the function call output of '{str(name)[:80]}': every "
                "call of it in the context has its output. Say the call's call_id.",
                code="tool_call_not_found",
                param=f"input[{index}].name",
            )
        open_calls.remove(call)
        made.append({**one, "call_id": call[2]})
    return made


def _says_name(one: dict[str, Any]) -> bool:
    nameless = one.get("type") == "function_call_output" and one.get("call_id") is None
    return nameless and one.get("name") is not None


def named(
    raw: Sequence[dict[str, Any]], items: Sequence[Item], past: Said, ids: ItemIds | Ids
) -> Sequence[dict[str, Any]]:
    """The raw items with a ``call_id`` where it was missing; the opened ones get it too."""
    if _NAMELESS.isdisjoint(map(type, items)):
        return raw
    shells = {item.id: item.call_id for item in items if isinstance(item, LocalShellCall)}
    made = list(raw)
    search = ""
    for index, item in enumerate(items):
        if type(item) not in _NAMELESS:
            continue
        call_id: Any = item.call_id  # type: ignore[union-attr]
        if isinstance(item, LocalShellCallOutput) and not given(call_id):
            call_id = shells.get(item.id, item.id)
            if isinstance(known := past.by_id.get(str(item.id)), LocalShellCall):
                call_id = known.call_id
        elif isinstance(item, ToolSearchCall):
            call_id = search = call_id or ids.mint("call")
        elif isinstance(item, ToolSearchOutput):
            call_id = call_id or search or None
        if given(call_id):
            item.call_id = call_id  # type: ignore[union-attr]
            made[index] = {**raw[index], "call_id": call_id}
    return made


# Rules --------------------------------------------------------------------------------------


def check_calls(
    past: Said, items: Sequence[Item], kinds: Set[_Kind], places: Sequence[int] | None
) -> None:
    """Every call answered, every output called for. Raises ``ClientError`` naming the call.
    ``items``, of these ``kinds``, come behind the ``past``; ``places``: where in the request."""
    about_calls = not kinds.isdisjoint(ABOUT_CALLS)
    if not past.open and not about_calls:
        return
    called = set(call_ids_of(CALLING, items))
    answered = set(call_ids_of(ANSWERING, items))
    if not answered <= called:
        check_called(called | past.called, items, places=places)
    if answered:
        check_kinds(past, items, places=places)
    for item in (*past.open.values(), *items):
        if type(item) not in CALLING or getattr(item, "later", None):
            continue
        call_id = item.call_id  # type: ignore[union-attr]
        if call_id not in answered and call_id not in past.answered:
            raise ClientError(
                f"No tool output found for {_WORDS[type(item)]} call {call_id}.",
                code="tool_output_not_found",
                param="input",
            )


def check_outputs(past: Said) -> None:
    """In a conversation the call of an output may have been deleted. Raises ``ClientError``."""
    lost = past.answered - past.called
    if lost:
        raise ClientError(
            f"No tool call found for the output with call_id {min(lost)} in the conversation. "
            "Delete that item from it.",
            code="tool_call_not_found",
            param="conversation",
        )


def check_called(
    called: Container[str],
    items: Sequence[Item],
    param: str = "input",
    places: Sequence[int] | None = None,
) -> None:
    """Every output has its call. ``places``: where in ``param`` they stood (None: in order)."""
    for index, item in zip(range(len(items)) if places is None else places, items, strict=True):
        if isinstance(item, OUTPUTS) and item.call_id not in called:
            kind = _WORDS[_CALL_OF[type(item)][0]]
            by_id = isinstance(item, LocalShellCallOutput) and item.call_id == item.id
            field = "id" if by_id else "call_id"
            raise ClientError(
                f"No tool call found for {kind} call output with {field} {item.call_id}. Send the "
                "call before its output, or the id of the response that made it as "
                "previous_response_id.",
                code="tool_call_not_found",
                param=f"{param}[{index}].{field}",
            )


def check_kinds(
    past: Said, items: Sequence[Item], param: str = "input", places: Sequence[int] | None = None
) -> None:
    """Every output is one of its call's kind, and acknowledges what its call demands. Raises
    ``ClientError`` naming the item."""
    calls: dict[Any, list[Call]] = {}
    for item in items:
        if isinstance(item, CALLS):
            calls.setdefault(item.call_id, []).append(item)
    for index, item in zip(range(len(items)) if places is None else places, items, strict=True):
        if not isinstance(item, OUTPUTS) or not given(item.call_id):
            continue
        told = [one for one in past.told.get(str(item.call_id), ()) if isinstance(one, CALLS)]
        asked = [*told, *calls.get(item.call_id, ())]
        fitting = [call for call in asked if type(call) in _CALL_OF[type(item)]]
        if asked and not fitting:
            raise _wrong_kind(item, asked[-1], f"{param}[{index}].type")
        if fitting and isinstance(item, ComputerCallOutput):
            _check_acknowledged(item, fitting[-1], f"{param}[{index}]")


def _wrong_kind(output: CallOutput, call: Call, param: str) -> ClientError:
    got, right, made = (
        str(kind.__struct_config__.tag)
        for kind in (type(output), _OUTPUT_OF[type(call)], type(call))
    )
    return ClientError(
        f"Invalid '{param}': the call with call_id {output.call_id} is a '{made}', which is "
        f"answered by a '{right}', not by a '{got}'.",
        code="invalid_value",
        param=param,
    )


def _check_acknowledged(output: ComputerCallOutput, call: Any, path: str) -> None:
    if not isinstance(call, ComputerCall) or not call.pending_safety_checks:
        return
    given_ids = {check.id for check in output.acknowledged_safety_checks or ()}
    missing = [check.id for check in call.pending_safety_checks if check.id not in given_ids]
    if missing:
        param = f"{path}.acknowledged_safety_checks"
        raise ClientError(
            f"Invalid '{param}': computer call {call.call_id} has pending safety checks that are "
            f"not acknowledged: {', '.join(missing)}. Repeat each of them here once the user has "
            "agreed.",
            code="safety_checks_not_acknowledged",
            param=param,
        )
