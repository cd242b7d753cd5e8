"""One measurement, and rounds of them."""

import json
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bench.build import Programs
from bench.processes import Cores, Processes, cpu_seconds
from bench.subjects import Request, Subject, heads
from bench.workloads import Plan, Workload

DRAIN_SECONDS_MAX = 15.0


@dataclass(frozen=True)
class Rig:
    """What every measurement needs."""

    processes: Processes
    programs: Programs
    cores: Cores
    folder: Path


@dataclass(frozen=True)
class Sample:
    """One subject under one workload once. A unit is a request, or a text chunk of a stream."""

    connections: int
    units: int
    units_per_second: float
    cpu_us_per_unit: float | None
    cores_used: float
    load: dict[str, Any]
    fault: str


def load_argv(
    rig: Rig,
    subject: Subject,
    request: Request,
    connections: int,
    seconds: float,
    *,
    traced: bool = False,
    drain_seconds: float = DRAIN_SECONDS_MAX,
) -> list[str]:
    """The load generator's command line, but for the words special to a workload."""
    body = rig.folder / "request.json"
    body.write_bytes(request.body)
    argv = [str(rig.programs.load), "--port", str(subject.port), "--method", request.method]
    argv += ["--path", request.path, "--connections", str(connections), "--seconds", str(seconds)]
    argv += ["--count", request.marker, "--end", request.end, "--drain", str(drain_seconds)]
    if request.body:
        argv += ["--body", str(body)]
    for number, fields in enumerate(heads(traced=traced)):
        head = rig.folder / f"head-{number}.txt"
        head.write_text(fields)
        argv += ["--head", str(head)]
    return argv


def measure(
    rig: Rig, subject: Subject, workload: Workload, request: Request, seconds: float
) -> Sample:
    """Loads the subject for `seconds` and weighs its process tree meanwhile."""
    connections = min(workload.connections, subject.connections_max or workload.connections)
    drain = DRAIN_SECONDS_MAX + workload.answer_seconds  # for what was asked at the very end
    argv = load_argv(
        rig, subject, request, connections, seconds, traced=workload.traced, drain_seconds=drain
    )
    argv += ["--stream"] if workload.stream else []
    argv += ["--stamps"] if workload.paced else []
    before = cpu_seconds(subject.pid)
    generator = rig.processes.start(argv, rig.cores.rest)
    try:
        printed, _ = generator.communicate(timeout=seconds + drain + 10)
    except subprocess.TimeoutExpired:
        printed = ""
    used = cpu_seconds(subject.pid) - before
    rig.processes.stop(generator)
    if not printed:
        return nothing("the load generator came to no end")
    load = json.loads(printed)
    per_answer = workload.chunks or 1
    units = load["requests"] * per_answer
    return Sample(
        connections=connections,
        units=units,
        units_per_second=load["counted_per_second"] if workload.stream else load["rps"],
        cpu_us_per_unit=used * 1e6 / units if units else None,
        cores_used=used / load["seconds"],
        load=load,
        fault=fault_in(load, units),
    )


def nothing(why: str) -> Sample:
    """The sample of a subject that could not be asked."""
    return Sample(0, 0, 0.0, None, 0.0, {}, why)


def fault_in(load: dict[str, Any], units: int) -> str:
    """Why this sample is not to be trusted; empty when it is."""
    if load["errors"]:
        return f"{load['errors']} errors, first: {load['first_error']}"
    if load["requests"] == 0:
        return "no answer in time"
    if load["counted"] != units:
        return f"{load['counted']} marked lines in {units} expected"
    return ""


def request_for(subject: Subject, workload: Workload) -> Request | str | None:
    """None when this subject has nothing to say to this workload; text when it fails before it."""
    if subject.only is not None and workload.name not in subject.only:
        return None
    if workload.get_stored and subject.store is not None:
        try:
            return stored_request(subject) if subject.store else None
        except (RuntimeError, OSError, ValueError, KeyError) as failure:
            return f"{type(failure).__name__}: {failure}"
    return subject.request(workload.model, stream=workload.stream, input_bytes=workload.input_bytes)


def stored_request(subject: Subject) -> Request:
    """Reading one response that was just stored."""
    asked = subject.request("mock")
    status, body = subject.call(asked)
    if status != 200:
        raise RuntimeError(f"could not store a response to read: {status} {body[:300]!r}")
    return replace(asked, method="GET", path=f"/v1/responses/{json.loads(body)['id']}", body=b"")


Samples = dict[str, list[dict[str, Sample]]]


def run_rounds(
    rig: Rig,
    subjects: list[Subject],
    workloads: list[Workload],
    plan: Plan,
    *,
    reference: str,
    rounds: int,
) -> Samples:
    """Workload -> rounds -> subject -> sample.

    Subjects are asked right after each other, in each round in the order opposite to the last
    one's, so that whatever else the machine does falls on all of them alike.
    """
    requests = {(s.name, w.name): request_for(s, w) for w in workloads for s in subjects}
    samples: Samples = {w.name: [] for w in workloads}
    for turn in range(rounds):
        for workload in workloads:
            if turn >= workload.rounds_max:
                continue
            print(f"  round {turn + 1}/{rounds}  {workload.name}", file=sys.stderr)
            for _ in range(workload.times):
                taken = samples[workload.name]
                order = subjects if len(taken) % 2 == 0 else subjects[::-1]
                warm = not taken
                found = one_round(
                    rig, order, workload, requests, plan, reference=reference, warm=warm
                )
                taken.append(found)
    return samples


def one_round(
    rig: Rig,
    order: list[Subject],
    workload: Workload,
    requests: dict[tuple[str, str], Request | str | None],
    plan: Plan,
    *,
    reference: str,
    warm: bool,
) -> dict[str, Sample]:
    """Each subject once, in this order. `warm`: ask each for a moment first."""
    taken: dict[str, Sample] = {}
    for subject in order:
        request = requests[subject.name, workload.name]
        if request is None or (subject.name == "direct" != reference and not workload.direct):
            continue
        if isinstance(request, str):
            taken[subject.name] = nothing(request)
            continue
        if warm and not workload.paced:
            measure(rig, subject, workload, request, plan.warm_seconds)
        seconds = max(plan.seconds, workload.seconds_min, subject.seconds_min)
        taken[subject.name] = measure(rig, subject, workload, request, seconds)
    return taken
