"""The HTTP port of the backends: one verb, one close.

    send(POST, url) → Reply(status, headers) → chunks of the body, one per network read

A transport that can (``fast_http``) also pushes: its ``begin`` tells a ``Receiver``, by the same
rules, what its connection reads, so that an answer costs no task.

What may live here: the shape of a request and its reply, the limits, the words for what can
go wrong, and the table of implementations. No socket: those are in the files of ``TRANSPORTS``.

Rules every implementation keeps (``tests/suites/transport.py``)
- Redirects are not followed; a reply of any status is a reply, not an error.
- Before the status line: ``RemoteError`` 502 ``upstream_unreachable`` (refused, DNS, TLS;
  retryable), 504 ``upstream_timeout`` (retryable only while connecting), 502
  ``upstream_broke_off`` (closed without an answer), 502 ``upstream_bad_response`` (not HTTP).
- A kept-alive connection that the peer closed before it answered is replaced once, silently.
- Inside the body: 502 ``upstream_broke_off`` or 504 ``upstream_timeout``, never retryable.
- Messages name the origin only: paths and queries may hold secrets.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import AsyncIterator, Mapping
from importlib import import_module
from typing import Literal, Protocol, cast
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from msgspec import Struct

from antiphon.errors import LocalProtocolError, RemoteError

READ_LIMIT_BYTES = 64 * 1024 * 1024
"""Longest body ``Reply.read`` collects unless told otherwise."""

HEADERS_LIMIT_BYTES = 64 * 1024
"""Longest status line plus headers; beyond it the reply is ``upstream_bad_response``."""

UNREAD_LIMIT_BYTES = 256 * 1024
"""Body bytes kept for a reader that lags; beyond it reading from the socket pauses."""


class Timeouts(Struct, frozen=True):
    """Seconds: until connected, then until the status line, then between reads of the body."""

    connect_seconds: float = 10
    first_byte_seconds: float = 300
    idle_seconds: float = 120


PATIENT = Timeouts()
"""For model calls: five minutes to the first byte."""


class Reply(Protocol):
    """An answer whose body is still on its way. Names in ``headers`` are lower case;
    a header that came several times is joined with a comma and a space."""

    @property
    def status(self) -> int: ...

    @property
    def headers(self) -> Mapping[str, str]: ...

    def chunks(self) -> AsyncIterator[bytes]:
        """The decoded body (chunked, gzip and deflate undone), one item per network read,
        never empty. Iterate once. Leaving early closes the connection."""

    async def read(self, limit_bytes: int = READ_LIMIT_BYTES) -> bytes:
        """The whole decoded body; ``RemoteError`` 502 ``upstream_too_large`` beyond the limit."""

    async def close(self) -> None:
        """Abandons the body: closes the connection at once unless it was received whole."""


class Transport(Protocol):
    """Sends requests and keeps connections. Used from one event loop."""

    async def send(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        body: bytes = b"",
        timeouts: Timeouts = PATIENT,
    ) -> Reply:
        """Returns when the status line and headers are there. Cancelling it drops the
        connection, so the upstream notices."""

    async def close(self) -> None:
        """Closes every connection; replies under way break off."""


class Receiver(Protocol):
    """Takes a pushed answer as it is read, straight from the callback of its connection.

    ``head`` once, ``data`` once per network read that held body bytes (never empty), then
    ``done``; or ``broke`` instead of whatever is missing. After either, nothing. No method waits.
    """

    def head(self, status: int, headers: Mapping[str, str]) -> None: ...

    def data(self, body: bytes) -> None: ...

    def done(self) -> None: ...

    def broke(self, error: RemoteError) -> None: ...


Kind = Literal["auto", "fast", "aiohttp"]

TRANSPORTS = {
    "fast": "antiphon.backends.fast_http:FastHttp",
    "aiohttp": "antiphon.backends.aiohttp_client:AiohttpTransport",
}
"""Word → import path. Each class is called without arguments, inside or outside a loop."""


def transport_for(url: str, *, kind: Kind = "auto") -> Transport:
    """A transport that can reach ``url`` (an upstream's base URL).

    ``auto`` takes the fast client for plain ``http://`` and aiohttp for TLS and for hosts
    that the environment (``HTTP_PROXY``, ``NO_PROXY``) sends through a proxy.
    """
    if kind == "auto":
        kind = "fast" if _is_plain(url) else "aiohttp"
    module, _, name = TRANSPORTS[kind].partition(":")
    return cast(Transport, getattr(import_module(module), name)())


def _is_plain(url: str) -> bool:
    parts = urlsplit(url)
    if parts.scheme != "http":
        return False
    proxies = getproxies()
    if "http" not in proxies and "all" not in proxies:
        return True
    return bool(proxy_bypass(parts.netloc.rpartition("@")[2]))


async def collect(reply: Reply, limit_bytes: int) -> bytes:
    """``Reply.read`` in terms of ``Reply.chunks``."""
    pieces: list[bytes] = []
    size = 0
    async for piece in reply.chunks():
        pieces.append(piece)
        size += len(piece)
        if size > limit_bytes:
            await reply.close()
            raise too_large(limit_bytes)
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def field_lines(headers: Mapping[str, str]) -> str:
    """Header lines as they are written; a line break inside one would start another."""
    lines = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
    if lines.count("\n") != len(headers) or lines.count("\r") != len(headers):
        raise LocalProtocolError("a header of an upstream request contains a line break")
    return lines


def why(error: Exception) -> str:
    """The system's words for an error of the network; a TLS error's number is not the system's."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return (
            f"its certificate is not trusted ({error.verify_message}); "
            "name a private authority's in SSL_CERT_FILE"
        )
    if isinstance(error, ssl.SSLError):
        reason = (error.reason or "no reason given").replace("_", " ").lower()
        return f"the TLS handshake failed ({reason})"
    number = getattr(error, "errno", None)
    if isinstance(number, int) and number > 0:
        return os.strerror(number)
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def unreachable(origin: str, reason: str) -> RemoteError:
    return RemoteError(
        f"The upstream at {origin} cannot be reached: {reason}.",
        status=502,
        code="upstream_unreachable",
        retryable=True,
    )


def too_slow(origin: str, waited_for: str, seconds: float, *, retryable: bool) -> RemoteError:
    return RemoteError(
        f"The upstream at {origin} gave no {waited_for} within {seconds:g} seconds.",
        status=504,
        code="upstream_timeout",
        retryable=retryable,
    )


def broke_off(origin: str, reason: str) -> RemoteError:
    return RemoteError(
        f"The upstream at {origin} broke off: {reason}.",
        status=502,
        code="upstream_broke_off",
    )


def too_large(limit_bytes: int) -> RemoteError:
    return RemoteError(
        f"The upstream's answer is longer than {limit_bytes} bytes.", code="upstream_too_large"
    )


def bad_response(origin: str, reason: str) -> RemoteError:
    return RemoteError(
        f"The upstream at {origin} does not answer in HTTP/1.1: {reason}.",
        status=502,
        code="upstream_bad_response",
    )
