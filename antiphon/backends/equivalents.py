"""Items only this API has → functions' calls and outputs, which every model can be shown.

``shown`` is the way back of ``stream/forms.py``: a call is shown as the model made it, an output
as text it can read (a screenshot as an image). Calls whose item holds the outcome as well (MCP,
hosted tools) are a call and its output. The same item is always shown in the same words, whatever
stands round it: the prompt of a later turn begins like that of an earlier one.

Functions with ``async`` may be answered in a later turn. Until then a call has an output that says
so (``PENDING``), and what has been said stays said: an output that comes later is a message where
it stands (``arrived``). ``Block`` knows which outputs still come in time.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast, get_args

from antiphon.stream.forms import NATIVE, TOOL_SEARCH
from antiphon.types.base import given
from antiphon.types.codec import encode
from antiphon.types.content import Detail, InputImage, InputText
from antiphon.types.items import (
    ANSWERING,
    CALLING,
    CustomToolCall,
    CustomToolCallOutput,
    FunctionCall,
    FunctionCallOutput,
    Item,
    Message,
)
from antiphon.types.tool_items import (
    ApplyPatchCall,
    ApplyPatchCallOutput,
    CodeInterpreterCall,
    ComputerCall,
    ComputerCallOutput,
    FileSearchCall,
    ImageGenerationCall,
    LocalShellCall,
    LocalShellCallOutput,
    McpApprovalRequest,
    McpApprovalResponse,
    McpCall,
    ShellCall,
    ShellCallOutput,
    ToolSearchCall,
    ToolSearchOutput,
    WebSearchCall,
)
from antiphon.types.tools import called, mcp_called

Plain = FunctionCall | FunctionCallOutput | Message
PlainCall = FunctionCall | CustomToolCall
PlainOutput = FunctionCallOutput | CustomToolCallOutput

PENDING = "(pending: this was started, and its output will be told later in this conversation)"
"""What a call is answered with whose output may still come."""

_NOTHING: Sequence[Plain] = ()


def shown(item: Item) -> Sequence[Plain]:
    """The item as calls and outputs of functions; nothing for one that is none of these."""
    translate = _SHOWN.get(type(item))
    return _NOTHING if translate is None else translate(item)


def _call(item: Any, name: str, arguments: Any) -> FunctionCall:
    return FunctionCall(str(item.call_id), name, encode(arguments).decode())


def _given(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if given(value)}


# Calls the caller answers -------------------------------------------------------------------


def _shell(item: ShellCall) -> Sequence[Plain]:
    return [_call(item, NATIVE["shell"].name, item.action)]


def _shell_output(item: ShellCallOutput) -> Sequence[Plain]:
    many = len(item.output) > 1
    texts = []
    for number, one in enumerate(item.output, 1):
        text = _ran(one)
        texts.append(f"Command {number}: {text}" if many else text)
    return [FunctionCallOutput(item.call_id, "\n\n".join(texts))]


def _ran(one: Mapping[str, Any]) -> str:
    """What one command gave: how it ended, then what it wrote."""
    outcome = one.get("outcome") or {}
    timed_out = isinstance(outcome, dict) and outcome.get("type") == "timeout"
    code = outcome.get("exit_code") if isinstance(outcome, dict) else None
    parts = ["timed out" if timed_out else f"exit code {code}"]
    if one.get("stdout"):
        parts.append(str(one["stdout"]))
    if one.get("stderr"):
        parts.append(f"stderr:\n{one['stderr']}")
    return "\n".join(parts)


def _local_shell(item: LocalShellCall) -> Sequence[Plain]:
    action = {name: getattr(item.action, name) for name in item.action.__struct_fields__}
    del action["type"]
    if not action["env"]:
        del action["env"]
    return [_call(item, NATIVE["local_shell"].name, _given(action))]


def _local_shell_output(item: LocalShellCallOutput) -> Sequence[Plain]:
    return [FunctionCallOutput(str(item.call_id or item.id), item.output)]


def _apply_patch(item: ApplyPatchCall) -> Sequence[Plain]:
    diff = item.operation.get("diff") or ""
    return [_call(item, NATIVE["apply_patch"].name, {**item.operation, "diff": diff})]


def _apply_patch_output(item: ApplyPatchCallOutput) -> Sequence[Plain]:
    text = "Done." if item.status == "completed" else "Failed: nothing was changed."
    if given(item.output) and item.output:
        text = f"{text}\n{item.output}"
    return [FunctionCallOutput(item.call_id, text)]


def _computer(item: ComputerCall) -> Sequence[Plain]:
    batch = isinstance(item.actions, list)
    arguments = {"actions": item.actions} if batch else {"action": item.action or {}}
    return [_call(item, NATIVE["computer"].name, arguments)]


def _computer_output(item: ComputerCallOutput) -> Sequence[Plain]:
    screen = item.output
    image = InputImage(image_url=screen.image_url, file_id=screen.file_id)
    if screen.detail in get_args(Detail):
        image.detail = cast(Detail, screen.detail)
    return [FunctionCallOutput(item.call_id, [image])]


def _search(item: ToolSearchCall) -> Sequence[Plain]:
    call_id = str(item.call_id) if given(item.call_id) else _stand_in(item)
    return [FunctionCall(call_id, TOOL_SEARCH, encode(item.arguments).decode())]


def _search_output(item: ToolSearchOutput) -> Sequence[Plain]:
    lines = ["You can use these tools from now on:"] if item.tools else ["No tool was found."]
    for tool in item.tools:
        lines.append(f"- {_described(tool)}")
        for inner in tool.get("tools") or () if tool.get("type") == "namespace" else ():
            name = called(str(tool.get("name", "")), str(inner.get("name", "")))
            lines.append(f"  - {_described({**inner, 'name': name})}")
    call_id = str(item.call_id) if given(item.call_id) else ""
    return [FunctionCallOutput(call_id, "\n".join(lines))]


def _described(tool: Mapping[str, Any]) -> str:
    name = tool.get("name") or tool.get("server_label") or tool.get("type", "")
    about = tool.get("description") or tool.get("server_description")
    return f"{name}: {about}" if about else str(name)


# Calls that hold their outcome --------------------------------------------------------------


def _stand_in(item: Any) -> str:
    """A call id for an item without one, the same in every turn. Some servers take 40 characters
    at most, which is less than an item's id has."""
    id = item.id if isinstance(item.id, str) and item.id else encode(item).decode()
    return f"call_{hashlib.sha256(id.encode()).hexdigest()[:24]}"


def _pair(item: Any, name: str, arguments: str, output: str) -> Sequence[Plain]:
    call_id = _stand_in(item)
    return [FunctionCall(call_id, name, arguments), FunctionCallOutput(call_id, output)]


def _mcp(item: McpCall) -> Sequence[Plain]:
    name = mcp_called(item.server_label, item.name)
    if item.error is not None:
        output = f"The call failed: {_failure(item.error)}"
    elif item.output is None and item.status == "incomplete":
        output = "The outcome of this call is not known."
    else:
        output = item.output or ""
    return _pair(item, name, item.arguments or "{}", output)


def _failure(error: Any) -> str:
    """The words of an ``mcp_call``'s error."""
    if not isinstance(error, dict):
        return str(error)
    content = error.get("content")
    if isinstance(content, list):
        texts = [part.get("text") for part in content if isinstance(part, dict)]
        if words := "\n".join(text for text in texts if isinstance(text, str)):
            return words
    return str(error.get("message") or content or error.get("type", ""))


def _approval_request(item: McpApprovalRequest) -> Sequence[Plain]:
    name = mcp_called(item.server_label, item.name)
    output = f"(not made: the user has to approve this call first, by answering {item.id})"
    return _pair(item, name, item.arguments or "{}", output)


def _approval_response(item: McpApprovalResponse) -> Sequence[Plain]:
    """What was approved is made, and shown, as a call of its own."""
    if item.approve:
        return _NOTHING
    reason = f" Reason: {item.reason}" if given(item.reason) and item.reason else ""
    words = f"[The user did not approve the call of {item.approval_request_id}.{reason}]"
    return [Message("user", [InputText(words)])]


def _web_search(item: WebSearchCall) -> Sequence[Plain]:
    action = item.action or {}
    arguments = {key: value for key, value in action.items() if key not in ("sources", "type")}
    found: list[Any] = [*(item.results or action.get("sources") or ())]
    output = _ended(item) + "".join(f"\n- {_source(one)}" for one in found)
    return _pair(item, "web_search", encode(arguments).decode(), output)


def _source(found: Any) -> str:
    if not isinstance(found, dict):
        return str(found)
    words = [found.get(key) for key in ("title", "url", "snippet", "text")]
    return " ".join(word for word in words if isinstance(word, str) and word)


def _file_search(item: FileSearchCall) -> Sequence[Plain]:
    output = _ended(item)
    for one in item.results or ():
        output += f"\n- {one.get('filename') or one.get('file_id') or ''}: {one.get('text') or ''}"
    arguments = encode({"queries": item.queries}).decode()
    return _pair(item, "file_search", arguments, output)


def _code(item: CodeInterpreterCall) -> Sequence[Plain]:
    output = _ended(item)
    for one in item.outputs or ():
        logs = one.get("logs") if one.get("type") == "logs" else "[an image]"
        output += f"\n{logs}"
    arguments = encode({"code": item.code or ""}).decode()
    return _pair(item, "code_interpreter", arguments, output)


def _image(item: ImageGenerationCall) -> Sequence[Plain]:
    prompt = item.revised_prompt if given(item.revised_prompt) else ""
    made = item.result is not None
    output = "An image was made, and the user sees it." if made else _ended(item)
    return _pair(item, "image_generation", encode({"prompt": prompt}).decode(), output)


def _ended(item: Any) -> str:
    """How the call of a hosted tool ended, in a word."""
    return str(item.status) if given(item.status) else "completed"


_SHOWN: Mapping[type[Any], Callable[[Any], Sequence[Plain]]] = {
    ShellCall: _shell,
    ShellCallOutput: _shell_output,
    LocalShellCall: _local_shell,
    LocalShellCallOutput: _local_shell_output,
    ApplyPatchCall: _apply_patch,
    ApplyPatchCallOutput: _apply_patch_output,
    ComputerCall: _computer,
    ComputerCallOutput: _computer_output,
    ToolSearchCall: _search,
    ToolSearchOutput: _search_output,
    McpCall: _mcp,
    McpApprovalRequest: _approval_request,
    McpApprovalResponse: _approval_response,
    WebSearchCall: _web_search,
    FileSearchCall: _file_search,
    CodeInterpreterCall: _code,
    ImageGenerationCall: _image,
}
SHOWN: frozenset[type[Any]] = frozenset(_SHOWN)
"""The types of the items ``shown`` has something for."""
_PAIRS: frozenset[type[Any]] = SHOWN - CALLING - ANSWERING
"""Those that are both the call and its output."""


# Functions that answer later ----------------------------------------------------------------


class Block:
    """Reads a conversation item by item. ``open``: the calls with ``async`` of the model's newest
    turn, whose outputs still come in time if they come now."""

    __slots__ = ("_answered", "open")

    def __init__(self) -> None:
        self.open: set[str] = set()
        self._answered = False

    def read(self, item: Item) -> bool:
        """Take in the next item. Whether it is an output in time of a call with ``async``."""
        kind: Any = type(item)
        if kind in ANSWERING or kind in _PAIRS:
            self._answered = True
            call_id = getattr(item, "call_id", None)
            if call_id in self.open:
                self.open.discard(call_id)
                return True
            return False
        if self._answered or (kind is Message and item.role != "assistant"):  # type: ignore[union-attr]
            self._answered = False
            self.open.clear()
        if (kind is FunctionCall or kind is CustomToolCall) and item.later:  # type: ignore[union-attr]
            self.open.add(item.call_id)  # type: ignore[union-attr,arg-type]
        return False


def arrived(call: PlainCall, output: PlainOutput) -> Message:
    """The output of a call with ``async`` as what it is where it stands: news for the model."""
    opening = f"[The output of the earlier call of '{called(call.namespace, call.name)}'"
    opening += f" ({call.call_id}) is there now:]"
    said = output.output
    if isinstance(said, str):
        return Message("user", [InputText(f"{opening}\n{said}")])
    return Message("user", [InputText(opening), *said])
