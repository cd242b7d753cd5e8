"""Webhook endpoints, and what is sent to them (Webhooks API)."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta

from antiphon.types.base import UNSET, Asked, UnsetType, Wire

ENDED: tuple[str, ...] = (
    "response.completed",
    "response.failed",
    "response.cancelled",
    "response.incomplete",
)
"""What a background response comes to: the event types this server sends."""

ELSEWHERE: tuple[str, ...] = (
    "batch.completed",
    "batch.failed",
    "batch.expired",
    "batch.cancelled",
    "eval.run.succeeded",
    "eval.run.failed",
    "eval.run.canceled",
    "fine_tuning.job.succeeded",
    "fine_tuning.job.failed",
    "fine_tuning.job.cancelled",
    "realtime.call.incoming",
    "live.call.incoming",
    "live.transport.connected",
    "live.transport.incoming",
    "video.completed",
    "video.failed",
    "agent.environment.ready",
    "agent.environment.failed",
    "agent.environment.suspended",
    "agent.environment.expired",
    "agent.session.created",
    "agent.session.action_required",
    "agent.session.in_progress",
    "agent.session.idle",
    "agent.session.failed",
    "safety.alert.created",
)
"""Event types the API knows besides: of things that do not happen here."""

_Name = Annotated[str, Meta(min_length=1, max_length=256)]
_Url = Annotated[str, Meta(min_length=1, max_length=2_048)]
_EventTypes = Annotated[list[str], Meta(min_length=1, max_length=64)]


class CreateEndpoint(Asked, kw_only=True):
    """The body of ``POST /v1/webhook_endpoints``."""

    event_types: _EventTypes
    name: _Name
    url: _Url


class UpdateEndpoint(Asked, kw_only=True):
    """The body of ``POST /v1/webhook_endpoints/{id}``; what is absent or null stays."""

    event_types: _EventTypes | None = None
    name: _Name | None = None
    url: _Url | None = None


class RotateSecret(Asked, kw_only=True):
    """The body of ``POST /v1/webhook_endpoints/{id}/rotate_secret``."""

    keep_old_secret_active_for_24_hours: bool | None = None


class EndpointTest(Asked, kw_only=True):
    """The body of ``POST /v1/webhook_endpoints/{id}/test``."""

    event_type: str


class WebhookEndpoint(Wire, kw_only=True):
    """An endpoint. Times in seconds; ``updated_at`` moves only when something changed. ``object``
    is ``webhook.endpoint`` in Azure's flavour."""

    id: str
    object: str = "webhook_endpoint"
    created_at: int
    updated_at: int
    name: str
    url: str
    event_types: list[str]
    signing_secret_hint: str
    signing_secret: str | UnsetType = UNSET


class EndpointDeleted(Wire, kw_only=True):
    """The answer to ``DELETE /v1/webhook_endpoints/{id}``."""

    id: str
    object: str = "webhook_endpoint.deleted"
    deleted: Literal[True] = True


class EndpointTested(Wire, kw_only=True):
    """The answer to a test: what the endpoint said."""

    object: str = "webhook_endpoint.test"
    webhook_endpoint_id: str
    event_type: str
    status_code: int
    success: Literal[True] = True


class EventTypes(Wire, kw_only=True):
    """``GET /v1/webhook_event_types``; never paged."""

    object: Literal["list"] = "list"
    data: list[str]


class WebhookEvent(Wire, kw_only=True):
    """The body of a delivery. ``created_at`` in seconds; ``data`` names the response and nothing
    more: who wants it retrieves it."""

    id: str
    object: Literal["event"] = "event"
    type: str
    created_at: int
    data: dict[str, Any]
