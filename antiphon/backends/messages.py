"""Items of a conversation → the ``messages`` of a chat completion.

The rules a strict server enforces, and how they are kept here (api-surface §6.5):

- One turn of the model is ONE assistant message: its reasoning, its text, all its calls.
- The results follow it at once, one ``tool`` message per call, in the order of the calls,
  wherever they stood in the conversation.
- A ``tool`` or ``system`` message holds text only: images move to a user message behind it.
- Reasoning goes back only while its tool turn lasts (after the last user message), unless the
  turn wants all of it, and never as content. Ids, statuses and phases of items never leave;
  ``Opaque`` items are skipped, the run reports them; but for letters between agents.

Freeform (``custom``) calls travel as functions with one string argument, ``input``; calls that
are more than a function's as ``equivalents.py`` shows them.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, assert_never, cast

import msgspec
from msgspec import Struct

from antiphon.backends.base import Turn
from antiphon.backends.equivalents import (
    PENDING,
    SHOWN,
    Block,
    PlainCall,
    PlainOutput,
    arrived,
    shown,
)
from antiphon.backends.letters import letter
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
    LETTERS,
    Compaction,
    CompactionTrigger,
    CustomToolCall,
    CustomToolCallOutput,
    FunctionCall,
    FunctionCallOutput,
    Item,
    ItemReference,
    Message,
    Opaque,
    Reasoning,
)
from antiphon.types.tools import called

NAME_LENGTH_MAX = 64
NO_OUTPUT = "(no output)"

_PLAIN_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_DETAILS = frozenset({"low", "high"})
_OBJECT = msgspec.json.Decoder(dict[str, msgspec.Raw])

_CALLS = frozenset((FunctionCall, CustomToolCall))
_OUTPUTS = frozenset((FunctionCallOutput, CustomToolCallOutput))
_TEXTS = frozenset((OutputText, InputText, PlainText))

_OPENINGS = {
    knows_developer: {
        role: b'{"role":"%s","content":' % sent.encode()
        for role, sent in (
            ("user", "user"),
            ("assistant", "assistant"),
            ("system", "system"),
            ("developer", "developer" if knows_developer else "system"),
        )
    }
    for knows_developer in (True, False)
}
_encode_into = msgspec.json.Encoder().encode_into

ChatMessage = dict[str, Any]
Part = dict[str, Any]

NOTHING: ChatMessage = {"role": "user", "content": ""}
"""Sent for a context that holds nothing that can be said: no server takes an empty list."""

Content = str | Sequence[MessagePart | ToolOutputPart]


@lru_cache(maxsize=1_024)
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
    thread = Thread(profile, current_from=thoughts_from(turn))
    thread.instruct([*([turn.instructions] if turn.instructions else []), *remarks])
    thread.expect(turn.items)
    for at, item in enumerate(turn.items):
        thread.add(item, at)
    thread.close()
    return thread.finished()


def plain_messages(
    items: Sequence[Item], profile: Profile, user_at: int, written: bytearray
) -> list[int] | None:
    """Add to ``written`` what ``Thread`` makes of messages that are one text each: JSON, a comma
    behind each. Returns where each item ends, or None if there is anything else. Reasoning before
    ``user_at`` is not sent.

    (Into one buffer, because texts may be megabytes: each of them is copied once.)
    """
    roles = _OPENINGS[profile.developer_role]
    ends: list[int] = []
    for at, item in enumerate(items):
        if type(item) is Message:
            content = item.content
            if type(content) is not str:
                if len(content) != 1 or type(content[0]) not in _TEXTS:
                    return None
                content = content[0].text  # type: ignore[union-attr]
            role = item.role
            if role != "assistant" or content:
                if profile.merge_system and role != "user" and role != "assistant":
                    return None
                written += roles[role]
                _encode_into(content, written, -1)
                written += b"},"
        elif type(item) is not Reasoning or at >= user_at:
            return None
        ends.append(len(written))
    return ends


def thoughts_from(turn: Turn) -> int:
    """Where the items begin whose reasoning goes back."""
    return 0 if turn.thoughts == "all_turns" else last_user_at(turn.items) + 1


def last_user_at(items: Sequence[Item], start: int = 0) -> int:
    """Where the last message of a user stands in ``items[start:]``; -1 if there is none."""
    for at in range(len(items) - 1, start - 1, -1):
        item = items[at]
        if isinstance(item, Message) and item.role == "user":
            return at
    return -1


def instructions_message(sentences: Sequence[str], profile: Profile) -> ChatMessage:
    """The message at the front."""
    role = "developer" if profile.developer_role and not profile.merge_system else "system"
    return {"role": role, "content": "\n\n".join(sentences)}


def says_json(messages: Sequence[ChatMessage]) -> bool:
    """Whether a content says the word: servers refuse JSON mode where none does."""
    for message in messages:
        content = message["content"]
        if isinstance(content, str):
            if "json" in content.lower():
                return True
        elif content and any("json" in part.get("text", "").lower() for part in content):
            return True
    return False


class _Group(Struct):
    """One turn of the model, while it is being collected."""

    thoughts: list[str]
    text: str
    calls: list[tuple[PlainCall, int]]
    media: list[Part]


class Thread:
    """The messages so far, and the model's turn that is still open.

    ``current_from``: reasoning goes back from this item on. ``system`` collects what is merged
    into one message at the front, for servers that want it so.
    """

    def __init__(self, profile: Profile, *, current_from: int) -> None:
        self.messages: list[ChatMessage] = []
        self._outputs: dict[str, list[PlainOutput]] = {}
        self._in_time: dict[int, PlainOutput] = {}
        self._late: dict[int, PlainCall] = {}
        self.profile = profile
        self._current_from = current_from
        self.system: list[str] = []
        self._begun = False
        self._group = _Group([], "", [], [])

    @property
    def is_settled(self) -> bool:
        """Nothing that was added is still waiting for what comes next."""
        group = self._group
        return not (group.text or group.calls or group.media or group.thoughts)

    def expect(self, items: Sequence[Item], begin: int = 0) -> None:
        """Look the results of calls up in ``items[begin:]``, once, before the first ``add``. The
        messages of those before are written already."""
        outputs = self._outputs
        new = items[begin:] if begin else items
        called: set[str] = set()
        plain = True
        for item in reversed(new):  # so that the first one of a call stands at the end
            kind = type(item)
            if kind in _OUTPUTS:
                output = cast("PlainOutput", item)
                outputs.setdefault(output.call_id, []).append(output)
            elif kind in _CALLS:
                called.add(item.call_id)  # type: ignore[union-attr,arg-type]
                if item.later:  # type: ignore[union-attr]
                    plain = False
            elif kind in SHOWN:
                plain = False
        if not plain or (begin and not called.issuperset(outputs)):
            outputs.clear()
            self._expect_each(items, new, begin)

    def _expect_each(self, items: Sequence[Item], new: Sequence[Item], begin: int) -> None:
        """The same where outputs may come late, or belong to calls that are shown as others."""
        block = Block()
        calls: dict[str, tuple[PlainCall, int]] = {}
        for at, item in enumerate(new, begin):
            kind = type(item)
            in_time = block.read(item)
            if kind in _CALLS:
                call = cast("PlainCall", item)
                calls[call.call_id] = call, at
            elif kind in _OUTPUTS:
                output = cast("PlainOutput", item)
                if in_time:
                    self._in_time[calls[output.call_id][1]] = output
                    continue
                asked = _asked(output.call_id, calls, items, begin)
                if asked is None or not asked.later:
                    self._outputs.setdefault(output.call_id, []).append(output)
                else:
                    self._late[at] = asked
            elif kind in SHOWN:
                for one in shown(item):
                    if type(one) is FunctionCallOutput:
                        self._outputs.setdefault(one.call_id, []).append(one)
        for waiting in self._outputs.values():
            waiting.reverse()

    def is_late(self, at: int) -> bool:
        """Whether an output of a call with ``async`` stands there that came later than in time."""
        return at in self._late

    def add(self, item: Item, at: int) -> None:
        """The conversation's next item, which stands at ``at``."""
        match item:  # what an agent sends most comes first
            case FunctionCallOutput() | CustomToolCallOutput():
                self.close()
                if at in self._late:
                    self.heard(arrived(self._late[at], item))
            case FunctionCall() | CustomToolCall():
                self._begun = True
                self._group.calls.append((item, at))
            case Reasoning():
                self.reasoned(item, at)
            case Message():
                if item.role == "assistant":
                    self.said(item.content)
                else:
                    self.heard(item)
            case Opaque() if item.type in LETTERS:
                self.heard(letter(item))
            case ItemReference() | Compaction() | CompactionTrigger() | Opaque():
                pass
            case _:
                for one in shown(item):
                    self.add(one, at)

    def instruct(self, sentences: Sequence[str]) -> None:
        if self.profile.merge_system:
            self.system += sentences
        elif sentences:
            self.messages.append(instructions_message(sentences, self.profile))

    def heard(self, message: Message) -> None:
        """A message of anybody but the model: its turn is over."""
        if self._begun:
            self.close()
        if message.role == "user":
            self.messages.append({"role": "user", "content": self._user(message.content)})
            return
        text, media = _split(message.content)
        if self.profile.merge_system:
            self.system.append(text)
        else:
            role = message.role if self.profile.developer_role else "system"
            self.messages.append({"role": role, "content": text})
        if media:
            self._show(f"Image(s) of the {message.role} message:", media)

    def _user(self, content: Content) -> str | list[Part]:
        """A user's content: a string when it is one text, else parts."""
        if isinstance(content, str):
            return content
        parts = [_part(part) for part in content]
        texts = [part["text"] for part in parts if part["type"] == "text"]
        if len(texts) == len(parts) and (len(parts) < 2 or self.profile.join_text):
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
        if at < self._current_from or not self.profile.reasoning_field:
            return
        content = item.content if isinstance(item.content, list) else []
        self._group.thoughts += [part.text for part in content]

    def close(self) -> None:
        """The model's turn is over: write it, then its results, then what they showed."""
        group = self._group
        if not (group.text or group.calls or group.media):
            return
        self._group = _Group([], "", [], [])
        self._begun = False
        if group.text or group.calls:
            message: ChatMessage = {"role": "assistant", "content": group.text or None}
            if group.thoughts and self.profile.reasoning_field:
                message[self.profile.reasoning_field] = "\n".join(group.thoughts)
            if group.calls:
                message["tool_calls"] = [self._call(call) for call, _ in group.calls]
            self.messages.append(message)
        if group.media:
            self._show("Image(s) of the assistant message:", group.media)
        media: list[Part] = []
        for call, at in group.calls:
            media += self._answer(call, at)
        if media:
            self.messages.append({"role": "user", "content": media})

    def finished(self) -> list[ChatMessage]:
        if self.system:
            self.messages.insert(0, instructions_message(self.system, self.profile))
        return self.messages or [dict(NOTHING)]

    def _answer(self, call: PlainCall, at: int) -> list[Part]:
        """Append the result of a call; return what has to be shown behind all results."""
        if call.later:
            output = self._in_time.get(at)
            text, media = _split(output.output) if output is not None else (PENDING, [])
        else:
            waiting = self._outputs.get(call.call_id)
            text, media = _split(waiting.pop().output) if waiting else ("", [])
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

    def _call(self, call: PlainCall) -> dict[str, Any]:
        if isinstance(call, CustomToolCall):
            arguments = msgspec.json.encode({"input": call.input}).decode()
        else:
            arguments = _object_text(call.arguments)
        written: dict[str, Any] = {
            "id": self._call_id(call.call_id),
            "type": "function",
            "function": {
                "name": wire_name(called(call.namespace, call.name)),
                "arguments": arguments,
            },
        }
        if self.profile.call_extra:
            written["extra_content"] = self.profile.call_extra
        return written

    def _call_id(self, call_id: str) -> str:
        if self.profile.call_ids == "any":
            return call_id
        if len(call_id) == 9 and call_id.isascii() and call_id.isalnum():
            return call_id
        number = int.from_bytes(hashlib.sha256(call_id.encode()).digest()[:8], "big")
        digits = []
        for _ in range(9):
            number, digit = divmod(number, 62)
            digits.append(_BASE62[digit])
        return "".join(digits)


def _asked(
    call_id: str, calls: dict[str, tuple[PlainCall, int]], items: Sequence[Item], begin: int
) -> PlainCall | None:
    """The call an output belongs to: one of ``calls``, or of ``items[:begin]``."""
    if call_id in calls:
        return calls[call_id][0]
    for at in range(begin - 1, -1, -1):
        item = items[at]
        if type(item) in _CALLS and item.call_id == call_id:  # type: ignore[union-attr]
            return cast("PlainCall", item)
    return None


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
    if len(content) == 1 and type(content[0]) in _TEXTS:
        return content[0].text, []  # type: ignore[union-attr]
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
            if part.detail and part.detail != "auto":  # stored items say it where a caller did not
                image["detail"] = part.detail if part.detail in _DETAILS else "high"
            return {"type": "image_url", "image_url": image}
        case InputImage():
            return {"type": "text", "text": "[an image that is no longer available]"}
        case InputFile():
            return {"type": "text", "text": f"[the file {part.filename or 'without a name'}]"}
        case _:
            assert_never(part)
