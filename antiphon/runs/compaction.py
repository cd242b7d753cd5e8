"""Compaction: what was said so far becomes one sealed item that stands for all of it.

What is sealed: a summary the same model wrote, the standing messages of system and developer, and
what has to stay word for word: the input that still waits for its answer, with the calls it
answers. So the newest compaction item is all a model has to be shown of what was before it, and
whoever sends items may drop those. Shown, it is these messages and a note, as plain items, in the
same words every time: the prompt of a later turn begins like that of an earlier one.

Two kinds. In the middle of a response (``context_management``) the item covers everything, this
turn's input included, and the response goes on behind it. Asked for by itself
(``compaction_trigger``, ``POST /v1/responses/compact``) nothing waits for an answer; the user's
messages before it stay in the conversation and the newest of them are shown as they were.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Struct

from antiphon.backends.base import Known, Turn
from antiphon.backends.estimate import text_tokens
from antiphon.config_state import CompactionSettings
from antiphon.errors import ClientError
from antiphon.runs.history import Brought
from antiphon.runs.said import OUTPUTS, Said
from antiphon.runs.sealed import Keeper, refusal
from antiphon.sealing.base import Unsealable
from antiphon.stream.deltas import Delta, Text
from antiphon.types.codec import encode, open_stored
from antiphon.types.content import InputText
from antiphon.types.items import (
    ANSWERING,
    CALLING,
    Compaction,
    CompactionTrigger,
    Item,
    Message,
    Opaque,
)
from antiphon.types.tools import TextFormat

THRESHOLD_MIN = 1_000

ASKING = (
    "Write a hand-over note about everything above, for somebody who will continue this "
    "conversation without having seen it. Do not answer the last message and do not call tools. "
    "Put down: what the user wants and every wish and limit they gave; facts, names, numbers, "
    "paths and decisions, exactly as they were said; what was done and what tools returned, as far "
    "as it still matters; what is unfinished and what comes next. Leave out greetings and detours. "
    "Write plain text in the language of the conversation, as short as this allows."
)
"""What asks a model for the summary."""

NOTE = (
    "The earlier part of this conversation was compacted. This is what was written down about it; "
    "rely on it as if you had seen everything yourself.\n\n"
)
"""What stands before a summary where it is shown."""


class _Sealed(Struct):
    """The content of a compaction item. ``before``, ``after``: JSON arrays of items, shown before
    and behind the note; ``kept_tokens``: so many of the user's messages are shown as well."""

    model: str
    summary: str
    before: msgspec.Raw
    after: msgspec.Raw
    kept_tokens: int = 0
    version: int = 1


# What is shown ----------------------------------------------------------------------------


def newest(items: Sequence[Item]) -> int:
    """Where the last compaction item stands, or -1."""
    for at in range(len(items) - 1, -1, -1):
        item = items[at]
        if type(item) is Compaction and item.encrypted_content:
            return at
    return -1


def window(items: Sequence[Item], keeper: Keeper) -> list[Item]:
    """The items as a model is shown them: from the newest compaction on. Raises ``Unsealable``."""
    at = newest(items)
    if at < 0:
        return [item for item in items if type(item) is not Compaction]
    return [*_shown(items, at, keeper), *items[at + 1 :]]


def _shown(items: Sequence[Item], at: int, keeper: Keeper) -> list[Item]:
    """What stands for the compaction item at this place and everything before it."""
    token = str(items[at].encrypted_content)  # type: ignore[union-attr]
    try:
        sealed = msgspec.json.decode(keeper.open("compaction", token), type=_Sealed)
    except msgspec.DecodeError:
        raise Unsealable("malformed") from None
    note = Message("user", [InputText(NOTE + sealed.summary)])
    return [
        *open_stored(bytes(sealed.before)),
        *_users(items[:at], sealed.kept_tokens),
        note,
        *open_stored(bytes(sealed.after)),
    ]


def _users(items: Sequence[Item], tokens: int) -> list[Item]:
    """The user's newest messages that are about so many tokens together."""
    kept: list[Item] = []
    for item in reversed(items if tokens else ()):
        if isinstance(item, Message) and item.role == "user":
            tokens -= text_tokens(encode(item.content).decode())
            if tokens < 0:
                break
            kept.append(item)
    return kept[::-1]


def past_window(said: Said, keeper: Keeper) -> Said:
    """The history as a model is shown it; ``said`` itself where nothing was compacted."""
    if not said.compacted:
        return said
    try:
        return Said(window(said.items, keeper), said.size_bytes)
    except Unsealable as fault:
        raise ClientError(
            f"This conversation was compacted, and that cannot be opened any more: {fault.reason}.",
            code="invalid_encrypted_content",
        ) from None


def new_window(brought: Brought, keeper: Keeper) -> list[Item]:
    """The new items as a model is shown them. Raises ``ClientError`` naming the item that does not
    open. With a compaction among them nothing of the history is shown."""
    for at, item in enumerate(brought.items):
        if type(item) is Compaction and not item.encrypted_content:
            raise refusal(Unsealable("malformed"), f"input[{brought.place(at)}]")
    try:
        return window(brought.items, keeper)
    except Unsealable as fault:
        raise refusal(fault, f"input[{brought.place(newest(brought.items))}]") from None


def take_trigger(brought: Brought) -> bool:
    """Whether the input ends with a trigger; it is taken out. Raises ``ClientError`` for one that
    stands elsewhere."""
    if CompactionTrigger not in brought.kinds:
        return False
    at = next(i for i, item in enumerate(brought.items) if type(item) is CompactionTrigger)
    if at != len(brought.items) - 1:
        raise ClientError(
            "Items of type 'compaction_trigger' must be the last of the input.",
            param=f"input[{at}].type",
        )
    del brought.items[at:]
    del brought.raw[at:]
    return True


# What is asked for ------------------------------------------------------------------------


def threshold(asked: Sequence[dict[str, Any]] | None) -> int | None:
    """The tokens from which on a request wants to be compacted; None if it does not. Raises
    ``ClientError``."""
    if asked is None:
        return None
    name = "context_management"
    if not asked:
        raise ClientError(
            f"Invalid '{name}': array too short. Expected an array with minimum length 1.",
            code="array_below_min_length",
            param=name,
        )
    found: list[int] = []
    for index, entry in enumerate(asked):
        at = f"{name}[{index}]"
        kind = entry.get("type")
        if kind is None:
            raise ClientError(
                f"Missing required parameter: '{at}.type'.",
                code="missing_required_parameter",
                param=f"{at}.type",
            )
        if kind != "compaction":
            raise ClientError(
                f"Invalid '{at}.type': the only supported value is 'compaction'.",
                param=f"{at}.type",
            )
        for key in entry:
            if key not in ("type", "compact_threshold"):
                raise ClientError(
                    f"Unknown parameter: '{at}.{key}'.",
                    code="unknown_parameter",
                    param=f"{at}.{key}",
                )
        found += _threshold(entry.get("compact_threshold"), f"{at}.compact_threshold")
    return min(found, default=None)


def _threshold(value: object, at: str) -> list[int]:
    if value is None:  # no threshold: the model's own window decides, when it is full
        return []
    if isinstance(value, bool) or not isinstance(value, int):
        raise ClientError(
            f"Invalid type for '{at}': expected an integer.", code="invalid_type", param=at
        )
    if value < THRESHOLD_MIN:
        raise ClientError(
            f"Invalid '{at}': integer below minimum value. Expected a value >= {THRESHOLD_MIN}, "
            f"but got {value} instead.",
            code="integer_below_min_value",
            param=at,
        )
    return [value]


# Making one -------------------------------------------------------------------------------


class Compacted(Struct, frozen=True):
    """A finished compaction: the item's content, and the turn that goes on behind it."""

    sealed: str
    turn: Turn


class Plan(Struct, frozen=True):
    """A compaction to be made before a turn. ``asking`` is the model call that writes the summary;
    ``alone``: nothing comes after it."""

    asking: Turn
    turn: Turn
    old: Sequence[Item]
    tail: Sequence[Item]
    alone: bool
    kept_tokens: int
    keeper: Keeper

    def finish(self, summary: str) -> Compacted:
        """What a summary gives. Raises ``Unsealable`` if it is too large."""
        sealed = _Sealed(
            model=self.turn.model,
            summary=summary,
            before=_array([i for i in self.old if isinstance(i, Message) and _stands(i)]),
            after=_array(self.tail),
            kept_tokens=self.kept_tokens,
        )
        return self.reopened(self.keeper.seal("compaction", msgspec.json.encode(sealed)))

    def reopened(self, sealed: str) -> Compacted:
        """The same, finished before. Raises ``Unsealable``."""
        items = window([*self.old, Compaction(sealed)], self.keeper)
        known = Known(0, {}) if self.turn.known is not None else None
        return Compacted(sealed, msgspec.structs.replace(self.turn, items=items, known=known))


def plan(
    turn: Turn, *, alone: bool, keeper: Keeper, settings: CompactionSettings, live: bool
) -> Plan | None:
    """How to compact a turn, or None if there is nothing before what waits for its answer."""
    items = turn.items
    old, tail = (list(items), _unanswered(items)) if alone else _split(items)
    if not old:
        return None
    asking = msgspec.structs.replace(
        turn,
        items=[*turn.items, Message("user", [InputText(ASKING)])],
        tool_choice="none" if turn.tools else "auto",
        parallel_tool_calls=True,
        format=TextFormat(),
        verbosity=None,
        max_output_tokens=settings.summary_tokens_max,
        logprobs=False,
        top_logprobs=None,
        live=live,
    )
    kept = settings.kept_tokens_max if alone else 0
    return Plan(asking, turn, old, tail, alone, kept, keeper)


def _split(items: Sequence[Item]) -> tuple[list[Item], list[Item]]:
    """What may be summed up, and what waits for an answer: the input behind the model's last
    word, the calls it answers, and the question that is being worked on."""
    start = len(items)
    while start and _is_input(items[start - 1]):
        start -= 1
    old, waiting = list(items[:start]), items[start:]
    answered = {item.call_id for item in waiting if isinstance(item, OUTPUTS)}
    open_calls = {id(call) for call in _unanswered(items)}  # their outputs come later
    calls = [
        i
        for i in old
        if type(i) in CALLING and (i.call_id in answered or id(i) in open_calls)  # type: ignore[union-attr]
    ]
    question: list[Item] = []
    if not any(isinstance(item, Message) and item.role == "user" for item in waiting):
        question += [i for i in old if isinstance(i, Message) and i.role == "user"][-1:]
    if len(old) <= len(calls) + len(question):
        return [], list(items)
    return old, [*question, *calls, *waiting]


def _is_input(item: Item) -> bool:
    return type(item) in ANSWERING or (isinstance(item, Message) and item.role != "assistant")


def _unanswered(items: Sequence[Item]) -> list[Item]:
    """Calls whose outputs are still to come."""
    answered = {item.call_id for item in items if isinstance(item, OUTPUTS)}
    return [i for i in items if type(i) in CALLING and i.call_id not in answered]  # type: ignore[union-attr]


def _stands(message: Message) -> bool:
    return message.role in ("system", "developer")


def _array(items: Sequence[Item]) -> msgspec.Raw:
    return msgspec.Raw(encode([i.raw if isinstance(i, Opaque) else i for i in items]))


class Summary:
    """In the warden's place while a summary is written: nothing of it becomes an event."""

    __slots__ = ("_texts", "free")

    def __init__(self) -> None:
        self._texts: list[str] = []
        self.free: frozenset[type[Any]] = frozenset()

    def admit(self, deltas: Sequence[Delta]) -> Sequence[Delta]:
        self._texts += [delta.text for delta in deltas if isinstance(delta, Text)]
        return ()

    @property
    def text(self) -> str:
        return "".join(self._texts).strip()
