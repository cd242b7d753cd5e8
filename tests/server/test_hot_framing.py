"""Where a request ends: what RFC 9112 forbids is a 400 that closes the connection, and what
stands behind it is never read as another request."""

from __future__ import annotations

import gzip
from typing import Any

import msgspec
import pytest

from tests.server.asgi_client import AsgiClient
from tests.server.conftest import House, over_socket
from tests.server.lines import HELLO, STREAM, chunked, get, post, same
from tests.server.socket_client import Connection, Front, SocketClient, configured

pytestmark = [pytest.mark.anyio, over_socket, pytest.mark.usefixtures("quiet")]

HEAD_BYTES_MAX = 65_536
BODY = msgspec.json.encode(HELLO)
LENGTH = b"Content-Length: %d" % len(BODY)
CHUNKED = b"Transfer-Encoding: chunked"
SMUGGLED = get("/v1/smuggled")
MODELS = get("/v1/models")


def asking(
    *lines: bytes, body: bytes = BODY, first: bytes = b"POST /v1/responses HTTP/1.1"
) -> bytes:
    return b"\r\n".join([first, b"Host: x", *lines, b"", b""]) + body


REFUSED = {
    "two lengths": asking(LENGTH, b"Content-Length: 5"),
    "two lengths, the true one last": asking(b"Content-Length: 5", LENGTH),
    "the same length twice": asking(LENGTH, LENGTH),
    "a list of lengths": asking(LENGTH + b", %d" % len(BODY)),
    "a length with a sign": asking(b"Content-Length: +%d" % len(BODY)),
    "a negative length": asking(b"Content-Length: -1"),
    "a hexadecimal length": asking(b"Content-Length: 0x28"),
    "a length in two pieces": asking(b"Content-Length: 4 0"),
    "a length with an underscore": asking(b"Content-Length: 4_0"),
    "a length in other digits": asking("Content-Length: ٤٠".encode()),
    "no length at all": asking(b"Content-Length:"),
    "an endless length": asking(b"Content-Length: 99999999999999999999999"),
    "a length and chunks": asking(LENGTH, CHUNKED, body=chunked(BODY)),
    "chunks and a length": asking(CHUNKED, LENGTH, body=chunked(BODY)),
    "a length and another coding": asking(LENGTH, b"Transfer-Encoding: identity"),
    "chunks not last": asking(b"Transfer-Encoding: chunked, gzip", body=chunked(BODY)),
    "chunks twice": asking(CHUNKED, CHUNKED, body=chunked(BODY)),
    "chunks behind a control": asking(b"Transfer-Encoding: \x0bchunked", body=chunked(BODY)),
    "a blank before the colon": asking(b"Content-Length : %d" % len(BODY)),
    "chunks, a blank before the colon": asking(b"Transfer-Encoding : chunked", LENGTH),
    "a folded line": asking(b"X-A: b", b" c", LENGTH),
    "a folded length": asking(b"Content-Length:", b" %d" % len(BODY)),
    "a length in a fold": asking(b"X-A: b", b" Content-Length: 5", LENGTH),
    "line feeds alone": asking(LENGTH, body=b"").replace(b"\r\n", b"\n") + BODY,
    "a line feed alone": asking(b"X-A: b\nX-B: c", LENGTH),
    "a length behind a line feed": asking(b"X-A: b\nContent-Length: 0", LENGTH),
    "a carriage return alone": asking(b"X-A: b\rX-B: c", LENGTH),
    "a length behind a carriage return": asking(b"X-A: b\rContent-Length: 0", LENGTH),
    "NUL in a value": asking(b"X-A: b\0c", LENGTH),
    "NUL in a name": asking(b"X-\0A: b", LENGTH),
    "a control in a value": asking(b"X-A: b\x01c", LENGTH),
    "an empty name": asking(b": b", LENGTH),
    "no colon": asking(b"Xabc", LENGTH),
    "a blank before the first header": asking(LENGTH).replace(b"\r\nHost", b"\r\n Host"),
    "a blank before the method": b" " + asking(LENGTH),
    "a method in small letters": asking(LENGTH, first=b"post /v1/responses HTTP/1.1"),
    "a version in small letters": asking(LENGTH, first=b"POST /v1/responses http/1.1"),
    "a version nobody knows": asking(LENGTH, first=b"POST /v1/responses HTTP/1.2"),
    "a blank in the path": asking(LENGTH, first=b"POST /v1/ responses HTTP/1.1"),
    "a blank behind the version": asking(LENGTH, first=b"POST /v1/responses HTTP/1.1 "),
    "a path that is not ASCII": asking(LENGTH, first="POST /v1/responsés HTTP/1.1".encode()),
    "a method nobody knows": asking(LENGTH, first=b"BREW /v1/responses HTTP/1.1"),
    "the start of TLS": bytes.fromhex("16030100c4010000c00303"),
    "the start of HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "a chunk without a size": asking(CHUNKED, body=b"zz\r\n" + BODY + b"\r\n0\r\n\r\n"),
    "a negative chunk": asking(CHUNKED, body=b"-1\r\n" + BODY + b"\r\n0\r\n\r\n"),
    "an endless chunk": asking(CHUNKED, body=b"fffffffffffffffff\r\n" + BODY + b"\r\n0\r\n\r\n"),
    "a chunk that is longer": asking(CHUNKED, body=b"5\r\n" + BODY + b"\r\n0\r\n\r\n"),
    "a chunk without an end": asking(CHUNKED, body=b"%x\r\n" % len(BODY) + BODY + b"0\r\n\r\n"),
    "chunks with line feeds": asking(CHUNKED, body=chunked(BODY).replace(b"\r\n", b"\n")),
}


@pytest.mark.requirement("http:hot:framing")
@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.parametrize("apart", [False, True], ids=["at once", "head and body apart"])
async def test_what_is_not_http_is_400_and_the_end(
    house: House, line: Connection, name: str, apart: bool
) -> None:
    """First on a connection, and behind a request that was answered."""
    other = await Front(configured(house.app, house.deps)).connect()
    assert (await other.ask(post(HELLO))).status == 200
    for connection in (line, other):
        before = len(house.finished())
        whole = REFUSED[name] + SMUGGLED
        at = whole.find(BODY) if apart else 0
        connection.say(whole[:at])
        connection.say(whole[at:])
        said = await connection.rest()
        assert said.startswith(b"HTTP/1.1 400 ") and said.count(b"HTTP/1.1 ") == 1, said
        assert b"\r\nconnection: close\r\n" in said
        assert {told.status for told in house.finished()[before:]} <= {400, 499}
    await other.close()


@pytest.mark.requirement("http:hot:framing")
async def test_what_is_behind_a_body_that_is_too_long_is_not_a_request(
    house: House, line: Connection
) -> None:
    """Its own head announced fewer bytes than came."""
    line.say(asking(b"Content-Length: 5") + SMUGGLED)
    said = await line.rest()
    assert said.startswith(b"HTTP/1.1 400 ")
    assert [told.status for told in house.finished()] == [400]


TAKEN = {
    "a length with zeros": asking(b"Content-Length: 00%d" % len(BODY)),
    "a length among blanks": asking(b"Content-Length:   %d  " % len(BODY)),
    "a length in capitals": asking(LENGTH.upper()),
    "a length in small letters": asking(LENGTH.lower()),
    "no blank behind the colon": asking(LENGTH.replace(b": ", b":")),
    "a tab behind the colon": asking(LENGTH.replace(b": ", b":\t")),
    "a value that is not ASCII": asking(b"X-A: b\xffc", LENGTH),
    "an empty value": asking(b"X-A:", LENGTH),
    "colons in a value": asking(b"X-A: a: b: c", LENGTH),
    "a value that looks like a head": asking(b"X-A: POST /v1/responses HTTP/1.1", LENGTH),
    "no host": asking(LENGTH).replace(b"Host: x\r\n", b""),
    "an empty line before": b"\r\n" + asking(LENGTH),
    "empty lines before": b"\r\n\r\n\r\n" + asking(LENGTH),
    "an address": asking(LENGTH, first=b"POST http://x/v1/responses HTTP/1.1"),
    "an address with a port": asking(LENGTH, first=b"POST http://x:80/v1/responses HTTP/1.1"),
    "an encoded path": asking(LENGTH, first=b"POST /v1/%72esponses HTTP/1.1"),
    "an empty query": asking(LENGTH, first=b"POST /v1/responses? HTTP/1.1"),
    "chunks": asking(CHUNKED, body=chunked(BODY)),
    "chunks of a byte": asking(CHUNKED, body=chunked(*(bytes([b]) for b in BODY))),
    "chunks in capitals": asking(CHUNKED.upper(), body=chunked(BODY)),
    "chunks with more about them": asking(
        CHUNKED, body=b'%x;a="b"\r\n' % len(BODY) + BODY + b"\r\n0\r\n\r\n"
    ),
    "chunks with trailers": asking(
        CHUNKED, b"Trailer: X-T", body=chunked(BODY).removesuffix(b"\r\n") + b"X-T: 1\r\n\r\n"
    ),
    "chunks and gzip": asking(
        CHUNKED, b"Content-Encoding: gzip", body=chunked(gzip.compress(BODY))
    ),
    "a connection header of no meaning": asking(b"Connection: foo", LENGTH),
    "kept alive, in capitals": asking(b"CONNECTION: KEEP-ALIVE", LENGTH),
    "an offer of HTTP/2": asking(b"Connection: Upgrade", b"Upgrade: h2c", LENGTH),
}


@pytest.mark.requirement("http:hot:framing")
@pytest.mark.parametrize("name", TAKEN)
async def test_what_is_http_is_answered_however_it_is_written(
    house: House, line: Connection, name: str
) -> None:
    expected = await AsgiClient(house.app).request("POST", "/v1/responses", body=HELLO)
    for _ in range(2):
        line.say(TAKEN[name] + MODELS)
        assert same(await line.answer()) == same(expected)
        assert (await line.answer()).json()["object"] == "list"


# The last request of a connection


LAST = {
    "asked to close": asking(b"Connection: close", LENGTH),
    "asked to close, in capitals": asking(b"CONNECTION: CLOSE", LENGTH),
    "asked to close among others": asking(b"Connection: keep-alive, close", LENGTH),
    "asked to close and then not": asking(b"Connection: close", b"Connection: keep-alive", LENGTH),
    "asked to keep and then not": asking(b"Connection: keep-alive", b"Connection: close", LENGTH),
    "HTTP/1.0": asking(LENGTH, first=b"POST /v1/responses HTTP/1.0"),
    "HTTP/1.0, and a wish": asking(
        LENGTH, b"Connection: keep-alive", first=b"POST /v1/responses HTTP/1.0"
    ),
    "a bad request": post(b"{", "Connection: close"),
    "an unknown path": get("/v1/nowhere", "Connection: close"),
    "a missing response": get("/v1/responses/resp_" + "0" * 34, "Connection: close"),
    "a stream": post(STREAM, "Connection: close"),
    "a body without end": asking(b"Content-Length: 999999999999"),
}
STATUS = {
    "a bad request": 400,
    "an unknown path": 404,
    "a missing response": 404,
    "a body without end": 413,
}


@pytest.mark.requirement("http:hot:close")
@pytest.mark.parametrize("name", LAST)
async def test_after_the_last_request_the_connection_is_closed_and_nothing_more_is_read(
    house: House, line: Connection, name: str
) -> None:
    line.say(LAST[name] + SMUGGLED)
    answer = await line.answer()
    assert answer.status == STATUS.get(name, 200)
    assert answer.headers["connection"] == "close"
    assert await line.rest() == b""
    assert len(house.finished()) == 1


# Bounds


@pytest.mark.requirement("http:hot:head-bound")
@pytest.mark.parametrize("asked", [post(HELLO), MODELS], ids=["hot", "not hot"])
@pytest.mark.parametrize("piece_bytes", [32_768, 16_384, 1_000])
async def test_a_head_beyond_its_bound_is_refused_and_one_below_is_read(
    line: Connection, asked: bytes, piece_bytes: int
) -> None:
    for size, status in ((HEAD_BYTES_MAX - 1_000, 200), (2 * HEAD_BYTES_MAX, 400)):
        whole = asked.replace(b"Host: x", b"Host: x\r\nX-Long: " + b"a" * size)
        await line.say_apart(
            *(whole[at : at + piece_bytes] for at in range(0, len(whole), piece_bytes))
        )
        assert (await line.answer()).status == status
    assert await line.rest() == b""


@pytest.mark.requirement("http:hot:head-bound")
async def test_a_head_of_many_lines_is_read(line: Connection) -> None:
    headers = [f"X-{number}: {number}" for number in range(1_000)]
    assert (await line.ask(post(HELLO, *headers))).status == 200
    assert (await line.ask(post(HELLO, *headers))).status == 200


LIMIT = 1_024


def sized(size: int) -> bytes:
    """A body of exactly this size."""
    body: dict[str, Any] = {**HELLO, "store": False, "input": ""}
    return msgspec.json.encode({**body, "input": "x" * (size - len(msgspec.json.encode(body)))})


@pytest.mark.requirement("http:hot:body-bound")
@pytest.mark.parametrize(
    ("size", "status", "kept"),
    [
        (LIMIT - 1, 200, True),
        (LIMIT, 200, True),
        (LIMIT + 1, 413, True),
        (2 * LIMIT, 413, True),
        (2 * LIMIT + 1, 413, False),
    ],
)
@pytest.mark.parametrize("form", ["length", "pieces", "chunks", "gzip"])
async def test_a_body_may_be_as_long_as_the_limit(
    house: House, size: int, status: int, kept: bool, form: str
) -> None:
    client = house.having(body_limit_bytes=LIMIT)
    assert isinstance(client, SocketClient)
    line = await client.front.connect()
    body = sized(size)
    match form:
        case "chunks":
            whole = asking(CHUNKED, body=chunked(body[:100], body[100:]))
        case "gzip":
            whole, kept = post(gzip.compress(body), "Content-Encoding: gzip"), True
        case _:
            whole = post(body)
    step = 300 if form == "pieces" else len(whole)
    for at in range(0, len(whole), step):
        line.say(whole[at : at + step])
    answer = await line.answer()
    assert (answer.status, answer.headers.get("connection") != "close") == (status, kept)
    if kept:
        assert (await line.ask(post(HELLO))).status == 200
    await line.close()


# Going on


@pytest.mark.requirement("http:hot:expect")
async def test_a_caller_who_waits_is_told_to_go_on_once_and_only_when_let_in(
    locked_line: Connection,
) -> None:
    for key, status in (("sk-alpha", b"100"), ("wrong", b"401")):
        whole = post(HELLO, "Expect: 100-continue", f"api-key: {key}")
        head = whole.index(b"\r\n\r\n") + 4
        await locked_line.say_apart(whole[:head])
        first = await locked_line.reader.readuntil(b"\r\n\r\n")
        assert first.startswith(b"HTTP/1.1 " + status)
        if status == b"100":
            assert first == b"HTTP/1.1 100 Continue\r\n\r\n"
            assert (await locked_line.ask(whole[head:])).status == 200


@pytest.mark.requirement("http:hot:expect")
async def test_a_caller_who_does_not_wait_is_answered(line: Connection) -> None:
    for _ in range(2):
        assert (await line.ask(post(HELLO, "expect: 100-Continue"))).status == 200


@pytest.mark.requirement("http:hot:same-answer")
async def test_a_head_request_has_no_body_and_the_next_answer_is_in_its_place(
    house: House, line: Connection
) -> None:
    made = (await line.ask(post(HELLO))).json()["id"]
    for path in (f"/v1/responses/{made}", "/v1/models", "/v1/responses/resp_" + "0" * 34):
        got = await line.ask(get(path))
        line.say(get(path).replace(b"GET", b"HEAD") + MODELS)
        head = await line.answer("HEAD")
        assert (head.status, head.body) == (got.status, b"")
        assert head.headers["content-length"] == got.headers["content-length"]
        assert (await line.answer()).json()["object"] == "list"
