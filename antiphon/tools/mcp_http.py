"""HTTP to MCP servers: only to addresses that are allowed, and only answers of bearable size.

The SDK is given a client whose connections are made here: the name is resolved, every address
that came back is judged (``addresses.Guard``), and what is connected to is that very address, so
a name cannot mean another one a moment later. The SDK follows redirects within one origin only;
each of them is a connection from here. No proxy of the environment is used: its address would be
judged instead. Answers must not be compressed, because their size could not be known.

A request that fails is told to the SDK as an answer with status 502, so that it ends that request
and not the whole session; what really happened stands in ``Traffic``.

Imported on first use, like everything of the SDK.
"""

from __future__ import annotations

import asyncio
import contextvars
import socket
import ssl
from collections.abc import AsyncIterator, Iterable, Mapping
from functools import cache
from typing import Any

import httpcore2
import httpx2

from antiphon import __version__
from antiphon.addresses import Guard
from antiphon.tools.mcp_base import McpError
from antiphon.tools.mcp_results import too_long

_ENVELOPE_BYTES = 65_536
"""What an answer may have besides its result: JSON-RPC, the framing of events, progress."""


class Traffic:
    """What one call, or one attempt to connect, saw of HTTP. ``gets``: it begins with a GET, whose
    failure is its own; the GET of streamable HTTP is optional and may fail."""

    def __init__(self, *, gets: bool = False) -> None:
        self._gets = gets
        self.status: int | None = None
        self.is_json = False
        self.fault: McpError | None = None
        self.failed = asyncio.Event()

    def counts(self, method: str) -> bool:
        """Whether a request of this method decides."""
        return method == "POST" or (method == "GET" and self._gets)

    def answered(self, reply: httpx2.Response) -> None:
        """Note a status; the last one decides."""
        self.status = reply.status_code
        self.is_json = reply.headers.get("content-type", "").lower().startswith("application/json")
        self.fault = None
        if self.status >= 300:
            self.failed.set()

    def broke(self, fault: McpError) -> None:
        """Note that there is no answer, or none that is read."""
        self.status, self.fault = None, fault
        self.failed.set()

    @property
    def error(self) -> McpError | None:
        """The failure, unless the server told it better, in JSON-RPC."""
        if self.fault is not None or self.status is None or self.status < 300:
            return self.fault
        if self.is_json and self.status in (400, 404):
            return None
        where = "redirects elsewhere" if self.status < 400 else "answered"
        return McpError(
            "http_error", self.status, f"The MCP server {where} (HTTP status {self.status})."
        )

    @property
    def unknown_transport(self) -> bool:
        """Whether the status is one of those by which servers of the older transport refuse a
        POST to their address."""
        return (
            self.status is not None and 400 <= self.status < 500 and self.status not in (401, 403)
        )


TRAFFIC: contextvars.ContextVar[Traffic | None] = contextvars.ContextVar("traffic", default=None)
"""Set by whoever calls. The SDK carries the context of a sender to the request it makes."""


def client_for(
    guard: Guard | None,
    headers: Mapping[str, str],
    *,
    connect_seconds: float,
    answer_seconds: float,
    answer_bytes_max: int,
) -> httpx2.AsyncClient:
    """A client of one session; ``guard`` None: of a server the operator configured."""
    return httpx2.AsyncClient(
        transport=_Guarded(guard, answer_bytes_max),
        headers={
            b"user-agent": f"antiphon/{__version__}".encode(),
            # As texts, only ASCII ones would be taken.
            **{name.encode(): value.encode("latin-1") for name, value in headers.items()},
            b"accept-encoding": b"identity",
        },
        timeout=httpx2.Timeout(connect_seconds, read=answer_seconds),
        trust_env=False,
    )


class _Guarded(httpx2.AsyncHTTPTransport):
    """Judges, counts, and tells failures as answers."""

    def __init__(self, guard: Guard | None, answer_bytes_max: int) -> None:
        # The pool of the base class cannot be given our network, so it is never made.
        self._pool = httpcore2.AsyncConnectionPool(
            ssl_context=_trust(),
            max_connections=100,
            max_keepalive_connections=20,
            keepalive_expiry=30.0,
            network_backend=_Network(guard),
        )
        self._bytes_max = answer_bytes_max

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        traffic = TRAFFIC.get()
        if traffic is not None and not traffic.counts(request.method):
            traffic = None
        try:
            reply = await super().handle_async_request(request)
        except httpx2.TransportError as error:
            if traffic is not None:
                traffic.broke(_fault_of(error))
            return httpx2.Response(502, request=request)
        if "content-encoding" in reply.headers:
            await reply.aclose()
            if traffic is not None:
                traffic.broke(McpError("http_error", 502, "The MCP server compressed its answer."))
            return httpx2.Response(502, request=request)
        if traffic is not None:
            traffic.answered(reply)
        if request.method == "GET":
            return reply  # a stream of events: each of them is limited by the SDK
        return httpx2.Response(
            reply.status_code,
            headers=reply.headers,
            stream=_Limited(reply.stream, self._bytes_max, traffic),
            extensions=reply.extensions,
        )


class _Limited(httpx2.AsyncByteStream):
    """A body that ends as an error when it is too long or breaks off."""

    def __init__(self, inner: Any, bytes_max: int, traffic: Traffic | None) -> None:
        self._inner = inner
        self._bytes_max = bytes_max
        self._traffic = traffic

    async def __aiter__(self) -> AsyncIterator[bytes]:
        left = self._bytes_max + _ENVELOPE_BYTES
        try:
            async for part in self._inner:
                left -= len(part)
                if left < 0:
                    self._broke(too_long(self._bytes_max))
                    raise httpx2.StreamError("too long")
                yield part
        except httpx2.TransportError as error:
            self._broke(_fault_of(error))
            raise httpx2.StreamError("broke off") from None

    def _broke(self, fault: McpError) -> None:
        if self._traffic is not None:
            self._traffic.broke(fault)

    async def aclose(self) -> None:
        await self._inner.aclose()


class _Network(httpcore2.AsyncNetworkBackend):
    """Connections to addresses, each of them judged. Raises ``httpcore2.ConnectError``."""

    def __init__(self, guard: Guard | None) -> None:
        self._guard = guard
        self._inner = httpcore2.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        if self._guard is None:
            return await self._inner.connect_tcp(host, port, timeout, None, socket_options)
        try:
            async with asyncio.timeout(timeout):
                addresses = await _addresses(host, port)
        except TimeoutError:
            raise httpcore2.ConnectTimeout("no address in time") from None
        refused = ""
        failure: httpcore2.NetworkError | None = None
        trusted = self._guard.trusts(host)
        for address in addresses:
            why = None if trusted else self._guard.refusal(address)
            if why is not None:
                refused = why
                continue
            try:
                return await self._inner.connect_tcp(address, port, timeout, None, socket_options)
            except httpcore2.NetworkError as error:
                failure = error
        raise failure or _Refusal(refused)

    async def connect_unix_socket(
        self, path: str, timeout: float | None = None, socket_options: Any = None
    ) -> httpcore2.AsyncNetworkStream:
        raise _Refusal("a socket of this machine")

    async def sleep(self, seconds: float) -> None:
        await self._inner.sleep(seconds)


class _Refusal(httpcore2.ConnectError):
    """A connection that is not made; its text says why, without the address."""


async def _addresses(host: str, port: int) -> list[str]:
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise httpcore2.ConnectError("no such host") from None
    return list(dict.fromkeys(str(place[0]) for *_, place in found))


def _fault_of(error: httpx2.TransportError) -> McpError:
    cause = error.__cause__
    if isinstance(cause, _Refusal):
        return McpError(
            "http_error", 403, f"The address of the MCP server is not allowed: it is {cause}."
        )
    if isinstance(error, httpx2.TimeoutException):
        return McpError("http_error", 504, "The MCP server did not answer in time.")
    what = type(error).__name__
    return McpError("http_error", 502, f"The MCP server cannot be reached ({what}).")


@cache
def _trust() -> ssl.SSLContext:
    """Whom TLS connections trust: the system, or what ``SSL_CERT_FILE`` names."""
    return ssl.create_default_context()
