"""The transport for everything the fast client leaves out: TLS and proxies, by aiohttp.

Imported only when an upstream needs it (``transport.TRANSPORTS``), because aiohttp is the
largest import of the process.
"""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator, Mapping
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies

import aiohttp

from antiphon import __version__
from antiphon.backends.transport import (
    HEADERS_LIMIT_BYTES,
    PATIENT,
    READ_LIMIT_BYTES,
    UNREAD_LIMIT_BYTES,
    Reply,
    Timeouts,
    bad_response,
    broke_off,
    collect,
    field_lines,
    too_slow,
    unreachable,
    why,
)
from antiphon.errors import LocalProtocolError, RemoteError

KEEP_ALIVE_SECONDS = 30.0

_OURS = ("Accept-Encoding", "Content-Type")  # aiohttp would add its own


class AiohttpTransport:
    """The transport. Its session is made on first use, inside the running loop."""

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None
        self._fresh: aiohttp.ClientSession | None = None  # never reuses a connection

    async def send(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        body: bytes = b"",
        timeouts: Timeouts = PATIENT,
    ) -> Reply:
        if self._session is None:
            self._session = _session(keep_alive=True)
        call = _Call(method, url, headers, body, timeouts)
        try:
            return await call.over(self._session)
        except RemoteError as error:
            # The peer may close a kept connection while our request is on its way. (Half a
            # status line counts as no answer here: aiohttp does not tell the two apart.)
            if not call.reused or not isinstance(error.__cause__, _CLOSED_UNANSWERED):
                raise
        if self._fresh is None:
            self._fresh = _session(keep_alive=False)
        return await call.over(self._fresh)

    async def close(self) -> None:
        for session in (self._session, self._fresh):
            if session is not None:
                await session.close()
        self._session = self._fresh = None


_LARGE_BYTES = 1024 * 1024  # beyond it aiohttp wants a file, to write it in pieces
_NO_TIMEOUT = aiohttp.ClientTimeout(total=None, connect=None, sock_read=None)  # ours instead
_CLOSED_UNANSWERED = (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError)


def _session(*, keep_alive: bool) -> aiohttp.ClientSession:
    connector = (
        aiohttp.TCPConnector(limit=0, keepalive_timeout=KEEP_ALIVE_SECONDS)
        if keep_alive
        else aiohttp.TCPConnector(limit=0, force_close=True)
    )
    trace = aiohttp.TraceConfig()
    trace.on_connection_create_end.append(_connected)
    trace.on_connection_reuseconn.append(_reused)
    return aiohttp.ClientSession(
        connector=connector,
        trace_configs=[trace],
        trust_env=bool(getproxies()),  # looking takes longer than the rest of a request
        auto_decompress=True,
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"User-Agent": f"antiphon/{__version__}"},
        skip_auto_headers=_OURS,
        read_bufsize=UNREAD_LIMIT_BYTES // 2,  # aiohttp pauses at twice this
        max_line_size=HEADERS_LIMIT_BYTES,
        max_field_size=HEADERS_LIMIT_BYTES,
        raise_for_status=False,
    )


async def _connected(session: Any, context: Any, params: Any) -> None:
    context.trace_request_ctx.connected()


async def _reused(session: Any, context: Any, params: Any) -> None:
    context.trace_request_ctx.reused = True
    context.trace_request_ctx.connected()


class _Call:
    """One request and what the session's trace tells about it."""

    def __init__(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes, timeouts: Timeouts
    ) -> None:
        parts = urlsplit(url)
        field_lines(headers)
        self.method, self.url, self.headers, self.body = method, url, headers, body
        self.timeouts = timeouts
        self.origin = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
        self.reused = False
        self._is_connected = False
        self._deadline = asyncio.timeout(None)

    def connected(self) -> None:
        """From here on the patience for the first byte counts."""
        self._is_connected = True
        now = asyncio.get_running_loop().time()
        self._deadline.reschedule(now + self.timeouts.first_byte_seconds)

    async def over(self, session: aiohttp.ClientSession) -> Reply:
        self._is_connected = False
        self._deadline = asyncio.timeout(self.timeouts.connect_seconds)
        body = self.body
        data = io.BytesIO(body) if len(body) > _LARGE_BYTES else body or None
        try:
            async with self._deadline:
                response = await session.request(
                    self.method,
                    self.url,
                    headers=self.headers,
                    data=data,
                    allow_redirects=False,
                    timeout=_NO_TIMEOUT,
                    trace_request_ctx=self,
                )
        except aiohttp.InvalidURL:
            raise LocalProtocolError("an upstream request needs a URL with a host") from None
        except (aiohttp.ClientError, OSError) as error:
            raise self._before_the_answer(error) from error
        return _Answer(response, self.timeouts, self.origin)

    def _before_the_answer(self, error: Exception) -> RemoteError:
        match error:
            case TimeoutError() if self._is_connected:
                seconds = self.timeouts.first_byte_seconds
                return too_slow(self.origin, "answer", seconds, retryable=False)
            case TimeoutError():
                seconds = self.timeouts.connect_seconds
                return too_slow(self.origin, "connection", seconds, retryable=True)
            case aiohttp.ClientConnectorError():
                return unreachable(self.origin, why(error.os_error))
            case aiohttp.ClientHttpProxyError():
                return unreachable(self.origin, f"the proxy answered {error.status}")
            case aiohttp.ServerDisconnectedError() | aiohttp.ClientOSError():
                return broke_off(self.origin, "the connection was closed")
            case aiohttp.ClientResponseError():
                return bad_response(self.origin, error.message or type(error).__name__)
            case _:
                return unreachable(self.origin, type(error).__name__)


class _Answer:
    """One reply of aiohttp's."""

    def __init__(self, response: aiohttp.ClientResponse, timeouts: Timeouts, origin: str) -> None:
        self.status = response.status
        headers: dict[str, str] = {}
        for raw_name, value in response.headers.items():
            name = raw_name.lower()
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
        self.headers = headers
        self._response = response
        self._idle_seconds = timeouts.idle_seconds
        self._origin = origin
        connection = response.connection
        protocol = connection.protocol if connection is not None else None
        self._closed = protocol.closed if protocol is not None else None
        if self._closed is not None:
            self._closed.add_done_callback(self._lost)

    def _lost(self, closed: asyncio.Future[None]) -> None:
        """aiohttp leaves a reader waiting when bad chunk framing made it hang up."""
        if not closed.cancelled():
            closed.exception()
        content = self._response.content
        if not content.is_eof() and content.exception() is None:
            content.set_exception(aiohttp.ClientPayloadError("the connection was closed"))

    def _let_go(self) -> None:
        if self._closed is not None:
            self._closed.remove_done_callback(self._lost)
        self._response.close()

    async def chunks(self) -> AsyncIterator[bytes]:
        content = self._response.content
        try:
            while True:
                async with asyncio.timeout(self._idle_seconds):
                    piece = await content.readany()
                if piece:
                    yield piece
                elif content.at_eof():
                    return
        except TimeoutError:
            raise too_slow(
                self._origin, "more of its answer", self._idle_seconds, retryable=False
            ) from None
        except (aiohttp.ClientError, OSError) as error:
            raise broke_off(self._origin, "the connection was closed") from error
        finally:
            self._let_go()

    async def read(self, limit_bytes: int = READ_LIMIT_BYTES) -> bytes:
        return await collect(self, limit_bytes)

    async def close(self) -> None:
        self._let_go()
