"""Items of tools: calls that are more than a function's name and arguments, and what they give.

What a tool's own protocol says inside (an action, an operation, a result) is kept as the object
it is wherever nobody here has to look into it; ``stream/forms.py`` turns calls into these items
and back. As in ``items.py`` the same struct reads what a caller sends and writes what we emit.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta

from antiphon.types.base import UNSET, UnsetType, Wire
from antiphon.types.content import Text10M

CallId = Annotated[str, Meta(min_length=1, max_length=64)]
Object = dict[str, Any]

# Tools the caller runs --------------------------------------------------------------------


class ShellAction(Wire, omit_defaults=True):
    """``commands`` run one after the other; limits are per command."""

    commands: list[str]
    timeout_ms: int | None = None
    max_output_length: int | None = None


class ShellCall(Wire, tag_field="type", tag="shell_call"):
    """Commands for a shell. ``environment`` says where: ``{"type": "local"}`` is the caller's."""

    call_id: CallId
    action: ShellAction
    id: str | UnsetType | None = UNSET
    status: str | UnsetType | None = UNSET
    environment: Object | UnsetType | None = UNSET


class ShellCallOutput(Wire, tag_field="type", tag="shell_call_output"):
    """One ``{stdout, stderr, outcome}`` per command."""

    call_id: CallId
    output: list[Object]
    id: str | UnsetType | None = UNSET
    status: str | UnsetType | None = UNSET
    max_output_length: int | UnsetType | None = UNSET


class LocalShellAction(Wire, omit_defaults=True):
    """One program with its arguments. ``timeout_ms`` in milliseconds."""

    command: list[str]
    type: Literal["exec"]
    env: dict[str, str]
    timeout_ms: int | None = None
    user: str | None = None
    working_directory: str | None = None


class LocalShellCall(Wire, tag_field="type", tag="local_shell_call"):
    call_id: CallId
    action: LocalShellAction
    id: str | UnsetType | None = UNSET
    status: str | UnsetType | None = UNSET


class LocalShellCallOutput(Wire, tag_field="type", tag="local_shell_call_output"):
    """What a local shell call gave, as JSON text. ``id`` (or ``call_id``) names the call."""

    output: Text10M
    id: str | UnsetType | None = UNSET
    call_id: str | UnsetType | None = UNSET
    status: str | UnsetType | None = UNSET


class ApplyPatchCall(Wire, tag_field="type", tag="apply_patch_call"):
    """``operation``: ``create_file`` or ``update_file`` with ``path`` and ``diff``, or
    ``delete_file`` with ``path``."""

    call_id: CallId
    operation: Object
    id: str | UnsetType | None = UNSET
    status: str | UnsetType | None = UNSET


class ApplyPatchCallOutput(Wire, tag_field="type", tag="apply_patch_call_output"):
    call_id: CallId
    status: Literal["completed", "failed"]
    output: Text10M | UnsetType | None = UNSET
    id: str | UnsetType | None = UNSET


class SafetyCheck(Wire, omit_defaults=True):
    """Something the caller must acknowledge before it acts."""

    id: str
    code: str | None = None
    message: str | None = None


class ComputerCall(Wire, tag_field="type", tag="computer_call"):
    """``action`` of the preview tool, ``actions`` (a batch) of the newer one."""

    call_id: CallId
    pending_safety_checks: list[SafetyCheck] = []
    action: Object | UnsetType | None = UNSET
    actions: list[Object] | UnsetType | None = UNSET
    id: str | UnsetType | None = UNSET
    status: str | UnsetType | None = UNSET


class Screenshot(Wire, tag_field="type", tag="computer_screenshot", omit_defaults=True):
    """By URL, data URL or file."""

    image_url: str | None = None
    file_id: str | None = None
    detail: str | None = None


class ComputerCallOutput(Wire, tag_field="type", tag="computer_call_output"):
    call_id: CallId
    output: Screenshot
    acknowledged_safety_checks: list[SafetyCheck] | UnsetType | None = UNSET
    id: str | UnsetType | None = UNSET
    status: str | UnsetType | None = UNSET


# Tools that are found, and settings that change, on the way ---------------------------------


class ToolSearchCall(Wire, tag_field="type", tag="tool_search_call"):
    """A search for deferred tools, by the server or by the caller (``execution``)."""

    arguments: Any
    call_id: str | UnsetType | None = UNSET
    execution: Literal["server", "client"] = "server"
    id: str | UnsetType | None = UNSET
    status: str | UnsetType | None = UNSET


class ToolSearchOutput(Wire, tag_field="type", tag="tool_search_output"):
    """The definitions it found: from here on the model has them."""

    tools: list[Object]
    call_id: str | UnsetType | None = UNSET
    execution: Literal["server", "client"] = "client"
    id: str | UnsetType | None = UNSET
    status: str | UnsetType | None = UNSET


class AdditionalTools(Wire, tag_field="type", tag="additional_tools"):
    """Definitions of tools the model has from here on."""

    tools: list[Object]
    role: str = "developer"
    id: str | UnsetType | None = UNSET


class ConfigurationUpdate(Wire, tag_field="type", tag="configuration_update"):
    """Settings that hold from here on: ``reasoning.effort``, ``text.format``."""

    reasoning: Object | UnsetType | None = UNSET
    text: Object | UnsetType | None = UNSET
    id: str | UnsetType | None = UNSET


# MCP --------------------------------------------------------------------------------------


class McpListTools(Wire, tag_field="type", tag="mcp_list_tools"):
    """The tools of a server: ``{name, input_schema, description?, annotations?}`` each."""

    server_label: str
    tools: list[Object]
    id: str | UnsetType | None = UNSET
    error: Any = UNSET


class McpCall(Wire, tag_field="type", tag="mcp_call"):
    """A call the server made itself, and what came of it. ``error`` is one of
    ``mcp_protocol_error``, ``mcp_tool_execution_error``, ``http_error``."""

    server_label: str
    name: str
    arguments: str
    id: str | UnsetType | None = UNSET
    status: str | UnsetType | None = UNSET
    output: str | None = None
    error: Any = None
    approval_request_id: str | None = None


class McpApprovalRequest(Wire, tag_field="type", tag="mcp_approval_request"):
    server_label: str
    name: str
    arguments: str
    id: str | UnsetType | None = UNSET


class McpApprovalResponse(Wire, tag_field="type", tag="mcp_approval_response"):
    approval_request_id: str
    approve: bool
    reason: str | UnsetType | None = UNSET
    id: str | UnsetType | None = UNSET


# Tools somebody else runs -----------------------------------------------------------------


class WebSearchCall(Wire, tag_field="type", tag="web_search_call"):
    action: Object | UnsetType | None = UNSET
    id: str | UnsetType | None = UNSET
    status: str | UnsetType | None = UNSET
    results: list[Object] | UnsetType | None = UNSET


class FileSearchCall(Wire, tag_field="type", tag="file_search_call"):
    queries: list[str]
    results: list[Object] | None = None
    id: str | UnsetType | None = UNSET
    status: str | UnsetType | None = UNSET


class CodeInterpreterCall(Wire, tag_field="type", tag="code_interpreter_call"):
    container_id: str
    code: str | None = None
    outputs: list[Object] | None = None
    id: str | UnsetType | None = UNSET
    status: str | UnsetType | None = UNSET


class ImageGenerationCall(Wire, tag_field="type", tag="image_generation_call"):
    result: str | None = None
    id: str | UnsetType | None = UNSET
    status: str | UnsetType | None = UNSET
    action: str | UnsetType | None = UNSET
    background: str | UnsetType | None = UNSET
    error: Object | UnsetType | None = UNSET
    output_format: str | UnsetType | None = UNSET
    quality: str | UnsetType | None = UNSET
    revised_prompt: str | UnsetType | None = UNSET
    size: str | UnsetType | None = UNSET


HostedCall = WebSearchCall | FileSearchCall | CodeInterpreterCall | ImageGenerationCall
"""Calls of tools that whoever runs them also answers."""

NativeCall = ShellCall | LocalShellCall | ApplyPatchCall | ComputerCall
"""Calls that the caller answers, each with an item of its own kind."""

NativeOutput = ShellCallOutput | LocalShellCallOutput | ApplyPatchCallOutput | ComputerCallOutput

McpItem = McpListTools | McpCall | McpApprovalRequest | McpApprovalResponse

Setting = AdditionalTools | ConfigurationUpdate
"""Items that say nothing to the model and change what it has."""

ToolItem = (
    NativeCall | NativeOutput | ToolSearchCall | ToolSearchOutput | Setting | McpItem | HostedCall
)
