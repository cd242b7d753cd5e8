"""The bus over NATS: plain subjects, one per topic, nothing kept by the server.

The topic ``run.resp_1`` is the subject ``antiphon.bus.run.resp_1``; what a subject cannot hold is
percent-encoded. Messages on a topic within one tick travel together, as a MessagePack array of
byte strings. NATS itself knows who has a subscriber. It does not bring us what we sent
(``no_echo``): subscribers in this process heard it already.

The client reconnects by itself, for ever. While it does, messages reach this process only.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

import msgspec
from nats.aio.client import Client
from nats.errors import Error as NatsError

from antiphon.bus.base import Heard, Subscription
from antiphon.bus.gathering import Gathering, watched
from antiphon.bus.local import LocalBus
from antiphon.errors import RemoteError
from antiphon.observe import Broke, Observe, nobody

if TYPE_CHECKING:
    from nats.aio.msg import Msg
    from nats.aio.subscription import Subscription as Listening

PREFIX = "antiphon.bus."
OPENING_SECONDS_MAX = 5.0
RECONNECT_SECONDS = 0.5
PIECE_BYTES_MAX = 262_144
"""Bytes of one message of ours; NATS takes a million unless told otherwise."""

TOPIC_CHARS_MAX = 300
"""A server hangs up on who sends a subject of more than 4,096 bytes."""

_FAILURES = (OSError, NatsError, TimeoutError)
_decode = msgspec.msgpack.Decoder(list[bytes]).decode
_encode = msgspec.msgpack.Encoder().encode

_Order = tuple[str, bytes | None]
"""A message; with None: see to it that the topic is listened to if and only if somebody cares."""


class NatsBus:
    """``antiphon.bus.base.Bus`` over NATS. ``url`` is one address or several with commas:
    ``nats://``, ``tls://``, with ``USER:PASSWORD@`` or ``TOKEN@`` before the host if need be."""

    def __init__(self, url: str, *, observe: Observe = nobody) -> None:
        self._servers = [server.strip() for server in url.split(",")]
        self._observe = observe
        self._here = LocalBus()
        self._gathering = Gathering[_Order](self._carry_out, observe=observe)
        self._client: Client | None = None
        self._listening: dict[str, Listening] = {}
        self._open = False
        self._mender: asyncio.Task[None] | None = None

    @property
    def client(self) -> Client:
        """The connection, for others who need NATS too; ask anew each time. Raises
        ``RemoteError`` while there is none."""
        if self._client is None:
            raise RemoteError("NATS is not connected", status=503, retryable=True)
        return self._client

    # --- its life ---

    async def open(self) -> None:
        """As the port says."""
        self._client = await self._connected()
        self._open = True
        self._gathering.open()

    async def close(self) -> None:
        """Send what is queued. May be called twice."""
        if not self._open:
            return
        await self._gathering.close()
        self._open = False
        if self._mender is not None:
            self._mender.cancel()
            await asyncio.wait([self._mender])
        await self._here.close()
        client, self._client = self._client, None
        if client is not None:
            await _closed(client)

    # --- messages ---

    def publish(self, topic: str, payload: bytes = b"") -> None:
        """As the port says."""
        self._here.publish(topic, payload)
        if self._open:
            self._order(topic, payload)

    def subscribe(self, topic: str, heard: Heard) -> Subscription:
        """As the port says."""
        if not self._here.has(topic):
            self._order(topic, None)
        return self._here.subscribe(topic, heard, left=partial(self._left, topic))

    def _left(self, topic: str) -> None:
        if not self._here.has(topic):
            self._order(topic, None)

    def _order(self, topic: str, payload: bytes | None) -> None:
        if len(topic) > TOPIC_CHARS_MAX or len(payload or b"") > PIECE_BYTES_MAX:
            self._observe(Broke("bus", ValueError("a message is too long for the bus")))
        else:
            self._gathering.put((topic, payload))

    async def _carry_out(self, orders: Sequence[_Order]) -> None:
        """Send and listen as ordered; what fails is lost, or made good by the mender."""
        client = self._client
        if client is None:
            return
        said: dict[str, list[bytes]] = {}
        try:
            for topic, payload in orders:
                if payload is None:
                    await self._settle(client, topic)
                else:
                    said.setdefault(topic, []).append(payload)
            if client.is_connected:  # it would keep them for later, when they are of no use
                for topic, payloads in said.items():
                    for piece in _pieces(payloads):
                        await client.publish(subject_of(topic), piece)
        except _FAILURES as error:
            self._observe(Broke("bus", error))

    async def _settle(self, client: Client, topic: str) -> None:
        wanted, listening = self._here.has(topic), self._listening.get(topic)
        if wanted and listening is None:
            heard = partial(self._arrived, topic)
            self._listening[topic] = await client.subscribe(subject_of(topic), cb=heard)
        elif listening is not None and not wanted:
            del self._listening[topic]
            await listening.unsubscribe()

    async def _arrived(self, topic: str, message: Msg) -> None:
        try:
            payloads = _decode(message.data)
        except ValueError:
            return  # not ours
        for payload in payloads:
            self._here.deliver(topic, payload)

    # --- the connection ---

    async def _connected(self) -> Client:
        """A new connection. Raises ``RemoteError`` once every server was tried."""
        client = Client()
        troubles = _Troubles(len(self._servers), self._observe)
        try:
            async with troubles.deadline:
                await client.connect(
                    self._servers,
                    name="antiphon",
                    no_echo=True,
                    error_cb=troubles.heard,
                    reconnected_cb=troubles.over,
                    closed_cb=self._gone,
                    max_reconnect_attempts=-1,
                    reconnect_time_wait=RECONNECT_SECONDS,  # type: ignore[arg-type]
                    connect_timeout=OPENING_SECONDS_MAX,  # type: ignore[arg-type]
                    ping_interval=10,
                    flush_timeout=OPENING_SECONDS_MAX,
                )
            troubles.opening = False
        except (*_FAILURES, ValueError) as error:
            reason = _why(troubles.last or error)
            shown = ", ".join(_without_secret(server) for server in self._servers)
            raise RemoteError(f"the bus cannot reach NATS at {shown}: {reason}") from None
        finally:
            if troubles.opening:
                await _closed(client)
        return client

    async def _gone(self) -> None:
        """The client gave up for good (the server refused it): begin anew."""
        if self._open and (self._mender is None or self._mender.done()):
            self._mender = watched(self._mend(), "bus-connection", self._observe)

    async def _mend(self) -> None:
        self._client = None
        self._listening.clear()
        while True:
            await asyncio.sleep(RECONNECT_SECONDS * (1 + random.random()))
            try:
                self._client = await self._connected()
                break
            except RemoteError as error:
                self._observe(Broke("bus", error))
        for topic in self._here.topics():
            self._order(topic, None)


class _Troubles:
    """What a client tells of its connection. It would go on trying for ever: ``deadline`` ends
    that, while it is being opened, when each server was tried. Later each outage is told once."""

    def __init__(self, servers: int, observe: Observe) -> None:
        self.deadline = asyncio.timeout(OPENING_SECONDS_MAX)
        self.opening = True
        self.last: Exception | None = None
        self._left = servers
        self._observe = observe
        self._told = False

    async def heard(self, error: Exception) -> None:
        if not self.opening:
            if not self._told:
                self._observe(Broke("bus", error))
            self._told = True
            return
        self.last = error
        self._left -= 1
        if self._left <= 0:  # in the pause it makes now it holds no connection
            in_the_pause = asyncio.get_running_loop().time() + RECONNECT_SECONDS / 2
            self.deadline.reschedule(in_the_pause)

    async def over(self) -> None:
        self._told = False


def subject_of(topic: str) -> str:
    """The subject of a topic: its words stay words."""
    words = topic.split(".")
    return PREFIX + ".".join(quote(word, safe="", errors="surrogatepass") or "%" for word in words)


def _pieces(payloads: Sequence[bytes]) -> list[bytes]:
    """The payloads as messages of bounded size."""
    pieces: list[bytes] = []
    inside: list[bytes] = []
    size = 0
    for payload in payloads:
        if inside and size + len(payload) > PIECE_BYTES_MAX:
            pieces.append(_encode(inside))
            inside, size = [], 0
        inside.append(payload)
        size += len(payload) + 5
    return [*pieces, _encode(inside)]


async def _closed(client: Client) -> None:
    try:
        await client.close()
    except _FAILURES:
        pass  # there was hardly anything to close


def _why(error: BaseException) -> str:
    if isinstance(error, TimeoutError):
        return f"no answer within {OPENING_SECONDS_MAX:g} s"
    if isinstance(error, ConnectionResetError | BrokenPipeError):
        return "it hung up; a wrong login may be the reason"  # it does not always get to say so
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error).removeprefix("nats: ") or type(error).__name__


def _without_secret(url: str) -> str:
    parts: Any = urlsplit(url if "://" in url else f"nats://{url}")
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
