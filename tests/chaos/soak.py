"""``python -m tests.chaos.soak``: is memory flat over many streams, and what does a silent
connection cost? Writes its tables into ``docs/explanation/durability.md``.

Every road gets a server of its own, as a user starts it but for two settings: conversations kept in
memory are bounded to 1 MiB, so that this cache is full before the measuring begins, and file
descriptors to what the system allows. Memory is what the kernel says is resident, after a pass of
Python's collector.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import re
import resource
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.processes import OPEN_FILES_MAX, cpu_seconds, rss_bytes
from tests.chaos import watched
from tests.chaos.fleet import KEY, Machine
from tests.chaos.soak_roads import CALLERS, IDLE, ROADS, ask, close, session
from tests.store import postgres

PAGE = Path(__file__).parent.parent.parent / "docs" / "explanation" / "durability.md"
PLACE = re.compile(r"(<!-- soak -->\n).*?(<!-- end of soak -->)", re.DOTALL)
STEPS = 20
"""So often memory is read while the streams are made, and between any two all have ended."""
FLAT_BYTES_PER_STREAM = 128
"""More than that at 10,000 streams is a leak."""
REST_SECONDS = 0.3
IDLE_SECONDS = 5.0


@dataclass(frozen=True)
class Sample:
    """What the server held when it had nothing to do."""

    memory_bytes: int
    traced_bytes: int
    blocks: int
    files: int
    tasks: int


class Soaked(Machine):
    """One server that can be asked what it holds."""

    def __init__(self, folder: Path, database: str | None, *, traced: bool, memory: int) -> None:
        super().__init__("soaked", folder)
        self._folder = folder
        self._database = database
        self._held = folder / "held.json"
        self._environment = {
            watched.FILE: str(self._held),
            "ANTIPHON__RUNS__MEMORY_BYTES": str(memory),
            **({watched.TRACE: "1"} if traced else {}),
        }

    def command(self) -> list[str]:
        where = ["--port", str(self.port), "--data", str(self._folder / "data")]
        store = ["--database", self._database] if self._database else []
        own = ["--scripted", "--api-key", KEY, *where, *store]
        return [sys.executable, "-m", "tests.chaos.watched", "serve", *own]

    def start(self, environment: dict[str, str] | None = None) -> None:
        super().start({**self._environment, **(environment or {})})

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    async def sample(self) -> Sample:
        """After a moment's rest, in which connections are closed and queues run empty."""
        await asyncio.sleep(REST_SECONDS)
        self._held.unlink(missing_ok=True)
        self.signal(signal.SIGUSR2)
        async with asyncio.timeout(30):
            while not self._held.exists():  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        held: dict[str, Any] = json.loads(self._held.read_text(encoding="utf-8"))
        return Sample(memory_bytes=rss_bytes(self.pid), files=open_files(self.pid), **held)


def open_files(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


@contextmanager
def soaked(store: str, *, traced: bool = False, memory: int = 1 << 20) -> Iterator[Soaked]:
    """A running server with an empty database; both are gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="antiphon-soak-"))
    try:
        with postgres.database() if store == "PostgreSQL" else nullcontext() as database:
            server = Soaked(folder, database, traced=traced, memory=memory)
            try:
                server.start()
                yield server
            finally:
                server.kill()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@dataclass
class Soak:
    """One road: what was held after so many streams, the first entry after the warm-up."""

    road: str
    store: str
    seconds: float = 0.0
    counts: list[int] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)

    @property
    def bytes_per_stream(self) -> float:
        return slope(self.counts, [one.memory_bytes for one in self.samples])

    @property
    def traced_per_stream(self) -> float:
        return slope(self.counts, [one.traced_bytes for one in self.samples])

    @property
    def flat(self) -> bool:
        first, last = self.samples[0], self.samples[-1]
        steady = last.files <= first.files + 2 and last.tasks <= first.tasks + 2
        return steady and self.bytes_per_stream < FLAT_BYTES_PER_STREAM

    def row(self) -> str:
        first, last = self.samples[0], self.samples[-1]
        cells = [
            self.road,
            self.store,
            f"{self.counts[-1]:,}",
            f"{self.counts[-1] / self.seconds:,.0f}",
            f"{first.memory_bytes / 2**20:.1f} → {last.memory_bytes / 2**20:.1f}",
            f"{self.bytes_per_stream:+.0f}",
            f"{first.files} → {last.files}",
            f"{first.tasks} → {last.tasks}",
        ]
        return _row(cells)


def slope(counts: Sequence[int], values: Sequence[int]) -> float:
    """Least squares: by how much a value grows per count."""
    middle, level = sum(counts) / len(counts), sum(values) / len(values)
    spread = sum((count - middle) ** 2 for count in counts)
    pairs = zip(counts, values, strict=True)
    return sum((count - middle) * (value - level) for count, value in pairs) / spread


async def soak(
    server: Soaked, road: str, store: str, *, warm: int, streams: int, steps: int = STEPS
) -> Soak:
    """Streams in ``steps`` equal parts after ``warm`` unmeasured ones."""
    made = Soak(road, store)
    async with session() as http:
        await ask(http, server.url, road, warm)
        made.counts.append(0)
        made.samples.append(await server.sample())
        for step in range(steps):
            count = streams * (step + 1) // steps
            began = time.monotonic()
            await ask(http, server.url, road, count - made.counts[-1])
            made.seconds += time.monotonic() - began
            made.counts.append(count)
            made.samples.append(await server.sample())
    return made


@dataclass(frozen=True)
class Idle:
    """So many silent connections: what they add, and what is left when they are gone."""

    kind: str
    count: int
    before: Sample
    during: Sample
    after: Sample
    cpu_share: float

    @property
    def bytes_each(self) -> float:
        return (self.during.memory_bytes - self.before.memory_bytes) / self.count

    def row(self) -> str:
        cells = [
            self.kind,
            f"{self.count:,}",
            f"{self.bytes_each / 1024:.1f}",
            f"{(self.during.tasks - self.before.tasks) / self.count:.1f}",
            f"{self.cpu_share:.1%}",
            f"{self.before.files} → {self.during.files} → {self.after.files}",
            f"{self.before.tasks} → {self.during.tasks} → {self.after.tasks}",
        ]
        return _row(cells)


async def idle(server: Soaked, kind: str, *, count: int, seconds: float = IDLE_SECONDS) -> Idle:
    """Opens ``count`` connections beside 20 that were there before the measuring."""
    async with session() as http:
        early = [one async for one in IDLE[kind](http, server.url, 20)]
        before = await server.sample()
        opened = [one async for one in IDLE[kind](http, server.url, count)]
        during = await server.sample()
        began, cpu = time.monotonic(), cpu_seconds(server.pid)
        await asyncio.sleep(seconds)
        share = (cpu_seconds(server.pid) - cpu) / (time.monotonic() - began)
        await close(opened)
        await asyncio.sleep(seconds)
        after = await server.sample()
        await close(early)
    return Idle(kind, count, before, during, after, share)


SOAK_HEAD = (
    "| road | store | streams | a second | MiB resident, first → last | bytes per stream "
    "| open files | tasks |\n" + "|---" * 8 + "|\n"
)
IDLE_HEAD = (
    "| silent connections | open | KiB each | tasks each | of one core, while silent "
    "| open files before → with them → after | tasks |\n" + "|---" * 7 + "|\n"
)


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |\n"


def raise_limit() -> None:
    """As many open files as this process may have; the servers inherit it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES_MAX if hard == resource.RLIM_INFINITY else min(OPEN_FILES_MAX, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))


async def measure(stores: Sequence[str], warm: int, streams: int, open_: int) -> tuple[str, bool]:
    """Both tables, and whether everything stayed as it was."""
    good, first, second = True, SOAK_HEAD, IDLE_HEAD
    print(SOAK_HEAD, end="", flush=True)
    for store in stores:
        for road in ROADS:
            with soaked(store) as server:
                made = await soak(server, road, store, warm=warm, streams=streams)
            first, good = first + made.row(), good and made.flat
            print(made.row(), end="", flush=True)
    print(IDLE_HEAD, end="", flush=True)
    for kind in IDLE:
        with soaked("SQLite") as server:
            seen = await idle(server, kind, count=open_)
        second, good = second + seen.row(), good and seen.after.files <= seen.before.files + 2
        print(seen.row(), end="", flush=True)
    return f"{first}\n{second}", good


def run(
    stores: Sequence[str] = ("SQLite", "PostgreSQL"),
    *,
    warm: int = 2_000,
    streams: int = 10_000,
    silent: int = 1_000,
    write: bool = True,
) -> bool:
    """All of it; whether everything stayed as it was. ``write``: the tables go to their page."""
    raise_limit()
    tables, good = asyncio.run(measure(stores, warm, streams, silent))
    if write:
        about = (
            f"One process, {CALLERS} callers, {warm:,} streams before the first reading, "
            f"{os.cpu_count()} cores, Python {platform.python_version()}.\n\n"
        )
        text = PAGE.read_text(encoding="utf-8")
        written = PLACE.sub(lambda found: f"{found[1]}\n{about}{tables}\n{found[2]}", text)
        PAGE.write_text(written, encoding="utf-8")
    return good


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.soak", description=__doc__)
    parser.add_argument("--streams", type=int, default=10_000, help="on each road")
    parser.add_argument("--warm", type=int, default=2_000, help="before the measuring begins")
    parser.add_argument("--silent", type=int, default=1_000, help="connections of each kind")
    parser.add_argument("--store", choices=("SQLite", "PostgreSQL"), action="append")
    parser.add_argument("--no-write", action="store_true", help="leave the page as it is")
    args = parser.parse_args()
    stores = args.store or ["SQLite", "PostgreSQL"]
    sizes = {"warm": args.warm, "streams": args.streams, "silent": args.silent}
    sys.exit(0 if run(stores, **sizes, write=not args.no_write) else 1)


if __name__ == "__main__":
    main()
