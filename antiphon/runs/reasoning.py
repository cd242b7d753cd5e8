"""Reasoning that comes back: opened where it was sealed, shown again where that is wanted.

A reasoning item may carry its text sealed (``encrypted_content``), for callers who keep the
conversation themselves, or where the operator does not show raw reasoning. Sealed text counts
before plain ``content``. It is shown to the model that thought it, and to no other: reasoning of
another project or model is left out and named (``input_transformations``); what was changed is
refused.

``reasoning.context`` says how much of it: ``current_turn`` (also what ``auto`` means) what stands
behind the last message of the user, ``all_turns`` everything.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import msgspec
from msgspec import Struct

from antiphon.runs.sealed import Keeper, refusal
from antiphon.sealing.base import Unsealable
from antiphon.stream.compose import Seal
from antiphon.stream.deltas import CARRIED
from antiphon.types.base import UNSET, UnsetType, given
from antiphon.types.content import ReasoningText
from antiphon.types.items import Item, Message, Reasoning

Reason = Literal["organization_mismatch", "model_mismatch", "turn_boundary"]


class _Sealed(Struct):
    """The content of a reasoning item."""

    model: str
    texts: list[str]
    version: int = 1


class Removed(Struct):
    """A reasoning input that the model was not shown (``response.input_transformations``)."""

    id: str
    reason: Reason
    action: Literal["removed"] = "removed"
    type: Literal["reasoning"] = "reasoning"


class Reopened(Struct):
    """``items`` as the model is shown them; ``removed``: new ones it is not shown."""

    items: list[Item]
    removed: list[Removed]
    unreadable: bool = False


def sealing(keeper: Keeper, model: str) -> Seal:
    """What seals the thoughts of this model."""

    def seal(texts: Sequence[str]) -> str | UnsetType:
        content = msgspec.json.encode(_Sealed(model, list(texts)))
        try:
            return keeper.seal("reasoning", content)
        except Unsealable:  # too large: then it cannot be carried round
            return UNSET

    return seal


def unsealing(keeper: Keeper, model: str) -> Callable[[Sequence[Item]], Sequence[Item]]:
    """What opens again, for this model, what it has just thought and nobody else is shown."""

    def unseal(items: Sequence[Item]) -> Sequence[Item]:
        found = reopened(items, 0, keeper=keeper, model=model, all_turns=True, carries=CARRIED)
        return found.items

    return unseal


def reopened(
    items: Sequence[Item],
    new: int,
    *,
    keeper: Keeper,
    model: str,
    all_turns: bool,
    carries: str = "",
    place: Callable[[int], int] = int,
) -> Reopened:
    """The context with its sealed reasoning opened. The last ``new`` items are the caller's: raises
    ``ClientError`` naming the one that was changed, by its ``place`` in the request. What an
    upstream encrypted stays as it is where it goes back there (``carries``: how it then begins),
    and is left out where it would come to another."""
    found = Reopened(list(items), [])
    first_new = len(items) - new
    boundary = 0 if all_turns else _last_user_at(items) + 1
    for at, item in enumerate(items):
        if type(item) is not Reasoning or not given(item.encrypted_content):
            continue
        is_new = at >= first_new
        if (token := str(item.encrypted_content)).startswith(CARRIED):
            if not (carries and token.startswith(carries)):
                _leave_out(found, at, item, "model_mismatch", is_new)
            continue
        if at < boundary:
            if is_new:
                _remove(found, item, "turn_boundary")
            continue
        try:
            sealed = _opened(keeper, token)
        except Unsealable as fault:
            if is_new and fault.reason != "foreign":
                raise refusal(fault, f"input[{place(at - first_new)}]") from None
            reason: Reason = "organization_mismatch"
        else:
            if sealed.model == model:
                parts = [ReasoningText(text) for text in sealed.texts if text]
                found.items[at] = msgspec.structs.replace(item, content=parts)
                continue
            reason = "model_mismatch"
        _leave_out(found, at, item, reason, is_new)
    return found


def _leave_out(found: Reopened, at: int, item: Reasoning, reason: Reason, is_new: bool) -> None:
    """The model is not shown what this item holds."""
    found.items[at] = msgspec.structs.replace(item, content=UNSET)
    if is_new:
        _remove(found, item, reason)
    else:
        found.unreadable = True


def _opened(keeper: Keeper, token: str) -> _Sealed:
    try:
        return msgspec.json.decode(keeper.open("reasoning", token), type=_Sealed)
    except msgspec.DecodeError:
        raise Unsealable("malformed") from None


def _remove(found: Reopened, item: Reasoning, reason: Reason) -> None:
    found.removed.append(Removed(item.id if isinstance(item.id, str) else "", reason))


def _last_user_at(items: Sequence[Item]) -> int:
    for at in range(len(items) - 1, -1, -1):
        item: Any = items[at]
        if isinstance(item, Message) and item.role == "user":
            return at
    return -1
