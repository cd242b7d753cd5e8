"""What of an MCP tool nobody may read again: hidden where it is shown, sealed where it is kept.

Headers and tokens are secrets. The path and the query of an address may be, so only its origin is
shown. A background request is kept until its response is made, in any process: there all three
are sealed, and nothing of them is in clear. (Where there is no key, an address without user and
query is kept as it is; a request with more is refused.)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

from antiphon.errors import ClientError, RemoteError
from antiphon.runs.sealed import Keeper
from antiphon.types.base import UNSET, given
from antiphon.types.tools import AllowedTools, McpTool

HIDDEN = "<redacted>"
_FIELDS = ("server_url", "headers", "authorization")


def shown(tool: McpTool) -> McpTool:
    """The tool as a response repeats it."""
    headers: Any = tool.headers
    if isinstance(headers, dict):
        headers = dict.fromkeys(headers, HIDDEN)
    return msgspec.structs.replace(
        tool,
        server_url=_origin(tool.server_url) if isinstance(tool.server_url, str) else UNSET,
        headers=headers,
        authorization=HIDDEN if given(tool.authorization) else tool.authorization,
    )


def shown_choice(choice: Any) -> Any:
    """A tool choice, opened or as the request has it, without secrets: ``allowed_tools`` may hold
    whole definitions of tools, of which only labels and names count."""
    if isinstance(choice, AllowedTools):
        return msgspec.structs.replace(choice, tools=[_entry(one) for one in choice.tools])
    if isinstance(choice, dict) and isinstance(choice.get("tools"), list):
        return {**choice, "tools": [_entry(one) for one in choice["tools"]]}
    return choice


def _entry(entry: Any) -> Any:
    if not isinstance(entry, dict) or entry.get("type") != "mcp":
        return entry
    return {name: HIDDEN if name in _FIELDS and value else value for name, value in entry.items()}


def _origin(url: str) -> str:
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    path = parts.path.rstrip("/")
    rest = HIDDEN if path or parts.query or parts.fragment else ""
    user = f"{HIDDEN}@" if "@" in parts.netloc else ""
    return f"{parts.scheme}://{user}{host}/{rest}"


class _Kept(Struct):
    """The secrets of the tool at ``index``, as the request has them."""

    index: int
    fields: dict[str, Any]


_decode = msgspec.json.Decoder(list[_Kept]).decode


def sealed(
    tools: Sequence[dict[str, Any]] | None, keeper: Keeper
) -> tuple[list[dict[str, Any]] | None, str | None]:
    """The tools of a request without their secrets, and these, sealed; None if there are none.
    Raises ``ClientError`` where nothing can be sealed."""
    found = [
        _Kept(index, {name: tool[name] for name in _FIELDS if tool.get(name) is not None})
        for index, tool in enumerate(tools or ())
        if tool.get("type") == "mcp"
    ]
    found = [one for one in found if one.fields]
    if not found or tools is None:
        return (None if tools is None else list(tools)), None
    bare = [dict(tool) for tool in tools]
    for one in found:
        for name in one.fields:
            del bare[one.index][name]
    try:
        return bare, keeper.seal("mcp", msgspec.json.encode(found))
    except RemoteError:
        if all(_is_open(one.fields) for one in found):
            return list(tools), None
        raise ClientError(
            "A background response whose 'mcp' tool has secrets cannot be kept here: this server "
            "has no key to seal them with ([encryption] in its settings).",
            code="unsupported_value",
            param="background",
        ) from None


def _is_open(fields: dict[str, Any]) -> bool:
    """Whether nothing of this has to be sealed: an address alone, without user and query."""
    return fields.keys() == {"server_url"} and _is_bare(fields["server_url"])


def _is_bare(url: str) -> bool:
    """Whether it is an address without user and query."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return not parts.query and "@" not in parts.netloc


def holds_secrets(tool: McpTool) -> bool:
    """Whether something of the tool must not be kept in clear, as items are."""
    url = tool.server_url
    return (
        given(tool.headers) or given(tool.authorization) or (given(url) and not _is_bare(str(url)))
    )


def opened(
    tools: Sequence[dict[str, Any]] | None, token: str, keeper: Keeper
) -> list[dict[str, Any]]:
    """The tools with what was sealed. Raises ``Unsealable`` and ``RemoteError``."""
    whole = [dict(tool) for tool in tools or ()]
    for one in _decode(keeper.open("mcp", token)):
        whole[one.index].update(one.fields)
    return whole
