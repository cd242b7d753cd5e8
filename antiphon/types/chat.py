"""``POST /v1/chat/completions`` as it is asked: every parameter and message (Chat Completions API).

Types, ranges and lengths stand in the annotations; rules between fields in ``runs/chat.py``. Null
means absent for every parameter. Unknown keys are refused everywhere but in an assistant's message
and its calls: those are answers, which clients feed back with whatever they found in them.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from antiphon.types import explain
from antiphon.types.base import Asked
from antiphon.types.content import Detail, FileData, ImageUrl, Text10M
from antiphon.types.request import (
    Effort,
    Metadata,
    ModelName,
    PromptCacheOptions,
    Safety,
    ShortKey,
)
from antiphon.types.tools import Name

STOPS_MAX = 4

CallId = Annotated[str, Meta(min_length=1, max_length=1024)]
"""Some servers pack state into the ids of their calls."""

_Name = Annotated[str, Meta(max_length=64)]

# Content parts ----------------------------------------------------------------------------


class TextPart(Asked, tag_field="type", tag="text"):
    text: Text10M
    prompt_cache_breakpoint: dict[str, Any] | None = None


class ImageSource(Asked):
    url: ImageUrl
    detail: Detail | None = None


class ImagePart(Asked, tag_field="type", tag="image_url"):
    image_url: ImageSource
    prompt_cache_breakpoint: dict[str, Any] | None = None


class FileSource(Asked):
    file_data: FileData | None = None
    file_id: str | None = None
    filename: str | None = None


class FilePart(Asked, tag_field="type", tag="file"):
    file: FileSource
    prompt_cache_breakpoint: dict[str, Any] | None = None


class AudioPart(Asked, tag_field="type", tag="input_audio"):
    """Known, so that it can be refused by its name."""

    input_audio: dict[str, Any]
    prompt_cache_breakpoint: dict[str, Any] | None = None


class RefusalPart(Struct, tag_field="type", tag="refusal"):
    refusal: str


class SaidPart(Struct, tag_field="type", tag="text"):
    """Text of an assistant."""

    text: Text10M


# Messages ---------------------------------------------------------------------------------


class CalledFunction(Struct):
    name: Annotated[str, Meta(min_length=1, max_length=128)]
    arguments: str


class CalledCustom(Struct):
    name: Annotated[str, Meta(min_length=1, max_length=128)]
    input: str


class FunctionToolCall(Struct, tag_field="type", tag="function"):
    id: CallId
    function: CalledFunction


class CustomToolCall(Struct, tag_field="type", tag="custom"):
    id: CallId
    custom: CalledCustom


class SystemMessage(Asked, tag_field="role", tag="system"):
    content: Text10M | list[TextPart]
    name: _Name | None = None


class DeveloperMessage(Asked, tag_field="role", tag="developer"):
    content: Text10M | list[TextPart]
    name: _Name | None = None


class UserMessage(Asked, tag_field="role", tag="user"):
    content: Text10M | list[TextPart | ImagePart | FilePart | AudioPart]
    name: _Name | None = None


class AssistantMessage(Struct, tag_field="role", tag="assistant"):
    """``reasoning_content`` is what our own answers call the model's thinking."""

    content: Text10M | list[SaidPart | RefusalPart] | None = None
    refusal: str | None = None
    tool_calls: list[FunctionToolCall | CustomToolCall] | None = None
    function_call: CalledFunction | None = None
    reasoning_content: str | None = None
    audio: dict[str, Any] | None = None
    name: _Name | None = None


class ToolMessage(Asked, tag_field="role", tag="tool"):
    """``name`` is what older clients add; the call it answers says it already."""

    content: Text10M | list[TextPart | ImagePart]
    tool_call_id: CallId
    name: str | None = None


class FunctionMessage(Asked, tag_field="role", tag="function"):
    name: str
    content: Text10M | None = None


ChatMessage = (
    SystemMessage
    | DeveloperMessage
    | UserMessage
    | AssistantMessage
    | ToolMessage
    | FunctionMessage
)

# Tools and formats ------------------------------------------------------------------------


class FunctionDefinition(Asked):
    """``strict`` is off unless asked for."""

    name: Name
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class ChatFunction(Asked, tag_field="type", tag="function"):
    function: FunctionDefinition


class AnyText(Asked, tag_field="type", tag="text"):
    """Freeform input."""


class Grammar(Asked):
    definition: str
    syntax: Literal["lark", "regex"]


class GrammarText(Asked, tag_field="type", tag="grammar"):
    grammar: Grammar


class CustomDefinition(Asked):
    name: Name
    description: str | None = None
    format: AnyText | GrammarText | None = None


class ChatCustom(Asked, tag_field="type", tag="custom"):
    custom: CustomDefinition


class _Named(Asked):
    name: str


class ChooseFunction(Asked, tag_field="type", tag="function"):
    function: _Named


class ChooseCustom(Asked, tag_field="type", tag="custom"):
    custom: _Named


class Allowance(Asked):
    mode: Literal["auto", "required"]
    tools: Annotated[list[ChooseFunction | ChooseCustom], Meta(min_length=1, max_length=128)]


class ChooseAmong(Asked, tag_field="type", tag="allowed_tools"):
    allowed_tools: Allowance


class PlainFormat(Asked, tag_field="type", tag="text"):
    pass


class JsonFormat(Asked, tag_field="type", tag="json_object"):
    pass


class SchemaSource(Asked):
    name: Annotated[str, Meta(min_length=1, max_length=64, pattern="^[a-zA-Z0-9_-]+$")]
    description: str | None = None
    schema: dict[str, Any] | None = None
    strict: bool | None = None


class SchemaFormat(Asked, tag_field="type", tag="json_schema"):
    json_schema: SchemaSource


# The request ------------------------------------------------------------------------------


class ChatStreamOptions(Asked):
    include_usage: bool | None = None
    include_obfuscation: bool | None = None


class CreateChatCompletion(Struct, kw_only=True, forbid_unknown_fields=True):
    """The decoded body."""

    model: ModelName
    messages: Annotated[list[ChatMessage], Meta(min_length=1)]
    stream: bool | None = None
    stream_options: ChatStreamOptions | None = None
    store: bool | None = None
    metadata: Metadata | None = None
    max_completion_tokens: Annotated[int, Meta(ge=1)] | None = None
    max_tokens: Annotated[int, Meta(ge=1)] | None = None
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    top_p: Annotated[float, Meta(ge=0, le=1)] | None = None
    presence_penalty: Annotated[float, Meta(ge=-2, le=2)] | None = None
    frequency_penalty: Annotated[float, Meta(ge=-2, le=2)] | None = None
    stop: str | Annotated[list[str], Meta(max_length=STOPS_MAX)] | None = None
    seed: Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)] | None = None
    n: Annotated[int, Meta(ge=1, le=128)] | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Meta(ge=0, le=20)] | None = None
    logit_bias: dict[str, float] | None = None
    tools: Annotated[list[ChatFunction | ChatCustom], Meta(max_length=1024)] | None = None
    tool_choice: (
        Literal["none", "auto", "required"] | ChooseFunction | ChooseCustom | ChooseAmong | None
    ) = None
    parallel_tool_calls: bool | None = None
    functions: Annotated[list[FunctionDefinition], Meta(min_length=1, max_length=128)] | None = None
    function_call: Literal["none", "auto"] | _Named | None = None
    response_format: PlainFormat | JsonFormat | SchemaFormat | None = None
    reasoning_effort: Effort | None = None
    verbosity: Literal["low", "medium", "high"] | None = None
    service_tier: Literal["auto", "default", "flex", "scale", "priority", "fast"] | None = None
    user: str | None = None
    safety_identifier: Safety | None = None
    prompt_cache_key: ShortKey | None = None
    prompt_cache_options: PromptCacheOptions | None = None
    prompt_cache_retention: Literal["in_memory", "in-memory", "24h"] | None = None
    modalities: list[Literal["text", "audio"]] | None = None
    audio: dict[str, Any] | None = None
    prediction: dict[str, Any] | None = None
    moderation: dict[str, Any] | None = None
    web_search_options: dict[str, Any] | None = None


class UpdateChatCompletion(Struct, forbid_unknown_fields=True):
    """The body of ``POST /v1/chat/completions/{id}``: all that can be changed."""

    metadata: Metadata | None


_create = msgspec.json.Decoder(CreateChatCompletion).decode
_update = msgspec.json.Decoder(UpdateChatCompletion).decode


def decode_chat(body: bytes) -> CreateChatCompletion:
    """The body of a create. Raises ``ClientError`` naming the parameter."""
    try:
        return _create(body)
    except (ValueError, RecursionError) as failure:
        raise explain.explain_body(body, CreateChatCompletion, failure) from None


def decode_chat_update(body: bytes) -> UpdateChatCompletion:
    """The body of an update. Raises ``ClientError`` naming the parameter."""
    try:
        return _update(body)
    except (ValueError, RecursionError) as failure:
        raise explain.explain_body(body, UpdateChatCompletion, failure) from None
