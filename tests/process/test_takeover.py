"""kill -9 in the middle of background responses: the process that comes next finishes them."""

from __future__ import annotations

import signal
import time
from pathlib import Path
from typing import Any

import pytest

from tests.process.server import Server

SPOKEN = "one two three four five six seven eight nine ten"
SECONDS_MAX = 10.0


def ended(server: Server, response_id: str) -> dict[str, Any]:
    until = time.monotonic() + SECONDS_MAX
    while True:
        status, response = server.ask("GET", f"/v1/responses/{response_id}")
        assert status == 200, response
        if response["status"] not in ("queued", "in_progress"):
            assert isinstance(response, dict)
            return response
        assert time.monotonic() < until, response
        time.sleep(0.02)


@pytest.mark.requirement("background:takeover:restart")
def test_a_restarted_process_finishes_what_was_begun(tmp_path: Path) -> None:
    seen: list[dict[str, Any]] = []
    with Server(tmp_path) as server:
        polled = server.create("slow-50ms", "Hi.", background=True)
        with server.stream("slow-50ms", "Hi.", background=True) as stream:
            for event in stream:
                seen.append(event)
                if event["type"] == "response.output_text.delta" and len(seen) > 8:
                    break
            response_id = stream.response_id
            server.signal(signal.SIGKILL)
            server.ended()
    with Server(tmp_path) as server:
        last = seen[-1]["sequence_number"]
        with server.follow(response_id, starting_after=last) as stream:
            seen += list(stream)
            assert stream.done
        final = ended(server, response_id)
        assert [event["sequence_number"] for event in seen] == list(range(len(seen)))
        assert [event["type"] for event in seen].count("response.completed") == 1
        assert seen[-1]["response"] == final
        cut, whole = final["output"]
        assert (cut["status"], whole["status"]) == ("incomplete", "completed")
        assert SPOKEN.startswith(cut["content"][0]["text"])
        assert whole["content"][0]["text"] == SPOKEN
        assert ended(server, polled["id"])["output"][0]["content"][0]["text"] == SPOKEN
        with server.follow(response_id) as stream:
            assert list(stream) == seen


@pytest.mark.requirement("background:drain")
def test_what_a_stopped_process_cannot_finish_is_handed_over(tmp_path: Path) -> None:
    hurry = {"ANTIPHON__SERVER__SHUTDOWN_SECONDS": "0.3"}
    with Server(tmp_path, environment=hurry) as server:
        short = server.create("slow-5ms", "Hi.", background=True)
        long = server.create("slow-200ms", "Hi.", background=True)
        time.sleep(0.05)
        began = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - began < SECONDS_MAX
    with Server(tmp_path) as server:
        status, done = server.ask("GET", f"/v1/responses/{short['id']}")
        assert (status, done["status"]) == (200, "completed")
        assert ended(server, long["id"])["output"][0]["content"][0]["text"] == SPOKEN


@pytest.mark.requirement("background:cancel:orphan")
def test_cancelling_that_nobody_heard_is_heard_by_who_takes_over(tmp_path: Path) -> None:
    with Server(tmp_path) as server:
        made = server.create("endless", "Hi.", background=True)
        server.signal(signal.SIGKILL)
        server.ended()
    with Server(tmp_path) as server:
        status, cancelled = server.ask("POST", f"/v1/responses/{made['id']}/cancel")
        assert (status, cancelled["status"]) == (200, "cancelled")
