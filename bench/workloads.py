"""The questions put to every subject, and for how long."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Workload:
    """A closed loop of `connections` clients asking `model`.

    chunks: text chunks of one streamed answer; 0 for a plain JSON answer.
    paced: chunks come one per write, 10 ms apart, and carry the time they were sent at.
    direct: also measured without any server in between, to know what a server adds.
    get_stored: Antiphon reads a stored response instead; the proxy still relays a question.
    """

    name: str
    model: str
    connections: int
    chunks: int = 0
    paced: bool = False
    direct: bool = False
    get_stored: bool = False
    full_only: bool = False

    @property
    def stream(self) -> bool:
        return self.chunks > 0


@dataclass(frozen=True)
class Plan:
    """How much of everything. Seconds are those of one measurement of one subject."""

    name: str
    rounds: int
    seconds: float
    warm_seconds: float
    idle_streams: tuple[int, int]
    turns: int


QUICK = Plan("quick", rounds=3, seconds=0.6, warm_seconds=0.15, idle_streams=(100, 500), turns=0)
FULL = Plan("full", rounds=7, seconds=2.0, warm_seconds=0.5, idle_streams=(100, 1000), turns=1000)

WORKLOADS = [
    Workload("json-1", "mock", 1, direct=True),
    Workload("json-16", "mock", 16),
    Workload("json-64", "mock", 64),
    Workload("get-stored-16", "mock", 16, get_stored=True),
    Workload("burst-20-1", "mock-stream-20-burst", 1, 20, direct=True),
    Workload("burst-20-16", "mock-stream-20-burst", 16, 20),
    Workload("burst-200-16", "mock-stream-200-burst", 16, 200),
    Workload("paced-20-80", "mock-stream-20-paced-10", 80, 20, paced=True),
    Workload("paced-200-80", "mock-stream-200-paced-10", 80, 200, paced=True, direct=True),
    Workload("json-delay-500", "mock-delay-100", 500, full_only=True),
    Workload("paced-200-400", "mock-stream-200-paced-10", 400, 200, paced=True, full_only=True),
]
