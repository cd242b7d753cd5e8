"""A turn → the body of ``POST /responses``, for an upstream that keeps nothing of it.

Always ``store: false`` and the whole context; never ``previous_response_id``. Only what the caller
set is sent, and only what the upstream's ``Dialect`` says it takes. Tools go as what they are:
those the upstream knows natively (``Turn.native``) as they were defined, functions flat, and a
freeform tool as itself or, where there is none, as the function ``freeform`` reads.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from antiphon.backends.base import Turn
from antiphon.backends.chat_body import BRIEF, DETAILED, ONLY_JSON, is_bare, tool_definition
from antiphon.backends.messages import wire_name
from antiphon.backends.profiles import EFFORTS, PROFILES
from antiphon.backends.responses_items import Items
from antiphon.backends.responses_profiles import Dialect
from antiphon.stream.forms import NATIVE
from antiphon.types.base import given
from antiphon.types.tools import (
    CallableTool,
    CustomTool,
    Format,
    FunctionTool,
    HostedTool,
    JsonObjectFormat,
    JsonSchemaFormat,
    NamedChoice,
    TextFormat,
    Tool,
)

_encode = msgspec.json.Encoder().encode

Object = dict[str, Any]

ENCRYPTED = "reasoning.encrypted_content"
LOGPROBS = "message.output_text.logprobs"
_OF_HOSTED = {
    "file_search_call.results": "file_search",
    "web_search_call.results": "web_search",
    "web_search_call.action.sources": "web_search",
    "code_interpreter_call.outputs": "code_interpreter",
}
"""What a caller may ask to see of calls the upstream makes itself."""
NOTHING = b'{"type":"message","role":"user","content":""}'
"""Sent for a context that holds nothing that can be said: servers want an item."""


def encoded_body(turn: Turn, dialect: Dialect, items: Items) -> bytes:
    """The body as JSON."""
    pieces: list[bytes | bytearray | memoryview] = [b'{"model":', _encode(turn.model)]
    pieces.append(b',"input":[')
    for place, piece in enumerate(_input(turn, items)):
        pieces += (b",", piece) if place else (piece,)
    pieces += b"],", _settings(turn, dialect, items)
    return b"".join(pieces)


def _settings(turn: Turn, dialect: Dialect, items: Items) -> bytes:
    """What stands behind the input; of a turn that asks for nothing, written once."""
    if turn.native or turn.summary or turn.thoughts == "all_turns" or not is_bare(turn):
        return _encode(settings(turn, dialect))[1:]
    known = items.bare.get(turn.live)
    if known is None:
        asked = msgspec.structs.replace(turn, instructions=None)
        known = items.bare[turn.live] = _encode(settings(asked, dialect))[1:]
    if turn.instructions:
        return b'"instructions":%b,%b' % (_encode(turn.instructions), known)
    return known


def _input(turn: Turn, items: Items) -> list[bytes | bytearray | memoryview]:
    """The elements of ``input``, in pieces to be joined with commas."""
    written: list[bytes | bytearray | memoryview] = [*items.written(turn)] or [NOTHING]
    if isinstance(turn.format, JsonObjectFormat) and not any(
        b"json" in bytes(piece).lower() for piece in written
    ):  # refused where no message says the word
        written.append(_encode({"type": "message", "role": "developer", "content": ONLY_JSON}))
    return written


def settings(turn: Turn, dialect: Dialect) -> Object:
    """Everything but the model and the items."""
    body: Object = {"store": False}
    if instructions := _instructions(turn, dialect):
        body["instructions"] = instructions
    if turn.live:
        body["stream"] = True
        if dialect.plain_stream:
            body["stream_options"] = {"include_obfuscation": False}
    if turn.max_output_tokens is not None:
        body["max_output_tokens"] = turn.max_output_tokens
    if turn.tools or turn.native:
        _add_tools(body, turn, dialect)
    _add_text(body, turn, dialect)
    _add_reasoning(body, turn, dialect)
    _add_sampling(body, turn, dialect)
    if include := _include(turn, dialect):
        body["include"] = include
    if turn.prompt_cache_key and dialect.cache_key:
        body["prompt_cache_key"] = turn.prompt_cache_key
    if turn.safety_identifier and dialect.safety:
        body["safety_identifier"] = turn.safety_identifier
    return body


def _instructions(turn: Turn, dialect: Dialect) -> str:
    sentences = [turn.instructions] if turn.instructions else []
    if turn.verbosity and not dialect.verbosity:
        words = {"low": BRIEF, "high": DETAILED}.get(turn.verbosity)
        sentences += [words] if words else []
    return "\n\n".join(sentences)


def _include(turn: Turn, dialect: Dialect) -> list[str]:
    include = [ENCRYPTED] if dialect.encrypted else []
    if turn.logprobs:
        include.append(LOGPROBS)
    if turn.native and turn.include:
        types = {tool.type for tool in turn.native if isinstance(tool, HostedTool)}
        include += [what for what in turn.include if _OF_HOSTED.get(what, "-") in types]
    return include


# Tools


def _add_tools(body: Object, turn: Turn, dialect: Dialect) -> None:
    body["tools"] = [
        *(function_definition(tool, dialect) for tool in turn.tools),
        *(native_definition(tool) for tool in turn.native),
    ]
    if turn.max_tool_calls is not None and any(isinstance(t, HostedTool) for t in turn.native):
        body["max_tool_calls"] = turn.max_tool_calls
    if turn.tool_choice != "auto":
        body["tool_choice"] = _choice(turn, dialect)
    if not turn.parallel_tool_calls and dialect.parallel:
        body["parallel_tool_calls"] = False


def function_definition(tool: CallableTool, dialect: Dialect) -> Object:
    """A tool of ``Turn.tools`` as this server declares it."""
    if isinstance(tool, CustomTool) and "custom" in dialect.native:
        custom: Object = {"type": "custom", "name": wire_name(tool.name)}
        if tool.description:
            custom["description"] = tool.description
        if tool.format is not None:
            custom["format"] = msgspec.to_builtins(tool.format)
        return custom
    function: Object = tool_definition(tool, PROFILES["generic"])["function"]
    strict = isinstance(tool, FunctionTool) and tool.strict is True
    if dialect.strict:  # absent means strict in this API
        function["strict"] = strict
    else:
        function.pop("strict", None)
    return {"type": "function", **function}


def native_definition(tool: Tool) -> Object:
    """A tool the upstream has itself, as the caller defined it."""
    return tool.raw if isinstance(tool, HostedTool) else _defined(tool)


def _defined(tool: Any) -> Object:
    """The tool without the nulls our structs write for what the caller left out; inside a schema
    null means something and stays."""
    definition: Object = {"type": tool.__struct_config__.tag}
    for field, name in zip(tool.__struct_fields__, tool.__struct_encode_fields__, strict=True):
        value = getattr(tool, field)
        if field == "tools":
            definition[name] = [_defined(inner) for inner in value]
        elif given(value):
            definition[name] = msgspec.to_builtins(value)
    return definition


def _choice(turn: Turn, dialect: Dialect) -> Any:
    choice = turn.tool_choice
    if not isinstance(choice, NamedChoice):
        return choice
    for tool in turn.native:
        kind = str(tool.type if isinstance(tool, HostedTool) else type(tool).__struct_config__.tag)
        if kind in NATIVE and NATIVE[kind].name == choice.name:
            return {"type": kind}
    custom = choice.type == "custom" and "custom" in dialect.native
    return {"type": "custom" if custom else "function", "name": wire_name(choice.name)}


# Settings


def _add_text(body: Object, turn: Turn, dialect: Dialect) -> None:
    text: Object = {}
    if type(turn.format) is not TextFormat:
        text["format"] = _format(turn.format)
    if turn.verbosity and dialect.verbosity:
        text["verbosity"] = turn.verbosity
    if text:
        body["text"] = text


def _format(asked: Format) -> Object:
    match asked:
        case JsonSchemaFormat():
            format: Object = {"type": "json_schema", "name": asked.name, "schema": asked.schema}
            if asked.description:
                format["description"] = asked.description
            if asked.strict is not None:
                format["strict"] = asked.strict
            return format
        case JsonObjectFormat():
            return {"type": "json_object"}
        case TextFormat():
            return {"type": "text"}


def _add_reasoning(body: Object, turn: Turn, dialect: Dialect) -> None:
    reasoning: Object = {}
    if turn.effort and (effort := _nearest(dialect.efforts, turn.effort)):
        reasoning["effort"] = effort
    if turn.summary and dialect.summaries:
        reasoning["summary"] = turn.summary
    if turn.thoughts == "all_turns" and dialect.context:
        reasoning["context"] = "all_turns"
    if reasoning:
        body["reasoning"] = reasoning


def _nearest(known: Sequence[str], asked: str) -> str | None:
    """The effort asked for or the nearest that is known, the lesser of two; None: not sent.
    ``none`` is never turned into some thinking."""
    if asked in known:
        return asked
    if asked not in EFFORTS or asked == "none":
        return None
    wanted = EFFORTS.index(asked)
    thinking = [effort for effort in known if effort != "none"]
    return min(thinking, key=lambda effort: abs(EFFORTS.index(effort) - wanted), default=None)


def _add_sampling(body: Object, turn: Turn, dialect: Dialect) -> None:
    if turn.temperature is not None:
        body["temperature"] = turn.temperature
    if turn.top_p is not None:
        body["top_p"] = turn.top_p
    if dialect.penalties:
        if turn.presence_penalty is not None:
            body["presence_penalty"] = turn.presence_penalty
        if turn.frequency_penalty is not None:
            body["frequency_penalty"] = turn.frequency_penalty
    if turn.logprobs and turn.top_logprobs:
        body["top_logprobs"] = turn.top_logprobs
