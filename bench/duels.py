"""Other projects' servers, one after the other, each in rounds with nginx and Antiphon storing.

Only one of them runs at a time. What it is asked less than Antiphon (rivals.toml) is in its favour:
rates per CPU-second hardly depend on the number of connections, and latency grows with it.
"""

import functools
import sys
from dataclasses import dataclass, field
from pathlib import Path

from bench.conversation import Turns, converse
from bench.idle import Weight, weigh
from bench.measure import Rig, Samples, run_rounds
from bench.processes import Processes, rss_bytes
from bench.rivals import Rival, missing, start_rival
from bench.subjects import StartFailure, Subject
from bench.workloads import Plan, Workload

RIVAL_SAMPLES = 64  # turns round each mark of a conversation


@dataclass
class Duel:
    """What was found about one rival. `absent`: why it was not started or did not answer."""

    version: str
    state: str
    goal: str
    absent: str = ""
    first_answer_seconds: float = 0.0
    base_bytes: int = 0
    samples: Samples = field(default_factory=dict)
    weight: Weight | None = None
    turns: list[Turns] = field(default_factory=list)
    turns_fault: str = ""


def duel(
    rig: Rig, rival: Rival, subjects: list[Subject], workloads: list[Workload], plan: Plan
) -> Duel:
    """`subjects`: the model server, the reference, and Antiphon storing, all running."""
    found = Duel(rival.version, rival.state, rival.goal, missing(rival))
    if found.absent:
        return found
    print(f"  starting {rival.name} {rival.version}", file=sys.stderr)
    mock, reference = subjects[0], subjects[1]
    try:
        if plan.rival_memory:
            starter = functools.partial(start, rig=rig, mock=mock, rival=rival, purpose="idle")
            found.weight = weigh(rig, starter, rival.idle_streams)
        with Processes() as processes:
            running = start(processes, rig, mock, rival, "loaded")
            found.first_answer_seconds = running.first_answer_seconds or 0.0
            found.base_bytes = rss_bytes(running.pid)
            asked = [*subjects, running]
            found.samples = run_rounds(
                rig, asked, workloads, plan, reference=reference.name, rounds=plan.rival_rounds
            )
            if plan.rival_memory and rival.turns_max:
                found.turns = converse(running, rival.turns_max, RIVAL_SAMPLES)
    except StartFailure as failure:
        found.absent = str(failure)
    except (RuntimeError, OSError, ValueError, KeyError) as failure:
        found.turns_fault = str(failure)
    return found


def start(owner: Processes, rig: Rig, mock: Subject, rival: Rival, purpose: str) -> Subject:
    folder: Path = rig.folder / f"{rival.name}-{purpose}"
    return start_rival(owner, rig.cores, mock, folder, rival)
