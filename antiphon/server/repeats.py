"""Requests with an ``Idempotency-Key``, seen from the routes. What the key means:
``runs/idempotency.py``."""

from __future__ import annotations

from antiphon.runs.idempotency import HEADER, Claim, digest_of, key_of
from antiphon.server.exchange import Exchange

_NAME = HEADER.lower().encode()


async def claim_of(exchange: Exchange, body: bytes) -> Claim | str | None:
    """The key this request comes with, to make something for; the id of what was made for it, and
    the answer will say that it is a repeat; None if there is no key. ``body`` is good JSON. Raises
    ``ClientError``."""
    value = exchange.headers.get(_NAME)
    if value is None:
        return None
    digest = digest_of(exchange.route, body)
    found = await exchange.deps.runs.repeats.claim(exchange.project, key_of(value), digest)
    exchange.replayed = isinstance(found, str)
    return found
