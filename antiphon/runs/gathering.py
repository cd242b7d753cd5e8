"""The items of a context: what was said before, and what the request brings.

The general way is ``gathered``; a first turn that is a string goes by ``words``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec import Struct

from antiphon.backends.base import Capabilities, Known
from antiphon.config import RunSettings
from antiphon.ids import ItemIds
from antiphon.runs import history
from antiphon.runs.approvals import Approved, approved
from antiphon.runs.compaction import take_trigger
from antiphon.runs.documents import Documents
from antiphon.runs.fitting import windowed, with_reasoning
from antiphon.runs.gained import Bringing, bringing
from antiphon.runs.memory import Remembering
from antiphon.runs.pairing import check_outputs
from antiphon.runs.reasoning import Removed
from antiphon.runs.refusals import check_any, check_count, check_items
from antiphon.runs.said import BRINGING, Said
from antiphon.runs.sealed import Keeper
from antiphon.store.base import Store
from antiphon.store.conversations import Conversations
from antiphon.types.codec import encode
from antiphon.types.content import InputText
from antiphon.types.items import Compaction, Item, Message
from antiphon.types.request import CreateResponse
from antiphon.types.tool_items import McpApprovalResponse

NOTHING_SAID = Said()
"""Never added to: a turn without a parent adds to none."""


class Gathered(Struct):
    """The items of a context: all of them, the new ones as JSON and how many they are."""

    items: Sequence[Item]
    brought: bytes
    new: int
    call_ids: frozenset[str] = history.NO_CALLS
    known: Known | None = None
    said: Said | None = None
    past: int = 0
    downgrades: Sequence[str] = ()
    removed: Sequence[Removed] = ()
    triggered: bool = False
    approved: Sequence[Approved] = ()
    bringing: Bringing = ()


def _will_be_kept(asked: CreateResponse, memory: Remembering | None) -> bool:
    """Whether the new items will be needed again as they are stored."""
    if asked.store is not False or asked.conversation is not None:
        return True
    return memory is not None and memory.everything


def words(asked: CreateResponse, text: str, ids: ItemIds, memory: Remembering | None) -> Gathered:
    """A first turn that is a string: nothing to look up, nothing to open, nothing to check."""
    items = [Message("user", [InputText(text)], ids.mint("msg"), "completed")]
    if not _will_be_kept(asked, memory):
        return Gathered(items, b"[]", 1)
    known = Known(0, {}) if memory is not None else None
    return Gathered(items, encode(items), 1, known=known)


class Sources(Struct):
    """Where the items of a context come from, and what they are made ready for."""

    project: str
    ids: ItemIds
    able: Capabilities
    store: Store
    conversations: Conversations
    documents: Documents
    settings: RunSettings
    memory: Remembering | None
    keeper: Keeper


async def gathered(
    asked: CreateResponse,
    sources: Sources,
    before: tuple[Said, dict[Any, Any]] | None,
    warm: bool,
    all_turns: bool,
) -> Gathered:
    """The general way. Rules look at the past's summary, never walk it. ``before``: what was said
    in the request's conversation."""
    project, store, memory = sources.project, sources.store, sources.memory
    settings, able, keeper = sources.settings, sources.able, sources.keeper
    said, memo = before or (NOTHING_SAID, dict[Any, Any]())
    untold = False
    if asked.previous_response_id is not None:
        parent = asked.previous_response_id
        said, memo = await history.said_before(store, project, parent, memory)
        untold = memory is not None and memory.alone_knows(project, parent)
    length = len(said.items)
    input: str | Sequence[dict[str, Any]] | None = asked.input
    if isinstance(input, list):
        check_count(len(input), settings)  # before each reference is looked up
        input = await history.referred(
            input, past=said, store=store, kept=sources.conversations, project=project
        )
        if len(said.items) != length:  # another turn went on while references were looked up
            said = said.upto(length)
    kept = _will_be_kept(asked, memory)
    brought = history.bring(input, past=said, ids=sources.ids, stored=kept)
    gains: Bringing = ()
    if said.bringing or not brought.kinds.isdisjoint(BRINGING):
        gains = bringing(said.bringing, brought.items, brought.places)
    triggered = take_trigger(brought)
    new, places = brought.items, brought.places
    past = history.without_cut_calls(said, brought)
    whole = past is said and Compaction not in brought.kinds
    if past.compacted or Compaction in brought.kinds:
        past = windowed(past, brought, keeper)  # ``new`` are still the items as they were sent
    if before is not None:
        check_outputs(past)
    if not (warm or triggered):
        check_any(new, past)
    files = check_items(new, past, able, asked.model or "", settings, places=places)
    if not triggered:
        history.check_calls(past, brought)
    shown = with_reasoning(
        past, brought, keeper=keeper, able=able, model=asked.model or "", all_turns=all_turns
    )
    found = Gathered(
        shown.items,
        encode(brought.raw),
        shown.new,
        call_ids=history.call_ids(past, brought),
        said=said if length else None,
        past=length,
        downgrades=[*history.skipped(past, brought), *brought.dropped, *shown.downgrades],
        removed=shown.removed,
        triggered=triggered,
        bringing=gains,
    )
    if McpApprovalResponse in brought.kinds:
        found.approved = approved(past.items, new, places)
    if files or past.files:
        found.items = await sources.documents.opened(found.items, images=able.images)
    elif memory is not None and whole and (length or kept):
        found.known = Known(len(past.items), memo)
    if untold and asked.store is not False:  # what is stored must not miss its beginning
        told = history.retold(said if len(said.items) == length else said.upto(length))
        found.brought = encode([*told, *brought.raw])
        found.said, found.past = None, 0
    return found
