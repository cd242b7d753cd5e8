"""An HTTP client that drives an ASGI application by hand, one message at a time.

``await client.request("POST", "/v1/responses", body={…})`` gives (status, headers, body).
``async with client.stream(…) as answer`` gives the sends as they come, and can leave early.
Every wait is bounded by ``PATIENCE_SECONDS``.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import msgspec

PATIENCE_SECONDS = 5.0


class Answer(NamedTuple):
    """``headers`` has lower-case names; ``body`` is every chunk joined."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return msgspec.json.decode(self.body)


class Incomplete(AssertionError):
    """The application returned without completing its answer: a server would cut the line."""


class Stream:
    """An answer under way. Iterating gives one body chunk per send of the application."""

    def __init__(self, chunks: Sequence[bytes]) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self.complete = False
        self.failure: BaseException | None = None
        self._sent: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()
        self._gone = asyncio.Event()
        self._chunks = list(chunks)
        self._broken_pipe = False

    async def receive(self) -> dict[str, Any]:
        if self._chunks:
            body = self._chunks.pop(0)
            return {"type": "http.request", "body": body, "more_body": bool(self._chunks)}
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: dict[str, Any]) -> None:
        if self._broken_pipe:
            raise OSError("the caller is gone")
        if not message.get("more_body", True):
            self.complete = True
            self._gone.set()
        self._sent.put_nowait(message)

    def disconnect(self) -> None:
        """The caller closes the connection."""
        self._gone.set()

    def break_pipe(self) -> None:
        """The next send of the application fails, as some servers report a disconnect."""
        self._broken_pipe = True

    async def head(self) -> None:
        """Wait for the status line."""
        message = await self._next()
        assert message is not None, f"no answer at all: {self.failure!r}"
        self.status = message["status"]
        self.headers = {name.decode(): value.decode() for name, value in message["headers"]}

    async def chunk(self) -> bytes | None:
        """The next body chunk, None when the application has returned."""
        if not self.status:
            await self.head()
        message = await self._next()
        return None if message is None else bytes(message["body"])

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while (chunk := await self.chunk()) is not None:
            yield chunk

    async def _next(self) -> dict[str, Any] | None:
        async with asyncio.timeout(PATIENCE_SECONDS):
            return await self._sent.get()

    async def run(self, app: Any, scope: dict[str, Any]) -> None:
        try:
            await app(scope, self.receive, self.send)
        except Exception as failure:
            self.failure = failure
        finally:
            self._sent.put_nowait(None)


class AsgiClient:
    """``headers`` go with every request. ``state`` is what a server would put in the scope."""

    def __init__(
        self,
        app: Any,
        *,
        headers: Mapping[str, str] | None = None,
        state: Mapping[str, Any] | None = None,
    ) -> None:
        self.app = app
        self.headers = dict(headers or {})
        self.state = dict(state or {})

    async def request(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: Any = b"",
    ) -> Answer:
        """One request, answered completely. ``body``: bytes, chunks, or anything as JSON."""
        async with self.stream(method, path, headers=headers, body=body) as answer:
            joined = b"".join([chunk async for chunk in answer])
            if answer.failure is not None:
                raise answer.failure
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
    ) -> AsyncIterator[Stream]:
        """An answer as it comes; ``wait``: until its status line is there.

        Leaving the block disconnects and waits for the application to return.
        """
        answer = Stream(chunks_of(body))
        scope = self._scope(method, path, {**self.headers, **(headers or {})})
        running = asyncio.create_task(answer.run(self.app, scope))
        try:
            if wait:
                await answer.head()
            yield answer
        finally:
            answer.disconnect()
            async with asyncio.timeout(PATIENCE_SECONDS):
                await running

    def _scope(self, method: str, path: str, headers: Mapping[str, str]) -> dict[str, Any]:
        path, _, query = path.partition("?")
        return {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "root_path": "",
            "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
            "server": ("testserver", 80),
            "client": ("testclient", 1),
            "extensions": {},
            "state": dict(self.state),
        }


def chunks_of(body: Any) -> Sequence[bytes]:
    """A request's body as the segments it is sent in."""
    if isinstance(body, bytes):
        return [body]
    if isinstance(body, list) and body and all(isinstance(chunk, bytes) for chunk in body):
        return body
    return [msgspec.json.encode(body)]


def events_of(body: bytes) -> list[tuple[str, Any]]:
    """(event name, decoded data) of every frame of an SSE body; ``[DONE]`` and comments are
    left out, and anything that is not a frame fails."""
    events = []
    assert body.endswith(b"\n\n"), body[-80:]
    for frame in body.decode().removesuffix("\n\n").split("\n\n"):
        if frame.startswith(":") or frame == "data: [DONE]":
            continue
        name, data = frame.split("\n")
        assert name.startswith("event: ") and data.startswith("data: "), frame
        events.append((name[7:], msgspec.json.decode(data[6:])))
    return events
