"""The backend for everything that speaks chat completions.

A turn becomes a body (``chat_body``, ``messages``), the answer becomes deltas
(``chat_reading``), a refusal becomes an error that says whose fault it is (``chat_errors``).
What a kind of server takes stands in ``profiles``; what this one refused is learned for as
long as the process lives: the call is made again without the field.

Hooks for a backend that builds on this one (an engine we run ourselves): ``target``, ``shape``,
``reader``, ``capabilities`` and ``count`` may be overridden.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any
from urllib.parse import urljoin, urlsplit

import msgspec
from msgspec import Struct

from antiphon import __version__
from antiphon.backends.base import Call, Capabilities, Model, Sink, Turn
from antiphon.backends.chat_body import Body, Offered, chat_body, encoded_body, offered
from antiphon.backends.chat_errors import complaint_of, error_of, refused_field
from antiphon.backends.chat_push import DRAIN_SECONDS, ChatPush, is_stream
from antiphon.backends.chat_reading import Reader
from antiphon.backends.fast_http import FastHttp
from antiphon.backends.fast_request import Request, request_of
from antiphon.backends.profiles import Profile, profile_named, without
from antiphon.backends.sse import Events
from antiphon.backends.transport import Reply, Timeouts, Transport, transport_for
from antiphon.config import ChatSettings
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

_encode = msgspec.json.Encoder().encode


_NO_TOOLS: Mapping[str, Offered] = {}


class Target(Struct, frozen=True):
    """Where calls go: the base address without a slash at its end, and headers with the key."""

    url: str
    headers: Mapping[str, str]

    def __repr__(self) -> str:
        return f"Target({urlsplit(self.url).hostname})"  # headers and addresses hold secrets


class _ModelEntry(Struct):
    id: str
    created: Any = 0
    owned_by: Any = ""


class _ModelList(Struct):
    data: list[_ModelEntry] = []


class _Counted(Struct):
    count: int


class Chat:
    """One upstream. ``ValueError`` for a profile nobody knows or a key that cannot be read."""

    def __init__(
        self,
        settings: ChatSettings,
        transport: Transport | None = None,
        observe: Observe = nobody,
    ) -> None:
        self.settings = settings
        self.profile = profile_named(settings.profile, settings.url)
        self._transport = transport or transport_for(settings.url)
        self._observe = observe
        self._target = Target(settings.url.rstrip("/"), _headers(settings, self.profile))
        self._timeouts = Timeouts(
            connect_seconds=settings.connect_seconds,
            first_byte_seconds=settings.first_byte_seconds,
            idle_seconds=settings.idle_seconds,
        )
        self._able = (self.profile, _capabilities(self.profile))
        self._requests = self._prepared()
        self._shapes = type(self).shape is not Chat.shape
        self._learned: dict[str, tuple[Profile, Capabilities]] = {}
        self._models: Sequence[Model] = ()
        self._models_until = 0.0
        self._models_lock = asyncio.Lock()

    async def open(self) -> None:
        """Nothing to do: connections are made when they are needed."""

    async def close(self) -> None:
        """Closes every connection; answers under way break off."""
        await self._transport.close()

    # What may be overridden

    async def target(self) -> Target:
        """Where the next call goes; asked once per call."""
        return self._target

    def reader(self, turn: Turn) -> Reader:
        """What reads the answer to this turn."""
        known = offered(turn) if turn.tools else _NO_TOOLS
        return Reader(self._profile(turn.model), known, logprobs=turn.logprobs)

    def shape(self, body: Body, turn: Turn) -> Body:
        """Last word on the body of a turn, before it is encoded."""
        return body

    def capabilities(self, model: str) -> Capabilities:
        """What the profile says; a field the server refused is no longer passed on."""
        if lesson := self._learned.get(model):
            return lesson[1]
        if self._able[0] is not self.profile:
            self._able = (self.profile, _capabilities(self.profile))
        return self._able[1]

    async def count(self, turn: Turn) -> int | None:
        """Exact input tokens if the server has ``/tokenize`` (vLLM), else None."""
        if not self._profile(turn.model).tokenize:
            return None
        whole = self._body(turn, self._profile(turn.model))
        body = {key: whole[key] for key in ("model", "messages", "tools") if key in whole}
        target = await self.target()
        try:
            reply = await self._transport.send(
                "POST",
                urljoin(target.url + "/", "/tokenize"),
                headers=target.headers,
                body=_encode(body),
                timeouts=MODELS_TIMEOUTS,
            )
            answer = await _read(reply, MODELS_BYTES_MAX)
            return msgspec.json.decode(answer, type=_Counted).count
        except (RemoteError, msgspec.DecodeError):
            return None

    # The port

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
        profile = self._profile(turn.model)
        call = ChatPush(self, turn, profile, sink)
        body = self._encoded(turn, profile)
        call.reads(fast.begin(live if turn.live else plain, body, call, self._timeouts))
        return call

    def stream(self, turn: Turn) -> AsyncIterator[Sequence[Delta]]:
        """The turn's deltas; a plain JSON answer comes as one batch."""
        return self.answered(turn, self._profile(turn.model), None)

    async def answered(
        self, turn: Turn, profile: Profile, reply: Reply | None
    ) -> AsyncIterator[Sequence[Delta]]:
        """The same when the turn was sent by this profile already and answered by ``reply``."""
        reply = await self._ask(turn, profile, reply)
        reader = self.reader(turn)
        chunks: AsyncIterator[bytes] | None = None
        try:
            if not is_stream(reply.headers, turn):
                yield reader.whole(await reply.read())
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

    def _prepared(self) -> tuple[FastHttp, Request, Request] | None:
        """What a pushed call writes, live or plain, if calls can be pushed."""
        fast = self._transport
        if not isinstance(fast, FastHttp) or type(self).target is not Chat.target:
            return None
        url, headers = self._target.url + "/chat/completions", self._target.headers
        try:
            live = request_of("POST", url, {"accept": ACCEPT_LIVE, **headers})
            plain = request_of("POST", url, {"accept": ACCEPT_PLAIN, **headers})
        except LocalProtocolError:  # raised again by every call that is waited for
            return None
        return fast, live, plain

    def _profile(self, model: str) -> Profile:
        lesson = self._learned.get(model)
        return lesson[0] if lesson else self.profile

    async def _ask(self, turn: Turn, profile: Profile, reply: Reply | None) -> Reply:
        """Send the turn, again without a field the server refuses; raise what remains.

        A refusal becomes a lesson for other turns only if leaving the field out helped: its
        words may quote the request, and one caller's request must not change another's.
        """
        attempt = 1
        known = profile
        while True:
            if reply is None:
                reply = await self._send(turn, self._encoded(turn, profile))
            if 200 <= reply.status < 300:
                if profile is not known:
                    self._learn(turn.model, profile)
                return reply
            complaint = complaint_of(await _error_body(reply))
            field = None
            if reply.status in (400, 422):
                field = refused_field(complaint, self._body(turn, profile))
            if field is None or attempt > LESSONS_PER_TURN_MAX:
                raise error_of(reply.status, reply.headers, complaint)
            profile = without(profile, field)
            reason = f"the upstream does not take {field}"
            self._observe(Retried(self.settings.name, turn.model, reason, attempt))
            attempt += 1
            reply = None

    def _body(self, turn: Turn, profile: Profile) -> Body:
        return self.shape(chat_body(turn, profile), turn)

    def _encoded(self, turn: Turn, profile: Profile) -> bytes:
        if self._shapes:
            return _encode(self._body(turn, profile))
        return encoded_body(turn, profile)

    async def _send(self, turn: Turn, body: bytes) -> Reply:
        target = await self.target()
        accept = ACCEPT_LIVE if turn.live else ACCEPT_PLAIN
        return await self._transport.send(
            "POST",
            target.url + "/chat/completions",
            headers={"accept": accept, **target.headers},
            body=body,
            timeouts=self._timeouts,
        )

    def _learn(self, model: str, profile: Profile) -> None:
        if len(self._learned) >= LESSONS_MAX and model not in self._learned:
            del self._learned[next(iter(self._learned))]
        self._learned[model] = (profile, _capabilities(profile))

    async def _list_models(self) -> Sequence[Model]:
        try:
            target = await self.target()
            reply = await self._transport.send(
                "GET", target.url + "/models", headers=target.headers, timeouts=MODELS_TIMEOUTS
            )
            listed = msgspec.json.decode(await _read(reply, MODELS_BYTES_MAX), type=_ModelList)
        except (RemoteError, msgspec.DecodeError):
            return ()
        return [
            Model(
                id=entry.id.removeprefix("models/"),
                created=int(entry.created) if isinstance(entry.created, int | float) else 0,
                owned_by=str(entry.owned_by or self.settings.name),
            )
            for entry in listed.data
        ]


def _headers(settings: ChatSettings, profile: Profile) -> dict[str, str]:
    headers = {"content-type": "application/json", "user-agent": f"antiphon/{__version__}"}
    if key := settings.secret():
        bearer = profile.key_header == "authorization"
        headers[profile.key_header] = f"Bearer {key}" if bearer else key
    return {**headers, **{name.lower(): value for name, value in settings.headers.items()}}


def _capabilities(profile: Profile) -> Capabilities:
    known = profile.capabilities
    if known.json_schema == "enforced" and not profile.json_schema:
        known = msgspec.structs.replace(known, json_schema="asked")
    if known.strict_tools == "enforced" and not profile.strict_tools:
        known = msgspec.structs.replace(known, strict_tools="asked")
    if not profile.reasoning_field:
        known = msgspec.structs.replace(known, takes_reasoning=False)
    if unsent := profile.unsent:
        known = msgspec.structs.replace(known, unsent=unsent)
    return known


async def _drain(chunks: AsyncIterator[bytes]) -> None:
    """Read what follows ``[DONE]``: only a body received whole leaves its connection usable."""
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


async def _read(reply: Reply, limit_bytes: int) -> bytes:
    """The body of a good answer; raises ``RemoteError`` for any other."""
    try:
        if reply.status != 200:
            raise RemoteError(f"The upstream answered with HTTP {reply.status}.")
        return await reply.read(limit_bytes)
    finally:
        await reply.close()
