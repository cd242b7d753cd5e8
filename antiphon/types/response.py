"""The ``Response`` object and its parts (Responses API: the response object).

Every key that the official SDK in strict mode or Open Responses requires is always present;
numbers are never null; ``created_at`` is an integer of seconds. ``output`` stands before any
field a caller can fill with objects, so that a stored head can be spliced without parsing it.
"""

from __future__ import annotations

from typing import Any, Literal

from antiphon.types.base import UNSET, UnsetType, Wire
from antiphon.types.items import OutputItem

ResponseStatus = Literal["queued", "in_progress", "completed", "incomplete", "failed", "cancelled"]
TERMINAL = frozenset({"completed", "incomplete", "failed", "cancelled"})


class InputTokensDetails(Wire):
    cached_tokens: int = 0
    cache_write_tokens: int = 0


class OutputTokensDetails(Wire):
    reasoning_tokens: int = 0


class Usage(Wire):
    """Token counts, summed over every model call of the response."""

    input_tokens: int
    output_tokens: int
    total_tokens: int
    input_tokens_details: InputTokensDetails
    output_tokens_details: OutputTokensDetails


class ResponseError(Wire):
    """Why a response failed; ``code`` comes from the API's closed list."""

    code: str
    message: str


class IncompleteDetails(Wire):
    reason: Literal["max_output_tokens", "content_filter"]


class ReasoningEcho(Wire):
    effort: str | None = None
    summary: str | None = None
    context: str | UnsetType = UNSET
    mode: str | UnsetType = UNSET


class InConversation(Wire):
    """The conversation a response belongs to."""

    id: str


class Response(Wire, kw_only=True):
    """One response, at any moment of its life (also the snapshot in lifecycle events)."""

    id: str
    object: Literal["response"] = "response"
    created_at: int
    status: ResponseStatus = "in_progress"
    completed_at: int | None = None
    output: list[OutputItem] = []
    error: ResponseError | None = None
    incomplete_details: IncompleteDetails | None = None
    usage: Usage | None = None
    background: bool = False
    model: str
    previous_response_id: str | None = None
    instructions: str | None = None
    max_output_tokens: int | None = None
    max_tool_calls: int | None = None
    parallel_tool_calls: bool = True
    temperature: float = 1.0
    top_p: float = 1.0
    top_logprobs: int = 0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    truncation: Literal["auto", "disabled"] = "disabled"
    service_tier: str = "default"
    store: bool = True
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None
    prompt_cache_retention: str | None = None
    prompt_cache_options: Any = UNSET
    user: str | None = None
    reasoning: ReasoningEcho
    text: Any
    tool_choice: Any = "auto"
    tools: list[Any] = []
    metadata: dict[str, str] = {}
    input_transformations: list[Any] | UnsetType = UNSET
    conversation: InConversation | UnsetType = UNSET
    content_filters: list[Any] | UnsetType = UNSET
