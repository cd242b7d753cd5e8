"""The API's other objects: pages, deletions, models, token counts, errors."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from antiphon.types.base import UNSET, UnsetType, Wire
from antiphon.types.request import Metadata
from antiphon.types.response import Usage


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


class Conversation(Wire, kw_only=True):
    """A conversation, without its items. ``created_at`` in seconds; ``metadata`` an object."""

    id: str
    object: Literal["conversation"] = "conversation"
    created_at: int
    metadata: msgspec.Raw


class ConversationDeleted(Wire, kw_only=True):
    """The answer to ``DELETE /v1/conversations/{id}``."""

    id: str
    object: Literal["conversation.deleted"] = "conversation.deleted"
    deleted: Literal[True] = True


class CreateConversation(Struct, kw_only=True, forbid_unknown_fields=True):
    """The body of ``POST /v1/conversations``; the items are still raw objects."""

    items: Annotated[list[dict[str, Any]], Meta(max_length=20)] | None = None
    metadata: Metadata | None = None


class UpdateConversation(Struct, kw_only=True, forbid_unknown_fields=True):
    """The body of ``POST /v1/conversations/{id}``: null empties the metadata."""

    metadata: Metadata | None


class CreateItems(Struct, kw_only=True, forbid_unknown_fields=True):
    """The body of ``POST /v1/conversations/{id}/items``."""

    items: Annotated[list[dict[str, Any]], Meta(min_length=1, max_length=20)]


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


class CompactedResponse(Wire, kw_only=True):
    """The answer to ``POST /v1/responses/compact``: the user's messages, then one compaction."""

    id: str
    object: Literal["response.compaction"] = "response.compaction"
    created_at: int
    output: list[Any]
    usage: Usage


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


class ModelAbilities(Wire):
    """Models that can do the same, and how far each tool, item, parameter and value of
    ``include`` is supported: ``native``, ``emulated``, ``downgraded`` or ``unsupported``."""

    models: list[str]
    context_tokens: int | None
    tools: dict[str, str]
    items: dict[str, str]
    parameters: dict[str, str]
    include: dict[str, str]


class CapabilityManifest(Wire):
    """``GET /v1/antiphon/capabilities``. ``downgrades``: every name ``x-antiphon-downgrades`` may
    hold, and why."""

    version: str
    profile: str
    transports: dict[str, bool]
    unsupported_tools: str
    downgrades: dict[str, str]
    models: list[ModelAbilities]
    object: Literal["antiphon.capabilities"] = "antiphon.capabilities"
