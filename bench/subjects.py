"""What is measured: the model server called directly, nginx before it, Antiphon before it."""

import http.client
import json
import shutil
import socket
import subprocess
import time
import tomllib
from dataclasses import dataclass, replace
from pathlib import Path

from bench.build import Programs
from bench.processes import Cores, Processes
from bench.workloads import MODELS, POSTGRES_WORKLOADS, RESPONSES_WORKLOADS

API_KEY = "sk-bench-0123456789abcdef"
FIRST_ANSWER_SECONDS_MAX = 30.0
MESSAGES = 50
PROMPT = (
    "Two half-choirs stand facing each other across the nave. One sings a verse, the other "
    "answers it. Explain in a few plain sentences why the order of the verses matters to both of "
    "them, what happens when one side loses its place, and how a listener in the middle would "
    "notice it."
)
NGINX_CONF = """\
daemon off;
master_process off;
worker_processes 1;
worker_rlimit_nofile 65536;
pid {folder}/nginx.pid;
error_log {folder}/nginx-error.log warn;
events {{ worker_connections 8192; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    client_body_buffer_size 1m;
    client_max_body_size 64m;
    keepalive_requests 1000000000;
    keepalive_timeout 600s;
    upstream mock {{
        server 127.0.0.1:{mock_port};
        keepalive 2048;
        keepalive_requests 1000000000;
    }}
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        location / {{
            proxy_pass http://mock;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_buffering off;
            proxy_read_timeout 600s;
        }}
    }}
}}
"""


# In every plain answer of the model server, and in every stream of eight chunks or more.
TEXT = '\\"choir\\"'


class StartFailure(Exception):
    """A server did not give its first answer; the text has the end of its log."""


@dataclass(frozen=True)
class Request:
    """One HTTP request. `marker` stands in one line of its answer, or of each text event; `end` in
    its last event or in the only line."""

    method: str
    path: str
    body: bytes
    marker: str
    end: str


@dataclass(frozen=True)
class Subject:
    """A running server. `store` is None for those that speak chat completions.

    folder: where it keeps what it keeps. connections_max, seconds_min: what it can be asked.
    only: the workloads it takes part in, None for all.
    """

    name: str
    process: subprocess.Popen[str]
    port: int
    store: bool | None = None
    folder: Path | None = None
    model_prefix: str = ""
    connections_max: int | None = None
    seconds_min: float = 0.0
    first_answer_seconds: float | None = None
    only: frozenset[str] | None = None

    @property
    def pid(self) -> int:
        return self.process.pid

    def request(self, model: str, *, stream: bool = False, input_bytes: int = 0) -> Request:
        """The same question in the words of this server's API."""
        asked = messages(input_bytes) if input_bytes else [{"role": "user", "content": PROMPT}]
        body: dict[str, object] = {"model": self.model_prefix + model}
        if stream:
            body["stream"] = True
        if self.store is None:
            body |= {"messages": asked}
            if stream:
                body |= {"stream_options": {"include_usage": True}}
            marker = '"delta":{"content":" ' if stream else TEXT
            end = "[DONE]" if stream else '"finish_reason":"stop"'
            return Request("POST", "/v1/chat/completions", json.dumps(body).encode(), marker, end)
        body |= {"input": asked if input_bytes else PROMPT, "store": self.store}
        marker = 'output_text.delta"' if stream else TEXT
        end = "response.completed" if stream else '"completed"'
        return Request("POST", "/v1/responses", json.dumps(body).encode(), marker, end)

    def call(self, request: Request, *, seconds_max: float = 30.0) -> tuple[int, bytes]:
        """One request on a connection of its own: status and body."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=seconds_max)
        try:
            headers = {"Content-Type": "application/json", "Authorization": f"Bearer {API_KEY}"}
            connection.request(request.method, request.path, request.body or None, headers)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()


def messages(input_bytes: int) -> list[dict[str, str]]:
    """A question of this many bytes of text, as MESSAGES messages."""
    text = (PROMPT + "\n\n") * (input_bytes // MESSAGES // len(PROMPT) + 1)
    return [{"role": "user", "content": text[: input_bytes // MESSAGES]}] * MESSAGES


def heads(*, traced: bool) -> list[str]:
    """The header fields of each kind of client, a line each."""
    tables = tomllib.loads((Path(__file__).parent / "heads.toml").read_text())["head"]
    more = [f"traceparent: 00-{'0' * 32}-{'0' * 16}-01"] if traced else []
    return ["\n".join([*table["fields"], *more]).replace("{key}", API_KEY) for table in tables]


def start_mock(processes: Processes, programs: Programs, cores: Cores) -> Subject:
    """The model server; as a subject it is called `direct`."""
    argv = [str(programs.mock_upstream), "--port", "0", "--models", ",".join(MODELS)]
    process = processes.start(argv, cores.rest)
    assert process.stdout
    words = process.stdout.readline().split()
    if len(words) != 2:
        raise StartFailure("the mock upstream did not print its port")
    return Subject("direct", process, int(words[1]))


def start_nginx(processes: Processes, cores: Cores, mock: Subject, folder: Path) -> Subject | None:
    """A plain reverse proxy: one process, keep-alive both sides, no buffering. None: no nginx."""
    program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
    if not program:
        return None
    port = free_port()
    folder.mkdir()
    conf = folder / "nginx.conf"
    conf.write_text(NGINX_CONF.format(folder=folder, port=port, mock_port=mock.port))
    log = folder / "nginx-error.log"
    argv = [program, "-p", str(folder), "-c", str(conf), "-e", str(log)]
    return first_answered(Subject("nginx", processes.start(argv, cores.server, log=log), port), log)


def start_antiphon(
    processes: Processes,
    cores: Cores,
    mock: Subject,
    folder: Path,
    *,
    command: list[str],
    store: bool,
    environment: dict[str, str] | None = None,
    database: str | None = None,
    responses: bool = False,
) -> Subject:
    """Antiphon on a data folder of its own: `antiphon` stores nothing, `antiphon-stored` does, and
    `antiphon-postgres` in the database at that address. `antiphon-responses` stores nothing and
    asks the model server in the words of the Responses API."""
    port = free_port()
    folder.mkdir(exist_ok=True)
    log = folder / "server.log"
    argv = [*command, "--upstream", f"http://127.0.0.1:{mock.port}/v1", "--host", "127.0.0.1"]
    argv += ["--port", str(port), "--data", str(folder / "data"), "--api-key", API_KEY]
    argv += ["--database", database] if database else []
    argv += ["--upstream-api", "responses"] if responses else []
    process = processes.start(argv, cores.server, log=log, environment=environment)
    name = "antiphon-stored" if store else "antiphon"
    only = None
    if responses:
        name, only = "antiphon-responses", RESPONSES_WORKLOADS
    if database:
        name, only = "antiphon-postgres", POSTGRES_WORKLOADS
    return first_answered(Subject(name, process, port, store, folder, only=only), log)


def first_answered(
    subject: Subject,
    log: Path,
    *,
    seconds_max: float = FIRST_ANSWER_SECONDS_MAX,
    patient: bool = False,
) -> Subject:
    """Waits for the first good answer; the subject returned knows how long it took from here.

    patient: also while it says that the question is wrong, as some do until they know a model.
    """
    started = time.monotonic()
    last = "no connection"
    while time.monotonic() - started < seconds_max and subject.process.poll() is None:
        try:
            status, body = subject.call(subject.request("mock"))
        except OSError as error:
            last = str(error)
        else:
            if status == 200:
                return replace(subject, first_answer_seconds=time.monotonic() - started)
            last = f"status {status}: {body[:300]!r}"
            if status in (400, 401, 403, 404, 405, 422) and not patient:
                break
        time.sleep(0.05 if patient else 0.005)
    tail = "\n".join(log.read_text().splitlines()[-15:])
    raise StartFailure(f"{subject.name} gave no good answer ({last}). End of its log:\n{tail}")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
