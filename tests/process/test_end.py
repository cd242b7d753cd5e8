"""Ending, gracefully and not, and starting again."""

from __future__ import annotations

import re
import signal
import socket
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import apsw
import pytest

from tests.process.server import Server

ENDED = {"completed", "failed", "cancelled", "incomplete"}


@pytest.mark.requirement("process:shutdown:in_flight_finishes")
def test_sigterm_lets_a_stream_finish_and_accepts_nobody_else(tmp_path: Path) -> None:
    with Server(tmp_path) as server:
        with server.stream("slow-50ms", "count") as stream:
            events = iter(stream)
            seen = list(islice(events, 5))
            server.signal(signal.SIGTERM)
            seen += events
            assert stream.done
        assert seen[-1]["type"] == "response.completed"
        assert server.ended() == 0
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((server.host, server.port), timeout=5)


@pytest.mark.requirement("process:shutdown:in_flight_cancelled")
def test_what_does_not_end_in_time_is_cancelled_and_recorded(tmp_path: Path) -> None:
    limit = {"ANTIPHON__SERVER__SHUTDOWN_SECONDS": "1"}
    with Server(tmp_path, environment=limit) as server:
        with server.stream("endless", "go") as stream:
            events = iter(stream)
            list(islice(events, 5))
            server.signal(signal.SIGTERM)
            list(events)
        assert server.ended() == 0
        assert '"level":"error"' not in server.log()
    with Server(tmp_path) as server:
        status, response = server.ask("GET", f"/v1/responses/{stream.response_id}")
        assert (status, response["status"]) == (200, "cancelled")


@pytest.mark.requirement("process:shutdown:refused")
def test_what_has_not_begun_when_the_time_is_up_is_refused_on_every_road(tmp_path: Path) -> None:
    limit = {"ANTIPHON__SERVER__SHUTDOWN_SECONDS": "1"}
    body = {"model": "scripted/endless", "input": "go"}
    with Server(tmp_path, environment=limit) as server, ThreadPoolExecutor() as callers:
        asked = [
            callers.submit(server.ask, "POST", path, body)
            for path in ("/v1/responses", "/v1/responses?x=1")
        ]
        while _under_way(server) < len(asked):
            pass
        server.signal(signal.SIGTERM)
        for answer in asked:
            status, said = answer.result()
            assert (status, said["error"]["type"]) == (503, "server_error")
        assert server.ended() == 0
        assert '"under_way":2' in server.log()


@pytest.mark.requirement("process:shutdown:second_signal")
def test_a_second_signal_ends_at_once(tmp_path: Path) -> None:
    limit = {"ANTIPHON__SERVER__SHUTDOWN_SECONDS": "3600"}
    with Server(tmp_path, environment=limit) as server, server.stream("endless", "go") as stream:
        events = iter(stream)
        list(islice(events, 5))
        server.signal(signal.SIGTERM)
        with pytest.raises(OSError):  # the first one is heeded once nobody is accepted any more
            for _ in range(100_000):
                socket.create_connection((server.host, server.port), timeout=5).close()
        server.signal(signal.SIGTERM)
        assert server.ended() == 130


@pytest.mark.requirement("process:restart:keeps_responses")
def test_a_restart_keeps_what_was_stored(tmp_path: Path) -> None:
    with Server(tmp_path) as server:
        first = server.create("recall", "Hi, my name is Ada.")
        assert server.stop() == 0
    with Server(tmp_path) as server:
        assert server.ask("GET", f"/v1/responses/{first['id']}") == (200, first)
        again = server.create("recall", "What is my name?", previous_response_id=first["id"])
        assert "Ada" in again["output"][-1]["content"][0]["text"]


@pytest.mark.requirement("process:kill:never_half")
def test_after_kill_9_every_response_is_ended_or_absent(tmp_path: Path) -> None:
    """Kills after 1, 2, 4 … events of a stream, while others end and start."""
    whole: list[dict[str, Any]] = []
    begun: set[str] = set()
    for moment in (1, 2, 4, 8, 16, 32):
        with Server(tmp_path) as server:
            _check(server, whole, begun)
            whole.append(server.create("echo", f"before {moment}"))
            with server.stream("long-8", "short") as short, server.stream("endless", "go") as long:
                list(islice(long, moment))
                for event in short:
                    if event["type"] == "response.completed":
                        whole.append(event["response"])
                        break
                server.signal(signal.SIGKILL)
                list(long)
                begun |= {short.response_id, long.response_id}
            server.ended()
    with Server(tmp_path) as server:
        _check(server, whole, begun)
        assert server.stop() == 0
    database = apsw.Connection(str(tmp_path / "antiphon.db"))
    assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    database.close()


def _under_way(server: Server) -> int:
    """Requests being answered, but for the one that asks."""
    with urlopen(f"http://{server.host}:{server.port}/metrics", timeout=5) as page:
        found = re.search(r"^antiphon_requests_in_flight (\d+)", page.read().decode(), re.MULTILINE)
    assert found is not None
    return int(found[1]) - 1


def _check(server: Server, whole: list[dict[str, Any]], begun: set[str]) -> None:
    """What a caller saw complete is there, unchanged; what was only begun is ended or absent."""
    for response in whole:
        assert server.ask("GET", f"/v1/responses/{response['id']}") == (200, response)
    for response_id in begun:
        status, found = server.ask("GET", f"/v1/responses/{response_id}")
        assert status == 404 or found["status"] in ENDED
