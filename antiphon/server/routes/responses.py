"""``/v1/responses`` and what is below it (Responses API)."""

from __future__ import annotations

from antiphon.errors import ClientError
from antiphon.runs import stored
from antiphon.server import sse
from antiphon.server.exchange import Exchange
from antiphon.server.frames import is_veiled
from antiphon.server.query import PAGE_DEFAULT, PAGE_MAX, Query
from antiphon.store.base import Responses
from antiphon.types.codec import decode_count, decode_create, encode
from antiphon.types.resources import InputTokens

_NEVER_READ = 1_000_000_000
"""Above any event's number: a cursor there is legal and leaves nothing to replay."""


def _asked_for(exchange: Exchange) -> tuple[Responses, str, str]:
    """Whose response is meant; an id of any shape is looked up, and missing if it is absurd."""
    return exchange.deps.store, exchange.project, exchange.path_parameter("response_id")


async def create(exchange: Exchange) -> None:
    """``POST /v1/responses``. Only ``stream`` chooses the projection, never ``Accept``."""
    asked = decode_create(await exchange.body())
    with exchange.presence():
        live = await exchange.deps.runs.create(
            asked, project=exchange.project, flavour=exchange.flavour
        )
        exchange.response_id = live.response.id
        exchange.downgrades = live.downgrades
        if asked.stream:
            await sse.stream(exchange, live.groups(), obfuscate=is_veiled(asked))
        else:
            await exchange.answer(encode(await live.finish()))


async def count(exchange: Exchange) -> None:
    """``POST /v1/responses/input_tokens``: what a create would send, without making it."""
    asked = decode_count(await exchange.body())
    with exchange.presence():
        tokens, exact = await exchange.deps.runs.count(asked, project=exchange.project)
        how = b"exact" if exact else b"estimate"
        await exchange.answer(
            encode(InputTokens(input_tokens=tokens)), headers=[(b"x-antiphon-token-count", how)]
        )


async def compact(exchange: Exchange) -> None:
    """``POST /v1/responses/compact``: declared by the API, not served here yet."""
    raise ClientError(
        "Compaction is not supported by this server. Send the items you want to keep as "
        "'input' of POST /v1/responses.",
        code="unsupported",
        status=404,
    )


async def retrieve(exchange: Exchange) -> None:
    """``GET /v1/responses/{id}``: the object, or with ``stream=true`` its events again.

    ``starting_after`` and ``include_obfuscation`` matter to the replay only; the SDK sends
    them either way, so they are checked and not refused without it.
    """
    query = Query(
        exchange.scope["query_string"],
        ("include", "stream", "starting_after", "include_obfuscation"),
    )
    include = query.include()
    after = query.integer("starting_after", default=-1, least=0, most=_NEVER_READ)
    veiled = query.flag("include_obfuscation")
    store, project, response_id = _asked_for(exchange)
    if not query.flag("stream"):
        body = await stored.retrieve(
            store, project, response_id, include=include, flavour=exchange.flavour
        )
        return await exchange.answer(body)
    events = await stored.replay(store, project, response_id, starting_after=after)
    with exchange.presence():
        await sse.stream(exchange, sse.grouped(events), obfuscate=veiled)


async def input_items(exchange: Exchange) -> None:
    """``GET /v1/responses/{id}/input_items``: newest first unless ``order=asc``."""
    query = Query(exchange.scope["query_string"], ("after", "limit", "order", "include"))
    limit = query.integer("limit", default=PAGE_DEFAULT, least=1, most=PAGE_MAX)
    order = query.word("order", ("asc", "desc"), default="desc")
    store, project, response_id = _asked_for(exchange)
    body = await stored.input_items(
        store,
        project,
        response_id,
        after=query.text("after"),
        limit=limit,
        order="asc" if order == "asc" else "desc",
        include=query.include(),
    )
    await exchange.answer(body)


async def delete(exchange: Exchange) -> None:
    """``DELETE /v1/responses/{id}``. The body, if any, is not looked at."""
    _, project, response_id = _asked_for(exchange)
    await exchange.answer(await exchange.deps.runs.delete(project, response_id))


async def cancel(exchange: Exchange) -> None:
    """``POST /v1/responses/{id}/cancel``. The body, if any, is not looked at."""
    await stored.cancel(*_asked_for(exchange))
