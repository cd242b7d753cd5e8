"""Tool definitions and tool choice (Responses API: tools).

Struct → what we can run or hand to the caller. ``KNOWN`` → what the API names, so that an
unsupported tool is told apart from a misspelt one.
"""

from __future__ import annotations

import hashlib
import re
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from antiphon.types.base import UNSET, Asked, UnsetType, Wire

Name = Annotated[str, Meta(min_length=1, max_length=128, pattern="^[a-zA-Z0-9_-]+$")]


class FunctionTool(Wire, tag_field="type", tag="function", rename={"later": "async"}):
    """A function the caller runs. ``strict`` null means: strict if it can be enforced.
    ``later``: its output may come in a later turn. ``defer_loading``: the model has it only once
    a tool search has found it."""

    name: Name
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None
    later: bool | UnsetType | None = UNSET
    defer_loading: bool | UnsetType | None = UNSET
    allowed_callers: list[Literal["direct"]] | UnsetType | None = UNSET
    output_schema: dict[str, Any] | UnsetType | None = UNSET


class TextInput(Wire, tag_field="type", tag="text"):
    """Freeform text."""


class GrammarInput(Wire, tag_field="type", tag="grammar"):
    """Text that must match a Lark grammar or a regular expression."""

    syntax: Literal["lark", "regex"]
    definition: str


class CustomTool(Wire, tag_field="type", tag="custom", rename={"later": "async"}):
    """A tool whose input is raw text (api-surface: custom tools)."""

    name: Name
    description: str | None = None
    format: TextInput | GrammarInput | None = None
    later: bool | UnsetType | None = UNSET
    defer_loading: bool | UnsetType | None = UNSET
    allowed_callers: list[Literal["direct"]] | UnsetType | None = UNSET


class NamespaceTool(Wire, tag_field="type", tag="namespace"):
    """Functions and custom tools under one name; their calls carry it as ``namespace``."""

    name: Name
    description: str
    tools: Annotated[list[FunctionTool | CustomTool], Meta(min_length=1)]


class ToolSearchTool(Wire, tag_field="type", tag="tool_search"):
    """Finds tools with ``defer_loading``: the server does (default), or the caller, who says what
    ``parameters`` its search takes."""

    execution: Literal["server", "client"] | UnsetType | None = UNSET
    description: str | UnsetType | None = UNSET
    parameters: dict[str, Any] | UnsetType | None = UNSET


class McpFilter(Asked):
    """Some tools of a server: by name, or those it says only read."""

    tool_names: list[str] | None = None
    read_only: bool | None = None


class McpApprovals(Asked):
    """Which calls wait for approval and which do not; those of neither do."""

    always: McpFilter | None = None
    never: McpFilter | None = None


class McpTool(Wire, tag_field="type", tag="mcp"):
    """The tools of an MCP server, run by this server. ``headers`` and ``authorization`` are
    secrets: never stored in clear, never shown. ``require_approval`` null means ``always``."""

    server_label: Annotated[str, Meta(min_length=1, max_length=64)]
    server_url: str | UnsetType | None = UNSET
    connector_id: str | UnsetType | None = UNSET
    tunnel_id: str | UnsetType | None = UNSET
    server_description: str | UnsetType | None = UNSET
    headers: dict[str, str] | UnsetType | None = UNSET
    authorization: str | UnsetType | None = UNSET
    allowed_tools: list[str] | McpFilter | UnsetType | None = UNSET
    require_approval: Literal["always", "never"] | McpApprovals | UnsetType | None = UNSET
    defer_loading: bool | UnsetType | None = UNSET
    allowed_callers: list[Literal["direct"]] | UnsetType | None = UNSET


class ShellTool(Wire, tag_field="type", tag="shell"):
    """Shell commands. ``environment`` null or ``{"type": "local", …}``: the caller runs them."""

    environment: dict[str, Any] | UnsetType | None = UNSET
    allowed_callers: list[Literal["direct"]] | UnsetType | None = UNSET


class LocalShellTool(Wire, tag_field="type", tag="local_shell"):
    """One program at a time, run by the caller."""


class ApplyPatchTool(Wire, tag_field="type", tag="apply_patch"):
    """Changes of files as diffs, made by the caller."""

    allowed_callers: list[Literal["direct"]] | UnsetType | None = UNSET


class ComputerTool(Wire, tag_field="type", tag="computer"):
    """A screen, a mouse and a keyboard, which the caller operates; actions come in batches."""


class ComputerPreviewTool(Wire, tag_field="type", tag="computer_use_preview"):
    """The same, one action at a time. The display's size in pixels."""

    display_width: int
    display_height: int
    environment: Literal["windows", "mac", "linux", "ubuntu", "browser"]


class HostedTool(Struct, frozen=True):
    """A tool that whoever makes the answer runs as well; ``raw`` is its definition as it came."""

    type: str
    raw: dict[str, Any]


CallableTool = FunctionTool | CustomTool
"""What a chat model can call. Names are unique among those of one model call."""

NativeTool = ShellTool | LocalShellTool | ApplyPatchTool | ComputerTool | ComputerPreviewTool
"""Tools the caller runs whose calls are items of their own kind; a name each (``type``)."""

Tool = CallableTool | NamespaceTool | ToolSearchTool | McpTool | NativeTool | HostedTool

HOSTED = frozenset(
    {
        "file_search",
        "web_search",
        "web_search_2025_08_26",
        "web_search_preview",
        "web_search_preview_2025_03_11",
        "code_interpreter",
        "image_generation",
        "programmatic_tool_calling",
    }
)
"""Tool types that only a backend can have which runs them itself (``Capabilities.native``)."""


def called(namespace: str | UnsetType | None, name: str) -> str:
    """What the model calls a tool that has a namespace: one name, the same in every turn."""
    return f"{namespace}__{name}" if namespace else name


def mcp_called(server_label: str, name: str) -> str:
    """What the model calls a tool of an MCP server, the same in every turn; a name every model
    takes, whatever the server calls it."""
    whole = called(server_label, name)
    fit = _UNFIT.sub("_", whole)
    if fit == whole and len(whole) <= _LENGTH_MAX:
        return whole
    digest = hashlib.sha256(f"{server_label}\0{name}".encode()).hexdigest()[:8]
    return f"{fit[: _LENGTH_MAX - 9]}_{digest}"


_UNFIT = re.compile(r"[^a-zA-Z0-9_-]")
_LENGTH_MAX = 64
"""Of names chat models take."""


def mcp_name(server_label: str, name: str) -> str:
    """What names a tool of an MCP server within this process. No function has such a name."""
    return f"mcp:{server_label}:{name}"


class NamedChoice(Wire, omit_defaults=True):
    """``{"type": "function" | "custom", "name": …}``: exactly this tool. ``namespace``: of a tool
    that has one."""

    type: Literal["function", "custom"]
    name: str
    namespace: str | None = None


class McpChoice(Wire, omit_defaults=True):
    """A tool of this MCP server, or exactly this one."""

    type: Literal["mcp"]
    server_label: str
    name: str | None = None


class TypeChoice(Wire):
    """The tool of this type, of which there is one."""

    type: str


class AllowedTools(Wire):
    """``{"type": "allowed_tools", "mode": …, "tools": […]}``: only these, hard."""

    type: Literal["allowed_tools"]
    tools: Annotated[list[dict[str, Any]], Meta(min_length=1, max_length=128)]
    mode: Literal["auto", "required"] = "auto"


ToolChoice = (
    Literal["none", "auto", "required"] | NamedChoice | McpChoice | TypeChoice | AllowedTools
)


class JsonSchemaFormat(Asked, tag_field="type", tag="json_schema"):
    """Structured output: the text must validate against ``schema``."""

    name: Annotated[str, Meta(min_length=1, max_length=64, pattern="^[a-zA-Z0-9_-]+$")]
    schema: dict[str, Any]
    description: str | None = None
    strict: bool | None = None


class JsonObjectFormat(Asked, tag_field="type", tag="json_object"):
    """The text must be one JSON object."""


class TextFormat(Asked, tag_field="type", tag="text", frozen=True):  # type: ignore[misc]
    """Plain text. Frozen, so that it may be a default value."""


Format = TextFormat | JsonObjectFormat | JsonSchemaFormat
