"""What a response does before its first model call: tools are listed, approved calls are made.

``McpPlan`` says what is to be done; ``Before`` is the part of a run that does it, without I/O;
``Listing`` performs what needs the network, as a ``Live`` performs a model call.

A server is listed once per context: where an item of the history holds its tools, they are taken
from there. A list that fails does not fail the response: the model has the other tools.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, Protocol

from msgspec import Struct

from antiphon.runs.approvals import Approved
from antiphon.runs.mcp_offer import Listed, McpFunction
from antiphon.runs.mcp_servers import Server
from antiphon.stream.compose_calls import CallComposer
from antiphon.stream.forms import Answered
from antiphon.tools.base import ServerTool
from antiphon.tools.mcp_base import McpFailed, McpListed, McpSession
from antiphon.types.items import Compaction, Item, OutputItem
from antiphon.types.tool_items import McpCall, McpListTools
from antiphon.types.tools import mcp_name

Amend = Callable[[Any, Listed], Any]
"""(context, what is listed) → the context with those tools."""


class Prepare(Struct, frozen=True):
    """A step: list the tools of these servers, side by side, and tell each (``Run.listed``)."""

    labels: tuple[str, ...]


class McpPlan(Struct):
    """``servers``: all of the request; ``known``: tools that are in the history; ``approved``:
    calls to be made first. ``amend`` puts the tools into a context once all are known. ``begun``:
    an approved call may have been made."""

    servers: Sequence[Server]
    sessions: Mapping[str, McpSession]
    known: Listed
    approved: Sequence[Approved]
    amend: Amend
    begun: bool = False

    @property
    def missing(self) -> list[str]:
        """Labels of the servers whose tools are not known."""
        labels = dict.fromkeys(server.label for server in self.servers)
        return [label for label in labels if label not in self.known]

    def shows(self, label: str, tool: McpListed) -> bool:
        """Whether the request may use the tool of the server at all."""
        return any(one.label == label and one.allows(tool) for one in self.servers)

    def tools_of_approved(self) -> dict[str, ServerTool]:
        """What makes the approved calls, by the name of ``Asked``."""
        servers = {server.label: server for server in self.servers}
        made: dict[str, ServerTool] = {}
        for one in self.approved:
            label = one.server_label
            names = servers[label].names(one.name)
            made[mcp_name(label, one.name)] = McpFunction(self.sessions[label], *names, again=False)
        return made

    def leave(self) -> None:
        """The response has ended: so do its sessions."""
        for session in self.sessions.values():
            session.leave()


def known_tools(items: Sequence[Item]) -> dict[str, list[McpListed]]:
    """The tools of the servers whose lists are among the items; the newest counts."""
    return {
        item.server_label: [listed_of(tool) for tool in item.tools]
        for item in items
        if isinstance(item, McpListTools) and not item.error
    }


def listed_of(tool: Mapping[str, Any]) -> McpListed:
    """One tool of an item. What is not as it should be is left out."""
    schema, hints = tool.get("input_schema"), tool.get("annotations")
    about = tool.get("description")
    return McpListed(
        str(tool.get("name", "")),
        dict(schema) if isinstance(schema, Mapping) else {},
        about if isinstance(about, str) else None,
        dict(hints) if isinstance(hints, Mapping) else None,
    )


class Before:
    """The part of a run before its first model call: what is left of a plan."""

    def __init__(self, plan: McpPlan, composer: CallComposer) -> None:
        self._plan = plan
        self._composer = composer
        self._missing = plan.missing
        self._approved = list(plan.approved)
        self._listed: dict[str, Sequence[McpListed]] = dict(plan.known)
        self._heard: dict[str, Sequence[McpListed] | McpFailed] = {}
        self._opened = False
        self.over = False

    @property
    def labels(self) -> tuple[str, ...]:
        """Servers that are still to be listed."""
        return tuple(self._missing)

    def amended(self, context: Any) -> Any:
        """The context with all that was listed."""
        return self._plan.amend(context, self._listed)

    def after(self, output: Sequence[OutputItem]) -> None:
        """Leave out what somebody did before who had the response."""
        for item in output:
            if isinstance(item, McpListTools) and not item.error:
                self._listed[item.server_label] = [listed_of(tool) for tool in item.tools]
            elif isinstance(item, McpCall):
                self._made(item)
        under_way = self._composer.answering
        if under_way is not None:
            self._made(under_way)
        self.over = not all(_is_before(item) for item in (*output, under_way) if item is not None)
        self._missing = [one for one in self._missing if one not in self._listed and not self.over]
        if not (self.over or self._missing or self._approved):
            self.over = under_way is None

    def _made(self, call: McpCall) -> None:
        request = call.approval_request_id
        self._plan.begun = self._plan.begun or bool(request)
        self._approved = [one for one in self._approved if one.request_id != request]

    def begin(self) -> None:
        """Show that the first of the servers is being listed."""
        if self._missing and not self._opened:
            self._opened = True
            self._composer.listing(self._missing[0])

    def hear(self, label: str, heard: Sequence[McpListed] | McpFailed) -> None:
        """A list has come, or will not. They are told in order."""
        self._heard[label] = heard
        while self._missing and self._missing[0] in self._heard:
            label = self._missing.pop(0)
            self._tell(label, self._heard.pop(label))
            self._opened = False
            self.begin()

    def _tell(self, label: str, heard: Sequence[McpListed] | McpFailed) -> None:
        item = McpListTools(label, [])
        if isinstance(heard, McpFailed):
            item.error = heard.error.message
        else:
            usable = [tool for tool in heard if self._plan.shows(label, tool)]
            item.tools = [_object(tool) for tool in usable]
            self._listed[label] = usable
        self._composer.listed(item)

    def call(self) -> bool:
        """Open the next approved call, if there is one."""
        if not self._approved:
            return False
        call = self._approved.pop(0)
        self._plan.begun = True
        form = Answered(call.server_label, call.name)
        self._composer.approved(call.request_id, form, call.arguments)
        return True

    def stop(self) -> None:
        """The response ends: a list that is awaited will not come."""
        if self._opened:
            self._opened = False
            label = self._missing[0]
            self._composer.listed(McpListTools(label, [], error="The listing was interrupted."))


def _is_before(item: OutputItem) -> bool:
    """Whether the item may stand before the first model call's."""
    if isinstance(item, McpCall):
        return bool(item.approval_request_id)
    return isinstance(item, McpListTools | Compaction)


def _object(tool: McpListed) -> dict[str, Any]:
    """What is not known is left out: strict clients take no null here."""
    known: dict[str, Any] = {"name": tool.name, "input_schema": tool.input_schema}
    if tool.description is not None:
        known["description"] = tool.description
    if tool.annotations is not None:
        known["annotations"] = tool.annotations
    return known


class Sink(Protocol):
    """Who waits for the lists. Its methods never wait; what they raise is told to ``broke``."""

    def preparing(self) -> None:
        """It begins."""

    def listed(self, label: str, heard: Sequence[McpListed] | McpFailed) -> None: ...

    def broke(self, error: Exception) -> None:
        """What nobody expected."""


class Listing:
    """Lists under way, side by side; a ``backends.base.Call`` to a ``Live``."""

    _tasks: set[asyncio.Task[None]] = set()

    def __init__(
        self, labels: Sequence[str], sessions: Mapping[str, McpSession], sink: Sink
    ) -> None:
        self._sink = sink
        self._closed = False
        self._own: list[asyncio.Task[None]] = []
        self._keep(self._begin(labels, sessions))

    def pause(self) -> None:
        """A list comes once: nothing has to be held up."""

    def resume(self) -> None:
        """Nothing was paused."""

    def close(self) -> None:
        self._closed = True
        for task in self._own:
            if task is not asyncio.current_task():
                task.cancel()

    def _keep(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._own.append(task)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _begin(self, labels: Sequence[str], sessions: Mapping[str, McpSession]) -> None:
        try:
            self._sink.preparing()
        except Exception as error:
            return self._sink.broke(error)
        if not self._closed:
            for label in labels:
                self._keep(self._list(label, sessions[label]))

    async def _list(self, label: str, session: McpSession) -> None:
        heard: Sequence[McpListed] | McpFailed
        try:
            try:
                heard = await session.tools()
            except McpFailed as failure:
                heard = failure
            if not self._closed:
                self._sink.listed(label, heard)
        except Exception as error:
            if not self._closed:
                self._sink.broke(error)
