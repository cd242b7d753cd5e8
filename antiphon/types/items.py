"""Items: what a conversation is made of, in and out, one struct per ``type``.

The same struct reads what a caller sends (``id`` and ``status`` may be absent or null) and
writes what we emit (both always present). What cannot be opened as one of these is kept whole
as ``Opaque``; whether a request may contain it is the server's decision.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, get_args

from msgspec import Meta, Struct

from antiphon.types.base import UNSET, UnsetType, Wire
from antiphon.types.content import (
    MessagePart,
    OutputText,
    ReasoningText,
    Refusal,
    SummaryText,
    Text10M,
    ToolOutputPart,
)
from antiphon.types.tool_items import (
    ApplyPatchCall,
    CallId,
    ComputerCall,
    HostedCall,
    LocalShellCall,
    McpApprovalRequest,
    McpCall,
    McpListTools,
    NativeCall,
    NativeOutput,
    ShellCall,
    ToolItem,
    ToolSearchCall,
    ToolSearchOutput,
)

Status = Literal["in_progress", "completed", "incomplete"]
Role = Literal["user", "assistant", "system", "developer"]
Phase = Literal["commentary", "final_answer"]
Sealed = Annotated[str, Meta(max_length=20_971_520)]


class Message(Wire, tag_field="type", tag="message"):
    """A message a caller sent: easy, typed, or one of our own outputs fed back."""

    role: Role
    content: Text10M | list[MessagePart]
    id: str | UnsetType | None = UNSET
    status: str | UnsetType | None = UNSET
    phase: Phase | UnsetType | None = UNSET


class OutputMessage(Wire, tag_field="type", tag="message"):
    """A message the model wrote."""

    id: str
    status: Status
    content: list[OutputText | Refusal]
    role: Literal["assistant"] = "assistant"
    phase: Phase | UnsetType = UNSET


class FunctionCall(Wire, tag_field="type", tag="function_call", rename={"later": "async"}):
    """A call of a function. ``arguments`` is JSON text, never an object. ``namespace``: of the
    tool, where it has one. ``later``: the caller may answer in a later turn."""

    call_id: CallId
    name: str
    arguments: str
    id: str | UnsetType | None = UNSET
    status: str | UnsetType | None = UNSET
    namespace: str | UnsetType | None = UNSET
    later: bool | UnsetType | None = UNSET


class FunctionCallOutput(Wire, tag_field="type", tag="function_call_output"):
    """What a function returned: sent by the caller, or ours where the server runs it."""

    call_id: CallId
    output: Text10M | list[ToolOutputPart]
    id: str | UnsetType | None = UNSET
    status: str | UnsetType | None = UNSET


class CustomToolCall(Wire, tag_field="type", tag="custom_tool_call", rename={"later": "async"}):
    """A call of a freeform tool. ``input`` is raw text, not JSON."""

    call_id: CallId
    name: str
    input: str
    id: str | UnsetType | None = UNSET
    status: str | UnsetType | None = UNSET
    namespace: str | UnsetType | None = UNSET
    later: bool | UnsetType | None = UNSET


class CustomToolCallOutput(Wire, tag_field="type", tag="custom_tool_call_output"):
    call_id: CallId
    output: Text10M | list[ToolOutputPart]
    id: str | UnsetType | None = UNSET
    status: str | UnsetType | None = UNSET


class Reasoning(Wire, tag_field="type", tag="reasoning"):
    """The model's thinking. ``summary`` may come in as null; ``content`` may be missing."""

    summary: list[SummaryText] | None = None
    id: str | UnsetType | None = UNSET
    content: list[ReasoningText] | UnsetType | None = UNSET
    encrypted_content: Sealed | UnsetType | None = UNSET
    status: str | UnsetType | None = UNSET


class ItemReference(Wire, tag_field="type", tag="item_reference"):
    """Stands for a stored item of the same tenant (its ``type`` may be missing)."""

    id: str


class Compaction(Wire, tag_field="type", tag="compaction"):
    """Everything said before it, in a form only this server can read (``runs/compaction.py``)."""

    encrypted_content: Sealed
    id: str | UnsetType | None = UNSET


class CompactionTrigger(Wire, tag_field="type", tag="compaction_trigger"):
    """As the last item of an input: compact now, and nothing else."""

    id: str | UnsetType | None = UNSET


class Opaque(Struct, frozen=True):
    """An item we keep and do not interpret. ``raw`` is the object as it came."""

    type: str
    raw: dict[str, Any]


OPAQUE_TYPES = frozenset(
    {"agent_message", "multi_agent_call", "multi_agent_call_output", "program", "program_output"}
)
"""Item types the API names and we keep without interpreting."""

LETTERS = frozenset({"agent_message"})
"""Those of them a model is shown all the same, as text (``backends/letters.py``)."""

Call = FunctionCall | CustomToolCall | NativeCall | ToolSearchCall
CallOutput = FunctionCallOutput | CustomToolCallOutput | NativeOutput | ToolSearchOutput
"""Calls that are answered by an item of its own, which names them by ``call_id``."""

CALLING: frozenset[type[Any]] = frozenset(get_args(Call))
ANSWERING: frozenset[type[Any]] = frozenset(get_args(CallOutput))
"""The same as sets of types: asking a set costs a third of ``isinstance`` with a union."""

Item = (
    Message
    | Call
    | CallOutput
    | Reasoning
    | ItemReference
    | Compaction
    | CompactionTrigger
    | ToolItem
    | Opaque
)
OutputItem = (
    OutputMessage
    | FunctionCall
    | FunctionCallOutput
    | CustomToolCall
    | Reasoning
    | Compaction
    | ShellCall
    | LocalShellCall
    | ApplyPatchCall
    | ComputerCall
    | ToolSearchCall
    | ToolSearchOutput
    | McpListTools
    | McpCall
    | McpApprovalRequest
    | HostedCall
)

ID_PREFIX = {
    "message": "msg",
    "function_call": "fc",
    "function_call_output": "fco",
    "custom_tool_call": "ctc",
    "custom_tool_call_output": "ctco",
    "reasoning": "rs",
    "compaction": "cmp",
    "shell_call": "sh",
    "shell_call_output": "sho",
    "local_shell_call": "lsh",
    "local_shell_call_output": "lsho",
    "apply_patch_call": "apc",
    "apply_patch_call_output": "apco",
    "computer_call": "cu",
    "computer_call_output": "cuo",
    "tool_search_call": "tsc",
    "tool_search_output": "tso",
    "mcp_list_tools": "mcpl",
    "mcp_call": "mcp",
    "mcp_approval_request": "mcpr",
    "mcp_approval_response": "mcpa",
    "additional_tools": "at",
    "configuration_update": "cfg",
    "web_search_call": "ws",
    "file_search_call": "fs",
    "code_interpreter_call": "ci",
    "image_generation_call": "ig",
}
"""Prefix of the ids we mint, by item type (``item`` for all others)."""
