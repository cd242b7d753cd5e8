"""A real server process to test against, and what it says."""

from __future__ import annotations

import http.client
import json
import os
import queue
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import IO, Any

START_SECONDS_MAX = 30.0
"""Generous: a machine that builds something else at the same time is no failure."""

END_SECONDS_MAX = 30.0
REPLY_SECONDS_MAX = 10.0

_LAST_LINE = "Stop with Ctrl-C."
_ADDRESS = re.compile(r"http://([^/:]+):(\d+)/v1")


class Server:
    """``python -m antiphon serve --port 0 --data DIR …``; ends with the block."""

    def __init__(
        self,
        data: Path,
        *options: str,
        keys: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
    ) -> None:
        command = [sys.executable, "-m", "antiphon", "serve", "--port", "0", "--data", str(data)]
        if not any(option in options for option in ("--config", "--upstream", "--model")):
            command.append("--scripted")
        for key in keys:
            command += ["--api-key", key]
        self._key = keys[0] if keys else "none"
        self._command = [*command, *options]
        self._environment = {**clean_environment(), **(environment or {})}

    def __enter__(self) -> Server:
        self.process = subprocess.Popen(
            self._command,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=self._environment,
            text=True,
        )
        assert self.process.stdout is not None and self.process.stderr is not None
        self._said = _Lines(self.process.stdout)
        self._logged = _Lines(self.process.stderr)
        self.banner = self._said.until(_LAST_LINE, START_SECONDS_MAX)
        address = _ADDRESS.search(self.banner)
        assert address, f"no address in:\n{self.banner}\n{self._logged.rest()}"
        self.host, self.port = address[1], int(address[2])
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(END_SECONDS_MAX)
        for pipe in (self.process.stdout, self.process.stderr):
            assert pipe is not None
            self._said.join()
            self._logged.join()
            pipe.close()

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}/v1"

    def ask(
        self, method: str, path: str, body: object = None, *, key: str | None = None
    ) -> tuple[int, Any]:
        """Status and decoded body of one request."""
        connection = self._connection()
        try:
            connection.request(method, path, _encoded(body), self._headers(key))
            reply = connection.getresponse()
            return reply.status, json.loads(reply.read())
        finally:
            connection.close()

    def create(self, model: str, text: str, **more: object) -> dict[str, Any]:
        """A response made without streaming."""
        body = {"model": f"scripted/{model}", "input": text, **more}
        status, made = self.ask("POST", "/v1/responses", body)
        assert status == 200, made
        assert isinstance(made, dict)
        return made

    @contextmanager
    def stream(self, model: str, text: str, **more: object) -> Iterator[Stream]:
        """A response being streamed."""
        body = {"model": f"scripted/{model}", "input": text, "stream": True, **more}
        with self._reading("POST", "/v1/responses", body) as stream:
            yield stream

    @contextmanager
    def follow(self, response_id: str, *, starting_after: int | None = None) -> Iterator[Stream]:
        """The events of a response again, from one of them on."""
        path = f"/v1/responses/{response_id}?stream=true"
        if starting_after is not None:
            path += f"&starting_after={starting_after}"
        with self._reading("GET", path) as stream:
            yield stream

    @contextmanager
    def _reading(self, method: str, path: str, body: object = None) -> Iterator[Stream]:
        connection = self._connection()
        try:
            connection.request(method, path, _encoded(body), self._headers(None))
            reply = connection.getresponse()
            assert reply.status == 200, reply.read()
            yield Stream(reply)
        finally:
            connection.close()

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def ended(self) -> int:
        """The exit code, once the process is gone."""
        return self.process.wait(END_SECONDS_MAX)

    def stop(self) -> int:
        self.signal(signal.SIGTERM)
        return self.ended()

    def log(self) -> str:
        """All it logged; the process must have ended."""
        return self._logged.rest()

    def _connection(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(self.host, self.port, timeout=REPLY_SECONDS_MAX)

    def _headers(self, key: str | None) -> dict[str, str]:
        return {
            "content-type": "application/json",
            "authorization": f"Bearer {key or self._key}",
        }


class Stream:
    """The events of one streamed response, as they come."""

    def __init__(self, reply: http.client.HTTPResponse) -> None:
        self._reply = reply
        self.response_id = ""
        self.done = False

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Ends at ``[DONE]``, or where the connection broke off (``done`` tells)."""
        while (line := self._line()) is not None:
            if line == b"data: [DONE]":
                self.done = True
                return
            if line.startswith(b"data: "):
                event = json.loads(line[6:])
                self.response_id = event.get("response", {}).get("id", self.response_id)
                yield event

    def _line(self) -> bytes | None:
        try:
            line = self._reply.readline()
        except (OSError, http.client.IncompleteRead):
            return None
        return line.rstrip(b"\r\n") if line else None


class _Lines:
    """Reads a pipe in a thread, so that waiting for a line can end."""

    def __init__(self, pipe: IO[str]) -> None:
        self._pipe = pipe
        self._queue: queue.Queue[str | None] = queue.Queue()
        self._seen: list[str] = []
        self._ended = False
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        for line in self._pipe:
            self._queue.put(line)
        self._queue.put(None)

    def until(self, last: str, seconds: float) -> str:
        """All lines up to the one that begins with ``last``, or all there are."""
        while not self._ended and not (self._seen and self._seen[-1].startswith(last)):
            self._take(seconds)
        return "".join(self._seen)

    def rest(self) -> str:
        """Every line; only once the process has ended."""
        while not self._ended:
            self._take(END_SECONDS_MAX)
        return "".join(self._seen)

    def _take(self, seconds: float) -> None:
        line = self._queue.get(timeout=seconds)
        if line is None:
            self._ended = True
        else:
            self._seen.append(line)

    def join(self) -> None:
        self._thread.join(END_SECONDS_MAX)


def run_to_end(*arguments: str, data: Path) -> subprocess.CompletedProcess[str]:
    """A command that is expected to end by itself."""
    return subprocess.run(
        [sys.executable, "-m", "antiphon", *arguments, "--data", str(data)],
        capture_output=True,
        text=True,
        env=clean_environment(),
        timeout=END_SECONDS_MAX,
        check=False,
    )


def clean_environment() -> dict[str, str]:
    """Ours, without settings somebody made for a server of their own."""
    return {name: value for name, value in os.environ.items() if not name.startswith("ANTIPHON")}


def _encoded(body: object) -> bytes | None:
    return None if body is None else json.dumps(body).encode()
