"""The tools of a request as one model call has them: functions under names of their own.

What a caller declares is more than what a model can call: namespaces, tools with items of their
own, tools of MCP servers, tools that are found only when they are searched for. An ``Offer`` is
what is left of it for the model: functions and freeform tools (``tools``) with unique names, what
their calls become (``forms``), which of them the server answers (``served``), and what a backend
that knows the tool gets as it is (``native``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import msgspec
from msgspec import Struct

from antiphon.backends.base import Capabilities
from antiphon.errors import ClientError
from antiphon.stream.forms import NATIVE, Form, Renamed, shown
from antiphon.tools.base import ServerTool
from antiphon.types.base import UNSET, UnsetType
from antiphon.types.tools import (
    AllowedTools,
    CallableTool,
    CustomTool,
    FunctionTool,
    HostedTool,
    McpChoice,
    McpTool,
    NamedChoice,
    NamespaceTool,
    NativeTool,
    Tool,
    TypeChoice,
    called,
)

Functions = Mapping[str, ServerTool]


class Offer(Struct, frozen=True):
    """See the module. ``paths``: where in the request a tool stands, by its name. ``kinds``: the
    names of the tools of a type, an MCP server (``mcp:label``) or a namespace. ``servers``: tools
    of MCP servers, and hosted ones that such a server may stand in for, with their paths: what is
    offered of them is for ``mcp_offer.py`` to say, which notes in ``origins`` the label and tool of
    a name."""

    tools: list[CallableTool] = []
    native: list[Tool] = []
    forms: dict[str, Form] = {}
    served: dict[str, ServerTool] = {}
    paths: dict[str, str] = {}
    kinds: dict[str, list[str]] = {}
    downgrades: list[str] = []
    servers: list[tuple[str, McpTool | HostedTool]] = []
    origins: dict[str, tuple[str, str]] = {}

    def add(self, tool: CallableTool, path: str, kind: str = "") -> None:
        """Offer a tool. Raises ``ClientError`` if the model would know two by one name."""
        if tool.name in self.paths:
            raise ClientError(
                f"Invalid '{path}': the model would know it as '{tool.name}', which is the name of "
                f"'{self.paths[tool.name]}' already; names must be unique.",
                param=path,
            )
        self.paths[tool.name] = path
        self.tools.append(tool)
        if kind:
            self.kinds.setdefault(kind, []).append(tool.name)


NO_OFFER = Offer()
"""Of a request without tools; nobody adds to it."""


def offer(
    declared: Sequence[Tool], able: Capabilities, functions: Functions, *, param: str = "tools"
) -> Offer:
    """What a model of these abilities has of the declared tools. Raises ``ClientError`` naming
    the tool that nobody here can run."""
    made = Offer()
    for index, tool in enumerate(declared):
        _take(made, tool, f"{param}[{index}]", able, functions)
    return made


def _take(made: Offer, tool: Tool, path: str, able: Capabilities, functions: Functions) -> None:
    match tool:
        case FunctionTool() | CustomTool():
            _take_callable(made, tool, path, UNSET, functions)
        case NamespaceTool():
            for number, inner in enumerate(tool.tools):
                _take_callable(made, inner, f"{path}.tools[{number}]", tool.name, functions)
        case HostedTool():
            if tool.type in able.native:
                made.native.append(tool)
            else:
                made.servers.append((path, tool))
        case McpTool():
            made.servers.append((path, tool))
        case _:
            kind = str(type(tool).__struct_config__.tag)
            known = NATIVE.get(kind)
            if kind in able.native:
                made.native.append(tool)
                if known is not None:
                    made.kinds.setdefault(kind, []).append(known.name)
            elif known is None:
                raise cannot_run(kind, path)
            else:
                enforced = able.strict_tools == "enforced"
                made.add(shown(cast(NativeTool, tool), enforced=enforced), path, kind)
            if known is not None:
                made.forms[known.name] = known.form


def _take_callable(
    made: Offer,
    tool: CallableTool,
    path: str,
    namespace: str | UnsetType,
    functions: Functions,
) -> None:
    name = called(namespace, tool.name)
    if namespace or tool.later:
        later = True if tool.later else UNSET
        made.forms[name] = Renamed(tool.name, namespace, later)
    if namespace:
        made.add(msgspec.structs.replace(tool, name=name), path, f"namespace:{namespace}")
        return
    made.add(tool, path)
    if isinstance(tool, FunctionTool) and tool.name in functions:
        made.served[tool.name] = functions[tool.name]


def cannot_run(kind: str, path: str) -> ClientError:
    """Nobody here runs tools of that type."""
    return ClientError(
        f"Unsupported value: tools of type '{kind}' cannot be run by this server or its model.",
        code="unsupported_value",
        param=f"{path}.type",
    )


def chosen(made: Offer, choice: Any) -> list[CallableTool]:
    """The tools the model may use under this choice."""
    if isinstance(choice, str):
        return [] if choice == "none" else made.tools
    names = _names(made, choice)
    return [tool for tool in made.tools if tool.name in names]


def callable_names(made: Offer, choice: Any) -> frozenset[str]:
    """The names the model may call under this choice, also those of tools its backend has."""
    names = frozenset(tool.name for tool in chosen(made, choice))
    if not made.native or choice == "none":
        return names
    kinds = (str(getattr(tool, "type", type(tool).__struct_config__.tag)) for tool in made.native)
    native = {NATIVE[kind].name for kind in kinds if kind in NATIVE}
    return names | (native if isinstance(choice, str) else native & _names(made, choice))


def _names(made: Offer, choice: Any) -> set[str]:
    match choice:
        case NamedChoice():
            return {called(choice.namespace, choice.name)}
        case McpChoice():
            names = made.kinds.get(f"mcp:{choice.server_label}", [])
            origin = (choice.server_label, choice.name)
            return {n for n in names if choice.name is None or made.origins.get(n) == origin}
        case TypeChoice():
            return set(
                made.kinds.get("computer" if choice.type == "computer_use" else choice.type, [])
            )
        case AllowedTools():
            return {name for entry in choice.tools for name in _names(made, _opened(entry))}
    return set()


def _opened(entry: Mapping[str, Any]) -> Any:
    kind = entry["type"]
    if kind in ("function", "custom"):
        return msgspec.convert(entry, NamedChoice)
    return msgspec.convert(entry, McpChoice) if kind == "mcp" else TypeChoice(kind)


def mode(made: Offer, choice: Any) -> Any:
    """The choice as a model call has it: a mode, or one tool by the name the model knows."""
    if isinstance(choice, str):
        return choice
    if isinstance(choice, AllowedTools):
        return choice.mode
    names = sorted(_names(made, choice))
    if len(names) != 1:
        return "required"
    custom = any(isinstance(tool, CustomTool) and tool.name == names[0] for tool in made.tools)
    return NamedChoice("custom" if custom else "function", names[0])
