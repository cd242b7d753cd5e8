"""Long conversations by previous_response_id: does turn 1000 cost what turn 10 cost?

CHAINS conversations go on in turn, so that each finds its history as a busy server keeps it. What
a turn costs is a mean over a window of WINDOW_TURNS turns of each chain: a store that packs its
history every so often pays for that in some turns only.
"""

import http.client
import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path

from bench.processes import cpu_seconds, written_bytes
from bench.subjects import API_KEY, PROMPT, TEXT, Subject

CHAINS = 4
WINDOW_TURNS = 32
MARKS = (1, 10, 100, 300, 1000)


@dataclass(frozen=True)
class Turns:
    """Means over the window of `turn`.

    written_bytes: what the process sent towards the disk, as the kernel counts it: whole pages, the
    write-ahead log and what is copied from it. That is what a disk has to take, so it is what the
    goal is about; kept_bytes is the growth of its files, which comes in steps.
    """

    turn: int
    turns_measured: int
    cpu_us: float
    written_bytes: float
    kept_bytes: float


def window(mark: int) -> range:
    """The turns that stand for turn `mark`: round it, but never with the first one."""
    if mark == 1:
        return range(1, 2)
    first = max(2, mark - WINDOW_TURNS // 2 + 1)
    return range(first, first + WINDOW_TURNS)


def converse(subject: Subject, turns: int) -> list[Turns]:
    """Windows round those of MARKS that are at most `turns`; raises on any wrong answer."""
    marks = [mark for mark in MARKS if mark <= turns]
    print(f"  conversations of {turns} turns  {subject.name}", file=sys.stderr)
    connection = http.client.HTTPConnection("127.0.0.1", subject.port, timeout=60)
    found = []
    before = state(subject)
    for _ in range(WINDOW_TURNS):
        ask(connection, subject, None)
    if 1 in marks:
        found.append(between(1, WINDOW_TURNS, before, state(subject)))
    previous: list[str | None] = [None] * CHAINS
    windows = {mark: window(mark) for mark in marks if mark > 1}
    starts: dict[int, tuple[float, int, int]] = {}
    for turn in range(1, max((w.stop for w in windows.values()), default=1)):
        for mark, each in windows.items():
            if turn == each.start:
                starts[mark] = state(subject)
        previous = [ask(connection, subject, one) for one in previous]
        for mark, each in windows.items():
            if turn == each.stop - 1:
                count = WINDOW_TURNS * CHAINS
                found.append(between(mark, count, starts[mark], state(subject)))
    connection.close()
    return found


def ask(connection: http.client.HTTPConnection, subject: Subject, previous: str | None) -> str:
    """One turn; returns the id of its response."""
    body = {
        "model": subject.model_prefix + "mock",
        "input": PROMPT,
        "store": True,
        "previous_response_id": previous,
    }
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {API_KEY}"}
    connection.request("POST", "/v1/responses", json.dumps(body), headers)
    answer = connection.getresponse()
    said = answer.read()
    if answer.status != 200 or TEXT.encode() not in said:
        raise RuntimeError(f"{subject.name}, a turn: {answer.status} {said[:300]!r}")
    return str(json.loads(said)["id"])


def state(subject: Subject) -> tuple[float, int, int]:
    """CPU seconds, bytes written and bytes kept so far."""
    kept = folder_bytes(subject.folder) if subject.folder else 0
    return cpu_seconds(subject.pid), written_bytes(subject.pid), kept


def folder_bytes(folder: Path) -> int:
    """Size of all files in it."""
    return sum(
        os.path.getsize(os.path.join(place, name))
        for place, _, names in os.walk(folder)
        for name in names
    )


def between(
    mark: int, turns: int, before: tuple[float, int, int], after: tuple[float, int, int]
) -> Turns:
    cpu, written, kept = (now - then for now, then in zip(after, before, strict=True))
    return Turns(mark, turns, cpu / turns * 1e6, written / turns, kept / turns)


def growth(windows: list[Turns], early: int = 10, late: int = 1000) -> dict[str, float | None]:
    """The late window relative to the early one; None where one of them is missing or empty."""
    by_turn = {each.turn: each for each in windows}
    if early not in by_turn or late not in by_turn:
        return {"cpu": None, "written": None}
    first, last = by_turn[early], by_turn[late]
    written = last.written_bytes / first.written_bytes if first.written_bytes else None
    return {"cpu": last.cpu_us / first.cpu_us, "written": written}
