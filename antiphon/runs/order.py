"""A background request as it is kept: all it takes to make its response, in any process, again.

It is kept as it was asked for, with the items it brought as they were stored (references
resolved, ids given), so that whoever makes the response gathers the same context anew.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from antiphon.backends.base import Capabilities, Turn
from antiphon.errors import ClientError, RemoteError
from antiphon.ids import ItemIds, counted
from antiphon.runs.context import Begun, Context
from antiphon.runs.demands import Demands
from antiphon.runs.echo import Flavour
from antiphon.runs.held import ending
from antiphon.runs.mcp_secrets import opened, sealed, shown_choice
from antiphon.runs.sealed import Keeper
from antiphon.sealing.base import Unsealable
from antiphon.store.base import StoredResponse
from antiphon.store.runs import ClaimedRun
from antiphon.store.work import Begin
from antiphon.stream.forms import TOOL_SEARCH
from antiphon.tools.search import ToolSearch
from antiphon.types.codec import encode
from antiphon.types.events import Event, OutputItemAdded
from antiphon.types.request import CreateResponse
from antiphon.types.response import Response
from antiphon.types.tool_codec import open_tools
from antiphon.types.tools import FunctionTool

if TYPE_CHECKING:
    from antiphon.runs.driver import Runs


class Order(Struct, frozen=True, kw_only=True):
    """What ``runs.request`` holds, as JSON. ``asked``: the request without its ``input``;
    ``brought``: its new items; ``triggered``: a ``compaction_trigger``, which is no item that is
    stored, stood behind them; ``secrets``: those of its MCP tools, sealed; ``lenient``: a coding
    agent asked."""

    asked: msgspec.Raw
    brought: msgspec.Raw
    flavour: Flavour
    started_ms: int
    triggered: bool = False
    secrets: str | None = None
    lenient: bool = False


_decode = msgspec.json.Decoder(Order).decode
_asked = msgspec.json.Decoder(CreateResponse).decode
_items = msgspec.json.Decoder(list[dict[str, Any]]).decode
decoded = msgspec.json.Decoder(Response).decode
"""A Response object."""


def order_of(
    asked: CreateResponse,
    context: Context,
    flavour: Flavour,
    keeper: Keeper,
    *,
    lenient: bool = False,
) -> bytes:
    """The request as it is kept. ``context`` is what it was resolved to. Raises ``ClientError`` if
    it has secrets that cannot be sealed."""
    tools, secrets = sealed(asked.tools, keeper)
    choice = shown_choice(asked.tool_choice)
    without = msgspec.structs.replace(asked, input=None, tools=tools, tool_choice=choice)
    order = Order(
        asked=msgspec.Raw(encode(without)),
        brought=msgspec.Raw(context.brought),
        flavour=flavour,
        started_ms=context.started_ms,
        triggered=context.compaction is not None and context.compaction.alone,
        secrets=secrets,
        lenient=lenient,
    )
    return encode(order)


def brought_by(request: bytes) -> bytes:
    """The new items of a kept request, a JSON array."""
    return bytes(_decode(request).brought)


async def context_of(runs: Runs, run: ClaimedRun, log: Sequence[Event]) -> Context:
    """The context of a claimed run, gathered anew; new ids follow those in ``log``. Raises
    ``ClientError`` if it cannot be made any more (its parent was deleted, say)."""
    order = _decode(run.request)
    asked = _asked(order.asked)
    asked.input = _items(order.brought)
    claim = run.claim
    if order.secrets is not None:
        asked.tools = _with_secrets(asked, order.secrets, runs.fitting.keeper(claim.project))
    used = counted(claim.id, _ids(asked.input, log))
    if order.triggered:
        asked.input.append({"type": "compaction_trigger"})
    begun = Begun(claim.id, order.started_ms, used)
    context = await runs.resolve(
        asked, claim.project, order.flavour, begun=begun, lenient=order.lenient
    )
    context.response = decoded(run.head)
    context.brought = bytes(order.brought)
    return context


def _with_secrets(asked: CreateResponse, secrets: str, keeper: Keeper) -> list[dict[str, Any]]:
    try:
        return opened(asked.tools, secrets, keeper)
    except (Unsealable, RemoteError):
        raise ClientError(
            "The secrets of an 'mcp' tool of this request cannot be opened any more.",
            param="tools",
        ) from None


def bare_context_of(runs: Runs, run: ClaimedRun, log: Sequence[Event]) -> Context:
    """A context that is good for nothing but to say how the response ended."""
    order = _decode(run.request)
    asked = _asked(order.asked)
    claim = run.claim
    brought = bytes(order.brought)
    conversation = run.conversation

    def release(row: StoredResponse) -> Sequence[Begin[object]]:
        if conversation is None:
            return ()
        return ending(runs.holding.kept, claim.project, conversation, claim.id, row)

    return Context(
        project=claim.project,
        response=decoded(run.head),
        turn=Turn(model=asked.model or "", items=[], live=run.streamed),
        able=Capabilities(),
        demands=Demands(),
        demands_on=lambda able: Demands(),
        ids=ItemIds(claim.id, counted(claim.id, _ids(_items(brought), log))),
        clock=runs.ids.clock,
        call_ids=frozenset(),
        brought=brought,
        new=0,
        started_ms=order.started_ms,
        downgrades=[],
        also=(release,),
        served={
            TOOL_SEARCH: ToolSearch([]),
            **{
                tool.name: runs.functions[tool.name]
                for tool in open_tools(asked.tools)
                if isinstance(tool, FunctionTool) and tool.name in runs.functions
            },
        },
    )


def _ids(brought: Iterable[dict[str, Any]], log: Sequence[Event]) -> Iterator[str]:
    """Every id a response has given away, and others."""
    for raw in brought:
        yield str(raw.get("id"))
    for event in log:
        if isinstance(event, OutputItemAdded):
            yield str(event.item.id)
            yield str(getattr(event.item, "call_id", ""))


def refuse_unstored(context: Context) -> None:
    """A background response is read again, so it has to be stored. Raises ``ClientError``."""
    if not context.response.store:
        raise ClientError(
            "'background': true needs 'store': true: a background response is fetched when it is "
            "ready, and this one would not be kept.",
            code="unsupported_value",
            param="store",
        )
