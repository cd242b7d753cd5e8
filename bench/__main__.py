"""`python -m bench`: builds, starts, measures in interleaved rounds, prints and keeps ratios."""

import argparse
import functools
import json
import shlex
import signal
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Any

from bench import machine
from bench.build import BUILD, MissingTool, build
from bench.conversation import Turns, converse, growth
from bench.idle import Weight, weigh
from bench.measure import Rig, Samples, run_rounds
from bench.processes import Processes, pick_cores
from bench.report import Metric, all_metrics, as_json, faults, table
from bench.subjects import StartFailure, Subject, start_antiphon, start_mock, start_nginx
from bench.workloads import FULL, QUICK, WORKLOADS, Plan, Workload

RESULTS = Path(__file__).parent / "results"
NO_NGINX = (
    "nginx was not found: figures are relative to the model server called directly.\n"
    "For the usual yardstick install it (Debian, Ubuntu: apt-get install nginx-light)."
)


@dataclass
class Run:
    """Everything one benchmark has found."""

    reference: str = "nginx"
    subjects: list[str] = field(default_factory=list)
    first_answers: dict[str, float] = field(default_factory=dict)
    sync_us: float = 0.0
    samples: Samples = field(default_factory=dict)
    weights: dict[str, Weight] = field(default_factory=dict)
    turns: list[Turns] = field(default_factory=list)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", action="store_true", help="about 90 seconds (the default)")
    size.add_argument(
        "--full", action="store_true", help="more rounds and workloads, about 12 minutes"
    )
    parser.add_argument("--only", action="append", metavar="WORKLOAD", help="may be repeated")
    parser.add_argument("--rounds", type=int, help="instead of the mode's own")
    parser.add_argument(
        "--seconds", type=float, help="of one measurement, instead of the mode's own"
    )
    parser.add_argument("--server", help="command to start instead of `python -m antiphon serve`")
    parser.add_argument("--no-antiphon", action="store_true", help="only prove the rig")
    parser.add_argument("--no-idle", action="store_true", help="leave out memory")
    parser.add_argument("--no-save", action="store_true", help="write no results file")
    parser.add_argument("--list", action="store_true", help="name the workloads and end")
    return parser.parse_args()


def chosen(args: argparse.Namespace) -> tuple[Plan, list[Workload]]:
    """The plan, and the workloads in the table's order."""
    plan = FULL if args.full else QUICK
    if args.rounds:
        plan = replace(plan, rounds=args.rounds)
    if args.seconds:
        plan = replace(plan, seconds=args.seconds)
    if args.only:
        unknown = set(args.only) - {w.name for w in WORKLOADS}
        if unknown:
            sys.exit(f"no such workload: {', '.join(sorted(unknown))} (see --list)")
        return plan, [w for w in WORKLOADS if w.name in args.only]
    return plan, [w for w in WORKLOADS if args.full or not w.full_only]


def perform(args: argparse.Namespace, plan: Plan, workloads: list[Workload]) -> Run:
    """All of the measuring; no process is left when it returns or raises."""
    run, programs, cores = Run(), build(), pick_cores()
    command = (
        shlex.split(args.server) if args.server else [sys.executable, "-m", "antiphon", "serve"]
    )
    if not cores.apart:
        print("One core only: the server under test shares it with its load.", file=sys.stderr)
    with tempfile.TemporaryDirectory(prefix="run-", dir=BUILD) as name, Processes() as processes:
        folder = Path(name)
        rig = Rig(processes, programs, cores, folder)
        run.sync_us = machine.sync_us(folder)
        mock = start_mock(processes, programs, cores)

        def antiphon(owner: Processes, place: str, *, store: bool) -> Subject:
            return start_antiphon(owner, cores, mock, folder / place, command=command, store=store)

        if not args.no_idle:
            stores = [] if args.no_antiphon else [False, True] if args.full else [False]
            starters = [lambda owner: start_nginx(owner, cores, mock, folder / "idle-nginx")]
            starters += [functools.partial(antiphon, place=f"idle-{s}", store=s) for s in stores]
            names = ["nginx", "antiphon", "antiphon-stored"]
            for name, starter in zip(names, starters, strict=False):
                if weight := weigh(rig, starter, plan.idle_streams):
                    run.weights[name] = weight
        nginx = start_nginx(processes, cores, mock, folder / "nginx")
        if not nginx:
            print(NO_NGINX, file=sys.stderr)
            run.reference = "direct"
        subjects = [mock, *([nginx] if nginx else [])]
        if not args.no_antiphon:
            subjects.append(antiphon(processes, "antiphon", store=False))
            subjects.append(antiphon(processes, "antiphon-stored", store=True))
        run.subjects = [s.name for s in subjects if s.name not in ("direct", run.reference)]
        run.first_answers = {s.name: s.first_answer_seconds or 0.0 for s in subjects[1:]}
        run.samples = run_rounds(rig, subjects, workloads, plan, reference=run.reference)
        if plan.turns and not args.no_antiphon and not args.only:
            run.turns = converse(subjects[-1], plan.turns)
    return run


def notes(run: Run) -> list[str]:
    """What the table has no place for."""
    lines = [f"one fdatasync here: {run.sync_us:,.0f} us (in every stored request)"]
    for name, seconds in run.first_answers.items():
        goals = " (goal <=1, stretch <=0.4)" if name.startswith("antiphon") else ""
        lines.append(f"first answer of {name}: {seconds:.2f} s after its start{goals}")
    for name, weight in run.weights.items():
        goals = " (goal <=80, stretch <=45)" if name.startswith("antiphon") else ""
        lines.append(
            f"memory of {name}: {weight.base_bytes / 1e6:.1f} MB{goals}, "
            f"{weight.bytes_per_stream / 1e3:.1f} KB per idle stream"
        )
    if len(run.turns) > 1:
        grown = growth(run.turns)
        written = f"{grown['written']:.2f}x" if grown["written"] else "unknown"
        lines.append(
            f"turn {run.turns[-1].turn} of a conversation relative to turn {run.turns[0].turn}: "
            f"CPU {grown['cpu']:.2f}x (goal <=8, stretch <=4), bytes written {written} (goal <=1.2)"
        )
    return lines


def save(run: Run, metrics: list[Metric], plan: Plan, before: dict[str, Any]) -> Path:
    taken = datetime.now(UTC)
    commit = machine.commit()
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{taken:%Y%m%dT%H%M%SZ}-{commit}.json"
    content = {
        "schema": 1,
        "taken_at": taken.isoformat(timespec="seconds"),
        "commit": commit,
        "plan": asdict(plan),
        "machine": before | {"load_average_after": machine.description()["load_average"]},
        "reference": run.reference,
        "first_answer_seconds": run.first_answers,
        "fdatasync_us": run.sync_us,
        "idle": {name: asdict(weight) for name, weight in run.weights.items()},
        "conversation": [asdict(t) for t in run.turns],
        **as_json(run.samples, metrics),
    }
    path.write_text(json.dumps(content, indent=1) + "\n")
    return path


def terminated(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def main() -> int:
    args = arguments()
    plan, workloads = chosen(args)
    if args.list:
        print("\n".join(w.name + ("  (--full)" if w.full_only else "") for w in WORKLOADS))
        return 0
    signal.signal(signal.SIGTERM, terminated)
    before, started = machine.description(), time.monotonic()
    try:
        run = perform(args, plan, workloads)
    except (MissingTool, StartFailure) as failure:
        print(failure, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130
    metrics = all_metrics(workloads, run.samples, run.weights, run.reference)
    print(table(metrics, run.subjects, run.reference))
    print("\n** stretch goal reached   * goal reached   - not reached\n")
    print("\n".join(notes(run)))
    wrong = faults(run.samples, run.weights)
    print("".join(f"\nDOUBTFUL  {fault}" for fault in wrong))
    if not args.no_save:
        print(f"{save(run, metrics, plan, before)}  ({time.monotonic() - started:.0f} s)")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
