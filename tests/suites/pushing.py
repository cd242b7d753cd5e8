"""The pushed side of a backend and of a transport, as something that can be waited for.

So every obligation that is tested of ``stream`` and ``send`` is tested of ``begin`` too. The
rules of a sink and of a receiver are checked on the way.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import pytest

from antiphon.backends.base import Backend, Call, Turn
from antiphon.backends.chat import Chat
from antiphon.backends.fast_http import FastHttp, Push
from antiphon.backends.fast_request import request_of
from antiphon.backends.router import Router
from antiphon.backends.transport import (
    PATIENT,
    READ_LIMIT_BYTES,
    UNREAD_LIMIT_BYTES,
    Reply,
    Timeouts,
    collect,
)
from antiphon.errors import RemoteError
from antiphon.stream.deltas import Delta, Finish


class Ear:
    """A sink that keeps what it hears; ``wrong`` is what it should not have heard."""

    def __init__(self) -> None:
        self.batches: deque[Sequence[Delta]] = deque()
        self.error: RemoteError | None = None
        self.over = False
        self.listening = False
        self.wrong: list[str] = []
        self.news = asyncio.Event()

    def take(self, deltas: Sequence[Delta]) -> None:
        self._check(f"took {deltas!r}")
        self.batches.append(deltas)
        self.over = bool(deltas) and isinstance(deltas[-1], Finish)
        self.news.set()

    def broke(self, error: Exception) -> None:
        self._check(f"broke: {error!r}")
        assert isinstance(error, RemoteError), "these backends fail as they say"
        self.error = error
        self.over = True
        self.news.set()

    def _check(self, what: str) -> None:
        if self.over:
            self.wrong.append(f"{what} after the end")
        if not self.listening:
            self.wrong.append(f"{what} before begin had returned or after close")


def begun(backend: Backend, turn: Turn) -> tuple[Call, Ear]:
    """A turn under way; skips the test if the backend does not push."""
    ear = Ear()
    call = backend.begin(turn, ear)
    if call is None:
        pytest.skip("this backend does not push")
    ear.listening = True
    return call, ear


async def pushed(backend: Backend, turn: Turn) -> AsyncIterator[Sequence[Delta]]:
    """What ``Backend.stream`` would give, from ``Backend.begin``."""
    call, ear = begun(backend, turn)
    try:
        while not (ear.over and not ear.batches):
            while ear.batches:
                yield ear.batches.popleft()
            if not ear.over:
                ear.news.clear()
                await ear.news.wait()
        if ear.error is not None:
            raise ear.error
    finally:
        call.close()
        call.close()
        ear.listening = False
        await asyncio.sleep(0)
        assert ear.wrong == []


class PushedChat(Chat):
    """A chat backend whose streams are pushed."""

    def stream(self, turn: Turn) -> AsyncIterator[Sequence[Delta]]:
        return pushed(self, turn)


class PushedRouter(Router):
    """A router whose streams are pushed."""

    def stream(self, turn: Turn) -> AsyncIterator[Sequence[Delta]]:
        return pushed(self, turn)


class Body:
    """A receiver that is a reply: it pauses the call when nobody reads."""

    def __init__(self) -> None:
        self.status = 0
        self.headers: Mapping[str, str] = {}
        self.push: Push | None = None
        self.packed: Reply | None = None
        self.wrong: list[str] = []
        self._pieces: deque[bytes] = deque()
        self._over = False
        self._error: RemoteError | None = None
        self._news = asyncio.Event()

    # Receiver

    def head(self, status: int, headers: Mapping[str, str]) -> None:
        self._check("a head", self.status == 0)
        assert self.push is not None
        self.status, self.headers = status, headers
        if "content-encoding" in headers:
            self.packed = self.push.taken_over(status, headers)
        self._news.set()

    def data(self, body: bytes) -> None:
        self._check("data", self.status != 0 and bool(body) and self.packed is None)
        assert self.push is not None
        self._pieces.append(body)
        if sum(map(len, self._pieces)) > UNREAD_LIMIT_BYTES:
            self.push.pause()
        self._news.set()

    def done(self) -> None:
        self._check("an end", self.status != 0)
        self._over = True
        self._news.set()

    def broke(self, error: RemoteError) -> None:
        self._check("a failure", True)
        self._error = error
        self._over = True
        self._news.set()

    def _check(self, what: str, fits: bool) -> None:
        if self.push is None or self._over or not fits:
            self.wrong.append(f"{what} at the wrong time")

    # Reply

    async def begun(self) -> None:
        while not (self.status or self._over):
            await self._wait()
        if self._error is not None and not self.status:
            raise self._error

    async def chunks(self) -> AsyncIterator[bytes]:
        assert self.push is not None
        if self.packed is not None:
            async for piece in self.packed.chunks():
                yield piece
            return
        try:
            while True:
                while self._pieces:
                    yield self._pieces.popleft()
                self.push.resume()
                if self._over:
                    break
                await self._wait()
            if self._error is not None:
                raise self._error
        finally:
            await self.close()

    async def read(self, limit_bytes: int = READ_LIMIT_BYTES) -> bytes:
        return await collect(self, limit_bytes)

    async def close(self) -> None:
        assert self.push is not None
        self.push.close()
        assert self.wrong == []

    async def _wait(self) -> None:
        self._news.clear()
        try:
            await self._news.wait()
        except asyncio.CancelledError:
            await self.close()
            raise


class PushedHttp(FastHttp):
    """The fast client, asked by push."""

    async def send(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        body: bytes = b"",
        timeouts: Timeouts = PATIENT,
    ) -> Any:
        reply = Body()
        reply.push = self.begin(request_of(method, url, headers), body, reply, timeouts)
        await reply.begun()
        return reply
