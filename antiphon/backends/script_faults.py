"""The scripts that fail: what a backend raises when the outside misbehaves."""

from __future__ import annotations

from collections.abc import Iterator

from antiphon.backends.script_parts import (
    GREETING,
    Batch,
    Play,
    chosen_tool,
    last_user_text,
    line_of,
    say,
    start,
)
from antiphon.errors import (
    ContextOverflow,
    RemoteError,
)
from antiphon.stream.deltas import (
    CallArguments,
    Text,
)
from antiphon.types.tools import (
    FunctionTool,
)


def error(play: Play) -> Iterator[Batch]:
    """Fails before its first word with the HTTP status in its name (error-429; default 500)."""
    raise failure(play.number or 500)


def error_after(play: Play) -> Iterator[Batch]:
    """Fails after n words (error-after-3; default 3)."""
    for n in range(3 if play.number is None else play.number):
        yield [Text(f" word{n + 1}")]
    raise RemoteError("The scripted model broke off.", code="upstream_broke_off")


def error_in_call(play: Play) -> Iterator[Batch]:
    """Fails in the middle of a call's arguments."""
    yield [start(0, chosen_tool(play.turn) or FunctionTool(name="no_such_tool"))]
    yield [CallArguments(0, '{"cut": "he')]
    raise RemoteError("The scripted model broke off.", code="upstream_broke_off")


def timeout(play: Play) -> Iterator[Batch]:
    """Fails as if the model had not answered in time."""
    raise failure(504)


def flaky(play: Play) -> Iterator[Batch]:
    """Fails n times (flaky-2; default 1) in a way that invites a retry, then greets."""
    if play.attempt <= (play.number or 1):
        raise failure(503)
    return say(GREETING)


def overflow(play: Play) -> Iterator[Batch]:
    """Has a window of n characters (overflow-1000); repeats the user if the context fits."""
    limit = play.number or 1_000
    size = len("".join(line_of(item) for item in play.turn.items)) + len(
        play.turn.instructions or ""
    )
    if size > limit:
        raise ContextOverflow(
            f"This model's context is {limit} characters long; the request has {size}."
        )
    return say(last_user_text(play.turn))


def crash(play: Play) -> Iterator[Batch]:
    """Raises an exception no backend should raise, after one word."""
    yield [Text("Well")]
    raise ZeroDivisionError("the scripted model was told to crash")


FAILURES: dict[int, tuple[str, str, bool, float | None]] = {
    400: ("invalid_value", "The scripted model refuses this request.", False, None),
    401: ("upstream_unauthorized", "The upstream refused the server's credentials.", False, None),
    404: ("model_not_found", "The scripted model says it does not exist.", False, None),
    429: ("rate_limit_exceeded", "The scripted model is busy.", True, 0.01),
    500: ("server_error", "The scripted model failed.", True, None),
    503: ("upstream_unavailable", "The scripted model is not available.", True, None),
    504: ("upstream_timeout", "The scripted model did not answer in time.", True, None),
}


def failure(status: int) -> RemoteError:
    """401 becomes 502, as every backend does: the credentials refused are the server's own."""
    code, message, retryable, retry_after = FAILURES.get(status, FAILURES[500])
    return RemoteError(
        message,
        status=502 if status == 401 else status,
        code=code,
        retryable=retryable,
        retry_after_seconds=retry_after,
    )
