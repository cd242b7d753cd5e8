"""The log of a running process."""

from __future__ import annotations

import json
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
