"""How many database queries Antiphon needs to load a history.

A server of its own, started by this file as a program, writes one byte to $ANTIPHON_BENCH_QUERIES
for each SELECT. The model server takes UPSTREAM_MS to answer, so what was written after half of
that was asked to load the history and not to store the turn.
"""

import http.client
import json
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.conversation import ask
from bench.measure import Rig
from bench.processes import Processes
from bench.subjects import API_KEY, PROMPT, Subject, start_antiphon

TURNS = 70
UPSTREAM_MS = 100
VARIABLE = "ANTIPHON_BENCH_QUERIES"
BLOCKING = ("SELECT", "WITH")


@dataclass(frozen=True)
class Queries:
    """For the turn after TURNS: `hit` on the server that answered them, `cold` after a restart."""

    hit: int
    cold: int


def count_queries(rig: Rig, mock: Subject) -> Queries:
    folder, log = rig.folder / "queries", rig.folder / "queries.log"
    command = [sys.executable, "-m", "bench.queries", "serve"]
    environment = {VARIABLE: str(log)}
    counted, previous = [], None
    for place in ("hit", "cold"):
        with Processes() as processes:
            subject = start_antiphon(
                processes,
                rig.cores,
                mock,
                folder,
                command=command,
                store=True,
                environment=environment,
            )
            if place == "hit":
                previous = chain(subject)
            assert previous
            counted.append(loading(subject, previous, log))
    return Queries(*counted)


def chain(subject: Subject) -> str:
    connection = http.client.HTTPConnection("127.0.0.1", subject.port, timeout=30)
    previous = None
    for turn in range(1, TURNS + 1):
        previous = ask(connection, subject, previous, turn)
    connection.close()
    assert previous
    return previous


def loading(subject: Subject, previous: str, log: Path) -> int:
    """Queries between one more turn's request and its model's answer."""
    body = {"model": f"mock-delay-{UPSTREAM_MS}", "input": PROMPT, "previous_response_id": previous}
    connection = http.client.HTTPConnection("127.0.0.1", subject.port, timeout=30)
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {API_KEY}"}
    before = log.stat().st_size
    connection.request("POST", "/v1/responses", json.dumps(body), headers)
    time.sleep(UPSTREAM_MS / 2000)
    asked = log.stat().st_size - before
    answer = connection.getresponse()
    if answer.status != 200:
        raise RuntimeError(f"a turn after {TURNS}: {answer.status} {answer.read()[:300]!r}")
    answer.read()
    connection.close()
    return asked


def serve_counted() -> None:
    """Antiphon's command, with every new database connection watched."""
    import apsw

    from antiphon.cli import main

    log = os.open(os.environ[VARIABLE], os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def seen(_: object, statement: str, __: Any) -> bool:
        if statement.lstrip().upper().startswith(BLOCKING):
            os.write(log, b".")
        return True

    apsw.connection_hooks.append(lambda connection: connection.set_exec_trace(seen))
    main()


if __name__ == "__main__":
    serve_counted()
