"""The questions put to every subject, and for how long."""

from dataclasses import dataclass

PACE_MS = 10


@dataclass(frozen=True)
class Workload:
    """A closed loop of `connections` clients asking `model`.

    chunks: text chunks of one streamed answer; 0 for a plain JSON answer.
    paced: chunks come one per write, PACE_MS apart, and carry the time they were sent at.
    direct: also measured without any server in between, to know what a server adds.
    get_stored: Antiphon reads a stored response instead; the proxy still relays a question.
    input_bytes: about so much text is asked, as 50 messages; 0 for one short question.
    traced: each request has a header of its own (traceparent).
    rivals: also put to other projects' servers.
    times: how often in every round; what goals depend on most is asked most.
    seconds_min, rounds_max: instead of the plan's, where that would be too few or too many.
    """

    name: str
    model: str
    connections: int
    chunks: int = 0
    paced: bool = False
    direct: bool = False
    get_stored: bool = False
    input_bytes: int = 0
    traced: bool = False
    rivals: bool = False
    full_only: bool = False
    times: int = 1
    seconds_min: float = 0.0
    rounds_max: int = 99

    @property
    def stream(self) -> bool:
        return self.chunks > 0

    @property
    def answer_seconds(self) -> float:
        """How long the model server takes over one answer, at least."""
        return self.chunks * PACE_MS / 1e3 if self.paced else 0.0


@dataclass(frozen=True)
class Plan:
    """How much of everything. Seconds are those of one measurement of one subject."""

    name: str
    rounds: int
    seconds: float
    warm_seconds: float
    idle_streams: tuple[int, int]
    turns: int
    rival_rounds: int
    rival_memory: bool


QUICK = Plan(
    "quick",
    rounds=3,
    seconds=0.5,
    warm_seconds=0.15,
    idle_streams=(100, 1000),
    turns=1000,
    rival_rounds=2,
    rival_memory=False,
)
FULL = Plan(
    "full",
    rounds=7,
    seconds=1.5,
    warm_seconds=0.5,
    idle_streams=(100, 1000),
    turns=1000,
    rival_rounds=5,
    rival_memory=True,
)


def paced(chunks: int, connections: int, **more: object) -> Workload:
    name, model = f"paced-{chunks}-{connections}", f"mock-stream-{chunks}-paced-{PACE_MS}"
    return Workload(name, model, connections, chunks, paced=True, **more)  # type: ignore[arg-type]


def burst(chunks: int, connections: int, **more: object) -> Workload:
    name, model = f"burst-{chunks}-{connections}", f"mock-stream-{chunks}-burst"
    return Workload(name, model, connections, chunks, **more)  # type: ignore[arg-type]


WORKLOADS = [
    Workload("json-1", "mock", 1, direct=True, rivals=True),
    Workload("json-16", "mock", 16),
    Workload("json-64", "mock", 64, rivals=True, times=3),
    Workload("json-traced-64", "mock", 64, traced=True),
    Workload("json-delay-500", "mock-delay-100", 500, seconds_min=1.5),
    Workload("get-stored-16", "mock", 16, get_stored=True, rivals=True),
    Workload("input-100k-8", "mock", 8, input_bytes=100_000),
    Workload("input-5m-2", "mock", 2, input_bytes=5_000_000),
    burst(20, 1, direct=True),
    burst(20, 16),
    burst(200, 16, rivals=True),
    burst(2000, 4),
    paced(20, 80, rivals=True),
    paced(200, 80, direct=True),
    paced(2000, 80, rounds_max=1),
    paced(200, 400, full_only=True, rounds_max=4),
]
MODELS = sorted({workload.model for workload in WORKLOADS} | {"mock", "mock-idle"})

POSTGRES_WORKLOADS = frozenset({"json-64", "get-stored-16", "paced-200-80"})
"""Those that are also asked of an Antiphon which stores in PostgreSQL."""

RESPONSES_WORKLOADS = frozenset({"json-64", "burst-200-16", "paced-200-80", "input-100k-8"})
"""Those that are also asked of an Antiphon whose upstream speaks the Responses API."""
