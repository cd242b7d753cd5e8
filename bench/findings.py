"""Everything one run of the benchmark has found."""

from dataclasses import dataclass, field

from bench.conversation import Turns
from bench.duels import Duel
from bench.idle import Weight
from bench.measure import Samples
from bench.queries import Queries


@dataclass
class Findings:
    """`samples` are of the workloads without rivals; theirs are in `duels`, by name."""

    reference: str = "nginx"
    subjects: list[str] = field(default_factory=list)
    first_answers: dict[str, float] = field(default_factory=dict)
    sync_us: float = 0.0
    samples: Samples = field(default_factory=dict)
    weights: dict[str, Weight] = field(default_factory=dict)
    turns: list[Turns] = field(default_factory=list)
    queries: Queries | None = None
    duels: dict[str, Duel] = field(default_factory=dict)
