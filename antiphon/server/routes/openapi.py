"""``GET /openapi.json``: the API described. No key is needed: it says nothing of anybody."""

from __future__ import annotations

from antiphon.server.exchange import Exchange


async def document(exchange: Exchange) -> None:
    """The document; made when it is asked for first."""
    from antiphon.server.openapi import document_json

    await exchange.answer(document_json())
