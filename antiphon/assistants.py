"""An export of the Assistants API → conversations: threads and their messages, as JSON lines.

A line is an object as the API gave it: ``thread``, ``thread.message``, or a ``list`` of them. Runs,
steps, assistants and the like are counted and left out. A thread becomes one conversation with the
messages in the order of their birth. Its id is made from the thread's, so the same thread is never
imported twice; a thread goes in whole, in one transaction, or not at all.

Reading (``read``) does no I/O but the lines it is given; ``carry_over`` writes.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from msgspec import Struct, field

from antiphon.store.conversations import Conversations, StoredItem
from antiphon.types.explain import cut

THREAD_KEY = "assistants_thread_id"
"""Where a conversation's metadata names the thread."""

METADATA_PAIRS_MAX = 16
_ID_MAX = 64
_LEFT_OUT = {
    "thread.run": "run",
    "thread.run.step": "run step",
    "assistant": "assistant",
    "vector_store": "vector store",
    "vector_store.file": "vector store file",
    "file": "file",
    "thread.deleted": "deletion",
    "thread.message.deleted": "deletion",
}


class Malformed(Struct, frozen=True):
    """A line that could not be read. ``thread``: the thread it belongs to, if that is known."""

    number: int
    why: str
    thread: str | None = None


class Thread(Struct):
    """A thread to be imported: ``created_at`` in seconds, ``items`` as they are stored. ``lost``:
    what of it is not carried over."""

    id: str
    created_at: int
    metadata: dict[str, str]
    items: list[dict[str, Any]]
    lost: Counter[str]

    @property
    def conversation_id(self) -> str:
        return f"conv_{_digits(self.id)}"


class Export(Struct):
    """What a file holds. ``left_out``: objects that are no threads or messages; ``malformed``: in
    the order of the lines."""

    threads: list[Thread]
    left_out: Counter[str]
    malformed: list[Malformed]


class Imported(Struct):
    """What happened: conversations and messages that were written (or would be), what of them was
    not, and the threads that are there already."""

    conversations: int = 0
    messages: int = 0
    known: int = 0
    lost: Counter[str] = field(default_factory=Counter)


async def carry_over(
    threads: Sequence[Thread], conversations: Conversations, project: str, *, dry_run: bool
) -> Imported:
    """Write the threads that are not there yet. Raises ``RemoteError`` if the store fails; then
    the threads before are there, and importing again goes on behind them."""
    done = Imported()
    for thread in threads:
        id = thread.conversation_id
        if await conversations.load(project, id) is not None:
            done.known += 1
            continue
        if not dry_run:
            items = [StoredItem(item["id"], msgspec.json.encode(item)) for item in thread.items]
            metadata = msgspec.json.encode(thread.metadata)
            await conversations.create(project, id, thread.created_at * 1000, metadata, items)
        done.conversations += 1
        done.messages += len(thread.items)
        done.lost += thread.lost
    return done


# Reading ----------------------------------------------------------------------------------


def read(lines: Iterable[bytes]) -> Export:
    """The threads of a file, in the order in which they are first named. Never raises for what is
    in the lines: that is ``malformed``."""
    reading = _Reading()
    for number, line in enumerate(lines, 1):
        if line.strip():
            reading.line(number, line)
    return reading.finished()


class _Message(Struct):
    """A message on its way: where it stood, when it was made, its item."""

    number: int
    created_at: int
    item: dict[str, Any]


class _Wrong(Exception):
    """Why a line cannot be read."""


class _Collected(Struct):
    """What is known of one thread so far."""

    created_at: int | None = None
    metadata: dict[str, str] = field(default_factory=dict)
    messages: list[_Message] = field(default_factory=list)
    by_id: dict[str, _Message] = field(default_factory=dict)
    lost: Counter[str] = field(default_factory=Counter)


class _Reading:
    """The lines so far."""

    def __init__(self) -> None:
        self._threads: dict[str, _Collected] = {}
        self._left_out: Counter[str] = Counter()
        self._malformed: list[Malformed] = []

    def line(self, number: int, line: bytes) -> None:
        try:
            raw = msgspec.json.decode(line)
        except (ValueError, RecursionError):
            self._malformed.append(Malformed(number, "it is not JSON"))
            return
        self._object(number, raw)

    def _object(self, number: int, raw: Any) -> None:
        try:
            if not isinstance(raw, dict):
                raise _Wrong("it is not a JSON object")
            kind = raw.get("object")
            if kind == "list" and isinstance(raw.get("data"), list):
                for one in raw["data"]:
                    self._object(number, one)
            elif kind == "thread":
                self._thread(raw)
            elif kind == "thread.message":
                self._message(number, raw)
            elif kind in _LEFT_OUT:
                self._left_out[_LEFT_OUT[kind]] += 1
            else:
                named = f"'{cut(kind, 40)}'" if isinstance(kind, str) else "nothing"
                raise _Wrong(f"'object' is {named}, not 'thread' or 'thread.message'")
        except _Wrong as wrong:
            self._malformed.append(Malformed(number, str(wrong), _thread_of(raw)))

    def _thread(self, raw: dict[str, Any]) -> None:
        id = _text(raw, "id")
        created_at = _seconds(raw)
        metadata = _metadata(raw)
        known = self._threads.setdefault(id, _Collected())
        known.created_at, known.metadata = created_at, metadata
        if raw.get("tool_resources"):
            known.lost["tool resource"] += 1

    def _message(self, number: int, raw: dict[str, Any]) -> None:
        thread = _text(raw, "thread_id")
        id = _text(raw, "id")
        role = raw.get("role")
        if role not in ("user", "assistant"):
            raise _Wrong("'role' is not 'user' or 'assistant'")
        created_at = _seconds(raw)
        lost: Counter[str] = Counter()
        content = _content(raw.get("content"), role, lost)
        lost["attached file"] += len(_array(raw, "attachments"))
        lost["message's metadata"] += bool(_metadata(raw))
        status = "incomplete" if raw.get("status") == "incomplete" else "completed"
        item = {"id": id, "type": "message", "status": status, "role": role, "content": content}
        collected = self._threads.setdefault(thread, _Collected())
        made = _Message(number, created_at, item)
        known = collected.by_id.setdefault(id, made)
        if known is not made and (known.created_at, known.item) == (created_at, item):
            self._left_out["repeated message"] += 1  # pages of an export may overlap
            return
        collected.messages.append(made)
        collected.lost += lost

    def finished(self) -> Export:
        threads = []
        for id, collected in self._threads.items():
            messages = _in_order(collected.messages)
            created_at = collected.created_at
            if created_at is None:
                collected.lost["thread's own object, which the file does not have"] += 1
                created_at = messages[0].created_at
            metadata = collected.metadata
            if len(metadata) < METADATA_PAIRS_MAX:
                metadata = {**metadata, THREAD_KEY: id}
            items = _with_own_ids([message.item for message in messages])
            threads.append(Thread(id, created_at, metadata, items, collected.lost))
        return Export(threads, self._left_out, self._malformed)


def importable(export: Export) -> list[Thread]:
    """The threads no malformed line belongs to; none if one belongs to nobody knows which."""
    if any(line.thread is None for line in export.malformed):
        return []
    spoilt = {line.thread for line in export.malformed}
    return [thread for thread in export.threads if thread.id not in spoilt]


def _in_order(messages: list[_Message]) -> list[_Message]:
    """By the second of their birth. Within one the file decides, which may have the newest first,
    as the API lists them."""
    newest_first = len(messages) > 1 and messages[0].created_at > messages[-1].created_at
    if newest_first:
        messages = messages[::-1]
    return sorted(messages, key=lambda message: message.created_at)


def _with_own_ids(items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Each item with an id no other one of the thread has, the message's where that is one."""
    taken: set[str] = set()
    for place, item in enumerate(items):
        if item["id"] in taken or len(item["id"]) > _ID_MAX:
            item["id"] = f"msg_{_digits(item['id'], str(place))}"
        taken.add(item["id"])
    return items


# One object -------------------------------------------------------------------------------


def _content(raw: Any, role: str, lost: Counter[str]) -> list[dict[str, Any]]:
    if isinstance(raw, str):
        return [_said(raw, [], role)]
    if not isinstance(raw, list):
        raise _Wrong("'content' is not a list of parts")
    return [_part(part, role, lost) for part in raw]


def _part(part: Any, role: str, lost: Counter[str]) -> dict[str, Any]:
    kind = part.get("type") if isinstance(part, dict) else None
    inner = part.get(kind) if isinstance(kind, str) else None
    if kind == "text" and isinstance(inner, str):
        return _said(inner, [], role)
    if kind == "refusal" and isinstance(inner, str) and role == "assistant":
        return {"type": "refusal", "refusal": inner}
    if isinstance(inner, dict):
        if kind == "text" and isinstance(inner.get("value"), str):
            notes = _array(inner, "annotations")
            lost["file behind a citation"] += len(notes)
            return _said(inner["value"], [_annotation(note) for note in notes], role)
        if kind == "image_url" and isinstance(inner.get("url"), str):
            detail = inner.get("detail")
            known = detail if detail in ("low", "high", "auto") else "auto"
            return {"type": "input_image", "image_url": inner["url"], "detail": known}
        if kind == "image_file" and isinstance(inner.get("file_id"), str):
            lost["image file"] += 1
            return _said(f"[the image {inner['file_id']}, which was not imported]", [], role)
    raise _Wrong("'content' has a part that is no text, refusal, image_url or image_file")


def _said(text: str, annotations: list[dict[str, Any]], role: str) -> dict[str, Any]:
    if role == "user":
        return {"type": "input_text", "text": text}
    return {"type": "output_text", "text": text, "annotations": annotations}


def _annotation(note: Any) -> dict[str, Any]:
    """A citation as output text has it: the place in the text and the id of the file, whose name
    is not known here."""
    kind = note.get("type") if isinstance(note, dict) else None
    file = note.get(kind) if kind in ("file_citation", "file_path") else None
    id = file.get("file_id") if isinstance(file, dict) else None
    index = note.get("start_index", 0) if isinstance(note, dict) else 0
    if not isinstance(id, str) or type(index) is not int:
        raise _Wrong("'annotations' has one that is no file_citation or file_path")
    found = {"type": kind, "file_id": id, "index": index}
    return {**found, "filename": id} if kind == "file_citation" else found


def _text(raw: dict[str, Any], name: str) -> str:
    value = raw.get(name)
    if not isinstance(value, str) or not value or "\0" in value:
        raise _Wrong(f"'{name}' is missing or no text")
    return value


def _seconds(raw: dict[str, Any]) -> int:
    value = raw.get("created_at")
    if type(value) is not int or not 0 <= value < 1 << 40:
        raise _Wrong("'created_at' is missing or not in seconds")
    return value


def _array(raw: dict[str, Any], name: str) -> list[Any]:
    value = raw.get(name)
    if value is not None and not isinstance(value, list):
        raise _Wrong(f"'{name}' is not a list")
    return value or []


def _metadata(raw: dict[str, Any]) -> dict[str, str]:
    value = raw.get("metadata")
    if value is None:
        return {}
    try:
        found = msgspec.convert(value, dict[str, str])
    except msgspec.ValidationError:
        raise _Wrong("'metadata' is not an object of texts") from None
    if len(found) > METADATA_PAIRS_MAX:
        raise _Wrong(f"'metadata' has more than {METADATA_PAIRS_MAX} pairs")
    return found


def _thread_of(raw: Any) -> str | None:
    """The thread a malformed object belongs to, if it says so."""
    if not isinstance(raw, dict):
        return None
    id = raw.get("id") if raw.get("object") == "thread" else raw.get("thread_id")
    return id if isinstance(id, str) and id else None


def _digits(*texts: str) -> str:
    """34 hex digits that are always the same for the same texts."""
    return hashlib.sha256("\n".join(texts).encode("utf-8", "replace")).hexdigest()[:34]
