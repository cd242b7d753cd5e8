"""The stream events of tools' items (Responses API: streaming events), beside ``events.py``."""

from __future__ import annotations

from typing import Any

from antiphon.types.base import UNSET, UnsetType
from antiphon.types.events import Event, ItemEvent


class Stage(ItemEvent, kw_only=True):
    """Something is done now, or has been done; the name says it all."""


# A shell call -----------------------------------------------------------------------------


class ShellEvent(Event, kw_only=True):
    """About one command of a shell call; these carry no ``item_id``."""

    output_index: int
    command_index: int


class ShellCommandAdded(ShellEvent, tag="response.shell_call_command.added", kw_only=True):
    command: str


class ShellCommandDelta(ShellEvent, tag="response.shell_call_command.delta", kw_only=True):
    delta: str
    obfuscation: str | UnsetType = UNSET


class ShellCommandDone(ShellEvent, tag="response.shell_call_command.done", kw_only=True):
    command: str


# MCP --------------------------------------------------------------------------------------


class McpListToolsInProgress(Stage, tag="response.mcp_list_tools.in_progress", kw_only=True):
    pass


class McpListToolsCompleted(Stage, tag="response.mcp_list_tools.completed", kw_only=True):
    pass


class McpListToolsFailed(Stage, tag="response.mcp_list_tools.failed", kw_only=True):
    pass


class McpCallInProgress(Stage, tag="response.mcp_call.in_progress", kw_only=True):
    pass


class McpCallArgumentsDelta(ItemEvent, tag="response.mcp_call_arguments.delta", kw_only=True):
    delta: str
    obfuscation: str | UnsetType = UNSET


class McpCallArgumentsDone(ItemEvent, tag="response.mcp_call_arguments.done", kw_only=True):
    arguments: str


class McpCallCompleted(Stage, tag="response.mcp_call.completed", kw_only=True):
    pass


class McpCallFailed(Stage, tag="response.mcp_call.failed", kw_only=True):
    pass


# Tools somebody else runs -----------------------------------------------------------------


class WebSearchInProgress(Stage, tag="response.web_search_call.in_progress", kw_only=True):
    pass


class WebSearchSearching(Stage, tag="response.web_search_call.searching", kw_only=True):
    pass


class WebSearchCompleted(Stage, tag="response.web_search_call.completed", kw_only=True):
    pass


class FileSearchInProgress(Stage, tag="response.file_search_call.in_progress", kw_only=True):
    pass


class FileSearchSearching(Stage, tag="response.file_search_call.searching", kw_only=True):
    pass


class FileSearchCompleted(Stage, tag="response.file_search_call.completed", kw_only=True):
    pass


class CodeInProgress(Stage, tag="response.code_interpreter_call.in_progress", kw_only=True):
    pass


class CodeDelta(ItemEvent, tag="response.code_interpreter_call_code.delta", kw_only=True):
    delta: str
    obfuscation: str | UnsetType = UNSET


class CodeDone(ItemEvent, tag="response.code_interpreter_call_code.done", kw_only=True):
    code: str


class CodeInterpreting(Stage, tag="response.code_interpreter_call.interpreting", kw_only=True):
    pass


class CodeCompleted(Stage, tag="response.code_interpreter_call.completed", kw_only=True):
    pass


class ImageInProgress(Stage, tag="response.image_generation_call.in_progress", kw_only=True):
    pass


class ImageGenerating(Stage, tag="response.image_generation_call.generating", kw_only=True):
    pass


class ImageCompleted(Stage, tag="response.image_generation_call.completed", kw_only=True):
    pass


STAGES: dict[str, tuple[type[Any], ...]] = {
    "web_search_call": (WebSearchInProgress, WebSearchSearching, WebSearchCompleted),
    "file_search_call": (FileSearchInProgress, FileSearchSearching, FileSearchCompleted),
    "code_interpreter_call": (CodeInProgress, CodeDone, CodeInterpreting, CodeCompleted),
    "image_generation_call": (ImageInProgress, ImageGenerating, ImageCompleted),
}
"""What happens inside a hosted call, in order: always all of it, so that its replay is the same.
(``CodeDelta`` may come any number of times before ``CodeDone``.)"""
