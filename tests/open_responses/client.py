"""Asks a server and checks everything it says: bodies, streams, WebSocket messages."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx2
from websockets.asyncio.client import ClientConnection, connect

from tests.open_responses.schema import check

HANDSHAKE_SECONDS = 10.0
TURN_SECONDS = 30.0
"""The published runner's patience."""
TERMINAL = ("response.completed", "response.failed", "response.incomplete")

Json = dict[str, Any]


class Refused(AssertionError):
    """An HTTP status that was not 200."""

    def __init__(self, status: int, body: str) -> None:
        super().__init__(f"HTTP {status}: {body[:300]}")
        self.status = status
        self.body = body


class Asking:
    """One server. ``models``: the model that answers in words, and the one that calls a tool."""

    def __init__(
        self, http: httpx2.AsyncClient, url: str, key: str, model: str, tool_model: str
    ) -> None:
        self._http = http
        self._url = url.rstrip("/")
        self._headers = {"authorization": f"Bearer {key}"} if key else {}
        self.model = model
        self.tool_model = tool_model

    async def post(self, path: str, body: Mapping[str, Any]) -> tuple[int, str]:
        answer = await self._http.post(
            f"{self._url}{path}", json=body, headers=self._headers, timeout=TURN_SECONDS
        )
        return answer.status_code, answer.text

    async def get(self, path: str) -> str:
        answer = await self._http.get(
            f"{self._url}{path}", headers=self._headers, timeout=TURN_SECONDS
        )
        if answer.status_code != 200:
            raise Refused(answer.status_code, answer.text)
        return answer.text

    async def create(self, **body: Any) -> Json:
        """A response; checked."""
        status, text = await self.post("/responses", {"model": self.model, **body})
        if status != 200:
            raise Refused(status, text)
        made: Json = json.loads(text)
        check(made, "ResponseResource")
        return made

    async def stream(self, **body: Any) -> list[Json]:
        """The events of a streamed response; each is checked, and their order."""
        body = {"model": self.model, "stream": True, **body}
        events: list[Json] = []
        done = False
        async with self._http.stream(
            "POST",
            f"{self._url}/responses",
            json=body,
            headers=self._headers,
            timeout=TURN_SECONDS,
        ) as answer:
            if answer.status_code != 200:
                raise Refused(answer.status_code, (await answer.aread()).decode())
            kind = answer.headers["content-type"]
            assert kind.startswith("text/event-stream"), f"content type {kind}"
            async for read in answer.aiter_raw():
                assert not done, f"after [DONE] came {read[:80]!r}"
                # The published runner forgets what it has of an event at the end of each read.
                assert read.endswith(b"\n\n"), f"a read ends inside an event: …{read[-80:]!r}"
                for block in read.decode().removesuffix("\n\n").split("\n\n"):
                    done = done or _framed(block, events)
        assert done, "the stream ended without [DONE]"
        check_order(events)
        return events

    @asynccontextmanager
    async def socket(self) -> AsyncIterator[Socket]:
        address = "ws" + self._url.removeprefix("http") + "/responses"
        async with connect(
            address,
            additional_headers=self._headers,
            open_timeout=HANDSHAKE_SECONDS,
            max_size=None,
        ) as connection:
            yield Socket(connection, self.model)


class Socket:
    """One WebSocket."""

    def __init__(self, connection: ClientConnection, model: str) -> None:
        self._connection = connection
        self._model = model

    async def turn(self, **body: Any) -> list[Json]:
        """The messages of one ``response.create``: events to a terminal one, or one error."""
        message = {"type": "response.create", "model": self._model, **body}
        await self._connection.send(json.dumps(message))
        events: list[Json] = []
        async with asyncio.timeout(TURN_SECONDS):
            while True:
                text = await self._connection.recv()
                assert isinstance(text, str), "a message that is not text"
                event = json.loads(text)
                events.append(event)
                if event.get("type") == "error":
                    check(event, "WebSocketError")
                    return events
                check(event, "Event", event.get("type", ""))
                if event["type"] in TERMINAL:
                    check_order(events)
                    return events

    async def complete(self, **body: Any) -> Json:
        """The response of a turn that must complete."""
        last = (await self.turn(**body))[-1]
        assert last["type"] == "response.completed", f"ended with {json.dumps(last)[:300]}"
        made: Json = last["response"]
        return made

    async def failing(self, **body: Any) -> str:
        """The code of the error of a turn that must fail."""
        last = (await self.turn(**body))[-1]
        if last["type"] == "error":
            return str(last["error"]["code"])
        assert last["type"] == "response.failed", f"ended with {last['type']}"
        return str(last["response"]["error"]["code"])


def _framed(block: str, events: list[Json]) -> bool:
    """Take one block of a stream; whether it was the end."""
    if block.startswith(":"):
        return False
    if block == "data: [DONE]":
        return True
    lines = block.split("\n")
    assert len(lines) == 2, f"a frame of {len(lines)} lines: {block[:120]!r}"
    name, data = lines[0].removeprefix("event: "), lines[1].removeprefix("data: ")
    event = json.loads(data)
    assert event.get("type") == name, f"event: {name} is not type {event.get('type')}"
    check(event, "Event", name)
    events.append(event)
    return False


def check_order(events: list[Json]) -> None:
    """Numbers without a gap, a beginning, one end, and items that open before they change and
    close as the response has them."""
    numbers = [event["sequence_number"] for event in events]
    assert numbers == list(range(len(events))), f"sequence numbers {numbers[:20]}"
    assert events[0]["type"] == "response.created", f"begins with {events[0]['type']}"
    ends = [event["type"] for event in events if event["type"] in TERMINAL]
    assert ends == [events[-1]["type"]], f"terminal events {ends}"
    items: dict[int, Json] = {}
    parts: set[tuple[int, int]] = set()
    for event in events:
        kind, at = event["type"], event.get("output_index")
        if kind == "response.output_item.added":
            assert at == len(items), f"output_index {at} after {len(items)} items"
            assert event["item"].get("status") in (None, "in_progress"), "added, but over"
            items[at] = event["item"]
        elif kind == "response.output_item.done":
            assert items[at]["id"] == event["item"]["id"], "an item that closes under another id"
            assert event["item"].get("status") != "in_progress", "done, but in progress"
            items[at] = event["item"]
        elif at is not None:
            assert items[at]["id"] == event["item_id"], f"{kind} for another item"
            if "content_index" in event:
                place = (at, event["content_index"])
                assert (kind == "response.content_part.added") != (place in parts), kind
                parts.add(place)
    final = events[-1]["response"]
    assert final["output"] == list(items.values()), "the output is not what was streamed"
    check_end(final)


def check_end(response: Json) -> None:
    """An item that was cut is the last one, of a response that was cut as well."""
    for at, item in enumerate(response["output"]):
        if item.get("status") == "incomplete":
            assert response["status"] != "completed", "an incomplete item in a completed response"
            assert at == len(response["output"]) - 1, "an incomplete item that is not the last"
