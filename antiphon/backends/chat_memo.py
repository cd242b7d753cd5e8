"""The messages of a turn as JSON, at the price of what is new in it.

Every turn of a conversation brings all earlier items again. What was written for them is kept
in ``Turn.known.memo``, and only the rest is written anew. All turns of a conversation share one
buffer: who stands at its end appends, a fork copies what it has in common and goes on alone.

Where a conversation may be cut: behind an item after which ``Thread`` holds nothing back (the
model's turn is closed) and every call has met its result. The messages so far are then final,
and those that follow are the same whether or not the ones before were written with them. What
the front collects (``merge_system``) is kept beside. One thing can still change: reasoning
behind the last message of a user goes back until the next such message comes. A cut says
whether it holds such reasoning; another one, that does not, is kept for the turn that needs it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Struct

from antiphon.backends.base import Turn
from antiphon.backends.equivalents import Block
from antiphon.backends.messages import (
    ChatMessage,
    Thread,
    last_user_at,
    plain_messages,
    says_json,
)
from antiphon.backends.profiles import Profile
from antiphon.types.items import ANSWERING, CALLING, Item, Message, Reasoning

_encode = msgspec.json.Encoder().encode


class Cut(Struct, frozen=True, eq=False):
    """What was written for the first ``length`` items of a conversation; kept in a memo under
    the profile's ``dialect``.

    ``buffer[:size]`` is their messages as JSON, with commas between; what may stand behind it
    belongs to other turns. ``system``: the texts merged to the front. ``thoughts``:
    whether reasoning behind the last message of a user was written or left out; None if there
    is none, so that the cut holds whatever follows; else ``sure`` is the longest such before it.
    ``says_json``: whether a content or ``system`` says the word; None if nobody has looked.
    """

    profile: Profile
    length: int
    buffer: bytearray
    size: int
    system: tuple[str, ...]
    thoughts: bool | None
    sure: Cut | None
    says_json: bool | None

    def text(self) -> bytearray | memoryview:
        """The messages, to be read at once: the buffer cannot grow meanwhile."""
        whole = self.buffer
        return whole if len(whole) == self.size else memoryview(whole)[: self.size]


class Written(Struct, frozen=True, eq=False):
    """A turn's messages: those of ``past``, then ``new`` (JSON with commas between).

    ``system``: the texts merged to the front. ``says_json``: as in ``Cut``.
    """

    past: Cut | None
    new: bytes | bytearray
    system: tuple[str, ...] = ()
    says_json: bool | None = None


def write(turn: Turn, profile: Profile, look_for_json: bool = False) -> Written:
    """The messages of a turn's items. ``look_for_json``: ``says_json`` is wanted."""
    if turn.thoughts == "all_turns":  # seldom asked for; what is remembered was written otherwise
        return _fully(msgspec.structs.replace(turn, known=None), profile, None, -1, look_for_json)
    start, user_at = _start(turn, profile, look_for_json)
    if start is not None and start.says_json:
        look_for_json = False
    if not look_for_json and (written := _plainly(turn, profile, start, user_at)) is not None:
        return written
    return _fully(turn, profile, start, user_at, look_for_json)


def _start(turn: Turn, profile: Profile, look_for_json: bool) -> tuple[Cut | None, int]:
    """The cut to go on from, and where behind it the last message of a user stands, or -1.

    Where reasoning never goes back the latter is the end: no reasoning stands behind it.
    """
    known = turn.known
    cut: Cut | None = known.memo.get(profile.dialect) if known is not None else None
    if cut is not None and look_for_json and cut.says_json is None:
        cut = None
    if not profile.reasoning_field:
        return cut, len(turn.items)
    if cut is not None and cut.thoughts is not None:
        user_at = last_user_at(turn.items, cut.length)
        if cut.thoughts == (user_at < 0):
            return cut, user_at
        cut = cut.sure
    return cut, last_user_at(turn.items, cut.length if cut is not None else 0)


class _Mark(Struct, frozen=True):
    """Where a conversation may be cut: fields of the ``Cut``, and how much there is before it."""

    length: int
    thoughts: bool | None = None
    messages: int = 0
    system: int = 0


def _extended(
    profile: Profile,
    start: Cut | None,
    mark: _Mark,
    text: bytes,
    system: Sequence[str] = (),
    said: bool | None = None,
) -> Cut:
    """The cut at ``mark``: ``start`` and what follows it. ``said``: JSON is spoken of in that."""
    if start is None:
        buffer, sure = bytearray(text), None
    else:
        buffer, system = start.buffer, (*start.system, *system)
        if len(buffer) != start.size:
            buffer = buffer[: start.size]  # another turn has gone on from here: leave it that
        if buffer and text:
            buffer += b","
        buffer += text
        sure = start if start.thoughts is None else start.sure
    if mark.thoughts is None:
        sure = None
    if start is not None and start.says_json:
        said = True
    return Cut(
        profile,
        mark.length,
        buffer,
        len(buffer),
        tuple(system),
        mark.thoughts,
        sure,
        said,
    )


def _plainly(turn: Turn, profile: Profile, start: Cut | None, user_at: int) -> Written | None:
    """The short way for conversations of texts; None if there is anything else in it."""
    begin = start.length if start is not None else 0
    items = turn.items[begin:] if begin else turn.items
    new = bytearray()
    ends = plain_messages(items, profile, user_at - begin, new)
    if ends is None:
        return None
    known = turn.known
    if known is not None and (count := _heard(items[: known.length - begin], profile)):
        end = ends[count - 1]
        start = _extended(profile, start, _Mark(begin + count), bytes(new[: end - 1]))
        known.memo[profile.dialect] = start
        del new[:end]
    del new[-1:]  # a comma
    return (
        Written(start, new) if start is None else Written(start, new, start.system, start.says_json)
    )


def _heard(items: Sequence[Item], profile: Profile) -> int:
    """How many of the items there are up to the last message the model did not write.

    Where reasoning goes back it has to be a user's: what stands before that never does.
    """
    for at in range(len(items) - 1, -1, -1):
        item = items[at]
        if isinstance(item, Message) and (
            item.role == "user" or (item.role != "assistant" and not profile.reasoning_field)
        ):
            return at + 1
    return 0


def _fully(
    turn: Turn, profile: Profile, start: Cut | None, user_at: int, look_for_json: bool
) -> Written:
    """The long way: any items, through a ``Thread``."""
    items, known = turn.items, turn.known
    begin = start.length if start is not None else 0
    length = max(begin, known.length) if known is not None else begin
    thread = Thread(profile, current_from=user_at + 1)
    thread.expect(items, begin)
    marks = _add_known(thread, items[begin:length], start, user_at) if length > begin else []
    for at in range(length, len(items)):
        thread.add(items[at], at)
    thread.close()
    done = _Mark(0)
    for mark in marks:
        messages = thread.messages[done.messages : mark.messages]
        system = thread.system[done.system : mark.system]
        said = _says_json(messages, system) if look_for_json else None
        start = _extended(profile, start, mark, _encode(messages)[1:-1], system, said)
        done = mark
    if start is not None and marks and known is not None:
        known.memo[profile.dialect] = start
    messages, system = thread.messages[done.messages :], thread.system[done.system :]
    said = _says_json(messages, system) if look_for_json else None
    if start is not None:
        said = start.says_json or said
        system = [*start.system, *system]
    return Written(start, _encode(messages)[1:-1], tuple(system), said)


def _add_known(
    thread: Thread, items: Sequence[Item], start: Cut | None, user_at: int
) -> list[_Mark]:
    """Add the known items behind ``start``; tells where they may be cut: at the last place that
    holds whatever follows, and at the last one of all if that is another."""
    begin, thoughts = 0, None
    if start is not None:
        begin, thoughts = start.length, start.thoughts
    sure: _Mark | None = None
    latest: _Mark | None = None
    owed: defaultdict[Any, int] = defaultdict(int)
    block = Block()
    for at, item in enumerate(items, begin):
        thread.add(item, at)
        in_time = block.read(item)
        kind: Any = type(item)
        if kind is Message:
            if item.role == "user":  # type: ignore[union-attr]
                thoughts = None
        elif kind in CALLING:
            if not getattr(item, "later", False):
                owed[item.call_id] += 1  # type: ignore[union-attr]
        elif kind in ANSWERING:
            if not in_time and not thread.is_late(at):
                owed[item.call_id] -= 1  # type: ignore[union-attr]
                if not owed[item.call_id]:  # type: ignore[union-attr]
                    del owed[item.call_id]  # type: ignore[union-attr]
        elif kind is Reasoning and item.content and thread.profile.reasoning_field:  # type: ignore[union-attr]
            thoughts = at > user_at
        if thread.is_settled and not owed and not block.open:
            counts = len(thread.messages), len(thread.system)
            latest = _Mark(at + 1, thoughts, *counts)
            if thoughts is None:
                sure = latest
    if sure is latest:
        return [] if latest is None else [latest]
    return [mark for mark in (sure, latest) if mark is not None]


def _says_json(messages: Sequence[ChatMessage], system: Sequence[str]) -> bool:
    return says_json(messages) or any("json" in text.lower() for text in system)
