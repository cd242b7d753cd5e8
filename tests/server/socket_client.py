"""The same client as ``asgi_client``, asking over a connection: raw HTTP/1.1 to the protocol
class that ``antiphon serve`` puts before the application.

``SocketClient.request`` and ``.stream`` take and give what ``AsgiClient``'s do, so a test that
uses a fixture's client runs over both roads. The connection is a pair of sockets in this
process: no port, no listener, nothing to wait for. One connection is kept between requests.
"""

from __future__ import annotations

import asyncio
import socket
import string
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import quote

import uvicorn
from uvicorn.server import ServerState

from antiphon.app import App
from antiphon.observe import Observation, RequestFinished
from antiphon.process import _uvicorn_config
from antiphon.server.exchange import LEFT_STATUS, Deps
from tests.server.asgi_client import PATIENCE_SECONDS, Answer, Incomplete, chunks_of

BODILESS = frozenset({"GET", "HEAD", "DELETE", "OPTIONS"})
BUFFER_BYTES = 1 << 20
DATE = "Sun, 06 Nov 1994 08:49:37 GMT"
"""What uvicorn's server makes anew every second."""


@dataclass
class _Settings:
    server: Any


@dataclass
class _Parts:
    """What ``antiphon serve`` needs to know of an ``App``."""

    asgi: Any
    deps: Deps
    config: _Settings


def configured(app: Any, deps: Deps) -> uvicorn.Config:
    """How ``antiphon serve`` would serve this application, made of these parts."""
    return _uvicorn_config(cast(App, _Parts(app, deps, _Settings(deps.settings))))


class Told(list[Observation]):
    """What the server told, in order."""

    def __init__(self) -> None:
        super().__init__()
        self._more = asyncio.Event()

    def __call__(self, observation: Observation) -> None:
        self.append(observation)
        self._more.set()

    @property
    def requests(self) -> list[RequestFinished]:
        return [told for told in self if isinstance(told, RequestFinished)]

    async def until(self, enough: Callable[[list[RequestFinished]], bool]) -> None:
        """Wait until what was told of requests is enough."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not enough(self.requests):
                self._more.clear()
                await self._more.wait()


class Front:
    """Makes what answers a connection, once per connection, as uvicorn's server does."""

    def __init__(self, config: uvicorn.Config) -> None:
        if not config.loaded:
            config.load()
        self.app = config.app
        self.state = ServerState()
        self.state.default_headers = [(b"date", DATE.encode())]
        self._config = config

        class Watched(config.http_protocol_class):  # type: ignore[name-defined, misc]
            """Tells how much it has read, and when its connection is gone."""

            def connection_made(self, transport: Any) -> None:
                self.gone = asyncio.Event()
                self.read_bytes = 0
                self.read = asyncio.Event()
                super().connection_made(transport)

            def data_received(self, data: bytes) -> None:
                super().data_received(data)
                self.read_bytes += len(data)
                self.read.set()

            def connection_lost(self, exc: Exception | None) -> None:
                super().connection_lost(exc)
                self.gone.set()

        self._kind = Watched

    def __call__(self) -> Any:
        return self._kind(config=self._config, server_state=self.state, app_state={})

    async def connect(self) -> Connection:
        """A new connection to the server, which needs no port."""
        ours, theirs = socket.socketpair()
        for end in (ours, theirs):
            end.setblocking(False)
        loop = asyncio.get_running_loop()
        _, protocol = await loop.connect_accepted_socket(self, theirs)
        reader, writer = await asyncio.open_connection(sock=ours, limit=BUFFER_BYTES)
        return Connection(reader, writer, protocol)

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[int]:
        """The port of the server on loopback, for clients that bring their own sockets."""
        listener = await asyncio.get_running_loop().create_server(self, "127.0.0.1", 0)
        try:
            yield listener.sockets[0].getsockname()[1]
        finally:
            listener.close()
            left: list[Any] = list(self.state.connections)
            for protocol in left:
                protocol.shutdown()
            async with asyncio.timeout(PATIENCE_SECONDS):
                for protocol in left:
                    if hasattr(protocol, "gone"):
                        await protocol.gone.wait()
            for _ in range(2_000):  # upgraded ones do not tell
                if not (self.state.connections or self.state.tasks):
                    break
                await asyncio.sleep(0.002)


class Connection:
    """One connection: our end, and the protocol at the server's end."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, protocol: Any
    ) -> None:
        self.reader = reader
        self.writer = writer
        self.protocol = protocol
        self._sent_bytes = 0

    @property
    def usable(self) -> bool:
        """Whether neither end has closed it."""
        over = self.protocol.gone.is_set() or self.writer.is_closing() or self.reader.at_eof()
        return not over

    def say(self, data: bytes) -> None:
        self._sent_bytes += len(data)
        self.writer.write(data)

    async def say_apart(self, *segments: bytes) -> None:
        """Say them so that the server reads each by itself, until it closes the connection."""
        for segment in segments:
            if self.protocol.transport.is_closing():
                return
            self.say(segment)
            async with asyncio.timeout(PATIENCE_SECONDS):
                while self.protocol.read_bytes < self._sent_bytes:
                    self.protocol.read.clear()
                    await self.protocol.read.wait()

    async def answer(self, method: str = "POST") -> Answer:
        """The next answer, whole. ``method`` is that of its request."""
        stream = SocketStream(self, method)
        body = b"".join([chunk async for chunk in stream])
        if not stream.complete:
            raise Incomplete(body)
        return Answer(stream.status, stream.headers, body)

    async def ask(self, data: bytes, method: str = "POST") -> Answer:
        self.say(data)
        return await self.answer(method)

    async def rest(self) -> bytes:
        """What the server says until it closes the connection."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            return await self.reader.read()

    async def close(self) -> None:
        """Close our end and wait until the server has seen it."""
        if self.writer.transport.get_write_buffer_size():
            self.writer.transport.abort()  # a server that reads no more would never see the end
        self.writer.close()
        async with asyncio.timeout(PATIENCE_SECONDS):
            await self.protocol.gone.wait()
            try:
                await self.writer.wait_closed()
            except OSError:
                pass  # the server closed its end while something of ours was unread


class SocketStream:
    """An answer under way. Iterating gives one body chunk per chunk of the transfer coding, or
    the whole body where its length was announced."""

    def __init__(self, connection: Connection, method: str) -> None:
        self.connection = connection
        self.status = 0
        self.headers: dict[str, str] = {}
        self.complete = False
        self.failure: BaseException | None = None
        self._bodiless = method == "HEAD"

    def disconnect(self) -> None:
        """The caller closes the connection."""
        self.connection.writer.close()

    async def head(self) -> None:
        """Wait for the status line; what tells to go on (1xx) is passed over."""
        while self.status < 200:
            async with asyncio.timeout(PATIENCE_SECONDS):
                head = await self.connection.reader.readuntil(b"\r\n\r\n")
            first, *lines = head.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
            version, status, _ = first.split(" ", 2)
            assert version == "HTTP/1.1", first
            self.status = int(status)
        pairs = [line.split(": ", 1) for line in lines]
        self.headers = {name.lower(): value for name, value in pairs}
        assert len(self.headers) == len(pairs), f"a header is there twice: {head!r}"

    async def chunk(self) -> bytes | None:
        """The next body chunk, None at the end of the answer, complete or cut off."""
        if self.status < 200:
            await self.head()
        if self.complete:
            return None
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                return await self._next()
        except (OSError, asyncio.IncompleteReadError):
            return None

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while (chunk := await self.chunk()) is not None:
            yield chunk

    async def _next(self) -> bytes | None:
        reader = self.connection.reader
        chunked = self.headers.get("transfer-encoding") == "chunked"
        assert not (chunked and "content-length" in self.headers), self.headers
        if chunked and not self._bodiless:
            size = int(await reader.readuntil(b"\r\n"), 16)
            chunk = await reader.readexactly(size)
            assert await reader.readexactly(2) == b"\r\n"
            self.complete = not size
            return chunk if size else None
        length = 0 if self._bodiless else int(self.headers["content-length"])
        body = await reader.readexactly(length)
        self.complete = True
        return body


class SocketClient:
    """Asks a server of this configuration. ``headers`` go with every request; ``told`` is where
    the server tells what happened; ``settled`` waits for the last writes of who was left."""

    def __init__(
        self,
        config: uvicorn.Config,
        told: Told,
        settled: Callable[[], Any],
        *,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.front = Front(config)
        self.app = self.front.app
        self.headers = dict(headers or {})
        self._told = told
        self._settled = settled
        self._kept: Connection | None = None

    async def request(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: Any = b"",
    ) -> Answer:
        """One request, answered completely. ``body``: bytes, segments, or anything as JSON."""
        async with self.stream(method, path, headers=headers, body=body) as answer:
            joined = b"".join([chunk async for chunk in answer])
            if not answer.complete:
                raise Incomplete(joined)
            return Answer(answer.status, answer.headers, joined)

    @asynccontextmanager
    async def stream(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: Any = b"",
        wait: bool = True,
    ) -> AsyncIterator[SocketStream]:
        """An answer as it comes; ``wait``: until its status line is there.

        Leaving the block before the end closes the connection and waits until the server has
        told of the request.
        """
        connection, self._kept = self._kept, None
        if connection is None or not connection.usable:
            if connection is not None:
                await connection.close()
            connection = await self.front.connect()
        answer = SocketStream(connection, method)
        before = len(self._told.requests)
        segments = chunks_of(body)
        for segment in (
            _head(method, path, {**self.headers, **(headers or {})}, segments),
            *segments,
        ):
            connection.say(segment)
            await asyncio.sleep(0)
        try:
            if wait:
                await answer.head()
            yield answer
        finally:
            if answer.complete and connection.usable and self._kept is None:
                self._kept = connection
            else:
                await connection.close()
            if not answer.complete:
                name = answer.headers.get("x-request-id")
                await self._told.until(
                    lambda requests: (
                        any(told.request_id == name for told in requests)
                        if name
                        else _left(requests) > before
                    )
                )
                await self._settled()

    async def close(self) -> None:
        kept, self._kept = self._kept, None
        if kept is not None:
            await kept.close()


def _left(requests: Sequence[RequestFinished]) -> int:
    return sum(told.status == LEFT_STATUS for told in requests)


def _head(method: str, path: str, headers: Mapping[str, str], segments: Sequence[bytes]) -> bytes:
    """Request line and headers. What is not ASCII in the path is percent-encoded, as any HTTP
    client does."""
    length = sum(map(len, segments))
    every = {"host": "testserver", **headers}
    if length or method not in BODILESS:
        every.setdefault("content-length", str(length))
    lines = [f"{method} {quote(path, safe=string.printable)} HTTP/1.1"]
    lines += [f"{name}: {value}" for name, value in every.items()]
    return "\r\n".join([*lines, "", ""]).encode()
