"""Starting, pinning, weighing and ending the processes of a run.

Every process started here is in a session of its own, dies with this process (PR_SET_PDEATHSIG),
and is ended by its own process group when the `with` block is left, whatever the reason.
"""

import contextlib
import ctypes
import os
import resource
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

PR_SET_PDEATHSIG = 1
OPEN_FILES_MAX = 65536
STOP_SECONDS_MAX = 10.0
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
LIBC = ctypes.CDLL(None)


@dataclass(frozen=True)
class Cores:
    """Where processes run. `server`: the one under test; `rest`: model server and load."""

    server: frozenset[int]
    rest: frozenset[int]

    @property
    def apart(self) -> bool:
        return self.server != self.rest


def pick_cores() -> Cores:
    """Second allowed core for the server, first for the rest; both the same on one core."""
    allowed = sorted(os.sched_getaffinity(0))
    return Cores(server=frozenset(allowed[1:2] or allowed[:1]), rest=frozenset(allowed[:1]))


class Processes:
    """The running children of one benchmark; `with Processes() as p: p.start(...)`."""

    def __init__(self) -> None:
        self._running: list[subprocess.Popen[str]] = []

    def __enter__(self) -> "Processes":
        return self

    def __exit__(self, *_: object) -> None:
        while self._running:
            self.stop(self._running[-1])

    def start(
        self,
        argv: list[str],
        cores: frozenset[int],
        *,
        log: Path | None = None,
        stdin: int | None = None,
        folder: Path | None = None,
        environment: dict[str, str] | None = None,
    ) -> subprocess.Popen[str]:
        """Starts argv pinned to cores. With `log` both outputs go there, else stdout is a pipe.

        folder: to run in. environment: added to this process's own.
        """
        with contextlib.ExitStack() as files:
            out: IO[str] | int = subprocess.PIPE
            if log:
                out = files.enter_context(log.open("a"))
            process = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL if stdin is None else stdin,
                stdout=out,
                stderr=out if log else None,
                text=True,
                cwd=folder,
                env={**os.environ, **environment} if environment else None,
                start_new_session=True,
                preexec_fn=lambda: _prepare(cores),
            )
        self._running.append(process)
        return process

    def stop(self, process: subprocess.Popen[str]) -> None:
        """TERM to the process's own group, KILL after STOP_SECONDS_MAX; reaps it."""
        self._running.remove(process)
        for number in (signal.SIGTERM, signal.SIGKILL):
            if process.poll() is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, number)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(STOP_SECONDS_MAX)
        for pipe in (process.stdin, process.stdout):
            if pipe:
                pipe.close()


def _prepare(cores: frozenset[int]) -> None:
    """Runs in the child, before exec."""
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    os.sched_setaffinity(0, cores)
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    wanted = OPEN_FILES_MAX if hard == resource.RLIM_INFINITY else min(OPEN_FILES_MAX, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def tree(pid: int) -> Iterator[int]:
    """The process and its living descendants."""
    yield pid
    for task in Path(f"/proc/{pid}/task").glob("*"):
        with contextlib.suppress(FileNotFoundError):
            for child in (task / "children").read_text().split():
                yield from tree(int(child))


def cpu_seconds(pid: int) -> float:
    """User and system time of the process and its descendants, also the dead and reaped ones.

    The living are read from their POSIX CPU clocks, which count nanoseconds where /proc/PID/stat
    counts ticks of 10 ms; the clock's number is made as clock_getcpuclockid(3) makes it.
    """
    total = 0.0
    for member in tree(pid):
        with contextlib.suppress(OSError):
            total += time.clock_gettime((~member << 3) | 2)
            fields = Path(f"/proc/{member}/stat").read_text().rpartition(")")[2].split()
            total += (int(fields[13]) + int(fields[14])) / TICKS_PER_SECOND
    return total


def rss_bytes(pid: int) -> int:
    """Resident memory of the process and its descendants."""
    page = os.sysconf("SC_PAGE_SIZE")
    return sum(int(Path(f"/proc/{p}/statm").read_text().split()[1]) * page for p in tree(pid))


def written_bytes(pid: int) -> int:
    """Bytes the process and its living descendants have sent towards the disk."""
    total = 0
    for member in tree(pid):
        with contextlib.suppress(OSError):
            fields = dict(
                line.split(": ") for line in Path(f"/proc/{member}/io").read_text().splitlines()
            )
            total += int(fields["write_bytes"])
    return total
