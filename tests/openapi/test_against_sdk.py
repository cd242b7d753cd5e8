"""The document beside the official client's models: every difference is listed, none is stale."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from openai.types import chat, conversations, shared, webhooks
from openai.types import model as models
from openai.types import responses as sdk
from openai.types.chat import chat_completion, chat_completion_deleted
from openai.types.chat.completion_create_params import CompletionCreateParamsNonStreaming
from openai.types.completion_usage import CompletionUsage
from openai.types.conversations import (
    conversation_create_params,
    conversation_update_params,
    item_create_params,
)
from openai.types.responses import response as sdk_response
from openai.types.responses import (
    response_compact_params,
    response_create_params,
    response_input_item_param,
    response_output_text,
    response_usage,
    tool_param,
)
from openai.types.responses.input_token_count_params import InputTokenCountParams
from openai.types.responses.input_token_count_response import InputTokenCountResponse
from openai.types.responses.response_item_list import ResponseItemList

from tests.openapi.divergences import DIVERGENCES
from tests.openapi.shapes import by_tag, differences, members, tags

UNIONS: dict[str, tuple[Any, bool]] = {
    "ResponseStreamEvent": (sdk.ResponseStreamEvent, False),
    "OutputItem": (sdk.ResponseOutputItem, False),
    "InputItem": (response_input_item_param.ResponseInputItemParam, True),
    "Tool": (sdk.Tool, False),
    "ToolParam": (tool_param.ToolParam, True),
}
ANSWERED: dict[str, Any] = {
    "Response": sdk.Response,
    "Usage": sdk.ResponseUsage,
    "InputTokensDetails": response_usage.InputTokensDetails,
    "OutputTokensDetails": response_usage.OutputTokensDetails,
    "ResponseError": sdk.ResponseError,
    "IncompleteDetails": sdk_response.IncompleteDetails,
    "OutputText": sdk.ResponseOutputText,
    "Refusal": sdk.ResponseOutputRefusal,
    "Logprob": response_output_text.Logprob,
    "CompactedResponse": sdk.CompactedResponse,
    "InputTokens": InputTokenCountResponse,
    "ItemPage": ResponseItemList,
    "Conversation": conversations.Conversation,
    "ConversationDeleted": conversations.ConversationDeletedResource,
    "ErrorBody": shared.ErrorObject,
    "ModelObject": models.Model,
    "WebhookEndpoint": webhooks.WebhookEndpointWithSecret,
    "ChatCompletion": chat.ChatCompletion,
    "ChatChoice": chat_completion.Choice,
    "ChatChunk": chat.ChatCompletionChunk,
    "ChatAnswerMessage": chat.ChatCompletionMessage,
    "ChatCompletionUsage": CompletionUsage,
    "ChatCompletionDeleted": chat_completion_deleted.ChatCompletionDeleted,
}
ASKED: dict[str, Any] = {
    "CreateResponse": response_create_params.ResponseCreateParamsNonStreaming,
    "CountInput": InputTokenCountParams,
    "CompactInput": response_compact_params.ResponseCompactParams,
    "CreateConversation": conversation_create_params.ConversationCreateParams,
    "UpdateConversation": conversation_update_params.ConversationUpdateParams,
    "CreateItems": item_create_params.ItemCreateParams,
    "CreateChatCompletion": CompletionCreateParamsNonStreaming,
}


def of_unions() -> Iterator[str]:
    for union, (every, asked) in UNIONS.items():
        known = by_tag(union)
        named: set[str] = set()
        for model in members(every):
            for tag in tags(model):
                named.add(tag)
                if tag not in known:
                    yield f"{union}: missing {tag}"
                elif not known[tag]:
                    yield f"{union}: open {tag}"
                else:
                    for word in differences(known[tag], model, asked=asked):
                        yield f"{known[tag]}: {word}"
        yield from (f"{union}: extra {tag}" for tag in known.keys() - named)


def of_pairs() -> Iterator[str]:
    for pairs, asked in ((ANSWERED, False), (ASKED, True)):
        for component, model in pairs.items():
            for word in differences(component, model, asked=asked):
                yield f"{component}: {word}"


@pytest.mark.requirement("openapi:sdk")
def test_every_difference_from_the_official_client_is_listed() -> None:
    found = {*of_unions(), *of_pairs()}
    assert sorted(found - DIVERGENCES.keys()) == [], "not listed"
    assert sorted(DIVERGENCES.keys() - found) == [], "stale"
    assert all(DIVERGENCES.values())
