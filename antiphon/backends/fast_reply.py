"""What the fast client read: the fields of a head, and an answer to be waited for.

An answer keeps its own buffer, so its connection goes back to the free list as soon as the
message is complete, even if nobody has read the body yet. There is no task and no queue: a
reader that is ahead leaves a future, a reader that lags pauses the call
(``UNREAD_LIMIT_BYTES``).
"""

from __future__ import annotations

import asyncio
import zlib
from collections import deque
from collections.abc import AsyncIterator, Iterator, Mapping
from functools import lru_cache
from typing import Any, Protocol

from antiphon.backends.transport import (
    READ_LIMIT_BYTES,
    UNREAD_LIMIT_BYTES,
    bad_response,
    broke_off,
    collect,
)
from antiphon.errors import RemoteError

_INFLATE_BYTES = 1024 * 1024


class Fields(Mapping[str, str]):
    """The header fields of a head, found when they are asked for: most never are.

    Names are lower case; a field that came several times is joined with a comma and a space.
    ``head`` begins with the status line, its lines end in CRLF and it has no empty line.
    """

    __slots__ = ("_head", "_lower")

    def __init__(self, head: bytes) -> None:
        self._head = head
        self._lower = head.lower()

    def __getitem__(self, name: str) -> str:
        key = _key(name)
        lower = self._lower
        at = lower.find(key)
        if at < 0:
            raise KeyError(name)
        value = self._value(at + len(key))
        while (at := lower.find(key, at + 1)) >= 0:
            value += ", " + self._value(at + len(key))
        return value

    def get(self, name: str, default: Any = None) -> Any:
        # Not the mixin's, which raises and catches: most answers lack most fields.
        return self[name] if self._lower.find(_key(name)) >= 0 else default

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self._lower.find(_key(name)) >= 0

    def __iter__(self) -> Iterator[str]:
        lines = self._lower.decode("latin-1").split("\r\n")[1:]
        return iter(dict.fromkeys(line.partition(":")[0] for line in lines))

    def __len__(self) -> int:
        return sum(1 for _ in self)

    @property
    def framed(self) -> bool:
        """Whether the body says itself where it ends; any other ends with the connection."""
        return "content-length" in self or "chunked" in self.get("transfer-encoding", "").lower()

    def _value(self, start: int) -> str:
        end = self._head.find(b"\r\n", start)
        return self._head[start : end if end >= 0 else None].strip(b" \t").decode("latin-1")


@lru_cache(maxsize=256)
def _key(name: str) -> bytes:
    return f"\r\n{name}:".encode("latin-1")


class _Nobody:
    """Hears what a call says that was closed or needs no more."""

    def head(self, status: int, headers: Mapping[str, str]) -> None: ...

    def data(self, body: bytes) -> None: ...

    def done(self) -> None: ...

    def broke(self, error: RemoteError) -> None: ...


NOBODY = _Nobody()


class Reading(Protocol):
    """The call an answer belongs to."""

    def pause(self) -> None: ...

    def resume(self) -> None: ...

    def close(self) -> None: ...


class Answer:
    """One reply, as a ``Receiver`` of its connection and a ``Reply`` for who waits for it."""

    def __init__(self, origin: str) -> None:
        self.status = 0
        self.headers: Mapping[str, str] = {}
        self._origin = origin
        self._call: Reading | None = None
        self._chunks: deque[bytes] = deque()
        self._unread = 0
        self._paused = False
        self._complete = False
        self._error: RemoteError | None = None
        self._waiter: asyncio.Future[None] | None = None

    def belongs_to(self, call: Reading) -> None:
        """What to pause when the reader lags, and to close when it leaves."""
        self._call = call

    async def begun(self) -> None:
        """Returns when status and headers are known."""
        if not self.status and self._error is None:
            await self._wait()
        if not self.status and self._error is not None:
            raise self._error

    def chunks(self) -> AsyncIterator[bytes]:
        encoding = self.headers.get("content-encoding", "identity")
        return self._raw() if encoding == "identity" else self._inflated(encoding)

    async def read(self, limit_bytes: int = READ_LIMIT_BYTES) -> bytes:
        if self._complete and "content-encoding" not in self.headers:
            body = b"".join(self._chunks)
            if len(body) <= limit_bytes:
                self._chunks.clear()
                return body
        return await collect(self, limit_bytes)

    async def close(self) -> None:
        self._abandon()

    def _abandon(self) -> None:
        self._chunks.clear()
        if not self._complete and self._error is None and self._call is not None:
            self._error = broke_off(self._origin, "the answer was abandoned")
            self._call.close()

    async def _raw(self) -> AsyncIterator[bytes]:
        try:
            while True:
                while self._chunks:
                    piece = self._chunks.popleft()
                    self._unread -= len(piece)
                    if self._paused and self._unread < UNREAD_LIMIT_BYTES // 2:
                        self._paused = False
                        if self._call is not None:
                            self._call.resume()
                    yield piece
                if self._complete:
                    return
                if self._error is not None:
                    raise self._error
                await self._wait()
        finally:
            self._abandon()

    async def _inflated(self, encoding: str) -> AsyncIterator[bytes]:
        try:
            if encoding not in ("gzip", "x-gzip", "deflate"):
                raise bad_response(self._origin, f"nobody asked for content-encoding {encoding!r}")
            inflate = zlib.decompressobj(32 + zlib.MAX_WBITS)  # 32: gzip or zlib, by its header
            async for piece in self._raw():
                while piece:
                    plain = inflate.decompress(piece, _INFLATE_BYTES)
                    piece = inflate.unconsumed_tail
                    if plain:
                        yield plain
            if plain := inflate.flush():
                yield plain
            if not inflate.eof:
                raise broke_off(self._origin, f"the {encoding} body is cut short")
        except zlib.error as error:
            raise broke_off(self._origin, f"the {encoding} body is damaged") from error
        finally:
            self._abandon()

    async def _wait(self) -> None:
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        except asyncio.CancelledError:
            self._abandon()
            raise
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    # Receiver

    def head(self, status: int, headers: Mapping[str, str]) -> None:
        self.status = status
        self.headers = headers
        self._wake()

    def data(self, body: bytes) -> None:
        self._chunks.append(body)
        self._unread += len(body)
        if self._unread > UNREAD_LIMIT_BYTES and not self._paused and self._call is not None:
            self._paused = True
            self._call.pause()
        self._wake()

    def done(self) -> None:
        self._complete = True
        self._call = None  # each knows the other: a cycle
        self._wake()

    def broke(self, error: RemoteError) -> None:
        if self._error is None:
            self._error = error
        self._call = None
        self._wake()
