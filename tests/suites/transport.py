"""What every transport must do, against a server that misbehaves.

An implementation's test module defines the fixture ``transport`` and imports everything here.
"""

from __future__ import annotations

import asyncio
import gzip
import socket
import zlib

import pytest

from antiphon.backends.transport import Timeouts, Transport
from antiphon.errors import LocalProtocolError, RemoteError
from tests.suites.rude import Exchange, serving

PATIENCE = 5.0
NOTHING: dict[str, str] = {}


async def post(transport: Transport, url: str, body: bytes = b"{}") -> bytes:
    reply = await transport.send("POST", url, headers=NOTHING, body=body)
    return await reply.read()


async def broken(transport: Transport, url: str, timeouts: Timeouts | None = None) -> RemoteError:
    """The error a request to ``url`` ends with, before or inside the body."""
    with pytest.raises(RemoteError) as caught:
        reply = await transport.send(
            "POST", url, headers=NOTHING, body=b"{}", timeouts=timeouts or Timeouts()
        )
        async for _ in reply.chunks():
            pass
    return caught.value


@pytest.mark.requirement("transport:request:shape")
async def test_a_request_arrives_as_it_was_meant(transport: Transport) -> None:
    async def behave(exchange: Exchange) -> None:
        await exchange.answer(b"yes", "201 Created", "X-Name: a", "x-name: b", "Content-Type: t")

    async with serving(behave) as server:
        headers = {"Authorization": "Bearer k", "Content-Type": "application/json"}
        reply = await transport.send(
            "POST", f"{server.url}/v1/chat?api-version=1&x=%20", headers=headers, body=b'{"a":1}'
        )
        body = await reply.read()
        seen = server.exchanges[0]
    assert (reply.status, body) == (201, b"yes")
    assert (reply.headers["x-name"], reply.headers["content-type"]) == ("a, b", "t")
    assert (seen.method, seen.target) == ("POST", "/v1/chat?api-version=1&x=%20")
    assert seen.body == b'{"a":1}'
    assert seen.headers["host"] == server.url.removeprefix("http://")
    assert seen.headers["authorization"] == "Bearer k"
    assert seen.headers["content-type"] == "application/json"
    assert seen.headers["user-agent"].startswith("antiphon/")
    assert "accept-encoding" not in seen.headers


async def test_a_get_has_no_body_and_credentials_in_the_url_become_a_header(
    transport: Transport,
) -> None:
    async def behave(exchange: Exchange) -> None:
        await exchange.answer(b"ok")

    async with serving(behave) as server:
        url = server.url.replace("http://", "http://user:p%40ss@")
        reply = await transport.send("GET", url, headers=NOTHING)
        assert await reply.read() == b"ok"
        seen = server.exchanges[0]
    assert (seen.method, seen.target, seen.body) == ("GET", "/", b"")
    assert "content-length" not in seen.headers
    assert seen.headers["authorization"] == "Basic dXNlcjpwQHNz"


@pytest.mark.requirement("transport:request:injection")
async def test_a_line_break_in_a_header_is_refused_before_anything_is_sent(
    transport: Transport,
) -> None:
    with pytest.raises(LocalProtocolError):
        await transport.send("POST", "http://127.0.0.1:9/", headers={"A": "b\r\nHost: evil"})


async def test_a_large_body_is_sent_whole(transport: Transport) -> None:
    async def behave(exchange: Exchange) -> None:
        await exchange.answer(str(len(exchange.body)).encode())

    async with serving(behave) as server:
        assert await post(transport, server.url, b"x" * 5_000_000) == b"5000000"


@pytest.mark.requirement("transport:body:as_it_comes")
async def test_a_chunk_is_handed_over_before_the_next_one_is_sent(transport: Transport) -> None:
    read = asyncio.Event()

    async def behave(exchange: Exchange) -> None:
        head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        await exchange.write(head + b"3\r\none\r\n4\r\nmore\r\n")
        await read.wait()
        await exchange.write(b"3;ext=1\r\ntwo\r\n0\r\nTrailer: x\r\n\r\n")

    async with serving(behave) as server:
        reply = await transport.send("POST", server.url, headers=NOTHING)
        chunks = []
        async for chunk in reply.chunks():
            chunks.append(chunk)
            if b"".join(chunks) == b"onemore":
                read.set()
        assert b"".join(chunks) == b"onemoretwo"
        assert await post(transport, server.url) == b"onemoretwo"
        assert server.connections == 1


@pytest.mark.requirement("transport:body:any_cut")
async def test_a_reply_that_arrives_byte_by_byte_is_the_same_reply(transport: Transport) -> None:
    async def behave(exchange: Exchange) -> None:
        text = b"HTTP/1.1 103 Early Hints\r\nA: c\r\n\r\n"
        text += b"HTTP/1.1 200 Fine\r\nA: b\r\nTransfer-Encoding: chunked\r\n\r\n"
        text += b"5\r\nhello\r\n0\r\n\r\n"
        for at in range(len(text)):
            await exchange.write(text[at : at + 1])
            await asyncio.sleep(0)

    async with serving(behave) as server:
        reply = await transport.send("POST", server.url, headers=NOTHING)
        assert (reply.status, reply.headers["a"], await reply.read()) == (200, "b", b"hello")


@pytest.mark.requirement("transport:keep_alive:reuse")
async def test_a_connection_is_used_again_unless_the_peer_says_close(transport: Transport) -> None:
    async def behave(exchange: Exchange) -> None:
        closing = ("Connection: close",) if exchange.target == "/close" else ()
        await exchange.answer(b"ok", "200 OK", *closing)

    async with serving(behave) as server:
        for path in ("/1", "/2", "/close", "/3"):
            assert await post(transport, server.url + path) == b"ok"
        assert [e.connection for e in server.exchanges] == [1, 1, 1, 2]


@pytest.mark.requirement("transport:keep_alive:stale")
async def test_a_kept_connection_closed_before_it_answered_is_replaced_once(
    transport: Transport,
) -> None:
    async def behave(exchange: Exchange) -> None:
        if exchange.target == "/second" and exchange.connection == 1:
            exchange.cut()
        else:
            await exchange.answer(exchange.body)

    async with serving(behave) as server:
        assert await post(transport, server.url + "/first", b"1") == b"1"
        assert await post(transport, server.url + "/second", b"2") == b"2"
        assert [e.target for e in server.exchanges] == ["/first", "/second", "/second"]


async def test_a_kept_connection_closed_while_unused_is_not_used(transport: Transport) -> None:
    async def behave(exchange: Exchange) -> None:
        await exchange.answer(b"ok")
        if exchange.connection == 1:
            exchange.cut()

    async with serving(behave) as server:
        assert await post(transport, server.url) == b"ok"
        await asyncio.wait_for(server.left.wait(), PATIENCE)
        assert await post(transport, server.url) == b"ok"
        assert len(server.exchanges) == 2


@pytest.mark.requirement("transport:failure:no_answer")
async def test_a_fresh_connection_closed_without_an_answer_is_an_error(
    transport: Transport,
) -> None:
    async def behave(exchange: Exchange) -> None:
        exchange.cut()

    async with serving(behave) as server:
        error = await broken(transport, server.url + "/?key=secret")
        assert (error.status, error.code, error.retryable) == (502, "upstream_broke_off", False)
        assert "secret" not in error.message and server.url in error.message
        assert len(server.exchanges) == 1


@pytest.mark.requirement("transport:failure:refused")
async def test_a_refused_connection_may_be_tried_again(transport: Transport) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, not listening: refused
        error = await broken(transport, f"http://127.0.0.1:{taken.getsockname()[1]}/?key=secret")
    assert (error.status, error.code, error.retryable) == (502, "upstream_unreachable", True)
    assert "secret" not in error.message


async def test_a_name_that_is_no_host_is_unreachable(transport: Transport) -> None:
    error = await broken(transport, "http://no-such-host.invalid:1/")
    assert (error.status, error.code, error.retryable) == (502, "upstream_unreachable", True)


@pytest.mark.requirement("transport:timeout:connect")
async def test_a_connection_that_takes_too_long_may_be_tried_again(transport: Transport) -> None:
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        waiting = [socket.socket() for _ in range(4)]  # they fill the queue of the listener
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(full.getsockname())
        url = f"http://127.0.0.1:{full.getsockname()[1]}/"
        error = await broken(transport, url, Timeouts(connect_seconds=0.1))
        for one in waiting:
            one.close()
    assert (error.status, error.code, error.retryable) == (504, "upstream_timeout", True)


@pytest.mark.requirement("transport:timeout:first_byte")
async def test_headers_that_do_not_come_end_in_a_timeout_and_a_closed_connection(
    transport: Transport,
) -> None:
    async def behave(exchange: Exchange) -> None:
        await exchange.write(b"HTTP/1.1 200 OK\r\nContent-")
        await asyncio.Event().wait()

    async with serving(behave) as server:
        error = await broken(transport, server.url, Timeouts(first_byte_seconds=0.05))
        assert (error.status, error.code, error.retryable) == (504, "upstream_timeout", False)
        await asyncio.wait_for(server.left.wait(), PATIENCE)


async def test_a_timeout_on_a_kept_connection_is_not_tried_again(transport: Transport) -> None:
    async def behave(exchange: Exchange) -> None:
        if exchange.target == "/slow":
            await asyncio.Event().wait()
        await exchange.answer(b"ok")

    async with serving(behave) as server:
        await post(transport, server.url)
        error = await broken(transport, server.url + "/slow", Timeouts(first_byte_seconds=0.05))
        assert (error.status, error.code) == (504, "upstream_timeout")
        assert len(server.exchanges) == 2


@pytest.mark.requirement("transport:timeout:idle")
async def test_a_body_that_stops_coming_ends_in_a_timeout_after_what_came(
    transport: Transport,
) -> None:
    async def behave(exchange: Exchange) -> None:
        await exchange.write(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc")
        await asyncio.Event().wait()

    async with serving(behave) as server:
        reply = await transport.send(
            "POST", server.url, headers=NOTHING, timeouts=Timeouts(idle_seconds=0.05)
        )
        chunks = []
        with pytest.raises(RemoteError) as caught:
            async for chunk in reply.chunks():
                chunks.append(chunk)
        error = caught.value
        assert (error.status, error.code, error.retryable) == (504, "upstream_timeout", False)
        assert b"".join(chunks) == b"abc"
        await asyncio.wait_for(server.left.wait(), PATIENCE)


@pytest.mark.requirement("transport:failure:cut_body")
@pytest.mark.parametrize(
    "text",
    [
        b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n9\r\nde",
        b"Transfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\nzz\r\n",
        b"Content-Length: 9\r\n\r\nabcde",
    ],
)
async def test_a_body_that_breaks_off_hands_over_what_came_and_then_says_so(
    transport: Transport, text: bytes
) -> None:
    sent = asyncio.Event()

    async def behave(exchange: Exchange) -> None:
        head, _, body = text.partition(b"\r\n\r\n")
        await exchange.write(b"HTTP/1.1 200 OK\r\n" + head + b"\r\n\r\n")
        await sent.wait()
        await exchange.write(body)
        exchange.cut()

    async with serving(behave) as server:
        reply = await transport.send("POST", server.url, headers=NOTHING)
        sent.set()
        with pytest.raises(RemoteError) as caught:
            async for _ in reply.chunks():
                pass
        error = caught.value
        assert (error.status, error.code, error.retryable) == (502, "upstream_broke_off", False)


@pytest.mark.requirement("transport:body:too_long")
async def test_bytes_beyond_the_declared_length_are_not_part_of_any_answer(
    transport: Transport,
) -> None:
    async def behave(exchange: Exchange) -> None:
        extra = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"
        await exchange.write(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood" + extra)

    async with serving(behave) as server:
        for _ in range(3):
            assert await post(transport, server.url) == b"good"
        assert server.connections == 3


async def test_a_body_without_a_length_ends_with_the_connection(transport: Transport) -> None:
    async def behave(exchange: Exchange) -> None:
        await exchange.write(b"HTTP/1.1 200 OK\r\n\r\nall of it")
        exchange.cut()

    async with serving(behave) as server:
        assert await post(transport, server.url) == b"all of it"


@pytest.mark.requirement("transport:failure:not_http")
@pytest.mark.parametrize(
    "text",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
        b"HTTP/1.1 abc\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nBig: " + b"x" * 300_000 + b"\r\n\r\n",
    ],
)
async def test_what_is_not_http_is_a_bad_response(transport: Transport, text: bytes) -> None:
    async def behave(exchange: Exchange) -> None:
        await exchange.write(text)

    async with serving(behave) as server:
        error = await broken(transport, server.url)
        assert (error.status, error.code, error.retryable) == (502, "upstream_bad_response", False)
        await asyncio.wait_for(server.left.wait(), PATIENCE)


@pytest.mark.requirement("transport:body:gzip")
@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
async def test_a_compressed_body_is_unpacked_as_it_comes(
    transport: Transport, encoding: str
) -> None:
    plain = b"".join(b"line %d\n" % n for n in range(20_000))
    packed = gzip.compress(plain) if encoding == "gzip" else zlib.compress(plain)

    async def behave(exchange: Exchange) -> None:
        if exchange.target == "/length":
            await exchange.answer(packed, "200 OK", f"Content-Encoding: {encoding}")
            return
        head = f"Content-Encoding: {encoding}\r\nTransfer-Encoding: chunked\r\n\r\n"
        await exchange.write(b"HTTP/1.1 200 OK\r\n" + head.encode())
        for at in range(0, len(packed), 5000):
            piece = packed[at : at + 5000]
            await exchange.write(b"%x\r\n%s\r\n" % (len(piece), piece))
        await exchange.write(b"0\r\n\r\n")

    async with serving(behave) as server:
        assert await post(transport, server.url + "/length") == plain
        assert await post(transport, server.url + "/chunked") == plain


async def test_a_damaged_compressed_body_breaks_off(transport: Transport) -> None:
    async def behave(exchange: Exchange) -> None:
        await exchange.answer(b"not gzip at all", "200 OK", "Content-Encoding: gzip")

    async with serving(behave) as server:
        assert (await broken(transport, server.url)).code == "upstream_broke_off"


@pytest.mark.requirement("transport:status:interim")
async def test_interim_answers_are_skipped(transport: Transport) -> None:
    async def behave(exchange: Exchange) -> None:
        await exchange.write(
            b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nA: b\r\n\r\n"
        )
        await exchange.answer(b"final")

    async with serving(behave) as server:
        reply = await transport.send("POST", server.url, headers=NOTHING, body=b"{}")
        assert (reply.status, await reply.read(), "a" in reply.headers) == (200, b"final", False)


async def test_a_status_without_a_body_keeps_the_connection(transport: Transport) -> None:
    async def behave(exchange: Exchange) -> None:
        await exchange.write(b"HTTP/1.1 204 No Content\r\n\r\n")

    async with serving(behave) as server:
        assert await post(transport, server.url) == b""
        assert await post(transport, server.url) == b""
        assert server.connections == 1


@pytest.mark.requirement("transport:status:redirect")
async def test_a_redirect_is_not_followed(transport: Transport) -> None:
    async def behave(exchange: Exchange) -> None:
        await exchange.answer(b"", "302 Found", "Location: /elsewhere")

    async with serving(behave) as server:
        reply = await transport.send("POST", server.url, headers=NOTHING)
        assert (reply.status, reply.headers["location"]) == (302, "/elsewhere")
        assert len(server.exchanges) == 1
        await reply.close()


@pytest.mark.requirement("transport:body:read_limit")
async def test_a_body_beyond_the_readers_limit_is_an_error(transport: Transport) -> None:
    async def behave(exchange: Exchange) -> None:
        await exchange.answer(b"x" * 5000)

    async with serving(behave) as server:
        reply = await transport.send("POST", server.url, headers=NOTHING)
        with pytest.raises(RemoteError) as caught:
            await reply.read(4999)
        assert (caught.value.status, caught.value.code) == (502, "upstream_too_large")
        reply = await transport.send("POST", server.url, headers=NOTHING)
        assert len(await reply.read(5000)) == 5000


async def test_many_at_once_each_get_their_own_answer(transport: Transport) -> None:
    together = asyncio.Barrier(50)

    async def behave(exchange: Exchange) -> None:
        await together.wait()
        await exchange.answer(exchange.body * 1000)

    async with serving(behave) as server:
        bodies = [b"%d," % n for n in range(50)]
        answers = await asyncio.gather(*(post(transport, server.url, b) for b in bodies))
        assert answers == [b * 1000 for b in bodies]
        assert server.connections == 50
        await asyncio.gather(*(post(transport, server.url, b) for b in bodies))
        assert server.connections == 50


@pytest.mark.requirement("transport:cancel:upstream_notices")
@pytest.mark.parametrize("head_first", [False, True])
async def test_cancelling_closes_the_connection_at_once(
    transport: Transport, head_first: bool
) -> None:
    arrived = asyncio.Event()

    async def behave(exchange: Exchange) -> None:
        if head_first:
            await exchange.write(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n")
        arrived.set()
        await asyncio.Event().wait()

    async with serving(behave) as server:
        asking = asyncio.ensure_future(post(transport, server.url))
        await asyncio.wait_for(arrived.wait(), PATIENCE)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        await asyncio.wait_for(server.left.wait(), PATIENCE)


@pytest.mark.requirement("transport:cancel:abandoned_body")
@pytest.mark.parametrize("way", ["close", "aclose"])
async def test_abandoning_the_body_closes_the_connection_at_once(
    transport: Transport, way: str
) -> None:
    async def behave(exchange: Exchange) -> None:
        await exchange.write(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc")
        await asyncio.Event().wait()

    async with serving(behave) as server:
        reply = await transport.send("POST", server.url, headers=NOTHING)
        chunks = reply.chunks()
        assert await anext(chunks) == b"abc"
        if way == "close":
            await reply.close()
        else:
            await chunks.aclose()  # type: ignore[attr-defined]
        await asyncio.wait_for(server.left.wait(), PATIENCE)


async def test_closing_a_reply_that_was_read_keeps_the_connection(transport: Transport) -> None:
    async def behave(exchange: Exchange) -> None:
        await exchange.answer(b"ok")

    async with serving(behave) as server:
        for _ in range(2):
            reply = await transport.send("POST", server.url, headers=NOTHING)
            await reply.read()
            await reply.close()
        assert server.connections == 1


@pytest.mark.requirement("transport:back_pressure:pauses")
async def test_a_reader_that_lags_stops_the_sender(transport: Transport) -> None:
    total = 48 * 1024 * 1024
    stalled = asyncio.Event()
    sent = 0

    async def behave(exchange: Exchange) -> None:
        nonlocal sent
        await exchange.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % total)
        piece = b"x" * (1024 * 1024)
        while sent < total:
            writing = asyncio.ensure_future(exchange.write(piece))
            done, _ = await asyncio.wait((writing,), timeout=0.3)
            if not done:
                stalled.set()
            await writing
            sent += len(piece)

    async with serving(behave) as server:
        reply = await transport.send("POST", server.url, headers=NOTHING)
        await asyncio.wait_for(stalled.wait(), PATIENCE)
        assert sent < total
        size = 0
        async for chunk in reply.chunks():
            size += len(chunk)
        assert size == total


@pytest.mark.requirement("transport:close:breaks_off")
async def test_closing_the_transport_breaks_off_what_is_under_way(transport: Transport) -> None:
    async def behave(exchange: Exchange) -> None:
        await exchange.write(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc")
        await asyncio.Event().wait()

    async with serving(behave) as server:
        reply = await transport.send("POST", server.url, headers=NOTHING)
        chunks = reply.chunks()
        assert await anext(chunks) == b"abc"
        await transport.close()
        with pytest.raises(RemoteError) as caught:
            await anext(chunks)
        assert caught.value.code == "upstream_broke_off"
        await asyncio.wait_for(server.left.wait(), PATIENCE)
