"""A chat-completions upstream that a test holds in its hand: it says a word and waits, floods, or
stays silent, and knows how much of it was taken and whether the caller left.

The model's name chooses: ``prompt`` answers at once, ``held`` says one word and goes on when
``go`` is set, ``silent`` says nothing, ``flood`` says ``FLOOD_DELTAS`` long words.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec

FLOOD_DELTAS = 600
FLOOD_WORD = "flood " * 4_000
FLOOD_BYTES = FLOOD_DELTAS * len(FLOOD_WORD)
SEND_BUFFER_BYTES = 65_536
_QUIET_TURNS = 200
"""So many turns of the event loop in which nothing moved: nothing will."""


class Tap:
    """``url`` ends in ``/v1``. ``asked``: how often; ``said_bytes``: what the system took from
    us; ``begun``, ``left``: a call came, a caller left before the end of its answer."""

    def __init__(self) -> None:
        self.url = ""
        self.asked = 0
        self.said_bytes = 0
        self.begun = asyncio.Event()
        self.left = asyncio.Event()
        self.go = asyncio.Event()
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def still(self) -> int:
        """``said_bytes`` when it does not grow any more."""
        turns, before = 0, -1
        while turns < _QUIET_TURNS:
            turns = turns + 1 if before == self.said_bytes else 0
            before = self.said_bytes
            await asyncio.sleep(0)
        return before

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._writers.add(writer)
        ours = writer.get_extra_info("socket")
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
        try:
            while await self._answer(reader, writer):
                pass
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            self._writers.discard(writer)
            writer.close()

    async def close(self) -> None:
        for writer in list(self._writers):
            writer.transport.abort()
        await asyncio.gather(*self._tasks)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        length = head.partition(b"content-length: ")[2].partition(b"\r\n")[0]
        asked: Any = msgspec.json.decode(await reader.readexactly(int(length)))
        self.asked += 1
        self.begun.set()
        leaving = asyncio.ensure_future(reader.read(1))
        telling = asyncio.ensure_future(self._tell(asked, writer))
        await asyncio.wait((leaving, telling), return_when=asyncio.FIRST_COMPLETED)
        if not telling.done():
            self.left.set()
        for part in (leaving, telling):
            part.cancel()
        await asyncio.wait((leaving, telling))
        if telling.cancelled() or telling.exception() is not None:
            self.left.set()
            return False
        return leaving.cancelled()

    async def _tell(self, asked: Any, writer: asyncio.StreamWriter) -> None:
        match asked["model"]:
            case "silent":
                await asyncio.Event().wait()
            case "flood":
                words = [FLOOD_WORD] * FLOOD_DELTAS
            case _:
                words = ["One", " two", " three."]
        if not asked.get("stream"):
            if asked["model"] == "held":
                await self.go.wait()
            await self._whole(words, writer)
            return
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n")
        writer.write(b"Transfer-Encoding: chunked\r\n\r\n")
        for number, word in enumerate(words):
            await self._event(writer, {"index": 0, "delta": {"content": word}})
            if number == 0 and asked["model"] == "held":
                await self.go.wait()
        await self._event(writer, {"index": 0, "delta": {}, "finish_reason": "stop"})
        writer.write(b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n")
        await writer.drain()

    async def _event(self, writer: asyncio.StreamWriter, choice: dict[str, Any]) -> None:
        data = b"data: %b\n\n" % msgspec.json.encode({"choices": [choice]})
        writer.write(b"%x\r\n%b\r\n" % (len(data), data))
        await writer.drain()
        self.said_bytes += len(data)

    async def _whole(self, words: list[str], writer: asyncio.StreamWriter) -> None:
        message = {"role": "assistant", "content": "".join(words)}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        body = msgspec.json.encode({"id": "c", "object": "chat.completion", "choices": [choice]})
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n")
        writer.write(b"Content-Length: %d\r\n\r\n%b" % (len(body), body))
        await writer.drain()
        self.said_bytes += len(body)


@asynccontextmanager
async def tapped() -> AsyncIterator[Tap]:
    tap = Tap()
    async with await asyncio.start_server(tap.serve, "127.0.0.1", 0) as server:
        tap.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
        yield tap
        server.close()
        await tap.close()
