"""The machines of a chaos run: PostgreSQL, NATS, replicas; each can be killed and started again."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from types import TracebackType

from tests.store import postgres

LEASE_SECONDS = 3.0
START_SECONDS_MAX = 30.0
KEY = "sk-chaos"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    """Until somebody listens there."""
    until = time.monotonic() + START_SECONDS_MAX
    while time.monotonic() < until:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        if process.poll() is not None:
            break
        time.sleep(0.05)
    raise RuntimeError(f"{log.name} did not start:\n{log.read_text()[-3000:]}")


class Machine:
    """One process on one port: ``start`` again as often as it is killed."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self.port = free_port()
        self.log = folder / f"{name}.log"
        self.process: subprocess.Popen[bytes] | None = None
        self.starts = 0
        self.frozen = False

    def command(self) -> list[str]:
        raise NotImplementedError

    def start(self, environment: dict[str, str] | None = None) -> None:
        """Returns when it listens."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **(environment or {})},
            )
        self.starts += 1
        wait_for(self.port, self.process, self.log)

    @property
    def alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    @property
    def healthy(self) -> bool:
        """What a load balancer's probe would find."""
        return self.alive and not self.frozen

    def signal(self, number: signal.Signals) -> None:
        if self.alive:
            assert self.process is not None
            self.process.send_signal(number)

    def kill(self) -> None:
        """As a power cut: nothing is said or written any more."""
        self.signal(signal.SIGKILL)
        self.wait()

    def stop(self) -> None:
        """As an operator does."""
        self.signal(signal.SIGTERM)
        self.wait()

    def wait(self, seconds: float = 30.0) -> None:
        if self.process is not None:
            try:
                self.process.wait(seconds)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(5)


class Replica(Machine):
    """One ``antiphon serve`` of several."""

    def __init__(
        self, name: str, folder: Path, database: str, bus: str | None, settings: dict[str, str]
    ) -> None:
        super().__init__(name, folder)
        self._folder = folder / name
        self._options = ["--database", database, *(["--bus", bus] if bus else [])]
        self._settings = settings

    def command(self) -> list[str]:
        own = ["--host", "127.0.0.1", "--port", str(self.port), "--data", str(self._folder)]
        return [
            *(sys.executable, "-m", "antiphon", "serve", "--scripted", "--api-key", KEY),
            *own,
            *self._options,
        ]

    def start(self, environment: dict[str, str] | None = None) -> None:
        super().start({**self._settings, **(environment or {})})

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


class Nats(Machine):
    """A NATS server that keeps its JetStream over restarts."""

    def __init__(self, folder: Path) -> None:
        super().__init__("nats", folder)
        self._store = folder / "nats"

    def command(self) -> list[str]:
        program = Path(sys.executable).parent / "nats-server"
        where = ["-a", "127.0.0.1", "-p", str(self.port), "-js", "-sd", str(self._store)]
        return [str(program), *where]

    @property
    def url(self) -> str:
        return f"nats://127.0.0.1:{self.port}"

    @staticmethod
    def is_here() -> bool:
        return (Path(sys.executable).parent / "nats-server").exists()


class Function:
    """A function the replicas call for the model, which takes a while and must not be called twice.
    ``calls``: how often it was, by the key of the call."""

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()
        calls = self.calls

        class Answer(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                calls[self.headers["idempotency-key"]] += 1
                self.rfile.read(int(self.headers["content-length"]))
                time.sleep(random.uniform(0.1, 1.5))
                try:
                    self.send_response(200)
                    self.end_headers()
                    self.wfile.write(b"worked")
                except OSError:
                    pass  # whoever asked was killed meanwhile

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
        self._server.daemon_threads = True
        Thread(target=self._server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_port}/work"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class Fleet:
    """Replicas on one PostgreSQL; ends with the block, and leaves nothing."""

    def __init__(
        self, replicas: int = 3, *, nats: bool = False, lease_seconds: float = LEASE_SECONDS
    ) -> None:
        self.function = Function()
        self.harmed: list[float] = []
        self._count = replicas
        self._with_nats = nats
        self.lease_seconds = lease_seconds

    def __enter__(self) -> Fleet:
        self._exit = ExitStack()
        self._exit.callback(self.function.close)
        folder = Path(tempfile.mkdtemp(prefix="antiphon-chaos-"))
        self._exit.callback(shutil.rmtree, folder, True)
        self.folder = folder
        database = self._exit.enter_context(postgres.database())
        self.postgres = postgres.server()
        self.nats = Nats(folder) if self._with_nats else None
        if self.nats is not None:
            self.nats.start()
            self._exit.callback(self.nats.kill)
        settings = {
            "ANTIPHON__BACKGROUND__LEASE_SECONDS": f"{self.lease_seconds:g}",
            "ANTIPHON__SERVER__SHUTDOWN_SECONDS": "1",
            "ANTIPHON__LOG__FORMAT": "json",
            "ANTIPHON__FUNCTIONS": json.dumps([{"name": "work", "url": self.function.url}]),
        }
        bus = self.nats.url if self.nats is not None else None
        self.replicas = [
            Replica(f"replica-{number}", folder, database, bus, settings)
            for number in range(self._count)
        ]
        for replica in self.replicas:
            self._exit.callback(replica.kill)
            replica.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._exit.close()

    def harm(self) -> None:
        """A replica died or froze just now."""
        self.harmed.append(time.monotonic())

    def trouble(self) -> str:
        """What the replicas logged as errors nobody expected."""
        lines = []
        for replica in self.replicas:
            for line in replica.log.read_text(errors="replace").splitlines():
                if '"error"' in line or "Traceback" in line or "LocalProtocolError" in line:
                    lines.append(f"{replica.name}: {line[:400]}")
        return "\n".join(lines[-20:])
