"""Long conversations by previous_response_id: does turn 1000 cost what turn 10 cost?

Several conversations go on in turn, so that each finds its history as a busy server keeps it. What
a turn costs is a mean over SAMPLES turns round it, in several chains: a store that packs its
history or copies its log every so often pays for that in some turns only.
"""

import http.client
import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path

from bench.processes import cpu_seconds, written_bytes
from bench.subjects import API_KEY, PROMPT, TEXT, Subject

MARKS = (1, 10, 100, 300, 1000)
SAMPLES = 512
WINDOW_TURNS_MIN = 32
LONG_CHAINS_MAX = 4
ANSWER_BYTES_MIN = 100  # of the model server's answers to this question, the shortest
TOKEN_BYTES = 4


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


def shape(mark: int, samples: int) -> tuple[int, range]:
    """How many chains are measured round turn `mark`, and in which of their turns."""
    if mark == 1:
        return samples, range(1, 2)
    short = mark < SAMPLES // LONG_CHAINS_MAX // 2
    chains = max(1, samples // WINDOW_TURNS_MIN)
    chains = chains if short else min(chains, LONG_CHAINS_MAX)
    turns = samples // chains
    first = max(2, mark - turns // 2 + 1)
    return chains, range(first, first + turns)


def converse(subject: Subject, turns: int, samples: int = SAMPLES) -> list[Turns]:
    """Windows round those of MARKS that are at most `turns`; raises on any wrong answer.

    The long chains come first and the short ones after them, so that all are measured in a
    database that has grown: its size is not what turns are compared for.
    """
    print(f"  conversations of {turns} turns  {subject.name}", file=sys.stderr)
    connection = http.client.HTTPConnection("127.0.0.1", subject.port, timeout=60)
    found = []
    for marks in (MARKS[2:], MARKS[1:2], MARKS[:1]):
        chains: list[str | None] = []
        asked = 0
        for mark in (mark for mark in marks if mark <= turns):
            count, measured = shape(mark, samples)
            chains = chains or [None] * count
            while asked + 1 < measured.stop:
                asked += 1
                if asked == measured.start:
                    before = state(subject)
                chains = [ask(connection, subject, one, asked) for one in chains]
            found.append(between(mark, count * len(measured), before, state(subject)))
    connection.close()
    return sorted(found, key=lambda each: each.turn)


def ask(
    connection: http.client.HTTPConnection, subject: Subject, previous: str | None, turn: int
) -> str:
    """One turn, the turn-th of its chain; returns the id of its response."""
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
        raise RuntimeError(f"{subject.name}, turn {turn}: {answer.status} {said[:300]!r}")
    response = json.loads(said)
    seen = response["usage"]["input_tokens"] * TOKEN_BYTES
    if seen < turn * len(PROMPT) + (turn - 1) * ANSWER_BYTES_MIN:
        raise RuntimeError(f"{subject.name}, turn {turn}: its model was asked {seen} bytes only")
    return str(response["id"])


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
