"""Writes that are gathered: their order, and what happens to those that cannot be made."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest

from antiphon.outbox import Outbox

pytestmark = pytest.mark.anyio


class Pipe:
    """A transport and what arrives at its other end."""

    def __init__(self, transport: asyncio.WriteTransport, reader: asyncio.StreamReader) -> None:
        self.transport = transport
        self.reader = reader

    async def arrives(self, size: int) -> bytes:
        async with asyncio.timeout(5):
            return await self.reader.readexactly(size)


@pytest.fixture
async def pipes() -> AsyncIterator[list[Pipe]]:
    made: list[Pipe] = []
    ends: list[asyncio.StreamWriter] = []
    for _ in range(3):
        ours, theirs = socket.socketpair()
        _, writer = await asyncio.open_connection(sock=ours)
        reader, end = await asyncio.open_connection(sock=theirs)
        made.append(Pipe(writer.transport, reader))
        ends += [writer, end]
    yield made
    for end in ends:
        end.transport.abort()


@pytest.mark.requirement("outbox:order")
async def test_what_is_put_in_one_turn_leaves_in_order_and_not_before_its_end(
    pipes: list[Pipe],
) -> None:
    outbox = Outbox()
    for word in (b"a", b"b", b"c"):
        for pipe in pipes:
            outbox.put(pipe.transport, word)
    pipes[1].transport.abort()
    assert [await pipe.arrives(3) for pipe in (pipes[0], pipes[2])] == [b"abc"] * 2
    outbox.put(pipes[0].transport, b"d")
    outbox.flush()
    outbox.flush()
    pipes[0].transport.close()
    assert await pipes[0].arrives(1) == b"d"


@pytest.mark.requirement("outbox:refused")
async def test_a_write_that_is_refused_keeps_no_other_from_being_made(pipes: list[Pipe]) -> None:
    told: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: told.append(context))
    outbox = Outbox()
    pipes[1].transport.write_eof()
    for pipe in pipes:
        outbox.put(pipe.transport, b"a")
    assert [await pipe.arrives(1) for pipe in (pipes[0], pipes[2])] == [b"a"] * 2
    assert len(told) == 1
