"""``/v1/conversations`` and what is below it (Conversations API)."""

from __future__ import annotations

from antiphon.server.exchange import Exchange
from antiphon.server.query import PAGE_DEFAULT, PAGE_MAX, Query
from antiphon.server.repeats import claim_of
from antiphon.types.codec import decode_body
from antiphon.types.resources import CreateConversation, CreateItems, UpdateConversation


def _include(exchange: Exchange) -> frozenset[str]:
    return Query(exchange.scope["query_string"], ("include",)).include()


def _id(exchange: Exchange) -> str:
    """An id of any shape is looked up, and missing if it is absurd."""
    return exchange.path_parameter("conversation_id")


async def create(exchange: Exchange) -> None:
    """``POST /v1/conversations``; a body is not needed."""
    body = await exchange.body() or b"{}"
    asked = decode_body(body, CreateConversation)
    threads = exchange.deps.runs.threads
    claim = await claim_of(exchange, body)
    if isinstance(claim, str):
        made = await threads.retrieve(exchange.project, claim)
    else:
        made = await threads.create(exchange.project, asked, claim)
    await exchange.answer(made)


async def retrieve(exchange: Exchange) -> None:
    """``GET /v1/conversations/{id}``."""
    found = await exchange.deps.runs.threads.retrieve(exchange.project, _id(exchange))
    await exchange.answer(found)


async def update(exchange: Exchange) -> None:
    """``POST /v1/conversations/{id}``."""
    asked = decode_body(await exchange.body(), UpdateConversation)
    threads = exchange.deps.runs.threads
    await exchange.answer(await threads.update(exchange.project, _id(exchange), asked))


async def delete(exchange: Exchange) -> None:
    """``DELETE /v1/conversations/{id}``. The body, if any, is not looked at."""
    deleted = await exchange.deps.runs.threads.delete(exchange.project, _id(exchange))
    await exchange.answer(deleted)


async def add(exchange: Exchange) -> None:
    """``POST /v1/conversations/{id}/items``."""
    include = _include(exchange)
    asked = decode_body(await exchange.body(), CreateItems)
    threads = exchange.deps.runs.threads
    await exchange.answer(await threads.add(exchange.project, _id(exchange), asked, include))


async def items(exchange: Exchange) -> None:
    """``GET /v1/conversations/{id}/items``: newest first unless ``order=asc``."""
    query = Query(exchange.scope["query_string"], ("after", "limit", "order", "include"))
    limit = query.integer("limit", default=PAGE_DEFAULT, least=1, most=PAGE_MAX)
    order = query.word("order", ("asc", "desc"), default="desc")
    page = await exchange.deps.runs.threads.page(
        exchange.project,
        _id(exchange),
        after=query.text("after"),
        limit=limit,
        newest_first=order == "desc",
        include=query.include(),
    )
    await exchange.answer(page)


async def item(exchange: Exchange) -> None:
    """``GET /v1/conversations/{id}/items/{item_id}``."""
    include = _include(exchange)
    item_id = exchange.path_parameter("item_id")
    threads = exchange.deps.runs.threads
    await exchange.answer(await threads.item(exchange.project, _id(exchange), item_id, include))


async def delete_item(exchange: Exchange) -> None:
    """``DELETE /v1/conversations/{id}/items/{item_id}``. The body, if any, is not looked at."""
    item_id = exchange.path_parameter("item_id")
    threads = exchange.deps.runs.threads
    await exchange.answer(await threads.delete_item(exchange.project, _id(exchange), item_id))
