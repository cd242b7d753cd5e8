"""``/v1/chat/completions`` and what is below it (Chat Completions API)."""

from __future__ import annotations

from contextlib import aclosing
from typing import Any, cast

import msgspec

from antiphon.errors import LocalProtocolError
from antiphon.runs import chat as chats
from antiphon.runs import chat_stored
from antiphon.runs.chat import Chat
from antiphon.runs.chat_view import retold
from antiphon.server.errors import problem_of
from antiphon.server.exchange import Exchange
from antiphon.server.frames import CONTENT_TYPE, DONE, HEADERS, chunk_frame, veil
from antiphon.server.query import PAGE_DEFAULT, PAGE_MAX, Query
from antiphon.server.repeats import claim_of
from antiphon.store.completions import Completions, Wanted
from antiphon.types.chat import CreateChatCompletion, decode_chat, decode_chat_update
from antiphon.types.codec import encode
from antiphon.types.completion import ChatCompletion
from antiphon.types.resources import ErrorEnvelope


async def create(exchange: Exchange) -> None:
    """``POST /v1/chat/completions``. Only ``stream`` chooses the projection."""
    body = await exchange.body()
    asked = decode_chat(body)
    options = asked.stream_options
    with exchange.presence():
        claim = await claim_of(exchange, body)
        if isinstance(claim, str):
            return await _repeat(exchange, claim, asked)
        chat = await chats.create(
            exchange.deps.runs,
            asked,
            project=exchange.project,
            flavour=exchange.flavour,
            claim=claim,
        )
        exchange.response_id = chat.view.id
        exchange.downgrades = chat.downgrades
        if asked.stream:
            veiled = options is not None and options.include_obfuscation is True
            await _stream(exchange, chat, veiled=veiled)
        else:
            await exchange.answer(encode(await chat.finish()))


async def _stream(exchange: Exchange, chat: Chat, *, veiled: bool) -> None:
    """Send what happened together in one write. A failure on the way is a last event with an
    ``error``, and no ``[DONE]`` follows it: nothing is done."""
    view = chat.view
    # Leaving the generator open, or failing before its first step, would keep the model call alive:
    # hence the head of the answer goes out inside the loop.
    async with aclosing(cast(Any, chat.listener.groups())) as groups:
        async for group in groups:
            if not exchange.started:
                await exchange.begin(CONTENT_TYPE, HEADERS)
            chunks = view.chunks(group)
            if veiled:
                for chunk in chunks:
                    chunk.obfuscation = veil(exchange.deps.random)
            frames = b"".join(map(chunk_frame, chunks))
            if view.failed is not None:
                problem = problem_of(view.failure(view.failed), exchange.request_id)
                await exchange.end(frames + chunk_frame(ErrorEnvelope(problem.error)))
            elif view.over:
                await exchange.end(frames + DONE)
            elif frames:
                await exchange.write(frames)
    if not exchange.complete:
        raise LocalProtocolError("a completion ended without its last event")


async def _repeat(exchange: Exchange, id: str, asked: CreateChatCompletion) -> None:
    """Answer with the completion that was made for the same idempotency key."""
    found = await chat_stored.retrieve(
        _stored(exchange), exchange.project, id, exchange.deps.ids.clock()
    )
    if not asked.stream:
        return await exchange.answer(found)
    options = asked.stream_options
    completion = msgspec.json.decode(found, type=ChatCompletion)
    chunks = retold(completion, usage=options is not None and options.include_usage is True)
    await exchange.begin(CONTENT_TYPE, HEADERS)
    await exchange.end(b"".join(map(chunk_frame, chunks)) + DONE)


def _asked_for(exchange: Exchange) -> tuple[Completions, str, str]:
    """Whose completion is meant; an id of any shape is looked up, and missing if it is absurd."""
    return _stored(exchange), exchange.project, exchange.path_parameter("completion_id")


def _stored(exchange: Exchange) -> Completions:
    return exchange.deps.runs.completions


async def every(exchange: Exchange) -> None:
    """``GET /v1/chat/completions``: the stored ones, oldest first unless ``order=desc``."""
    query = Query(
        exchange.scope["query_string"], ("after", "limit", "model", "order"), mapping="metadata"
    )
    after, limit, descending = _page(query)
    wanted = Wanted(
        after=after,
        limit=limit,
        descending=descending,
        model=query.text("model"),
        metadata=query.named,
    )
    body = await chat_stored.listed(
        _stored(exchange), exchange.project, wanted, exchange.deps.ids.clock()
    )
    await exchange.answer(body)


async def retrieve(exchange: Exchange) -> None:
    """``GET /v1/chat/completions/{id}``."""
    found = _asked_for(exchange)
    await exchange.answer(await chat_stored.retrieve(*found, exchange.deps.ids.clock()))


async def update(exchange: Exchange) -> None:
    """``POST /v1/chat/completions/{id}``: only ``metadata`` can be changed."""
    asked = decode_chat_update(await exchange.body())
    found = _asked_for(exchange)
    exchange.deps.runs.retention.refuse(exchange.project, "metadata", "Delete the completion.")
    now = exchange.deps.ids.clock()
    await exchange.answer(await chat_stored.update(*found, asked.metadata, now))


async def delete(exchange: Exchange) -> None:
    """``DELETE /v1/chat/completions/{id}``. The body, if any, is not looked at."""
    found = _asked_for(exchange)
    await exchange.answer(await chat_stored.delete(*found, exchange.deps.ids.clock()))


async def messages(exchange: Exchange) -> None:
    """``GET /v1/chat/completions/{id}/messages``: what it was made from, in order."""
    query = Query(exchange.scope["query_string"], ("after", "limit", "order"))
    after, limit, descending = _page(query)
    body = await chat_stored.messages(
        *_asked_for(exchange),
        after=after,
        limit=limit,
        descending=descending,
        now=exchange.deps.ids.clock(),
    )
    await exchange.answer(body)


def _page(query: Query) -> tuple[str | None, int, bool]:
    limit = query.integer("limit", default=PAGE_DEFAULT, least=1, most=PAGE_MAX)
    order = query.word("order", ("asc", "desc"), default="asc")
    return query.text("after"), limit, order == "desc"
