"""A turn → the body of ``POST /chat/completions``.

Only what the caller set is sent, and only what the profile says the server takes. Fields that
make no sense alone (``tool_choice`` and ``parallel_tool_calls`` without tools,
``stream_options`` without a stream) are never sent. What cannot be sent as a field and still
matters is said in words at the end of the instructions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, assert_never

import msgspec
from msgspec import Struct

from antiphon.backends.base import Turn
from antiphon.backends.chat_memo import write
from antiphon.backends.messages import (
    NOTHING,
    instructions_message,
    messages_of,
    says_json,
    wire_name,
)
from antiphon.backends.profiles import Profile, effort_for
from antiphon.types.tools import (
    CallableTool,
    CustomTool,
    FunctionTool,
    GrammarInput,
    JsonObjectFormat,
    JsonSchemaFormat,
    NamedChoice,
    TextFormat,
)

_encode = msgspec.json.Encoder().encode

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
    remarks = _remarks(turn, profile)
    messages = messages_of(turn, profile, remarks=remarks)
    if _must_say_json(turn, profile) and not says_json(messages):
        messages = messages_of(turn, profile, remarks=[*remarks, ONLY_JSON])
    return {"model": turn.model, "messages": messages, **_settings(turn, profile)}


def encoded_body(turn: Turn, profile: Profile) -> bytes:
    """The JSON of ``chat_body``, byte for byte; what ``turn.known`` remembers is not written
    again."""
    bare = is_bare(turn)
    sentences = [turn.instructions] if turn.instructions else []
    if not bare:
        sentences += _remarks(turn, profile)
    looks = not bare and _must_say_json(turn, profile) and not _say_json(sentences)
    written = write(turn, profile, looks)
    if looks and not written.says_json:
        sentences.append(ONLY_JSON)
    pieces: list[bytes | bytearray | memoryview] = [b'{"model":', _encode(turn.model)]
    opening = b',"messages":['
    if sentences or written.system:
        front = instructions_message([*sentences, *written.system], profile)
        pieces += opening, _encode(front)
        opening = b","
    past = written.past
    if past is not None and past.size:
        pieces += opening, past.text()
        opening = b","
    if written.new:
        pieces += opening, written.new
    elif opening != b",":
        pieces += opening, _encode(NOTHING)
    pieces.append(_BARE[turn.live, profile.stream_usage] if bare else _rest(turn, profile))
    return b"".join(pieces)


_BARE = {
    (False, False): b"]}",
    (False, True): b"]}",
    (True, False): b'],"stream":true}',
    (True, True): b'],"stream":true,"stream_options":{"include_usage":true}}',
}
"""How the body of a turn without settings ends, by ``live`` and ``stream_usage``."""


def is_bare(turn: Turn) -> bool:
    """No setting is made but how the answer shall come."""
    return (
        not turn.tools
        and type(turn.format) is TextFormat
        and turn.max_output_tokens is None
        and turn.temperature is None
        and turn.top_p is None
        and turn.presence_penalty is None
        and turn.frequency_penalty is None
        and not turn.logprobs
        and not turn.stop
        and turn.seed is None
        and not turn.effort
        and not turn.verbosity
        and not turn.prompt_cache_key
        and not turn.safety_identifier
    )


def _rest(turn: Turn, profile: Profile) -> bytes:
    """What stands behind the messages."""
    settings = _settings(turn, profile)
    return b"]," + _encode(settings)[1:] if settings else b"]}"


def _settings(turn: Turn, profile: Profile) -> Body:
    """Everything but the model and the messages."""
    body: Body = {}
    if turn.live:
        body["stream"] = True
        if profile.stream_usage:
            body["stream_options"] = {"include_usage": True}
    if turn.max_output_tokens is not None:
        body[profile.max_tokens_field] = turn.max_output_tokens
    if turn.tools:
        _add_tools(body, turn, profile)
    if type(turn.format) is not TextFormat:
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


def tool_definition(tool: CallableTool, profile: Profile) -> dict[str, Any]:
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
    elif profile.json_object:
        body["response_format"] = {"type": "json_object"}


def _must_say_json(turn: Turn, profile: Profile) -> bool:
    """JSON mode without a schema, which servers refuse if no message says the word."""
    return isinstance(turn.format, JsonObjectFormat) and profile.json_object


def _say_json(sentences: Sequence[str]) -> bool:
    return any("json" in sentence.lower() for sentence in sentences)


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
    if turn.stop:
        body["stop"] = list(turn.stop)
    if turn.seed is not None and profile.seed_field:
        body[profile.seed_field] = turn.seed
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
    if not turn.verbosity and type(turn.format) is TextFormat:
        return []
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
