"""A loopback server that answers functions, and remembers who asked what."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class Functions:
    """``asked``: name, arguments and idempotency key of each call, in order."""

    url: str = ""
    asked: list[tuple[str, str, str]] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    answers: dict[str, Answer] = field(default_factory=dict)
    wait: asyncio.Event | None = None

    async def answer(self, request: web.Request) -> web.StreamResponse:
        name = request.match_info["name"]
        self.headers = dict(request.headers)
        key = request.headers["idempotency-key"]
        self.asked.append((name, await request.text(), key))
        if self.wait is not None:
            await self.wait.wait()
        if name in self.answers:
            return await self.answers[name](request)
        return web.Response(text=f"{name} says sunny")


@asynccontextmanager
async def functions() -> AsyncIterator[Functions]:
    """Serves POST /NAME on loopback until the block ends."""
    here = Functions()
    application = web.Application()
    application.router.add_post("/{name}", here.answer)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    here.url = f"http://127.0.0.1:{port}"
    try:
        yield here
    finally:
        await runner.cleanup()
