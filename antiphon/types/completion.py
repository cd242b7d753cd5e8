"""``chat.completion`` and its chunks as they are answered (Chat Completions API).

``reasoning_content`` is not in the published API; it is the name under which most clients of open
models look for a model's thinking. It is absent where there is none.
"""

from __future__ import annotations

from typing import Any, Literal

from antiphon.types.base import UNSET, UnsetType, Wire
from antiphon.types.content import Logprob

FinishReason = Literal["stop", "length", "tool_calls", "content_filter", "function_call"]


class AnsweredFunction(Wire):
    name: str
    arguments: str


class AnsweredCustom(Wire):
    name: str
    input: str


class AnsweredCall(Wire, kw_only=True):
    """``function`` or ``custom``, as ``type`` says."""

    id: str
    type: Literal["function", "custom"]
    function: AnsweredFunction | UnsetType = UNSET
    custom: AnsweredCustom | UnsetType = UNSET


class AnswerMessage(Wire, kw_only=True):
    role: Literal["assistant"] = "assistant"
    content: str | None = None
    refusal: str | None = None
    annotations: list[dict[str, Any]] = []
    reasoning_content: str | UnsetType = UNSET
    tool_calls: list[AnsweredCall] | UnsetType = UNSET
    function_call: AnsweredFunction | UnsetType = UNSET


class ChoiceLogprobs(Wire):
    content: list[Logprob] | None
    refusal: list[Logprob] | None = None


class Choice(Wire, kw_only=True):
    index: int = 0
    message: AnswerMessage
    logprobs: ChoiceLogprobs | None = None
    finish_reason: FinishReason


class PromptTokensDetails(Wire):
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    audio_tokens: int = 0


class CompletionTokensDetails(Wire):
    reasoning_tokens: int = 0
    audio_tokens: int = 0
    accepted_prediction_tokens: int = 0
    rejected_prediction_tokens: int = 0


class CompletionUsage(Wire, kw_only=True):
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: PromptTokensDetails
    completion_tokens_details: CompletionTokensDetails


class ChatCompletion(Wire, kw_only=True):
    """``created`` in seconds. ``metadata`` stands last, so that it can be exchanged in a stored
    object without reading it; ``system_fingerprint`` is always null: nobody here can know when
    the configuration of the model behind the server changes."""

    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int
    model: str
    choices: list[Choice]
    usage: CompletionUsage | None = None
    service_tier: str = "default"
    system_fingerprint: str | None = None
    metadata: dict[str, str] | UnsetType = UNSET


class ChunkChoice(Wire, kw_only=True):
    """``delta`` holds the keys that are new, and no other."""

    index: int = 0
    delta: dict[str, Any]
    logprobs: ChoiceLogprobs | None = None
    finish_reason: FinishReason | None = None


class Chunk(Wire, kw_only=True):
    """One event of a streamed answer. ``usage`` is absent unless it was asked for; then it is null
    everywhere but in the last chunk, which has no choices."""

    id: str
    object: Literal["chat.completion.chunk"] = "chat.completion.chunk"
    created: int
    model: str
    choices: list[ChunkChoice]
    usage: CompletionUsage | UnsetType | None = UNSET
    service_tier: str = "default"
    system_fingerprint: str | None = None
    obfuscation: str | UnsetType = UNSET


class CompletionDeleted(Wire, kw_only=True):
    """The answer to ``DELETE /v1/chat/completions/{id}``."""

    id: str
    object: Literal["chat.completion.deleted"] = "chat.completion.deleted"
    deleted: Literal[True] = True
