"""What a request asks for besides its items: tools, format, sampling, and what we must refuse.

Types and ranges were checked when it was decoded. Here come the rules between parameters, what
this server cannot do (each a 400 that names the parameter), and what it accepts without doing all
of it (a downgrade that is reported). Most requests set nothing any of these rules is about:
``is_plain`` sees that at a glance, and they share one answer.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import Any, Protocol

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from antiphon.backends.base import Capabilities
from antiphon.config import RunSettings
from antiphon.errors import ClientError
from antiphon.runs.compaction import threshold
from antiphon.runs.demands import Demands, argument_checks, settle_strict, text_check
from antiphon.runs.downgrades import of_parameters
from antiphon.runs.gained import (
    NOTHING_GAINED,
    Bringing,
    Gained,
    effective,
    gained_by,
    joined,
)
from antiphon.runs.offering import (
    NO_OFFER,
    Functions,
    Offer,
    Placed,
    callable_names,
    chosen,
    chosen_native,
    mode,
    needed_for,
    offer,
    placed,
    type_of,
)
from antiphon.tools.base import ServerTool
from antiphon.types.items import Item
from antiphon.types.request import CreateResponse
from antiphon.types.tool_codec import open_choice, open_tools
from antiphon.types.tool_items import ToolSearchOutput
from antiphon.types.tools import (
    HOSTED,
    AllowedTools,
    CallableTool,
    Format,
    FunctionTool,
    HostedTool,
    McpChoice,
    NamedChoice,
    TextFormat,
    Tool,
    TypeChoice,
)

UNCONDITIONAL = frozenset(
    {
        "web_search",
        "web_search_2025_08_26",
        "web_search_preview",
        "web_search_preview_2025_03_11",
        "image_generation",
    }
)
"""Types of hosted tools that coding agents send whatever the server can do."""

_BRINGS = frozenset({"additional_tools", "tool_search_output", "item_reference", None})
"""Raw types of items that may bring tools."""
NOTHING_LEFT_OUT: frozenset[str] = frozenset()


class Wishes(Struct, frozen=True):
    """``tools`` and ``choice`` are those of the request, ``shown`` and ``mode`` what a model call
    has of them. ``demands`` hold for a backend that is able to do what it said; ``demands_on``
    says what they are if a call taught otherwise. ``downgrades``: parameters that were accepted
    but are not fully honoured. ``all_turns``: all earlier reasoning is shown to the model.
    ``offer``: what the model has of the tools. ``plain``: nothing was asked for (``is_plain``).
    ``asked``: the request with the settings that its context's items changed. ``terms``: what all
    this follows from. ``doubt``: what is wrong unless an item of the context brings what is
    missing."""

    demands: Demands
    demands_on: Callable[[Capabilities], Demands]
    tools: list[Tool] = []
    choice: Any = "auto"
    offer: Offer = NO_OFFER
    shown: list[CallableTool] = []
    native: list[Tool] = []
    mode: Any = "auto"
    format: Format = TextFormat()
    logprobs: bool = False
    downgrades: list[str] = []
    all_turns: bool = False
    plain: bool = False
    asked: CreateResponse | None = None
    terms: Terms | None = None
    doubt: ClientError | None = None


def _wishes_of_nothing(demands: Demands) -> Wishes:
    return Wishes(demands, lambda able: demands, plain=True)


_PLAIN = {
    "content": _wishes_of_nothing(Demands()),
    "none": _wishes_of_nothing(Demands(no_thoughts=True)),
}


def wishes_of(
    asked: CreateResponse,
    backend: Able,
    settings: RunSettings,
    warm: bool = False,
    functions: Mapping[str, ServerTool] = {},
    left_out: frozenset[str] = NOTHING_LEFT_OUT,
) -> tuple[Capabilities, Wishes]:
    """What the request asks for, and what its model can do. Raises ``ClientError``. ``warm``: it
    need not have anything to say yet. ``functions``: those the server answers, by name.
    ``left_out``: types of tools that are dropped (``droppable``)."""
    if is_plain(asked):
        return backend.capabilities(asked.model or ""), _PLAIN[settings.raw_reasoning]
    model = _checked_model(asked, warm)
    _check_unavailable(asked)
    threshold(asked.context_management)
    able = backend.capabilities(model)
    terms = Terms(asked, able, settings, functions, left_out)
    try:
        return able, terms.wishes()
    except ClientError as doubt:
        if not _may_gain(asked):
            raise
        nothing, all_turns = Demands(), wants_all_turns(asked, able)
        return able, Wishes(
            nothing, lambda able: nothing, all_turns=all_turns, terms=terms, doubt=doubt
        )


def _may_gain(asked: CreateResponse) -> bool:
    """Whether the context may hold items that bring tools."""
    if asked.previous_response_id is not None or asked.conversation is not None:
        return True
    return type(asked.input) is list and any(i.get("type") in _BRINGS for i in asked.input)


def droppable(settings: RunSettings, lenient: bool, presented: Presented | None) -> frozenset[str]:
    """Types of hosted tools that are left out where no model has them: all, those that coding
    agents (``lenient``) always send, or none (``runs.unsupported_tools``)."""
    policy = settings.unsupported_tools
    if policy == "refuse" or (policy == "auto" and not lenient):
        return NOTHING_LEFT_OUT
    types = HOSTED if policy == "drop" else UNCONDITIONAL
    return types if presented is None else types.difference(presented.presented)


class Able(Protocol):
    """Who knows what a model does by itself (``backends.base.Backend``)."""

    def capabilities(self, model: str) -> Capabilities: ...


class Presented(Protocol):
    """Who says which hosted tools MCP servers stand in for (``mcp_servers.McpHouse``)."""

    @property
    def presented(self) -> Collection[str]: ...


class Terms(Struct, frozen=True, eq=False):
    """What a request's wishes follow from, but for what items of its context bring.
    ``droppable``: types of hosted tools that are left out where nobody can run them."""

    asked: CreateResponse
    able: Capabilities
    settings: RunSettings
    functions: Functions
    droppable: frozenset[str]

    def gained(self, bringing: Bringing) -> Gained:
        """What these items bring to it. Raises ``ClientError``."""
        return gained_by(bringing, self.droppable, self.able.native)

    def wishes(self, gained: Gained = NOTHING_GAINED, *, first: bool = True) -> Wishes:
        """All that is asked for. ``first``: of the first model call; a call that was demanded is
        demanded of no other. Raises ``ClientError``."""
        able, functions = self.able, self.functions
        asked = effective(self.asked, gained)
        declared = settle_strict(described(open_tools(asked.tools), functions), able)
        tools = declared
        if self.droppable:
            tools = [tool for tool in declared if not self._drops(tool)]
        choice = open_choice(asked.tool_choice, [*tools, *gained.declared])
        if not first:
            choice = _afterwards(choice)
        made = self._offer(declared, gained, choice) if declared or gained.tools else NO_OFFER
        text = asked.text
        format = text.format if text is not None and text.format is not None else TextFormat()
        demands_on = partial(_demands, asked, made, choice, format, self.settings)
        return Wishes(
            demands=demands_on(able),
            demands_on=demands_on,
            tools=tools,
            choice=choice,
            offer=made,
            shown=made.tools if choice == "none" else chosen(made, choice),
            native=made.native if choice == "none" else chosen_native(made, choice),
            mode=mode(made, choice),
            format=format,
            logprobs=_wants_logprobs(asked),
            downgrades=[*of_parameters(asked, able), *made.downgrades, *gained.downgrades],
            all_turns=wants_all_turns(asked, able),
            asked=asked,
            terms=self,
        )

    def _drops(self, tool: Tool) -> bool:
        if not isinstance(tool, HostedTool) or tool.type in self.able.native:
            return False
        return tool.type in self.droppable

    def _offer(self, declared: Sequence[Tool], gained: Gained, choice: Any) -> Offer:
        own = placed(declared)
        dropped = [one for one in own if self._drops(one.tool)] if self.droppable else ()
        if dropped:
            own = [one for one in own if one not in dropped]
        if gained.tools:
            own = [self._ready(one) for one in joined(own, gained)]
        found = frozenset(gained.found)
        made = offer(own, self.able, self.functions, needed_for(choice), found)
        made.downgrades.extend(f"{one.path}:{type_of(one.tool)}" for one in dropped)
        return made

    def _ready(self, one: Placed) -> Placed:
        """As the request's own tools are: nothing left open that can be settled."""
        if not isinstance(one.tool, FunctionTool):
            return one
        tool = one.tool if one.namespace else _described(one.tool, self.functions)
        return replace(one, tool=settle_strict([tool], self.able)[0])


def gaining(wishes: Wishes, bringing: Bringing) -> Gaining | None:
    """How these go on changing; None where they cannot: there is no second model call."""
    if wishes.terms is None or not (wishes.offer.served or wishes.offer.servers):
        return None
    narrowed = isinstance(wishes.choice, NamedChoice | McpChoice | TypeChoice)
    return Gaining(wishes.terms, bringing, narrowed)


def _afterwards(choice: Any) -> Any:
    """The choice for the calls of a model that follow the first."""
    if isinstance(choice, AllowedTools):
        return replace(choice, mode="auto")
    return "none" if choice == "none" else "auto"


class Gaining(Struct, eq=False):
    """How the wishes of a response go on changing while it is made. ``bringing``: the items of
    its context that count so far. ``narrowed``: the choice of the first model call left out tools
    that the next ones have. ``finish`` adds what is not known from the request alone."""

    terms: Terms
    bringing: Bringing
    narrowed: bool
    finish: Callable[[Wishes], Wishes] | None = None

    def after(self, said: Sequence[Item]) -> tuple[Gaining, Wishes] | None:
        """Of the model call after these items; None where nothing has changed."""
        found = [(item, "") for item in said if type(item) is ToolSearchOutput and item.tools]
        if not found and not self.narrowed:
            return None
        bringing = [*self.bringing, *found]
        wishes = self.terms.wishes(self.terms.gained(bringing), first=False)
        if self.finish is not None:
            wishes = self.finish(wishes)
        return Gaining(self.terms, bringing, False, self.finish), wishes


def with_offer(
    asked: CreateResponse, wishes: Wishes, made: Offer, able: Capabilities, settings: RunSettings
) -> Wishes:
    """The same wishes of a model that has more tools. A choice of tools that are not there after
    all is none."""
    choice = wishes.choice
    if choice != "none" and not callable_names(made, choice):
        choice = "auto"
    demands_on = partial(_demands, asked, made, choice, wishes.format, settings)
    return msgspec.structs.replace(
        wishes,
        demands=demands_on(able),
        demands_on=demands_on,
        offer=made,
        shown=made.tools if choice == "none" else chosen(made, choice),
        native=made.native if choice == "none" else chosen_native(made, choice),
        mode=mode(made, choice),
    )


def described(tools: list[Tool], functions: Mapping[str, ServerTool]) -> list[Tool]:
    """The tools; what one that the server answers leaves open is filled in."""
    if not functions:
        return tools
    return [_described(tool, functions) for tool in tools]


def _described(tool: Tool, functions: Mapping[str, ServerTool]) -> Tool:
    if not isinstance(tool, FunctionTool) or tool.name not in functions:
        return tool
    known = functions[tool.name]
    return msgspec.structs.replace(
        tool,
        description=known.description if tool.description is None else tool.description,
        parameters=known.parameters if tool.parameters is None else tool.parameters,
    )


def is_plain(asked: CreateResponse) -> bool:
    """Whether no rule of this file can refuse, change or report anything of the request.

    It lists the parameters that rules are about; those it does not list, any request may set.
    """
    return (
        asked.tools is None
        and asked.text is None
        and asked.reasoning is None
        and asked.include is None
        and asked.tool_choice is None
        and asked.parallel_tool_calls is None
        and asked.service_tier is None
        and asked.presence_penalty is None
        and asked.frequency_penalty is None
        and asked.top_logprobs is None
        and asked.verbosity is None
        and asked.max_tool_calls is None
        and asked.prompt_cache_options is None
        and asked.prompt_cache_retention is None
        and asked.background is None
        and asked.background_options is None
        and asked.conversation is None
        and asked.prompt is None
        and asked.context_management is None
        and asked.moderation is None
        and asked.multi_agent is None
        and asked.image is None
        and asked.access_programs is None
        and bool(asked.model)
        and (bool(asked.input) or asked.previous_response_id is not None)
    )


def _demands(
    asked: CreateResponse,
    made: Offer,
    choice: Any,
    format: Format,
    settings: RunSettings,
    able: Capabilities,
) -> Demands:
    if (made.tools or made.servers) and not able.tools and choice != "none":
        raise cannot(f"The model '{asked.model}' does not take tools.", "tools")
    if _wants_logprobs(asked) and not able.logprobs:
        raise cannot(f"The model '{asked.model}' returns no log probabilities.", "include")
    wanted = choice.mode if isinstance(choice, AllowedTools) else choice
    hosted = any(isinstance(tool, HostedTool) for tool in chosen_native(made, choice))
    return Demands(
        text=text_check(format, able),
        arguments=argument_checks([*made.tools, *made.deferred], able, made.paths),
        callable=callable_names(made, choice),
        must_call=wanted not in ("auto", "none") and not hosted,
        one_call=asked.parallel_tool_calls is False,
        no_thoughts=settings.raw_reasoning == "none" and not wants_sealed(asked),
    )


def wants_sealed(asked: CreateResponse) -> bool:
    """Whether reasoning items shall carry their text sealed."""
    return "reasoning.encrypted_content" in (asked.include or ())


def summary_asked(asked: CreateResponse) -> str | None:
    """How the model shall sum up its reasoning, if it shall."""
    reasoning = asked.reasoning
    return None if reasoning is None else reasoning.summary or reasoning.generate_summary


def wants_all_turns(asked: CreateResponse, able: Capabilities) -> bool:
    """Whether the model is shown all its earlier reasoning."""
    wanted = asked.reasoning is not None and asked.reasoning.context == "all_turns"
    return wanted and able.takes_reasoning


def _wants_logprobs(asked: CreateResponse) -> bool:
    return "message.output_text.logprobs" in (asked.include or ())


# Refusals ---------------------------------------------------------------------------------


def cannot(message: str, param: str, code: str = "unsupported_value") -> ClientError:
    return ClientError(message, code=code, param=param)


def _checked_model(asked: CreateResponse, warm: bool) -> str:
    if not asked.model:
        raise ClientError(
            "Missing required parameter: 'model'.",
            code="missing_required_parameter",
            param="model",
        )
    if asked.conversation is not None and asked.previous_response_id is not None:
        raise ClientError(
            "'conversation' and 'previous_response_id' exclude each other: send one of them.",
            code="mutually_exclusive_parameters",
            param="conversation",
        )
    if (
        not asked.input
        and asked.previous_response_id is None
        and asked.conversation is None
        and asked.prompt is None
        and not warm
    ):
        raise ClientError(
            "Missing required parameter: 'input' must be a string or a list of items.",
            code="missing_required_parameter",
            param="input",
        )
    return asked.model


def _check_unavailable(asked: CreateResponse) -> None:
    """What the API has and this server does not have yet: a precise 400 each."""
    window = asked.background_options.completion_window if asked.background_options else None
    prewarm = asked.prompt_cache_options is not None and asked.prompt_cache_options.prewarm is True
    for wrong, param, instead in (
        (window not in (None, "soonest"), "background_options", "only 'soonest' is available"),
        (asked.prompt is not None, "prompt", "send 'instructions' and 'input'"),
        (asked.moderation is not None, "moderation", "no moderation model is configured"),
        (bool((asked.multi_agent or {}).get("enabled")), "multi_agent", "leave it out"),
        (prewarm, "prompt_cache_options.prewarm", "leave it out"),
    ):
        if wrong:
            raise cannot(
                f"Unsupported parameter: '{param}' is not available on this server; {instead}.",
                param,
                "unsupported_parameter",
            )
