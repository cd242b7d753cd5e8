"""What can go wrong, named by whose fault it is.

    AntiphonError
    ├── ClientError          the caller's: becomes an HTTP status and the API's error object
    ├── RemoteError          a backend's, a tool's or the store's: retried, or fails the run
    │   └── ContextOverflow  the prompt does not fit the model's window
    └── LocalProtocolError   ours: loud in tests, ``server_error`` in production

Before the first event of a response an error is an HTTP status; after it, an event.
Messages are written for the reader who has to act and never contain a secret.
"""

from __future__ import annotations

from collections.abc import Mapping


class AntiphonError(Exception):
    """Root of the tree; never raised itself."""


class ClientError(AntiphonError):
    """The request cannot be honoured as it stands (api-surface: error bodies).

    ``param`` is the path of the offending field as the API writes it (``input[3].content``),
    ``code`` one of the API's machine-readable words, ``status`` an HTTP status below 500.
    """

    def __init__(
        self,
        message: str,
        *,
        code: str | None = "invalid_value",
        param: str | None = None,
        status: int = 400,
        type: str = "invalid_request_error",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.param = param
        self.status = status
        self.type = type
        self.headers = dict(headers or {})


class RemoteError(AntiphonError):
    """Something outside this process misbehaved.

    ``status`` is what the caller sees when nothing has been sent yet (429, 502, 504 …);
    ``code`` is the API word for it; ``retryable`` says that the same call may succeed later
    and that nothing was produced; ``retry_after_seconds`` is the remote's own wish.
    ``event_code`` is the word allowed in ``response.error.code`` (a closed list).
    """

    def __init__(
        self,
        message: str,
        *,
        status: int = 502,
        code: str = "server_error",
        retryable: bool = False,
        retry_after_seconds: float | None = None,
        param: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.code = code
        self.retryable = retryable
        self.retry_after_seconds = retry_after_seconds
        self.param = param

    @property
    def event_code(self) -> str:
        if self.status == 429:
            return "rate_limit_exceeded"
        return "invalid_prompt" if self.status == 400 else "server_error"


class ContextOverflow(RemoteError):
    """The rendered prompt is longer than the model's window (400 ``context_length_exceeded``)."""

    def __init__(self, message: str) -> None:
        super().__init__(message, status=400, code="context_length_exceeded", param="input")


class LocalProtocolError(AntiphonError):
    """We broke our own rules (an event out of order, a batch after the end): a bug here."""
