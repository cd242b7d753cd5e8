"""``make chaos``: every fault in turn, and the table of ``docs/explanation/durability.md``."""

from __future__ import annotations

import argparse
import asyncio
import platform
import re
import sys
from pathlib import Path

from tests.chaos import soak
from tests.chaos.fleet import LEASE_SECONDS, Fleet, Nats
from tests.chaos.phases import Phase, perform

PAGE = Path(__file__).parent.parent.parent / "docs" / "explanation" / "durability.md"
PLACE = re.compile(r"(<!-- chaos -->\n).*?(<!-- end of chaos -->)", re.DOTALL)
HEAD = (
    "| bus and log | fault | times | runs | resumed | taken over in the middle | gaps | duplicates "
    "| contradictions | not exactly one end | failed | stuck | acknowledged, lost | "
    "turns lost or doubled | tool calls made twice | longest silence, in leases |\n"
    + "|---" * 16
    + "|\n"
)


def row(bus: str, phase: Phase) -> str:
    seen = phase.verdict
    lost = seen.lost_runs + seen.lost_promises
    cells = [
        bus,
        phase.fault,
        phase.faults,
        seen.runs,
        seen.resumed,
        seen.retold,
        seen.gaps,
        seen.duplicates,
        seen.contradictions,
        seen.not_one_terminal,
        seen.failed,
        seen.stuck,
        f"{lost} of {seen.promises + seen.runs}",
        f"{seen.lost_turns + seen.doubled_turns} of {seen.turns}",
        f"{seen.doubled_calls + seen.unanswered_calls} of {seen.calls}",
        f"{seen.silence_seconds / LEASE_SECONDS:.2f}",
    ]
    return "| " + " | ".join(map(str, cells)) + " |\n"


def phases_of(bus: str) -> list[str]:
    every = ["nothing", "kill -9", "SIGSTOP past the lease, SIGCONT", "SIGTERM", "database restart"]
    return [*every, "NATS restart"] if bus == "NATS" else every


async def run(bus: str, seconds: float, seed: int) -> tuple[str, bool]:
    """All phases on one fleet; the rows, and whether every promise was kept."""
    rows, kept = "", True
    with Fleet(nats=bus == "NATS") as fleet:
        for number, fault in enumerate(phases_of(bus)):
            phase = await perform(fleet, fault, seconds, seed=seed + number)
            rows += row(bus, phase)
            print(row(bus, phase), end="", flush=True)
            if phase.verdict.broken or phase.odd:
                kept = False
                print(f"BROKEN: {phase.verdict.broken} {phase.odd}", file=sys.stderr)
                print(fleet.trouble(), file=sys.stderr)
    return rows, kept


def main() -> None:
    parser = argparse.ArgumentParser(prog="make chaos", description=__doc__)
    parser.add_argument("--seconds", type=float, default=20.0, help="length of each phase")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--bus", choices=("PostgreSQL", "NATS"), action="append")
    parser.add_argument("--no-soak", action="store_true", help="leave out soak.py (5 minutes)")
    parser.add_argument("--no-write", action="store_true", help="leave the page as it is")
    args = parser.parse_args()
    buses = args.bus or ["PostgreSQL", *(["NATS"] if Nats.is_here() else [])]
    print(HEAD, end="", flush=True)
    table, kept = HEAD, True
    for bus in buses:
        rows, good = asyncio.run(run(bus, args.seconds, args.seed))
        table, kept = table + rows, kept and good
    if not args.no_write:
        about = (
            f"Three replicas, one PostgreSQL 18, lease {LEASE_SECONDS:g} s, {args.seconds:g} s a "
            f"phase, 24 watchers of background runs, 8 callers of stored responses and "
            f"conversations, Python {platform.python_version()}.\n\n"
        )
        text = PAGE.read_text(encoding="utf-8")
        PAGE.write_text(PLACE.sub(rf"\g<1>\n{about}{table}\n\g<2>", text), encoding="utf-8")
    if not args.no_soak:
        kept = soak.run(write=not args.no_write) and kept
    sys.exit(0 if kept else 1)


if __name__ == "__main__":
    main()
