"""MCP in the making of a response's context: servers checked, tools offered, approvals taken.

Here the parts meet: ``mcp_servers.py`` says where a server is, ``mcp_offer.py`` what the model has
of it, ``mcp_plan.py`` what is done before the model is asked, ``approvals.py`` what was approved.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from antiphon.backends.base import Capabilities
from antiphon.config import RunSettings
from antiphon.errors import ClientError
from antiphon.runs.approvals import Approved, check_labels, used
from antiphon.runs.leases import Gone
from antiphon.runs.mcp_offer import Listed, offered
from antiphon.runs.mcp_plan import McpPlan, known_tools
from antiphon.runs.mcp_servers import McpHouse, Server, ignored
from antiphon.runs.offering import Offer, cannot_run
from antiphon.runs.wishes import Wishes, with_offer
from antiphon.store.approvals import Approvals, Taken
from antiphon.store.approvals import give_back as give_back_work
from antiphon.store.base import Store
from antiphon.store.work import Begin
from antiphon.stream.forms import TOOL_SEARCH
from antiphon.tools.mcp_base import McpListed, McpSession
from antiphon.types.items import Item
from antiphon.types.request import CreateResponse
from antiphon.types.tools import HostedTool


class Asking(Struct, frozen=True):
    """Whose request it is, for which model, and what this process has for it."""

    asked: CreateResponse
    project: str
    able: Capabilities
    settings: RunSettings
    house: McpHouse | None


def planned(
    asking: Asking, wishes: Wishes, items: Sequence[Item], approved: Sequence[Approved]
) -> tuple[Wishes, McpPlan | None]:
    """The wishes with what is known of the servers' tools, and what is to be done before the
    first model call; None if nothing is. ``items``: the context. Raises ``ClientError``."""
    base = wishes.offer
    servers = _servers(asking, base)
    check_labels(approved, {server.label for server in servers})
    if not servers:
        return wishes, None
    house = asking.house
    assert house is not None, "there are servers"
    labels = {server.label for server in servers}
    known = {label: tools for label, tools in known_tools(items).items() if label in labels}
    _check_allowed(approved, servers, known)
    sessions: dict[str, McpSession] = {}
    for server in servers:
        if server.label not in sessions:
            sessions[server.label] = house.servers.session(server.place)

    def with_tools(listed: Listed) -> Wishes:
        made = offered(base, servers, listed, sessions)
        return with_offer(asking.asked, wishes, made, asking.able, asking.settings)

    def amend(context: Any, listed: Listed) -> Any:
        def finish(wishes: Wishes) -> Wishes:
            made = offered(wishes.offer, servers, listed, sessions)
            return with_offer(asking.asked, wishes, made, asking.able, asking.settings)

        return _amended(context, with_tools(listed), finish)

    plan = McpPlan(servers, sessions, known, approved, amend)
    now = with_tools(known)
    unmet = ignored(base.servers, searched=TOOL_SEARCH in base.paths)
    return msgspec.structs.replace(now, downgrades=[*now.downgrades, *unmet]), plan


def _check_allowed(approved: Sequence[Approved], servers: Sequence[Server], known: Listed) -> None:
    """An approved call is of a tool the request may use: who sends the request for approval along
    could write anything into it. Raises ``ClientError``."""
    for call in approved:
        listed = known.get(call.server_label, ())
        tool = next((one for one in listed if one.name == call.name), McpListed(call.name, {}))
        if not any(one.label == call.server_label and one.allows(tool) for one in servers):
            raise ClientError(
                f"The approval in '{call.param}' is for the tool '{call.name[:80]}' of the MCP "
                f"server '{call.server_label}', which is not among its allowed tools.",
                code="mcp_tool_not_allowed",
                param=call.param,
            )


def _amended(context: Any, wishes: Wishes, finish: Callable[[Wishes], Wishes]) -> Any:
    """The context with the tools of these wishes. ``finish`` gives them to later ones."""
    offer, plan = wishes.offer, context.mcp
    turn = msgspec.structs.replace(context.turn, tools=wishes.shown, tool_choice=wishes.mode)
    return msgspec.structs.replace(
        context,
        turn=turn,
        demands=wishes.demands,
        demands_on=wishes.demands_on,
        forms=offer.forms,
        served={**plan.tools_of_approved(), **offer.served},
        gaining=context.gaining and replace(context.gaining, finish=finish),
    )


def _servers(asking: Asking, made: Offer) -> list[Server]:
    """Every server of the request. Two of one label would be taken for one another."""
    house = asking.house
    found: list[Server] = []
    for path, tool in made.servers:
        hosted = isinstance(tool, HostedTool)
        kind = tool.type if isinstance(tool, HostedTool) else "mcp"
        if house is None or (hosted and kind not in house.presented):
            raise cannot_run(kind, path)
        server = house.server((path, tool), asking.project)
        other = next((one for one in found if one.label == server.label), None)
        if other is not None and other.place != server.place:
            raise ClientError(
                f"Invalid '{path}': '{other.path}' has the server_label '{server.label}' already, "
                "for another server.",
                param=path,
            )
        found.append(server)
    return found


async def taken(
    approvals: Approvals, project: str, response_id: str, calls: Sequence[Approved], now: int
) -> None:
    """Take the approvals for this response, so that nobody else makes the calls. Raises
    ``ClientError``."""
    try:
        await approvals.take(project, [call.request_id for call in calls], response_id, now)
    except Taken as other:
        param = next(call.param for call in calls if call.request_id == other.request)
        raise used(other.request, param) from None


def unused(plan: McpPlan, project: str, response_id: str) -> Callable[[Any], list[Begin[None]]]:
    """For ``Context.also``: approvals are given back by a response that ends before it began a
    call."""

    def ending(row: object) -> list[Begin[None]]:
        if plan.begun:
            return []
        requests = [call.request_id for call in plan.approved]
        return [partial(give_back_work, project, requests, response_id)]

    return ending


def giving_back(
    store: Store, plan: McpPlan, project: str, response_id: str
) -> Callable[[], Gone | None]:
    """For ``Context.abandoned``: the approvals are free again, unless a call was begun."""

    def give_back() -> Gone | None:
        if plan.begun:
            return None
        gone: Gone = asyncio.get_running_loop().create_future()
        requests = [call.request_id for call in plan.approved]
        work = partial(give_back_work, project, requests, response_id)
        store.put(None, lambda error: None if gone.done() else gone.set_result(None), [work])
        return gone

    return give_back
