"""One long conversation by previous_response_id: does turn 1000 cost what turn 10 cost?"""

import http.client
import json
import sys
from dataclasses import dataclass

from bench.processes import cpu_seconds, written_bytes
from bench.subjects import PROMPT, Subject

WINDOW_TURNS = 10


@dataclass(frozen=True)
class Turns:
    """Means over the WINDOW_TURNS turns up to `turn`."""

    turn: int
    cpu_us: float
    written_bytes: float


def converse(subject: Subject, turns: int) -> list[Turns]:
    """Asks `turns` questions in a chain; windows at turn 10, 100, 300 and the last."""
    marks = sorted({mark for mark in (10, 100, 300, turns) if WINDOW_TURNS <= mark <= turns})
    print(f"  conversation of {turns} turns", file=sys.stderr)
    connection = http.client.HTTPConnection("127.0.0.1", subject.port, timeout=60)
    headers = {"Content-Type": "application/json", **subject.headers}
    previous, windows = None, []
    cpu, written = [cpu_seconds(subject.pid)], [written_bytes(subject.pid)]
    for turn in range(1, turns + 1):
        body = {"model": "mock", "input": PROMPT, "store": True, "previous_response_id": previous}
        connection.request("POST", "/v1/responses", json.dumps(body), headers)
        answer = connection.getresponse()
        response = json.loads(answer.read())
        if answer.status != 200:
            raise RuntimeError(f"turn {turn} of the conversation: {answer.status} {response}")
        previous = response["id"]
        cpu.append(cpu_seconds(subject.pid))
        written.append(written_bytes(subject.pid))
        if turn in marks:
            cpu_us = (cpu[-1] - cpu[-1 - WINDOW_TURNS]) / WINDOW_TURNS * 1e6
            bytes_each = (written[-1] - written[-1 - WINDOW_TURNS]) / WINDOW_TURNS
            windows.append(Turns(turn, cpu_us, bytes_each))
    connection.close()
    return windows


def growth(windows: list[Turns]) -> dict[str, float | None]:
    """Last window relative to the first: CPU, and bytes written (None: the first wrote nothing)."""
    first, last = windows[0], windows[-1]
    written = last.written_bytes / first.written_bytes if first.written_bytes else None
    return {"cpu": last.cpu_us / first.cpu_us, "written": written}
