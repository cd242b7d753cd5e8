"""The fields of a response that repeat the request, with the defaults filled in (§3.2)."""

from __future__ import annotations

from typing import Any, Literal

from antiphon.runs.mcp_secrets import shown, shown_choice
from antiphon.runs.wishes import Wishes
from antiphon.types.base import UNSET
from antiphon.types.request import CreateResponse, conversation_id
from antiphon.types.response import InConversation, ReasoningEcho, Response
from antiphon.types.tools import (
    CustomTool,
    Format,
    HostedTool,
    JsonSchemaFormat,
    McpTool,
    TextFormat,
    TextInput,
    Tool,
)

Flavour = Literal["openai", "azure"]

_NO_REASONING = ReasoningEcho()
_PLAIN_TEXT = {"format": TextFormat(), "verbosity": "medium"}
"""What a request that says nothing of them has; shared, because nobody changes them."""


def skeleton(
    asked: CreateResponse, response_id: str, created_at: int, wishes: Wishes, flavour: Flavour
) -> Response:
    """The response as it begins: everything but its output. ``created_at`` in seconds."""
    temperature, top_p = asked.temperature, asked.top_p
    response = Response(
        id=response_id,
        created_at=created_at,
        model=asked.model or "",
        previous_response_id=asked.previous_response_id,
        instructions=asked.instructions,
        max_output_tokens=asked.max_output_tokens,
        temperature=1.0 if temperature is None else float(temperature),
        top_p=1.0 if top_p is None else float(top_p),
        truncation=asked.truncation or "disabled",
        store=asked.store is not False,
        safety_identifier=asked.safety_identifier,
        prompt_cache_key=asked.prompt_cache_key,
        user=asked.user,
        reasoning=_NO_REASONING,
        text=_PLAIN_TEXT,
        metadata=asked.metadata or {},
        content_filters=[] if flavour == "azure" else UNSET,
    )
    if not wishes.plain:
        _repeat(asked, wishes, response)
    return response


def _repeat(asked: CreateResponse, wishes: Wishes, response: Response) -> None:
    """Put in what a plain request does not set."""
    if asked.conversation is not None:
        response.conversation = InConversation(conversation_id(asked.conversation))
    response.background = asked.background is True
    response.max_tool_calls = asked.max_tool_calls
    response.parallel_tool_calls = asked.parallel_tool_calls is not False
    response.top_logprobs = asked.top_logprobs or 0
    response.presence_penalty = float(asked.presence_penalty or 0.0)
    response.frequency_penalty = float(asked.frequency_penalty or 0.0)
    response.prompt_cache_retention = asked.prompt_cache_retention
    response.prompt_cache_options = _cache_options(asked)
    response.reasoning = _reasoning(asked, wishes)
    response.text = {"format": _format(wishes.format), "verbosity": verbosity(asked) or "medium"}
    response.tool_choice = shown_choice(wishes.choice)
    response.tools = [_echoed(tool) for tool in wishes.tools]


def verbosity(asked: CreateResponse) -> str | None:
    """``text.verbosity``, or its top-level alias."""
    inner = asked.text.verbosity if asked.text is not None else None
    return inner or asked.verbosity


def _format(format: Format) -> Any:
    """A schema format with all its keys: strict readers want ``description`` and ``strict``."""
    if not isinstance(format, JsonSchemaFormat):
        return format
    return {
        "type": "json_schema",
        "name": format.name,
        "description": format.description,
        "schema": format.schema,
        "strict": format.strict is True,
    }


def _reasoning(asked: CreateResponse, wishes: Wishes) -> ReasoningEcho:
    options = asked.reasoning
    if options is None:
        return ReasoningEcho()
    return ReasoningEcho(
        effort=options.effort,
        summary=options.summary or options.generate_summary,
        context=("all_turns" if wishes.all_turns else "current_turn") if options.context else UNSET,
        mode=options.mode or UNSET,
    )


def _cache_options(asked: CreateResponse) -> Any:
    options = asked.prompt_cache_options
    if options is None:
        return UNSET
    echoed: dict[str, str] = {"mode": options.mode or "implicit", "ttl": options.ttl or "30m"}
    if options.comparison_response_id:
        echoed["comparison_response_id"] = options.comparison_response_id
    return echoed


def _echoed(tool: Tool) -> Any:
    if isinstance(tool, CustomTool) and tool.format is None:
        return CustomTool(name=tool.name, description=tool.description, format=TextInput())
    if isinstance(tool, HostedTool):
        return tool.raw
    return shown(tool) if isinstance(tool, McpTool) else tool
