"""A model server over HTTP, whatever it speaks: the call, its connection, what it teaches.

A turn becomes a body, a 2xx answer becomes deltas, a refusal becomes an error that says whose
fault it is; what a kind of server takes is its *profile*, and a field that this one refused by
name is left out of the profile for that model for as long as the process lives. How each of these
is done says the subclass: ``chat.Chat``, ``responses.Responses``.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, ClassVar, Generic, Protocol, TypeVar
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

from antiphon import __version__
from antiphon.backends.base import Call, Capabilities, Model, Sink, Turn
from antiphon.backends.chat_errors import Complaint, complaint_of
from antiphon.backends.fast_http import FastHttp
from antiphon.backends.fast_request import Request, request_of
from antiphon.backends.sse import Events
from antiphon.backends.transport import Reply, Timeouts, Transport, transport_for
from antiphon.backends.upstream_push import DRAIN_SECONDS, Answer, PushedTurn, is_stream
from antiphon.errors import LocalProtocolError, RemoteError
from antiphon.observe import Observe, Retried, nobody
from antiphon.stream.deltas import Delta

ERROR_BODY_BYTES_MAX = 64 * 1024
MODELS_BYTES_MAX = 8 * 1024 * 1024
MODELS_KEPT_SECONDS = 60.0
MODELS_RETRY_SECONDS = 5.0
MODELS_TIMEOUTS = Timeouts(connect_seconds=3, first_byte_seconds=5, idle_seconds=5)
LESSONS_PER_TURN_MAX = 4
LESSONS_MAX = 1_000
ACCEPT_LIVE, ACCEPT_PLAIN = "text/event-stream", "application/json"


class Target(Struct, frozen=True):
    """Where calls go: the base address without a slash at its end, headers with the key, and the
    query every address ends in (``?…`` or nothing)."""

    url: str
    headers: Mapping[str, str]
    query: str = ""

    def __repr__(self) -> str:
        return f"Target({urlsplit(self.url).hostname})"  # headers and addresses hold secrets

    def to(self, path: str) -> str:
        """The address of one of its endpoints."""
        return f"{self.url}{path}{self.query}"


class Reached(Protocol):
    """What the settings of every such server have."""

    @property
    def url(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def headers(self) -> Mapping[str, str]: ...
    @property
    def connect_seconds(self) -> float: ...
    @property
    def first_byte_seconds(self) -> float: ...
    @property
    def idle_seconds(self) -> float: ...
    def secret(self) -> str | None: ...


class _ModelEntry(Struct):
    id: str
    created: Any = 0
    owned_by: Any = ""


class _ModelList(Struct):
    data: list[_ModelEntry] = []


P = TypeVar("P")


class Upstream(ABC, Generic[P]):
    """One server. ``P`` is what is known of a kind of them; turns are sent to ``endpoint``."""

    endpoint: ClassVar[str]

    def __init__(
        self,
        settings: Reached,
        profile: P,
        key_header: str,
        transport: Transport | None = None,
        observe: Observe = nobody,
        *,
        query: str = "",
    ) -> None:
        """``ValueError`` if the key cannot be read. ``key_header``: ``authorization`` gets the
        word Bearer before the key."""
        self.profile = profile
        self.name = settings.name
        self._transport = transport or transport_for(settings.url)
        self._observe = observe
        headers = _headers(settings, key_header)
        self._target = Target(settings.url.rstrip("/"), headers, query)
        self._timeouts = Timeouts(
            connect_seconds=settings.connect_seconds,
            first_byte_seconds=settings.first_byte_seconds,
            idle_seconds=settings.idle_seconds,
        )
        self._able = (profile, self.promised(profile))
        self._requests = self._prepared()
        self._learned: dict[str, tuple[P, Capabilities]] = {}
        self._models: Sequence[Model] = ()
        self._models_until = 0.0
        self._models_lock = asyncio.Lock()

    async def open(self) -> None:
        """Nothing to do: connections are made when they are needed."""

    async def close(self) -> None:
        """Closes every connection; answers under way break off."""
        await self._transport.close()

    # What a subclass says

    @abstractmethod
    def promised(self, profile: P) -> Capabilities:
        """What a server of this profile does by itself."""

    @abstractmethod
    def reader(self, turn: Turn) -> Answer:
        """What reads the answer to this turn."""

    @abstractmethod
    def encoded(self, turn: Turn, profile: P) -> bytes:
        """The turn as the body of a request."""

    @abstractmethod
    def spared(self, complaint: Complaint, turn: Turn, profile: P) -> tuple[str, P] | None:
        """The field a 400 or 422 says the server does not take, if the turn can be asked without
        it, and the profile that leaves it out. None if it is about anything else."""

    @abstractmethod
    def failure(self, status: int, headers: Mapping[str, str], complaint: Complaint) -> RemoteError:
        """The error for an answer that is not 2xx. ``headers`` have lower-case names."""

    async def target(self) -> Target:
        """Where the next call goes; asked once per call. Overridden, turns are not pushed."""
        return self._target

    # The port

    def capabilities(self, model: str) -> Capabilities:
        """What the profile says; a field the server refused is no longer passed on."""
        if lesson := self._learned.get(model):
            return lesson[1]
        if self._able[0] is not self.profile:
            self._able = (self.profile, self.promised(self.profile))
        return self._able[1]

    async def count(self, turn: Turn) -> int | None:
        """None: it cannot tell."""
        return None

    async def models(self) -> Sequence[Model]:
        """What ``GET /models`` lists, kept for a minute (a failure for five seconds);
        empty if the upstream does not tell."""
        async with self._models_lock:
            now = asyncio.get_running_loop().time()
            if now >= self._models_until:
                self._models = await self._list_models()
                kept = MODELS_KEPT_SECONDS if self._models else MODELS_RETRY_SECONDS
                self._models_until = now + kept
            return self._models

    def begin(self, turn: Turn, sink: Sink) -> Call | None:
        """None over a transport that does not push, or when ``target`` has to be awaited."""
        requests = self._requests
        if requests is None:
            return None
        fast, live, plain = requests
        profile = self.profile_of(turn.model)
        call = PushedTurn(self, turn, profile, sink)
        body = self.encoded(turn, profile)
        call.reads(fast.begin(live if turn.live else plain, body, call, self._timeouts))
        return call

    def stream(self, turn: Turn) -> AsyncIterator[Sequence[Delta]]:
        """The turn's deltas; a plain JSON answer comes as one batch."""
        return self.answered(turn, self.profile_of(turn.model), None)

    async def answered(
        self, turn: Turn, profile: P, reply: Reply | None
    ) -> AsyncIterator[Sequence[Delta]]:
        """The same when the turn was sent by this profile already and answered by ``reply``."""
        reply = await self._ask(turn, profile, reply)
        reader = self.reader(turn)
        chunks: AsyncIterator[bytes] | None = None
        try:
            if not is_stream(reply.headers, turn):
                yield reader.whole(await reply.read())
                if reader.failure is not None:
                    raise reader.failure
                return
            events = Events()
            chunks = reply.chunks()
            async for data in chunks:
                if batch := reader.batch(events.feed(data)):
                    yield batch
                if reader.failure is not None:
                    raise reader.failure
                if reader.over:
                    return
            yield reader.last(events.end())
            if reader.failure is not None:
                raise reader.failure
        finally:
            if chunks is not None and reader.over:
                await _drain(chunks)
            await reply.close()

    # How

    def profile_of(self, model: str) -> P:
        """What is known of the server where this model is concerned."""
        lesson = self._learned.get(model)
        return lesson[0] if lesson else self.profile

    def _prepared(self) -> tuple[FastHttp, Request, Request] | None:
        """What a pushed call writes, live or plain, if calls can be pushed."""
        fast = self._transport
        if not isinstance(fast, FastHttp) or type(self).target is not Upstream.target:
            return None
        url, headers = self._target.to(self.endpoint), self._target.headers
        try:
            live = request_of("POST", url, {"accept": ACCEPT_LIVE, **headers})
            plain = request_of("POST", url, {"accept": ACCEPT_PLAIN, **headers})
        except LocalProtocolError:  # raised again by every call that is waited for
            return None
        return fast, live, plain

    async def _ask(self, turn: Turn, profile: P, reply: Reply | None) -> Reply:
        """Send the turn, again without a field the server refuses; raise what remains.

        A refusal becomes a lesson for other turns only if leaving the field out helped: its
        words may quote the request, and one caller's request must not change another's.
        """
        attempt = 1
        known = profile
        while True:
            if reply is None:
                reply = await self._send(turn, self.encoded(turn, profile))
            if 200 <= reply.status < 300:
                if profile is not known:
                    self._learn(turn.model, profile)
                return reply
            complaint = complaint_of(await _error_body(reply))
            spared = None
            if reply.status in (400, 422):
                spared = self.spared(complaint, turn, profile)
            if spared is None or attempt > LESSONS_PER_TURN_MAX:
                raise self.failure(reply.status, reply.headers, complaint)
            field, profile = spared
            reason = f"the upstream does not take {field}"
            self._observe(Retried(self.name, turn.model, reason, attempt))
            attempt += 1
            reply = None

    async def _send(self, turn: Turn, body: bytes) -> Reply:
        target = await self.target()
        accept = ACCEPT_LIVE if turn.live else ACCEPT_PLAIN
        return await self._transport.send(
            "POST",
            target.to(self.endpoint),
            headers={"accept": accept, **target.headers},
            body=body,
            timeouts=self._timeouts,
        )

    def _learn(self, model: str, profile: P) -> None:
        if len(self._learned) >= LESSONS_MAX and model not in self._learned:
            del self._learned[next(iter(self._learned))]
        self._learned[model] = (profile, self.promised(profile))

    async def asked_aside(self, method: str, url: str, body: bytes, limit_bytes: int) -> bytes:
        """A small question that is no turn: the body of a 200. Raises ``RemoteError``."""
        target = await self.target()
        reply = await self._transport.send(
            method, url, headers=target.headers, body=body, timeouts=MODELS_TIMEOUTS
        )
        try:
            if reply.status != 200:
                raise RemoteError(f"The upstream answered with HTTP {reply.status}.")
            return await reply.read(limit_bytes)
        finally:
            await reply.close()

    async def _list_models(self) -> Sequence[Model]:
        try:
            url = (await self.target()).to("/models")
            answer = await self.asked_aside("GET", url, b"", MODELS_BYTES_MAX)
            listed = msgspec.json.decode(answer, type=_ModelList)
        except (RemoteError, msgspec.DecodeError):
            return ()
        return [
            Model(
                id=entry.id.removeprefix("models/"),
                created=int(entry.created) if isinstance(entry.created, int | float) else 0,
                owned_by=str(entry.owned_by or self.name),
            )
            for entry in listed.data
        ]


def _headers(settings: Reached, key_header: str) -> dict[str, str]:
    headers = {"content-type": "application/json", "user-agent": f"antiphon/{__version__}"}
    if key := settings.secret():
        headers[key_header] = f"Bearer {key}" if key_header == "authorization" else key
    return {**headers, **{name.lower(): value for name, value in settings.headers.items()}}


async def _drain(chunks: AsyncIterator[bytes]) -> None:
    """Read what follows the answer's end: only a body received whole leaves its connection
    usable."""
    try:
        async with asyncio.timeout(DRAIN_SECONDS):
            async for _ in chunks:
                pass
    except (TimeoutError, RemoteError):
        pass


async def _error_body(reply: Reply) -> bytes:
    """The body of a refusal, or nothing if it is too long or does not come."""
    try:
        return await reply.read(ERROR_BODY_BYTES_MAX)
    except RemoteError:
        return b""
    finally:
        await reply.close()
