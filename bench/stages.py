"""`python -m bench.stages`: where a request's or an event's CPU time goes, in microseconds.

First the CPU per unit is measured without a profiler, then py-spy samples the same load and tells
the shares. A sample belongs to the stage of its innermost frame that stages.toml knows, so the
time of a library counts for the part of Antiphon that called it; system calls count for the code
that makes them. Needs py-spy: on the PATH, beside this Python, in .venv-bench, or in $PY_SPY.
"""

import argparse
import json
import os
import shutil
import sys
import tempfile
import tomllib
from collections import Counter
from collections.abc import Iterable
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path

from bench.build import BUILD, MissingTool, build
from bench.machine import ROOT
from bench.measure import Rig, Sample, measure
from bench.processes import Processes, pick_cores
from bench.report import aligned
from bench.subjects import StartFailure, Subject, start_antiphon, start_mock
from bench.workloads import WORKLOADS, Workload

RATE_HZ = 250
ELSEWHERE = "elsewhere"
Stages = list[tuple[str, list[str]]]
# Heading -> workload, and whether its responses are stored.
LOADS = {
    "plain": ("json-64", False),
    "stored": ("json-64", True),
    "paced": ("paced-200-80", False),
    "burst": ("burst-200-16", False),
}


def read_stages() -> Stages:
    """stages.toml: names with patterns of files, in the order they are tried."""
    tables = tomllib.loads((Path(__file__).parent / "stages.toml").read_text())["stage"]
    return [(table["name"], table["files"]) for table in tables]


def stage_of(file: str, stages: Stages) -> str | None:
    """The first stage with a pattern that fits the end of this path."""
    for name, patterns in stages:
        if any(fnmatchcase(file, each) or fnmatchcase(file, "*/" + each) for each in patterns):
            return name
    return None


def shares(lines: Iterable[str], stages: Stages, main_share: float) -> dict[str, float]:
    """Stage -> share of the CPU time. `lines`: py-spy's raw format, "frame;frame;... count".

    A frame reads "function (path/to/file.py)"; the innermost is the last. py-spy takes some
    waiting threads for busy ones, so the samples of the main thread, which runs everything but the
    disk's flushes, share `main_share` of the whole, and those of the others the rest.
    """
    counted: dict[bool, Counter[str]] = {True: Counter(), False: Counter()}
    known: dict[str, str | None] = {}
    for line in lines:
        stack, _, count = line.rstrip().rpartition(" ")
        if not stack:
            continue
        stage = None
        frames = stack.split(";")
        for frame in reversed(frames):
            file = frame.rpartition(" (")[2].rstrip(")").partition(":")[0]
            if file not in known:
                known[file] = stage_of(file, stages)
            if stage := known[file]:
                break
        counted["_bootstrap" not in frames[0]][stage or ELSEWHERE] += int(count)
    found: dict[str, float] = {}
    for main, weight in ((True, main_share), (False, 1 - main_share)):
        total = sum(counted[main].values())
        for name, number in counted[main].items():
            found[name] = found.get(name, 0.0) + number / total * weight
    return found


def thread_seconds(pid: int) -> tuple[float, float]:
    """CPU time of the main thread, and of all others that live."""
    main, others = 0.0, 0.0
    for task in Path(f"/proc/{pid}/task").iterdir():
        seconds = int((task / "schedstat").read_text().split()[0]) / 1e9
        if task.name == str(pid):
            main = seconds
        else:
            others += seconds
    return main, others


def find_py_spy() -> str:
    """Path of py-spy; MissingTool says how to get it."""
    beside = [Path(sys.executable).parent, ROOT / ".venv-bench" / "bin"]
    found = os.environ.get("PY_SPY") or shutil.which("py-spy")
    for folder in beside:
        found = found or shutil.which("py-spy", path=str(folder))
    if not found:
        raise MissingTool("py-spy was not found: `make bench-tools` installs it")
    return found


def profile(rig: Rig, subject: Subject, workload: Workload, seconds: float, py_spy: str) -> str:
    """py-spy's raw text of `seconds` under this load."""
    raw = rig.folder / "profile.txt"
    argv = [py_spy, "record", "--pid", str(subject.pid), "--format", "raw", "--nolineno"]
    argv += ["--rate", str(RATE_HZ), "--duration", str(max(1, round(seconds)))]
    sampler = rig.processes.start(
        [*argv, "--output", str(raw)], rig.cores.rest, log=rig.folder / "spy"
    )
    request = subject.request(workload.model, stream=workload.stream)
    measure(rig, subject, workload, request, seconds + 0.5)
    sampler.wait(seconds + 30)
    if not raw.exists():
        raise StartFailure("py-spy gave no profile:\n" + (rig.folder / "spy").read_text()[-2000:])
    return raw.read_text()


def one_load(
    rig: Rig, subject: Subject, workload: Workload, seconds: float, py_spy: str
) -> tuple[Sample, dict[str, float]]:
    """What a unit costs without the profiler, and the shares with it."""
    request = subject.request(workload.model, stream=workload.stream)
    measure(rig, subject, workload, request, min(seconds, 1.0))
    before = thread_seconds(subject.pid)
    sample = measure(rig, subject, workload, request, seconds)
    main, others = (
        now - then for now, then in zip(thread_seconds(subject.pid), before, strict=True)
    )
    if sample.fault:
        raise StartFailure(f"{workload.name}: {sample.fault}")
    text = profile(rig, subject, workload, seconds, py_spy)
    return sample, shares(text.splitlines(), read_stages(), main / (main + others))


def run(seconds: float) -> dict[str, tuple[Sample, dict[str, float]]]:
    """Heading -> its cost and shares."""
    py_spy, programs, cores = find_py_spy(), build(), pick_cores()
    by_name = {workload.name: workload for workload in WORKLOADS}
    found = {}
    with tempfile.TemporaryDirectory(prefix="run-", dir=BUILD) as name, Processes() as processes:
        rig = Rig(processes, programs, cores, Path(name))
        mock = start_mock(processes, programs, cores)
        command = [sys.executable, "-m", "antiphon", "serve"]
        starter = partial(start_antiphon, cores=cores, mock=mock, command=command)
        for heading, (workload, store) in LOADS.items():
            print(f"  {heading}", file=sys.stderr)
            with Processes() as owner:
                subject = starter(owner, folder=rig.folder / heading, store=store)
                found[heading] = one_load(rig, subject, by_name[workload], seconds, py_spy)
    return found


def table(found: dict[str, tuple[Sample, dict[str, float]]]) -> str:
    """Stages down, loads across: microseconds, and the share in brackets."""
    rows = [["us of CPU per request or text", *found]]
    for name in [*(name for name, _ in read_stages()), ELSEWHERE]:
        cells = []
        for sample, parts in found.values():
            cost = (sample.cpu_us_per_unit or 0.0) * parts.get(name, 0.0)
            cells.append(f"{cost:.2f} ({parts[name]:.0%})" if name in parts else "")
        if any(cells):
            rows.append([name, *cells])
    whole = [f"{sample.cpu_us_per_unit or 0.0:.2f}" for sample, _ in found.values()]
    return aligned([*rows, ["all", *whole]])


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.stages", description=__doc__)
    parser.add_argument("--seconds", type=float, default=6.0, help="of each load, twice")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    args = parser.parse_args()
    try:
        found = run(args.seconds)
    except (MissingTool, StartFailure) as failure:
        print(failure, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130
    print(table(found))
    if args.json:
        plain = {
            heading: {"us_per_unit": sample.cpu_us_per_unit, "shares": parts}
            for heading, (sample, parts) in found.items()
        }
        args.json.write_text(json.dumps(plain, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
