"""Counters from observations, shown in the Prometheus text format.

Counting is a dictionary lookup and an addition; the Prometheus library is imported on the
first scrape. Names begin with ``antiphon_``; times are in seconds. At most 200 model names get
a series of their own, because callers choose them; the rest is counted as ``other``.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from typing import Any, assert_never

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

MODELS_MAX = 200

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
_COMMIT_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0)


class Counter:
    """Sums by label values."""

    def __init__(self, name: str, about: str, labels: Sequence[str] = ()) -> None:
        self.name = name
        self.about = about
        self.labels = labels
        self.values: dict[tuple[str, ...], float] = {}

    def add(self, *labels: str, amount: float = 1) -> None:
        self.values[labels] = self.values.get(labels, 0) + amount


class Histogram:
    """Counts per bucket (``bounds`` are upper limits), and the sum, by label values."""

    def __init__(
        self,
        name: str,
        about: str,
        labels: Sequence[str] = (),
        bounds: Sequence[float] = _SECONDS,
    ) -> None:
        self.name = name
        self.about = about
        self.labels = labels
        self.bounds = bounds
        self.counts: dict[tuple[str, ...], list[int]] = {}
        self.sums: dict[tuple[str, ...], float] = {}

    def see(self, value: float, *labels: str) -> None:
        counts = self.counts.get(labels)
        if counts is None:
            counts = self.counts[labels] = [0] * (len(self.bounds) + 1)
            self.sums[labels] = 0.0
        counts[bisect_left(self.bounds, value)] += 1
        self.sums[labels] += value

    def buckets(self, labels: tuple[str, ...]) -> list[tuple[str, float]]:
        """Cumulative counts, as the text format wants them."""
        total = 0
        found = []
        names = [*map(str, self.bounds), "+Inf"]
        for bound, count in zip(names, self.counts[labels], strict=True):
            total += count
            found.append((bound, float(total)))
        return found


class Metrics:
    """Everything counted in this process. ``in_flight`` tells the requests under way."""

    def __init__(self, *, in_flight: Callable[[], int] = lambda: 0) -> None:
        self._in_flight = in_flight
        self._models: set[str] = set()
        self._registry: Any = None
        self._engine_ready = 0
        self.requests = Counter("requests", "Requests answered", ("route", "method", "status"))
        self.request_seconds = Histogram("request_seconds", "From request to last byte", ("route",))
        self.responses = Counter("responses", "Responses that ended", ("model", "status"))
        self.response_seconds = Histogram("response_seconds", "A response's making", ("model",))
        self.first_delta_seconds = Histogram(
            "first_delta_seconds", "From request to the model's first piece", ("model",)
        )
        self.tokens = Counter("tokens", "Tokens used", ("model", "direction"))
        self.turns = Counter("turns", "Model calls that ended", ("backend", "outcome"))
        self.turn_seconds = Histogram("turn_seconds", "A model call", ("backend",))
        self.retries = Counter("retries", "Model calls made again", ("backend", "reason"))
        self.commits = Histogram("store_commit_seconds", "A group commit", bounds=_COMMIT_SECONDS)
        self.rows = Counter("store_rows", "Rows written")
        self.swept = Counter("swept_responses", "Responses removed because they expired")
        self.broke = Counter("broke", "Exceptions nobody expected", ("where",))
        self.engine = Counter("engine_changes", "State changes of the embedded engine", ("state",))

    def __call__(self, observation: Observation) -> None:
        match observation:
            case RequestFinished():
                status = str(observation.status)
                self.requests.add(observation.route, observation.method, status)
                self.request_seconds.see(observation.seconds, observation.route)
            case ResponseFinished():
                self._response(observation)
            case StoreCommitted():
                self.commits.see(observation.seconds)
                self.rows.add(amount=observation.rows)
            case TurnFinished():
                self.turns.add(observation.backend, observation.outcome)
                self.turn_seconds.see(observation.seconds, observation.backend)
            case Retried():
                self.retries.add(observation.backend, observation.reason)
            case Swept():
                self.swept.add(amount=observation.responses)
            case Broke():
                self.broke.add(observation.where)
            case EngineChanged():
                self.engine.add(observation.state)
                self._engine_ready = int(observation.state == "ready")
            case _:
                assert_never(observation)

    def _response(self, observation: ResponseFinished) -> None:
        model = observation.model
        if model not in self._models:
            if len(self._models) >= MODELS_MAX:
                model = "other"
            else:
                self._models.add(model)
        self.responses.add(model, observation.status)
        self.response_seconds.see(observation.seconds, model)
        if observation.first_delta_seconds is not None:
            self.first_delta_seconds.see(observation.first_delta_seconds, model)
        self.tokens.add(model, "input", amount=observation.input_tokens)
        self.tokens.add(model, "output", amount=observation.output_tokens)

    def render(self) -> tuple[bytes, str]:
        """All series and the process's own (memory, CPU), and the content type of that text."""
        import prometheus_client

        if self._registry is None:
            self._registry = prometheus_client.CollectorRegistry()
            self._registry.register(self)
            prometheus_client.ProcessCollector(registry=self._registry)
        body = bytes(prometheus_client.generate_latest(self._registry))
        return body, prometheus_client.CONTENT_TYPE_PLAIN_0_0_4

    def collect(self) -> Iterator[Any]:
        """What the Prometheus library asks of a collector: metric families."""
        from prometheus_client import core

        for series in vars(self).values():
            if isinstance(series, Counter):
                family = core.CounterMetricFamily(
                    f"antiphon_{series.name}", series.about, labels=series.labels
                )
                for labels, value in series.values.items():
                    family.add_metric(labels, value)
                yield family
            elif isinstance(series, Histogram):
                histogram = core.HistogramMetricFamily(
                    f"antiphon_{series.name}", series.about, labels=series.labels
                )
                for labels, total in series.sums.items():
                    histogram.add_metric(labels, series.buckets(labels), total)
                yield histogram
        yield core.GaugeMetricFamily(
            "antiphon_requests_in_flight", "Requests under way", self._in_flight()
        )
        yield core.GaugeMetricFamily(
            "antiphon_engine_ready", "1 while the embedded engine serves", self._engine_ready
        )
