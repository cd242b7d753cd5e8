"""``CreateResponse``: every parameter of ``POST /v1/responses`` (api-surface §3).

Types, ranges and lengths stand in the annotations; rules between fields in
``runs/context.py``; ``input``, ``tools`` and ``tool_choice`` are opened by ``codec.py``.
Null means absent for every parameter.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from antiphon.types.base import Asked
from antiphon.types.content import Text10M
from antiphon.types.tools import Format

Effort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]
Include = Literal[
    "file_search_call.results",
    "web_search_call.results",
    "web_search_call.action.sources",
    "message.input_image.image_url",
    "computer_call_output.output.image_url",
    "code_interpreter_call.outputs",
    "reasoning.encrypted_content",
    "message.output_text.logprobs",
]
MetadataKey = Annotated[str, Meta(max_length=64)]
MetadataValue = Annotated[str, Meta(max_length=512)]
Metadata = Annotated[dict[MetadataKey, MetadataValue], Meta(max_length=16)]
ModelName = Annotated[str, Meta(max_length=512)]
"""Our own limit: names are kept as labels of metrics and as keys of what was learned."""
ShortKey = Annotated[str, Meta(max_length=64)]
Safety = Annotated[str, Meta(max_length=128)]


class ReasoningOptions(Asked):
    effort: Effort | None = None
    summary: Literal["auto", "concise", "detailed"] | None = None
    generate_summary: Literal["auto", "concise", "detailed"] | None = None
    mode: Literal["standard", "pro"] | None = None
    context: Literal["auto", "current_turn", "all_turns"] | None = None


class TextOptions(Asked):
    format: Format | None = None
    verbosity: Literal["low", "medium", "high"] | None = None


class StreamOptions(Asked):
    include_obfuscation: bool | None = None


class BackgroundOptions(Asked):
    completion_window: Literal["soonest", "2h", "8h"] | None = None
    continuation_id: str | None = None


class PromptCacheOptions(Asked):
    mode: Literal["implicit", "explicit"] | None = None
    ttl: Literal["30m", "12h"] | None = None
    prewarm: bool | None = None
    comparison_response_id: str | None = None


class ImageOptions(Asked):
    context_compression: Literal["auto", "enabled", "disabled"] | None = None


class ConversationRef(Asked):
    """A conversation, by its id."""

    id: str


def conversation_id(asked: str | ConversationRef) -> str:
    """The id, whichever way it was given."""
    return asked if type(asked) is str else asked.id  # type: ignore[union-attr]


class CountInput(Struct, kw_only=True, forbid_unknown_fields=True):
    """The body of ``POST /v1/responses/input_tokens``: what of a create decides its input.

    ``personality`` (a style preset of the hosted models) has no counterpart here.
    """

    model: ModelName | None = None
    input: Text10M | list[dict[str, Any]] | None = None
    instructions: str | None = None
    previous_response_id: str | None = None
    conversation: str | ConversationRef | None = None
    tools: Annotated[list[dict[str, Any]], Meta(max_length=1024)] | None = None
    tool_choice: str | dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    text: TextOptions | None = None
    reasoning: ReasoningOptions | None = None
    truncation: Literal["auto", "disabled"] | None = None
    personality: Annotated[str, Meta(max_length=64)] | None = None


class CompactInput(Struct, kw_only=True, forbid_unknown_fields=True):
    """The body of ``POST /v1/responses/compact``. ``tools``, ``parallel_tool_calls``,
    ``reasoning`` and ``text`` are not the API's, but what older coding agents send along."""

    model: ModelName | None = None
    input: Text10M | list[dict[str, Any]] | None = None
    previous_response_id: str | None = None
    instructions: str | None = None
    prompt_cache_key: ShortKey | None = None
    prompt_cache_options: PromptCacheOptions | None = None
    prompt_cache_retention: Literal["in_memory", "in-memory", "24h"] | None = None
    service_tier: Literal["auto", "default", "fast", "flex", "priority"] | None = None
    image: ImageOptions | None = None
    tools: Annotated[list[dict[str, Any]], Meta(max_length=1024)] | None = None
    parallel_tool_calls: bool | None = None
    reasoning: ReasoningOptions | None = None
    text: TextOptions | None = None


class CreateResponse(Struct, kw_only=True, forbid_unknown_fields=True):
    """The decoded body. ``input`` items and ``tools`` are still raw objects."""

    model: ModelName | None = None
    input: Text10M | list[dict[str, Any]] | None = None
    instructions: str | None = None
    previous_response_id: str | None = None
    conversation: str | ConversationRef | None = None
    store: bool | None = None
    background: bool | None = None
    background_options: BackgroundOptions | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    include: list[Include] | None = None
    tools: Annotated[list[dict[str, Any]], Meta(max_length=1024)] | None = None
    tool_choice: str | dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    max_tool_calls: Annotated[int, Meta(ge=1)] | None = None
    max_output_tokens: Annotated[int, Meta(ge=16)] | None = None
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    top_p: Annotated[float, Meta(ge=0, le=1)] | None = None
    top_logprobs: Annotated[int, Meta(ge=0, le=20)] | None = None
    presence_penalty: Annotated[float, Meta(ge=-2, le=2)] | None = None
    frequency_penalty: Annotated[float, Meta(ge=-2, le=2)] | None = None
    text: TextOptions | None = None
    verbosity: Literal["low", "medium", "high"] | None = None
    reasoning: ReasoningOptions | None = None
    truncation: Literal["auto", "disabled"] | None = None
    context_management: list[dict[str, Any]] | None = None
    metadata: Metadata | None = None
    prompt: dict[str, Any] | None = None
    prompt_cache_key: ShortKey | None = None
    prompt_cache_options: PromptCacheOptions | None = None
    prompt_cache_retention: Literal["in_memory", "in-memory", "24h"] | None = None
    safety_identifier: Safety | None = None
    user: str | None = None
    service_tier: (
        Literal["auto", "default", "flex", "scale", "priority", "fast", "ultrafast"] | None
    ) = None
    moderation: dict[str, Any] | None = None
    image: ImageOptions | None = None
    access_programs: dict[str, Any] | None = None
    multi_agent: dict[str, Any] | None = None
    client_metadata: dict[str, Any] | None = None
