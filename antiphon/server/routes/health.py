"""For those who operate the server: no key needed, no content shown."""

from __future__ import annotations

import msgspec

from antiphon.server.errors import unknown_url
from antiphon.server.exchange import Exchange


async def front_page(exchange: Exchange) -> None:
    """``GET /``: what this is, for somebody who opened the address in a browser."""
    await exchange.answer(
        msgspec.json.encode(
            {
                "name": "antiphon",
                "version": exchange.deps.version,
                "about": "An OpenAI-compatible Responses API server.",
                "base_url": "/v1",
                "models": "/v1/models",
                "openapi": "/openapi.json",
                "health": ["/healthz", "/readyz"],
            }
        )
    )


async def alive(exchange: Exchange) -> None:
    """``GET /healthz``: the process answers."""
    await exchange.answer(b'{"status":"ok"}')


async def ready(exchange: Exchange) -> None:
    """``GET /readyz``: 503 with the problems, part → sentence, while it cannot do its work."""
    problems = await exchange.deps.ready()
    if not problems:
        return await exchange.answer(b'{"status":"ready"}')
    body = msgspec.json.encode({"status": "unavailable", "problems": dict(problems)})
    await exchange.answer(body, status=503)


async def metrics(exchange: Exchange) -> None:
    """``GET /metrics``: 404 where no metrics are collected."""
    render = exchange.deps.metrics
    if render is None:
        raise unknown_url("GET", "/metrics", "Metrics are switched off here.")
    body, content_type = render()
    await exchange.answer(body, content_type=content_type.encode())
