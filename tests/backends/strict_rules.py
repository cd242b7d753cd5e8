"""What a strict chat-completions server refuses, as a function over the decoded body.

Written from the published API alone and independent of our code: it shares no name with what
it judges. ``complaint`` returns the first violation as (message, param), or None.
"""

from __future__ import annotations

import json
import re
from typing import Any

NUMBERS = {
    "temperature": (0, 2),
    "top_p": (0, 1),
    "presence_penalty": (-2, 2),
    "frequency_penalty": (-2, 2),
}
TOP_LEVEL = {
    *NUMBERS,
    *("model", "messages", "stream", "stream_options", "max_tokens", "max_completion_tokens"),
    *("logprobs", "top_logprobs", "n", "stop", "seed", "user", "logit_bias"),
    *("tools", "tool_choice", "parallel_tool_calls", "response_format", "reasoning_effort"),
}
MESSAGE_KEYS = {
    "system": {"role", "content", "name"},
    "user": {"role", "content", "name"},
    "assistant": {"role", "content", "name", "tool_calls", "refusal"},
    "tool": {"role", "content", "tool_call_id"},
}
EFFORTS = {"none", "minimal", "low", "medium", "high", "xhigh"}
NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")

Complaint = tuple[str, str] | None


class Refused(Exception):
    """Raised with (message, param) inside the rules."""


def complaint(body: Any) -> Complaint:
    """The first rule the body breaks."""
    try:
        _check(body)
    except Refused as refused:
        message, param = refused.args
        return message, param
    return None


def need(condition: Any, message: str, param: str) -> None:
    if not condition:
        raise Refused(message, param)


def only(value: Any, allowed: set[str], required: set[str], param: str) -> None:
    """``value`` is an object with no key outside ``allowed``, none missing, none null."""
    need(isinstance(value, dict), "Expected an object.", param)
    for key in value:
        need(key in allowed, f"Unrecognized request argument supplied: {key}", f"{param}.{key}")
    for key in required:
        need(key in value, f"Missing required parameter: '{key}'.", f"{param}.{key}")


def _check(body: Any) -> None:
    need(isinstance(body, dict), "The body must be a JSON object.", "")
    for key, value in body.items():
        need(key in TOP_LEVEL, f"Unrecognized request argument supplied: {key}", key)
        need(value is not None, f"Invalid value for '{key}': null.", key)
    need(isinstance(body.get("model"), str) and body["model"], "you must provide a model", "model")
    _messages(body.get("messages"))
    _scalars(body)
    if "tools" in body:
        _tools(body["tools"])
    _tool_settings(body)
    if "response_format" in body:
        _format(body["response_format"], body["messages"])


def _scalars(body: dict[str, Any]) -> None:
    for key, (low, high) in NUMBERS.items():
        if key in body:
            value = body[key]
            fits = isinstance(value, int | float) and not isinstance(value, bool)
            need(fits and low <= value <= high, f"Invalid value for '{key}'.", key)
    need(isinstance(body.get("stream", False), bool), "Invalid type for 'stream'.", "stream")
    if "stream_options" in body:
        need(
            body.get("stream"), "'stream_options' is only allowed with 'stream'.", "stream_options"
        )
        only(body["stream_options"], {"include_usage"}, set(), "stream_options")
    limits = [key for key in ("max_tokens", "max_completion_tokens") if key in body]
    need(len(limits) < 2, "Only one token limit may be set.", "max_tokens")
    for key in limits:
        value = body[key]
        need(type(value) is int and value > 0, f"Invalid '{key}': {value!r}.", key)
    need(isinstance(body.get("logprobs", False), bool), "Invalid type.", "logprobs")
    if "top_logprobs" in body:
        need(body.get("logprobs"), "'top_logprobs' needs 'logprobs'.", "top_logprobs")
        value = body["top_logprobs"]
        need(type(value) is int and 0 <= value <= 20, "Invalid 'top_logprobs'.", "top_logprobs")
    if "reasoning_effort" in body:
        known = body["reasoning_effort"] in EFFORTS
        need(known, "Invalid 'reasoning_effort'.", "reasoning_effort")


def _messages(messages: Any) -> None:
    need(isinstance(messages, list) and messages, "[] is too short - 'messages'", "messages")
    waiting: list[str] = []
    answered: set[str] = set()
    for at, message in enumerate(messages):
        param = f"messages[{at}]"
        role = message.get("role") if isinstance(message, dict) else None
        need(role in MESSAGE_KEYS, f"Invalid value: {role!r} is no role.", f"{param}.role")
        only(message, MESSAGE_KEYS[str(role)], {"role", "content"}, param)
        if role == "tool":
            call_id = message.get("tool_call_id")
            need(
                call_id in waiting,
                "messages with role 'tool' must be a response to a preceding message with "
                "'tool_calls'.",
                param,
            )
            need(call_id not in answered, f"Duplicate result for {call_id}.", param)
            answered.add(str(call_id))
            need(isinstance(message["content"], str), "Expected a string.", f"{param}.content")
            continue
        missing = [call_id for call_id in waiting if call_id not in answered]
        need(
            not missing,
            f"An assistant message with 'tool_calls' must be followed by tool messages; {missing} "
            "did not have response messages.",
            param,
        )
        waiting, answered = [], set()
        if role == "assistant":
            waiting = _assistant(message, param)
        else:
            _content(message["content"], images=role == "user", param=f"{param}.content")
    need(
        set(waiting) == answered,
        f"'tool_calls' {waiting} did not have response messages.",
        "messages",
    )


def _assistant(message: dict[str, Any], param: str) -> list[str]:
    """Check an assistant message; return the ids of its calls."""
    if message["content"] is None:
        need("tool_calls" in message, "Expected content or tool_calls.", f"{param}.content")
    else:
        need(isinstance(message["content"], str), "Expected a string.", f"{param}.content")
    if "tool_calls" not in message:
        return []
    calls = message["tool_calls"]
    need(isinstance(calls, list) and calls, "[] is too short.", f"{param}.tool_calls")
    ids: list[str] = []
    for at, call in enumerate(calls):
        where = f"{param}.tool_calls[{at}]"
        only(call, {"id", "type", "function"}, {"id", "type", "function"}, where)
        need(call["type"] == "function", f"Invalid type {call['type']!r}.", f"{where}.type")
        need(isinstance(call["id"], str) and call["id"], "Invalid id.", f"{where}.id")
        need(call["id"] not in ids, f"Duplicate id {call['id']}.", f"{where}.id")
        ids.append(call["id"])
        function = call["function"]
        only(function, {"name", "arguments"}, {"name", "arguments"}, f"{where}.function")
        _name(function["name"], f"{where}.function.name")
        arguments = function["arguments"]
        need(isinstance(arguments, str), "Expected a string.", f"{where}.function.arguments")
        try:
            parsed = json.loads(arguments)
        except ValueError:
            parsed = None
        need(isinstance(parsed, dict), "Expected JSON.", f"{where}.function.arguments")
    return ids


def _content(content: Any, *, images: bool, param: str) -> None:
    if isinstance(content, str):
        return
    need(isinstance(content, list) and content, "Expected a string or parts.", param)
    for at, part in enumerate(content):
        where = f"{param}[{at}]"
        kind = part.get("type") if isinstance(part, dict) else None
        if kind == "text":
            only(part, {"type", "text"}, {"type", "text"}, where)
            need(isinstance(part["text"], str), "Expected a string.", f"{where}.text")
        elif kind == "image_url" and images:
            only(part, {"type", "image_url"}, {"type", "image_url"}, where)
            image = part["image_url"]
            only(image, {"url", "detail"}, {"url"}, f"{where}.image_url")
            need(isinstance(image["url"], str), "Expected a string.", f"{where}.image_url.url")
            detail = image.get("detail", "auto") in {"auto", "low", "high"}
            need(detail, "Invalid detail.", f"{where}.image_url.detail")
        else:
            raise Refused(f"Invalid value: {kind!r} is no part type here.", f"{where}.type")


def _name(name: Any, param: str) -> None:
    fits = isinstance(name, str) and NAME.fullmatch(name)
    need(fits, f"Invalid name {name!r}: expected ^[a-zA-Z0-9_-]{{1,64}}$.", param)


def _tools(tools: Any) -> None:
    need(isinstance(tools, list) and tools, "[] is too short - 'tools'", "tools")
    names: set[str] = set()
    for at, tool in enumerate(tools):
        where = f"tools[{at}]"
        kind = tool.get("type") if isinstance(tool, dict) else None
        need(kind == "function", f"Invalid value: {kind!r}; expected 'function'.", f"{where}.type")
        only(tool, {"type", "function"}, {"type", "function"}, where)
        function = tool["function"]
        keys = {"name", "description", "parameters", "strict"}
        only(function, keys, {"name", "parameters"}, f"{where}.function")
        _name(function["name"], f"{where}.function.name")
        need(function["name"] not in names, "Duplicate tool name.", f"{where}.function.name")
        names.add(function["name"])
        described = isinstance(function.get("description", ""), str)
        need(described, "Expected a string.", f"{where}.function.description")
        need(isinstance(function.get("strict", False), bool), "Expected a boolean.", where)
        parameters = function["parameters"]
        is_object = isinstance(parameters, dict) and parameters.get("type") == "object"
        need(is_object, "Expected a schema of type object.", f"{where}.function.parameters")


def _tool_settings(body: dict[str, Any]) -> None:
    for key in ("tool_choice", "parallel_tool_calls"):
        if key in body:
            need("tools" in body, f"'{key}' is only allowed when 'tools' are specified.", key)
    parallel = body.get("parallel_tool_calls", True)
    need(isinstance(parallel, bool), "Expected a boolean.", "parallel_tool_calls")
    choice = body.get("tool_choice", "auto")
    if isinstance(choice, str):
        need(choice in {"none", "auto", "required"}, "Invalid tool_choice.", "tool_choice")
        return
    only(choice, {"type", "function"}, {"type", "function"}, "tool_choice")
    need(choice["type"] == "function", "Invalid tool_choice type.", "tool_choice.type")
    only(choice["function"], {"name"}, {"name"}, "tool_choice.function")
    names = {tool["function"]["name"] for tool in body["tools"]}
    need(choice["function"]["name"] in names, "No such tool.", "tool_choice.function.name")


def _format(asked: Any, messages: list[Any]) -> None:
    kind = asked.get("type") if isinstance(asked, dict) else None
    if kind == "json_schema":
        only(asked, {"type", "json_schema"}, {"type", "json_schema"}, "response_format")
        inner = asked["json_schema"]
        keys = {"name", "description", "schema", "strict"}
        only(inner, keys, {"name", "schema"}, "response_format.json_schema")
        _name(inner["name"], "response_format.json_schema.name")
        need(isinstance(inner["schema"], dict), "Expected an object.", "response_format")
        need(isinstance(inner.get("strict", False), bool), "Expected a boolean.", "response_format")
        return
    need(kind in {"text", "json_object"}, f"Invalid value: {kind!r}.", "response_format.type")
    only(asked, {"type"}, {"type"}, "response_format")
    if kind == "json_object":
        said = "json" in json.dumps(messages, ensure_ascii=False).lower()
        need(said, "'messages' must contain the word 'json' in some form.", "messages")
