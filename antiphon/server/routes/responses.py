"""``/v1/responses`` and what is below it (Responses API)."""

from __future__ import annotations

from antiphon.runs import stored
from antiphon.runs.background import Background
from antiphon.runs.compact import compact as compacted
from antiphon.runs.driver import Runs
from antiphon.runs.idempotency import Claim
from antiphon.server import sse
from antiphon.server.exchange import Exchange
from antiphon.server.frames import is_veiled
from antiphon.server.query import PAGE_DEFAULT, PAGE_MAX, Query
from antiphon.server.repeats import claim_of
from antiphon.types.codec import decode_body, decode_count, decode_create, encode
from antiphon.types.request import CompactInput, CreateResponse
from antiphon.types.resources import InputTokens

_NEVER_READ = 1_000_000_000
"""Above any event's number: a cursor there is legal and leaves nothing to replay."""


def _asked_for(exchange: Exchange) -> tuple[Runs, str, str]:
    """Whose response is meant; an id of any shape is looked up, and missing if it is absurd."""
    return exchange.deps.runs, exchange.project, exchange.path_parameter("response_id")


async def create(exchange: Exchange) -> None:
    """``POST /v1/responses``. Only ``stream`` chooses the projection, never ``Accept``."""
    body = await exchange.body()
    asked = decode_create(body)
    with exchange.presence():
        claim = await claim_of(exchange, body)
        if isinstance(claim, str):
            if asked.stream:
                return await _replay(exchange, claim, after=-1, veiled=is_veiled(asked))
            return await _show(exchange, claim, frozenset(asked.include or ()))
        background = exchange.deps.runs.background
        if asked.background and background is not None:
            return await _in_background(exchange, asked, background, claim)
        live = await exchange.deps.runs.create(
            asked,
            project=exchange.project,
            flavour=exchange.flavour,
            claim=claim,
            lenient=exchange.lenient,
        )
        exchange.response_id = live.response.id
        exchange.downgrades = live.downgrades
        if asked.stream:
            await sse.stream(exchange, live.groups(), obfuscate=is_veiled(asked))
        else:
            await exchange.respond(encode(await live.finish()))


async def _in_background(
    exchange: Exchange, asked: CreateResponse, background: Background, claim: Claim | None
) -> None:
    """Once it is queued nothing rests on this caller, who is one of its readers."""
    project = exchange.project
    queued = await background.create(
        asked,
        project=project,
        flavour=exchange.flavour,
        claim=claim,
        lenient=exchange.lenient,
    )
    exchange.response_id = queued.response_id
    exchange.downgrades = queued.downgrades
    if not asked.stream:
        return await exchange.respond(queued.object)
    groups = background.tails.follow(project, queued.response_id, patient=True)
    await sse.stream(exchange, groups, obfuscate=is_veiled(asked))


async def count(exchange: Exchange) -> None:
    """``POST /v1/responses/input_tokens``: what a create would send, without making it."""
    asked = decode_count(await exchange.body())
    with exchange.presence():
        tokens, exact = await exchange.deps.runs.count(
            asked, project=exchange.project, lenient=exchange.lenient
        )
        how = b"exact" if exact else b"estimate"
        await exchange.answer(
            encode(InputTokens(input_tokens=tokens)), headers=[(b"x-antiphon-token-count", how)]
        )


async def compact(exchange: Exchange) -> None:
    """``POST /v1/responses/compact``: a shorter conversation to go on from; nothing is stored."""
    asked = decode_body(await exchange.body(), CompactInput)
    with exchange.presence():
        made, exchange.downgrades = await compacted(
            exchange.deps.runs, asked, exchange.project, lenient=exchange.lenient
        )
        await exchange.respond(encode(made))


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
    _, _, response_id = _asked_for(exchange)
    if not query.flag("stream"):
        return await _show(exchange, response_id, include)
    with exchange.presence():
        await _replay(exchange, response_id, after=after, veiled=veiled)


async def _show(exchange: Exchange, response_id: str, include: frozenset[str]) -> None:
    body = await stored.retrieve(
        exchange.deps.runs,
        exchange.project,
        response_id,
        include=include,
        flavour=exchange.flavour,
    )
    await exchange.respond(body)


async def _replay(exchange: Exchange, response_id: str, *, after: int, veiled: bool) -> None:
    runs, project = exchange.deps.runs, exchange.project
    groups = None
    if runs.background is not None:
        groups = await runs.background.events(project, response_id, starting_after=after)
    if groups is None:
        events = await stored.replay(runs.store, project, response_id, starting_after=after)
        groups = sse.grouped(events)
    await sse.stream(exchange, groups, obfuscate=veiled)


async def input_items(exchange: Exchange) -> None:
    """``GET /v1/responses/{id}/input_items``: newest first unless ``order=asc``."""
    query = Query(exchange.scope["query_string"], ("after", "limit", "order", "include"))
    limit = query.integer("limit", default=PAGE_DEFAULT, least=1, most=PAGE_MAX)
    order = query.word("order", ("asc", "desc"), default="desc")
    runs, project, response_id = _asked_for(exchange)
    body = await stored.input_items(
        runs,
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
    """``POST /v1/responses/{id}/cancel``: the response as it is after it. The body, if any, is not
    looked at."""
    runs, project, response_id = _asked_for(exchange)
    await stored.cancel(runs, project, response_id)
    await _show(exchange, response_id, frozenset())
