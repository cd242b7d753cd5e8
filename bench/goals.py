"""The table of goals: what must be reached, what this run found, and the verdict.

Goals are ratios to nginx or to another project's server within the same rounds, or absolute where
a user feels the absolute: memory, start. They hold for the default configuration, with a key,
limits, metrics and logs on, and a stored response answered after a synced commit.
"""

from dataclasses import dataclass
from statistics import median

from bench.conversation import growth
from bench.findings import Findings
from bench.report import (
    Figure,
    aligned,
    cpu_us,
    middle,
    number,
    p50_of,
    per_cpu_second,
    per_second,
    ratio,
)

OURS = ("antiphon", "antiphon-stored", "antiphon-postgres")
NOTHING: tuple[None, str] = (None, "")
Found = tuple[float | None, str]  # the figure, and what it was found with where that is not said


@dataclass(frozen=True)
class Goal:
    """`more`: a larger figure is better. `unit` stands behind figures, goal and stretch."""

    key: str
    metric: str
    goal: float
    stretch: float
    more: bool
    unit: str = ""

    def aim(self, value: float) -> str:
        return f"{'≥' if self.more else '≤'} {value:,g}{self.unit}"


@dataclass(frozen=True)
class Row:
    """One line of the table. `verdict`: stretch, goal, open, or not measured."""

    key: str
    metric: str
    figure: float | None
    note: str
    goal: str
    stretch: str
    verdict: str


GOALS = [
    Goal(
        "plain",
        "plain answer, store: false, 64 connections, share of nginx per CPU",
        0.25,
        0.40,
        True,
    ),
    Goal(
        "stored", "plain answer, stored, 64 connections, share of nginx per CPU", 0.12, 0.20, True
    ),
    Goal("postgres", "the same in PostgreSQL (its own CPU not counted)", 0.18, 0.30, True),
    Goal("postgres_get", "GET of a response stored there", 0.1, 0.3, True),
    Goal("paced", "CPU per paced stream event over nginx's", 2.0, 1.5, False, " x"),
    Goal("paced_stored", "the same, stored", 2.0, 1.5, False, " x"),
    Goal("burst", "burst events per core", 120_000, 160_000, True),
    Goal("burst_stored", "the same, stored", 120_000, 160_000, True),
    Goal("latency", "added p50 at one connection over nginx's own", 2.5, 1.7, False, " x"),
    Goal("state", "stored req/s over agentic-api's and SMG's", 1, 3, True, " x"),
    Goal("python", "stored req/s over LiteLLM's (unstored) and OGX's", 60, 100, True, " x"),
    Goal("turn_cpu", "CPU of turn 1,000 over turn 10", 8, 4, False, " x"),
    Goal("turn_bytes", "bytes written in turn 1,000 over turn 10", 1.2, 1.05, False, " x"),
    Goal("queries_cold", "queries to load a history", 2, 2, False),
    Goal("queries_hit", "queries to load a history the server remembers", 2, 0, False),
    Goal("idle", "memory per 1,000 idle streams over nginx's", 1.5, 0.8, False, " x"),
    Goal("base", "memory after the first answer", 80, 45, False, " MB"),
    Goal("ready", "first answer after the start", 1, 0.4, False, " s"),
    Goal("get", "GET of a stored response, share of nginx per CPU", 0.4, 0.6, True),
    Goal(
        "in_flight", "500 in flight, 100 ms upstream, stored, share of nginx's rate", 0.7, 0.9, True
    ),
]


def verdict(goal: Goal, figure: float | None) -> str:
    if figure is None:
        return "not measured"
    sign = 1 if goal.more else -1
    if sign * figure >= sign * goal.stretch:
        return "stretch"
    return "goal" if sign * figure >= sign * goal.goal else "open"


def rows(found: Findings) -> list[Row]:
    """The table, in the order of GOALS. Shares need nginx: without it they are not measured."""
    figures = compute(found)
    made = []
    for goal in GOALS:
        figure, note = figures[goal.key]
        made.append(
            Row(
                goal.key,
                goal.metric,
                figure,
                note,
                goal.aim(goal.goal),
                goal.aim(goal.stretch),
                verdict(goal, figure),
            )
        )
    return made


def compute(found: Findings) -> dict[str, Found]:
    """A figure for each key of GOALS; None where its measurement is missing or doubtful."""

    def share(workload: str, subject: str, figure: Figure, *, added: bool = False) -> Found:
        rounds = found.samples.get(workload, [])
        if found.reference != "nginx":
            return NOTHING
        return ratio(rounds, figure, subject, "nginx", over_direct=added), ""

    def own(workload: str, subject: str) -> Found:
        return middle(found.samples.get(workload, []), per_cpu_second, subject), ""

    grown = growth(found.turns)
    p50 = p50_of("latency_us")
    return {
        "plain": share("json-64", "antiphon", per_cpu_second),
        "stored": share("json-64", "antiphon-stored", per_cpu_second),
        "postgres": share("json-64", "antiphon-postgres", per_cpu_second),
        "postgres_get": share("get-stored-16", "antiphon-postgres", per_cpu_second),
        "paced": share("paced-200-80", "antiphon", cpu_us),
        "paced_stored": share("paced-200-80", "antiphon-stored", cpu_us),
        "burst": own("burst-200-16", "antiphon"),
        "burst_stored": own("burst-200-16", "antiphon-stored"),
        "latency": share("json-1", "antiphon", p50, added=True),
        "state": against(found, "state"),
        "python": against(found, "python"),
        "turn_cpu": (grown["cpu"], ""),
        "turn_bytes": (grown["written"], ""),
        "queries_cold": (found.queries.cold if found.queries else None, "after a restart"),
        "queries_hit": (found.queries.hit if found.queries else None, ""),
        "idle": idle(found),
        "base": worst([w.base_bytes / 1e6 for n, w in found.weights.items() if n in OURS]),
        "ready": (median(starts) if (starts := starting(found)) else None, ""),
        "get": share("get-stored-16", "antiphon-stored", per_cpu_second),
        "in_flight": share("json-delay-500", "antiphon-stored", per_second),
    }


def worst(values: list[float]) -> Found:
    return (max(values), "") if values else NOTHING


def idle(found: Findings) -> Found:
    base = found.weights.get("nginx")
    ours = [w for n, w in found.weights.items() if n in OURS and not w.fault]
    if not base or base.fault:
        return NOTHING
    return worst([each.bytes_per_stream / base.bytes_per_stream for each in ours])


def starting(found: Findings) -> list[float]:
    """Seconds of every start of Antiphon in this run."""
    return [seconds for name, seconds in found.first_answers.items() if name in OURS] + [
        weight.first_answer_seconds for name, weight in found.weights.items() if name in OURS
    ]


def against(found: Findings, goal: str) -> Found:
    """Over the best rival of this group, by the clock or by the CPU, whichever is less for us.

    None unless all of the group were measured: being ahead of an absent one is no figure.
    """
    least: list[tuple[float, str]] = []
    for name, duel in found.duels.items():
        if duel.goal != goal:
            continue
        rounds = duel.samples.get("json-64", [])
        each = [
            (value, f"{name}, by {by}")
            for by, figure in (("the clock", per_second), ("CPU", per_cpu_second))
            if (value := ratio(rounds, figure, "antiphon-stored", name)) is not None
        ]
        if len(each) < 2:
            return None, f"{name} was not measured"
        least += each
    return min(least) if least else NOTHING


def goal_table(made: list[Row]) -> str:
    lines = [["metric", "figure", "goal", "stretch", "verdict"]]
    units = {goal.key: goal.unit for goal in GOALS}
    for row in made:
        figure = "" if row.figure is None else f"{number(row.figure) or '0'}{units[row.key]}"
        note = f" ({row.note})" if row.note else ""
        lines.append([row.metric, figure + note, row.goal, row.stretch, row.verdict])
    return aligned(lines)
