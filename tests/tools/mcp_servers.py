"""MCP servers of the official SDK on loopback, and a program that speaks MCP over pipes."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import uvicorn
from mcp.server.lowlevel import Server
from mcp.server.sse import SseServerTransport
from mcp.server.stdio import stdio_server
from mcp_types import (
    AudioContent,
    CallToolResult,
    EmbeddedResource,
    ImageContent,
    ListToolsResult,
    ResourceLink,
    TextContent,
    TextResourceContents,
    Tool,
    ToolAnnotations,
)
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Mount, Route

from antiphon.config_mcp import McpSettings

TEXT = {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]}
NONE: dict[str, Any] = {"type": "object", "properties": {}}

READS = ToolAnnotations(read_only_hint=True)


class Desk:
    """What a server of the tests can do, and what it was asked.

    ``asked``: name and arguments of every call that reached a tool; ``keys``: the idempotency keys
    that came with them; ``headers``: of each HTTP request; ``lists``: how often the tools were
    listed. ``wait``: calls of the tools that are in ``waits`` answer when it is set;
    ``holds_lists``: lists do. ``page``: tools of one page of the list.
    """

    def __init__(self, *names: str) -> None:
        self.url = ""
        self.names = names or ("echo", "note", "fail", "slow", "huge", "many")
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.keys: list[Any] = []
        self.headers: list[dict[str, str]] = []
        self.lists = 0
        self.wait: asyncio.Event | None = None
        self.page = 100
        self.refuses_lists = False
        self.waits: tuple[str, ...] = ("slow", "note")
        self.holds_lists: asyncio.Event | None = None

    def server(self) -> Server[Any]:
        return Server(
            "desk",
            version="1",
            get_tool_input_schema=lambda name: _tool(name).input_schema,
            on_list_tools=self._list,
            on_call_tool=self._call,
        )

    async def _list(self, context: Any, params: Any) -> ListToolsResult:
        self.lists += 1
        if self.refuses_lists:
            raise RuntimeError("no lists today")
        if self.holds_lists is not None:
            await self.holds_lists.wait()
        start = int(params.cursor) if params is not None and params.cursor else 0
        listed = [_tool(name) for name in self.names[start : start + self.page]]
        end = start + self.page
        return ListToolsResult(
            tools=listed, next_cursor=str(end) if end < len(self.names) else None
        )

    async def _call(self, context: Any, params: Any) -> CallToolResult:
        arguments = dict(params.arguments or {})
        self.asked.append((params.name, arguments))
        self.keys.append((params.meta or {}).get("idempotencyKey"))
        if self.wait is not None and params.name in self.waits:
            await self.wait.wait()
        if params.name == "sleep":
            await asyncio.sleep(30)
        return _answer(params.name, arguments)


def _tool(name: str) -> Tool:
    reads = READS if name in ("echo", "many", "search") else None
    return Tool(
        name=name,
        description=f"The tool {name}.",
        input_schema=NONE
        if name in ("many", "slow", "huge", "die", "sleep", "pid", "env")
        else TEXT,
        annotations=reads,
    )


def _answer(name: str, arguments: Mapping[str, Any]) -> CallToolResult:
    said = str(arguments.get("text", ""))
    match name:
        case "fail":
            return CallToolResult(content=[TextContent(text=f"cannot {said}")], is_error=True)
        case "huge":
            return CallToolResult(content=[TextContent(text="x" * 300_000)])
        case "many":
            return CallToolResult(
                content=[
                    TextContent(text="one"),
                    ImageContent(data="aGk=", mime_type="image/png"),
                    AudioContent(data="aGk=", mime_type="audio/wav"),
                    ResourceLink(uri="file:///a.txt", name="a"),
                    EmbeddedResource(
                        resource=TextResourceContents(uri="file:///b.txt", text="inside b")
                    ),
                ],
                structured_content={"count": 5},
            )
        case "die":
            os._exit(3)
        case "pid":
            return CallToolResult(content=[TextContent(text=str(os.getpid()))])
        case "env":
            names = ("SECRET", "PASSED", "GIVEN")
            values = [str(os.environ.get(f"ANTIPHON_TEST_{name}")) for name in names]
            return CallToolResult(content=[TextContent(text=" ".join(values))])
        case _:
            return CallToolResult(content=[TextContent(text=f"{name}: {said}")])


Intercept = Callable[[Any], Awaitable[Response | None]]


@asynccontextmanager
async def streamable(
    desk: Desk, *, json: bool = False, intercept: Intercept | None = None
) -> AsyncIterator[Desk]:
    """Serves ``desk`` over streamable HTTP at ``desk.url``."""
    application = desk.server().streamable_http_app(json_response=json)
    async with _serving(application, desk, intercept) as origin:
        desk.url = f"{origin}/mcp"
        yield desk


@asynccontextmanager
async def sse(desk: Desk, intercept: Intercept | None = None) -> AsyncIterator[Desk]:
    """Serves ``desk`` over SSE, the older transport: a POST to its address is a 405."""
    transport = SseServerTransport("/messages/")
    server = desk.server()

    async def listen(request: Any) -> Response:
        async with transport.connect_sse(request.scope, request.receive, request._send) as streams:
            await server.run(streams[0], streams[1], server.create_initialization_options())
        return Response()

    routes = [Route("/sse", listen), Mount("/messages/", app=transport.handle_post_message)]
    async with _serving(Starlette(routes=routes), desk, intercept) as origin:
        desk.url = f"{origin}/sse"
        yield desk


@asynccontextmanager
async def answering(answer: Callable[[Any], Awaitable[Response]]) -> AsyncIterator[str]:
    """A server that is none: ``answer`` says everything. The address."""

    async def always(request: Any) -> Response | None:
        return await answer(request)

    async with _serving(Starlette(), Desk(), always) as origin:
        yield f"{origin}/mcp"


@asynccontextmanager
async def _serving(application: Any, desk: Desk, intercept: Intercept | None) -> AsyncIterator[str]:
    from starlette.requests import Request

    async def noted(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            request = Request(scope, receive)
            desk.headers.append(dict(request.headers))
            instead = await intercept(request) if intercept is not None else None
            if instead is not None:
                await instead(scope, receive, send)
                return
        await application(scope, receive, send)

    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    config = uvicorn.Config(noted, log_config=None, lifespan="on", timeout_graceful_shutdown=1)
    serving = uvicorn.Server(config)
    serving.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
    task = asyncio.create_task(serving._serve([listening]))
    while not serving.started:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        serving.should_exit = True
        serving.force_exit = True
        await task
        listening.close()


def program(label: str = "desk", *names: str, **settings: Any) -> McpSettings:
    """Settings of a program with these tools."""
    return McpSettings(
        label=label,
        command=sys.executable,
        args=["-m", "tests.tools.mcp_servers", *names],
        env_passed=["PYTHONPATH"],
        **settings,
    )


async def _speak(*names: str) -> None:
    desk = Desk(*names)
    server = desk.server()
    async with stdio_server() as (reading, writing):
        await server.run(reading, writing, server.create_initialization_options())


if __name__ == "__main__":
    asyncio.run(_speak(*sys.argv[1:]))
