"""The tools of a context as one model call has them: functions under names of their own.

What a caller declares is more than what a model can call: namespaces, tools with items of their
own, tools of MCP servers, tools that are found only when they are searched for. An ``Offer`` is
what is left of it for the model: functions and freeform tools (``tools``) with unique names, what
their calls become (``forms``), which of them the server answers (``served``), and what a backend
that knows the tool gets as it is (``native``).

A tool with ``defer_loading`` is offered once a search has found it (``Placed.loaded``), or when
the choice names it. Namespaces, searches and deferred tools are the same for every backend.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any, cast

import msgspec
from msgspec import Struct

from antiphon.backends.base import Capabilities
from antiphon.errors import ClientError
from antiphon.stream.forms import NATIVE, TOOL_SEARCH, Form, Renamed, shown, tool_search
from antiphon.tools.base import ServerTool
from antiphon.tools.search import QUERY, Entry, ToolSearch
from antiphon.types.base import UNSET
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
    ToolSearchTool,
    TypeChoice,
    called,
)

Functions = Mapping[str, ServerTool]

_CLIENT_SEARCH = "Search for tools that are not shown yet. What it finds can be called afterwards."


class Placed(Struct, frozen=True):
    """A tool and where it was declared (``path``). ``namespace``, with its description ``about``:
    of a tool that has one. ``loaded``: a search has found it, so that it is deferred no more."""

    tool: Tool
    path: str
    namespace: str = ""
    about: str = ""
    loaded: bool = False

    @property
    def key(self) -> tuple[str, str]:
        """What it replaces and is replaced by: the tool of this name, label or type."""
        match self.tool:
            case FunctionTool() | CustomTool():
                return self.namespace, self.tool.name
            case McpTool():
                return "", f"mcp:{self.tool.server_label}"
        return "", f"type:{type_of(self.tool)}"

    @property
    def deferrable(self) -> bool:
        """Whether it was declared with ``defer_loading``."""
        return getattr(self.tool, "defer_loading", None) is True and not isinstance(
            self.tool, McpTool
        )


def type_of(tool: Tool) -> str:
    """The ``type`` it was declared with."""
    return tool.type if isinstance(tool, HostedTool) else str(type(tool).__struct_config__.tag)


def placed(tools: Sequence[Tool], param: str = "tools") -> list[Placed]:
    """Declared tools, one by one; those of a namespace stand for themselves."""
    found = []
    for index, tool in enumerate(tools):
        path = f"{param}[{index}]"
        if isinstance(tool, NamespaceTool):
            for number, inner in enumerate(tool.tools):
                inside = f"{path}.tools[{number}]"
                found.append(Placed(inner, inside, tool.name, tool.description))
        else:
            found.append(Placed(tool, path))
    return found


class Offer(Struct, frozen=True):
    """See the module. ``paths``: where in the request a tool stands, by its name. ``kinds``: the
    names of the tools of a type, an MCP server (``mcp:label``) or a namespace. ``servers``: tools
    of MCP servers, and hosted ones that such a server may stand in for, with their paths: what is
    offered of them is for ``mcp_offer.py`` to say, which notes in ``origins`` the label and tool of
    a name. ``found``: labels and tools of such servers that a search has found (a label with no
    tool: all of its). ``deferred``: tools that are not offered before a search has found them."""

    tools: list[CallableTool] = []
    native: list[Tool] = []
    forms: dict[str, Form] = {}
    served: dict[str, ServerTool] = {}
    paths: dict[str, str] = {}
    kinds: dict[str, list[str]] = {}
    downgrades: list[str] = []
    servers: list[tuple[str, McpTool | HostedTool]] = []
    found: frozenset[tuple[str, str]] = frozenset()
    deferred: list[CallableTool] = []
    origins: dict[str, tuple[str, str]] = {}

    def add(self, tool: CallableTool, path: str, kind: str = "") -> None:
        """Offer a tool. Raises ``ClientError`` if the model would know two by one name."""
        self.reserve(tool.name, path)
        self.tools.append(tool)
        if kind:
            self.kinds.setdefault(kind, []).append(tool.name)

    def reserve(self, name: str, path: str) -> None:
        """Give a tool its name. Raises ``ClientError`` if another has it."""
        if name in self.paths:
            raise ClientError(
                f"Invalid '{path}': the model would know it as '{name}', which is the name of "
                f"'{self.paths[name]}' already; names must be unique.",
                code="invalid_value",
                param=path,
            )
        self.paths[name] = path


NO_OFFER = Offer()
"""Of a request without tools; nobody adds to it."""


def offer(
    declared: Sequence[Placed],
    able: Capabilities,
    functions: Functions,
    needed: AbstractSet[tuple[str, str]] = frozenset(),
    found: frozenset[tuple[str, str]] = frozenset(),
) -> Offer:
    """What a model of these abilities has of the declared tools. ``needed``: keys of tools that
    are offered although they are deferred; ``found``: see ``Offer``. Raises ``ClientError`` naming
    the tool that nobody here can run."""
    made = Offer(found=found)
    deferrable = [one for one in declared if one.deferrable]
    searched = any(type(one.tool) is ToolSearchTool for one in declared)
    introduced: set[str] = set()
    for one in declared:
        if isinstance(one.tool, ToolSearchTool):
            _take_search(made, one.tool, one.path, deferrable)
        elif not isinstance(one.tool, CallableTool):
            _take(made, one.tool, one.path, able)
        elif one.loaded or not one.deferrable or one.key in needed:
            _take_callable(made, one, functions, introduced)
        elif not searched:
            raise ClientError(
                f"Invalid '{one.path}.defer_loading': nothing could find the tool, because there "
                "is none of type 'tool_search'; add one, or leave 'defer_loading' out.",
                code="invalid_value",
                param=f"{one.path}.defer_loading",
            )
        else:
            _put_off(made, one)
    return made


def _take(made: Offer, tool: Tool, path: str, able: Capabilities) -> None:
    kind = type_of(tool)
    known = NATIVE.get(kind)
    if known is not None and isinstance(tool, HostedTool):  # a shell in somebody's container
        raise ClientError(
            f"Unsupported value: a '{kind}' runs where the caller runs it here; leave "
            f"'{path}.environment' out, or say {{'type': 'local'}}.",
            code="unsupported_value",
            param=f"{path}.environment",
        )
    if kind in able.native:
        made.native.append(tool)
        if known is not None:
            made.kinds.setdefault(kind, []).append(known.name)
    elif isinstance(tool, HostedTool | McpTool):
        made.servers.append((path, tool))
    elif known is None:
        raise cannot_run(kind, path)
    elif known.name == "computer" and not able.images:
        raise ClientError(
            f"Unsupported value: the model does not accept images, so it cannot use a '{kind}'.",
            code="unsupported_value",
            param=f"{path}.type",
        )
    else:
        enforced = able.strict_tools == "enforced"
        made.add(shown(cast(NativeTool, tool), enforced=enforced), path, kind)
    if known is not None:
        made.forms[known.name] = known.form


def _take_callable(made: Offer, one: Placed, functions: Functions, introduced: set[str]) -> None:
    tool = cast(CallableTool, one.tool)
    name = called(one.namespace, tool.name)
    if one.namespace or tool.later:
        later = True if tool.later else UNSET
        made.forms[name] = Renamed(tool.name, one.namespace or UNSET, later)
    if not one.namespace:
        made.add(tool, one.path)
        if isinstance(tool, FunctionTool) and tool.name in functions:
            made.served[tool.name] = functions[tool.name]
        return
    named = msgspec.structs.replace(tool, name=name)
    if one.namespace not in introduced:  # what the namespace is for is said once
        introduced.add(one.namespace)
        sentences = [*([tool.description] if tool.description else []), _about(one)]
        named.description = "\n\n".join(sentences)
    made.add(named, one.path, f"namespace:{one.namespace}")


def _about(one: Placed) -> str:
    return f"About all tools whose names begin with '{one.namespace}__': {one.about}"


def _put_off(made: Offer, one: Placed) -> None:
    """A deferred tool has its name, and is checked, although nobody sees it yet."""
    tool = cast(CallableTool, one.tool)
    named = msgspec.structs.replace(tool, name=called(one.namespace, tool.name))
    made.reserve(named.name, one.path)
    made.deferred.append(named)


def _take_search(
    made: Offer, tool: ToolSearchTool, path: str, deferrable: Sequence[Placed]
) -> None:
    """The search as a function. What it says of itself stays the same however much was found, so
    that the beginning of a prompt does too."""
    if tool.execution == "client":
        description = tool.description or _CLIENT_SEARCH
        function = FunctionTool(TOOL_SEARCH, description, tool.parameters or QUERY, strict=False)
        made.forms[TOOL_SEARCH] = tool_search("client")
    else:
        search = ToolSearch(
            [Entry(cast(CallableTool, one.tool), one.namespace, one.about) for one in deferrable]
        )
        function = FunctionTool(TOOL_SEARCH, search.description, search.parameters, strict=True)
        made.forms[TOOL_SEARCH] = tool_search("server")
        made.served[TOOL_SEARCH] = search
    made.add(function, path, "tool_search")


def cannot_run(kind: str, path: str) -> ClientError:
    """Nobody here runs tools of that type."""
    return ClientError(
        f"Unsupported value: tools of type '{kind}' cannot be run by this server or its model.",
        code="unsupported_value",
        param=f"{path}.type",
    )


# Choices ----------------------------------------------------------------------------------


def chosen(made: Offer, choice: Any) -> list[CallableTool]:
    """The tools the model may use under this choice."""
    if isinstance(choice, str):
        return [] if choice == "none" else made.tools
    names = _names(made, choice)
    return [tool for tool in made.tools if tool.name in names]


def chosen_native(made: Offer, choice: Any) -> list[Tool]:
    """The tools the backend has itself that it may use under this choice."""
    if isinstance(choice, str):
        return [] if choice == "none" else made.native
    types = _types(choice)
    return [tool for tool in made.native if type_of(tool) in types]


def callable_names(made: Offer, choice: Any) -> frozenset[str]:
    """The names the model may call under this choice, also those of tools its backend has."""
    names = frozenset(tool.name for tool in chosen(made, choice))
    kinds = [type_of(tool) for tool in chosen_native(made, choice)]
    return names.union(NATIVE[kind].name for kind in kinds if kind in NATIVE)


def _types(choice: Any) -> set[str]:
    match choice:
        case TypeChoice():
            return {choice.type, _alias(choice.type)}
        case AllowedTools():
            return {kind for entry in choice.tools for kind in _types(_opened(entry))}
    return set()


def _alias(kind: str) -> str:
    return "computer" if kind == "computer_use" else kind


def _names(made: Offer, choice: Any) -> set[str]:
    match choice:
        case NamedChoice():
            return {called(choice.namespace, choice.name)}
        case McpChoice():
            names = made.kinds.get(f"mcp:{choice.server_label}", [])
            origin = (choice.server_label, choice.name)
            return {n for n in names if choice.name is None or made.origins.get(n) == origin}
        case TypeChoice():
            return set(made.kinds.get(_alias(choice.type), []))
        case AllowedTools():
            return {name for entry in choice.tools for name in _names_of(made, entry)}
    return set()


def _names_of(made: Offer, entry: Mapping[str, Any]) -> set[str]:
    if entry["type"] == "namespace":
        return set(made.kinds.get(f"namespace:{entry['name']}", []))
    return _names(made, _opened(entry))


def _opened(entry: Mapping[str, Any]) -> Any:
    kind = entry["type"]
    if kind in ("function", "custom"):
        return msgspec.convert(entry, NamedChoice)
    return msgspec.convert(entry, McpChoice) if kind == "mcp" else TypeChoice(kind)


def needed_for(choice: Any) -> frozenset[tuple[str, str]]:
    """The key of the tool that must be called: it is offered even if it is deferred."""
    if not isinstance(choice, NamedChoice):
        return frozenset()
    return frozenset({(choice.namespace or "", choice.name)})


def mode(made: Offer, choice: Any) -> Any:
    """The choice as a model call has it: a mode, or one tool by the name the model knows."""
    if isinstance(choice, str):
        return choice
    if isinstance(choice, AllowedTools):
        return choice.mode
    names = sorted(_names(made, choice))
    hosted = any(isinstance(tool, HostedTool) for tool in chosen_native(made, choice))
    if len(names) != 1 or hosted:
        return "required"
    custom = any(isinstance(tool, CustomTool) and tool.name == names[0] for tool in made.tools)
    return NamedChoice("custom" if custom else "function", names[0])
