"""`python -m bench.plots RESULT.json FOLDER`: a results file as a few small SVG charts.

The same file gives the same bytes: no dates, no random ids. Grey text and no background, so they
are readable on light and dark pages. Needs matplotlib, which only this program uses.
"""

import argparse
import importlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

Result = dict[str, Any]

GREY = "#808080"
COLOURS = {
    "nginx": "#9a9a9a",
    "antiphon": "#2f8f83",
    "antiphon-stored": "#c9772b",
    "agentic-api": "#7d6bb5",
    "smg": "#b5566f",
    "llm-rosetta": "#8a8f3a",
    "litellm": "#5b86c4",
    "ogx": "#a0704f",
}
SETTINGS = {
    "svg.hashsalt": "antiphon",
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 9,
    "text.color": GREY,
    "axes.edgecolor": GREY,
    "axes.labelcolor": GREY,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "legend.frameon": False,
    "figure.constrained_layout.use": True,
}
OURS = ("antiphon", "antiphon-stored")


def figure_of(result: Result, workload: str, subject: str, read: Callable[[Any], Any]) -> Any:
    """Median over the rounds of what `read` takes from a sample; None without one."""
    rounds = result["samples"].get(workload, [])
    values = [read(taken[subject]) for taken in rounds if subject in taken]
    values = [value for value in values if value is not None]
    return median(values) if values else None


def cpu_us(sample: Any) -> Any:
    return sample["cpu_us_per_unit"]


def latency_us(kind: str) -> Callable[[Any], Any]:
    return lambda sample: sample["load"].get("latency_us", {}).get(kind)


def short(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def plain_numbers(axis: Any, least: float | None = None) -> None:
    """A logarithmic axis with 1,000 and not 10 to the third; `least`: where it begins."""
    ticker = importlib.import_module("matplotlib.ticker")
    if least:
        axis.axes.set_xlim(left=least)
    axis.set_major_formatter(ticker.FuncFormatter(lambda value, _: f"{value:,g}"))
    axis.set_minor_formatter(ticker.NullFormatter())


def bars(axes: Any, labels: list[str], series: dict[str, list[Any]]) -> None:
    """Groups of horizontal bars, the first label on top; a missing value leaves its place empty."""
    thick = 0.8 / len(series)
    for number, (name, values) in enumerate(series.items()):
        places = [at + (number - (len(series) - 1) / 2) * thick for at in range(len(labels))]
        drawn = axes.barh(
            places,
            [value or 0 for value in values],
            thick,
            label=name,
            color=COLOURS.get(name, COLOURS["antiphon"]),
        )
        texts = ["" if value is None else short(value) for value in values]
        axes.bar_label(drawn, texts, padding=2, color=GREY, fontsize=7)
    axes.set_yticks(range(len(labels)), labels)
    axes.invert_yaxis()
    if len(series) > 1:
        axes.legend(fontsize=8)


def shares(result: Result, axes: Any) -> bool:
    """What Antiphon does per CPU-second, as a share of what nginx does as a plain proxy."""
    rows: dict[str, dict[str, float]] = {}
    for each in result["metrics"]:
        workload, _, what = each["name"].partition(": ")
        if what == "per CPU-second" and result["reference"] == "nginx":
            rows[workload] = each["ratios"]
        elif what == "CPU per unit" and result["reference"] == "nginx":
            rows[workload] = {name: 1 / value for name, value in each["ratios"].items()}
    bars(axes, list(rows), {name: [row.get(name) for row in rows.values()] for name in OURS})
    axes.set_xlabel("share of nginx's rate per CPU")
    axes.set_title("Share of a plain nginx proxy")
    return bool(rows)


def cost(result: Result, axes: Any) -> bool:
    """CPU per request and per text event."""
    places = {
        "plain answer": "json-64",
        "paced text event": "paced-200-80",
        "burst text event": "burst-200-16",
    }
    names = ("nginx", *OURS)
    series = {n: [figure_of(result, w, n, cpu_us) for w in places.values()] for n in names}
    bars(axes, list(places), series)
    axes.set_xscale("log")
    plain_numbers(axes.xaxis, least=0.1)
    axes.set_xlabel("microseconds of CPU (log)")
    axes.set_title("What one costs")
    return any(value is not None for values in series.values() for value in values)


def latency(result: Result, axes: Any) -> bool:
    """p50 and p99 of plain answers by the number of connections."""
    drawn = False
    counts = (1, 16, 64)
    for name in ("nginx", *OURS):
        for kind, style in (("p50", "-"), ("p99", ":")):
            found = [figure_of(result, f"json-{n}", name, latency_us(kind)) for n in counts]
            points = [(n, value) for n, value in zip(counts, found, strict=True) if value]
            if points:
                drawn = True
                xs, ys = zip(*points, strict=True)
                label = f"{name} {kind}"
                axes.plot(xs, ys, style, marker="o", ms=3, color=COLOURS[name], label=label)
    axes.set(xscale="log", yscale="log", xlabel="connections", ylabel="microseconds")
    plain_numbers(axes.yaxis)
    axes.set_xticks([1, 16, 64], ["1", "16", "64"])
    axes.minorticks_off()
    axes.set_title("Time to a plain answer")
    axes.legend(fontsize=7)
    return drawn


def turns(result: Result, axes: Any) -> bool:
    """CPU of a turn by its place in the conversation."""
    lines = {"antiphon-stored": result["conversation"]} | {
        name: rival["turns"] for name, rival in result["rivals"].items() if rival["turns"]
    }
    for name, windows in lines.items():
        xs, ys = [w["turn"] for w in windows], [w["cpu_us"] for w in windows]
        axes.plot(xs, ys, marker="o", ms=3, label=name, color=COLOURS.get(name))
    axes.set(xscale="log", xlabel="turn", ylabel="microseconds of CPU")
    axes.set_yscale("log" if len(lines) > 1 else "linear")
    axes.set_ylim(bottom=None if len(lines) > 1 else 0)
    plain_numbers(axes.xaxis)
    plain_numbers(axes.yaxis)
    axes.set_title("A turn of a long conversation")
    axes.legend(fontsize=7)
    return bool(result["conversation"])


def memory(result: Result, axes: Any) -> bool:
    """Resident memory of a fresh server after its first answer."""
    weights = dict(result["idle"])
    sizes = {name: weight["base_bytes"] / 1e6 for name, weight in weights.items()}
    for name, rival in result["rivals"].items():
        if rival["base_bytes"]:
            sizes[name] = rival["base_bytes"] / 1e6
        if rival["weight"]:
            weights[name] = rival["weight"]
    labels = [
        f"{name}\n{weights[name]['bytes_per_stream'] / 1e3:,.0f} KB per idle stream"
        if name in weights
        else name
        for name in sizes
    ]
    bars(axes, labels, {"memory": list(sizes.values())})
    axes.set_xlabel("MB")
    axes.set_title("Memory after the first answer")
    return bool(sizes)


def rivals(result: Result, axes: Any) -> bool:
    """Plain answers per CPU-second beside other projects' servers, each in its own rounds."""
    rates: dict[str, float] = {}
    ours = []
    for name, rival in result["rivals"].items():
        for taken in rival["samples"].get("json-64", []):
            each = {n: s["cpu_us_per_unit"] for n, s in taken.items() if not s["fault"]}
            if each.get(name):
                rates[f"{name} {rival['version']}"] = 1e6 / each[name]
            if each.get("antiphon-stored"):
                ours.append(1e6 / each["antiphon-stored"])
    if ours:
        rates = {"antiphon-stored": median(ours), **rates}
    bars(axes, list(rates), {"rate": list(rates.values())})
    axes.set_xscale("log")
    plain_numbers(axes.xaxis, least=10)
    axes.set_xlabel("plain answers per CPU-second (log)")
    axes.set_title("Beside others that answer /v1/responses")
    return len(rates) > 1


CHARTS: list[Callable[[Result, Any], bool]] = [shares, cost, latency, turns, memory, rivals]


def draw(result: Result, folder: Path) -> list[Path]:
    """Writes a file for each chart this result has figures for; returns them."""
    matplotlib = importlib.import_module("matplotlib")
    matplotlib.use("svg")
    pyplot = importlib.import_module("matplotlib.pyplot")
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    with matplotlib.rc_context(SETTINGS):
        for chart in CHARTS:
            figure, axes = pyplot.subplots(figsize=(7.2, 4.2 if chart is shares else 2.8))
            if chart(result, axes):
                path = folder / f"{chart.__name__}.svg"
                figure.savefig(path, format="svg", transparent=True, metadata={"Date": None})
                lines = (line.rstrip() for line in path.read_text().splitlines())
                path.write_text("\n".join(lines) + "\n")
                written.append(path)
            pyplot.close(figure)
    return written


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.plots", description=__doc__)
    parser.add_argument("result", type=Path, metavar="RESULT.json")
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    args = parser.parse_args()
    result = json.loads(args.result.read_text())
    if result["schema"] != 2:
        print(f"{args.result} is of schema {result['schema']}; this draws 2", file=sys.stderr)
        return 2
    for path in draw(result, args.folder):
        print(f"{path}  {path.stat().st_size / 1000:.0f} KB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
