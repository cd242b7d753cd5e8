"""The structs of chat completions beside the official client's types, field by field."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from openai.types import chat as sdk
from openai.types import completion_usage as sdk_usage
from openai.types.chat import chat_completion, chat_completion_chunk, completion_create_params
from openai.types.chat import chat_completion_content_part_image_param as image_param
from openai.types.chat import chat_completion_content_part_param as part_param
from openai.types.chat import chat_completion_custom_tool_param as custom_param
from openai.types.shared_params import (
    function_definition,
    response_format_json_schema,
)

from antiphon.types import chat, completion, content
from tests.types.sdk_shapes import differences

READ = "what clients of open models read"
NEVER = "nothing here could fill it"

PAIRS: dict[type[msgspec.Struct], tuple[Any, dict[str, str]]] = {
    chat.CreateChatCompletion: (
        completion_create_params.CompletionCreateParamsNonStreaming,
        {
            "values prompt_cache_retention: - +in-memory": "the other spelling of older clients",
        },
    ),
    chat.UpdateChatCompletion: (sdk.CompletionUpdateParams, {}),
    chat.ChatStreamOptions: (sdk.ChatCompletionStreamOptionsParam, {}),
    chat.SystemMessage: (sdk.ChatCompletionSystemMessageParam, {}),
    chat.DeveloperMessage: (sdk.ChatCompletionDeveloperMessageParam, {}),
    chat.UserMessage: (sdk.ChatCompletionUserMessageParam, {}),
    chat.AssistantMessage: (
        sdk.ChatCompletionAssistantMessageParam,
        {"extra reasoning_content": READ},
    ),
    chat.ToolMessage: (
        sdk.ChatCompletionToolMessageParam,
        {"extra name": "sent by older clients"},
    ),
    chat.FunctionMessage: (sdk.ChatCompletionFunctionMessageParam, {}),
    chat.TextPart: (sdk.ChatCompletionContentPartTextParam, {}),
    chat.ImagePart: (sdk.ChatCompletionContentPartImageParam, {}),
    chat.ImageSource: (image_param.ImageURL, {}),
    chat.FilePart: (part_param.File, {}),
    chat.FileSource: (part_param.FileFile, {}),
    chat.AudioPart: (sdk.ChatCompletionContentPartInputAudioParam, {}),
    chat.RefusalPart: (sdk.ChatCompletionContentPartRefusalParam, {}),
    chat.FunctionToolCall: (sdk.ChatCompletionMessageFunctionToolCallParam, {}),
    chat.CustomToolCall: (sdk.ChatCompletionMessageCustomToolCallParam, {}),
    chat.ChatFunction: (sdk.ChatCompletionFunctionToolParam, {}),
    chat.FunctionDefinition: (function_definition.FunctionDefinition, {}),
    chat.ChatCustom: (sdk.ChatCompletionCustomToolParam, {}),
    chat.CustomDefinition: (custom_param.Custom, {}),
    chat.Grammar: (custom_param.CustomFormatGrammarGrammar, {}),
    chat.ChooseFunction: (sdk.ChatCompletionNamedToolChoiceParam, {}),
    chat.ChooseCustom: (sdk.ChatCompletionNamedToolChoiceCustomParam, {}),
    chat.ChooseAmong: (sdk.ChatCompletionAllowedToolChoiceParam, {}),
    chat.Allowance: (sdk.ChatCompletionAllowedToolsParam, {}),
    chat.SchemaSource: (response_format_json_schema.JSONSchema, {}),
    completion.ChatCompletion: (
        chat_completion.ChatCompletion,
        {"missing moderation": NEVER},
    ),
    completion.Choice: (chat_completion.Choice, {}),
    completion.ChoiceLogprobs: (chat_completion.ChoiceLogprobs, {}),
    completion.AnswerMessage: (
        sdk.ChatCompletionMessage,
        {"extra reasoning_content": READ, "missing audio": NEVER},
    ),
    completion.Chunk: (
        chat_completion_chunk.ChatCompletionChunk,
        {"missing moderation": NEVER},
    ),
    completion.ChunkChoice: (chat_completion_chunk.Choice, {}),
    completion.CompletionUsage: (sdk_usage.CompletionUsage, {}),
    completion.PromptTokensDetails: (
        sdk_usage.PromptTokensDetails,
        {"missing image_tokens": NEVER, "missing text_tokens": NEVER},
    ),
    completion.CompletionTokensDetails: (
        sdk_usage.CompletionTokensDetails,
        {"missing text_tokens": NEVER},
    ),
    completion.CompletionDeleted: (sdk.ChatCompletionDeleted, {}),
    content.Logprob: (sdk.ChatCompletionTokenLogprob, {}),
}


@pytest.mark.requirement("completions:types")
@pytest.mark.parametrize("struct", PAIRS, ids=lambda struct: struct.__name__)
def test_every_difference_from_the_client_has_a_reason(struct: type[msgspec.Struct]) -> None:
    model, reasons = PAIRS[struct]
    assert differences(struct, model) == set(reasons)


@pytest.mark.requirement("completions:types")
def test_every_role_of_a_message_is_known() -> None:
    with pytest.raises(Exception, match="Supported values") as refused:
        chat.decode_chat(b'{"model":"m","messages":[{"role":"x","content":""}]}')
    for role in ("developer", "system", "user", "assistant", "tool", "function"):
        assert f"'{role}'" in str(refused.value)
