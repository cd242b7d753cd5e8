"""The bus over PostgreSQL's notifications: one mailbox, and one connection, per replica.

Every commit with a NOTIFY takes one lock of the whole database server, so messages are gathered
and sent outside of all other transactions: at most one statement per tick, with one notification
per replica that cares (more only where 8,000 bytes do not suffice).

Who is there: each replica holds an advisory lock whose number is its mailbox, on the connection
that listens. The lock goes with the connection, so the list of locks is the list of living
mailboxes, and a replica that reconnects takes a new one. Who cares: a message about a run goes
to those who said they have a subscriber (``letters.py``); all others go to everybody. What a
replica wants is known reliably because notifications of one connection to another arrive in
order and none is left out while both live.

While the database cannot be reached, messages reach this process only.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import asyncpg
from msgspec import Struct, field

from antiphon.bus import letters
from antiphon.bus.base import Heard, Subscription
from antiphon.bus.gathering import Gathering, watched
from antiphon.bus.letters import BYE, DROP, HELLO, SAY, TOLD, WANT
from antiphon.bus.local import LocalBus
from antiphon.errors import RemoteError
from antiphon.observe import Broke, Observe, nobody

PEERS_SECONDS = 5.0
"""How often the list of replicas, and whether the database answers, is looked at."""
PATIENCE_SECONDS = 5.0
BACK_OFF_SECONDS = 0.1
BACK_OFF_SECONDS_MAX = 5.0

_SELECTIVE = "run."
"""Topics that go only to those who have a subscriber."""
_LOCK_CLASS = 0x616E7470
_BOX_MAX = 0x7FFFFFFF

_TAKE_BOX = "SELECT pg_try_advisory_lock($1, $2)"
_BOXES = """
SELECT objid::bigint FROM pg_locks
WHERE locktype = 'advisory' AND objsubid = 2 AND granted AND classid::bigint = $1
  AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""
_SEND = "SELECT pg_notify(box, letter) FROM unnest($1::text[], $2::text[]) AS post (box, letter)"

_FAILURES = (
    OSError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    TimeoutError,
)
"""What a connection may raise. (A mistake in the URL is a ``ValueError``.)"""


class _Peer(Struct):
    """Another replica: the topics it wants, and whether it has told all of them."""

    wants: set[str] = field(default_factory=set)
    told: bool = False

    def cares(self, topic: str) -> bool:
        return not self.told or topic in self.wants or not topic.startswith(_SELECTIVE)


_Post = tuple[Sequence[int], bytes]
"""To whom, and a written entry."""


class PostgresBus:
    """``antiphon.bus.base.Bus`` over one direct connection (not through a pooler that shares
    sessions between transactions) to the database at ``url``."""

    def __init__(self, url: str, *, observe: Observe = nobody) -> None:
        self._url = url
        self._observe = observe
        self._here = LocalBus()
        self._gathering = Gathering[_Post](self._send, observe=observe)
        self._connection: asyncpg.Connection[Any] | None = None
        self._using = asyncio.Lock()
        self._lost = asyncio.Event()
        self._keeper: asyncio.Task[None] | None = None
        self._box = 0
        self._number = 0
        self._peers: dict[int, _Peer] = {}

    # --- its life ---

    async def open(self) -> None:
        """As the port says."""
        try:
            await self._connect()
        except (*_FAILURES, ValueError) as error:
            raise RemoteError(
                f"the bus cannot reach PostgreSQL: {_why(error)} (bus.url, store.url)"
            ) from None
        self._gathering.open()
        self._keeper = watched(self._keep(), "bus-connection", self._observe)

    async def close(self) -> None:
        """Send what is queued, say good-bye. May be called twice."""
        keeper, self._keeper = self._keeper, None
        if keeper is None:
            return
        keeper.cancel()
        await asyncio.wait([keeper])
        self._tell(BYE)
        await self._gathering.close()
        await self._here.close()
        connection, self._connection = self._connection, None
        if connection is not None:
            try:
                await connection.close(timeout=PATIENCE_SECONDS)
            except _FAILURES:
                connection.terminate()

    # --- messages ---

    def publish(self, topic: str, payload: bytes = b"") -> None:
        """As the port says."""
        self._here.publish(topic, payload)
        if self._connection is None:
            return
        caring = [box for box, peer in self._peers.items() if peer.cares(topic)]
        if caring:
            self._post(caring, SAY, topic, payload)

    def subscribe(self, topic: str, heard: Heard) -> Subscription:
        """As the port says."""
        if topic.startswith(_SELECTIVE) and not self._here.has(topic):
            self._tell(WANT, topic)
        return self._here.subscribe(topic, heard, left=partial(self._left, topic))

    def _left(self, topic: str) -> None:
        if topic.startswith(_SELECTIVE) and not self._here.has(topic):
            self._tell(DROP, topic)

    def _tell(self, kind: str, topic: str = "") -> None:
        """An entry for everybody."""
        if self._peers and self._connection is not None:
            self._post(tuple(self._peers), kind, topic)

    def _post(self, to: Sequence[int], kind: str, topic: str = "", payload: bytes = b"") -> None:
        try:
            entry = letters.written((kind, topic, payload))
        except ValueError as error:
            self._observe(Broke("bus", error))
        else:
            self._gathering.put((to, entry))

    async def _send(self, posts: Sequence[_Post]) -> None:
        """One statement for all; what fails is lost."""
        boxes: dict[int, list[bytes]] = {}
        for to, entry in posts:
            for box in to:
                boxes.setdefault(box, []).append(entry)
        channels: list[str] = []
        texts: list[str] = []
        for box, entries in boxes.items():
            if box in self._peers:
                sealed = letters.sealed(self._box, self._number, entries)
                self._number += len(sealed)
                channels += [_channel(box)] * len(sealed)
                texts += sealed
        if texts:
            await self._ask(_SEND, channels, texts)

    async def _ask(self, statement: str, *parameters: object) -> list[Any] | None:
        """The rows, or None: then the connection is given up."""
        async with self._using:
            connection = self._connection
            if connection is None:
                return None
            try:
                rows: list[Any] = await connection.fetch(
                    statement, *parameters, timeout=PATIENCE_SECONDS
                )
                return rows
            except _FAILURES as error:
                self._give_up(connection, error)
                return None

    # --- what the others write ---

    def _arrived(self, connection: object, pid: int, channel: str, text: str) -> None:
        letter = letters.opened(text)
        if letter is None or channel != _channel(self._box):
            return  # not ours: whoever may connect to the database may notify
        sender, _, entries = letter
        if sender not in self._peers:
            self._peers[sender] = _Peer()
            if entries[0][0] not in (HELLO, BYE):
                self._introduce([sender])
        for entry in entries:
            self._heard(sender, *entry)

    def _heard(self, sender: int, kind: str, topic: str, payload: bytes) -> None:
        peer = self._peers.get(sender)
        if peer is None:
            return
        if kind == SAY:
            self._here.deliver(topic, payload)
        elif kind == WANT:
            peer.wants.add(topic)
        elif kind == DROP:
            peer.wants.discard(topic)
        elif kind == HELLO:
            self._peers[sender] = _Peer()
            self._describe([sender])
        elif kind == TOLD:
            peer.told = True
        elif kind == BYE:
            del self._peers[sender]

    def _introduce(self, boxes: Sequence[int]) -> None:
        """Say who we are to replicas we do not know."""
        if boxes:
            self._post(boxes, HELLO)
            self._describe(boxes)

    def _describe(self, boxes: Sequence[int]) -> None:
        for topic in self._here.topics():
            if topic.startswith(_SELECTIVE):
                self._post(boxes, WANT, topic)
        self._post(boxes, TOLD)

    # --- the connection ---

    async def _connect(self) -> None:
        """Listen at a new mailbox, be seen, meet the others."""
        self._peers.clear()
        connection: asyncpg.Connection[Any] = await asyncpg.connect(
            self._url,
            timeout=PATIENCE_SECONDS,
            command_timeout=PATIENCE_SECONDS,
            server_settings={"application_name": "antiphon-bus"},
        )
        try:
            while True:
                self._box = random.randint(1, _BOX_MAX)
                await connection.add_listener(_channel(self._box), self._arrived)
                if await connection.fetchval(_TAKE_BOX, _LOCK_CLASS, self._box):
                    break
                await connection.remove_listener(_channel(self._box), self._arrived)
        except BaseException:
            connection.terminate()
            raise
        self._lost.clear()
        self._connection = connection
        connection.add_termination_listener(self._terminated)
        await self._look()

    async def _look(self) -> None:
        """Who is there."""
        rows = await self._ask(_BOXES, _LOCK_CLASS)
        if rows is None:
            return
        there = {row[0] for row in rows} - {self._box}
        for box in self._peers.keys() - there:
            del self._peers[box]
        new = sorted(there - self._peers.keys())
        self._peers.update((box, _Peer()) for box in new)
        self._introduce(new)

    def _terminated(self, connection: Any) -> None:
        self._give_up(connection, ConnectionResetError("the connection was closed"))

    def _give_up(self, connection: asyncpg.Connection[Any], error: Exception) -> None:
        held = self._connection
        if held is None or held is not connection:
            return  # told already
        self._connection = None
        self._lost.set()
        held.terminate()
        self._observe(Broke("bus", error))

    async def _keep(self) -> None:
        """Look after the connection, for ever."""
        failures = 0
        while True:
            try:
                async with asyncio.timeout(PEERS_SECONDS):
                    await self._lost.wait()
            except TimeoutError:
                await self._look()
                continue
            await asyncio.sleep(back_off_seconds(failures, random.random))
            try:
                await self._connect()
                failures = 0
            except _FAILURES:
                failures += 1


def back_off_seconds(failures: int, chance: Callable[[], float]) -> float:
    """How long to wait before the next attempt to connect: doubling, half of it by chance."""
    most = min(BACK_OFF_SECONDS * 2.0 ** min(failures, 10), BACK_OFF_SECONDS_MAX)
    return most * (0.5 + chance() / 2)


def _channel(box: int) -> str:
    return f"antiphon_{box:08x}"


def _why(error: BaseException) -> str:
    """The reason without the address, which may hold a password."""
    if isinstance(error, TimeoutError):
        return f"no answer within {PATIENCE_SECONDS:g} s"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if isinstance(error, ValueError):
        return "the URL is not one of PostgreSQL's"
    return str(error) or type(error).__name__
