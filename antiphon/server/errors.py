"""Every failure becomes one answer here: status, the API's error object, headers.

    ClientError         its own status and code; the SDK is told not to repeat it
    RemoteError         its own status; repeated by the SDK only if that may help
    RecursionError      400: JSON may be read on one stack and be too deep on the next
    anything else       500, no details: those go to ``observe``

The body is ``{"error": {"message", "type", "param", "code"}}``, all four keys always present
(api-surface §1.4). ``x-should-retry`` says what the SDK may do, because a request it repeats
after work was done costs a second generation.
"""

from __future__ import annotations

import math

from msgspec import Struct

from antiphon.errors import ClientError, RemoteError
from antiphon.types.codec import encode
from antiphon.types.resources import ErrorBody, ErrorEnvelope

Headers = list[tuple[bytes, bytes]]

_RETRIED_ANYWAY = frozenset({408, 409, 429})
"""Client errors that may pass by themselves: the SDK's own rule decides."""


class Problem(Struct, frozen=True):
    """A failure as an answer."""

    status: int
    error: ErrorBody
    headers: Headers

    @property
    def body(self) -> bytes:
        return encode(ErrorEnvelope(self.error))


def problem_of(failure: Exception, request_id: str) -> Problem:
    """The answer for any failure that happened before the first byte was sent."""
    match failure:
        case ClientError():
            return _of_client(failure)
        case RemoteError():
            return _of_remote(failure)
        case RecursionError():
            message = "The request, or what it refers to, is nested too deeply."
            return _of_client(ClientError(message, code="invalid_json"))
        case _:
            return _of_bug(request_id)


def _of_client(failure: ClientError) -> Problem:
    headers = [(name.lower().encode(), value.encode()) for name, value in failure.headers.items()]
    if failure.status not in _RETRIED_ANYWAY:
        headers.append((b"x-should-retry", b"false"))
    error = ErrorBody(
        message=failure.message, type=failure.type, param=failure.param, code=failure.code
    )
    return Problem(failure.status, error, headers)


def _of_remote(failure: RemoteError) -> Problem:
    status = failure.status if 400 <= failure.status < 600 else 502
    headers = [(b"x-should-retry", b"true" if failure.retryable else b"false")]
    if failure.retry_after_seconds is not None:
        seconds = max(failure.retry_after_seconds, 0.0)
        headers.append((b"retry-after", b"%d" % math.ceil(seconds)))
        headers.append((b"retry-after-ms", b"%d" % round(seconds * 1000)))
    code = failure.code
    if status == 429 and code == "server_error":
        code = "rate_limit_exceeded"
    error = ErrorBody(
        message=failure.message, type=_type_of(status, code), param=failure.param, code=code
    )
    return Problem(status, error, headers)


def _type_of(status: int, code: str) -> str:
    if status == 429:
        return "insufficient_quota" if code == "insufficient_quota" else "rate_limit_exceeded"
    return "invalid_request_error" if status < 500 else "server_error"


def _of_bug(request_id: str) -> Problem:
    message = (
        "The server failed while it worked on this request. Nothing is wrong with the request "
        f"as far as we know; the operator finds the reason in the log under {request_id}."
    )
    error = ErrorBody(message=message, type="server_error", code="server_error")
    return Problem(500, error, [(b"x-should-retry", b"false")])


def wrong_method(method: str, allowed: tuple[str, ...]) -> ClientError:
    """405, naming the methods that exist on this path."""
    names = ", ".join(allowed)
    return ClientError(
        f"Method {method[:16]} is not allowed on this path; allowed: {names}.",
        code="method_not_allowed",
        status=405,
        headers={"allow": names},
    )


def unknown_url(method: str, path: str, hint: str = "") -> ClientError:
    """404 for a path nobody serves. ``hint`` is one more sentence, or empty."""
    shown = path if len(path) <= 100 else path[:99] + "…"
    message = f"Unknown request URL: {method[:16]} {shown}. {hint}".rstrip()
    return ClientError(message, code="unknown_url", status=404)


def no_websocket() -> ClientError:
    """426 for an upgrade: a client that speaks both falls back to HTTP at once.

    Codex probes seven more times after a 405 (clients.md).
    """
    return ClientError(
        "This is no WebSocket handshake of version 13, or this server does not speak WebSocket; "
        "send the same request as POST /v1/responses with 'stream': true.",
        code="websocket_unsupported",
        status=426,
        headers={"upgrade": "HTTP/1.1"},
    )


def stopping() -> RemoteError:
    """503: the server ends and has no more time for the request."""
    return RemoteError("The server is stopping; send the request again.", status=503)


def overcrowded() -> RemoteError:
    """503: as many requests as the operator allows are under way."""
    return RemoteError(
        "The server is answering as many requests as it may; try again shortly.",
        status=503,
        code="server_overloaded",
        retryable=True,
        retry_after_seconds=1,
    )
