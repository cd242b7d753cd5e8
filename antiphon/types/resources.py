"""The API's other objects: pages, deletions, models, token counts, errors."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from antiphon.types.base import UNSET, UnsetType, Wire


class Page(Wire, kw_only=True):
    """One page of a list. ``data`` holds structs, plain objects or ``msgspec.Raw``.

    ``first_id`` and ``last_id`` are null on an empty page; the SDK continues with ``last_id``.
    """

    object: Literal["list"] = "list"
    data: list[Any]
    first_id: str | None = None
    last_id: str | None = None
    has_more: bool = False


class ItemPage(Page, kw_only=True):
    """A page of items that are already JSON (``GET /v1/responses/{id}/input_items``)."""

    data: list[msgspec.Raw]


class Deleted(Wire, kw_only=True):
    """The answer to ``DELETE /v1/responses/{id}``."""

    id: str
    object: Literal["response"] = "response"
    deleted: Literal[True] = True


class ModelObject(Wire, kw_only=True):
    """A model of ``GET /v1/models``. ``about`` is ours: one sentence for people."""

    id: str
    object: Literal["model"] = "model"
    created: int = 0
    owned_by: str = "antiphon"
    about: str | UnsetType = UNSET


class ModelList(Wire, kw_only=True):
    """``GET /v1/models``; never paged."""

    object: Literal["list"] = "list"
    data: list[ModelObject]


class InputTokens(Wire, kw_only=True):
    """The answer to ``POST /v1/responses/input_tokens``."""

    object: Literal["response.input_tokens"] = "response.input_tokens"
    input_tokens: int


class ErrorBody(Wire, kw_only=True):
    """What went wrong; all four keys are always present."""

    message: str
    type: str
    param: str | None = None
    code: str | None = None


class ErrorEnvelope(Wire):
    """The body of every HTTP error."""

    error: ErrorBody
