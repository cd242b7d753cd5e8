"""Where and on what code a run was made."""

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
    """Short hash of the checkout, `dirty` when it differs from its commit or has none."""

    def git(*words: str) -> str:
        argv = ["git", "--no-optional-locks", "-C", str(ROOT), *words]
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        return done.stdout.strip() if done.returncode == 0 else "?"

    changed = git("status", "--porcelain")
    return "dirty" if changed else git("rev-parse", "--short=10", "HEAD")


def description() -> dict[str, Any]:
    """The machine, without its name."""
    models = [
        line for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line
    ]
    return {
        "cpu": models[0].partition(":")[2].strip() if models else platform.machine(),
        "cores_allowed": len(os.sched_getaffinity(0)),
        "kernel": platform.release(),
        "python": platform.python_version(),
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
