"""Counters from observations, shown in the Prometheus text format.

A record finds its series by one look-up and adds to them; the Prometheus library is imported on
the first scrape. Names begin with ``antiphon_``; times are in seconds. At most 200 model names
get a series of their own, because callers choose them; the rest is counted as ``other``.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

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

MODELS_MAX = 200

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
_COMMIT_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0)


class Sum:
    """One series of a counter."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value: float = 0


class Spread:
    """One series of a histogram: counts per bucket (the last has no bound), and the sum."""

    __slots__ = ("_bounds", "counts", "sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def see(self, value: float) -> None:
        self.counts[bisect_left(self._bounds, value)] += 1
        self.sum += value

    def buckets(self) -> list[tuple[str, float]]:
        """Cumulative counts, as the text format wants them."""
        total = 0
        found = []
        names = [*map(str, self._bounds), "+Inf"]
        for bound, count in zip(names, self.counts, strict=True):
            total += count
            found.append((bound, float(total)))
        return found


class Counter:
    """Sums by label values. A series exists, and is shown, once it was asked for."""

    def __init__(self, name: str, about: str, labels: Sequence[str] = ()) -> None:
        self.name = name
        self.about = about
        self.labels = labels
        self.series: dict[tuple[str, ...], Sum] = {}

    def at(self, *labels: str) -> Sum:
        """The series of these label values: keep it where it is needed often."""
        found = self.series.get(labels)
        if found is None:
            found = self.series[labels] = Sum()
        return found


class Histogram:
    """Spreads over ``bounds`` (upper limits), by label values."""

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
        self.series: dict[tuple[str, ...], Spread] = {}

    def at(self, *labels: str) -> Spread:
        """The series of these label values: keep it where it is needed often."""
        found = self.series.get(labels)
        if found is None:
            found = self.series[labels] = Spread(self.bounds)
        return found


class _Model:
    """The series of one model."""

    __slots__ = ("by_status", "first_delta", "input_tokens", "name", "output_tokens", "seconds")

    def __init__(self, name: str, metrics: Metrics) -> None:
        self.name = name
        self.by_status: dict[str, Sum] = {}
        self.seconds = metrics.response_seconds.at(name)
        self.first_delta: Spread | None = None
        self.input_tokens = metrics.tokens.at(name, "input")
        self.output_tokens = metrics.tokens.at(name, "output")


class Metrics:
    """Everything counted in this process. ``in_flight`` tells the requests under way."""

    def __init__(self, *, in_flight: Callable[[], int] = lambda: 0) -> None:
        self._in_flight = in_flight
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
        self.ignored = Counter(
            "upstream_ignored",
            "Events and items of upstreams that nobody here knows",
            ("backend", "kind"),
        )
        self.tools = Counter("tool_calls", "Calls the server made", ("name", "outcome"))
        self.tool_seconds = Histogram("tool_call_seconds", "A call the server made", ("name",))
        self.retries = Counter("retries", "Model calls made again", ("backend", "reason"))
        self.commits = Histogram("store_commit_seconds", "A group commit", bounds=_COMMIT_SECONDS)
        self.rows = Counter("store_rows", "Rows written")
        self.swept = Counter("swept_responses", "Responses removed because they expired")
        self.broke = Counter("broke", "Exceptions nobody expected", ("where",))
        self.sockets = Counter("websockets_closed", "WebSockets that were closed", ("code",))
        self._sockets_open = 0
        self._queue = QueueSeen(0, 0)
        self.runs = Counter("background_runs", "Background responses claimed or lost", ("change",))
        self.webhooks = Counter("webhooks", "Webhook events sent", ("outcome",))
        self.engine = Counter("engine_changes", "State changes of the embedded engine", ("state",))
        # What the three records of every request add to, by what tells their series apart.
        self._by_request: dict[tuple[str, str, int], tuple[Sum, Spread]] = {}
        self._by_turn: dict[tuple[str, str], tuple[Sum, Spread]] = {}
        self._by_model: dict[str, _Model] = {}
        self.hears: Mapping[type[Observation], Callable[[Any], None]] = {
            RequestFinished: self._request,
            SocketOpened: self._socket_opened,
            SocketClosed: self._socket_closed,
            ResponseFinished: self._response,
            TurnFinished: self._turn,
            Retried: self._retried,
            Ignored: self._ignored,
            ToolFinished: self._tool,
            StoreCommitted: self._committed,
            Swept: self._swept,
            Broke: self._broke,
            WebhookTried: self._webhook_tried,
            RunChanged: self._run_changed,
            QueueSeen: self._queue_seen,
            EngineChanged: self._engine_changed,
        }

    def __call__(self, observation: Observation) -> None:
        self.hears[type(observation)](observation)

    def _request(self, seen: RequestFinished) -> None:
        key = (seen.route, seen.method, seen.status)
        found = self._by_request.get(key)
        if found is None:
            found = self._by_request[key] = (
                self.requests.at(seen.route, seen.method, str(seen.status)),
                self.request_seconds.at(seen.route),
            )
        total, seconds = found
        total.value += 1
        seconds.see(seen.seconds)

    def _turn(self, seen: TurnFinished) -> None:
        key = (seen.backend, seen.outcome)
        found = self._by_turn.get(key)
        if found is None:
            found = self._by_turn[key] = (self.turns.at(*key), self.turn_seconds.at(seen.backend))
        total, seconds = found
        total.value += 1
        seconds.see(seen.seconds)

    def _response(self, seen: ResponseFinished) -> None:
        model = self._by_model.get(seen.model) or self._new_model(seen.model)
        total = model.by_status.get(seen.status)
        if total is None:
            total = model.by_status[seen.status] = self.responses.at(model.name, seen.status)
        total.value += 1
        model.seconds.see(seen.seconds)
        if seen.first_delta_seconds is not None:
            if model.first_delta is None:
                model.first_delta = self.first_delta_seconds.at(model.name)
            model.first_delta.see(seen.first_delta_seconds)
        model.input_tokens.value += seen.input_tokens
        model.output_tokens.value += seen.output_tokens

    def _new_model(self, name: str) -> _Model:
        if len(self._by_model) >= MODELS_MAX:
            return _Model("other", self)
        model = self._by_model[name] = _Model(name, self)
        return model

    def _socket_opened(self, seen: SocketOpened) -> None:
        self._sockets_open += 1

    def _socket_closed(self, seen: SocketClosed) -> None:
        self._sockets_open -= 1
        self.sockets.at(str(seen.code) if seen.code < 3_000 else "other").value += 1

    def _retried(self, seen: Retried) -> None:
        self.retries.at(seen.backend, seen.reason).value += 1

    def _ignored(self, seen: Ignored) -> None:
        self.ignored.at(seen.backend, seen.kind).value += 1

    def _tool(self, seen: ToolFinished) -> None:
        self.tools.at(seen.name, seen.outcome).value += 1
        if seen.outcome != "interrupted":
            self.tool_seconds.at(seen.name).see(seen.seconds)

    def _committed(self, seen: StoreCommitted) -> None:
        self.commits.at().see(seen.seconds)
        self.rows.at().value += seen.rows

    def _swept(self, seen: Swept) -> None:
        self.swept.at().value += seen.responses

    def _broke(self, seen: Broke) -> None:
        self.broke.at(seen.where).value += 1

    def _webhook_tried(self, seen: WebhookTried) -> None:
        self.webhooks.at(seen.outcome).value += 1

    def _run_changed(self, seen: RunChanged) -> None:
        self.runs.at(seen.change).value += 1

    def _queue_seen(self, seen: QueueSeen) -> None:
        self._queue = seen

    def _engine_changed(self, seen: EngineChanged) -> None:
        self.engine.at(seen.state).value += 1
        self._engine_ready = int(seen.state == "ready")

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

        for counted in vars(self).values():
            if isinstance(counted, Counter):
                family = core.CounterMetricFamily(
                    f"antiphon_{counted.name}", counted.about, labels=counted.labels
                )
                for labels, total in counted.series.items():
                    family.add_metric(labels, total.value)
                yield family
            elif isinstance(counted, Histogram):
                histogram = core.HistogramMetricFamily(
                    f"antiphon_{counted.name}", counted.about, labels=counted.labels
                )
                for labels, spread in counted.series.items():
                    histogram.add_metric(labels, spread.buckets(), spread.sum)
                yield histogram
        yield core.GaugeMetricFamily(
            "antiphon_requests_in_flight", "Requests under way", self._in_flight()
        )
        yield core.GaugeMetricFamily(
            "antiphon_websockets_open", "WebSockets that are open", self._sockets_open
        )
        yield core.GaugeMetricFamily(
            "antiphon_background_waiting",
            "Background responses queued, on all replicas",
            self._queue.waiting,
        )
        yield core.GaugeMetricFamily(
            "antiphon_background_making", "Background responses being made", self._queue.making
        )
        yield core.GaugeMetricFamily(
            "antiphon_engine_ready", "1 while the embedded engine serves", self._engine_ready
        )
