"""Calls that are more than a function's: the item a call becomes, and what a model is shown of it.

A chat model calls functions, and nothing else. A tool with an item of its own is therefore shown
to it as a function (``NATIVE``; the texts and schemas are in ``native_schemas.py``), and a call of
that function becomes the item (``Form``). The way back, for a model that reads what was said
before, is in ``backends/equivalents.py``.

A form is looked up by the name the model calls; a name without one is a plain function's or
freeform tool's.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Literal

import msgspec
from msgspec import Struct

from antiphon.stream import native_schemas as schemas
from antiphon.types.base import UNSET, UnsetType
from antiphon.types.items import OutputItem, Status
from antiphon.types.tool_items import (
    ApplyPatchCall,
    CodeInterpreterCall,
    ComputerCall,
    FileSearchCall,
    HostedCall,
    ImageGenerationCall,
    LocalShellAction,
    LocalShellCall,
    McpApprovalRequest,
    McpCall,
    SafetyCheck,
    ShellAction,
    ShellCall,
    ToolSearchCall,
    WebSearchCall,
)
from antiphon.types.tools import ComputerPreviewTool, FunctionTool, NativeTool, ShellTool

Make = Callable[[str, str, Any, Status], OutputItem]
"""(item id, call id, arguments, status) → the item."""


class Renamed(Struct, frozen=True):
    """A function or freeform tool that the caller knows under another name than the model does,
    or whose output may come ``later``."""

    name: str
    namespace: str | UnsetType = UNSET
    later: bool | UnsetType = UNSET


class Collected(Struct, frozen=True):
    """A call that is shown once it is there as a whole. ``prefix``: of its item's id. ``make``
    raises ``ValueError`` or ``msgspec.ValidationError`` for arguments that say nothing."""

    prefix: str
    make: Make


class Answered(Struct, frozen=True):
    """A call of an MCP server's tool: its item stays open until the server has answered it."""

    server_label: str
    name: str


Form = Renamed | Collected | Answered


class Native(Struct, frozen=True):
    """A tool with an item of its own as the function a model is shown in its place."""

    name: str
    description: str
    schema: dict[str, Any]
    form: Collected


def collected(form: Collected, item_id: str, call_id: str, text: str, status: Status) -> OutputItem:
    """The item of a call whose arguments are this JSON text. Raises as ``Collected`` says."""
    arguments = json.loads(text) if text.strip() else {}
    if not isinstance(arguments, dict):
        raise ValueError("the arguments are not an object")
    if "\\ud" in text or "\\uD" in text:
        arguments = _written(arguments)
    return form.make(item_id, call_id, arguments, status)


def _written(value: Any) -> Any:
    """The value with texts that can be written again: half a surrogate pair is no character."""
    if isinstance(value, str):
        return value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    if isinstance(value, dict):
        return {_written(key): _written(inner) for key, inner in value.items()}
    return [_written(inner) for inner in value] if isinstance(value, list) else value


def _shell(item_id: str, call_id: str, arguments: Any, status: Status) -> OutputItem:
    action = msgspec.convert(_whole(arguments), ShellAction)
    return ShellCall(call_id, action, item_id, status, {"type": "local"})


def _local_shell(item_id: str, call_id: str, arguments: Any, status: Status) -> OutputItem:
    action = msgspec.convert({"type": "exec", "env": {}, **_whole(arguments)}, LocalShellAction)
    return LocalShellCall(call_id, action, item_id, status)


def _apply_patch(item_id: str, call_id: str, arguments: Any, status: Status) -> OutputItem:
    if status == "incomplete":
        raise ValueError("a diff that was cut must not be applied, and its item has no such status")
    operation = {key: arguments[key] for key in ("type", "path")}
    if operation["type"] != "delete_file":
        operation["diff"] = arguments.get("diff") or ""
    if not all(type(value) is str for value in operation.values()):
        raise ValueError("type, path and diff of an operation are texts")
    return ApplyPatchCall(call_id, operation, item_id, status)


def _computer(item_id: str, call_id: str, arguments: Any, status: Status) -> OutputItem:
    checks = msgspec.convert(arguments.get("pending_safety_checks") or [], list[SafetyCheck])
    call = ComputerCall(call_id, checks, id=item_id, status=status)
    if arguments.get("actions") is not None:
        call.actions = [_action(one) for one in arguments["actions"]]
    else:
        call.action = _action(arguments["action"])
    return call


def _action(raw: Any) -> dict[str, Any]:
    """One action as clients read it: whole numbers, nothing that was left out."""
    if not isinstance(raw, dict) or not isinstance(raw.get("type"), str):
        raise ValueError("an action is an object with a type")
    action: dict[str, Any] = {k: _whole(v) for k, v in raw.items() if v is not None}
    if action["type"] == "double_click":
        action.setdefault("keys", None)  # which the API's definition demands
    return action


def _whole(value: Any) -> Any:
    """Numbers some models write as 10.0 are integers."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, dict):
        return {key: _whole(inner) for key, inner in value.items()}
    return [_whole(inner) for inner in value] if isinstance(value, list) else value


TOOL_SEARCH = "tool_search"
"""What the model calls a search for tools."""


def tool_search(execution: Literal["server", "client"]) -> Collected:
    """A search for tools."""

    def make(item_id: str, call_id: str, arguments: Any, status: Status) -> OutputItem:
        return ToolSearchCall(arguments, call_id, execution, item_id, status)

    return Collected("tsc", make)


def approval(server_label: str, name: str) -> Collected:
    """A call of an MCP server's tool that somebody has to approve first."""

    def make(item_id: str, call_id: str, arguments: Any, status: Status) -> OutputItem:
        text = msgspec.json.encode(arguments).decode()
        return McpApprovalRequest(server_label, name, text, item_id)

    return Collected("mcpr", make)


NATIVE: Mapping[str, Native] = {
    "shell": Native("shell", schemas.SHELL, schemas.SHELL_SCHEMA, Collected("sh", _shell)),
    "local_shell": Native(
        "local_shell",
        schemas.LOCAL_SHELL,
        schemas.LOCAL_SHELL_SCHEMA,
        Collected("lsh", _local_shell),
    ),
    "apply_patch": Native(
        "apply_patch",
        schemas.APPLY_PATCH,
        schemas.APPLY_PATCH_SCHEMA,
        Collected("apc", _apply_patch),
    ),
    "computer": Native(
        "computer",
        schemas.computer_description(),
        schemas.COMPUTER_SCHEMA,
        Collected("cu", _computer),
    ),
    "computer_use_preview": Native(
        "computer",
        schemas.display_description(1024, 768, "browser"),
        schemas.COMPUTER_PREVIEW_SCHEMA,
        Collected("cu", _computer),
    ),
}
"""By the type of the tool."""


def shown(tool: NativeTool, *, enforced: bool) -> FunctionTool:
    """The function a model is shown in the place of a tool, with what the caller's definition says
    of it (skills, display). ``enforced``: whoever runs the model keeps it to a strict schema; else
    calls are checked with one that lets it leave out what may be left out."""
    native = NATIVE[str(type(tool).__struct_config__.tag)]
    description = native.description
    if isinstance(tool, ShellTool) and tool.environment:
        description = schemas.shell_description(tool.environment)
    elif isinstance(tool, ComputerPreviewTool):
        description = schemas.display_description(
            tool.display_width, tool.display_height, tool.environment
        )
    schema = schemas.strictly(native.schema) if enforced else native.schema
    return FunctionTool(native.name, description, schema, strict=True)


def begun(form: Answered, item_id: str, text: str = "") -> McpCall:
    """The item of a call that is being made, as it looks before it is answered."""
    return McpCall(form.server_label, form.name, text, item_id, "in_progress")


def execution_error(text: str) -> dict[str, Any]:
    """What an ``mcp_call`` has as its ``error`` where the tool itself failed."""
    content = [{"type": "text", "text": text}]
    return {"type": "mcp_tool_execution_error", "content": content}


def unfinished(item: HostedCall, id: str) -> HostedCall:
    """A hosted call as it is shown when it begins: nothing of what it will be known by."""
    match item:
        case WebSearchCall():
            return WebSearchCall({"type": "search"}, id=id, status="in_progress")
        case FileSearchCall():
            return FileSearchCall([], id=id, status="in_progress")
        case CodeInterpreterCall():
            return CodeInterpreterCall(item.container_id, "", None, id, "in_progress")
        case ImageGenerationCall():
            return ImageGenerationCall(id=id, status="in_progress")


def cut(item: HostedCall, code: str, status: Status = "incomplete") -> HostedCall:
    """A hosted call whose end will not come. ``code``: as much as was written of it. ``status``
    ``completed``: the response goes on, so that nothing of it can be incomplete."""
    # the API has no such status for an image
    cut_off = status == "incomplete" and not isinstance(item, ImageGenerationCall)
    ended = "incomplete" if cut_off else "failed"
    if isinstance(item, CodeInterpreterCall):
        item = msgspec.structs.replace(item, code=code)
    return msgspec.structs.replace(item, status=ended)
