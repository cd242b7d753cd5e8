"""``/v1/antiphon/capabilities``: what each model can do here, as requests would find out."""

from __future__ import annotations

from antiphon.runs.abilities import abilities, grouped
from antiphon.runs.downgrades import DOWNGRADES
from antiphon.server.exchange import Exchange
from antiphon.server.query import Query
from antiphon.types.codec import encode
from antiphon.types.resources import CapabilityManifest, ModelAbilities


async def every(exchange: Exchange) -> None:
    """``GET /v1/antiphon/capabilities``: all models; with ``model`` that one only, which need not
    be listed."""
    deps = exchange.deps
    wanted = Query(exchange.scope["query_string"], ("model",)).text("model")
    if wanted is None:
        with exchange.presence():
            names = [model.id for model in await deps.backend.models()]
    else:
        names = [wanted]
    background = deps.runs.background is not None
    groups = []
    for group in grouped({name: deps.backend.capabilities(name) for name in names}):
        known = abilities(
            group.capabilities, deps.runs.settings, mcp=deps.runs.mcp, background=background
        )
        groups.append(
            ModelAbilities(
                models=group.models,
                context_tokens=group.capabilities.context_tokens,
                tools=dict(known.tools),
                items=dict(known.items),
                parameters=dict(known.parameters),
                include=dict(known.include),
            )
        )
    manifest = CapabilityManifest(
        version=deps.version,
        profile="open-responses" if deps.open_responses else "openai",
        transports={
            "json": True,
            "sse": True,
            "websocket": deps.websocket.enabled,
            "background": background,
        },
        unsupported_tools=deps.runs.settings.unsupported_tools,
        downgrades=dict(DOWNGRADES),
        models=groups,
    )
    await exchange.answer(encode(manifest))
