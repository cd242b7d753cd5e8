"""Items of a conversation → the ``messages`` of a chat completion.

The rules a strict server enforces, and how they are kept here (api-surface §6.5):

- One turn of the model is ONE assistant message: its reasoning, its text, all its calls.
- The results follow it at once, one ``tool`` message per call, in the order of the calls,
  wherever they stood in the conversation.
- A ``tool`` or ``system`` message holds text only: images move to a user message behind it.
- Reasoning goes back only while its tool turn lasts (after the last user message), never as
  content. Ids, statuses and phases of items never leave; ``Opaque`` items are skipped, the
  run reports them.

Freeform (``custom``) calls travel as functions with one string argument, ``input``.
"""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict, deque
from collections.abc import Sequence
from typing import Any, assert_never

import msgspec
from msgspec import Struct

from antiphon.backends.base import Turn
from antiphon.backends.profiles import Profile
from antiphon.types.content import (
    InputFile,
    InputImage,
    InputText,
    MessagePart,
    OutputText,
    PlainText,
    Refusal,
    ToolOutputPart,
)
from antiphon.types.items import (
    Call,
    CallOutput,
    CustomToolCall,
    CustomToolCallOutput,
    FunctionCall,
    FunctionCallOutput,
    ItemReference,
    Message,
    Opaque,
    Reasoning,
)

NAME_LENGTH_MAX = 64
NO_OUTPUT = "(no output)"

_PLAIN_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_DETAILS = frozenset({"low", "high", "auto"})
_OBJECT = msgspec.json.Decoder(dict[str, msgspec.Raw])

_OUTPUTS = (FunctionCallOutput, CustomToolCallOutput)
_TEXTS = (OutputText, InputText, PlainText)

ChatMessage = dict[str, Any]
Part = dict[str, Any]
Content = str | Sequence[MessagePart | ToolOutputPart]


def wire_name(name: str) -> str:
    """A tool's name as every server takes it: at most 64 of letters, digits, ``_`` and ``-``.

    Any other name is shortened and marked with eight digits of its hash, so that two names
    stay two and the same name always becomes the same.
    """
    if _PLAIN_NAME.fullmatch(name):
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:8]
    return f"{re.sub(r'[^A-Za-z0-9_-]', '_', name)[: NAME_LENGTH_MAX - 9]}_{digest}"


def messages_of(turn: Turn, profile: Profile, *, remarks: Sequence[str] = ()) -> list[ChatMessage]:
    """The whole conversation. ``remarks`` are sentences of ours that join the instructions."""
    thread = _Thread(profile, current_from=_last_user_at(turn) + 1)
    thread.instruct([*([turn.instructions] if turn.instructions else []), *remarks])
    for item in turn.items:
        if isinstance(item, _OUTPUTS):
            thread.outputs[item.call_id].append(item)
    for at, item in enumerate(turn.items):
        match item:
            case Message(role="assistant"):
                thread.said(item.content)
            case Message():
                thread.heard(item)
            case FunctionCall() | CustomToolCall():
                thread.called(item)
            case FunctionCallOutput() | CustomToolCallOutput():
                thread.close()
            case Reasoning():
                thread.reasoned(item, at)
            case ItemReference() | Opaque():
                pass
            case _:
                assert_never(item)
    thread.close()
    return thread.finished()


def _last_user_at(turn: Turn) -> int:
    for at in range(len(turn.items) - 1, -1, -1):
        item = turn.items[at]
        if isinstance(item, Message) and item.role == "user":
            return at
    return -1


class _Group(Struct):
    """One turn of the model, while it is being collected."""

    thoughts: list[str]
    text: str
    calls: list[Call]
    media: list[Part]


class _Thread:
    """The messages so far, and the model's turn that is still open."""

    def __init__(self, profile: Profile, *, current_from: int) -> None:
        self.messages: list[ChatMessage] = []
        self.outputs: dict[str, deque[CallOutput]] = defaultdict(deque)
        self._profile = profile
        self._current_from = current_from
        self._system: list[str] = []
        self._begun = False
        self._group = _Group([], "", [], [])

    def instruct(self, sentences: Sequence[str]) -> None:
        if not sentences:
            return
        text = "\n\n".join(sentences)
        if self._profile.merge_system:
            self._system.append(text)
        else:
            role = "developer" if self._profile.developer_role else "system"
            self.messages.append({"role": role, "content": text})

    def heard(self, message: Message) -> None:
        """A message of anybody but the model: its turn is over."""
        if self._begun:
            self.close()
        if message.role == "user":
            self.messages.append({"role": "user", "content": self._user(message.content)})
            return
        text, media = _split(message.content)
        if self._profile.merge_system:
            self._system.append(text)
        else:
            role = message.role if self._profile.developer_role else "system"
            self.messages.append({"role": role, "content": text})
        if media:
            self._show(f"Image(s) of the {message.role} message:", media)

    def _user(self, content: Content) -> str | list[Part]:
        """A user's content: a string when it is one text, else parts."""
        if isinstance(content, str):
            return content
        parts = [_part(part) for part in content]
        texts = [part["text"] for part in parts if part["type"] == "text"]
        if len(texts) == len(parts) and (len(parts) < 2 or self._profile.join_text):
            return "\n".join(texts)
        return parts

    def said(self, content: Content) -> None:
        text, media = _split(content)
        self._begun = True
        group = self._group
        if text and group.text and not group.calls:
            thoughts, group.thoughts = group.thoughts, []
            self.close()
            self._begun = True
            self._group.thoughts = thoughts
            group = self._group
        group.text = f"{group.text}\n{text}" if group.text and text else group.text or text
        group.media += media

    def reasoned(self, item: Reasoning, at: int) -> None:
        if at < self._current_from or not self._profile.reasoning_field:
            return
        content = item.content if isinstance(item.content, list) else []
        self._group.thoughts += [part.text for part in content]

    def called(self, call: Call) -> None:
        self._begun = True
        self._group.calls.append(call)

    def close(self) -> None:
        """The model's turn is over: write it, then its results, then what they showed."""
        group = self._group
        if not (group.text or group.calls or group.media):
            return
        self._group = _Group([], "", [], [])
        self._begun = False
        if group.text or group.calls:
            message: ChatMessage = {"role": "assistant", "content": group.text or None}
            if group.thoughts and self._profile.reasoning_field:
                message[self._profile.reasoning_field] = "\n".join(group.thoughts)
            if group.calls:
                message["tool_calls"] = [self._call(call) for call in group.calls]
            self.messages.append(message)
        if group.media:
            self._show("Image(s) of the assistant message:", group.media)
        shown: list[Part] = []
        for call in group.calls:
            shown += self._answer(call)
        if shown:
            self.messages.append({"role": "user", "content": shown})

    def finished(self) -> list[ChatMessage]:
        if self._system:
            merged = {"role": "system", "content": "\n\n".join(self._system)}
            self.messages.insert(0, merged)
        # No server takes an empty list; a context may hold nothing that can be said.
        return self.messages or [{"role": "user", "content": ""}]

    def _answer(self, call: Call) -> list[Part]:
        """Append the result of a call; return what has to be shown behind all results."""
        waiting = self.outputs.get(call.call_id)
        text, media = _split(waiting.popleft().output) if waiting else ("", [])
        if not text:
            text = "(see the next message)" if media else NO_OUTPUT
        call_id = self._call_id(call.call_id)
        self.messages.append({"role": "tool", "tool_call_id": call_id, "content": text})
        if not media:
            return []
        label = f"Image(s) returned by tool call {call_id}:"
        return [{"type": "text", "text": label}, *media]

    def _show(self, label: str, media: list[Part]) -> None:
        parts = [{"type": "text", "text": label}, *media]
        self.messages.append({"role": "user", "content": parts})

    def _call(self, call: Call) -> dict[str, Any]:
        if isinstance(call, CustomToolCall):
            arguments = msgspec.json.encode({"input": call.input}).decode()
        else:
            arguments = _object_text(call.arguments)
        written: dict[str, Any] = {
            "id": self._call_id(call.call_id),
            "type": "function",
            "function": {"name": wire_name(call.name), "arguments": arguments},
        }
        if self._profile.call_extra:
            written["extra_content"] = self._profile.call_extra
        return written

    def _call_id(self, call_id: str) -> str:
        if self._profile.call_ids == "any":
            return call_id
        if len(call_id) == 9 and call_id.isascii() and call_id.isalnum():
            return call_id
        number = int.from_bytes(hashlib.sha256(call_id.encode()).digest()[:8], "big")
        digits = []
        for _ in range(9):
            number, digit = divmod(number, 62)
            digits.append(_BASE62[digit])
        return "".join(digits)


def _object_text(arguments: str) -> str:
    """Arguments as JSON text of an object: templates parse them and break on anything else.

    A call cut by a token limit may hold half an object; it is kept as text under ``input``.
    """
    try:
        _OBJECT.decode(arguments)
    except msgspec.DecodeError:
        if not arguments.strip():
            return "{}"
        return msgspec.json.encode({"input": arguments}).decode()
    return arguments


def _split(content: Content) -> tuple[str, list[Part]]:
    """The text of a content, and its images as parts."""
    if isinstance(content, str):
        return content, []
    if len(content) == 1 and isinstance(content[0], _TEXTS):
        return content[0].text, []
    parts = [_part(part) for part in content]
    text = "\n".join(part["text"] for part in parts if part["type"] == "text")
    return text, [part for part in parts if part["type"] != "text"]


def _part(part: MessagePart | ToolOutputPart) -> Part:
    match part:
        case InputText(text=text) | OutputText(text=text) | PlainText(text=text):
            return {"type": "text", "text": text}
        case Refusal(refusal=text):
            return {"type": "text", "text": text}
        case InputImage(image_url=str(url)):
            image = {"url": url}
            if part.detail:
                image["detail"] = part.detail if part.detail in _DETAILS else "high"
            return {"type": "image_url", "image_url": image}
        case InputImage():
            return {"type": "text", "text": "[an image that is no longer available]"}
        case InputFile():
            return {"type": "text", "text": f"[the file {part.filename or 'without a name'}]"}
        case _:
            assert_never(part)
