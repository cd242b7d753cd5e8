"""The two C programs: what the load generator sends, and what the model server says."""

from __future__ import annotations

import http.client
import json
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bench.build import MissingTool, Programs, build
from bench.subjects import PROMPT, TEXT, heads

CHUNKS = 20


@pytest.fixture(scope="module")
def programs() -> Programs:
    try:
        return build()
    except MissingTool as missing:
        pytest.skip(str(missing))


@pytest.fixture
def mock(programs: Programs) -> Iterator[int]:
    """The port of a model server."""
    argv = [str(programs.mock_upstream), "--port", "0", "--models", "mock,mock-idle"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        yield int(process.stdout.readline().split()[1])
        process.kill()


def call(port: int, path: str, body: object = None) -> Any:
    """The JSON of an answer, or the list of its events' JSON."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    connection.request("POST" if body else "GET", path, json.dumps(body) if body else None)
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    assert answer.status == 200
    if not text.startswith(("data:", "event:")):
        return json.loads(text)
    lines = [line[6:] for line in text.splitlines() if line.startswith("data: ")]
    return [json.loads(line) for line in lines if line != "[DONE]"]


@pytest.mark.requirement("bench:mock:dialects")
def test_both_apis_tell_the_same_text_under_a_new_id_each_time(mock: int) -> None:
    asked = {"model": "mock", "input": PROMPT}
    chat = call(mock, "/v1/chat/completions", asked)
    first, second = (call(mock, "/v1/responses", asked) for _ in range(2))
    assert first["id"] != second["id"] and first["status"] == "completed"
    text = chat["choices"][0]["message"]["content"]
    assert text == first["output"][0]["content"][0]["text"]
    assert json.loads(f'"{TEXT}"') in text
    tokens = len(json.dumps(asked)) // 4
    assert first["usage"]["input_tokens"] == chat["usage"]["prompt_tokens"] == tokens
    assert first["usage"]["total_tokens"] == tokens + first["usage"]["output_tokens"]


@pytest.mark.requirement("bench:mock:dialects")
@pytest.mark.parametrize("pace", ["burst", "paced-1"])
def test_a_streamed_response_is_complete_and_numbered(mock: int, pace: str) -> None:
    asked = {"model": f"mock-stream-{CHUNKS}-{pace}", "input": PROMPT, "stream": True}
    events = call(mock, "/v1/responses", asked)
    assert [event["sequence_number"] for event in events] == list(range(CHUNKS + 8))
    deltas = [e["delta"] for e in events if e["type"] == "response.output_text.delta"]
    whole = events[-1]["response"]
    assert events[-1]["type"] == "response.completed" and len(deltas) == CHUNKS
    assert whole["output"][0]["content"][0]["text"] == "".join(deltas)
    assert whole["id"] == events[0]["response"]["id"]
    assert whole["output"][0]["id"] == events[2]["item"]["id"]
    chat = call(mock, "/v1/chat/completions", asked)
    pieces = [c["choices"][0]["delta"].get("content") for c in chat if c["choices"]]
    assert len([piece for piece in pieces if piece]) == CHUNKS


@pytest.mark.requirement("bench:mock:dialects")
def test_the_model_server_lists_its_models_and_is_healthy(mock: int) -> None:
    assert [m["id"] for m in call(mock, "/v1/models")["data"]] == ["mock", "mock-idle"]
    assert call(mock, "/health") == {"status": "ok"}


@pytest.mark.requirement("bench:load:heads")
def test_requests_carry_clients_heads_with_a_new_trace_each(
    programs: Programs, tmp_path: Path
) -> None:
    argv = [str(programs.load), "--method", "POST", "--path", "/v1/responses", "--seconds", "5"]
    for number, fields in enumerate(heads(traced=True)):
        (tmp_path / str(number)).write_text(fields)
        argv += ["--head", str(tmp_path / str(number))]
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(5)
        argv += ["--port", str(server.getsockname()[1]), "--connections", "4"]
        with subprocess.Popen([*argv, "--drain", "0"], stdout=subprocess.PIPE) as load:
            seen = [requests(server, answers=2) for _ in range(4)]
            load.kill()
    every = [fields for each in seen for fields in each]
    assert len({fields["traceparent"] for fields in every}) == len(every) == 8
    assert all(len(fields["traceparent"]) == 55 for fields in every)
    agents = {fields["user-agent"] for fields in every}
    assert agents >= {"OpenAI/Python 3.54.0", "AsyncOpenAI/Python 3.54.0", "curl/7.88.1"}
    assert all(fields["authorization"].startswith("Bearer sk-") for fields in every)
    assert max(len(fields) for fields in every) >= 17


def requests(server: socket.socket, answers: int) -> list[dict[str, str]]:
    """Header fields, by name in lower case, of the first requests of one connection."""
    seen = []
    connection, _ = server.accept()
    with connection, connection.makefile("rb") as reader:
        connection.settimeout(5)
        for _ in range(answers):
            reader.readline()
            fields = {}
            while line := reader.readline().decode().strip():
                name, _, value = line.partition(": ")
                fields[name.lower()] = value
            seen.append(fields)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
    return seen


@pytest.mark.requirement("bench:goals:doubt")
def test_an_answer_without_its_end_is_an_error(programs: Programs, mock: int) -> None:
    argv = [str(programs.load), "--port", str(mock), "--path", "/health", "--seconds", "0.05"]
    good = json.loads(subprocess.check_output([*argv, "--end", '"ok"'], timeout=5))
    assert good["errors"] == 0 and good["requests"] > 0
    bad = json.loads(subprocess.check_output([*argv, "--end", "completed"], timeout=5))
    assert bad["errors"] > 0 and bad["requests"] == 0
    assert "without its end" in bad["first_error"]
