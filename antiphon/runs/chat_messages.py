"""The ``messages`` of a chat completion → the items of a response's input.

One assistant message becomes up to one reasoning item, one message and its calls; a tool message
becomes the output of a call. ``paths`` remembers where each item came from, so that whatever is
refused later is named as the caller wrote it. Calls and answers are matched here already, because
chat completions pair them within one request only. A call id that is used again for a later call
gets a suffix inside, because items are told apart by it; one that is too long becomes its hash.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, assert_never

from msgspec import Struct, field

from antiphon.errors import ClientError
from antiphon.types.chat import (
    AssistantMessage,
    AudioPart,
    ChatMessage,
    DeveloperMessage,
    FilePart,
    FunctionMessage,
    FunctionToolCall,
    ImagePart,
    RefusalPart,
    SaidPart,
    SystemMessage,
    TextPart,
    ToolMessage,
    UserMessage,
)
from antiphon.types.explain import cut

_CALL_ID_MAX = 64
_LEGACY_ID = "call_legacy"

Item = dict[str, Any]


class Told(Struct):
    """The items, where each came from (``messages[3].tool_calls[0]``), and what was accepted
    without being passed on."""

    items: list[Item] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    downgrades: list[str] = field(default_factory=list)


def items_of(messages: Sequence[ChatMessage]) -> Told:
    """The conversation as items. Raises ``ClientError`` naming the message."""
    reading = _Reading()
    for index, message in enumerate(messages):
        reading.read(message, f"messages[{index}]")
    reading.close()
    return reading.told


class _Call(Struct):
    """A call that is not answered yet: its id inside, its kind, where it was made, its tool."""

    id: str
    kind: str
    path: str
    name: str


class _Reading:
    """The items so far, and the calls that wait for their answers, by the caller's ids."""

    def __init__(self) -> None:
        self.told = Told()
        self._open: dict[str, _Call] = {}
        self._used: set[str] = set()

    def read(self, message: ChatMessage, path: str) -> None:
        name = None
        match message:
            case SystemMessage() | DeveloperMessage() | UserMessage():
                role = str(message.__struct_config__.tag)
                content = _heard(message.content, f"{path}.content")
                self._add({"type": "message", "role": role, "content": content}, path)
                name = message.name
            case AssistantMessage():
                self._assistant(message, path)
                name = message.name
            case ToolMessage():
                call = self._open.pop(message.tool_call_id, None)
                if call is None:
                    raise _uncalled(f"{path}.tool_call_id", message.tool_call_id)
                self._answer(call, _heard(message.content, f"{path}.content"), path)
            case FunctionMessage():
                call = self._open.pop(_LEGACY_ID, None)
                if call is None or call.name != message.name:
                    raise _uncalled(f"{path}.name", message.name)
                self._answer(call, message.content or "", path)
            case _:
                assert_never(message)
        if name and "messages.name" not in self.told.downgrades:
            self.told.downgrades.append("messages.name")

    def close(self) -> None:
        for call in self._open.values():
            raise ClientError(
                f"The call in '{call.path}' has no answer: a message with 'tool_calls' must be "
                "followed by a 'tool' message for each 'tool_call_id'.",
                code="tool_output_not_found",
                param=call.path,
            )

    def _assistant(self, message: AssistantMessage, path: str) -> None:
        if message.audio is not None:
            raise _no_audio(f"{path}.audio")
        if message.reasoning_content:
            thought = {"type": "reasoning_text", "text": message.reasoning_content}
            self._add({"type": "reasoning", "summary": [], "content": [thought]}, path)
        calls = message.tool_calls or []
        content = _said(message)
        if content is None and not calls and message.function_call is None:
            raise ClientError(
                f"Missing required parameter: '{path}.content' may be left out only beside "
                "'tool_calls', 'function_call' or 'refusal'.",
                code="missing_required_parameter",
                param=f"{path}.content",
            )
        if content or (content is not None and not calls and message.function_call is None):
            self._add({"type": "message", "role": "assistant", "content": content}, path)
        for number, call in enumerate(calls):
            where = f"{path}.tool_calls[{number}]"
            if isinstance(call, FunctionToolCall):
                item = {"name": call.function.name, "arguments": call.function.arguments}
                self._call("function_call", call.id, item, where)
            else:
                item = {"name": call.custom.name, "input": call.custom.input}
                self._call("custom_tool_call", call.id, item, where)
        if (legacy := message.function_call) is not None:
            item = {"name": legacy.name, "arguments": legacy.arguments}
            self._call("function_call", _LEGACY_ID, item, f"{path}.function_call")

    def _call(self, kind: str, call_id: str, item: Item, path: str) -> None:
        if call_id in self._open:
            raise ClientError(
                f"Invalid '{path}': a call with the same id is not answered yet.", param=path
            )
        short = call_id
        if len(call_id) > _CALL_ID_MAX:
            short = f"call_{hashlib.sha256(call_id.encode()).hexdigest()[:34]}"
        inside, number = short, 2
        while inside in self._used:
            ending = f"_{number}"
            inside, number = short[: _CALL_ID_MAX - len(ending)] + ending, number + 1
        self._used.add(inside)
        self._open[call_id] = _Call(inside, kind, path, item["name"])
        self._add({"type": kind, "call_id": inside, **item}, path)

    def _answer(self, call: _Call, output: str | list[Item], path: str) -> None:
        self._add({"type": f"{call.kind}_output", "call_id": call.id, "output": output}, path)

    def _add(self, item: Item, path: str) -> None:
        self.told.items.append(item)
        self.told.paths.append(path)


def _heard(content: str | Sequence[Any], path: str) -> str | list[Item]:
    """What anybody but the model said, as input parts."""
    if isinstance(content, str):
        return content
    return [_part(part, f"{path}[{index}]") for index, part in enumerate(content)]


def _part(part: TextPart | ImagePart | FilePart | AudioPart, path: str) -> Item:
    match part:
        case TextPart(text=text):
            return {"type": "input_text", "text": text}
        case ImagePart(image_url=source):
            return {"type": "input_image", "image_url": source.url, "detail": source.detail}
        case FilePart(file=source):
            if source.file_data is None or source.file_id is not None:
                raise ClientError(
                    "Uploaded files are not available on this server; send the document as "
                    f"'{path}.file.file_data' (a data URL) with a 'filename'.",
                    code="unsupported_value",
                    param=f"{path}.file.file_id",
                )
            data = {"file_data": source.file_data, "filename": source.filename}
            return {"type": "input_file", **data}
        case AudioPart():
            raise _no_audio(path)
        case _:
            assert_never(part)


def _said(message: AssistantMessage) -> str | list[Item] | None:
    """What an assistant said: None if nothing, a string if it is one."""
    content, refusal = message.content, message.refusal
    if isinstance(content, str | None) and not refusal:
        return content
    parts: list[Item] = []
    if isinstance(content, str):
        parts += [{"type": "output_text", "text": content}] if content else []
    else:
        parts += [_said_part(part) for part in content or ()]
    if refusal:
        parts.append({"type": "refusal", "refusal": refusal})
    return parts


def _said_part(part: SaidPart | RefusalPart) -> Item:
    if isinstance(part, RefusalPart):
        return {"type": "refusal", "refusal": part.refusal}
    return {"type": "output_text", "text": part.text}


def _no_audio(path: str) -> ClientError:
    return ClientError(
        f"Unsupported value: '{path}' is audio, which this server does not take.",
        code="unsupported_value",
        param=path,
    )


def _uncalled(path: str, name: str) -> ClientError:
    return ClientError(
        f"Invalid '{path}': no call '{cut(name, 80)}' is waiting for an answer. A message with "
        "role 'tool' or 'function' answers a call of the assistant's message before it, once.",
        code="tool_call_not_found",
        param=path,
    )
