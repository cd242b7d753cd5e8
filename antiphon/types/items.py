"""Items: what a conversation is made of, in and out, one struct per ``type``.

The same struct reads what a caller sends (``id`` and ``status`` may be absent or null) and
writes what we emit (both always present). What cannot be opened as one of these is kept whole
as ``Opaque``; whether a request may contain it is the server's decision.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

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

Status = Literal["in_progress", "completed", "incomplete"]
Role = Literal["user", "assistant", "system", "developer"]
Phase = Literal["commentary", "final_answer"]
Sealed = Annotated[str, Meta(max_length=20_971_520)]
CallId = Annotated[str, Meta(min_length=1, max_length=64)]


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


class FunctionCall(Wire, tag_field="type", tag="function_call"):
    """A call of a function. ``arguments`` is JSON text, never an object."""

    call_id: CallId
    name: str
    arguments: str
    id: str | UnsetType | None = UNSET
    status: str | UnsetType | None = UNSET


class FunctionCallOutput(Wire, tag_field="type", tag="function_call_output"):
    """What a function returned: sent by the caller, or ours where the server runs it."""

    call_id: CallId
    output: Text10M | list[ToolOutputPart]
    id: str | UnsetType | None = UNSET
    status: str | UnsetType | None = UNSET


class CustomToolCall(Wire, tag_field="type", tag="custom_tool_call"):
    """A call of a freeform tool. ``input`` is raw text, not JSON."""

    call_id: CallId
    name: str
    input: str
    id: str | UnsetType | None = UNSET
    status: str | UnsetType | None = UNSET


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
    {
        "additional_tools",
        "agent_message",
        "apply_patch_call",
        "apply_patch_call_output",
        "code_interpreter_call",
        "computer_call",
        "computer_call_output",
        "configuration_update",
        "file_search_call",
        "image_generation_call",
        "local_shell_call",
        "local_shell_call_output",
        "mcp_approval_request",
        "mcp_approval_response",
        "mcp_call",
        "mcp_list_tools",
        "multi_agent_call",
        "multi_agent_call_output",
        "program",
        "program_output",
        "shell_call",
        "shell_call_output",
        "tool_search_call",
        "tool_search_output",
        "web_search_call",
    }
)
"""Item types the API names and we keep without interpreting."""

Call = FunctionCall | CustomToolCall
CallOutput = FunctionCallOutput | CustomToolCallOutput
Item = (
    Message
    | Call
    | CallOutput
    | Reasoning
    | ItemReference
    | Compaction
    | CompactionTrigger
    | Opaque
)
OutputItem = (
    OutputMessage | FunctionCall | FunctionCallOutput | CustomToolCall | Reasoning | Compaction
)

ID_PREFIX = {
    "message": "msg",
    "function_call": "fc",
    "function_call_output": "fco",
    "custom_tool_call": "ctc",
    "custom_tool_call_output": "ctco",
    "reasoning": "rs",
    "compaction": "cmp",
}
"""Prefix of the ids we mint, by item type (``item`` for all others)."""
