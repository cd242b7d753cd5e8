"""A raw loopback server that does exactly what a test tells it, HTTP or not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager


class Exchange:
    """One request as it came in, and the pen to answer it with."""

    def __init__(self, writer: asyncio.StreamWriter, head: bytes, connection: int) -> None:
        request, _, fields = head.decode().partition("\r\n")
        self.method, self.target, _ = request.split(" ", 2)
        self.headers = {
            name.lower(): value
            for name, _, value in (line.partition(": ") for line in fields.split("\r\n") if line)
        }
        self.body = b""
        self.connection = connection
        self._writer = writer

    async def write(self, *pieces: bytes) -> None:
        for piece in pieces:
            self._writer.write(piece)
        await self._writer.drain()

    async def answer(self, body: bytes, status: str = "200 OK", *fields: str) -> None:
        lines = "".join(f"{field}\r\n" for field in fields)
        head = f"HTTP/1.1 {status}\r\n{lines}Content-Length: {len(body)}\r\n\r\n"
        await self.write(head.encode() + body)

    def cut(self) -> None:
        self._writer.transport.close()


class Rude:
    """``url`` to send to, and what was noticed: ``exchanges``, ``connections``, ``left``."""

    def __init__(self, behave: Callable[[Exchange], Awaitable[None]]) -> None:
        self.url = ""
        self.exchanges: list[Exchange] = []
        self.connections = 0
        self.left = asyncio.Event()  # some client closed its connection
        self._behave = behave
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None] | None] = set()

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        number = self.connections
        self._writers.add(writer)
        self._tasks.add(asyncio.current_task())
        watch = asyncio.ensure_future(writer.wait_closed())
        watch.add_done_callback(self._noticed)
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                exchange = Exchange(writer, head[:-4], number)
                size = int(exchange.headers.get("content-length", "0"))
                exchange.body = await reader.readexactly(size)
                self.exchanges.append(exchange)
                answering = asyncio.ensure_future(self._behave(exchange))
                await asyncio.wait((answering, watch), return_when=asyncio.FIRST_COMPLETED)
                if not answering.done():
                    answering.cancel()
                    return
                answering.result()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.transport.abort()
            await asyncio.wait((watch,))

    def _noticed(self, watch: asyncio.Future[None]) -> None:
        self.left.set()
        watch.exception()  # a reset is as good as a close

    async def stop(self) -> None:
        for writer in self._writers:
            writer.transport.abort()
        await asyncio.gather(*(task for task in self._tasks if task), return_exceptions=True)


class _Protocol(asyncio.StreamReaderProtocol):
    def eof_received(self) -> bool:
        super().eof_received()
        return False  # the other side's close closes ours, so that it is noticed


@asynccontextmanager
async def serving(behave: Callable[[Exchange], Awaitable[None]]) -> AsyncIterator[Rude]:
    """A server on a free loopback port for the time of the block."""
    rude = Rude(behave)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: _Protocol(asyncio.StreamReader(), rude.connected), "127.0.0.1", 0
    )
    rude.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield rude
    finally:
        server.close()
        await rude.stop()
        await server.wait_closed()
