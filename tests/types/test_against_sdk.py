"""Our structs beside the official client's models: every difference has its reason."""

from __future__ import annotations

from typing import Any, get_args

import msgspec
import pytest
from openai.types import model as sdk_model
from openai.types import responses as sdk
from openai.types.responses import (
    input_token_count_params,
    response_computer_tool_call,
    response_computer_tool_call_output_item,
    response_create_params,
    response_function_shell_tool_call,
    response_input_item,
    response_output_item,
    response_output_text,
    response_usage,
)
from openai.types.responses import response as sdk_response
from openai.types.responses.input_token_count_response import InputTokenCountResponse
from openai.types.responses.response_item_list import ResponseItemList
from openai.types.shared import reasoning

from antiphon.types import (
    content,
    events,
    items,
    request,
    resources,
    response,
    tool_codec,
    tool_events,
    tool_items,
    tools,
)
from tests.types.sdk_shapes import differences, values_of

HOSTED = "belongs to a hosted feature that is not served here"
OPEN_RESPONSES = "required by Open Responses"
TOLERATED = "fed-back items are stored whole; this key is kept but not interpreted"
NO_PROGRAMS = {"values allowed_callers: -programmatic +": "no program can call a tool here"}
FED_BACK = {"optional id": "may be missing on the way in; what we emit always has one"}
CALLED = {
    **FED_BACK,
    "optional status": "may be missing on the way in; what we emit always has one",
}
ACTOR = {"missing created_by": TOLERATED}
CACHE_HINT = "a cache hint of the hosted service; tolerated and kept, without effect"

PAIRS: dict[type[msgspec.Struct], tuple[Any, dict[str, str]]] = {
    response.Response: (
        sdk.Response,
        {
            "extra store": OPEN_RESPONSES,
            "extra presence_penalty": OPEN_RESPONSES,
            "extra frequency_penalty": OPEN_RESPONSES,
            "extra content_filters": "required by Azure's schema; absent elsewhere",
            "missing access_programs": HOSTED,
            "missing image": HOSTED,
            "missing moderation": HOSTED,
            "missing prompt": "comes with prompt templates",
            "missing prompt_cache_diagnostics": HOSTED,
            "missing tool_usage": HOSTED,
        },
    ),
    response.Usage: (sdk.ResponseUsage, {}),
    response.InputTokensDetails: (
        response_usage.InputTokensDetails,
        {"missing cache_write_tokens_details": "splits by a billing tier that does not exist here"},
    ),
    response.OutputTokensDetails: (response_usage.OutputTokensDetails, {}),
    response.ResponseError: (
        sdk.ResponseError,
        {
            "missing misalignment": HOSTED,
            "missing param": "optional since 2026; our messages name the parameter",
            "missing type": "optional since 2026; code says it",
        },
    ),
    response.IncompleteDetails: (
        sdk_response.IncompleteDetails,
        {
            "values reason: -max_messages,steered +": "runs here stop for neither reason",
        },
    ),
    items.OutputMessage: (
        sdk.ResponseOutputMessage,
        {},
    ),
    items.FunctionCall: (
        sdk.ResponseFunctionToolCall,
        {"missing caller": TOLERATED},
    ),
    items.CustomToolCall: (
        sdk.ResponseCustomToolCall,
        {
            "missing caller": TOLERATED,
            "extra status": "Open Responses wants a status on every item",
        },
    ),
    items.Reasoning: (
        sdk.ResponseReasoningItem,
        {"optional id": "may be missing on the way in; what we emit always has one"},
    ),
    items.FunctionCallOutput: (
        response_input_item.FunctionCallOutput,
        {"missing caller": TOLERATED, "missing name": TOLERATED, "missing namespace": TOLERATED},
    ),
    items.CustomToolCallOutput: (
        sdk.ResponseCustomToolCallOutput,
        {"missing caller": TOLERATED, "extra status": "listed items carry one"},
    ),
    items.ItemReference: (response_input_item.ItemReference, {}),
    items.Message: (
        sdk.EasyInputMessage,
        {
            "extra id": "one struct reads easy, typed and fed-back messages",
            "extra status": "one struct reads easy, typed and fed-back messages",
        },
    ),
    tool_items.ShellCall: (
        sdk.ResponseFunctionShellToolCall,
        {**CALLED, **ACTOR, "missing caller": TOLERATED},
    ),
    tool_items.ShellAction: (response_function_shell_tool_call.Action, {}),
    tool_items.ShellCallOutput: (
        sdk.ResponseFunctionShellToolCallOutput,
        {**CALLED, **ACTOR, "missing caller": TOLERATED},
    ),
    tool_items.LocalShellCall: (response_output_item.LocalShellCall, CALLED),
    tool_items.LocalShellAction: (response_output_item.LocalShellCallAction, {}),
    tool_items.LocalShellCallOutput: (
        response_input_item.LocalShellCallOutput,
        {"optional id": "some clients send call_id instead", "extra call_id": "what they send"},
    ),
    tool_items.ApplyPatchCall: (
        sdk.ResponseApplyPatchToolCall,
        {**CALLED, **ACTOR, "missing caller": TOLERATED},
    ),
    tool_items.ApplyPatchCallOutput: (
        sdk.ResponseApplyPatchToolCallOutput,
        {**FED_BACK, **ACTOR, "missing caller": TOLERATED},
    ),
    tool_items.ComputerCall: (sdk.ResponseComputerToolCall, CALLED),
    tool_items.SafetyCheck: (response_computer_tool_call.PendingSafetyCheck, {}),
    tool_items.ComputerCallOutput: (
        response_computer_tool_call_output_item.ResponseComputerToolCallOutputItem,
        {**CALLED, **ACTOR},
    ),
    tool_items.Screenshot: (
        sdk.ResponseComputerToolCallOutputScreenshot,
        {"extra detail": "sent by agents for the newer computer tool"},
    ),
    tool_items.ToolSearchCall: (sdk.ResponseToolSearchCall, {**CALLED, **ACTOR}),
    tool_items.ToolSearchOutput: (sdk.ResponseToolSearchOutputItem, {**CALLED, **ACTOR}),
    tool_items.AdditionalTools: (response_output_item.AdditionalTools, FED_BACK),
    tool_items.McpListTools: (response_output_item.McpListTools, FED_BACK),
    tool_items.McpCall: (response_output_item.McpCall, FED_BACK),
    tool_items.McpApprovalRequest: (response_output_item.McpApprovalRequest, FED_BACK),
    tool_items.McpApprovalResponse: (response_input_item.McpApprovalResponse, {}),
    tool_items.WebSearchCall: (
        sdk.ResponseFunctionWebSearch,
        {
            **CALLED,
            "optional action": "not known before the search begins",
            "extra results": "asked for by include",
        },
    ),
    tool_items.FileSearchCall: (sdk.ResponseFileSearchToolCall, CALLED),
    tool_items.CodeInterpreterCall: (sdk.ResponseCodeInterpreterToolCall, CALLED),
    tool_items.ImageGenerationCall: (
        response_output_item.ImageGenerationCall,
        {**CALLED, "missing svg_usage": TOLERATED},
    ),
    content.OutputText: (sdk.ResponseOutputText, {}),
    content.Refusal: (sdk.ResponseOutputRefusal, {}),
    content.InputText: (sdk.ResponseInputText, {"missing prompt_cache_breakpoint": CACHE_HINT}),
    content.InputImage: (sdk.ResponseInputImage, {"missing prompt_cache_breakpoint": CACHE_HINT}),
    content.InputFile: (sdk.ResponseInputFile, {"missing prompt_cache_breakpoint": CACHE_HINT}),
    content.Logprob: (response_output_text.Logprob, {}),
    content.TopLogprob: (response_output_text.LogprobTopLogprob, {}),
    tools.FunctionTool: (sdk.FunctionTool, NO_PROGRAMS),
    tools.CustomTool: (sdk.CustomTool, NO_PROGRAMS),
    tools.ShellTool: (sdk.FunctionShellTool, NO_PROGRAMS),
    tools.LocalShellTool: (sdk.tool.LocalShell, {}),
    tools.ApplyPatchTool: (sdk.ApplyPatchTool, NO_PROGRAMS),
    tools.ComputerTool: (sdk.ComputerTool, {}),
    tools.ComputerPreviewTool: (sdk.ComputerUsePreviewTool, {}),
    tools.NamespaceTool: (sdk.NamespaceTool, {}),
    tools.ToolSearchTool: (sdk.ToolSearchTool, {}),
    tools.McpTool: (sdk.tool.Mcp, NO_PROGRAMS),
    tools.AllowedTools: (sdk.ToolChoiceAllowed, {}),
    tools.NamedChoice: (
        sdk.ToolChoiceFunction,
        {
            "values type: - +custom": "one struct for the function and the custom choice",
            "extra namespace": "says which of two tools of one name is meant",
        },
    ),
    tools.JsonSchemaFormat: (sdk.ResponseFormatTextJSONSchemaConfig, {}),
    request.CreateResponse: (
        response_create_params.ResponseCreateParamsNonStreaming,
        {
            "extra client_metadata": "sent by a coding agent",
            "extra presence_penalty": OPEN_RESPONSES,
            "extra frequency_penalty": OPEN_RESPONSES,
            "extra verbosity": "sent by the SDK's parse() helper",
            "extra multi_agent": "beta body parameter; named so that it gets a precise refusal",
            "values prompt_cache_retention: - +in-memory": "the spelling of older SDKs",
        },
    ),
    request.CountInput: (input_token_count_params.InputTokenCountParams, {}),
    request.ReasoningOptions: (reasoning.Reasoning, {}),
    request.TextOptions: (sdk.ResponseTextConfig, {}),
    request.StreamOptions: (response_create_params.StreamOptions, {}),
    request.BackgroundOptions: (response_create_params.BackgroundOptions, {}),
    request.PromptCacheOptions: (response_create_params.PromptCacheOptions, {}),
    request.ImageOptions: (response_create_params.Image, {}),
    resources.Page: (ResponseItemList, {}),
    resources.ModelObject: (
        sdk_model.Model,
        {
            "extra about": "ours: one sentence for people",
            "missing shutdown_date": "nothing here is shut down by date",
        },
    ),
    resources.InputTokens: (InputTokenCountResponse, {}),
}
OBFUSCATION = {"extra obfuscation": "sent by the service, absent from the SDK's type"}
EVENTS: dict[str, dict[str, str]] = {
    "response.output_text.delta": OBFUSCATION,
    "response.refusal.delta": OBFUSCATION,
    "response.reasoning_text.delta": OBFUSCATION,
    "response.custom_tool_call_input.delta": OBFUSCATION,
    "response.function_call_arguments.delta": OBFUSCATION,
    "response.reasoning_summary_text.delta": OBFUSCATION,
    "response.reasoning_summary_part.done": {"missing status": "only parts that are whole end"},
    "response.mcp_call_arguments.delta": OBFUSCATION,
    "response.code_interpreter_call_code.delta": OBFUSCATION,
    "response.function_call_arguments.done": {"extra name": "sent in early 2026; harmless"},
}
SDK_EVENTS = {
    get_args(model.model_fields["type"].annotation)[0]: model
    for model in get_args(get_args(sdk.ResponseStreamEvent)[0])
}


AUDIO = "no part of a response is audio"
EVENT_MODULES = (events, tool_events)
"""Where the classes of events are."""
UNSPOKEN = {
    "error": "a failure that has no response is an HTTP error, or a message on a WebSocket",
    "response.audio.delta": AUDIO,
    "response.audio.done": AUDIO,
    "response.audio.transcript.delta": AUDIO,
    "response.audio.transcript.done": AUDIO,
    "response.image_generation_call.partial_image": HOSTED,
    "response.shell_call_output_content.delta": HOSTED,
    "response.shell_call_output_content.done": HOSTED,
}
"""Events of the SDK that no response made here has."""


def _our_events(base: type[events.Event] = events.Event) -> list[type[events.Event]]:
    found = [sub for child in base.__subclasses__() for sub in _our_events(child)]
    return [*found, *([base] if events.name_of(base).startswith("response.") else [])]


@pytest.mark.requirement("wire:types:match-sdk")
@pytest.mark.parametrize("struct", PAIRS, ids=lambda struct: struct.__name__)
def test_struct_differs_from_the_sdk_only_where_intended(struct: type[msgspec.Struct]) -> None:
    model, intended = PAIRS[struct]
    assert differences(struct, model) == intended.keys()


@pytest.mark.requirement("wire:types:match-sdk")
@pytest.mark.parametrize("event", _our_events(), ids=events.name_of)
def test_event_differs_from_the_sdk_only_where_intended(event: type[events.Event]) -> None:
    name = events.name_of(event)
    assert differences(event, SDK_EVENTS[name]) == EVENTS.get(name, {}).keys()


@pytest.mark.requirement("wire:types:match-sdk")
def test_every_event_of_the_sdk_has_a_class_or_a_reason() -> None:
    ours = {events.name_of(event) for event in _our_events()}
    assert SDK_EVENTS.keys() - ours == UNSPOKEN.keys()


def test_the_intended_event_differences_name_events_that_exist() -> None:
    assert EVENTS.keys() <= {events.name_of(event) for event in _our_events()}


@pytest.mark.requirement("wire:types:match-sdk")
@pytest.mark.parametrize("union", [sdk.ResponseInputItem, sdk.ResponseOutputItem])
def test_every_item_type_of_the_sdk_is_known(union: Any) -> None:
    models = get_args(get_args(union)[0])
    theirs = {name for m in models for name in values_of(m.model_fields["type"].annotation)}
    structs = {
        str(struct.__struct_config__.tag)
        for struct in get_args(items.Item)
        if struct is not items.Opaque
    }
    assert "function_call" in theirs
    assert theirs <= structs | items.OPAQUE_TYPES


@pytest.mark.requirement("wire:types:match-sdk")
def test_every_include_value_of_the_sdk_is_known() -> None:
    assert set(get_args(request.Include)) == set(get_args(sdk.ResponseIncludable))


@pytest.mark.requirement("wire:types:match-sdk")
def test_every_tool_type_of_the_sdk_is_known() -> None:
    named = set()
    for model in get_args(get_args(sdk.Tool)[0]):
        named |= set(get_args(model.model_fields["type"].annotation))
    assert named == tool_codec.KNOWN
