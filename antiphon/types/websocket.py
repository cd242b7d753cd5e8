"""What a client says over a WebSocket, and the answers that are not events of a stream
(api-surface §9)."""

from __future__ import annotations

from typing import Any, Literal

import msgspec
from msgspec import UNSET, Struct, UnsetType

from antiphon.types import explain
from antiphon.types.base import Wire
from antiphon.types.request import CreateResponse
from antiphon.types.resources import ErrorBody


class ClientEvent(Struct):
    """Any message: what it is, and for which lane. The rest is read when its turn has come."""

    type: str
    stream_id: Any = None


class Continuing(Struct):
    """What a create continues, whatever else is wrong with it."""

    previous_response_id: Any = None


class CreateEvent(CreateResponse, kw_only=True, forbid_unknown_fields=True):
    """``response.create``: the body of a create, and what there is only here.

    ``generate`` false: a warm-up, made without the model. ``stream_id``: the lane.
    """

    type: Literal["response.create"]
    stream_id: str | None = None
    generate: bool | None = None


class SteerEvent(Struct, forbid_unknown_fields=True):
    """``response.steer``: more input for a response under way."""

    type: Literal["response.steer"]
    previous_response_id: str
    input: str | list[dict[str, Any]]


class ErrorMessage(Wire, tag="error", tag_field="type", kw_only=True):
    """A message that was refused, or a connection that ends. ``headers``: what an HTTP answer
    would have said beside its body, e.g. ``retry-after``."""

    status: int
    error: SocketError
    stream_id: str | UnsetType = UNSET


class SocketError(ErrorBody, kw_only=True):
    """The error object of an ``ErrorMessage``."""

    headers: dict[str, str] | UnsetType = UNSET


class Steer(Wire, kw_only=True):
    """A steering that was not taken, given back."""

    previous_response_id: str
    input: str | list[dict[str, Any]]


class SteerError(Wire, kw_only=True):
    """Why it was not taken."""

    code: str
    message: str
    type: Literal["invalid_request_error"] = "invalid_request_error"


class SteerFailed(Wire, tag="response.steer.failed", tag_field="type", kw_only=True):
    """The answer to a ``response.steer`` that changes nothing."""

    sequence_number: int = 0
    steer: Steer
    error: SteerError


_client = msgspec.json.Decoder(ClientEvent).decode
_create = msgspec.json.Decoder(CreateEvent).decode
_continuing = msgspec.json.Decoder(Continuing).decode
_steer = msgspec.json.Decoder(SteerEvent).decode


def decode_client(message: bytes) -> ClientEvent:
    """What a message is. Raises ``ClientError`` where it is no object with a ``type``."""
    try:
        return _client(message)
    except (ValueError, RecursionError) as failure:
        raise explain.explain_body(message, ClientEvent, failure) from None


def continued_by(message: bytes) -> str | None:
    """The ``previous_response_id`` of a create, even of one that is refused."""
    try:
        parent = _continuing(message).previous_response_id
    except (ValueError, RecursionError):
        return None
    return parent if isinstance(parent, str) else None


def decode_create_event(message: bytes) -> CreateEvent:
    """A ``response.create``. Raises ``ClientError`` naming the parameter."""
    try:
        return _create(message)
    except (ValueError, RecursionError) as failure:
        raise explain.explain_body(message, CreateEvent, failure) from None


def decode_steer(message: bytes) -> SteerEvent:
    """A ``response.steer``. Raises ``ClientError`` naming the parameter."""
    try:
        return _steer(message)
    except (ValueError, RecursionError) as failure:
        raise explain.explain_body(message, SteerEvent, failure) from None
