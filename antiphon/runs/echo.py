"""The fields of a response that repeat the request, with the defaults filled in (§3.2)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from antiphon.types.base import UNSET
from antiphon.types.request import CreateResponse
from antiphon.types.response import ReasoningEcho, Response
from antiphon.types.tools import CustomTool, Format, JsonSchemaFormat, TextInput, Tool

Flavour = Literal["openai", "azure"]


def skeleton(
    asked: CreateResponse,
    *,
    response_id: str,
    created_at: int,
    tools: Sequence[Tool],
    choice: Any,
    format: Format,
    flavour: Flavour,
) -> Response:
    """The response as it begins: everything but its output. ``created_at`` in seconds."""
    return Response(
        id=response_id,
        created_at=created_at,
        model=asked.model or "",
        previous_response_id=asked.previous_response_id,
        instructions=asked.instructions,
        max_output_tokens=asked.max_output_tokens,
        max_tool_calls=asked.max_tool_calls,
        parallel_tool_calls=_or(asked.parallel_tool_calls, True),
        temperature=float(_or(asked.temperature, 1.0)),
        top_p=float(_or(asked.top_p, 1.0)),
        top_logprobs=_or(asked.top_logprobs, 0),
        presence_penalty=float(_or(asked.presence_penalty, 0.0)),
        frequency_penalty=float(_or(asked.frequency_penalty, 0.0)),
        truncation=asked.truncation or "disabled",
        store=_or(asked.store, True),
        safety_identifier=asked.safety_identifier,
        prompt_cache_key=asked.prompt_cache_key,
        prompt_cache_retention=asked.prompt_cache_retention,
        prompt_cache_options=_cache_options(asked),
        user=asked.user,
        reasoning=_reasoning(asked),
        text={"format": _format(format), "verbosity": verbosity(asked) or "medium"},
        tool_choice=choice,
        tools=[_echoed(tool) for tool in tools],
        metadata=asked.metadata or {},
        content_filters=[] if flavour == "azure" else UNSET,
    )


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


def _or(value: Any, default: Any) -> Any:
    return default if value is None else value


def _reasoning(asked: CreateResponse) -> ReasoningEcho:
    options = asked.reasoning
    if options is None:
        return ReasoningEcho()
    return ReasoningEcho(
        effort=options.effort,
        summary=options.summary or options.generate_summary,
        context=options.context or UNSET,
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
    return tool
