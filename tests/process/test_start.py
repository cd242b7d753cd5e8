"""Starting: what is printed, what is refused, who is who."""

from __future__ import annotations

import http.client
import json
import os
import platform
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.process.server import (
    END_SECONDS_MAX,
    REPLY_SECONDS_MAX,
    Server,
    clean_environment,
    run_to_end,
)

READY_SECONDS_MAX = 10.0
"""Five times what is promised: the tests share their machine."""


@pytest.mark.requirement("process:start:ready_in_time")
def test_the_server_answers_soon_after_it_was_started(tmp_path: Path) -> None:
    started_at = time.monotonic()
    with Server(tmp_path) as server:
        assert server.ask("GET", "/readyz")[0] == 200
        assert time.monotonic() - started_at < READY_SECONDS_MAX


@pytest.mark.requirement("process:banner:quickstart")
def test_what_the_banner_says_to_paste_works(tmp_path: Path) -> None:
    with Server(tmp_path) as server:
        assert f"the Responses API is at {server.url}\n" in server.banner
        assert str(tmp_path / "antiphon.db") in server.banner
        lines = [line.removeprefix("    ") for line in server.banner.splitlines()]
        start = lines.index("from openai import OpenAI")
        python = "\n".join(lines[start : lines.index("print(again.output_text)") + 1])
        said = subprocess.run(
            [sys.executable, "-c", python],
            capture_output=True,
            text=True,
            env=clean_environment(),
            timeout=END_SECONDS_MAX,
            check=False,
        )
        assert "Ada" in said.stdout, said.stderr
        at = next(number for number, line in enumerate(lines) if line.startswith("curl "))
        command = "\n".join(lines[at : at + 2])
        if shutil.which("curl"):
            reply = subprocess.run(
                ["sh", "-c", f"{command} --silent"],
                capture_output=True,
                text=True,
                timeout=END_SECONDS_MAX,
                check=False,
            )
            assert json.loads(reply.stdout)["status"] == "completed"


@pytest.mark.requirement("process:start:port_taken")
def test_a_taken_port_is_one_line_and_exit_code_2(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = run_to_end("serve", "--scripted", "--port", str(port), data=tmp_path)
    assert ended.returncode == 2
    assert ended.stdout == ""
    assert ended.stderr == (
        f"antiphon: cannot listen on 127.0.0.1 port {port}: Address already in use "
        "(choose with --host and --port)\n"
    )


@pytest.mark.requirement("process:start:bad_config")
def test_a_bad_setting_is_one_line_and_exit_code_2(tmp_path: Path) -> None:
    file = tmp_path / "antiphon.toml"
    file.write_text("[store]\nretention_dayz = 3\n")
    ended = run_to_end("serve", "--config", str(file), data=tmp_path)
    assert ended.returncode == 2
    assert ended.stderr == (
        "antiphon: store.retention_dayz: there is no such setting; "
        f"did you mean retention_days? ({file})\n"
    )


@pytest.mark.requirement("process:start:data_in_use")
def test_a_data_directory_has_one_server(tmp_path: Path) -> None:
    with Server(tmp_path):
        ended = run_to_end("serve", "--scripted", "--port", "0", data=tmp_path)
    assert ended.returncode == 1
    assert ended.stderr.startswith("antiphon: ")
    assert ended.stderr.count("\n") == 1


@pytest.mark.requirement("process:keys:tenants")
def test_two_keys_are_two_tenants(tmp_path: Path) -> None:
    with Server(tmp_path, keys=["key-a", "key-b"]) as server:
        mine = server.create("echo", "mine")["id"]
        path = f"/v1/responses/{mine}"
        assert server.ask("GET", path)[0] == 200
        foreign = server.ask("GET", path, key="key-b")
        missing = server.ask("GET", f"/v1/responses/{mine[:-1]}x", key="key-b")
        assert foreign[0] == missing[0] == 404
        assert foreign[1]["error"]["message"].replace(mine, "ID") == missing[1]["error"][
            "message"
        ].replace(f"{mine[:-1]}x", "ID")
        assert server.ask("DELETE", path, key="key-b")[0] == 404
        refused = server.ask("GET", path, key="key-c")
        assert refused[0] == 401
        assert refused[1]["error"]["code"] == "invalid_api_key"
        assert server.ask("GET", "/healthz", key="key-c")[0] == 200


@pytest.mark.requirement("process:websocket:refused")
def test_an_upgrade_that_is_switched_off_is_answered_with_426(tmp_path: Path) -> None:
    with Server(tmp_path, environment={"ANTIPHON__WEBSOCKET__ENABLED": "false"}) as server:
        connection = http.client.HTTPConnection(server.host, server.port, timeout=REPLY_SECONDS_MAX)
        upgrade = {
            "connection": "Upgrade",
            "upgrade": "websocket",
            "sec-websocket-key": "AAAAAAAAAAAAAAAAAAAAAA==",
            "sec-websocket-version": "13",
        }
        connection.request("GET", "/v1/responses", headers=upgrade)
        reply = connection.getresponse()
        assert reply.status == 426
        assert json.loads(reply.read())["error"]["type"] == "invalid_request_error"
        assert reply.getheader("server") is None
        connection.close()
        assert server.stop() == 0
        assert "Unsupported upgrade" not in server.log()


@pytest.mark.requirement("process:memory:idle")
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="no /proc here")
def test_an_idle_server_takes_less_than_100_megabytes(tmp_path: Path) -> None:
    with Server(tmp_path) as server:
        server.create("echo", "hello")
        status = Path(f"/proc/{server.process.pid}/status").read_text()
        resident = next(line for line in status.splitlines() if line.startswith("VmRSS"))
        assert int(resident.split()[1]) < 100_000


@pytest.mark.requirement("process:memory:kept")
@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library's own business")
def test_memory_of_a_large_body_is_used_again_by_the_next(tmp_path: Path) -> None:
    text = "word " * 1_000_000
    with Server(tmp_path) as server:
        for _ in range(3):
            server.create("long-5", text, store=False)
        before = _page_faults(server.process.pid)
        for _ in range(5):
            server.create("long-5", text, store=False)
        faults = _page_faults(server.process.pid) - before
        pages_of_one = len(text) // os.sysconf("SC_PAGESIZE")
        assert faults < pages_of_one  # it would be several times as many for each


def _page_faults(pid: int) -> int:
    """Pages the process was given so far."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[7])
