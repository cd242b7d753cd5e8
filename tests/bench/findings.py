"""A made-up run: what the report, the goals and the charts are tested with."""

from __future__ import annotations

from typing import Any

from bench.conversation import Turns
from bench.duels import Duel
from bench.findings import Findings
from bench.idle import Weight
from bench.measure import Sample
from bench.queries import Queries


def sample(cpu_us: float, *, p50: float = 100.0, rate: float = 1000.0, fault: str = "") -> Sample:
    """One measurement with this CPU time per unit, latency and rate."""
    latency = {"p50": p50, "p95": p50, "p99": p50 * 2}
    load: dict[str, Any] = dict.fromkeys(
        ("latency_us", "first_counted_us", "stamp_delay_us"), latency
    )
    return Sample(64, 1000, rate, cpu_us, 0.5, load, fault)


def one_round(nginx: float, ours: float, stored: float) -> dict[str, Sample]:
    """CPU time per unit of each; latencies of 100 us direct, 200 nginx's, 300 ours."""
    return {
        "direct": sample(1, p50=100),
        "nginx": sample(nginx, p50=200, rate=5000),
        "antiphon": sample(ours, p50=300, rate=4000),
        "antiphon-stored": sample(stored, p50=500, rate=4000),
        "antiphon-postgres": sample(stored - 20, p50=500, rate=4000),
    }


def findings() -> Findings:
    """All that a quick run finds, with every goal reached and some stretched."""
    found = Findings(subjects=["antiphon", "antiphon-stored"], sync_us=200)
    plain = ("json-1", "json-16", "json-64", "get-stored-16", "json-delay-500")
    found.samples = {name: [one_round(20, 60, 120), one_round(10, 25, 80)] for name in plain}
    for name, cpu in (("paced-200-80", 40.0), ("burst-200-16", 5.0)):
        found.samples[name] = [one_round(cpu / 2, cpu * 0.7, cpu), one_round(cpu / 2, cpu, cpu)]
    found.first_answers = {"nginx": 0.01, "antiphon": 0.3, "antiphon-stored": 0.35}
    found.weights = {
        "nginx": Weight(0.01, 6_000_000, 18_000, (100, 1000)),
        "antiphon": Weight(0.3, 42_000_000, 13_000, (100, 1000)),
        "antiphon-stored": Weight(0.3, 43_000_000, 14_000, (100, 1000)),
    }
    found.turns = [
        Turns(turn, 512, cpu, written, written)
        for turn, cpu, written in (
            (1, 90, 5e4),
            (10, 100, 5e4),
            (100, 120, 5e4),
            (1000, 300, 5.5e4),
        )
    ]
    found.queries = Queries(hit=0, cold=2)
    for name, goal, cpu, rate in (
        ("agentic-api", "state", 900.0, 500.0),
        ("smg", "state", 250.0, 2000.0),
        ("llm-rosetta", "", 800.0, 400.0),
        ("litellm", "python", 20_000.0, 50.0),
        ("ogx", "python", 15_000.0, 50.0),
    ):
        found.duels[name] = Duel("1.0.0", "", goal, base_bytes=50_000_000)
        found.duels[name].samples = {
            "json-64": [{"antiphon-stored": sample(100, rate=4000), name: sample(cpu, rate=rate)}]
        }
    return found
