"""Callers that are hard on a server: they leave at any event, come back to another replica, repeat
what got no answer, and remember every promise they were given."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import aiohttp

from tests.chaos.fleet import KEY, Fleet, Replica

TERMINAL = ("response.completed", "response.failed", "response.incomplete")
PATIENCE_SECONDS = 60.0
"""How long a caller tries before it says that something is stuck."""

Event = dict[str, Any]


@dataclass
class Watched:
    """A background run as its caller saw it. ``events``: by number, as first seen."""

    id: str
    events: dict[int, Event] = field(default_factory=dict)
    seen_at: list[float] = field(default_factory=list)
    duplicates: int = 0
    contradictions: int = 0
    lost: bool = False
    stuck: bool = False
    finished: bool = False
    readers: int = 0

    @property
    def last(self) -> int:
        return max(self.events, default=-1)

    @property
    def gaps(self) -> int:
        """Numbers missing below the last one."""
        return self.last + 1 - len(self.events)

    @property
    def terminals(self) -> int:
        return sum(event["type"] in TERMINAL for event in self.events.values())

    def silence_seconds(self, harmed: list[float]) -> float:
        """The longest time between two events in which harm was done once at most (``harmed``:
        when it was): whoever takes over from a dead replica may be killed too."""
        silences = (
            b - a for a, b in pairwise(self.seen_at) if sum(a - 1 < at < b for at in harmed) < 2
        )
        return max(silences, default=0.0)

    def see(self, event: Event, after: int) -> None:
        """One event of a reader that asked for those above ``after``."""
        number = event["sequence_number"]
        if number <= after:
            self.duplicates += 1
        known = self.events.setdefault(number, event)
        if known is event:
            self.seen_at.append(time.monotonic())
        elif known != event:
            self.contradictions += 1


@dataclass
class Promise:
    """Something a caller was told is stored."""

    id: str
    text: str


@dataclass
class Talk:
    """A conversation and the turns whose answers arrived."""

    id: str
    answered: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)


class Load:
    """Callers of a fleet until ``stop`` is set. ``seed`` makes their choices repeatable."""

    def __init__(self, fleet: Fleet, session: aiohttp.ClientSession, *, seed: int) -> None:
        self.fleet = fleet
        self.session = session
        self.random = random.Random(seed)
        self.runs: list[Watched] = []
        self.promises: list[Promise] = []
        self.talks: list[Talk] = []
        self.stop = asyncio.Event()
        self.odd: list[str] = []

    async def watchers(self, count: int) -> None:
        """So many callers of background runs, one run after the other."""
        await asyncio.gather(*[self._watch_for_ever() for _ in range(count)])

    async def askers(self, count: int) -> None:
        """So many callers of plain stored responses."""
        await asyncio.gather(*[self._ask_for_ever() for _ in range(count)])

    async def talkers(self, count: int) -> None:
        """So many conversations, each of one caller."""
        await asyncio.gather(*[self._talk_for_ever() for _ in range(count)])

    def replica(self) -> Replica:
        """Any that a load balancer would choose."""
        healthy = [one for one in self.fleet.replicas if one.healthy]
        return self.random.choice(healthy or self.fleet.replicas)

    # -- background ---------------------------------------------------------------------------

    async def _watch_for_ever(self) -> None:
        while not self.stop.is_set():
            run = await self._begin_run()
            if run is not None:
                self.runs.append(run)
                await self._follow(run)

    async def _begin_run(self) -> Watched | None:
        pace = self.random.choice((20, 60, 150, 300, None))
        body = {
            "model": "scripted/tool" if pace is None else f"scripted/slow-{pace}ms",
            "input": "count",
            "tools": [] if pace else [{"type": "function", "name": "work", "parameters": {}}],
            "background": True,
            "stream": True,
            "stream_options": {"include_obfuscation": False},
        }
        run: Watched | None = None
        patience = self.random.randrange(1, 30)
        try:
            async with self.session.post(f"{self.replica().url}/v1/responses", json=body) as reply:
                if reply.status != 200:
                    self._note_odd("create", reply.status, await reply.text())
                    return None
                async with aclosing(events_of(reply)) as events:
                    async for event in events:
                        if run is None:
                            run = Watched(event["response"]["id"], readers=1)
                        run.see(event, -1)
                        patience -= 1
                        if patience <= 0:
                            break
        except (aiohttp.ClientError, TimeoutError, OSError):
            pass
        if run is None:
            await asyncio.sleep(0.1)
        return run

    async def _follow(self, run: Watched) -> None:
        """Come back until the end, at another replica each time, sometimes leaving early."""
        until = time.monotonic() + PATIENCE_SECONDS
        while not run.terminals and time.monotonic() < until:
            patience = self.random.choice((2, 5, 1_000, 1_000))
            try:
                await self._resume(run, patience)
            except (aiohttp.ClientError, TimeoutError, OSError):
                await asyncio.sleep(0.1)
            if run.lost:
                return
        run.finished = bool(run.terminals)
        run.stuck = not run.finished

    async def _resume(self, run: Watched, patience: int) -> None:
        after = run.last
        url = f"{self.replica().url}/v1/responses/{run.id}"
        asked = {"stream": "true", "starting_after": str(after), "include_obfuscation": "false"}
        async with self.session.get(url, params=asked) as reply:
            run.readers += 1
            if reply.status == 404:
                run.lost = True
                return
            if reply.status != 200:
                self._note_odd("resume", reply.status, await reply.text())
                await asyncio.sleep(0.2)
                return
            expected = after + 1
            async with aclosing(events_of(reply)) as events:
                async for event in events:
                    if event["sequence_number"] != expected:
                        run.duplicates += event["sequence_number"] < expected
                    expected = event["sequence_number"] + 1
                    run.see(event, after)
                    patience -= 1
                    if patience <= 0:
                        return

    # -- plain --------------------------------------------------------------------------------

    async def _ask_for_ever(self) -> None:
        number = 0
        while not self.stop.is_set():
            number += 1
            text = f"promise {number} {self.random.random()}"
            made = await self._post("/v1/responses", {"model": "scripted/echo", "input": text})
            if made is not None and made["status"] == "completed":
                self.promises.append(Promise(made["id"], text))
            await asyncio.sleep(0.02)

    async def _talk_for_ever(self) -> None:
        while not self.stop.is_set():
            made = await self._post("/v1/conversations", {})
            if made is None:
                await asyncio.sleep(0.1)
                continue
            talk = Talk(made["id"])
            self.talks.append(talk)
            for _ in range(8):
                await self._say(talk)
                if self.stop.is_set():
                    break

    async def _say(self, talk: Talk) -> None:
        text = f"turn {len(talk.asked)} {self.random.random()}"
        talk.asked.append(text)
        body = {"model": "scripted/echo", "input": text, "conversation": talk.id}
        made = await self._post("/v1/responses", body)
        if made is not None and made["status"] == "completed":
            talk.answered.append(text)
        await asyncio.sleep(0.05)

    async def _post(self, path: str, body: dict[str, Any]) -> dict[str, Any] | None:
        try:
            async with self.session.post(self.replica().url + path, json=body) as reply:
                if reply.status != 200:
                    self._note_odd(path, reply.status, await reply.text())
                    await asyncio.sleep(0.1)
                    return None
                found: dict[str, Any] = await reply.json()
                return found
        except (aiohttp.ClientError, TimeoutError, OSError):
            await asyncio.sleep(0.1)
            return None

    def _note_odd(self, what: str, status: int, text: str) -> None:
        """A refusal is no harm while things break, but it must be one of the announced kinds."""
        code = ""
        try:
            code = str((json.loads(text).get("error") or {}).get("code"))
        except (ValueError, AttributeError):
            code = text[:100]
        if status not in (409, 500, 502, 503, 504):
            self.odd.append(f"{what}: {status} {code}")


async def events_of(reply: aiohttp.ClientResponse) -> AsyncIterator[Event]:
    """The events of a stream; a broken one just ends or raises ``aiohttp.ClientError``."""
    async for line in reply.content:
        if line.startswith(b"data: ") and not line.startswith(b"data: [DONE]"):
            event: Event = json.loads(line[6:])
            yield event


def session(seconds: float = 60.0) -> aiohttp.ClientSession:
    """A caller's session: with the key. Its patience with a silent replica is less than a lease, so
    that a long silence means that nobody went on, and not that it asked the wrong one."""
    return aiohttp.ClientSession(
        headers={"authorization": f"Bearer {KEY}"},
        timeout=aiohttp.ClientTimeout(total=seconds, connect=2.0, sock_read=1.5),
        connector=aiohttp.TCPConnector(limit=0, force_close=True),
        read_bufsize=1 << 20,
    )
