"""From samples to ratios.

A figure is divided by the reference's (nginx's) of the same round; then the median is taken.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from statistics import median
from typing import Any

from bench.duels import Duel
from bench.idle import Weight
from bench.measure import Sample, Samples
from bench.workloads import Workload

Figure = Callable[[Sample], float | None]


@dataclass
class Metric:
    """One line of the table: the reference's own figure, and each subject's ratio to it."""

    name: str
    unit: str
    reference: float | None = None
    ratios: dict[str, float] = field(default_factory=dict)


def per_cpu_second(sample: Sample) -> float | None:
    return 1e6 / sample.cpu_us_per_unit if sample.cpu_us_per_unit else None


def cpu_us(sample: Sample) -> float | None:
    return sample.cpu_us_per_unit


def per_second(sample: Sample) -> float | None:
    return sample.units_per_second or None


def p50_of(name: str) -> Figure:
    def read(sample: Sample) -> float | None:
        value = sample.load.get(name, {}).get("p50")
        return float(value) if value is not None else None

    return read


def figures(
    rounds: list[dict[str, Sample]], figure: Figure, *, over_direct: bool = False
) -> list[dict[str, float]]:
    """The figure of each subject in each round that has it, doubtful samples left out.

    over_direct: less that of a call without any server in between.
    """
    found = []
    for taken in rounds:
        values = {
            name: value
            for name, sample in taken.items()
            if not sample.fault and (value := figure(sample)) is not None
        }
        if over_direct:
            base = values.pop("direct", None)
            values = {name: each - base for name, each in values.items()} if base else {}
        found.append(values)
    return found


def middle(rounds: list[dict[str, Sample]], figure: Figure, subject: str) -> float | None:
    """Median of one subject's own figure."""
    values = [each[subject] for each in figures(rounds, figure) if subject in each]
    return median(values) if values else None


def ratio(
    rounds: list[dict[str, Sample]],
    figure: Figure,
    subject: str,
    reference: str,
    *,
    over_direct: bool = False,
) -> float | None:
    """Median over the rounds of subject / reference."""
    values = [
        each[subject] / each[reference]
        for each in figures(rounds, figure, over_direct=over_direct)
        if subject in each and each.get(reference, 0) > 0
    ]
    return median(values) if values else None


def metric(
    rounds: list[dict[str, Sample]],
    name: str,
    figure: Figure,
    *,
    unit: str,
    reference: str,
    over_direct: bool = False,
) -> Metric | None:
    """None when the reference has no figure."""
    own = figures(rounds, figure, over_direct=over_direct)
    values = [each[reference] for each in own if reference in each]
    if not values:
        return None
    found = Metric(name, unit, median(values))
    others = {subject for each in own for subject in each} - {reference, "direct"}
    for subject in sorted(others):
        value = ratio(rounds, figure, subject, reference, over_direct=over_direct)
        if value is not None:
            found.ratios[subject] = value
    return found


def metrics_of(workload: Workload, rounds: list[dict[str, Sample]], reference: str) -> list[Metric]:
    """The lines a workload gives, in the table's order."""
    what = "text" if workload.stream else "request"

    def line(label: str, figure: Figure, unit: str, *, added: bool = False) -> Metric | None:
        return metric(
            rounds,
            f"{workload.name}: {label}",
            figure,
            unit=unit,
            reference=reference,
            over_direct=added,
        )

    lines: list[Metric | None] = []
    if workload.paced:
        lines.append(line("CPU per unit", cpu_us, f"us/{what}"))
        lines.append(line("added delay of a text p50", p50_of("stamp_delay_us"), "us", added=True))
        if workload.connections > 100:
            lines.append(line("per second", per_second, f"{what}/s"))
    elif workload.connections == 1:
        label = "added first text p50" if workload.stream else "added latency p50"
        name = "first_counted_us" if workload.stream else "latency_us"
        lines.append(line(label, p50_of(name), "us", added=True))
        lines.append(line("per CPU-second", per_cpu_second, f"{what}/s"))
    else:
        lines.append(line("per CPU-second", per_cpu_second, f"{what}/s"))
        lines.append(line("per second", per_second, f"{what}/s"))
    return [found for found in lines if found]


def stored_share(rounds: list[dict[str, Sample]]) -> Metric | None:
    """How many requests a CPU-second serves when storing, relative to Antiphon not storing."""
    name = "json-64: stored, relative to not stored, per CPU-second"
    found = metric(rounds, name, per_cpu_second, unit="request/s", reference="antiphon")
    if not found or "antiphon-stored" not in found.ratios:
        return None
    found.ratios = {"antiphon-stored": found.ratios["antiphon-stored"]}
    return found


def idle_metrics(weights: dict[str, Weight], reference: str) -> list[Metric]:
    base = weights.get(reference)
    others = {name: w for name, w in weights.items() if name != reference}
    if not base or not others:
        return []
    low, high = base.streams
    each = Metric(f"memory of an idle stream ({low} to {high})", "KB", base.bytes_per_stream / 1e3)
    each.ratios = {n: w.bytes_per_stream / base.bytes_per_stream for n, w in others.items()}
    whole = Metric("memory after the first answer", "MB", base.base_bytes / 1e6)
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


def faults(samples: Samples, weights: dict[str, Weight]) -> dict[tuple[str, str], str]:
    """What makes a figure doubtful, by workload and subject; the first reason of each."""
    found: dict[tuple[str, str], str] = {}
    for workload, rounds in samples.items():
        for taken in rounds:
            for name, sample in taken.items():
                if sample.fault:
                    found.setdefault((workload, name), sample.fault)
    return found | {("idle streams", n): w.fault for n, w in weights.items() if w.fault}


def number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def aligned(rows: list[list[str]]) -> str:
    """Text columns; the first row is the heading."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    return "\n".join([lines[0], "-" * max(len(line) for line in lines), *lines[1:]])


def table(metrics: list[Metric], subjects: list[str], reference: str) -> str:
    """One line per metric."""
    rows = [["relative to " + reference, reference + "'s own", *subjects]]
    for found in metrics:
        cells = [f"{found.ratios[n]:.2f}x" if n in found.ratios else "" for n in subjects]
        rows.append([found.name, f"{number(found.reference)} {found.unit}", *cells])
    return aligned(rows)


RIVAL_FIGURES: list[tuple[str, str, Figure]] = [
    ("json-64 req/s", "json-64", per_second),
    ("req per CPU-s", "json-64", per_cpu_second),
    ("p50 us, 1 conn", "json-1", p50_of("latency_us")),
    ("burst texts/CPU-s", "burst-200-16", per_cpu_second),
    ("paced us/text", "paced-20-80", cpu_us),
    ("GET/CPU-s", "get-stored-16", per_cpu_second),
]


def rival_table(duels: dict[str, Duel]) -> str:
    """Each rival's own figures and, in brackets, antiphon-stored's of the same rounds over them."""
    heading = ["rival", "keeps in", "ready", "MB", *(label for label, _, _ in RIVAL_FIGURES)]
    rows = [[*heading, "at most"]]
    for name, found in duels.items():
        if found.absent:
            continue
        cells = []
        most = ""
        for _, workload, figure in RIVAL_FIGURES:
            rounds = found.samples.get(workload, [])
            own = middle(rounds, figure, name)
            ours = ratio(rounds, figure, "antiphon-stored", name)
            failed = any(taken[name].fault for taken in rounds if name in taken)
            shown = f"{number(own)} ({number(ours)}x)" if own and ours else number(own)
            cells.append("FAILED" if failed and not own else shown or "-")
            if workload == "json-64" and rounds and name in rounds[0]:
                most = f"{rounds[0][name].connections} conn"
        state = found.state or "nothing"
        base = f"{found.base_bytes / 1e6:.0f}"
        ready = f"{found.first_answer_seconds:.1f} s"
        rows.append([f"{name} {found.version}", state, ready, base, *cells, most])
    return aligned(rows)


def as_json(samples: Samples) -> dict[str, Any]:
    """Workload -> rounds -> subject -> sample."""
    return {
        name: [{subject: asdict(s) for subject, s in taken.items()} for taken in rounds]
        for name, rounds in samples.items()
    }
