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
from antiphon.types.items import Phase
from antiphon.types.tool_items import HostedCall


class Text(Struct, frozen=True):
    """A piece of the answer. ``logprobs`` only if the turn asked for them."""

    text: str
    logprobs: list[Logprob] | None = None


class Thought(Struct, frozen=True):
    """A piece of raw reasoning (a reasoning model's ``reasoning_content``)."""

    text: str


class Summary(Struct, frozen=True):
    """A piece of the summary an upstream makes of its own reasoning. ``part`` tells the parts of
    one item apart; they come one after the other."""

    text: str
    part: int = 0


CARRIED = "carried_"
"""How ``encrypted_content`` begins that an upstream made: the rest of the mark says which one, what
follows it is opaque to everybody but that upstream. Nothing sealed here begins like this."""


class Sealed(Struct, frozen=True):
    """The reasoning before it in the form only the upstream can read (``CARRIED``);
    it ends that item, or is all there is of it."""

    content: str


class Opened(Struct, frozen=True):
    """A message or reasoning of its own begins, where the one before would else go on. ``phase``
    of a message, where the model says it."""

    type: Literal["message", "reasoning"]
    phase: Phase | None = None


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


class ItemStart(Struct, frozen=True):
    """A call of a tool that the backend runs itself begins. ``item`` as it is known so far; its
    id is not kept."""

    item: HostedCall


class ItemStage(Struct, frozen=True):
    """It goes on: the first ``stage`` of its stages (``types.tool_events.STAGES``) are there; or a
    piece of the code it runs."""

    stage: int = 0
    code: str = ""


class ItemEnd(Struct, frozen=True):
    """It is over, with this outcome."""

    item: HostedCall


class Spent(Struct, frozen=True):
    """Tokens used by this model call, as the backend counts them."""

    input_tokens: int
    output_tokens: int
    cached_tokens: int = 0
    reasoning_tokens: int = 0


class Finish(Struct, frozen=True):
    """The turn is over. ``length``: the token limit cut it; ``filter``: a content filter did."""

    reason: Literal["stop", "calls", "length", "filter"]


Delta = (
    Text
    | Thought
    | Summary
    | Sealed
    | Opened
    | Declined
    | CallStart
    | CallArguments
    | Annotated
    | ItemStart
    | ItemStage
    | ItemEnd
    | Spent
    | Finish
)
