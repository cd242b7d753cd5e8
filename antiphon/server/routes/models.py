"""``/v1/models`` (Models API): what the backends can name."""

from __future__ import annotations

from collections.abc import Sequence

from antiphon.backends.base import Model
from antiphon.errors import ClientError
from antiphon.server.exchange import Exchange
from antiphon.types.base import UNSET
from antiphon.types.codec import encode
from antiphon.types.resources import ModelList, ModelObject


async def every(exchange: Exchange) -> None:
    """``GET /v1/models``: all of them, never paged."""
    models = await _models(exchange)
    await exchange.answer(encode(ModelList(data=[_shown(model) for model in models])))


async def one(exchange: Exchange) -> None:
    """``GET /v1/models/{model}``; names may contain slashes."""
    name = exchange.path_parameter("model")
    for model in await _models(exchange):
        if model.id == name:
            return await exchange.answer(encode(_shown(model)))
    shown = name if len(name) <= 100 else name[:99] + "…"
    raise ClientError(
        f"The model '{shown}' does not exist here; GET /v1/models lists the ones that do.",
        code="model_not_found",
        param="model",
        status=404,
    )


async def _models(exchange: Exchange) -> Sequence[Model]:
    with exchange.presence():
        return await exchange.deps.backend.models()


def _shown(model: Model) -> ModelObject:
    return ModelObject(
        id=model.id,
        created=model.created,
        owned_by=model.owned_by,
        about=model.about or UNSET,
    )
