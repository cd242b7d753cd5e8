"""A turn → the body of ``POST /chat/completions``.

Only what the caller set is sent, and only what the profile says the server takes. Fields that
make no sense alone (``tool_choice`` and ``parallel_tool_calls`` without tools,
``stream_options`` without a stream) are never sent. What cannot be sent as a field and still
matters is said in words at the end of the instructions.
"""

from __future__ import annotations

from typing import Any, Literal, assert_never

import msgspec
from msgspec import Struct

from antiphon.backends.base import Turn
from antiphon.backends.messages import ChatMessage, messages_of, wire_name
from antiphon.backends.profiles import Profile, effort_for
from antiphon.types.tools import (
    CustomTool,
    FunctionTool,
    GrammarInput,
    JsonObjectFormat,
    JsonSchemaFormat,
    NamedChoice,
    Tool,
)

Body = dict[str, Any]

BRIEF = "Keep your answers short."
DETAILED = "Answer in detail."
ONLY_JSON = "Answer with one JSON object and nothing else."


class Offered(Struct, frozen=True):
    """A tool the model was shown: what the caller calls it, and its kind."""

    name: str
    kind: Literal["function", "custom"]


def offered(turn: Turn) -> dict[str, Offered]:
    """The turn's tools by the name the model sees."""
    return {
        wire_name(tool.name): Offered(
            tool.name, "custom" if isinstance(tool, CustomTool) else "function"
        )
        for tool in turn.tools
    }


def chat_body(turn: Turn, profile: Profile) -> Body:
    """The body, ready to be encoded. Never has a key whose value was not asked for."""
    body: Body = {"model": turn.model}
    body["messages"] = messages_of(turn, profile, remarks=_remarks(turn, profile))
    if turn.live:
        body["stream"] = True
        if profile.stream_usage:
            body["stream_options"] = {"include_usage": True}
    if turn.max_output_tokens is not None:
        body[profile.max_tokens_field] = turn.max_output_tokens
    if turn.tools:
        _add_tools(body, turn, profile)
    _add_format(body, turn, profile)
    _add_sampling(body, turn, profile)
    _add_hints(body, turn, profile)
    return body


def _add_tools(body: Body, turn: Turn, profile: Profile) -> None:
    choice = turn.tool_choice
    tools = turn.tools
    if isinstance(choice, NamedChoice) and profile.choices == "words":
        tools = [tool for tool in tools if tool.name == choice.name]
        choice = "required"
    body["tools"] = [tool_definition(tool, profile) for tool in tools]
    if choice != "auto" and profile.choices != "none":
        body["tool_choice"] = _choice(choice)
    if profile.parallel == "always" or (
        profile.parallel == "forbid" and not turn.parallel_tool_calls
    ):
        body["parallel_tool_calls"] = turn.parallel_tool_calls


def _choice(choice: str | NamedChoice) -> Any:
    if isinstance(choice, NamedChoice):
        return {"type": "function", "function": {"name": wire_name(choice.name)}}
    return choice


def tool_definition(tool: Tool, profile: Profile) -> dict[str, Any]:
    """A tool as chat completions declare it: always a function."""
    function: dict[str, Any] = {"name": wire_name(tool.name)}
    match tool:
        case FunctionTool():
            if tool.description:
                function["description"] = tool.description
            function["parameters"] = tool.parameters or {"type": "object", "properties": {}}
            if tool.strict and profile.strict_tools:
                function["strict"] = True
        case CustomTool():
            function["description"] = _custom_description(tool)
            function["parameters"] = _INPUT
        case _:
            assert_never(tool)
    return {"type": "function", "function": function}


_INPUT = {
    "type": "object",
    "properties": {"input": {"type": "string", "description": "The raw input, verbatim."}},
    "required": ["input"],
    "additionalProperties": False,
}


def _custom_description(tool: CustomTool) -> str:
    sentences = [tool.description] if tool.description else []
    sentences.append("Put the raw text for this tool into `input`.")
    if isinstance(tool.format, GrammarInput):
        kind = "Lark grammar" if tool.format.syntax == "lark" else "regular expression"
        sentences.append(f"It must match this {kind} exactly:\n{tool.format.definition}")
    return "\n\n".join(sentences)


def _add_format(body: Body, turn: Turn, profile: Profile) -> None:
    asked = turn.format
    if isinstance(asked, JsonSchemaFormat) and profile.json_schema:
        schema: dict[str, Any] = {"name": asked.name, "schema": asked.schema}
        if asked.description:
            schema["description"] = asked.description
        if asked.strict is not None:
            schema["strict"] = asked.strict
        body["response_format"] = {"type": "json_schema", "json_schema": schema}
    elif isinstance(asked, JsonSchemaFormat | JsonObjectFormat) and profile.json_object:
        body["response_format"] = {"type": "json_object"}
        if not _mentions_json(body["messages"]):
            # Servers refuse JSON mode in a conversation that never says the word.
            remarks = [*_remarks(turn, profile), ONLY_JSON]
            body["messages"] = messages_of(turn, profile, remarks=remarks)


def _mentions_json(messages: list[ChatMessage]) -> bool:
    for message in messages:
        content = message["content"]
        if isinstance(content, str):
            if "json" in content.lower():
                return True
        elif content and any("json" in part.get("text", "").lower() for part in content):
            return True
    return False


def _add_sampling(body: Body, turn: Turn, profile: Profile) -> None:
    if turn.temperature is not None:
        body["temperature"] = turn.temperature
    if turn.top_p is not None:
        body["top_p"] = turn.top_p
    if profile.penalties:
        if turn.presence_penalty is not None:
            body["presence_penalty"] = turn.presence_penalty
        if turn.frequency_penalty is not None:
            body["frequency_penalty"] = turn.frequency_penalty
    if turn.logprobs and profile.logprobs:
        body["logprobs"] = True
        if turn.top_logprobs:
            body["top_logprobs"] = turn.top_logprobs


def _add_hints(body: Body, turn: Turn, profile: Profile) -> None:
    if turn.effort and (effort := effort_for(profile, turn.effort)):
        body["reasoning_effort"] = effort
    if turn.verbosity and profile.verbosity:
        body["verbosity"] = turn.verbosity
    if turn.prompt_cache_key and profile.prompt_cache_key:
        body["prompt_cache_key"] = turn.prompt_cache_key
    if turn.safety_identifier and profile.safety_field:
        body[profile.safety_field] = turn.safety_identifier


def _remarks(turn: Turn, profile: Profile) -> list[str]:
    """What the server has no field for, in words."""
    remarks: list[str] = []
    if turn.verbosity and not profile.verbosity:
        words = {"low": BRIEF, "high": DETAILED}.get(turn.verbosity)
        remarks += [words] if words else []
    match turn.format:
        case JsonSchemaFormat(schema=schema) if not profile.json_schema:
            text = msgspec.json.encode(schema).decode()
            remarks.append(
                "Answer with one JSON value and nothing else. "
                f"It must be valid against this JSON Schema:\n{text}"
            )
        case JsonObjectFormat() if not profile.json_object:
            remarks.append(ONLY_JSON)
        case _:
            pass
    return remarks
