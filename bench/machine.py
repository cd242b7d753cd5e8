"""Where and on what code a run was made."""

import json
import os
import platform
import statistics
import subprocess
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
SYNCS = 30
SYNC_BYTES = 4096


def commit() -> str:
    """Short hash of the checkout, with `-dirty` when code differs from its commit."""

    def git(*words: str) -> str:
        argv = ["git", "--no-optional-locks", "-C", str(ROOT), *words]
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        return done.stdout.strip() if done.returncode == 0 else ""

    changed = git("status", "--porcelain", "--", ".", ":!bench/results", ":!docs")
    return (git("rev-parse", "--short=10", "HEAD") or "unknown") + ("-dirty" if changed else "")


LOOKED_AT = """
import json, platform, sysconfig, time
def took():
    began = time.process_time()
    sum(number * number for number in range(200_000))
    return time.process_time() - began
print(json.dumps({
    "version": platform.python_version(),
    "built_with": sysconfig.get_config_var("CONFIG_ARGS") or "",
    "loop_ms": round(min(took() for _ in range(7)) * 1e3, 2),
}))
"""


def python(command: list[str]) -> dict[str, Any]:
    """Version and build of the interpreter that runs this command; what could be learnt of it.

    optimised: true if it was configured to be built with profile-guided optimisation, null if
    it does not say (Debian's is and does not). loop_ms: CPU time of a fixed loop, which tells
    two builds apart whatever they say of themselves.
    """
    done = subprocess.run(
        [command[0], "-c", LOOKED_AT], capture_output=True, text=True, check=False
    )
    try:
        found: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        return {"version": "unknown", "optimised": None}
    flags = [word for word in found.pop("built_with").split("'") if word.startswith("--")]
    found["optimised"] = True if "--enable-optimizations" in flags else None
    return found | {"flags": [flag for flag in flags if "/" not in flag]}


def description() -> dict[str, Any]:
    """The machine, without its name."""
    models = [
        line for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line
    ]
    return {
        "cpu": models[0].partition(":")[2].strip() if models else platform.machine(),
        "cores_allowed": len(os.sched_getaffinity(0)),
        "kernel": platform.release(),
        "load_average": os.getloadavg(),
    }


def sync_us(folder: Path) -> float:
    """Median time of one fdatasync after a 4 KB append in this folder: stored requests wait so."""
    took = []
    path = folder / "sync-probe"
    with path.open("wb", buffering=0) as file:
        for _ in range(SYNCS):
            file.write(bytes(SYNC_BYTES))
            started = time.perf_counter()
            os.fdatasync(file.fileno())
            took.append((time.perf_counter() - started) * 1e6)
    path.unlink()
    return statistics.median(took)
