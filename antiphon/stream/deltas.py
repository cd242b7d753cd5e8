"""The backend-neutral vocabulary: what one model call can tell us, in small frozen records.

A backend yields lists of these, one list per network read; what arrived together stays
together. It never yields events, ids of items or indexes: the composer mints those.

Order within a turn: any mix of fragments; ``CallStart`` before its ``CallArguments``;
``Spent`` at most a few times (the last one counts); ``Finish`` exactly once, last.
A backend that fails raises ``RemoteError`` instead of ``Finish``.
"""

from __future__ import annotations

from typing import Any, Literal

from msgspec import Struct

from antiphon.types.content import Logprob


class Text(Struct, frozen=True):
    """A piece of the answer. ``logprobs`` only if the turn asked for them."""

    text: str
    logprobs: list[Logprob] | None = None


class Thought(Struct, frozen=True):
    """A piece of raw reasoning (a reasoning model's ``reasoning_content``)."""

    text: str


class Declined(Struct, frozen=True):
    """A piece of a refusal."""

    text: str


class CallStart(Struct, frozen=True):
    """A tool call begins. ``index`` tells calls of one turn apart; ``call_id`` may be empty.

    ``name`` is complete (a backend collects a name that arrives in pieces).
    """

    index: int
    kind: Literal["function", "custom"]
    name: str
    call_id: str = ""


class CallArguments(Struct, frozen=True):
    """A piece of the arguments: JSON text for a function, raw text for a custom tool."""

    index: int
    text: str


class Annotated(Struct, frozen=True):
    """An annotation of the text written so far; offsets are characters of that part."""

    annotation: dict[str, Any]


class Spent(Struct, frozen=True):
    """Tokens used by this model call, as the backend counts them."""

    input_tokens: int
    output_tokens: int
    cached_tokens: int = 0
    reasoning_tokens: int = 0


class Finish(Struct, frozen=True):
    """The turn is over. ``length``: the token limit cut it; ``filter``: a content filter did."""

    reason: Literal["stop", "calls", "length", "filter"]


Delta = Text | Thought | Declined | CallStart | CallArguments | Annotated | Spent | Finish
