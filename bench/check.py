"""What a request costs, in instructions, beside what it may cost: no clock, so no luck.

    python -m bench.check            exit status 1 if a case takes more than its budget allows
    python -m bench.check --write    the counts become the budget (bench/budget.toml)

The server runs as `antiphon serve` runs it, under `valgrind --tool=callgrind`, before the C model
server. Counting begins when it is warm; between two readings of the counter there are exactly the
requests of one case, one after another on one connection. Counts are of this Python and this kind
of machine: others have budgets of their own, and where there is none, counts are only shown.
"""

import argparse
import json
import os
import platform
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from bench.build import MissingTool, build
from bench.processes import Processes, pick_cores
from bench.subjects import API_KEY, PROMPT, Subject, first_answered, free_port, start_mock

BUDGET = Path(__file__).parent / "budget.toml"
TOLERANCE = 0.05
"""Two runs agree within 2 %; a step taken twice in every request is more than this."""

CALLGRIND = ["valgrind", "--tool=callgrind", "--instr-atstart=no"]
STEADY = {"PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1"}
START_SECONDS_MAX = 180.0
ANSWER_SECONDS_MAX = 60.0
DELTA = b"event: response.output_text.delta\n"
CHAIN_TURNS = 100
_TOTAL = re.compile(r"^(?:totals|summary): (\d+)", re.MULTILINE)


class Line:
    """One kept connection. Each request leaves in one write, so the server reads it in one."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), ANSWER_SECONDS_MAX)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def ask(self, method: str, path: str, body: object = None) -> bytes:
        """The body of the answer, with its chunk sizes if it has any; raises unless it is 200."""
        data = b"" if body is None else json.dumps(body).encode()
        head = f"{method} {path} HTTP/1.1\r\nHost: check\r\nAuthorization: Bearer {API_KEY}\r\n"
        if data:
            head += f"Content-Type: application/json\r\nContent-Length: {len(data)}\r\n"
        self._socket.sendall(head.encode() + b"\r\n" + data)
        said = b""
        while not _complete(said):
            more = self._socket.recv(1 << 20)
            if not more:
                raise RuntimeError(f"{method} {path}: the connection was closed after {said!r}")
            said += more
        if not said.startswith(b"HTTP/1.1 200 "):
            raise RuntimeError(f"{method} {path}: {said[:300]!r}")
        return said.partition(b"\r\n\r\n")[2]

    def close(self) -> None:
        self._socket.close()


def _complete(said: bytes) -> bool:
    head, end, body = said.partition(b"\r\n\r\n")
    if not end:
        return False
    length = re.search(rb"(?i)\r\ncontent-length: (\d+)", head)
    return len(body) == int(length[1]) if length else body.endswith(b"0\r\n\r\n")


@dataclass(frozen=True)
class Case:
    """`requests` times `ask` are counted, after `warm` of them. What it costs is told per
    request, or per text event where there are `events` in each answer."""

    name: str
    requests: int
    warm: int
    ask: Callable[[Line], object]
    events: int = 0

    @property
    def units(self) -> int:
        return self.requests * (self.events or 1)


def cases() -> Iterator[Case]:
    """In the order in which they are counted."""
    yield Case("plain", 200, 50, lambda line: _create(line, store=False))
    yield Case("plain-stored", 200, 50, lambda line: _create(line, store=True))
    yield Case("burst-200", 30, 10, lambda line: _stream(line, "burst", 200), events=200)
    yield Case("paced-20", 15, 5, lambda line: _stream(line, "paced-10", 20), events=20)
    yield Case("get-stored", 500, 100, _Reading())
    yield Case(f"turn-{CHAIN_TURNS}", 40, CHAIN_TURNS - 20, _Chain())


def _create(line: Line, *, store: bool, previous: str | None = None) -> str:
    asked = {"model": "mock", "input": PROMPT, "store": store, "previous_response_id": previous}
    made = json.loads(line.ask("POST", "/v1/responses", asked))
    if made["status"] != "completed":
        raise RuntimeError(f"a response ended {made['status']}")
    return str(made["id"])


def _stream(line: Line, how: str, chunks: int) -> None:
    asked = {"model": f"mock-stream-{chunks}-{how}", "input": PROMPT, "stream": True}
    said = line.ask("POST", "/v1/responses", {**asked, "store": False})
    if said.count(DELTA) != chunks or b"event: response.completed\n" not in said:
        raise RuntimeError(f"a stream of {chunks} chunks had {said.count(DELTA)} deltas")


class _Reading:
    """The same stored response again and again."""

    def __init__(self) -> None:
        self._path = ""

    def __call__(self, line: Line) -> None:
        if not self._path:
            self._path = f"/v1/responses/{_create(line, store=True)}"
        line.ask("GET", self._path)


class _Chain:
    """A conversation that grows by one turn each time."""

    def __init__(self) -> None:
        self._last: str | None = None

    def __call__(self, line: Line) -> None:
        self._last = _create(line, store=True, previous=self._last)


class Counter:
    """The instructions a process under callgrind has executed since it was last asked."""

    def __init__(self, pid: int, out: Path) -> None:
        self._pid = pid
        self._out = out

    def begin(self) -> None:
        """From here on instructions are counted, and the process is slow."""
        self._control("--instr=on")

    def zero(self) -> None:
        self._control("--zero")

    def read(self) -> int:
        before = set(self._dumps())
        self._control("--dump")
        (dump,) = set(self._dumps()) - before
        return total_of(dump.read_text())

    def _dumps(self) -> Iterator[Path]:
        return self._out.parent.glob(f"{self._out.name}.*")

    def _control(self, order: str) -> None:
        argv = ["callgrind_control", order, str(self._pid)]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=ANSWER_SECONDS_MAX)
        if done.returncode or "OK" not in done.stdout:
            raise RuntimeError(f"{' '.join(argv)}: {done.stdout}{done.stderr}")


def total_of(dump: str) -> int:
    """The instructions in one dump, all threads together."""
    found = _TOTAL.findall(dump)
    if not found:
        raise RuntimeError("a callgrind dump without totals")
    return int(found[-1])


def count_all() -> dict[str, float]:
    """Case → instructions per request or event."""
    programs, cores = build(), pick_cores()
    with tempfile.TemporaryDirectory() as name, Processes() as processes:
        folder = Path(name)
        mock = start_mock(processes, programs, cores)
        subject, counter = _start_counted(processes, mock, folder)
        line = Line(subject.port)
        for _ in range(30):
            _create(line, store=True)
        counter.begin()
        counted = {case.name: _count(case, line, counter) for case in cases()}
        line.close()
        return counted


def _start_counted(processes: Processes, mock: Subject, folder: Path) -> tuple[Subject, Counter]:
    port, out, log = free_port(), folder / "out", folder / "server.log"
    argv = [*CALLGRIND, f"--callgrind-out-file={out}", sys.executable, "-m", "antiphon", "serve"]
    argv += ["--upstream", f"http://127.0.0.1:{mock.port}/v1", "--port", str(port)]
    argv += ["--data", str(folder / "data"), "--api-key", API_KEY]
    process = processes.start(argv, pick_cores().server, log=log, environment=STEADY)
    subject = Subject("antiphon", process, port, store=False, folder=folder)
    first_answered(subject, log, seconds_max=START_SECONDS_MAX)
    return subject, Counter(process.pid, out)


def _count(case: Case, line: Line, counter: Counter) -> float:
    for _ in range(case.warm):
        case.ask(line)
    counter.zero()
    for _ in range(case.requests):
        case.ask(line)
    counted = counter.read() / case.units
    print(f"  {case.name:14}{counted:>12,.0f}", file=sys.stderr)
    return counted


def kind() -> str:
    """Whose budget: counts of another Python or another kind of machine are other counts."""
    return f"{sys.version_info.major}.{sys.version_info.minor} {platform.machine()}"


def budgets(path: Path = BUDGET) -> dict[str, dict[str, float]]:
    """Kind → case → instructions."""
    if not path.exists():
        return {}
    read: dict[str, dict[str, float]] = tomllib.loads(path.read_text())
    return read


def write(counted: Mapping[str, float], whose: str, path: Path = BUDGET) -> None:
    """Renew one kind's budget; the others stay."""
    every = {**budgets(path), whose: counted}
    lines = ["# Instructions per request, or per text event of a stream. Renewed by:"]
    lines += ["#   python -m bench.check --write"]
    for name, budget in sorted(every.items()):
        lines += ["", f'["{name}"]', *(f"{case} = {round(n)}" for case, n in budget.items())]
    path.write_text("\n".join([*lines, ""]))


def judged(counted: Mapping[str, float], budget: Mapping[str, float]) -> list[tuple[str, bool]]:
    """A line for each case, and whether it is within its budget."""
    told = []
    for case in sorted(counted.keys() | budget.keys()):
        if case not in counted:
            told.append((f"{case:14} was not counted: MISSING", False))
        elif case not in budget:
            told.append((f"{case:14}{counted[case]:>12,.0f}   no budget: run with --write", False))
        else:
            share = counted[case] / budget[case] - 1
            verdict = "TOO MUCH" if share > TOLERANCE else "ok"
            if share < -TOLERANCE:
                verdict = "ok; the budget may be renewed"
            line = f"{case:14}{counted[case]:>12,.0f} of{budget[case]:>12,.0f}  {share:+7.1%}"
            told.append((f"{line}  {verdict}", share <= TOLERANCE))
    return told


def why_not() -> str | None:
    """Why nothing can be counted here, or None."""
    for program in ("valgrind", "callgrind_control"):
        if not shutil.which(program):
            return f"{program} is not installed (Debian, Ubuntu: apt-get install valgrind)"
    if os.name != "posix" or not sys.platform.startswith("linux"):
        return "the model server of the benchmark needs Linux"
    try:
        build()
    except MissingTool as missing:
        return str(missing).partition("\n")[0]
    return None


def report(counted: Mapping[str, float], whose: str, path: Path = BUDGET) -> int:
    """Print the comparison; the exit status."""
    budget = budgets(path).get(whose)
    if budget is None:
        print(f"NOT JUDGED: bench/budget.toml has no budget for Python {whose}. Counted:")
        for case, number in counted.items():
            print(f"{case:14}{number:>12,.0f}")
        return 0
    print(f"Instructions per request or event, Python {whose}, at most {TOLERANCE:.0%} over budget")
    told = judged(counted, budget)
    for line, _ in told:
        print(line)
    return 0 if all(good for _, good in told) else 1


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench.check", description=__doc__.partition("\n")[0])
    parser.add_argument("--write", action="store_true", help="make these counts the budget")
    options = parser.parse_args()
    if lacking := why_not():
        print(f"SKIPPED, nothing was counted: {lacking}.")
        return 0
    counted = count_all()
    if options.write:
        write(counted, kind())
        print(f"{BUDGET} has a new budget for Python {kind()}")
        return 0
    return report(counted, kind())


if __name__ == "__main__":
    sys.exit(main())
