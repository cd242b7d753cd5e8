"""Memory: what a fresh server weighs, and what an open, silent stream adds."""

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass

from bench.measure import Rig, load_argv
from bench.processes import Processes, rss_bytes
from bench.subjects import Subject

HOLD_SECONDS_MAX = 60.0
READY_SECONDS_MAX = 20.0


@dataclass(frozen=True)
class Weight:
    """A fresh server: time to its first answer, resident memory then, and per idle stream."""

    first_answer_seconds: float
    base_bytes: int
    bytes_per_stream: float
    streams: tuple[int, int]
    fault: str = ""


def weigh(
    rig: Rig, start: Callable[[Processes], Subject | None], streams: tuple[int, int]
) -> Weight | None:
    """Opens streams[0] idle streams on a fresh server, then more, until streams[1] are open."""
    with Processes() as processes:
        subject = start(processes)
        if subject is None:
            return None
        print(f"  idle streams  {subject.name}", file=sys.stderr)
        base = rss_bytes(subject.pid)
        weights, fault = [], ""
        for count in (streams[0], streams[1] - streams[0]):
            held = hold(processes, rig, subject, count)
            if held != count:
                fault = fault or f"{held} of {count} streams opened"
            weights.append(rss_bytes(subject.pid))
        each = (weights[1] - weights[0]) / (streams[1] - streams[0])
        return Weight(subject.first_answer_seconds or 0.0, base, each, streams, fault)


def hold(processes: Processes, rig: Rig, subject: Subject, count: int) -> int:
    """Opens idle streams, open until `processes` ends; returns how many gave their first text."""
    request = subject.request("mock-idle", stream=True)
    argv = [*load_argv(rig, subject, request, count, HOLD_SECONDS_MAX), "--stream", "--hold"]
    generator = processes.start(argv, rig.cores.rest, stdin=subprocess.PIPE)
    assert generator.stdout
    return int(json.loads(generator.stdout.readline())["held"])
