"""Tools and tool choice of a request: raw objects → structs, read strictly.

A caller writes these by hand, so unknown keys are refused. What is refused here is what no server
could make sense of; whether this one can run a tool is for ``runs/offering.py`` to say.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, TypeVar, cast

import msgspec
from msgspec import Struct

from antiphon.errors import ClientError
from antiphon.types import explain
from antiphon.types.codec import convert
from antiphon.types.explain import at_index, at_key
from antiphon.types.tools import (
    HOSTED,
    AllowedTools,
    ApplyPatchTool,
    ComputerPreviewTool,
    ComputerTool,
    CustomTool,
    FunctionTool,
    HostedTool,
    LocalShellTool,
    McpChoice,
    McpTool,
    NamedChoice,
    NamespaceTool,
    ShellTool,
    Tool,
    ToolSearchTool,
    TypeChoice,
)

_S = TypeVar("_S", bound=Struct)

Choice = Literal["none", "auto", "required"] | NamedChoice | McpChoice | TypeChoice | AllowedTools

_TOOLS: Mapping[str, type[Any]] = {
    "function": FunctionTool,
    "custom": CustomTool,
    "namespace": NamespaceTool,
    "tool_search": ToolSearchTool,
    "mcp": McpTool,
    "shell": ShellTool,
    "local_shell": LocalShellTool,
    "apply_patch": ApplyPatchTool,
    "computer": ComputerTool,
    "computer_use_preview": ComputerPreviewTool,
}
KNOWN = HOSTED | _TOOLS.keys()
"""Every type of tool the API names: others are misspelt."""

_KEYS = {
    kind: frozenset({"type", *shape.__struct_encode_fields__}) for kind, shape in _TOOLS.items()
}
_PLAIN_KEYS = {
    "function": frozenset({"type", "name", "description", "parameters", "strict"}),
    "custom": frozenset({"type", "name", "description", "format"}),
}
"""Keys whose values need no closer look than converting takes."""
_NO_KEYS: frozenset[str] = frozenset()

_to = msgspec.convert


def open_tools(raw: Sequence[dict[str, Any]] | None, *, param: str = "tools") -> list[Tool]:
    """The tools of a request, or of an item that brings some (``param`` is where they stand), as
    they are declared. Raises ``ClientError``."""
    tools: list[Tool] = []
    names: set[tuple[str, str]] = set()
    for index, definition in enumerate(raw or ()):
        path = at_index(param, index)
        tool = _plain_tool(definition) or _open_tool(definition, path)
        if isinstance(tool, FunctionTool) and tool.parameters is not None:
            tool.parameters = _object_schema(tool.name, tool.parameters, path)
        what, name, field = _identity(tool)
        if (what, name) in names:
            raise ClientError(
                f"Invalid '{path}{field}': {what} {explain.echoed(name)} is already "
                "defined; names must be unique.",
                code="invalid_value",
                param=f"{path}{field}",
            )
        names.add((what, name))
        tools.append(tool)
    return tools


def _identity(tool: Tool) -> tuple[str, str, str]:
    """What a tool is, what tells it from the others, and the field that says so."""
    match tool:
        case FunctionTool() | CustomTool():
            return "a tool named", tool.name, ".name"
        case NamespaceTool():
            return "a namespace named", tool.name, ".name"
        case McpTool():
            return "a server labelled", tool.server_label, ".server_label"
        case HostedTool():
            return "a tool of type", tool.type, ".type"
        case _:
            return "a tool of type", str(type(tool).__struct_config__.tag), ".type"


def _plain_tool(raw: dict[str, Any]) -> Tool | None:
    """The tool, if nothing about it needs a closer look."""
    kind = raw.get("type")
    if type(kind) is not str or not _PLAIN_KEYS.get(kind, _NO_KEYS).issuperset(raw):
        return None
    try:
        return cast(Tool, _to(raw, _TOOLS[kind]))
    except msgspec.ValidationError:
        return None


def _open_tool(raw: dict[str, Any], path: str) -> Tool:
    kind = raw.get("type")
    where = at_key(path, "type")
    if kind is None:
        raise explain.missing(where)
    if not isinstance(kind, str):
        raise explain.wrong_type(where, "a string", kind)
    if kind in HOSTED or (kind == "shell" and _is_hosted_shell(raw)):
        return HostedTool(kind, raw)
    if kind not in _TOOLS:
        raise explain.wrong_value(where, kind, sorted(KNOWN))
    if kind == "function" and isinstance(raw.get("function"), dict):
        raise _nested(f"{path}.name", "{'type': 'function', 'name': …, 'parameters': …}")
    for key in raw:
        if key not in _KEYS[kind]:
            raise explain.unknown_parameter(path, key)
    _check_callers(raw, path)
    if kind == "tool_search" and isinstance(raw.get("parameters"), dict):
        raw = {**raw, "parameters": _object_schema(kind, raw["parameters"], path)}
    if kind == "namespace":
        return _open_namespace(raw, path)
    return cast(Tool, _convert_tool(raw, _TOOLS[kind], path))


def _open_namespace(raw: dict[str, Any], path: str) -> NamespaceTool:
    inner = raw.get("tools")
    if not isinstance(inner, list) or not all(isinstance(one, dict) for one in inner):
        return _convert_tool(raw, NamespaceTool, path)  # which says what is wrong
    inside = at_key(path, "tools")
    for index, one in enumerate(inner):
        if one.get("type") not in ("function", "custom"):
            where = at_key(at_index(inside, index), "type")
            raise explain.wrong_value(where, one.get("type"), ["custom", "function"])
    tools = open_tools(inner, param=inside)
    namespace = _convert_tool({**raw, "tools": inner}, NamespaceTool, path)
    namespace.tools = cast("list[FunctionTool | CustomTool]", tools)
    return namespace


def _is_hosted_shell(raw: dict[str, Any]) -> bool:
    environment = raw.get("environment")
    return isinstance(environment, dict) and environment.get("type") != "local"


def _convert_tool(raw: dict[str, Any], shape: type[_S], path: str) -> _S:
    """Like ``convert``, but a schema keeps its nulls."""
    try:
        return msgspec.convert(raw, shape)
    except msgspec.ValidationError as failure:
        raise explain.explain(raw, shape, failure, param=path) from None


def _nested(param: str, flat: str) -> ClientError:
    return ClientError(
        f"Missing required parameter: '{param}'. The Responses API takes the fields of a "
        f"function directly, without a nested 'function' object: {flat}.",
        code="missing_required_parameter",
        param=param,
    )


def _check_callers(raw: dict[str, Any], path: str) -> None:
    """Who may call a tool: no program can, because this server runs none."""
    callers = raw.get("allowed_callers")
    if callers is None:
        return
    where = at_key(path, "allowed_callers")
    if not isinstance(callers, list):
        raise explain.wrong_type(where, "an array", callers)
    for index, caller in enumerate(callers):
        if caller == "programmatic":
            raise ClientError(
                f"Unsupported value: '{at_index(where, index)}' is 'programmatic', which this "
                "server does not support; use 'direct' or leave it out.",
                code="unsupported_value",
                param=at_index(where, index),
            )
        if caller != "direct":
            raise explain.wrong_value(at_index(where, index), caller, ["direct", "programmatic"])


def _object_schema(name: str, schema: dict[str, Any], path: str) -> dict[str, Any]:
    """The schema with its ``type`` written out; raises unless it describes an object."""
    kind = schema.get("type")
    fault = ""
    if kind is None and schema and "properties" not in schema:
        fault = "its root must have 'type': 'object'"
    elif kind is not None and kind != "object":
        fault = f"its root must have 'type': 'object', but got {explain.echoed(kind)}"
    elif not isinstance(schema.get("properties", {}), dict):
        fault = "'properties' must be an object"
    elif not _strings(schema.get("required", [])):
        fault = "'required' must be an array of strings"
    if fault:
        raise ClientError(
            f"Invalid schema for function {explain.echoed(name)}: {fault}.",
            code="invalid_function_parameters",
            param=f"{path}.parameters",
        )
    return schema if kind else {**schema, "type": "object"}


def _strings(value: Any) -> bool:
    return isinstance(value, list) and {str}.issuperset(map(type, value))


# Tool choice ------------------------------------------------------------------------------


def open_choice(raw: str | dict[str, Any] | None, tools: Sequence[Tool]) -> Choice:
    """The effective ``tool_choice`` (``auto`` when absent); it names only tools that exist."""
    if raw is None:
        return "auto"
    if isinstance(raw, str):
        return _mode(raw, tools)
    kind = raw.get("type")
    if kind is None:
        raise explain.missing("tool_choice.type")
    if not isinstance(kind, str):
        raise explain.wrong_type("tool_choice.type", "a string", kind)
    opener = _CHOICES.get(kind)
    if opener is not None:
        choice = opener(raw, tools, "tool_choice")
    elif kind == "allowed_tools":
        choice = _allowed(raw, tools)
    elif kind in _TYPES:
        choice = _typed(raw, tools, "tool_choice")
    else:
        known = sorted({*_CHOICES, *_TYPES, "allowed_tools"})
        raise explain.wrong_value("tool_choice.type", kind, known)
    fields = {"type", *getattr(choice, "__struct_encode_fields__", ())}
    for key in raw.keys() - fields:
        raise explain.unknown_parameter("tool_choice", key)
    return choice


def _mode(raw: str, tools: Sequence[Tool]) -> Literal["none", "auto", "required"]:
    match raw:
        case "none" | "auto":
            return raw
        case "required":
            if not tools:
                raise ClientError(
                    "Invalid 'tool_choice': 'required' needs at least one tool in 'tools'.",
                    param="tool_choice",
                )
            return raw
    raise explain.wrong_value("tool_choice", raw, ["none", "auto", "required"])


def _named(raw: dict[str, Any], tools: Sequence[Tool], path: str) -> NamedChoice:
    if isinstance(raw.get("function"), dict):
        raise _nested(f"{path}.name", "{'type': 'function', 'name': …}")
    choice = convert(raw, NamedChoice, path)
    shape = _TOOLS[choice.type]
    inside = [
        one
        for tool in tools
        if isinstance(tool, NamespaceTool) and tool.name == choice.namespace
        for one in tool.tools
    ]
    candidates: Sequence[Tool] = inside if choice.namespace else tools
    if not any(
        type(tool) is shape and getattr(tool, "name", "") == choice.name for tool in candidates
    ):
        raise _absent(f"the {choice.type} tool {explain.echoed(choice.name)}", path)
    return choice


def _mcp(raw: dict[str, Any], tools: Sequence[Tool], path: str) -> McpChoice:
    choice = convert(raw, McpChoice, path)
    labels = [tool.server_label for tool in tools if isinstance(tool, McpTool)]
    if choice.server_label not in labels:
        raise _absent(f"the server {explain.echoed(choice.server_label)}", path)
    return choice


def _typed(raw: dict[str, Any], tools: Sequence[Tool], path: str) -> TypeChoice:
    """A choice of the only tool of a type."""
    kind = _ALIASES.get(raw["type"], raw["type"])
    if not any(_type_of(tool) == kind for tool in tools):
        raise _absent(f"a tool of type '{kind}'", path)
    return TypeChoice(raw["type"])


def _allowed(raw: dict[str, Any], tools: Sequence[Tool]) -> AllowedTools:
    choice = convert(raw, AllowedTools, "tool_choice")
    for index, entry in enumerate(choice.tools):
        path = at_index("tool_choice.tools", index)
        kind = entry.get("type")
        if kind is None:
            raise explain.missing(f"{path}.type")
        if not isinstance(kind, str):
            raise explain.wrong_type(f"{path}.type", "a string", kind)
        opener = _CHOICES.get(kind)
        if opener is None and kind in _TYPES:
            opener = _typed
        if opener is not None:
            opener(entry, tools, path)
        elif kind == "namespace":
            _check_namespace(entry, tools, path)
        else:
            kinds = sorted({*_CHOICES, *_TYPES, "namespace"})
            raise explain.wrong_value(f"{path}.type", kind, kinds)
    return choice


def _check_namespace(entry: dict[str, Any], tools: Sequence[Tool], path: str) -> None:
    """An entry that allows all tools of a namespace."""
    name = entry.get("name")
    if name is None:
        raise explain.missing(f"{path}.name")
    if not isinstance(name, str):
        raise explain.wrong_type(f"{path}.name", "a string", name)
    if not any(isinstance(tool, NamespaceTool) and tool.name == name for tool in tools):
        raise _absent(f"the namespace {explain.echoed(name)}", path)


def _type_of(tool: Tool) -> str:
    return tool.type if isinstance(tool, HostedTool) else str(type(tool).__struct_config__.tag)


def _absent(what: str, path: str) -> ClientError:
    return ClientError(f"Invalid '{path}': it names {what}, which is not in 'tools'.", param=path)


_CHOICES: Mapping[str, Callable[[dict[str, Any], Sequence[Tool], str], Choice]] = {
    "function": _named,
    "custom": _named,
    "mcp": _mcp,
}
_ALIASES = {"computer_use": "computer"}
_TYPES = (KNOWN - _CHOICES.keys() - {"namespace"}) | _ALIASES.keys()
"""Tools there is at most one of, so that the type says which."""
