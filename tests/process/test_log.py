"""The log of a running process."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from tests.process.server import Server


@pytest.mark.requirement("process:log:json")
@pytest.mark.requirement("process:log:no_content")
def test_every_line_is_json_and_none_holds_a_prompt_or_a_key(tmp_path: Path) -> None:
    with Server(tmp_path, "--log-level", "debug", keys=["secret-key"]) as server:
        server.create("echo", "secret-prompt", instructions="secret-instructions")
        server.ask("GET", "/v1/responses/resp_secret", key="wrong-secret-key")
        server.ask("POST", "/v1/responses", {"model": "scripted/crash", "input": "secret-prompt"})
        server.ask("POST", "/v1/responses", {"model": "secret-model", "input": 3})
        with server.stream("error-after", "secret-prompt") as stream:
            list(stream)
        assert server.stop() == 0
        log = server.log()
    lines = [json.loads(line) for line in log.splitlines()]
    events = [line["event"] for line in lines]
    assert events[0] == "serving" and events[-1] == "stopped"
    assert {"request", "response", "turn", "store_commit"} <= set(events)
    assert all(set(line) >= {"timestamp", "level", "event"} for line in lines)
    for secret in ("secret-prompt", "secret-instructions", "secret-key"):
        assert secret not in log
    finished = [line for line in lines if line["event"] == "response"]
    assert {line["status"] for line in finished} == {"completed", "failed"}
    assert all(line["response_id"].startswith("resp_") for line in finished)


@pytest.mark.requirement("process:log:quiet")
def test_at_level_info_a_request_that_went_well_is_no_line(tmp_path: Path) -> None:
    with Server(tmp_path) as server:
        server.ask("GET", "/healthz")
        server.ask("GET", "/nowhere")
        assert server.stop() == 0
        lines = [json.loads(line) for line in server.log().splitlines()]
    assert [line["event"] for line in lines] == ["serving", "request", "stopping", "stopped"]
    assert (lines[1]["status"], lines[1]["code"]) == (404, "unknown_url")


@pytest.mark.requirement("telemetry:lines:none_lost")
def test_a_signal_right_after_an_answer_loses_no_line_of_it(tmp_path: Path) -> None:
    with Server(tmp_path) as server:
        made = [server.create("echo", f"number {number}")["id"] for number in range(5)]
        assert server.stop() == 0
        lines = [json.loads(line) for line in server.log().splitlines()]
    assert [line["response_id"] for line in lines if line["event"] == "response"] == made
    assert [lines[0]["event"], *(line["event"] for line in lines[-2:])] == [
        "serving",
        "stopping",
        "stopped",
    ]


@pytest.mark.requirement("telemetry:lines:none_lost")
def test_a_second_signal_loses_no_line_either(tmp_path: Path) -> None:
    limit = {"ANTIPHON__SERVER__SHUTDOWN_SECONDS": "3600"}
    with Server(tmp_path, environment=limit) as server:
        with server.stream("slow-20ms", "short") as short, server.stream("endless", "go") as long:
            begun = iter(long)
            next(begun)
            server.signal(signal.SIGTERM)
            list(short)
            assert short.done
            server.signal(signal.SIGTERM)
            assert server.ended() == 130
        lines = [json.loads(line) for line in server.log().splitlines()]
    assert short.response_id in [line.get("response_id") for line in lines]


@pytest.mark.requirement("telemetry:lines:soon")
def test_the_line_of_an_answer_is_there_before_the_next_one(tmp_path: Path) -> None:
    with Server(tmp_path) as server:
        first = server.create("echo", "alone")["id"]
        with server.stream("slow-50ms", "one two three four five six seven eight") as stream:
            list(stream)
        server.signal(signal.SIGKILL)
        server.ended()
        assert f'"response_id":"{first}"' in server.log()
