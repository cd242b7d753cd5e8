"""kill -9 in the instant in which an answer arrives: what a caller has read must be there."""

from __future__ import annotations

import http.client
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import apsw
import pytest

from tests.process.server import Server

KILLS = 20
CALLERS = 4
Answered = dict[str, Any]


@pytest.mark.requirement("process:kill:answered")
def test_what_was_answered_survives_kill_9_in_that_instant(tmp_path: Path) -> None:
    """Half of the callers stream. Each round another one kills, after another number of answers,
    while the rest are anywhere between asking and having their answer."""
    answered: list[Answered] = []
    for kill in range(KILLS + 1):
        with Server(tmp_path) as server:
            for response in answered:
                found = server.ask("GET", f"/v1/responses/{response['id']}")
                assert found == (200, response)
            if kill < KILLS:
                answered = load_and_kill(server, killer=kill % CALLERS, answers=1 + kill // CALLERS)
                assert answered
    database = apsw.Connection(str(tmp_path / "antiphon.db"))
    assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    database.close()


def load_and_kill(server: Server, *, killer: int, answers: int) -> list[Answered]:
    """All answers that anybody has read to their end, before the kill or out of the socket
    after it."""
    answered: list[Answered] = []
    too_few: list[int] = []

    def call(number: int) -> None:
        ask = streamed if number % 2 else plain
        mine = 0

        def read(response: Answered) -> None:
            nonlocal mine
            mine += 1
            if number == killer and mine == answers:
                server.signal(signal.SIGKILL)
            answered.append(response)

        try:
            while True:
                ask(server, f"caller {number}, {mine}", read)
        except (OSError, http.client.HTTPException, ValueError):
            pass  # gone, perhaps in the middle of an event
        if number == killer and mine < answers:
            too_few.append(mine)
            server.signal(signal.SIGKILL)  # or the others would go on for ever

    callers = [threading.Thread(target=call, args=(number,)) for number in range(CALLERS)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join(30)
        assert not caller.is_alive()
    assert server.ended() == -signal.SIGKILL
    assert not too_few, f"answered {too_few} times only, then the connection failed"
    return answered


def plain(server: Server, text: str, read: Callable[[Answered], None]) -> None:
    read(server.create("echo", text))


def streamed(server: Server, text: str, read: Callable[[Answered], None]) -> None:
    with server.stream("echo", text) as stream:
        for event in stream:
            if event["type"] == "response.completed":
                read(event["response"])
                return
    raise ConnectionError("the stream broke off")
