"""What a tool of an MCP server answered, as the text a model reads, or as an error.

Text blocks stand as they are, one after another. What is no text stands as the JSON of its block:
a link, a resource, an image. A structured result is added where no block says the same.
"""

from __future__ import annotations

from typing import Any

import msgspec
from mcp_types import CallToolResult, EmbeddedResource, TextContent, TextResourceContents

from antiphon.tools.mcp_base import McpError, McpResult


def outcome(result: CallToolResult, bytes_max: int) -> McpResult:
    """A result as it is kept. Longer than ``bytes_max`` is an error."""
    if result.is_error:
        blocks = [_plain(block) for block in result.content]
        if len(msgspec.json.encode(blocks)) > bytes_max:
            return McpResult(error=too_long(bytes_max))
        return McpResult(error=McpError("mcp_tool_execution_error", content=blocks))
    texts = [_text(block) for block in result.content]
    if result.structured_content is not None and not _said(texts, result.structured_content):
        texts.append(_json(result.structured_content))
    output = "\n".join(texts)
    if len(output.encode("utf-8", "replace")) > bytes_max:
        return McpResult(error=too_long(bytes_max))
    return McpResult(output=output)


def too_long(bytes_max: int) -> McpError:
    """An answer nobody should have to read."""
    return McpError(
        "mcp_protocol_error",
        -32603,
        f"The answer of the MCP server is longer than {bytes_max} bytes.",
    )


def _text(block: Any) -> str:
    if isinstance(block, TextContent):
        return block.text
    if isinstance(block, EmbeddedResource) and isinstance(block.resource, TextResourceContents):
        return block.resource.text
    return _json(_plain(block))


def _plain(block: Any) -> Any:
    return block.model_dump(by_alias=True, mode="json", exclude_none=True)


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _said(texts: list[str], value: Any) -> bool:
    """Whether the texts say the value already: one of them is its JSON, or they are what the
    official SDK makes of a tool's return value, which it wraps as ``{"result": …}``."""
    values = [value]
    if isinstance(value, dict) and value.keys() == {"result"}:
        values.append(value["result"])
    if any(_is(text, one) for text in texts for one in values):
        return True
    last = values[-1]
    return isinstance(last, list) and len(last) == len(texts) and all(map(_is, texts, last))


def _is(text: str, value: Any) -> bool:
    if text == value:
        return True
    try:
        return bool(msgspec.json.decode(text.encode("utf-8", "replace")) == value)
    except msgspec.DecodeError:
        return False
