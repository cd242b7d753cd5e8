"""Tool definitions and tool choice (Responses API: tools).

Struct → what we can run or hand to the caller. ``KNOWN`` → what the API names, so that an
unsupported tool is told apart from a misspelt one.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta

from antiphon.types.base import Asked, Wire

Name = Annotated[str, Meta(min_length=1, max_length=128, pattern="^[a-zA-Z0-9_-]+$")]


class FunctionTool(Wire, tag_field="type", tag="function"):
    """A function the caller runs. ``strict`` null means: strict if it can be enforced."""

    name: Name
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class TextInput(Wire, tag_field="type", tag="text"):
    """Freeform text."""


class GrammarInput(Wire, tag_field="type", tag="grammar"):
    """Text that must match a Lark grammar or a regular expression."""

    syntax: Literal["lark", "regex"]
    definition: str


class CustomTool(Wire, tag_field="type", tag="custom"):
    """A tool whose input is raw text (api-surface: custom tools)."""

    name: Name
    description: str | None = None
    format: TextInput | GrammarInput | None = None


Tool = FunctionTool | CustomTool

KNOWN = frozenset(
    {
        "function",
        "custom",
        "namespace",
        "tool_search",
        "mcp",
        "file_search",
        "web_search",
        "web_search_2025_08_26",
        "web_search_preview",
        "web_search_preview_2025_03_11",
        "code_interpreter",
        "image_generation",
        "computer_use_preview",
        "computer",
        "local_shell",
        "shell",
        "apply_patch",
        "programmatic_tool_calling",
    }
)


class NamedChoice(Wire):
    """``{"type": "function" | "custom", "name": …}``: exactly this tool."""

    type: Literal["function", "custom"]
    name: str


class AllowedTools(Wire):
    """``{"type": "allowed_tools", "mode": …, "tools": […]}``: only these, hard."""

    type: Literal["allowed_tools"]
    tools: Annotated[list[dict[str, Any]], Meta(min_length=1, max_length=128)]
    mode: Literal["auto", "required"] = "auto"


ToolChoice = Literal["none", "auto", "required"] | NamedChoice | AllowedTools


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
