"""Where the document and the official client's models differ, each with its reason.

``union: missing tag``, ``union: open tag`` (known, its fields not described) or
``Component: word`` as ``shapes.differences`` says it.
"""

from __future__ import annotations

HOSTED = "belongs to a hosted feature that is not served here"
UPSTREAM = "run by whoever answers a native request, who knows its fields; kept as it comes"
FED_BACK = "one struct reads what callers write by hand and what we said, fed back"
KEPT = "kept and given back, not interpreted"
PADDED = "the client's model has no field for the padding its own stream option asks for"
OPEN_RESPONSES = "Open Responses requires it"
CALLERS = "comes from the caller: no response of ours contains it"
PROGRAMS = "no program calls tools here; refused by name"
OLD_SPELLING = "the spelling of older clients"

DIVERGENCES: dict[str, str] = {
    # Events
    "ResponseStreamEvent: missing response.audio.delta": HOSTED,
    "ResponseStreamEvent: missing response.audio.done": HOSTED,
    "ResponseStreamEvent: missing response.audio.transcript.delta": HOSTED,
    "ResponseStreamEvent: missing response.audio.transcript.done": HOSTED,
    "ResponseStreamEvent: missing error": "a failure ends a stream with response.failed",
    "ResponseStreamEvent: missing response.shell_call_output_content.delta": HOSTED,
    "ResponseStreamEvent: missing response.shell_call_output_content.done": HOSTED,
    "ResponseStreamEvent: missing response.image_generation_call.partial_image": HOSTED,
    "ResponseCodeDeltaEvent: extra obfuscation": PADDED,
    "ResponseFunctionCallArgumentsDeltaEvent: extra obfuscation": PADDED,
    "ResponseFunctionCallArgumentsDoneEvent: extra name": "older clients read it there",
    "ResponseReasoningTextDeltaEvent: extra obfuscation": PADDED,
    "ResponseRefusalDeltaEvent: extra obfuscation": PADDED,
    "ResponseOutputTextDeltaEvent: extra obfuscation": PADDED,
    "ResponseSummaryPartDoneEvent: missing status": "a summary that was cut ends with its item",
    "ResponseSummaryTextDeltaEvent: extra obfuscation": PADDED,
    "ResponseMcpCallArgumentsDeltaEvent: extra obfuscation": PADDED,
    "ResponseCustomToolCallInputDeltaEvent: extra obfuscation": PADDED,
    # Output items
    "FunctionCall: missing caller": PROGRAMS,
    "FunctionCallOutput: missing caller": PROGRAMS,
    "FunctionCallOutput: missing created_by": HOSTED,
    "FunctionCallOutput: missing name": KEPT,
    "FunctionCallOutput: missing namespace": KEPT,
    "WebSearchCall: extra results": "an `include` of the API fills it",
    "WebSearchCall: optional action": UPSTREAM,
    "ToolSearchCall: missing created_by": HOSTED,
    "ToolSearchOutput: missing created_by": HOSTED,
    "Compaction: missing created_by": HOSTED,
    "ImageGenerationCall: missing svg_usage": HOSTED,
    "ShellCall: missing caller": PROGRAMS,
    "ShellCall: missing created_by": HOSTED,
    "ApplyPatchCall: missing caller": PROGRAMS,
    "ApplyPatchCall: missing created_by": HOSTED,
    "CustomToolCall: extra status": OPEN_RESPONSES,
    "CustomToolCall: missing caller": PROGRAMS,
    "OutputItem: missing additional_tools": CALLERS,
    "OutputItem: missing apply_patch_call_output": CALLERS,
    "OutputItem: missing computer_call_output": CALLERS,
    "OutputItem: missing custom_tool_call_output": CALLERS,
    "OutputItem: missing local_shell_call_output": CALLERS,
    "OutputItem: missing mcp_approval_response": CALLERS,
    "OutputItem: missing shell_call_output": CALLERS,
    "OutputItem: missing program": HOSTED,
    "OutputItem: missing program_output": HOSTED,
    # Input items
    "MessageParam: extra id": FED_BACK,
    "MessageParam: extra status": FED_BACK,
    "MessageParam: extra phase": FED_BACK,
    "MessageParam: values role: - +assistant": FED_BACK,
    "MessageParam: values role: - +developer,system,user": FED_BACK,
    "WebSearchCallParam: extra results": "an `include` of the API fills it",
    "FunctionCallParam: missing caller": PROGRAMS,
    "FunctionCallOutputParam: missing caller": PROGRAMS,
    "FunctionCallOutputParam: missing name": KEPT,
    "FunctionCallOutputParam: missing namespace": KEPT,
    "FunctionCallOutputParam: required call_id": "an output that names no call answers none",
    "ImageGenerationCallParam: missing svg_usage": KEPT,
    "LocalShellCallOutputParam: extra call_id": "the newer way to name the call",
    "ShellCallParam: missing caller": PROGRAMS,
    "ShellCallOutputParam: missing caller": PROGRAMS,
    "ApplyPatchCallParam: missing caller": PROGRAMS,
    "ApplyPatchCallOutputParam: missing caller": PROGRAMS,
    "CustomToolCallOutputParam: extra status": FED_BACK,
    "CustomToolCallOutputParam: missing caller": PROGRAMS,
    "CustomToolCallParam: extra status": OPEN_RESPONSES,
    "CustomToolCallParam: missing caller": PROGRAMS,
    "ItemReferenceParam: required type": "described as two shapes: with a type, and bare",
    "InputItem: open program": KEPT,
    "InputItem: open program_output": KEPT,
    "InputItem: extra agent_message": "of the beta with several agents; kept",
    "InputItem: extra multi_agent_call": "of the beta with several agents; kept",
    "InputItem: extra multi_agent_call_output": "of the beta with several agents; kept",
    # Tools
    **{
        f"{union}: open {tag}": UPSTREAM
        for union in ("Tool", "ToolParam")
        for tag in (
            "file_search",
            "web_search",
            "web_search_2025_08_26",
            "web_search_preview",
            "web_search_preview_2025_03_11",
            "code_interpreter",
            "image_generation",
            "programmatic_tool_calling",
        )
    },
    **{
        f"{tool}{suffix}: values allowed_callers: -programmatic +": PROGRAMS
        for tool in ("FunctionTool", "CustomTool", "McpTool", "ShellTool", "ApplyPatchTool")
        for suffix in ("", "Param")
    },
    # Responses
    "Response: extra content_filters": "Azure's schema requires it; absent elsewhere",
    "Response: extra frequency_penalty": OPEN_RESPONSES,
    "Response: extra presence_penalty": OPEN_RESPONSES,
    "Response: extra store": OPEN_RESPONSES,
    "Response: missing access_programs": HOSTED,
    "Response: missing image": HOSTED,
    "Response: missing moderation": HOSTED,
    "Response: missing prompt": HOSTED,
    "Response: missing prompt_cache_diagnostics": HOSTED,
    "Response: missing tool_usage": HOSTED,
    "ResponseError: missing misalignment": HOSTED,
    "ResponseError: missing param": "optional since 2026; the message names the parameter",
    "ResponseError: missing type": "optional since 2026; the code says it",
    "IncompleteDetails: values reason: -max_messages,steered +": "runs stop for neither reason",
    "InputTokensDetails: missing cache_write_tokens_details": HOSTED,
    "CreateResponse: extra client_metadata": "sent by a coding agent",
    "CreateResponse: extra frequency_penalty": OPEN_RESPONSES,
    "CreateResponse: extra presence_penalty": OPEN_RESPONSES,
    "CreateResponse: extra multi_agent": "of the beta; named, so that it gets a precise refusal",
    "CreateResponse: extra verbosity": "sent by the client's parse()",
    "CreateResponse: required model": "no prompt can bring one here",
    "CreateResponse: values prompt_cache_retention: - +in-memory": OLD_SPELLING,
    "CountInput: required model": "no prompt can bring one here",
    "CompactInput: extra parallel_tool_calls": "sent by older coding agents",
    "CompactInput: extra reasoning": "sent by older coding agents",
    "CompactInput: extra text": "sent by older coding agents",
    "CompactInput: extra tools": "sent by older coding agents",
    "CompactInput: values prompt_cache_retention: - +in-memory": OLD_SPELLING,
    "CompactedResponse: missing image": HOSTED,
    # Others
    "CreateItems: missing include": "a parameter of the query, which the client's type holds too",
    "ErrorBody: missing misalignment": HOSTED,
    "WebhookEndpoint: optional signing_secret": "shown once, when it is made",
    "ModelObject: extra about": "one sentence for people",
    "ModelObject: missing shutdown_date": HOSTED,
    "ChatCompletion: missing moderation": HOSTED,
    "ChatChunk: missing moderation": HOSTED,
    "ChatAnswerMessage: extra reasoning_content": "what clients of open models read",
    "ChatAnswerMessage: missing audio": HOSTED,
    "CreateChatCompletion: values prompt_cache_retention: - +in-memory": OLD_SPELLING,
}
