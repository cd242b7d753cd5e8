"""Items of a conversation → the ``input`` of a Responses request, as JSON.

The upstream keeps nothing for us (``store: false``), so every item goes as what it says, never by
id: ids, statuses and what only this server knows stay here. What a server does not know (its
``Dialect``) becomes what it does: a call of a tool it has no item for, a function's.

Reasoning goes back in one of two ways. What the upstream encrypted goes back encrypted, in all
turns: it knows what to do with it. Its texts go back where the server takes them, only since the
last message of a user unless the turn wants all of them. Reasoning that led to nothing, which
strict servers refuse, is left out.

Every turn of a conversation brings all earlier items again: what was written for them up to a
user's message is kept in ``Turn.known.memo``, as ``chat_memo`` does it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from antiphon.backends.base import Turn
from antiphon.backends.equivalents import PENDING, Block, PlainCall, arrived, shown
from antiphon.backends.letters import letter
from antiphon.backends.messages import wire_name
from antiphon.backends.responses_profiles import HOSTED_TOOLS, Dialect
from antiphon.stream.deltas import CARRIED
from antiphon.types.base import given
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
from antiphon.types.tool_items import (
    ApplyPatchCall,
    ApplyPatchCallOutput,
    CodeInterpreterCall,
    ComputerCall,
    ComputerCallOutput,
    FileSearchCall,
    ImageGenerationCall,
    LocalShellCall,
    LocalShellCallOutput,
    ShellCall,
    ShellCallOutput,
    WebSearchCall,
)
from antiphon.types.tools import called

LOST_IMAGE = "[an image that is no longer available]"
_DETAILS = frozenset({"low", "high", "auto"})

_encode_into = msgspec.json.Encoder().encode_into

Object = dict[str, Any]

_IDS: frozenset[str] = frozenset({"id"})
_KEPT_IDS: frozenset[str] = frozenset()
_WEB_SEARCH = frozenset(name for name in HOSTED_TOOLS if name.startswith("web_search"))
_COMPUTER = frozenset({"computer", "computer_use_preview"})
_TOOLS_OF: Mapping[type[Any], frozenset[str]] = {
    ShellCall: frozenset({"shell"}),
    ShellCallOutput: frozenset({"shell"}),
    LocalShellCall: frozenset({"local_shell"}),
    LocalShellCallOutput: frozenset({"local_shell"}),
    ApplyPatchCall: frozenset({"apply_patch"}),
    ApplyPatchCallOutput: frozenset({"apply_patch"}),
    ComputerCall: _COMPUTER,
    ComputerCallOutput: _COMPUTER,
    WebSearchCall: _WEB_SEARCH,
    FileSearchCall: frozenset({"file_search"}),
    CodeInterpreterCall: frozenset({"code_interpreter"}),
    ImageGenerationCall: frozenset({"image_generation"}),
}
"""Items a server takes if it has one of these tools."""


_OPENINGS = {
    role: b'{"type":"message","role":"%b","content":' % role.encode()
    for role in ("user", "assistant", "system", "developer")
}
_TEXTS = frozenset((InputText, OutputText, PlainText))
_ANSWERABLE = frozenset((FunctionCall, CustomToolCall, FunctionCallOutput, CustomToolCallOutput))


class _Past(Struct, frozen=True, eq=False):
    """What was written for the first ``length`` items: ``buffer[:size]``, a comma behind each.
    What stands behind that belongs to other turns."""

    dialect: Dialect
    length: int
    buffer: bytearray
    size: int


class Items:
    """Writes items for one kind of server. ``mark``: how the encrypted reasoning begins that this
    upstream made (``deltas.CARRIED``)."""

    def __init__(self, dialect: Dialect, mark: str) -> None:
        self._dialect = dialect
        self._mark = mark
        self.bare: dict[bool, bytes] = {}  # the settings of a turn that has none

    def written(self, turn: Turn) -> list[bytearray | memoryview]:
        """The elements of ``input`` in at most two pieces, to be joined at once by commas; an empty
        list where nothing can be said."""
        items, known = turn.items, turn.known
        all_thoughts = turn.thoughts == "all_turns"
        key = ("responses", self._mark, all_thoughts)
        past: _Past | None = known.memo.get(key) if known is not None else None
        if past is not None and past.dialect is not self._dialect:
            past = None
        start = past.length if past is not None else 0
        # What is remembered ends with a user's message, and so do all thoughts before it.
        thoughts_from = 0 if all_thoughts else max(start, _behind_user(items, start, len(items)))
        late = _Late(items, start)
        new = bytearray()
        if known is not None:
            cut = _behind_user(items, start, known.length)
            if cut > start:
                self._write(items, start, cut, thoughts_from, late, new)
                past = known.memo[key] = self._extended(past, cut, new)
                start, new = cut, bytearray()
        self._write(items, start, len(items), thoughts_from, late, new)
        written: list[bytearray | memoryview] = []
        if past is not None and past.size:
            written.append(memoryview(past.buffer)[: past.size - 1])  # without the comma
        if new:
            del new[-1:]
            written.append(new)
        return written

    def _extended(self, past: _Past | None, length: int, text: bytearray) -> _Past:
        if past is None:
            return _Past(self._dialect, length, text, len(text))
        buffer = past.buffer
        if len(buffer) != past.size:
            buffer = buffer[: past.size]  # another turn has gone on from here: leave it that
        buffer += text
        return _Past(self._dialect, length, buffer, len(buffer))

    def _write(
        self,
        items: Sequence[Item],
        start: int,
        end: int,
        thoughts_from: int,
        late: _Late,
        into: bytearray,
    ) -> None:
        for at in range(start, end):
            item = items[at]
            if type(item) is Message and (text := _only_text(item)) is not None:
                into += _OPENINGS[item.role]  # texts may be megabytes: each is copied once
                _encode_into(text, into, -1)
                into += b"},"
                continue
            if type(item) is Reasoning:
                shown = self._reasoning(item, at >= thoughts_from, _led_to(items, at))
                said: Sequence[Any] = [] if shown is None else [shown]
            elif at in late.arrivals:
                said = self._message(arrived(late.arrivals[at], item))  # type: ignore[arg-type]
            else:
                said = self._item(item)
                if at in late.pending:
                    said = [*said, self._output(late.pending[at])]
            for one in said:
                _encode_into(one, into, -1)
                into += b","

    def _item(self, item: Item) -> Sequence[Any]:
        match item:  # what an agent sends most comes first
            case Message():
                return self._message(item)
            case FunctionCall():
                return [self._call(item, "function_call", item.arguments)]
            case FunctionCallOutput():
                return [self._output(item)]
            case CustomToolCall():
                if "custom" in self._dialect.native:
                    return [self._call(item, "custom_tool_call", item.input)]
                arguments = msgspec.json.encode({"input": item.input}).decode()
                return [self._call(item, "function_call", arguments)]
            case CustomToolCallOutput():
                return [self._output(item)]
            case Opaque() if item.type in LETTERS:
                return self._message(letter(item))
            case Reasoning() | ItemReference() | Compaction() | CompactionTrigger() | Opaque():
                return ()
            case _:
                return self._tool_item(item)

    def _tool_item(self, item: Any) -> Sequence[Any]:
        """An item of a tool that is more than a function."""
        if self._dialect.native.isdisjoint(_TOOLS_OF.get(type(item), ())):
            return [said for one in shown(item) for said in self._item(one)]
        return [_bare(item)]

    # Messages

    def _message(self, item: Message) -> Sequence[Any]:
        if item.role == "assistant":
            return self._said(item)
        content: Any = item.content
        if not isinstance(content, str):
            parts = [self._part(part) for part in content]
            plain = len(parts) == 1 and parts[0]["type"] == "input_text"
            content = parts[0]["text"] if plain else parts
        return [{"type": "message", "role": item.role, "content": content}]

    def _said(self, item: Message) -> Sequence[Any]:
        """A message of the model's. A text alone is a string, which every server takes."""
        content = item.content
        images: list[Object] = []
        if isinstance(content, str):
            parts: list[Object] = [{"type": "output_text", "text": content}]
        else:
            parts = []
            for part in content:
                shown = self._part(part)
                if shown["type"] == "input_image":
                    images.append(shown)
                elif shown["type"] == "input_text":
                    parts.append({"type": "output_text", "text": shown["text"]})
                else:
                    parts.append(shown)
        texts = [part for part in parts if part["type"] != "output_text" or part["text"]]
        said: list[Object] = []
        if texts:
            message: Object = {"type": "message", "role": "assistant"}
            message["content"] = self._spoken(texts)
            if self._dialect.item_ids and not isinstance(message["content"], str):
                message |= {"id": _id(item), "status": "completed"}
            if self._dialect.phases and given(item.phase):
                message["phase"] = item.phase
            said.append(message)
        if images:
            label = {"type": "input_text", "text": "Image(s) of the assistant message:"}
            said.append({"type": "message", "role": "user", "content": [label, *images]})
        return said

    def _spoken(self, texts: list[Object]) -> str | list[Object]:
        if len(texts) == 1 and texts[0]["type"] == "output_text":
            return str(texts[0]["text"])
        for part in texts:
            if part["type"] == "output_text":
                part["annotations"] = []
        return texts

    def _part(self, part: MessagePart | ToolOutputPart) -> Object:
        match part:
            case InputImage(image_url=str(url)):
                detail = part.detail or "auto"
                return {
                    "type": "input_image",
                    "image_url": url,
                    "detail": detail if detail in _DETAILS else "high",
                }
            case InputImage():
                return {"type": "input_text", "text": LOST_IMAGE}
            case InputFile():
                name = part.filename or "without a name"
                return {"type": "input_text", "text": f"[the file {name}]"}
            case Refusal():
                return {"type": "refusal", "refusal": part.refusal}
            case _:
                return {"type": "input_text", "text": part.text}

    # Calls

    def _call(self, item: FunctionCall | CustomToolCall, kind: str, text: str) -> Object:
        call: Object = {"type": kind, "call_id": item.call_id}
        call["name"] = wire_name(called(item.namespace, item.name))
        call["arguments" if kind == "function_call" else "input"] = text
        if self._dialect.item_ids:
            call |= {"id": _id(item), "status": "completed"}
        return call

    def _output(self, item: FunctionCallOutput | CustomToolCallOutput) -> Object:
        native = isinstance(item, CustomToolCallOutput) and "custom" in self._dialect.native
        kind = "custom_tool_call_output" if native else "function_call_output"
        output: Any = item.output
        if not isinstance(output, str):
            parts = [self._part(part) for part in output]
            plain = len(parts) == 1 and parts[0]["type"] == "input_text"
            output = parts[0]["text"] if plain else parts
        return {"type": kind, "call_id": item.call_id, "output": output}

    # Reasoning

    def _reasoning(self, item: Reasoning, current: bool, led_to_something: bool) -> Object | None:
        """The item as the upstream shall see it, or None."""
        dialect, sealed = self._dialect, item.encrypted_content
        said: Object = {"type": "reasoning", "summary": []}
        if isinstance(sealed, str) and sealed.startswith(self._mark):
            if not (led_to_something and dialect.encrypted and dialect.resends):
                return None
            said["encrypted_content"] = sealed[len(self._mark) :]
            said["summary"] = [{"type": "summary_text", "text": s.text} for s in item.summary or ()]
        elif not (current and led_to_something and dialect.thoughts and given(item.content)):
            return None
        elif isinstance(sealed, str) and sealed.startswith(CARRIED):
            return None  # another upstream's, whose texts are no thoughts of this one's
        if dialect.thoughts and isinstance(item.content, list) and item.content:
            said["content"] = [{"type": "reasoning_text", "text": p.text} for p in item.content]
        elif "encrypted_content" not in said:
            return None
        if dialect.item_ids:
            said |= {"id": _id(item), "status": "completed"}
        return said


def _only_text(item: Message) -> str | None:
    """What is all of a message: a text that is nothing else."""
    content = item.content
    if type(content) is not str:
        if len(content) != 1 or type(content[0]) not in _TEXTS:
            return None
        content = content[0].text  # type: ignore[union-attr]
    return content if (content or item.role != "assistant") and not given(item.phase) else None


class _Late:
    """The calls that may be answered in a later turn (``async``), of the items from ``start`` on:
    by place, ``pending`` ones have no output in time, and ``arrivals`` are outputs that came later.
    No server is asked to wait for an output: it gets one that says so (``equivalents.PENDING``)."""

    __slots__ = ("arrivals", "pending")

    def __init__(self, items: Sequence[Item], start: int) -> None:
        self.arrivals: dict[int, PlainCall] = {}
        self.pending: dict[int, FunctionCallOutput] = {}
        if _ANSWERABLE.isdisjoint(map(type, items[start:] if start else items)):
            return
        waiting: dict[str, int] = {}
        calls: dict[str, PlainCall] = {}
        block = Block()
        for at in range(start, len(items)):
            item: Any = items[at]
            in_time = block.read(item)
            if isinstance(item, FunctionCall | CustomToolCall):
                calls[item.call_id] = item
                if item.later:
                    waiting[item.call_id] = at
                    self.pending[at] = FunctionCallOutput(item.call_id, PENDING)
            elif isinstance(item, FunctionCallOutput | CustomToolCallOutput):
                if in_time:
                    del self.pending[waiting[item.call_id]]
                    continue
                call = calls.get(item.call_id) or _call_before(items, start, item.call_id)
                if call is not None and call.later:
                    self.arrivals[at] = call


def _call_before(items: Sequence[Item], end: int, call_id: str) -> PlainCall | None:
    for at in range(end - 1, -1, -1):
        item = items[at]
        if isinstance(item, FunctionCall | CustomToolCall) and item.call_id == call_id:
            return item
    return None


def _bare(item: Any) -> Object:
    """A tool's item without what only this server knows: its id, unless another item means it."""
    said: Object = {"type": item.__struct_config__.tag}
    keeps = _KEPT_IDS if isinstance(item, LocalShellCall | LocalShellCallOutput) else _IDS
    for name in item.__struct_fields__:
        value = getattr(item, name)
        if name not in keeps and given(value):
            said[name] = value
    if isinstance(item, ApplyPatchCall):
        said.setdefault("status", "completed")
    if isinstance(item, LocalShellCallOutput) and given(item.call_id):
        said["id"] = said.pop("call_id")  # which is how the API has it name its call
    return said


def _led_to(items: Sequence[Item], at: int) -> bool:
    """Whether something of the model's stands behind the reasoning at ``at``."""
    for following in items[at + 1 : at + 9]:
        if isinstance(following, Reasoning):
            continue
        return not isinstance(following, Message) or following.role == "assistant"
    return False


def _id(item: Any) -> str:
    """An item's own id: servers that need one do not look it up."""
    return item.id if isinstance(item.id, str) and item.id else f"{type(item).__name__.lower()}_0"


def _behind_user(items: Sequence[Item], start: int, end: int) -> int:
    """Where what follows the last message of a user in ``items[start:end]`` begins; 0 if there is
    none."""
    for at in range(end - 1, start - 1, -1):
        item = items[at]
        if type(item) is Message and item.role == "user":
            return at + 1
    return 0
