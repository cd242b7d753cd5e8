"""Observations as log lines."""

from __future__ import annotations

import io
import json
import logging
from typing import Any

import msgspec
import pytest

from antiphon.config import LogSettings
from antiphon.observe import (
    KINDS,
    Broke,
    EngineChanged,
    Observation,
    RequestFinished,
    ResponseFinished,
    Retried,
    StoreCommitted,
    Swept,
    TurnFinished,
    WebhookTried,
)
from antiphon.telemetry import logs as logs_module
from antiphon.telemetry.logs import Logs


def lines(level: str, *observations: Observation, **more: Any) -> list[dict[str, Any]]:
    stream = io.StringIO()
    logs = Logs(LogSettings(format="json", level=level), stream, **more)  # type: ignore[arg-type]
    for observation in observations:
        logs(observation)
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def request(status: int) -> RequestFinished:
    return RequestFinished("req_1", "GET", "/v1/models", status, 0.01234567)


def test_a_request_is_a_line_by_its_status_and_the_level() -> None:
    every = (request(200), request(404), request(502))
    assert [line["status"] for line in lines("info", *every)] == [404, 502]
    assert [line["status"] for line in lines("debug", *every)] == [200, 404, 502]
    assert [line["status"] for line in lines("warning", *every)] == [502]
    assert [line["status"] for line in lines("info", *every, every_request=True)] == [200, 404, 502]
    assert lines("error", *every) == []


def test_a_line_has_its_time_first_and_no_empty_fields() -> None:
    (line,) = lines("info", request(404))
    assert list(line) == [
        *("timestamp", "level", "event", "request_id", "method", "route", "status", "seconds")
    ]
    assert line["seconds"] == 0.0123


@pytest.mark.requirement("telemetry:lines:same")
@pytest.mark.parametrize("first_delta_seconds", [0.0012345, None])
def test_the_line_of_a_response_is_its_record(first_delta_seconds: float | None) -> None:
    seen = ResponseFinished(
        *("resp_1", 'pro"j', "mödel", "completed", 12.3456789, first_delta_seconds),
        *(14, 0, 11, False, True),
    )
    (line,) = lines("info", seen)
    record = msgspec.structs.asdict(seen)
    if first_delta_seconds is None:
        del record["first_delta_seconds"]
    else:
        record["first_delta_seconds"] = 0.0012
    record["seconds"] = 12.3457
    assert list(line.items())[1:] == [("level", "info"), ("event", "response"), *record.items()]
    assert lines("warning", seen) == []


def test_a_line_says_when_it_happened(monkeypatch: pytest.MonkeyPatch) -> None:
    moments = iter([999, 1000, 1999, 86_400_000, 86_399_999])
    monkeypatch.setattr(logs_module, "now_ms", lambda: next(moments))
    every = lines("info", *[request(404)] * 5)
    assert [line["timestamp"] for line in every] == [
        "1970-01-01T00:00:00.999Z",
        "1970-01-01T00:00:01.000Z",
        "1970-01-01T00:00:01.999Z",
        "1970-01-02T00:00:00.000Z",
        "1970-01-01T23:59:59.999Z",  # somebody set the clock back
    ]


@pytest.mark.requirement("telemetry:observe:every_kind")
def test_every_kind_of_record_has_its_line() -> None:
    every = Logs(LogSettings(format="json", level="debug"), io.StringIO())
    assert set(every.hears) == set(KINDS)


def test_a_webhook_that_is_given_up_is_a_warning() -> None:
    tried = [
        WebhookTried("wh_1", "p", "we_1", "response.failed", "resp_1", outcome, "status 500", 3)
        for outcome in ("delivered", "failed", "given_up")
    ]
    assert [line["outcome"] for line in lines("debug", *tried)] == [
        "delivered",
        "failed",
        "given_up",
    ]
    assert [line["level"] for line in lines("info", *tried)] == ["info", "warning"]
    (line,) = lines("warning", *tried)
    assert (line["event"], line["endpoint"], line["response_id"], line["attempt"]) == (
        "webhook",
        "we_1",
        "resp_1",
        3,
    )


def test_what_happens_often_is_shown_at_debug_only() -> None:
    often = (StoreCommitted(3, 0.001), TurnFinished("b", "m", "ok", 1.0, 1), Swept(0))
    assert lines("info", *often) == []
    assert [line["event"] for line in lines("debug", *often)] == ["store_commit", "turn"]
    rare = (
        TurnFinished("b", "m", "upstream_timeout", 1.0, 1),
        Retried("b", "m", "upstream_timeout", 1),
        Swept(2),
        EngineChanged("ready"),
    )
    assert [line["event"] for line in lines("info", *rare)] == ["turn", "retry", "swept", "engine"]


def test_the_message_of_an_unexpected_exception_is_shown_at_debug_only() -> None:
    try:
        raise KeyError("something a user wrote")
    except KeyError as error:
        broke = Broke("run", error, "resp_1")
    (line,) = lines("info", broke)
    assert (line["where"], line["error"], line["response_id"]) == ("run", "KeyError", "resp_1")
    assert line["raised_at"][0].endswith(
        "test_the_message_of_an_unexpected_exception_is_shown_at_debug_only"
    )
    assert "something a user wrote" not in json.dumps(line)
    assert "something a user wrote" in lines("debug", broke)[0]["message"]


def test_warnings_of_libraries_become_lines_without_what_they_were_filled_with() -> None:
    stream = io.StringIO()
    logs = Logs(LogSettings(format="json"), stream)
    adopted = logs.adopt()
    try:
        logger = logging.getLogger("some.library")
        logger.info("not shown")
        logger.warning("bad %s", "thing")
        try:
            raise ValueError("something a user wrote")
        except ValueError:
            logger.exception("failed with %s", "something a user wrote")
    finally:
        logging.getLogger().removeHandler(adopted)
    warning, error = map(json.loads, stream.getvalue().splitlines())
    assert (warning["level"], warning["logger"], warning["said"]) == (
        "warning",
        "some.library",
        "bad thing",
    )
    assert (error["level"], error["error"], error["said"]) == (
        "error",
        "ValueError",
        "failed with %s",
    )
    assert "something a user wrote" not in stream.getvalue()


def test_people_get_readable_lines() -> None:
    stream = io.StringIO()
    Logs(LogSettings(format="pretty"), stream)(request(404))
    assert "request" in stream.getvalue() and "status=404" in stream.getvalue()
    assert not stream.getvalue().startswith("{")


def test_a_log_nobody_reads_any_more_breaks_nothing() -> None:
    stream = io.StringIO()
    logs = Logs(LogSettings(format="json"), stream)
    stream.close()
    logs(request(500))
