"""Observations as Prometheus metrics."""

from __future__ import annotations

import pytest
from prometheus_client.parser import text_string_to_metric_families

from antiphon.observe import (
    KINDS,
    Broke,
    EngineChanged,
    RequestFinished,
    ResponseFinished,
    Retried,
    SocketClosed,
    SocketOpened,
    StoreCommitted,
    Swept,
    TurnFinished,
    WebhookTried,
)
from antiphon.telemetry.metrics import MODELS_MAX, Histogram, Metrics


def samples(metrics: Metrics) -> dict[tuple[str, ...], float]:
    """(name, label values …) → value, as a scraper reads it."""
    body, content_type = metrics.render()
    assert content_type.startswith("text/plain; version=0.0.4")
    return {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(body.decode())
        for sample in family.samples
    }


def response(model: str, first_delta_seconds: float | None = 0.2) -> ResponseFinished:
    return ResponseFinished(
        response_id="resp_1",
        project="p",
        model=model,
        status="completed",
        seconds=2.0,
        first_delta_seconds=first_delta_seconds,
        input_tokens=10,
        output_tokens=3,
        events=9,
        streamed=True,
        stored=True,
    )


@pytest.mark.requirement("process:metrics:counts")
def test_everything_observed_is_counted() -> None:
    metrics = Metrics(in_flight=lambda: 4)
    metrics(RequestFinished("req_1", "POST", "/v1/responses", 200, 0.03))
    metrics(response("m"))
    metrics(response("m", None))
    metrics(TurnFinished("up", "m", "ok", 1.0, 1))
    metrics(Retried("up", "m", "upstream_timeout", 1))
    metrics(StoreCommitted(7, 0.002))
    metrics(Swept(5))
    metrics(Broke("run", ValueError()))
    metrics(EngineChanged("ready"))
    metrics(WebhookTried("wh", "p", "we", "response.failed", "resp", "given_up", "status 410", 1))
    for _ in range(3):
        metrics(SocketOpened("req_1", "default"))
    metrics(SocketClosed("req_1", "default", 1001, 3.0, 2))
    metrics(SocketClosed("req_1", "default", 4711, 3.0, 2))
    found = samples(metrics)
    assert found["antiphon_requests_total", "/v1/responses", "200", "POST"] == 1
    assert found["antiphon_request_seconds_bucket", "+Inf", "/v1/responses"] == 1
    assert found["antiphon_request_seconds_bucket", "/v1/responses", "0.025"] == 0
    assert found["antiphon_request_seconds_bucket", "/v1/responses", "0.05"] == 1
    assert found["antiphon_responses_total", "completed", "m"] == 2
    assert found["antiphon_response_seconds_sum", "m"] == 4
    assert found["antiphon_first_delta_seconds_count", "m"] == 1
    assert found["antiphon_tokens_total", "input", "m"] == 20
    assert found["antiphon_tokens_total", "m", "output"] == 6
    assert found["antiphon_turns_total", "ok", "up"] == 1
    assert found["antiphon_retries_total", "up", "upstream_timeout"] == 1
    assert found["antiphon_store_commit_seconds_count",] == 1
    assert found["antiphon_store_rows_total",] == 7
    assert found["antiphon_swept_responses_total",] == 5
    assert found["antiphon_broke_total", "run"] == 1
    assert found["antiphon_websockets_open",] == 1
    assert found["antiphon_websockets_closed_total", "1001"] == 1
    assert found["antiphon_websockets_closed_total", "other"] == 1
    assert found["antiphon_webhooks_total", "given_up"] == 1
    assert found["antiphon_engine_ready",] == 1
    assert found["antiphon_requests_in_flight",] == 4
    metrics(EngineChanged("exited", "signal 9"))
    assert samples(metrics)["antiphon_engine_ready",] == 0


@pytest.mark.requirement("telemetry:observe:every_kind")
def test_every_kind_of_record_is_counted() -> None:
    assert set(Metrics().hears) == set(KINDS)


def test_a_series_is_shown_once_there_is_something_to_show() -> None:
    metrics = Metrics()
    assert [name for name, *labels in samples(metrics) if labels] == []
    metrics(response("m", None))
    shown = {name for name, *labels in samples(metrics) if "m" in labels}
    assert "antiphon_response_seconds_count" in shown
    assert "antiphon_first_delta_seconds_count" not in shown


@pytest.mark.requirement("process:metrics:bounded")
def test_names_callers_invent_do_not_make_series_without_end() -> None:
    metrics = Metrics()
    for number in range(MODELS_MAX + 50):
        metrics(response(f"invented-{number}"))
    assert len(metrics.responses.series) == MODELS_MAX + 1
    assert metrics.responses.series["other", "completed"].value == 50


def test_a_value_on_a_bound_is_in_its_bucket() -> None:
    histogram = Histogram("x", "", bounds=(1.0, 2.0))
    for value in (0.5, 1.0, 2.0, 9.0):
        histogram.at().see(value)
    assert histogram.at().buckets() == [("1.0", 2.0), ("2.0", 3.0), ("+Inf", 4.0)]
