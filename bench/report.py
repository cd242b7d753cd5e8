"""From samples to ratios.

A figure is divided by the reference's (nginx's) of the same round; then the median is taken.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from statistics import median
from typing import Any

from bench.idle import Weight
from bench.measure import Sample, Samples
from bench.workloads import Workload

Figure = Callable[[Sample], float | None]


@dataclass(frozen=True)
class Goal:
    """What a ratio should reach, at least or at most."""

    goal: float
    stretch: float


@dataclass
class Metric:
    """One line of the table: the reference's own figure, and each subject's ratio to it.

    `more_is_better` tells which way a goal is read; goals go by subject.
    """

    name: str
    unit: str
    more_is_better: bool
    reference: float | None = None
    ratios: dict[str, float | None] = field(default_factory=dict)
    goals: dict[str, Goal] = field(default_factory=dict)


GOALS: dict[tuple[str, str], dict[str, Goal]] = {
    ("json-64", "per CPU-second"): {
        "antiphon": Goal(0.25, 0.40),
        "antiphon-stored": Goal(0.12, 0.20),
    },
    ("get-stored-16", "per CPU-second"): {"antiphon-stored": Goal(0.4, 0.6)},
    ("json-1", "added latency p50"): {"antiphon": Goal(2.5, 1.7)},
    ("paced-20-80", "CPU per unit"): {"antiphon": Goal(2.0, 1.5)},
    ("paced-200-80", "CPU per unit"): {"antiphon": Goal(2.0, 1.5)},
    ("paced-200-80", "added delay of a text p50"): {"antiphon": Goal(4.0, 2.5)},
    ("json-delay-500", "per second"): {"antiphon-stored": Goal(0.7, 0.9)},
}


def per_cpu_second(sample: Sample) -> float | None:
    return 1e6 / sample.cpu_us_per_unit if sample.cpu_us_per_unit else None


def cpu_us(sample: Sample) -> float | None:
    return sample.cpu_us_per_unit


def per_second(sample: Sample) -> float | None:
    return sample.units_per_second or None


def p50_of(name: str) -> Figure:
    def read(sample: Sample) -> float | None:
        value = sample.load[name]["p50"]
        return float(value) if value is not None else None

    return read


def metric(
    rounds: list[dict[str, Sample]],
    workload: str,
    label: str,
    figure: Figure,
    *,
    unit: str,
    reference: str,
    more_is_better: bool = False,
    over_direct: bool = False,
) -> Metric | None:
    """Ratios to the reference within each round, then their median.

    over_direct: the ratio is of what each adds to a call without any server in between.
    """
    goals = GOALS.get((workload, label), {}) if reference == "nginx" else {}
    found = Metric(f"{workload}: {label}", unit, more_is_better, goals=goals)
    figures: dict[str, list[float]] = {}
    ratios: dict[str, list[float]] = {}
    for taken in rounds:
        values = {name: value for name, s in taken.items() if (value := figure(s)) is not None}
        if over_direct:
            base = values.pop("direct", None)
            if base is None:
                continue
            values = {name: value - base for name, value in values.items()}
        for name, value in values.items():
            figures.setdefault(name, []).append(value)
            if name != reference and name != "direct" and values.get(reference, 0) > 0:
                ratios.setdefault(name, []).append(value / values[reference])
    if reference not in figures:
        return None
    found.reference = median(figures[reference])
    found.ratios = {name: median(each) for name, each in ratios.items()}
    return found


def metrics_of(workload: Workload, rounds: list[dict[str, Sample]], reference: str) -> list[Metric]:
    """The lines a workload gives, in the table's order."""
    what = "text" if workload.stream else "request"

    def line(
        label: str, figure: Figure, unit: str, *, more: bool = False, added: bool = False
    ) -> Metric | None:
        return metric(
            rounds,
            workload.name,
            label,
            figure,
            unit=unit,
            reference=reference,
            more_is_better=more,
            over_direct=added,
        )

    lines: list[Metric | None] = []
    if workload.paced:
        lines.append(line("CPU per unit", cpu_us, f"us/{what}"))
        lines.append(line("added delay of a text p50", p50_of("stamp_delay_us"), "us", added=True))
        if workload.connections > 100:
            lines.append(line("per second", per_second, f"{what}/s", more=True))
    elif workload.connections == 1:
        label = "added first text p50" if workload.stream else "added latency p50"
        name = "first_counted_us" if workload.stream else "latency_us"
        lines.append(line(label, p50_of(name), "us", added=True))
        lines.append(line("per CPU-second", per_cpu_second, f"{what}/s", more=True))
    else:
        lines.append(line("per CPU-second", per_cpu_second, f"{what}/s", more=True))
        lines.append(line("per second", per_second, f"{what}/s", more=True))
    return [found for found in lines if found]


def stored_share(rounds: list[dict[str, Sample]]) -> Metric | None:
    """How many requests a CPU-second serves when storing, relative to Antiphon not storing."""
    found = metric(
        rounds,
        "json-64",
        "stored, relative to not stored, per CPU-second",
        per_cpu_second,
        unit="request/s",
        reference="antiphon",
        more_is_better=True,
    )
    if not found or "antiphon-stored" not in found.ratios:
        return None
    found.ratios = {"antiphon-stored": found.ratios["antiphon-stored"]}
    found.goals = {"antiphon-stored": Goal(0.45, 0.60)}
    return found


def idle_metrics(weights: dict[str, Weight], reference: str) -> list[Metric]:
    """Memory and start-up. These have absolute goals too, printed by notes()."""
    base = weights.get(reference)
    others = {name: w for name, w in weights.items() if name != reference}
    if not base or not others:
        return []
    low, high = base.streams
    each = Metric(f"memory of an idle stream ({low} to {high})", "KB", False)
    each.goals = {"antiphon": Goal(1.5, 0.8)} if reference == "nginx" else {}
    each.reference = base.bytes_per_stream / 1e3
    each.ratios = {n: w.bytes_per_stream / base.bytes_per_stream for n, w in others.items()}
    whole = Metric("memory after the first answer", "MB", False, base.base_bytes / 1e6)
    whole.ratios = {n: w.base_bytes / base.base_bytes for n, w in others.items()}
    return [each, whole]


def all_metrics(
    workloads: list[Workload], samples: Samples, weights: dict[str, Weight], reference: str
) -> list[Metric]:
    found: list[Metric] = []
    for workload in workloads:
        found += metrics_of(workload, samples[workload.name], reference)
        if workload.name == "json-64" and (share := stored_share(samples[workload.name])):
            found.append(share)
    return found + idle_metrics(weights, reference)


def faults(samples: Samples, weights: dict[str, Weight]) -> list[str]:
    """Everything that makes a figure doubtful, once per workload and subject."""
    found: dict[str, str] = {}
    for workload, rounds in samples.items():
        for taken in rounds:
            for name, sample in taken.items():
                if sample.fault:
                    found.setdefault(f"{workload}, {name}", sample.fault)
    found |= {f"idle streams, {name}": w.fault for name, w in weights.items() if w.fault}
    return [f"{where}: {what}" for where, what in found.items()]


def verdict(found: Metric, subject: str) -> str:
    """`**` stretch reached, `*` goal reached, `-` neither, nothing without a goal."""
    ratio, goal = found.ratios.get(subject), found.goals.get(subject)
    if ratio is None or goal is None:
        return ""
    sign = 1 if found.more_is_better else -1
    if sign * ratio >= sign * goal.stretch:
        return " **"
    return " *" if sign * ratio >= sign * goal.goal else " -"


def number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def table(metrics: list[Metric], subjects: list[str], reference: str) -> str:
    """Aligned text, one line per metric."""
    rows = [["relative to " + reference, reference + "'s own", *subjects, "goal", "stretch"]]
    for found in metrics:
        cells = []
        for name in subjects:
            ratio = found.ratios.get(name)
            cells.append("" if ratio is None else f"{ratio:.2f}x{verdict(found, name)}")
        sign = ">=" if found.more_is_better else "<="
        goals = [found.goals[name] for name in subjects if name in found.goals]
        aims = [
            "/".join(f"{sign}{getattr(g, kind):g}" for g in goals) for kind in ("goal", "stretch")
        ]
        rows.append([found.name, f"{number(found.reference)} {found.unit}", *cells, *aims])
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:]])


def as_json(samples: Samples, metrics: list[Metric]) -> dict[str, Any]:
    """The parts of the results file that come from measuring."""
    return {
        "metrics": [asdict(found) for found in metrics],
        "samples": {
            name: [{subject: asdict(s) for subject, s in taken.items()} for taken in rounds]
            for name, rounds in samples.items()
        },
    }
