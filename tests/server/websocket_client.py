"""A WebSocket client for tests, and servers for it to talk to: ours, and another ASGI server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import msgspec
import uvicorn
from websockets.asyncio.client import ClientConnection, connect

from antiphon.config_state import WebSocketSettings
from antiphon.server.asgi import build
from tests.server.asgi_client import PATIENCE_SECONDS
from tests.server.conftest import House
from tests.server.socket_client import Front, configured

LAST = frozenset(
    {
        "response.completed",
        "response.failed",
        "response.incomplete",
        "response.steer.failed",
        "error",
    }
)
SERVERS = ("ours", "another")
"""Ours lends its socket; the other one is uvicorn as it comes, which knows nothing of us."""


class Talk:
    """One connection."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket

    async def say(self, **event: Any) -> None:
        await self.say_raw(msgspec.json.encode(event).decode())

    async def say_raw(self, message: str | bytes) -> None:
        async with asyncio.timeout(PATIENCE_SECONDS):
            await self.socket.send(message)

    async def hear(self) -> dict[str, Any]:
        """The next message."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            text = await self.socket.recv()
        assert isinstance(text, str)
        message: dict[str, Any] = msgspec.json.decode(text)
        return message

    async def answer(self) -> list[dict[str, Any]]:
        """Messages up to one that ends a response, or says that there will be none."""
        heard = [await self.hear()]
        while heard[-1]["type"] not in LAST:
            heard.append(await self.hear())
        return heard

    async def ask(self, **fields: Any) -> list[dict[str, Any]]:
        """Create a response; all its messages."""
        await self.create(**fields)
        return await self.answer()

    async def create(self, model: str = "echo", **fields: Any) -> None:
        await self.say(type="response.create", model=f"scripted/{model}", **fields)

    async def made(self, **fields: Any) -> dict[str, Any]:
        """Create a response that does not fail; the response."""
        last = (await self.ask(**fields))[-1]
        assert last["type"] in ("response.completed", "response.incomplete"), last
        response: dict[str, Any] = last["response"]
        return response

    async def refused(self, **fields: Any) -> tuple[int, str | None, str | None]:
        """Create a response that is refused: status, code and param."""
        (refusal,) = await self.ask(**fields)
        return told(refusal)

    async def closed(self) -> int:
        """The code with which the server closes; nothing is said before."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            await self.socket.wait_closed()
        assert self.socket.close_code is not None
        return self.socket.close_code


def told(message: dict[str, Any]) -> tuple[int, str | None, str | None]:
    """Status, code and param of an error message."""
    assert message["type"] == "error", message
    error = message["error"]
    assert error["message"] and set(error) >= {"type", "code", "message", "param"}
    return message["status"], error["code"], error["param"]


def text_of(response: dict[str, Any]) -> str:
    """All text of a response's messages."""
    parts = [part for item in response["output"] for part in item.get("content", ())]
    return "".join(part["text"] for part in parts)


def plain_config(app: Any) -> uvicorn.Config:
    """Another server's: it knows nothing of us."""
    return uvicorn.Config(
        app,
        ws="websockets-sansio",
        ws_per_message_deflate=False,  # what tests flood it with would be next to nothing
        lifespan="off",
        log_config=None,
    )


@asynccontextmanager
async def served(
    house: House, server: str = "ours", *, app: Any = None, **settings: Any
) -> AsyncIterator[tuple[str, Front]]:
    """Where the house is reached by WebSocket, and what answers there."""
    deps = replace(house.deps, websocket=WebSocketSettings(**settings))
    made = build(deps) if app is None else app(build(deps))
    front = Front(configured(made, deps) if server == "ours" else plain_config(made))
    async with front.listening() as port:
        yield f"ws://127.0.0.1:{port}", front


@asynccontextmanager
async def talking(
    house: House,
    server: str = "ours",
    path: str = "/v1/responses",
    *,
    headers: Mapping[str, str] | None = None,
    app: Any = None,
    **settings: Any,
) -> AsyncIterator[Talk]:
    """One connection to the house."""
    async with (
        served(house, server, app=app, **settings) as (origin, _),
        connect(origin + path, additional_headers=headers, max_size=None, max_queue=None) as socket,
    ):
        yield Talk(socket)
