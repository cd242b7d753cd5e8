"""What a strict Responses server refuses of a stateless request, over the decoded body.

Written from the published API alone and independent of our code. ``complaint`` returns the first
violation as (message, param), or None.
"""

from __future__ import annotations

from typing import Any

ENCRYPTED = "gAAAAsecret=="
"""The one reasoning it ever made, as it gives it away."""

TOP = {
    *("model", "input", "instructions", "store", "stream", "stream_options", "tools"),
    *("tool_choice", "parallel_tool_calls", "text", "reasoning", "include", "temperature"),
    *(
        "top_p",
        "top_logprobs",
        "max_tool_calls",
        "max_output_tokens",
        "prompt_cache_key",
        "safety_identifier",
    ),
}
INCLUDE = {
    "reasoning.encrypted_content",
    "message.output_text.logprobs",
    "web_search_call.action.sources",
}
REASONING = {"effort", "summary", "context"}
ITEMS: dict[str, tuple[set[str], set[str]]] = {  # allowed besides type, of which required
    "message": ({"role", "content", "phase"}, {"role", "content"}),
    "function_call": ({"call_id", "name", "arguments"}, {"call_id", "name", "arguments"}),
    "function_call_output": ({"call_id", "output"}, {"call_id", "output"}),
    "custom_tool_call": ({"call_id", "name", "input"}, {"call_id", "name", "input"}),
    "custom_tool_call_output": ({"call_id", "output"}, {"call_id", "output"}),
    "shell_call": ({"call_id", "action", "status", "environment"}, {"call_id", "action"}),
    "shell_call_output": ({"call_id", "output", "status", "max_output_length"}, {"call_id"}),
    "reasoning": ({"summary", "encrypted_content"}, {"summary", "encrypted_content"}),
    "web_search_call": ({"status", "action"}, {"status", "action"}),
}
PARTS = {
    "user": {"input_text": {"text"}, "input_image": {"image_url", "detail"}},
    "assistant": {"output_text": {"text", "annotations"}, "refusal": {"refusal"}},
}
FUNCTION = {"type", "name", "description", "parameters", "strict"}
CUSTOM = {"type", "name", "description", "format"}


class Refused(Exception):
    """Raised with (message, param) inside the rules."""


def complaint(body: Any, takes: frozenset[str] | None = None) -> tuple[str, str] | None:
    """The first rule the body breaks. ``takes``: the types of tools it knows besides functions."""
    try:
        _check(body, takes)
    except Refused as refused:
        return refused.args[0], refused.args[1]
    return None


def need(condition: Any, message: str, param: str) -> None:
    if not condition:
        raise Refused(message, param)


def only(value: Any, allowed: set[str], param: str) -> None:
    need(isinstance(value, dict), "Expected an object.", param)
    for key, inner in value.items():
        need(key in allowed, f"Unknown parameter: '{param}.{key}'.", f"{param}.{key}")
        need(inner is not None, f"Invalid type for '{param}.{key}': null.", f"{param}.{key}")


def _check(body: Any, takes: frozenset[str] | None) -> None:
    only(body, TOP, "body")
    need(body.get("store") is False, "Nothing is stored here.", "store")
    need(body.get("model"), "Missing required parameter: 'model'.", "model")
    need(set(body.get("include", ())) <= INCLUDE, "Unknown include.", "include")
    only(body.get("reasoning", {}), REASONING, "reasoning")
    only(body.get("text", {}), {"format", "verbosity"}, "text")
    need("stream_options" not in body or body.get("stream"), "Not streamed.", "stream_options")
    _tools(body, takes)
    items = body.get("input")
    need(isinstance(items, list) and items, "'input' is empty.", "input")
    for at, item in enumerate(items):
        _item(item, f"input[{at}]")
        if item["type"] == "reasoning":
            after = items[at + 1] if at + 1 < len(items) else {}
            led = after.get("role") == "assistant" or "call" in after.get("type", "")
            need(led, "Item of type 'reasoning' without its required following item.", "input")
    _calls(items)


def _item(item: Any, param: str) -> None:
    kind = item.get("type")
    need(kind in ITEMS, f"Invalid value: '{kind}'.", f"{param}.type")
    allowed, required = ITEMS[kind]
    only(item, allowed | {"type"}, param)
    need(required <= item.keys(), f"Missing required parameter in '{param}'.", param)
    if kind == "message":
        role = item["role"]
        need(role in ("user", "assistant", "system", "developer"), "No such role.", param)
        content = item["content"]
        parts = PARTS["assistant" if role == "assistant" else "user"]
        for part in content if isinstance(content, list) else ():
            need(part.get("type") in parts, f"Invalid part {part.get('type')!r}.", param)
            only(part, parts[part["type"]] | {"type"}, param)
    if kind == "reasoning":
        known = item["encrypted_content"] == ENCRYPTED
        need(known, "The encrypted content could not be verified.", "invalid_encrypted_content")


def _calls(items: list[Any]) -> None:
    called = [
        item["call_id"] for item in items if item["type"].endswith("_call") and "call_id" in item
    ]
    told = [item["call_id"] for item in items if item["type"].endswith("_output")]
    for call_id in called:
        need(call_id in told, f"No tool output found for function call {call_id}.", "input")
    for call_id in told:
        need(call_id in called, f"No tool call found for output {call_id}.", "input")


def _tools(body: Any, takes: frozenset[str] | None) -> None:
    tools = body.get("tools", [])
    for at, tool in enumerate(tools):
        kind = tool.get("type")
        param = f"tools[{at}]"
        known = kind == "function" or takes is None or kind in takes
        need(known, f"Invalid value: '{kind}'. Supported values are: 'function'.", f"{param}.type")
        if kind == "function":
            only(tool, FUNCTION, param)
        if kind == "custom":
            only(tool, CUSTOM, param)
    choice = body.get("tool_choice")
    need(choice is None or tools, "'tool_choice' needs 'tools'.", "tool_choice")
    if isinstance(choice, dict):
        names = {tool.get("name") for tool in tools}
        need(choice.get("name") in names, "Tool choice not found in 'tools'.", "tool_choice")
