"""Log lines from observations: one per finished response, one per request that went wrong.

No line holds content of a conversation or a key. That is why the message of an unexpected
exception is shown at level debug only (it may quote what it choked on); its type and where it
was raised are always there.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, TextIO, assert_never

import msgspec

from antiphon.config import LogSettings
from antiphon.ids import now_ms
from antiphon.observe import (
    Broke,
    EngineChanged,
    Observation,
    RequestFinished,
    ResponseFinished,
    Retried,
    StoreCommitted,
    Swept,
    TurnFinished,
)

_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}

Render = Callable[[dict[str, Any]], str]


class Logs:
    """Writes to ``stream``. ``every_request``: also those that went well, at level info."""

    def __init__(
        self, settings: LogSettings, stream: TextIO, *, every_request: bool = False
    ) -> None:
        pretty = settings.format == "pretty" or (settings.format == "auto" and stream.isatty())
        self._render = _pretty(colors=stream.isatty()) if pretty else _json
        self._stream = stream
        self._level = _LEVELS[settings.level]
        self._debug = self._level <= _LEVELS["debug"]
        self._every_request = every_request
        self._now = _Clock()

    def __call__(self, observation: Observation) -> None:
        match observation:
            case RequestFinished():
                self._request(observation)
            case ResponseFinished():
                self.say("info", "response", _fields(observation))
            case StoreCommitted():
                if self._debug:
                    self.say("debug", "store_commit", _fields(observation))
            case TurnFinished():
                if self._debug or observation.outcome != "ok":
                    level = "debug" if observation.outcome == "ok" else "info"
                    self.say(level, "turn", _fields(observation))
            case Retried():
                self.say("info", "retry", _fields(observation))
            case Swept():
                if observation.responses:
                    self.say("info", "swept", _fields(observation))
            case EngineChanged():
                self.say("info", "engine", _fields(observation))
            case Broke():
                self._broke(observation)
            case _:
                assert_never(observation)

    def say(self, level: str, event: str, fields: Mapping[str, Any]) -> None:
        """Write one line, if ``level`` is shown at all."""
        if _LEVELS[level] < self._level:
            return
        line = {"timestamp": self._now(), "level": level, "event": event, **fields}
        try:
            self._stream.write(self._render(line) + "\n")
            self._stream.flush()
        except (OSError, ValueError):
            pass  # nobody reads the log any more (closed pipe): that must not end a response

    def _request(self, observation: RequestFinished) -> None:
        if observation.status >= 500:
            self.say("warning", "request", _fields(observation))
        elif observation.status >= 400 or self._every_request:
            self.say("info", "request", _fields(observation))
        elif self._debug:
            self.say("debug", "request", _fields(observation))

    def _broke(self, observation: Broke) -> None:
        fields: dict[str, Any] = {"where": observation.where}
        fields |= _exception(observation.error, message=self._debug)
        if observation.response_id is not None:
            fields["response_id"] = observation.response_id
        self.say("error", "broke", fields)

    def adopt(self) -> logging.Handler:
        """Send warnings of the libraries (server, event loop, HTTP client) here as well.

        Returns the handler now at the root of ``logging``; remove it to undo.
        """
        handler = _Adopted(self, message=self._debug)
        logging.getLogger().addHandler(handler)
        return handler


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


class _Clock:
    """Timestamps such as ``2026-01-31T23:59:59.123Z``; the date is written once a second."""

    def __init__(self) -> None:
        self._second = -1
        self._written = ""

    def __call__(self) -> str:
        second, milliseconds = divmod(now_ms(), 1000)
        if second != self._second:
            self._second = second
            self._written = datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")
        return f"{self._written}.{milliseconds:03d}Z"


def _json(line: dict[str, Any]) -> str:
    return msgspec.json.encode(line).decode()


def _pretty(*, colors: bool) -> Render:
    """Lines for people. The library is imported here: a tenth of a second servers do not need."""
    import structlog

    renderer = structlog.dev.ConsoleRenderer(colors=colors)
    return lambda line: str(renderer(None, "", line))
