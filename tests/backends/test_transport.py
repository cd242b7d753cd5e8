"""Both transports against the shared suite, and what only one of them does."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from typing import Any

import pytest

from antiphon.backends.aiohttp_client import AiohttpTransport
from antiphon.backends.fast_http import FastHttp
from antiphon.backends.fast_reply import Fields
from antiphon.backends.transport import Transport, transport_for, why
from antiphon.errors import LocalProtocolError
from tests.suites.pushing import PushedHttp
from tests.suites.rude import Exchange, serving
from tests.suites.transport import *  # noqa: F403
from tests.suites.transport import NOTHING, PATIENCE, broken, post

pytestmark = pytest.mark.anyio

PROXY_VARIABLES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


@pytest.fixture(params=[False, True], ids=["asyncio", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    """uvloop's transports differ in when they notice a close: both loops matter."""
    if request.param:
        pytest.importorskip("uvloop")
    return "asyncio", {"use_uvloop": request.param}


@pytest.fixture(params=["fast", "pushed", "aiohttp"])
async def transport(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Transport]:
    forget_proxies(monkeypatch)
    if request.param == "pushed":
        one: Transport = PushedHttp()
    else:
        one = transport_for("http://127.0.0.1", kind=request.param)
    yield one
    await one.close()


def forget_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in PROXY_VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.mark.requirement("transport:choice:by_url")
def test_the_url_and_the_environment_choose_the_transport(monkeypatch: pytest.MonkeyPatch) -> None:
    forget_proxies(monkeypatch)
    assert isinstance(transport_for("http://127.0.0.1:8080/v1"), FastHttp)
    assert isinstance(transport_for("https://example.org/v1"), AiohttpTransport)
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:3128")
    monkeypatch.setenv("no_proxy", "localhost,127.0.0.1")
    assert isinstance(transport_for("http://example.org/v1"), AiohttpTransport)
    assert isinstance(transport_for("http://127.0.0.1:8080/v1"), FastHttp)
    assert isinstance(transport_for("http://127.0.0.1/v1", kind="aiohttp"), AiohttpTransport)


async def test_the_proxy_of_the_environment_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    async def behave(exchange: Exchange) -> None:
        await exchange.answer(b"by proxy")

    forget_proxies(monkeypatch)
    async with serving(behave) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        transport = transport_for("http://example.invalid/v1")
        assert await post(transport, "http://example.invalid/v1") == b"by proxy"
        assert proxy.exchanges[0].target == "http://example.invalid/v1"
        await transport.close()


async def test_a_peer_that_does_not_speak_tls_is_unreachable() -> None:
    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    transport = AiohttpTransport()
    async with await asyncio.start_server(connected, "127.0.0.1", 0) as server:
        error = await broken(transport, f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/")
    await transport.close()
    assert (error.status, error.code, error.retryable) == (502, "upstream_unreachable", True)
    assert "the TLS handshake failed (" in str(error)


def test_a_certificate_nobody_vouches_for_is_called_that() -> None:
    error = ssl.SSLCertVerificationError(1, "[SSL: CERTIFICATE_VERIFY_FAILED]")
    error.verify_message = "self-signed certificate"
    assert why(error).startswith("its certificate is not trusted (self-signed certificate)")


async def test_the_fast_client_refuses_urls_it_cannot_speak() -> None:
    transport = FastHttp()
    for url in ("https://example.org/", "http:///path", "http://host:port/", "ftp://host/"):
        with pytest.raises(LocalProtocolError):
            await transport.send("GET", url, headers=NOTHING)


@pytest.mark.requirement("transport:keep_alive:expires")
async def test_an_unused_connection_is_closed_after_a_while() -> None:
    async def behave(exchange: Exchange) -> None:
        await exchange.answer(b"ok")

    async with serving(behave) as server:
        transport = FastHttp(keep_alive_seconds=0.05)
        assert await post(transport, server.url) == b"ok"
        await asyncio.wait_for(server.left.wait(), PATIENCE)
        assert not transport.open
        assert await post(transport, server.url) == b"ok"
        assert server.connections == 2
        await transport.close()


async def test_no_more_unused_connections_are_kept_than_allowed() -> None:
    together = asyncio.Barrier(4)

    async def behave(exchange: Exchange) -> None:
        await together.wait()
        await exchange.answer(b"ok")

    async with serving(behave) as server:
        transport = FastHttp(idle_connections_max=2)
        await asyncio.gather(*(post(transport, server.url) for _ in range(4)))
        await asyncio.gather(*(post(transport, server.url) for _ in range(4)))
        assert server.connections == 6
        await transport.close()


async def test_a_peer_that_speaks_without_being_asked_is_dropped() -> None:
    async def behave(exchange: Exchange) -> None:
        await exchange.answer(b"ok")
        if exchange.connection == 1:
            await asked.wait()
            await exchange.answer(b"too late", "408 Request Timeout")

    asked = asyncio.Event()
    async with serving(behave) as server:
        transport = FastHttp()
        assert await post(transport, server.url) == b"ok"
        asked.set()
        await asyncio.wait_for(server.left.wait(), PATIENCE)
        assert await post(transport, server.url) == b"ok"
        assert server.connections == 2
        await transport.close()


async def test_an_encoding_nobody_asked_for_is_a_bad_response() -> None:
    async def behave(exchange: Exchange) -> None:
        await exchange.answer(b"?", "200 OK", "Content-Encoding: zstd-2")

    async with serving(behave) as server:
        transport = FastHttp()
        assert (await broken(transport, server.url)).code == "upstream_bad_response"
        await transport.close()


@pytest.mark.requirement("transport:keep_alive:no_second_try")
async def test_nothing_is_sent_twice_once_a_byte_of_the_answer_was_read() -> None:
    transport = FastHttp()

    async def behave(exchange: Exchange) -> None:
        if exchange.target == "/ok":
            await exchange.answer(b"ok")
        else:
            await exchange.write(b"HTTP/1.1 200 O")
            exchange.cut()

    async with serving(behave) as server:
        await post(transport, server.url + "/ok")
        error = await broken(transport, server.url + "/cut")
        assert (error.status, error.retryable) == (502, False)
        assert [e.target for e in server.exchanges].count("/cut") == 1
        await transport.close()


def test_the_fields_of_a_head_are_a_mapping_with_names_in_lower_case() -> None:
    fields = Fields(b"HTTP/1.1 200 OK\r\nA:  b \r\nSet-Cookie: c\r\nset-cookie: a: d\r\nEmpty:")
    assert dict(fields) == {"a": "b", "set-cookie": "c, a: d", "empty": ""}
    assert len(fields) == 3 and fields.get("cookie", "none") == "none" and "b" not in fields
    with pytest.raises(KeyError):
        fields["http/1.1 200 ok"]
