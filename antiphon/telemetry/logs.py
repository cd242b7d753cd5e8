"""Log lines from observations: one per finished response, one per request that went wrong.

No line holds content of a conversation or a key. That is why the message of an unexpected
exception is shown at level debug only (it may quote what it choked on); its type and where it
was raised are always there.

JSON lines of levels info and debug are written together (``lines.py``); warnings, errors and
what ``say`` says leave at once, after those that wait. Lines for people never wait.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, TextIO

import msgspec

from antiphon.config import LogSettings
from antiphon.ids import now_ms
from antiphon.observe import (
    Broke,
    EngineChanged,
    Ignored,
    Observation,
    QueueSeen,
    RequestFinished,
    ResponseFinished,
    Retried,
    RunChanged,
    SocketClosed,
    SocketOpened,
    StoreCommitted,
    Swept,
    ToolFinished,
    TurnFinished,
    WebhookTried,
)
from antiphon.telemetry.lines import Lines

_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}

Render = Callable[[dict[str, Any]], bytes]


class Logs:
    """Writes to ``stream``. ``every_request``: also those that went well, at level info."""

    def __init__(
        self, settings: LogSettings, stream: TextIO, *, every_request: bool = False
    ) -> None:
        pretty = settings.format == "pretty" or (settings.format == "auto" and stream.isatty())
        self._render = _pretty(colors=stream.isatty()) if pretty else msgspec.json.encode
        self._lines = Lines(stream)
        self._may_wait = not pretty
        self._level = _LEVELS[settings.level]
        self._debug = self._level <= _LEVELS["debug"]
        self._every_request = every_request
        self._now = _Clock()
        self.hears = self._heard()

    def __call__(self, observation: Observation) -> None:
        hearer = self.hears.get(type(observation))
        if hearer is not None:
            hearer(observation)

    def say(self, level: str, event: str, fields: Mapping[str, Any]) -> None:
        """Write one line at once, if ``level`` is shown at all."""
        if _LEVELS[level] >= self._level:
            self._lines.add_now(self._line(level, event, fields))

    def flush(self) -> None:
        """Write what still waits: for an end that leaves no time for anything else."""
        self._lines.flush()

    def _heard(self) -> Mapping[type[Observation], Callable[[Any], None]]:
        """The kinds of records that may become a line at this level, and by what."""
        heard: dict[type[Observation], Callable[[Any], None]] = {Broke: self._broke}
        if self._level <= _LEVELS["warning"]:
            heard[RequestFinished] = self._request
            heard[WebhookTried] = self._webhook
        if self._level <= _LEVELS["info"]:
            heard[ResponseFinished] = self._response
            heard[TurnFinished] = self._turn
            heard[Retried] = lambda seen: self._note("info", "retry", seen)
            heard[ToolFinished] = self._tool
            heard[Swept] = self._swept
            heard[SocketClosed] = lambda seen: self._note("info", "websocket", seen)
            heard[RunChanged] = self._run
            heard[EngineChanged] = lambda seen: self._note("info", "engine", seen)
        if self._debug:
            heard[Ignored] = lambda seen: self._note("debug", "upstream_ignored", seen)
            heard[QueueSeen] = lambda seen: self._note("debug", "background_queue", seen)
            heard[SocketOpened] = lambda seen: self._note("debug", "websocket_opened", seen)
            heard[StoreCommitted] = lambda seen: self._note("debug", "store_commit", seen)
        return heard

    def _response(self, seen: ResponseFinished) -> None:
        """The line every request pays for: as ``_note`` writes it, without going by a dict."""
        if not self._may_wait:
            return self._note("info", "response", seen)
        first = seen.first_delta_seconds
        line = _ResponseLine(
            self._now(),
            "info",
            "response",
            seen.response_id,
            seen.project,
            seen.model,
            seen.status,
            (seen.seconds * 10_000 + 0.5) // 1 / 10_000,  # round() takes four times as long
            msgspec.UNSET if first is None else (first * 10_000 + 0.5) // 1 / 10_000,
            seen.input_tokens,
            seen.output_tokens,
            seen.events,
            seen.streamed,
            seen.stored,
        )
        self._lines.add(_encode(line))

    def _request(self, seen: RequestFinished) -> None:
        if seen.status >= 500:
            self.say("warning", "request", _fields(seen))
        elif seen.status >= 400 or self._every_request:
            self._note("info", "request", seen)
        elif self._debug:
            self._note("debug", "request", seen)

    def _turn(self, seen: TurnFinished) -> None:
        if seen.outcome != "ok":
            self._note("info", "turn", seen)
        elif self._debug:
            self._note("debug", "turn", seen)

    def _tool(self, seen: ToolFinished) -> None:
        self._note("debug" if seen.outcome == "ok" else "info", "tool", seen)

    def _webhook(self, seen: WebhookTried) -> None:
        if seen.outcome == "given_up":
            self.say("warning", "webhook", _fields(seen))
        else:
            self._note("debug" if seen.outcome == "delivered" else "info", "webhook", seen)

    def _run(self, seen: RunChanged) -> None:
        self._note("debug" if seen.change == "claimed" else "info", "background", seen)

    def _swept(self, seen: Swept) -> None:
        if seen.responses or seen.completions or seen.logs:
            self._note("info", "swept", seen)

    def _broke(self, seen: Broke) -> None:
        fields: dict[str, Any] = {"where": seen.where}
        fields |= _exception(seen.error, message=self._debug)
        if seen.response_id is not None:
            fields["response_id"] = seen.response_id
        self.say("error", "broke", fields)

    def _note(self, level: str, event: str, seen: Observation) -> None:
        """A line that may wait, if ``level`` is shown at all."""
        if _LEVELS[level] < self._level:
            return
        line = self._line(level, event, _fields(seen))
        if self._may_wait:
            self._lines.add(line)
        else:
            self._lines.add_now(line)

    def _line(self, level: str, event: str, fields: Mapping[str, Any]) -> bytes:
        return self._render({"timestamp": self._now(), "level": level, "event": event, **fields})

    def adopt(self) -> logging.Handler:
        """Send warnings of the libraries (server, event loop, HTTP client) here as well.

        Returns the handler now at the root of ``logging``; remove it to undo.
        """
        handler = _Adopted(self, message=self._debug)
        logging.getLogger().addHandler(handler)
        return handler


class _ResponseLine(msgspec.Struct):
    """The line of a ``ResponseFinished``; ``UNSET`` is left out."""

    timestamp: str
    level: str
    event: str
    response_id: str
    project: str
    model: str
    status: str
    seconds: float
    first_delta_seconds: float | msgspec.UnsetType
    input_tokens: int
    output_tokens: int
    events: int
    streamed: bool
    stored: bool


_encode = msgspec.json.Encoder().encode


class _Adopted(logging.Handler):
    """Turns records of the standard library's logging into our lines."""

    def __init__(self, logs: Logs, *, message: bool) -> None:
        super().__init__(logging.WARNING)
        self._logs = logs
        self._message = message

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        # With an exception only the unformatted message: what it is filled with may be content.
        said = record.getMessage() if error is None else str(record.msg)
        fields: dict[str, Any] = {"logger": record.name, "said": said}
        if error is not None:
            fields |= _exception(error, message=self._message)
        level = "error" if record.levelno >= logging.ERROR else "warning"
        self._logs.say(level, "library", fields)


def _fields(observation: Observation) -> dict[str, Any]:
    """The set fields of a record; times to a tenth of a millisecond."""
    return {
        name: round(value, 4) if type(value) is float else value
        for name, value in msgspec.structs.asdict(observation).items()
        if value is not None and value != ""
    }


def _exception(error: BaseException, *, message: bool) -> dict[str, Any]:
    frames = traceback.extract_tb(error.__traceback__)
    fields: dict[str, Any] = {
        "error": type(error).__name__,
        "raised_at": [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames],
    }
    if message:
        fields["message"] = str(error)
    return fields


_MILLISECONDS = tuple(f".{number:03d}Z" for number in range(1000))


class _Clock:
    """Timestamps such as ``2026-01-31T23:59:59.123Z``; the date is written once a second."""

    def __init__(self) -> None:
        self._begins_ms = -1000
        self._written = ""

    def __call__(self) -> str:
        now = now_ms()
        milliseconds = now - self._begins_ms
        if not 0 <= milliseconds < 1000:
            milliseconds = now % 1000
            self._begins_ms = now - milliseconds
            second = datetime.fromtimestamp(now // 1000, UTC)
            self._written = second.strftime("%Y-%m-%dT%H:%M:%S")
        return self._written + _MILLISECONDS[milliseconds]


def _pretty(*, colors: bool) -> Render:
    """Lines for people. The library is imported here: a tenth of a second servers do not need."""
    import structlog

    renderer = structlog.dev.ConsoleRenderer(colors=colors)
    return lambda line: str(renderer(None, "", line)).encode(errors="backslashreplace")
