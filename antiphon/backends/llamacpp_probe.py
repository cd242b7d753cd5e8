"""Can the embedded engine run here? Looked at from the outside, before anything is started.

The wheel is built for AVX2, FMA, F16C and BMI2 on x86-64 and needs the system's OpenMP library
on Linux; without the first it dies by SIGILL, without the second it cannot be imported.
"""

from __future__ import annotations

import ctypes
import os
import platform
import sys
from importlib.util import find_spec
from pathlib import Path

from msgspec import Struct

ELSEWHERE = "Or use a model elsewhere: antiphon serve --upstream URL."

_CPU_FLAGS = ("avx2", "fma", "f16c", "bmi2")
_OPENMP = "libgomp.so.1"


class Probe(Struct, frozen=True):
    """``detail`` says what was found or is missing, ``remedy`` what to do about it."""

    ok: bool
    detail: str
    remedy: str = ""

    @property
    def sentence(self) -> str:
        return f"{self.detail} {self.remedy}".strip()


def probe(*, cpuinfo: Path = Path("/proc/cpuinfo")) -> Probe:
    """Package, processor and system library, in the order in which they would fail."""
    if find_spec("xllamacpp") is None:
        return Probe(
            False,
            f"The package xllamacpp is not installed (this is {_platform()}).",
            "Install it with: pip install '.[local]' in the checkout (Linux with glibc, macOS 13 "
            f"or newer, Windows on x64). {ELSEWHERE}",
        )
    if missing := _missing_flags(cpuinfo):
        return Probe(
            False,
            f"This processor has no {' '.join(missing).upper()}, which llama.cpp was built for.",
            ELSEWHERE,
        )
    if sys.platform == "linux" and not _has_openmp():
        return Probe(False, f"The system library {_OPENMP} is missing.", openmp_remedy())
    return Probe(True, "The embedded engine can run here.")


def openmp_remedy() -> str:
    return f"Install it (Debian, Ubuntu: apt-get install libgomp1; Fedora: libgomp). {ELSEWHERE}"


def _platform() -> str:
    return f"{platform.system()} {platform.machine()}, Python {platform.python_version()}"


def _missing_flags(cpuinfo: Path) -> list[str]:
    """Empty where it cannot be told: the child then says it by dying of SIGILL."""
    if platform.machine().lower() not in ("x86_64", "amd64"):
        return []
    try:
        lines = cpuinfo.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return []
    flags = next((set(line.split()) for line in lines if line.startswith("flags")), None)
    return [flag for flag in _CPU_FLAGS if flag not in flags] if flags else []


def _has_openmp() -> bool:
    try:
        ctypes.CDLL(_OPENMP)
    except OSError:
        return False
    return True


def threads_available(*, cgroup: Path = Path("/sys/fs/cgroup")) -> int:
    """Cores we may use, less one for the server itself; at least 1.

    OpenMP workers spin while they wait: one thread too many costs more than it brings.
    """
    cores: float = os.cpu_count() or 1
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    return max(1, int(min(cores, _quota(cgroup))) - 1)


def _quota(cgroup: Path) -> float:
    """Cores this container may use (cgroup v2, then v1), infinite if it is not limited."""
    try:
        quota, period = (cgroup / "cpu.max").read_text(encoding="ascii").split()[:2]
    except (OSError, ValueError):
        try:
            quota = (cgroup / "cpu/cpu.cfs_quota_us").read_text(encoding="ascii")
            period = (cgroup / "cpu/cpu.cfs_period_us").read_text(encoding="ascii")
        except OSError:
            return float("inf")
    try:
        cores = float(quota) / float(period)
    except (ValueError, ZeroDivisionError):
        return float("inf")  # the word "max"
    return cores if cores > 0 else float("inf")
