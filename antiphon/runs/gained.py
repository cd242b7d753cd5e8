"""What items of a context bring besides words: tools, and settings that hold from there on.

``additional_tools`` are as if the request had declared them; one of a name that is declared
already replaces it. A ``tool_search_output`` loads deferred tools: what the request itself declares
of them counts, else what the output says. ``configuration_update`` changes one setting each until
the next one does, whatever the request's own parameters say. They stay in force for every turn that
has the item in its past, also where a compaction stands for what was said.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from typing import Any

import msgspec
from msgspec import Struct

from antiphon.errors import ClientError
from antiphon.runs.demands import schema_check
from antiphon.runs.mcp_secrets import holds_secrets
from antiphon.runs.offering import Placed, placed, type_of
from antiphon.runs.said import BRINGING
from antiphon.types.base import Asked, given
from antiphon.types.codec import convert
from antiphon.types.items import Item
from antiphon.types.request import CreateResponse, Effort, ReasoningOptions, TextOptions
from antiphon.types.tool_codec import open_tools
from antiphon.types.tool_items import AdditionalTools, ConfigurationUpdate, ToolSearchOutput
from antiphon.types.tools import (
    HOSTED,
    HostedTool,
    JsonSchemaFormat,
    McpFilter,
    McpTool,
    TextFormat,
    Tool,
)

Bringing = Sequence[tuple[Item, str]]
"""Items that bring something, oldest first, and where in the request each stands; nowhere
(empty) where it is of the past."""


class _Effort(Asked):
    effort: Effort | None = None


class _Format(Asked):
    format: TextFormat | JsonSchemaFormat


class _Update(Struct):
    """What a ``configuration_update`` may say."""

    reasoning: _Effort | None = None
    text: _Format | None = None


class Gained(Struct):
    """``tools``: in their order, with ``loaded`` set on what was searched for. ``declared``: the
    same as they stand in the items. ``downgrades``: what was left out of them. ``found``: tools of
    MCP servers that were searched for (``Offer.found``)."""

    tools: list[Placed] = []
    declared: list[Tool] = []
    effort: Effort | None = None
    format: TextFormat | JsonSchemaFormat | None = None
    downgrades: list[str] = []
    found: list[tuple[str, str]] = []


NOTHING_GAINED = Gained()
"""Of a context without such items; nobody adds to it."""


def bringing(
    past: Iterable[Item],
    brought: Sequence[Item],
    places: Sequence[int] | None,
    param: str = "input",
) -> Bringing:
    """The items of a context that bring something. ``places``: see ``history.Brought``; ``param``:
    what the request calls the new ones."""
    found = [(item, "") for item in past]
    for index, item in enumerate(brought):
        if type(item) in BRINGING:
            found.append((item, f"{param}[{index if places is None else places[index]}]"))
    return found


def gained_by(found: Bringing, droppable: AbstractSet[str], native: AbstractSet[str]) -> Gained:
    """What these bring. Tools of ``droppable`` types that are not ``native`` are left out, as is
    in the past what another model had. Raises ``ClientError`` naming what is wrong with a new
    one."""
    gained = Gained()
    for item, path in found:
        match item:
            case AdditionalTools():
                _add_tools(gained, item, path, (droppable if path else HOSTED) - native)
            case ToolSearchOutput():
                _add_tools(gained, item, path, (droppable if path else HOSTED) - native)
            case ConfigurationUpdate():
                _configure(gained, item, path)
    return gained


def _add_tools(
    gained: Gained,
    item: AdditionalTools | ToolSearchOutput,
    path: str,
    droppable: AbstractSet[str],
) -> None:
    found = isinstance(item, ToolSearchOutput)
    param = f"{path or ('tool_search_output' if found else 'additional_tools')}.tools"
    tools = open_tools(item.tools, param=param)
    for index, tool in enumerate(tools):
        if isinstance(tool, McpTool) and holds_secrets(tool):
            raise ClientError(
                f"Unsupported value: '{param}[{index}]' holds secrets (headers, a token, an "
                "address with user or query), which items would keep; declare it in 'tools'.",
                code="unsupported_value",
                param=f"{param}[{index}]",
            )
    for one in placed(tools, param):
        if found and isinstance(one.tool, McpTool):
            gained.found += _loaded(one.tool)
            if not given(one.tool.server_url):
                continue  # only a request says where its server is
        if isinstance(one.tool, HostedTool) and one.tool.type in droppable:
            gained.downgrades.append(f"{one.path}:{type_of(one.tool)}")
        else:
            gained.tools.append(msgspec.structs.replace(one, loaded=True) if found else one)
    gained.declared += [t for t in tools if type_of(t) not in droppable]


def _loaded(tool: McpTool) -> list[tuple[str, str]]:
    allowed = tool.allowed_tools
    names = allowed.tool_names if isinstance(allowed, McpFilter) else allowed
    return [(tool.server_label, name) for name in (names if isinstance(names, list) else [""])]


def _configure(gained: Gained, item: ConfigurationUpdate, path: str) -> None:
    raw = {name: getattr(item, name) for name in ("reasoning", "text")}
    update = convert({k: v for k, v in raw.items() if given(v)}, _Update, path or "input")
    if update.reasoning is not None and update.reasoning.effort is not None:
        gained.effort = update.reasoning.effort
    if update.text is not None:
        format = gained.format = update.text.format
        if path and isinstance(format, JsonSchemaFormat):
            where = f"{path}.text.format.schema"
            schema_check(format.schema, param=where, code="invalid_json_schema")


def joined(own: Sequence[Placed], gained: Gained) -> list[Placed]:
    """The request's tools and those that items brought, each once."""
    if not gained.tools:
        return list(own)
    tools = {one.key: one for one in own}
    for one in gained.tools:
        if not one.loaded:
            tools[one.key] = one
    for one in gained.tools:
        if one.loaded:
            tools[one.key] = msgspec.structs.replace(tools.get(one.key, one), loaded=True)
    return list(tools.values())


def effective(asked: CreateResponse, gained: Gained) -> CreateResponse:
    """The request with the settings that hold for it."""
    changes: dict[str, Any] = {}
    if gained.effort is not None:
        own = asked.reasoning or ReasoningOptions()
        changes["reasoning"] = msgspec.structs.replace(own, effort=gained.effort)
    if gained.format is not None:
        text = asked.text or TextOptions()
        changes["text"] = msgspec.structs.replace(text, format=gained.format)
    return msgspec.structs.replace(asked, **changes) if changes else asked
