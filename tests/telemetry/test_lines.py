"""Lines that are written together: soon, in order, and none lost."""

from __future__ import annotations

import asyncio
import io
import json
import subprocess
import sys
import threading

import pytest

from antiphon.config import LogSettings
from antiphon.observe import Broke, RequestFinished, ResponseFinished
from antiphon.telemetry.lines import BYTES_MAX, LINES_MAX, Lines
from antiphon.telemetry.logs import Logs

pytestmark = pytest.mark.anyio

SECONDS_MAX = 5.0


class Paper(io.StringIO):
    """A stream that keeps apart what was written apart, and tells when."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[str] = []
        self.written = asyncio.Event()

    def write(self, text: str) -> int:
        self.writes.append(text)
        self.written.set()
        return super().write(text)


def response(number: int) -> ResponseFinished:
    return ResponseFinished(
        f"resp_{number}", "p", "m", "completed", 0.5, None, 1, 2, 9, False, True
    )


def ids(text: str) -> list[str]:
    lines = [json.loads(line) for line in text.splitlines()]
    return [line.get("response_id", line["event"]) for line in lines]


@pytest.mark.requirement("telemetry:lines:soon")
async def test_a_line_appears_a_moment_later_without_another_one() -> None:
    paper = Paper()
    logs = Logs(LogSettings(format="json"), paper)
    for number in (1, 2):  # what waits again after the first time is come back to as well
        logs(response(number))
        assert len(paper.writes) == number - 1
        await asyncio.wait_for(paper.written.wait(), SECONDS_MAX)
        paper.written.clear()
    assert ids(paper.getvalue()) == ["resp_1", "resp_2"]


@pytest.mark.requirement("telemetry:lines:together")
async def test_many_lines_are_one_write() -> None:
    paper = Paper()
    logs = Logs(LogSettings(format="json"), paper)
    for number in range(2 * LINES_MAX + 1):
        logs(response(number))
    assert [len(ids(text)) for text in paper.writes] == [LINES_MAX, LINES_MAX]
    await asyncio.wait_for(_writes(paper, 3), SECONDS_MAX)
    assert ids(paper.getvalue()) == [f"resp_{number}" for number in range(2 * LINES_MAX + 1)]


@pytest.mark.requirement("telemetry:lines:together")
async def test_long_lines_do_not_wait_for_a_hundred() -> None:
    paper = Paper()
    lines = Lines(paper)
    line = b"x" * (BYTES_MAX // 4)
    for _ in range(3):
        lines.add(line)
    assert paper.writes == []
    lines.add(line)
    assert [len(text) for text in paper.writes] == [4 * (len(line) + 1)]


@pytest.mark.requirement("telemetry:lines:urgent")
async def test_a_warning_is_written_at_once_and_after_what_waited() -> None:
    paper = Paper()
    logs = Logs(LogSettings(format="json"), paper)
    logs(response(1))
    logs(response(2))
    logs(RequestFinished("req_1", "POST", "/v1/responses", 502, 0.1))
    assert ids(paper.getvalue()) == ["resp_1", "resp_2", "request"]
    logs(response(3))
    logs(Broke("run", ValueError(), "resp_4"))
    logs(response(5))
    logs.say("info", "stopping", {})
    assert ids(paper.getvalue())[3:] == ["resp_3", "resp_4", "resp_5", "stopping"]
    assert len(paper.writes) == 3


async def test_lines_for_people_do_not_wait() -> None:
    paper = Paper()
    Logs(LogSettings(format="pretty"), paper)(response(1))
    assert "resp_1" in paper.getvalue()


def test_without_an_event_loop_no_line_waits() -> None:
    stream = io.StringIO()
    lines = Lines(stream)
    lines.add(b"alone")
    assert stream.getvalue() == "alone\n"

    async def leave_one_waiting() -> None:
        lines.add(b"in a loop")

    asyncio.run(leave_one_waiting())
    assert stream.getvalue() == "alone\n"
    lines.add(b"after it")
    assert stream.getvalue() == "alone\nin a loop\nafter it\n"


async def test_lines_of_several_threads_are_all_written_once() -> None:
    stream = io.StringIO()
    lines = Lines(stream)
    every = [[f"{thread}-{number}" for number in range(5000)] for thread in range(3)]

    def add(names: list[str]) -> None:
        for name in names:
            lines.add_now(name.encode())

    threads = [threading.Thread(target=add, args=(names,)) for names in every[1:]]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)  # the threads take turns within a flush
    try:
        for thread in threads:
            thread.start()
        add(every[0])
        for thread in threads:
            thread.join(SECONDS_MAX)
    finally:
        sys.setswitchinterval(interval)
    lines.flush()
    written = stream.getvalue().splitlines()
    assert sorted(written) == sorted(name for names in every for name in names)
    assert [name for name in written if name.startswith("0-")] == every[0]


PROGRAM = """
import asyncio, sys
from antiphon.telemetry.lines import Lines

async def main():
    lines = Lines(sys.stderr)
    lines.add(b"first")
    lines.add(b"second")
    {end}

asyncio.run(main())
"""


@pytest.mark.requirement("telemetry:lines:none_lost")
@pytest.mark.parametrize("end", ["return", "sys.exit(0)", "raise KeyboardInterrupt"])
def test_what_waits_when_the_interpreter_ends_is_written(end: str) -> None:
    command = [sys.executable, "-c", PROGRAM.format(end=end)]
    said = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False).stderr
    assert [line for line in said.splitlines() if line in ("first", "second")] == [
        "first",
        "second",
    ]


async def _writes(paper: Paper, count: int) -> None:
    while len(paper.writes) < count:
        paper.written.clear()
        await paper.written.wait()
