"""What a model behind this server can do, found out by trying.

Nothing here is a second opinion: a tool is put through ``offering.py`` and a parameter through
``wishes.py`` exactly as a request's would be, with a sample of each (``TOOLS``, ``PARAMETERS``,
``INCLUDES``), and what comes of it is what is told. Item types follow from the tools they are of.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Literal, get_args

import msgspec
from msgspec import Struct

from antiphon.backends.base import Capabilities
from antiphon.config import RunSettings
from antiphon.errors import ClientError
from antiphon.runs.mcp_servers import McpHouse
from antiphon.runs.offering import offer, placed
from antiphon.runs.wishes import wishes_of
from antiphon.types.items import LETTERS, OPAQUE_TYPES, Item, Opaque
from antiphon.types.request import CreateResponse, Include
from antiphon.types.tool_codec import KNOWN, open_tools

Support = Literal["native", "emulated", "downgraded", "unsupported"]
"""``native``: as the API has it, by the model's own server or by the API's nature. ``emulated``:
this server does it for the model, and the caller sees no difference. ``downgraded``: accepted,
not fully honoured, and named in ``x-antiphon-downgrades``. ``unsupported``: a 400 that names it."""

_FUNCTION: dict[str, Any] = {
    "type": "function",
    "name": "get_weather",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
        "additionalProperties": False,
    },
}
_FIELDS: Mapping[str, dict[str, Any]] = {
    "function": _FUNCTION,
    "custom": {"name": "note"},
    "namespace": {"name": "crm", "description": "Customers", "tools": [_FUNCTION]},
    "mcp": {"server_label": "desk", "server_url": "https://example.com/mcp"},
    "computer_use_preview": {"display_width": 9, "display_height": 9, "environment": "browser"},
    "file_search": {"vector_store_ids": ["vs_1"]},
    "code_interpreter": {"container": {"type": "auto"}},
}
TOOLS: Mapping[str, dict[str, Any]] = {
    kind: {"type": kind, **_FIELDS.get(kind, {})} for kind in sorted(KNOWN)
}
"""A tool of every type."""

_SCHEMA: dict[str, Any] = {"type": "json_schema", "name": "s", "schema": {"type": "object"}}
_GRAMMAR = {"type": "grammar", "syntax": "regex", "definition": "[a-z]+"}
_STRICT = {**_FUNCTION, "strict": True}

PARAMETERS: Mapping[str, dict[str, Any]] = {
    "access_programs": {"access_programs": {}},
    "background": {"background": True},
    "background_options.completion_window": {
        "background": True,
        "background_options": {"completion_window": "2h"},
    },
    "background_options.continuation_id": {"background_options": {"continuation_id": "c"}},
    "client_metadata": {"client_metadata": {"a": "b"}},
    "context_management": {
        "context_management": [{"type": "compaction", "compact_threshold": 100_000}]
    },
    "conversation": {"conversation": "conv_1"},
    "frequency_penalty": {"frequency_penalty": 1.0},
    "image.context_compression": {"image": {"context_compression": "enabled"}},
    "include": {"include": []},
    "input": {"input": "hello"},
    "instructions": {"instructions": "Be brief."},
    "max_output_tokens": {"max_output_tokens": 100},
    "max_tool_calls": {"max_tool_calls": 3},
    "metadata": {"metadata": {"a": "b"}},
    "model": {},
    "moderation": {"moderation": {}},
    "multi_agent": {"multi_agent": {"enabled": True}},
    "parallel_tool_calls": {"parallel_tool_calls": False},
    "presence_penalty": {"presence_penalty": 1.0},
    "previous_response_id": {"previous_response_id": "resp_1"},
    "prompt": {"prompt": {"id": "pmpt_1"}},
    "prompt_cache_key": {"prompt_cache_key": "k"},
    "prompt_cache_options.mode": {"prompt_cache_options": {"mode": "explicit"}},
    "prompt_cache_options.prewarm": {"prompt_cache_options": {"prewarm": True}},
    "prompt_cache_retention": {"prompt_cache_retention": "24h"},
    "reasoning.context": {"reasoning": {"context": "all_turns"}},
    "reasoning.effort": {"reasoning": {"effort": "low"}},
    "reasoning.mode": {"reasoning": {"mode": "pro"}},
    "reasoning.summary": {"reasoning": {"summary": "auto"}},
    "safety_identifier": {"safety_identifier": "s"},
    "service_tier": {"service_tier": "flex"},
    "store": {"store": False},
    "stream": {"stream": True},
    "stream_options": {"stream": True, "stream_options": {"include_obfuscation": False}},
    "temperature": {"temperature": 0.5},
    "text.format.json_object": {"text": {"format": {"type": "json_object"}}},
    "text.format.json_schema": {"text": {"format": _SCHEMA}},
    "text.verbosity": {"text": {"verbosity": "low"}},
    "tool_choice.allowed_tools": {
        "tools": [_FUNCTION],
        "tool_choice": {
            "type": "allowed_tools",
            "mode": "auto",
            "tools": [{"type": "function", "name": "get_weather"}],
        },
    },
    "tool_choice.function": {
        "tools": [_FUNCTION],
        "tool_choice": {"type": "function", "name": "get_weather"},
    },
    "tool_choice.required": {"tools": [_FUNCTION], "tool_choice": "required"},
    "tools.custom.grammar": {"tools": [{"type": "custom", "name": "note", "format": _GRAMMAR}]},
    "tools.function.strict": {"tools": [_STRICT]},
    "top_logprobs": {"include": ["message.output_text.logprobs"], "top_logprobs": 2},
    "top_p": {"top_p": 0.5},
    "truncation": {"truncation": "auto"},
    "user": {"user": "u"},
    "verbosity": {"verbosity": "low"},
}
"""For each parameter, or each value that differs from others, what a request sets for it."""

_PROMISED_BY: Mapping[str, str] = {
    "text.format.json_object": "json_schema",
    "text.format.json_schema": "json_schema",
    "tool_choice.allowed_tools": "tool_choice",
    "tool_choice.function": "tool_choice",
    "tool_choice.required": "tool_choice",
    "tools.custom.grammar": "grammar",
    "tools.function.strict": "strict_tools",
}
"""Promises that this server keeps where the model's does not ``enforce`` them."""
_BY_US = frozenset({"context_management", "truncation"})
"""What no model does by itself."""

INCLUDES: Mapping[str, str] = {
    value: value.partition("_call.")[0].removesuffix("_output") if "_call" in value else ""
    for value in get_args(Include)
}
"""Each value of ``include``, and the type of tool whose items it is about, if it is."""


class Abilities(Struct, frozen=True):
    """By name, how far each is supported."""

    tools: dict[str, Support]
    items: dict[str, Support]
    parameters: dict[str, Support]
    include: dict[str, Support]


class _Known(Struct, frozen=True):
    """``wishes.Able`` of one model."""

    able: Capabilities

    def capabilities(self, model: str) -> Capabilities:
        return self.able


def abilities(
    able: Capabilities,
    settings: RunSettings,
    *,
    mcp: McpHouse | None = None,
    background: bool = True,
) -> Abilities:
    """Those of a model of these capabilities. ``mcp``: None where MCP servers cannot be reached;
    ``background``: whether this server has a queue."""
    presented: Collection[str] = mcp.presented if mcp is not None else ()
    tools = {kind: _tool(raw, able, mcp is not None, presented) for kind, raw in TOOLS.items()}
    parameters = {
        name: _parameter(name, fields, able, settings) for name, fields in PARAMETERS.items()
    }
    if not background:
        parameters |= {name: "unsupported" for name in parameters if name.startswith("background")}
    include: dict[str, Support] = {
        value: tools[_tool_of(kind)]
        if kind and _tool_of(kind) in tools
        else _parameter("include", {"include": [value]}, able, settings)
        for value, kind in INCLUDES.items()
    }
    return Abilities(tools, _items(able, tools), parameters, include)


def _tool(
    raw: dict[str, Any],
    able: Capabilities,
    mcp: bool,
    presented: Collection[str],
) -> Support:
    try:
        made = offer(placed(open_tools([raw])), able, {})
    except ClientError:
        return "unsupported"
    kind = str(raw["type"])
    if made.native or (kind == "function" and able.tools):
        return "native"
    if kind == "custom" and "custom" in able.native:
        return "native"
    runs = kind in presented or (kind == "mcp" and mcp)
    return "emulated" if able.tools and (made.tools or (made.servers and runs)) else "unsupported"


def _parameter(
    name: str, fields: Mapping[str, Any], able: Capabilities, settings: RunSettings
) -> Support:
    asked = msgspec.convert({"model": "m", "input": "hello", **fields}, CreateResponse)
    try:
        _, wishes = wishes_of(asked, _Known(able), settings)
    except ClientError:
        return "unsupported"
    if wishes.downgrades:
        return "downgraded"
    if name in _BY_US or (field := _PROMISED_BY.get(name)) is None:
        return "emulated" if name in _BY_US else "native"
    return "native" if getattr(able, field) == "enforced" else "emulated"


def _tool_of(kind: str) -> str:
    return "computer" if kind.startswith("computer") else kind


def _items(able: Capabilities, tools: Mapping[str, Support]) -> dict[str, Support]:
    """Item types as input: shown to the model as they are, as something it knows, or not at all."""
    found: dict[str, Support] = {}
    for kind in sorted({*_kinds(), *OPAQUE_TYPES}):
        tool = next((tool for tool in sorted(tools, key=len) if kind.startswith(tool)), None)
        if kind in OPAQUE_TYPES:
            found[kind] = "emulated" if kind in LETTERS else "downgraded"
        elif kind == "reasoning":
            found[kind] = "native" if able.takes_reasoning else "downgraded"
        elif tool is None or tool == "function":
            found[kind] = "native"
        else:
            known = tool in able.native or (tool == "custom" and tools["custom"] == "native")
            found[kind] = "native" if known else "emulated"
    return found


def _kinds() -> Sequence[str]:
    shapes = [shape for shape in get_args(Item) if shape is not Opaque]
    return [str(shape.__struct_config__.tag) for shape in shapes]


class Group(Struct, frozen=True):
    """Models that can do the same."""

    models: list[str]
    capabilities: Capabilities


def grouped(able: Mapping[str, Capabilities]) -> list[Group]:
    """Models, by name, by what they can do, in their order."""
    groups: dict[Capabilities, list[str]] = {}
    for name, known in able.items():
        groups.setdefault(known, []).append(name)
    return [Group(names, known) for known, names in groups.items()]
