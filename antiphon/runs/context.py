"""Request + store → ``Context``: everything a run needs, resolved and checked.

This is the last place where a request can be refused: types and ranges were checked when it was
decoded, the rules between parameters are in ``wishes.py``, here comes the context the model will
see.

A plain request takes short cuts (``wishes.is_plain``, ``words``): they leave out the rules that
cannot matter to it, and lead to the same context (``tests/runs/test_short_ways.py``).
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, TypeVar

from msgspec import Struct

from antiphon.backends.base import Backend, Capabilities, Turn
from antiphon.config import RunSettings
from antiphon.errors import ClientError, LocalProtocolError
from antiphon.ids import Ids, ItemIds
from antiphon.runs import history
from antiphon.runs.compaction import Plan
from antiphon.runs.demands import Demands
from antiphon.runs.documents import Documents
from antiphon.runs.echo import Flavour, skeleton, verbosity
from antiphon.runs.fitting import NOTHING, Fitting, made_to_fit
from antiphon.runs.gathering import Gathered, Sources, gathered, words
from antiphon.runs.held import Held, Holding, missing
from antiphon.runs.leases import Gone
from antiphon.runs.mcp import Asking, giving_back, planned, taken, unused
from antiphon.runs.mcp_plan import McpPlan
from antiphon.runs.mcp_servers import McpHouse
from antiphon.runs.memory import Remembering
from antiphon.runs.reasoning import Removed, sealing, unsealing
from antiphon.runs.said import Said
from antiphon.runs.sealed import Keeper
from antiphon.runs.steps import Steps
from antiphon.runs.wishes import (
    NOTHING_LEFT_OUT,
    Gaining,
    Terms,
    Wishes,
    droppable,
    gaining,
    summary_asked,
    wants_sealed,
    wishes_of,
)
from antiphon.store.approvals import Approvals
from antiphon.store.base import Store, StoredResponse
from antiphon.store.conversations import Conversations
from antiphon.store.work import Begin
from antiphon.stream.compose import Seal
from antiphon.stream.forms import Form
from antiphon.tools.base import ServerTool
from antiphon.types.items import Item
from antiphon.types.request import CreateResponse, conversation_id
from antiphon.types.response import Response

_T = TypeVar("_T")

Ending = Callable[[StoredResponse], Sequence[Begin[object]]]


class Context(Struct, kw_only=True):
    """One response to be made.

    ``response`` is its skeleton, ``turn`` the first model call, ``brought`` the JSON array of
    new input items to be stored (empty if nothing will be), ``new`` how many items of the turn
    are new in this request, ``downgrades`` the parameters that were accepted but are not fully
    honoured. ``demands`` hold for a backend that is ``able`` to do what it said; ``demands_on``
    says what they are if a call taught otherwise. ``said``: what it continues, if anything, of
    which the first ``past`` items are meant (another turn may have added more).

    ``also``: what else is written when the response ends, in the same transaction as its row: each
    is shown the row (with its status; also where none is stored) and gives works. ``abandoned``:
    what is done instead if there never is a response. ``held``: the conversation it is made in.
    ``outlives``: it is made to its end although its caller has left. ``steps``: what is done
    outside for a background response goes through it, so that it is not done twice.

    ``compaction``: what is done first, where the conversation is compacted; ``seal``: what seals
    the model's thoughts, which are shown to nobody if it ``hides`` them; then ``unseal`` opens them
    for the model's next turn.

    ``served``: by name, the tools whose calls the server answers itself; ``forms``: what the calls
    of tools become that are more than functions. ``mcp``: the servers of MCP tools it uses;
    ``gaining``: how its tools change on the way.
    """

    project: str
    response: Response
    turn: Turn
    able: Capabilities
    demands: Demands
    demands_on: Callable[[Capabilities], Demands]
    ids: ItemIds
    clock: Callable[[], int]
    call_ids: frozenset[str]
    brought: bytes
    new: int
    started_ms: int
    downgrades: list[str]
    said: Said | None = None
    past: int = 0
    also: Sequence[Ending] = ()
    held: Held | None = None
    abandoned: Sequence[Callable[[], Gone | None]] = ()
    outlives: bool = False
    steps: Steps | None = None
    compaction: Plan | None = None
    seal: Seal | None = None
    hides: bool = False
    unseal: Callable[[Sequence[Item]], Sequence[Item]] | None = None
    served: Mapping[str, ServerTool] = {}
    forms: Mapping[str, Form] = {}
    mcp: McpPlan | None = None
    gaining: Gaining | None = None

    def abandon(self) -> Sequence[Gone]:
        """There will be no response after all: whoever has a context and does not ``start`` it
        must say so. What is done when others may have what was held for it."""
        gone = [give_up() for give_up in self.abandoned]
        return [one for one in gone if one is not None]

    @property
    def truncates(self) -> bool:
        return self.response.truncation == "auto"


class Begun(Struct, frozen=True):
    """A response that has its id already: its first ``last_id`` item ids are given away."""

    response_id: str
    started_ms: int
    last_id: int


async def resolve(
    asked: CreateResponse,
    *,
    project: str,
    flavour: Flavour,
    store: Store,
    backend: Backend,
    ids: Ids,
    documents: Documents,
    settings: RunSettings,
    memory: Remembering | None = None,
    warm: bool = False,
    holding: Holding | None = None,
    counting: bool = False,
    begun: Begun | None = None,
    fitting: Fitting = NOTHING,
    functions: Mapping[str, ServerTool] = {},
    mcp: McpHouse | None = None,
    lenient: bool = False,
) -> Context:
    """Check the request and gather its context. Raises ``ClientError``. ``warm``: no model will be
    asked now, so nothing has to be said. ``holding``: enters its conversation, locked until the
    context is ended or abandoned; not if ``counting``. ``begun``: again. ``functions``: ours.
    ``lenient``: for a coding agent."""
    dropping = lenient or settings.unsupported_tools == "drop"
    left_out = droppable(settings, lenient, mcp) if dropping else NOTHING_LEFT_OUT
    able, wishes = wishes_of(asked, backend, settings, warm, functions, left_out)
    response_id = ids.mint("resp") if begun is None else begun.response_id
    item_ids = ItemIds(response_id, 0 if begun is None else begun.last_id)
    before = held = None
    if asked.conversation is not None:
        entering = (holding, counting, begun is not None)
        before, held = await _conversation(asked, project, response_id, *entering)
    try:
        if before is None and type(asked.input) is str and asked.previous_response_id is None:
            found = words(asked, asked.input, item_ids, memory)
        else:
            kept = Conversations(store) if holding is None else holding.kept
            made = (documents, settings, memory, fitting.keeper(project))
            sources = Sources(project, item_ids, able, store, kept, *made)
            found = await gathered(asked, sources, before, warm, wishes.all_turns)
        plan: McpPlan | None = None
        if found.bringing or found.approved or not wishes.plain:
            terms = Terms(asked, able, settings, functions, left_out)
            wishes, plan = _equipped(wishes, terms, found, project, mcp)
            asked = wishes.asked or asked
        turn, fitted = _turn(asked, wishes, found), None
        if asked.truncation == "auto" or found.triggered or asked.context_management:
            fitted = await _made_to_fit(asked, turn, found, able, backend, fitting, project)
        if found.approved and not (counting or warm):
            approvals = Approvals(store)
            await taken(approvals, project, response_id, found.approved, ids.clock())
    except BaseException as failure:
        await _leave(held, begun, failure)
        raise
    started = ids.clock() if begun is None else begun.started_ms
    response = skeleton(asked, response_id, started // 1000, wishes, flavour)
    context = _context(project, response, turn, wishes, found, able, item_ids, ids.clock, started)
    if fitted is not None:
        context.turn, context.compaction = fitted.turn, fitted.plan
        context.downgrades += fitted.unmet
    if held is not None:
        context.held, context.also = held, (held.ending,)
        context.abandoned = (held.give_up if begun is None else held.leave,)
    if plan is not None:
        _about_mcp(context, plan, store, begun)
    if found.removed or asked.include is not None:
        _about_reasoning(context, asked, found.removed, fitting.keeper(project), settings)
    return context


def _equipped(
    wishes: Wishes, terms: Terms, found: Gathered, project: str, mcp: McpHouse | None
) -> tuple[Wishes, McpPlan | None]:
    """The wishes with what items of the context and MCP servers bring. Raises ``ClientError``."""
    if found.bringing:
        wishes = terms.wishes(terms.gained(found.bringing))
    elif wishes.doubt is not None:
        raise wishes.doubt
    if not (wishes.offer.servers or found.approved):
        return wishes, None
    asked = wishes.asked or terms.asked
    asking = Asking(asked, project, terms.able, terms.settings, mcp)
    return planned(asking, wishes, found.items, found.approved)


def _context(
    project: str,
    response: Response,
    turn: Turn,
    wishes: Wishes,
    found: Gathered,
    able: Capabilities,
    ids: ItemIds,
    clock: Callable[[], int],
    started_ms: int,
) -> Context:
    return Context(
        project=project,
        response=response,
        turn=turn,
        able=able,
        demands=wishes.demands,
        demands_on=wishes.demands_on,
        ids=ids,
        clock=clock,
        call_ids=found.call_ids,
        brought=found.brought,
        new=found.new,
        started_ms=started_ms,
        downgrades=[*wishes.downgrades, *found.downgrades],
        said=found.said,
        past=found.past,
        served=wishes.offer.served,
        forms=wishes.offer.forms,
        gaining=None if wishes.plain else gaining(wishes, found.bringing),
    )


def _about_mcp(context: Context, plan: McpPlan, store: Store, begun: Begun | None) -> None:
    context.mcp = plan
    if plan.approved:
        context.served = {**plan.tools_of_approved(), **context.served}
        ending = unused(plan, context.project, context.response.id)
        context.also = (*context.also, ending)
        if begun is None:
            back = giving_back(store, plan, context.project, context.response.id)
            context.abandoned = (*context.abandoned, back)


def _about_reasoning(
    context: Context,
    asked: CreateResponse,
    removed: Sequence[Removed],
    keeper: Keeper,
    settings: RunSettings,
) -> None:
    if removed:
        context.response.input_transformations = list(removed)
    if wants_sealed(asked):
        context.seal = sealing(keeper, context.turn.model)
        context.hides = settings.raw_reasoning == "none"
        if context.hides:
            context.unseal = unsealing(keeper, context.turn.model)


class _Fitted(Struct):
    """The first model call, what is done before it so that it fits, and what could not be."""

    turn: Turn
    plan: Plan | None = None
    unmet: Sequence[str] = ()


async def _made_to_fit(
    asked: CreateResponse,
    turn: Turn,
    found: Gathered,
    able: Capabilities,
    backend: Backend,
    fitting: Fitting,
    project: str,
) -> _Fitted:
    keeper = fitting.keeper(project)
    return _Fitted(
        *await made_to_fit(asked, turn, found.new, found.triggered, able, backend, keeper, fitting)
    )


async def _leave(held: Held | None, begun: Begun | None, failure: BaseException) -> None:
    """There is no context, so nobody holds the conversation for it."""
    if held is None:
        return
    if begun is not None:
        held.leave()
        return
    gone = held.give_up()
    if isinstance(failure, ClientError):
        await gone  # who is refused may come again at once


async def _conversation(
    asked: CreateResponse,
    project: str,
    response_id: str,
    holding: Holding | None,
    counting: bool,
    again: bool,
) -> tuple[tuple[Said, dict[Any, Any]], Held | None]:
    """What was said in the request's conversation and what the backend remembers of it; and the
    conversation itself, ours until the response ends, unless it is only counted."""
    id = conversation_id(asked.conversation or "")
    if holding is None:
        raise missing(id)
    if counting:
        _, said, memo = await holding.look(project, id)
        return (said, memo), None
    held, said, memo = await holding.enter(project, id, response_id, again=again)
    return (said, memo), held


def resolves_at_once(
    asked: CreateResponse, memory: Remembering | None = None, project: str = ""
) -> bool:
    """Whether ``resolve`` with these will not be suspended once: nothing has to be read from the
    store, which may be far away, and no document has to be opened. (What a conversation holds
    that is not remembered, or an item that is only named, is not known yet.)"""
    if asked.conversation is not None or asked.context_management is not None:
        return False
    if asked.previous_response_id is not None:
        said = memory.peek(project, asked.previous_response_id) if memory is not None else None
        if memory is None or said is None or said.files:
            return False
        if memory.shared and not memory.alone_knows(project, asked.previous_response_id):
            return False  # the store is asked whether it still lives
    return type(asked.input) is not list or not _may_wait(asked.input)


def _may_wait(raw: Sequence[dict[str, Any]]) -> bool:
    """Whether one of the items is a reference or holds a document."""
    for item in raw:
        kind = item.get("type")
        if (kind is None or kind == "item_reference") and history.is_reference(item):
            return True
        if kind == "compaction_trigger" or kind == "mcp_approval_response":
            return True
        parts = item.get("content") or item.get("output")
        if type(parts) is list:
            for part in parts:
                if type(part) is dict and part.get("type") == "input_file":
                    return True
    return False


def at_once(coroutine: Coroutine[Any, Any, _T]) -> _T:
    """The result of a coroutine that does not wait. Raises ``LocalProtocolError`` if it does."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        result: _T = end.value
        return result
    coroutine.close()
    raise LocalProtocolError("a coroutine that was to end at once waits for something")


def _turn(asked: CreateResponse, wishes: Wishes, found: Gathered) -> Turn:
    """The first model call."""
    if wishes.plain:
        return Turn(
            model=asked.model or "",
            items=found.items,
            instructions=asked.instructions,
            tools=wishes.shown,
            max_output_tokens=asked.max_output_tokens,
            temperature=asked.temperature,
            top_p=asked.top_p,
            prompt_cache_key=asked.prompt_cache_key,
            safety_identifier=asked.safety_identifier or asked.user,
            live=asked.stream is True,
            known=found.known,
        )
    return Turn(
        model=asked.model or "",
        items=found.items,
        instructions=asked.instructions,
        tools=wishes.shown,
        native=wishes.native or (),
        tool_choice=wishes.mode,
        parallel_tool_calls=asked.parallel_tool_calls is not False,
        format=wishes.format,
        verbosity=verbosity(asked),
        effort=asked.reasoning.effort if asked.reasoning else None,
        summary=summary_asked(asked),
        max_tool_calls=asked.max_tool_calls,
        include=asked.include or (),
        max_output_tokens=asked.max_output_tokens,
        temperature=asked.temperature,
        top_p=asked.top_p,
        presence_penalty=asked.presence_penalty,
        frequency_penalty=asked.frequency_penalty,
        top_logprobs=asked.top_logprobs,
        logprobs=wishes.logprobs,
        prompt_cache_key=asked.prompt_cache_key,
        safety_identifier=asked.safety_identifier or asked.user,
        thoughts="all_turns" if wishes.all_turns else "current_turn",
        live=asked.stream is True,
        known=found.known,
    )
