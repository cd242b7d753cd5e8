"""Delivers the events of the outbox, for ever: one task per process, one more per delivery.

A delivery is made at least once, under an id that stays the same: a process takes an event for
``LEASE_MS``, longer than any POST lasts, and another one takes it should this one die. What is not
answered with 2xx is tried again: after 5 s, then twice as long each time up to 6 hours, until
``GIVE_UP_MS`` after the event; a last time then. A 410 ends it at once. Given up, it is told in the
log and gone; the response itself can still be retrieved.

At most ``EACH_MAX`` deliveries to one endpoint are under way in a process, so a receiver that hangs
does not keep the others waiting.
"""

from __future__ import annotations

import asyncio
import random as chance
from collections import Counter
from collections.abc import Callable

from antiphon.bus.base import LOOK_SECONDS, Bus, Subscription
from antiphon.errors import RemoteError
from antiphon.observe import Broke, Observe, WebhookTried, nobody
from antiphon.runs.webhook_post import Outcome
from antiphon.runs.webhooks import ENDPOINTS, Webhooks
from antiphon.store.webhooks import StoredWebhooks, Taken

DELIVERIES_MAX = 256
EACH_MAX = 4
LEASE_MS = 30_000
FIRST_DELAY_MS = 5_000
DELAY_MS_MAX = 21_600_000
GIVE_UP_MS = 259_200_000
CLOSING_SECONDS_MAX = 3.0
_GONE = 410


class Deliveries:
    """``random`` gives a number from 0 to 1."""

    def __init__(
        self,
        webhooks: Webhooks,
        stored: StoredWebhooks,
        bus: Bus,
        *,
        observe: Observe = nobody,
        random: Callable[[], float] = chance.random,
        look_seconds: float = LOOK_SECONDS,
    ) -> None:
        self._webhooks = webhooks
        self._stored = stored
        self._bus = bus
        self._observe = observe
        self._random = random
        self._look_seconds = look_seconds
        self._busy: Counter[str] = Counter()
        self._under_way: set[asyncio.Task[None]] = set()
        self._wake = asyncio.Event()
        self._looker: asyncio.Task[None] | None = None
        self._subscription: Subscription | None = None

    async def open(self) -> None:
        """Begin; called inside the running loop."""
        self._subscription = self._bus.subscribe(ENDPOINTS, self._webhooks.heard_of)
        self._webhooks.wake = self._wake.set
        self._looker = asyncio.create_task(self._for_ever(), name="deliveries")

    async def close(self) -> None:
        """Take nothing more; what is under way gets a moment. What that does not suffice for is
        due again when its lease ends. May be called twice."""
        looker, self._looker = self._looker, None
        if looker is None:
            return
        if self._subscription is not None:
            self._subscription.end()
        looker.cancel()
        await asyncio.wait([looker])
        if self._under_way:
            _, late = await asyncio.wait(self._under_way, timeout=CLOSING_SECONDS_MAX)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late)
        await self._webhooks.close()

    async def _for_ever(self) -> None:
        loop, look_at, well = asyncio.get_running_loop(), 0.0, True
        while True:
            self._wake.clear()
            try:
                if loop.time() >= look_at:  # also where there is always something to deliver
                    await self._webhooks.look()
                    look_at = loop.time() + self._look_seconds
                await self.take()
                well = True
            except RemoteError as error:
                if well:  # told once, not for each attempt
                    self._observe(Broke("webhooks", error))
                well = False
            try:
                async with asyncio.timeout(self._look_seconds):
                    await self._wake.wait()
            except TimeoutError:
                pass

    async def take(self) -> int:
        """Begin to deliver what is due; how many events that are. Raises ``RemoteError``."""
        taken = await self._stored.take(
            busy=self._busy,
            each=EACH_MAX,
            limit=DELIVERIES_MAX - len(self._under_way),
            lease_ms=LEASE_MS,
        )
        for one in taken:
            self._busy[one.endpoint] += 1
            task = asyncio.create_task(self._deliver(one), name="delivery")
            self._under_way.add(task)
            task.add_done_callback(self._delivered)
        return len(taken)

    async def idle(self) -> None:
        """Until nothing is under way."""
        while self._under_way:
            await asyncio.wait(self._under_way)

    def _delivered(self, task: asyncio.Task[None]) -> None:
        self._under_way.discard(task)
        self._wake.set()  # there is room for one more
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self._observe(Broke("webhooks", error))

    async def _deliver(self, taken: Taken) -> None:
        try:
            outcome = await self._webhooks.send(
                taken.project, taken.url, taken.id, taken.body, taken.secrets
            )
        except RemoteError as error:
            outcome = Outcome(None, error.message)
        finally:
            self._busy -= Counter((taken.endpoint,))
        delay = None if outcome.delivered else self._delay_ms(taken, outcome)
        how = "delivered" if outcome.delivered else "given_up" if delay is None else "failed"
        self._observe(_told(taken, how, outcome))
        try:
            if delay is None:
                await self._stored.settle(taken)
            else:
                await self._stored.postpone(taken, delay)
        except RemoteError as error:  # it is due again when the lease ends
            self._observe(Broke("webhooks", error))

    def _delay_ms(self, taken: Taken, outcome: Outcome) -> int | None:
        """When to try again; None: never."""
        left = GIVE_UP_MS - taken.age_ms
        if left <= 0 or outcome.status == _GONE:
            return None
        delay: int = min(FIRST_DELAY_MS << min(taken.attempt - 1, 20), DELAY_MS_MAX)
        return min(round(delay * (0.8 + 0.4 * self._random())), left)


def _told(taken: Taken, how: str, outcome: Outcome) -> WebhookTried:
    return WebhookTried(
        taken.id, taken.project, taken.endpoint, taken.event, taken.subject, how, str(outcome),
        taken.attempt,
    )  # fmt: skip
