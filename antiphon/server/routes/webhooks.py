"""``/v1/webhook_endpoints`` and ``/v1/webhook_event_types`` (Webhooks API)."""

from __future__ import annotations

from antiphon.errors import LocalProtocolError
from antiphon.runs.webhooks import Webhooks
from antiphon.server.exchange import Exchange
from antiphon.server.query import PAGE_DEFAULT, PAGE_MAX, Query
from antiphon.types.codec import decode_body
from antiphon.types.webhooks import CreateEndpoint, EndpointTest, RotateSecret, UpdateEndpoint


def _webhooks(exchange: Exchange) -> Webhooks:
    found = exchange.deps.webhooks
    if found is None:
        raise LocalProtocolError("this server was built without webhooks")
    return found


def _place(exchange: Exchange) -> tuple[str, str]:
    """Project and endpoint; an id of any shape is looked up, and missing if it is absurd."""
    Query(exchange.scope["query_string"], ())
    return exchange.project, exchange.path_parameter("webhook_endpoint_id")


async def create(exchange: Exchange) -> None:
    """``POST /v1/webhook_endpoints``."""
    asked = decode_body(await exchange.body(), CreateEndpoint)
    webhooks = _webhooks(exchange)
    await exchange.answer(await webhooks.create(exchange.project, asked, exchange.flavour))


async def every(exchange: Exchange) -> None:
    """``GET /v1/webhook_endpoints``: newest first."""
    query = Query(exchange.scope["query_string"], ("after", "limit"))
    page = await _webhooks(exchange).page(
        exchange.project,
        after=query.text("after"),
        limit=query.integer("limit", default=PAGE_DEFAULT, least=1, most=PAGE_MAX),
        flavour=exchange.flavour,
    )
    await exchange.answer(page)


async def retrieve(exchange: Exchange) -> None:
    """``GET /v1/webhook_endpoints/{id}``."""
    found = await _webhooks(exchange).retrieve(*_place(exchange), exchange.flavour)
    await exchange.answer(found)


async def update(exchange: Exchange) -> None:
    """``POST /v1/webhook_endpoints/{id}``; a body is not needed."""
    asked = decode_body(await exchange.body() or b"{}", UpdateEndpoint)
    changed = await _webhooks(exchange).update(*_place(exchange), asked, exchange.flavour)
    await exchange.answer(changed)


async def delete(exchange: Exchange) -> None:
    """``DELETE /v1/webhook_endpoints/{id}``. The body, if any, is not looked at."""
    deleted = await _webhooks(exchange).delete(*_place(exchange), exchange.flavour)
    await exchange.answer(deleted)


async def rotate_secret(exchange: Exchange) -> None:
    """``POST /v1/webhook_endpoints/{id}/rotate_secret``; a body is not needed."""
    asked = decode_body(await exchange.body() or b"{}", RotateSecret)
    rotated = await _webhooks(exchange).rotate(*_place(exchange), asked, exchange.flavour)
    await exchange.answer(rotated)


async def test(exchange: Exchange) -> None:
    """``POST /v1/webhook_endpoints/{id}/test``: answered when the endpoint has answered."""
    asked = decode_body(await exchange.body(), EndpointTest)
    with exchange.presence():
        tested = await _webhooks(exchange).test(*_place(exchange), asked, exchange.flavour)
        await exchange.answer(tested)


async def event_types(exchange: Exchange) -> None:
    """``GET /v1/webhook_event_types``: those that are sent; never paged."""
    Query(exchange.scope["query_string"], ())
    await exchange.answer(_webhooks(exchange).event_types())
