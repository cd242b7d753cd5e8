"""The ways to reach an MCP server, as transports of the SDK. Imported on first use, like it."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, TextIO

import httpx2
from mcp.client.sse import sse_client
from mcp.client.stdio import StdioServerParameters, stdio_client
from mcp.client.streamable_http import streamable_http_client

from antiphon.addresses import Guard
from antiphon.config_mcp import McpSettings
from antiphon.tools.mcp_connection import Dial, Limits
from antiphon.tools.mcp_http import client_for


def http_dials(
    url: str, headers: Mapping[str, str], guard: Guard | None, limits: Limits, transport: str
) -> list[Dial]:
    """How to reach an address: streamable HTTP first, then SSE, as the protocol asks for."""

    def client(*_: Any, **__: Any) -> httpx2.AsyncClient:
        return client_for(
            guard,
            headers,
            connect_seconds=limits.connect_seconds,
            # The limit of a call is the caller's; this one ends what nobody waits for any more.
            answer_seconds=max(limits.call_seconds, limits.list_seconds) + 5,
            answer_bytes_max=limits.answer_bytes_max,
        )

    @asynccontextmanager
    async def streamable() -> AsyncIterator[Any]:
        async with (
            client() as http,
            streamable_http_client(
                url, http_client=http, max_sse_event_size=limits.answer_bytes_max + 65_536
            ) as streams,
        ):
            yield streams

    def sse() -> AbstractAsyncContextManager[Any]:
        return sse_client(url, httpx_client_factory=client)

    dials = {
        "streamable_http": Dial(streamable),
        "sse": Dial(sse, mode="legacy", gets=True, one_stream=True),
    }
    return list(dials.values()) if transport == "auto" else [dials[transport]]


def program_dial(settings: McpSettings, environment: Mapping[str, str]) -> Dial:
    """How to start a program. What it writes on standard error goes to ours."""
    assert settings.command is not None, "a program has a command"
    parameters = StdioServerParameters(
        command=settings.command,
        args=list(settings.args),
        env=dict(environment),
        cwd=settings.directory,
    )

    @asynccontextmanager
    async def started() -> AsyncIterator[Any]:
        with _stderr() as errors:
            async with stdio_client(parameters, errlog=errors) as streams:
                yield streams

    return Dial(started, one_stream=True)


def _stderr() -> TextIO:
    """A copy of standard error that may be closed, or nothing where there is none."""
    try:
        if sys.__stderr__ is not None:
            return open(os.dup(sys.__stderr__.fileno()), "w", encoding="utf-8")
    except (OSError, ValueError):
        pass
    return open(os.devnull, "w", encoding="utf-8")
