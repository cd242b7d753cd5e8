"""The server as one ASGI application: its routes as a list, and what surrounds every request.

Order for each request: exchange (request id, clock) → route → key → method → answer. Failures
become answers in ``Front``, the only place round a request that catches everything (a request that
``hot.py`` answers does not come here). There is no other middleware, no redirect, no CORS header;
what is not in ``routes`` is 404.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any

from starlette.routing import Route, Router
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from antiphon.errors import ClientError, RemoteError
from antiphon.observe import Broke
from antiphon.server import websocket_asgi
from antiphon.server.errors import no_websocket, stopping, unknown_url, wrong_method
from antiphon.server.exchange import Deps, Exchange
from antiphon.server.presence import CallerLeft
from antiphon.server.routes import (
    capabilities,
    completions,
    conversations,
    health,
    models,
    openapi,
    responses,
    webhooks,
)

__all__ = ["Deps", "build"]

Answer = Callable[[Exchange], Awaitable[None]]
Lifespan = Callable[[Any], AbstractAsyncContextManager[Any]]

_EXCHANGE = "antiphon.exchange"
_PREFIX = "/v1"
_CONVERSATION = "/v1/conversations/{conversation_id}"
_ENDPOINT = "/v1/webhook_endpoints/{webhook_endpoint_id}"


def routes() -> list[Route]:
    """Every path there is; the hot one first, literal paths before ``{response_id}``."""
    return [
        _at("/v1/responses", POST=responses.create),
        _at("/v1/responses/input_tokens", POST=responses.count),
        _at("/v1/responses/compact", POST=responses.compact),
        _at("/v1/responses/{response_id}", GET=responses.retrieve, DELETE=responses.delete),
        _at("/v1/responses/{response_id}/cancel", POST=responses.cancel),
        _at("/v1/responses/{response_id}/input_items", GET=responses.input_items),
        _at("/v1/chat/completions", POST=completions.create, GET=completions.every),
        _at(
            "/v1/chat/completions/{completion_id}",
            GET=completions.retrieve,
            POST=completions.update,
            DELETE=completions.delete,
        ),
        _at("/v1/chat/completions/{completion_id}/messages", GET=completions.messages),
        _at("/v1/conversations", POST=conversations.create),
        _at(
            _CONVERSATION,
            GET=conversations.retrieve,
            POST=conversations.update,
            DELETE=conversations.delete,
        ),
        _at(f"{_CONVERSATION}/items", GET=conversations.items, POST=conversations.add),
        _at(
            f"{_CONVERSATION}/items/{{item_id}}",
            GET=conversations.item,
            DELETE=conversations.delete_item,
        ),
        _at("/v1/webhook_endpoints", GET=webhooks.every, POST=webhooks.create),
        _at(_ENDPOINT, GET=webhooks.retrieve, POST=webhooks.update, DELETE=webhooks.delete),
        _at(f"{_ENDPOINT}/rotate_secret", POST=webhooks.rotate_secret),
        _at(f"{_ENDPOINT}/test", POST=webhooks.test),
        _at("/v1/webhook_event_types", GET=webhooks.event_types),
        _at("/v1/models", GET=models.every),
        _at("/v1/models/{model:path}", GET=models.one),
        _at("/v1/antiphon/capabilities", GET=capabilities.every),
        _at("/", public=True, GET=health.front_page),
        _at("/healthz", public=True, GET=health.alive),
        _at("/readyz", public=True, GET=health.ready),
        _at("/metrics", public=True, GET=health.metrics),
        _at("/openapi.json", public=True, GET=openapi.document),
    ]


def build(deps: Deps, *, lifespan: Lifespan | None = None) -> ASGIApp:
    """The application. ``lifespan`` is entered at start-up and left at shutdown.

    A wrapper may set ``scope["state"]["flavour"]`` to ``"azure"`` and rewrite path and headers.
    """
    every = routes()
    router = Router(every, redirect_slashes=False, default=_nowhere, lifespan=lifespan)
    return Front(deps, router, {route.path: route.app for route in every if "{" not in route.path})


class Front:
    """Round every request: makes the exchange, turns failures into answers, tells the end.

    ``literal`` are the resources whose path has no parameter: found by one look-up.
    """

    def __init__(self, deps: Deps, router: Router, literal: Mapping[str, ASGIApp]) -> None:
        self._deps = deps
        self._router = router
        self._literal = literal

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        match scope["type"]:
            case "http":
                await self._answer(scope, receive, send)
            case "websocket":
                await self._upgrade(scope, receive, send)
            case _:
                await self._router(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = scope[_EXCHANGE] = Exchange(self._deps, scope, receive, send)
        exchange.crowded = self._deps.crowded()
        self._deps.under_way.count += 1
        left = False
        try:
            await self._route(exchange, scope, receive, send)
        except CallerLeft:
            left = True
        except asyncio.CancelledError:  # by the server, which ends
            if not exchange.started:
                await exchange.fail(stopping())
            raise
        finally:
            self._deps.under_way.leave()
            self._deps.observe(exchange.finished(left=left))
            del scope[_EXCHANGE]  # a cycle: every request would wait for the garbage collector

    async def _route(self, exchange: Exchange, scope: Scope, receive: Receive, send: Send) -> None:
        # A mounted application's path has a prefix, which the router takes off.
        resource = None if scope.get("root_path") else self._literal.get(scope["path"])
        try:
            await (resource or self._router)(scope, receive, send)
        except CallerLeft:
            raise
        except Exception as failure:
            if exchange.started or not isinstance(failure, ClientError | RemoteError):
                self._deps.observe(Broke("request", failure, exchange.response_id))
            # Once begun, an answer can only be cut: the server closes what is left incomplete.
            if not exchange.started:
                await exchange.fail(failure)

    async def _upgrade(self, scope: Scope, receive: Receive, send: Send) -> None:
        """A WebSocket. Its creates are observed one by one, its handshake where it is refused."""
        exchange = Exchange(self._deps, scope, receive, _as_refusal(scope, send))
        exchange.crowded = self._deps.crowded()
        try:
            await websocket_asgi.accept(exchange, receive, send)
        except OSError:
            pass  # the caller left while it was being accepted
        except Exception as failure:
            if not isinstance(failure, ClientError | RemoteError):
                self._deps.observe(Broke("request", failure))
            await exchange.fail(failure)
            self._deps.observe(exchange.finished(left=False))


class Resource:
    """One path: who may ask, and which methods there are. A plain ASGI application.

    The key is checked before the method is looked at and before the body is read.
    """

    def __init__(self, template: str, answers: Mapping[str, Answer], *, public: bool) -> None:
        self.methods = tuple(answers)
        self.public = public
        self._template = template
        self._answers = dict(answers)
        if "GET" in answers:
            self._answers["HEAD"] = answers["GET"]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange: Exchange = scope[_EXCHANGE]
        exchange.route = self._template
        if not self.public:
            exchange.admit()
        answer = self._answers.get(exchange.method)
        if answer is None:
            if exchange.headers.get(b"upgrade", b"").lower() == b"websocket":
                raise no_websocket()
            raise wrong_method(exchange.method, tuple(sorted(self._answers)))
        await answer(exchange)


def _at(template: str, *, public: bool = False, **answers: Answer) -> Route:
    return Route(template, Resource(template, answers, public=public))


async def _nowhere(scope: Scope, receive: Receive, send: Send) -> None:
    """Every path that is not in ``routes``."""
    exchange: Exchange = scope[_EXCHANGE]
    exchange.admit()
    raise unknown_url(exchange.method, scope["path"], _hint(scope["path"]))


def _hint(path: str) -> str:
    """A guess at what was meant, for the mistakes people make with base URLs."""
    if path.startswith("/v1/v1/"):
        return "The base URL has '/v1' once too often."
    if path.endswith("/") and path != "/":
        return "Did you mean the same without the slash at its end?"
    if path.lstrip("/").partition("/")[0] in ("responses", "models", "chat"):
        return f"Did you mean {_PREFIX}{path[:60]}?"
    return ""


def _as_refusal(scope: Scope, send: Send) -> Send:
    """Sends an HTTP answer in place of a WebSocket's acceptance (ASGI extension), or closes."""
    answerable = "websocket.http.response" in (scope.get("extensions") or {})

    async def refuse(message: Message) -> None:
        if answerable:
            await send({**message, "type": f"websocket.{message['type']}"})
        elif message["type"] == "http.response.start":
            await send({"type": "websocket.close", "code": 1008, "reason": "HTTP only"})

    return refuse
