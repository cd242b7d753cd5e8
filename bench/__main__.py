"""`python -m bench`: builds, starts, measures in interleaved rounds, prints and keeps ratios."""

import argparse
import functools
import json
import shlex
import signal
import sys
import tempfile
import time
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Any

from bench import machine
from bench.build import BUILD, MissingTool, build
from bench.conversation import converse
from bench.duels import duel
from bench.findings import Findings
from bench.goals import Row, goal_table, rows
from bench.idle import weigh
from bench.measure import Rig, run_rounds
from bench.postgres import postgres
from bench.processes import Processes, pick_cores
from bench.queries import count_queries
from bench.report import Metric, all_metrics, as_json, faults, rival_table, table
from bench.rivals import Rival, rivals
from bench.subjects import StartFailure, Subject, start_antiphon, start_mock, start_nginx
from bench.workloads import FULL, QUICK, WORKLOADS, Plan, Workload

RESULTS = Path(__file__).parent / "results"
NO_NGINX = (
    "nginx was not found: figures are relative to the model server called directly.\n"
    "For the usual yardstick install it (Debian, Ubuntu: apt-get install nginx-light)."
)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", action="store_true", help="about 6 minutes (the default)")
    size.add_argument(
        "--full", action="store_true", help="more rounds and workloads, about half an hour"
    )
    parser.add_argument("--only", action="append", metavar="WORKLOAD", help="may be repeated")
    parser.add_argument("--rival", action="append", metavar="NAME", help="only these; repeatable")
    parser.add_argument("--rounds", type=int, help="instead of the mode's own")
    parser.add_argument(
        "--seconds", type=float, help="of one measurement, instead of the mode's own"
    )
    parser.add_argument("--server", help="command to start instead of `python -m antiphon serve`")
    parser.add_argument("--no-antiphon", action="store_true", help="only prove the rig")
    parser.add_argument("--no-rivals", action="store_true", help="leave out other projects")
    parser.add_argument("--no-idle", action="store_true", help="leave out memory")
    parser.add_argument("--no-turns", action="store_true", help="leave out conversations")
    parser.add_argument("--no-save", action="store_true", help="write no results file")
    parser.add_argument("--list", action="store_true", help="name the workloads and end")
    return parser.parse_args()


def chosen(args: argparse.Namespace) -> tuple[Plan, list[Workload]]:
    """The plan, and the workloads in the table's order."""
    plan = FULL if args.full else QUICK
    if args.rounds:
        plan = replace(plan, rounds=args.rounds, rival_rounds=args.rounds)
    if args.seconds:
        plan = replace(plan, seconds=args.seconds)
    if args.only:
        unknown = set(args.only) - {w.name for w in WORKLOADS}
        if unknown:
            sys.exit(f"no such workload: {', '.join(sorted(unknown))} (see --list)")
        return plan, [w for w in WORKLOADS if w.name in args.only]
    return plan, [w for w in WORKLOADS if args.full or not w.full_only]


def chosen_rivals(args: argparse.Namespace) -> list[Rival]:
    if args.no_rivals or args.no_antiphon:
        return []
    every = rivals()
    if unknown := set(args.rival or ()) - {rival.name for rival in every}:
        sys.exit(f"no such rival: {', '.join(sorted(unknown))}")
    return [rival for rival in every if not args.rival or rival.name in args.rival]


def perform(args: argparse.Namespace, plan: Plan, workloads: list[Workload]) -> Findings:
    """All of the measuring; no process is left when it returns or raises."""
    found, programs, cores = Findings(), build(), pick_cores()
    if not cores.apart:
        print("One core only: the server under test shares it with its load.", file=sys.stderr)
    with (
        postgres(cores) as database,
        tempfile.TemporaryDirectory(prefix="run-", dir=BUILD) as name,
        Processes() as processes,
    ):
        rig = Rig(processes, programs, cores, Path(name))
        found.sync_us = machine.sync_us(rig.folder)
        mock = start_mock(processes, programs, cores)
        starter = functools.partial(
            start_antiphon, cores=cores, mock=mock, command=server_command(args)
        )
        if not args.no_idle:
            weigh_all(found, rig, mock, plan, None if args.no_antiphon else starter)
        subjects = [mock]
        if nginx := start_nginx(processes, cores, mock, rig.folder / "nginx"):
            subjects.append(nginx)
        else:
            print(NO_NGINX, file=sys.stderr)
            found.reference = "direct"
        if not args.no_antiphon:
            for place, store in (("antiphon", False), ("antiphon-stored", True)):
                subjects.append(starter(processes, folder=rig.folder / place, store=store))
        if not args.no_antiphon and not args.server:
            folder = rig.folder / "antiphon-responses"
            asking = starter(processes, folder=folder, store=False, responses=True)
            subjects.insert(-1, asking)
        if database and not args.no_antiphon and not args.server:
            place = rig.folder / "antiphon-postgres"
            ours = starter(processes, folder=place, store=True, database=database)
            subjects.insert(-1, ours)
        found.subjects = [s.name for s in subjects if s.name not in ("direct", found.reference)]
        found.first_answers = {s.name: s.first_answer_seconds or 0.0 for s in subjects[1:]}
        found.samples = run_rounds(
            rig, subjects, workloads, plan, reference=found.reference, rounds=plan.rounds
        )
        if not args.no_antiphon and not args.only and not args.no_turns:
            found.turns = converse(subjects[-1], plan.turns)
            if not args.server:
                found.queries = count_queries(rig, mock)
        reference = subjects[1] if nginx else mock
        asked = list(dict.fromkeys(s.name for s in (mock, reference, subjects[-1])))
        for rival in chosen_rivals(args):
            fighters = [s for s in subjects if s.name in asked]
            faced = [w for w in workloads if w.rivals]
            found.duels[rival.name] = duel(rig, rival, fighters, faced, plan)
    return found


def server_command(args: argparse.Namespace) -> list[str]:
    return shlex.split(args.server) if args.server else [sys.executable, "-m", "antiphon", "serve"]


def weigh_all(
    found: Findings,
    rig: Rig,
    mock: Subject,
    plan: Plan,
    starter: functools.partial[Subject] | None,
) -> None:
    """Memory of nginx and of Antiphon, each on servers that have done nothing else."""

    def nginx(owner: Processes) -> Subject | None:
        return start_nginx(owner, rig.cores, mock, rig.folder / "idle-nginx")

    if weight := weigh(rig, nginx, plan.idle_streams):
        found.weights["nginx"] = weight
    for name, store in (("antiphon", False), ("antiphon-stored", True)) if starter else ():
        assert starter
        folder = rig.folder / f"idle-{name}"
        if weight := weigh(
            rig, functools.partial(starter, folder=folder, store=store), plan.idle_streams
        ):
            found.weights[name] = weight


def notes(found: Findings) -> list[str]:
    """What the tables have no place for."""
    lines = [f"one fdatasync here: {found.sync_us:,.0f} us (in every stored request)"]
    for name, seconds in found.first_answers.items():
        lines.append(f"first answer of {name}: {seconds:.2f} s after its start")
    for name, weight in found.weights.items():
        each = weight.bytes_per_stream / 1e3
        lines.append(
            f"memory of {name}: {weight.base_bytes / 1e6:.1f} MB, {each:.1f} KB per idle stream"
        )
    for turns in found.turns:
        lines.append(
            f"turn {turns.turn} of a conversation: {turns.cpu_us:,.0f} us of CPU, "
            f"{turns.written_bytes / 1e3:.1f} KB written, {turns.kept_bytes / 1e3:.1f} KB kept"
        )
    for name, rival in found.duels.items():
        if rival.absent:
            lines.append(f"ABSENT  {name} {rival.version}: {rival.absent}")
        for (workload, who), why in faults(rival.samples, {}).items():
            if who == name:
                lines.append(f"FAILED  {name}, {workload}: {why}")
        if rival.turns_fault:
            lines.append(f"FAILED  {name}, conversations: {rival.turns_fault}")
    return lines


def doubts(found: Findings) -> list[str]:
    """Answers of nginx and Antiphon, also beside a rival, that were not what they should be."""
    every = list(faults(found.samples, found.weights).items())
    for name, rival in found.duels.items():
        every += [
            ((f"{workload} beside {name}", who), why)
            for (workload, who), why in faults(rival.samples, {}).items()
            if who != name
        ]
    return [f"{workload}, {who}: {why}" for (workload, who), why in every]


def save(
    found: Findings,
    metrics: list[Metric],
    made: list[Row],
    plan: Plan,
    about: dict[str, Any],
) -> Path:
    taken = datetime.now(UTC)
    commit = machine.commit()
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{taken:%Y%m%dT%H%M%SZ}-{commit}.json"
    after = {"load_average_after": machine.description()["load_average"]}
    content = {
        "schema": 2,
        "taken_at": taken.isoformat(timespec="seconds"),
        "commit": commit,
        "plan": asdict(plan),
        "machine": about["machine"] | after,
        "python": about["python"],
        "reference": found.reference,
        "goals": [asdict(row) for row in made],
        "first_answer_seconds": found.first_answers,
        "fdatasync_us": found.sync_us,
        "idle": {name: asdict(weight) for name, weight in found.weights.items()},
        "conversation": [asdict(turns) for turns in found.turns],
        "queries": asdict(found.queries) if found.queries else None,
        "metrics": [asdict(each) for each in metrics],
        "samples": as_json(found.samples),
        "rivals": {name: asdict(each) for name, each in found.duels.items()},
    }
    path.write_text(json.dumps(content, indent=1) + "\n")
    return path


def show(found: Findings, metrics: list[Metric], made: list[Row]) -> None:
    print(table(metrics, found.subjects, found.reference) + "\n")
    if any(not each.absent for each in found.duels.values()):
        print(rival_table(found.duels))
        print("(in brackets: antiphon-stored in the same rounds, relative to it)\n")
    print("\n".join(notes(found)) + "\n")
    print(goal_table(made))
    print("".join(f"\nDOUBTFUL  {doubt}" for doubt in doubts(found)))


def terminated(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def main() -> int:
    args = arguments()
    plan, workloads = chosen(args)
    if args.list:
        print("\n".join(w.name + ("  (--full)" if w.full_only else "") for w in WORKLOADS))
        return 0
    signal.signal(signal.SIGTERM, terminated)
    started = time.monotonic()
    about = {"machine": machine.description(), "python": machine.python(server_command(args))}
    try:
        found = perform(args, plan, workloads)
    except (MissingTool, StartFailure) as failure:
        print(failure, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130
    metrics = all_metrics(workloads, found.samples, found.weights, found.reference)
    made = rows(found)
    show(found, metrics, made)
    if not args.no_save:
        print(f"{save(found, metrics, made, plan, about)}")
    print(f"({time.monotonic() - started:.0f} s)")
    return 1 if doubts(found) else 0


if __name__ == "__main__":
    sys.exit(main())
