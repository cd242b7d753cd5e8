"""Responses made in the background, as callers see them: from any process, whoever makes them.

    create → a row in the queue → claimed, here or elsewhere → made, its events logged → stored

Callers are answered from the store and the log. Nothing of a run rests on their being there.
``maker.py`` makes what this process claims.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Any, cast

from msgspec import Struct

from antiphon.bus.base import Bus, Subscription
from antiphon.config_state import BackgroundSettings
from antiphon.errors import ClientError
from antiphon.runs.context import Context, Ending
from antiphon.runs.echo import Flavour
from antiphon.runs.idempotency import Claim as Key
from antiphon.runs.maker import Maker
from antiphon.runs.order import brought_by, decoded, order_of, refuse_unstored
from antiphon.runs.tail import Tails
from antiphon.store import conversations
from antiphon.store.base import Past
from antiphon.store.log import Log
from antiphon.store.runs import NewRun, StoredRuns
from antiphon.store.work import Begin
from antiphon.stream.spelling import head_and_output
from antiphon.types.codec import encode
from antiphon.types.events import Event
from antiphon.types.request import CreateResponse
from antiphon.types.response import ResponseStatus

if TYPE_CHECKING:
    from antiphon.runs.driver import Runs

CANCEL_WAIT_SECONDS = 2.0
"""How long a caller who cancels waits to see it happen."""

_CANCEL_LOOK_SECONDS = 0.25


class Queued(Struct, frozen=True):
    """A background response that was just asked for: its object as JSON."""

    response_id: str
    object: bytes
    downgrades: Sequence[str]


class Background:
    """The way to all background responses, and the ``maker`` of those this process claims."""

    def __init__(
        self,
        runs: Runs,
        rows: StoredRuns,
        log: Log,
        bus: Bus,
        settings: BackgroundSettings,
        *,
        ending: Callable[[str], Ending] | None = None,
    ) -> None:
        """``ending`` gives what else is written with the end of a project's responses."""
        self.rows = rows
        self.log = log
        self.tails = Tails(rows, log, runs.store, bus)
        self.maker = Maker(runs, rows, log, bus, settings, self.tails, ending=ending)
        self._runs = runs
        self._bus = bus
        self._forgetting: Subscription | None = None

    async def open(self) -> None:
        """Take over what a process before this one left, and begin to look for work."""
        await self.log.open()
        self._forgetting = self._bus.subscribe("forget", self._forget)
        await self.maker.open()

    async def close(self) -> None:
        """Hand over what is under way (``Maker.drain``), then end."""
        await self.maker.close()
        if self._forgetting is not None:
            self._forgetting.end()
        await self.log.close()

    def stop_claiming(self, seconds: float) -> None:
        """As ``Maker`` says."""
        self.maker.stop_claiming(seconds)

    async def create(
        self,
        asked: CreateResponse,
        *,
        project: str,
        flavour: Flavour = "openai",
        claim: Key | None = None,
        lenient: bool = False,
    ) -> Queued:
        """Check the request and queue it; durable on return. A caller who leaves meanwhile does
        not stop it. Raises ``ClientError`` or ``RemoteError`` if there will be no response.
        ``claim``: the idempotency key it is made for; ``lenient``: for a coding agent."""
        resolving = self._runs.resolve(asked, project, flavour, lenient=lenient)
        context = await self._runs.claimed(resolving, claim)
        keeping = self._enqueue(asked, context, flavour, claim, lenient)
        return await asyncio.shield(self.maker.keep(keeping))

    async def _enqueue(
        self,
        asked: CreateResponse,
        context: Context,
        flavour: Flavour,
        claim: Key | None,
        lenient: bool,
    ) -> Queued:
        try:
            refuse_unstored(context)
            project = context.project
            context.response.status = "queued"
            head = encode(context.response)
            held = context.held
            new = NewRun(
                project=project,
                id=context.response.id,
                request=order_of(
                    asked, context, flavour, self._runs.fitting.keeper(project), lenient=lenient
                ),
                head=head,
                created_at=context.started_ms,
                streamed=asked.stream is True,
                conversation=None if held is None else held.conversation_id,
            )
            also: list[Begin[object]] = [] if held is None else [held.lasting()]
            if claim is not None:
                also.append(claim.answered(new.id))
            ours = await self.maker.enter(
                lambda owner: self.rows.enqueue(new, owner=owner, also=also)
            )
        except BaseException:
            await asyncio.gather(*context.abandon())  # who is refused may come again at once
            raise
        for locked in (held, claim):
            if locked is not None:
                locked.let_go()
        if not ours:
            self._bus.publish("queue")
        return Queued(new.id, head, context.downgrades)

    async def events(
        self, project: str, response_id: str, *, starting_after: int = -1
    ) -> AsyncIterator[Sequence[Event]] | None:
        """Its events numbered above that, wherever it is made (``tail.py``); None if there is no
        log of it (any more). Raises ``ClientError`` if there will be none before it is over."""
        state = await self.rows.load(project, response_id)
        if state is None or (state.over and not state.streamed):
            return None
        if not state.streamed:
            raise ClientError(
                "This response is not streamed: it was created without 'stream': true. Poll it "
                "until its status is neither queued nor in_progress.",
                code="response_not_streamed",
                param="stream",
            )
        return self.tails.follow(project, response_id, starting_after=starting_after)

    async def explaining(
        self, resolving: Coroutine[Any, Any, Context], project: str, parent: str
    ) -> Context:
        """What the coroutine resolves to. A parent it does not find may not be over yet: then that
        is what the ``ClientError`` says."""
        try:
            return await resolving
        except ClientError as refused:
            if refused.code != "previous_response_not_found":
                raise
            state = await self.rows.load(project, parent)
            if state is None or state.over:
                raise
            raise ClientError(
                f"Previous response with id '{parent[:80]}' is {state.status}. Continue it when "
                "it has ended.",
                code="previous_response_not_completed",
                param="previous_response_id",
            ) from None

    async def snapshot(self, project: str, response_id: str) -> tuple[bytes, bytes] | None:
        """The response as it is now, as ``Responses.load_object`` gives one, while it has no row;
        None if it has, or is not there."""
        state = await self.rows.load(project, response_id)
        if state is None or state.head is None:
            return None
        response = decoded(state.head)
        if not state.over:
            response.status = cast(ResponseStatus, state.status)
            response.usage = None  # not all of it (``Steps.note``)
        return head_and_output(response)

    async def history(self, project: str, response_id: str) -> Sequence[Past] | None:
        """What ``Responses.history`` would give if the response had a row already."""
        state = await self.rows.load(project, response_id)
        request = await self.rows.load_request(project, response_id)
        if state is None or state.head is None or request is None:
            return await self._runs.store.history(project, response_id)  # it has ended just now
        parent = decoded(state.head).previous_response_id
        store = self._runs.store
        before = None if parent is None else await store.history(project, parent)
        return [*(before or ()), Past(response_id, False, brought_by(request), b"[]")]

    async def delete(self, project: str, response_id: str) -> bool:
        """Erase what is kept of it besides its row, and stop making it, in whichever process.
        False if there is nothing."""
        self._bus.publish("forget", f"{project} {response_id}".encode())
        state = await self.rows.load(project, response_id)
        if state is None:
            return False
        also: list[Begin[object]] = []
        if state.conversation is not None:  # its lock would wait for this run for ever
            also.append(partial(conversations.release, project, state.conversation, response_id))
        if not await self.rows.delete(project, response_id, also=also):
            return False
        self._bus.publish(f"cancel.{response_id}", b"deleted")
        self._bus.publish(f"run.{response_id}", b"over")
        await self.log.drop(project, response_id)
        return True

    async def sweep(self, limit: int = 100) -> int:
        """Erase logs that are old enough; how many."""
        gone = await self.rows.sweep(limit)
        for project, response_id in gone:
            await self.log.drop(project, response_id)
        return len(gone)

    async def cancel(self, project: str, response_id: str) -> bool:
        """See that it ends as cancelled, unless it has ended before, and wait a little until it
        has. False if it never was a background response, or ended long ago."""
        found = await self.rows.cancel(project, response_id, self.maker.owner)
        if found is None:
            return False
        heard = asyncio.Event()
        subscription = self._bus.subscribe(f"run.{response_id}", lambda payload: heard.set())
        try:
            if found.claimed is not None:
                self.maker.begin(found.claimed)
            elif found.status == "in_progress":
                self._bus.publish(f"cancel.{response_id}")
            await self._until_over(project, response_id, heard)
        finally:
            subscription.end()
        return True

    async def _until_over(self, project: str, response_id: str, heard: asyncio.Event) -> None:
        until = monotonic() + CANCEL_WAIT_SECONDS
        while True:
            state = await self.rows.load(project, response_id)
            if state is None or state.over or monotonic() > until:
                return
            try:
                async with asyncio.timeout(_CANCEL_LOOK_SECONDS):
                    await heard.wait()
            except TimeoutError:
                pass
            heard.clear()

    def _forget(self, payload: bytes) -> None:
        project, _, response_id = payload.decode().partition(" ")
        self._runs.memory.forget(project, response_id)
