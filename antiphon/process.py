"""The life of the server process: socket, signals, uvicorn, and the order of the end.

SIGTERM or SIGINT: stop accepting, let answers under way finish for ``shutdown_seconds``, cancel
the rest (their responses are stored as cancelled), close the backends and then the store, exit
0. A second signal ends the process at once; what was stored stays whole.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import math
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from typing import Any

import uvicorn

from antiphon.app import App, running
from antiphon.config import Config
from antiphon.observe import Observers
from antiphon.server import hot, presence
from antiphon.telemetry.logs import Logs

BACKLOG = 2_048
"""Connections the system keeps until we accept them."""

SECOND_SIGNAL_EXIT = 130

COLLECTOR_THRESHOLDS = (5_000, 20, 50)

FREED_BYTES_KEPT = 64 << 20
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # of malloc.h


def listen(host: str, port: int) -> socket.socket:
    """A listening socket. Raises ``OSError``, in one clear line, if it cannot be had."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        number = error.errno or 0  # not above 0 where a name is not known
        why = os.strerror(number) if number > 0 else error.strerror
        raise OSError(f"cannot listen on {host} port {port}: {why}") from None


def serve(
    config: Config, listener: socket.socket, logs: Logs, *, started: Callable[[], None]
) -> None:
    """Serve until a signal comes; ``started`` is called when requests are answered.

    Raises ``AntiphonError`` or ``OSError`` if something the settings name cannot be started.
    """
    adopted = logs.adopt()
    # Its warnings are what strangers send (bad HTTP, upgrades); its errors are ours.
    errors = logging.getLogger("uvicorn.error")
    errors.setLevel(logging.ERROR)
    errors.addFilter(_not_our_cancelling)
    try:
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            runner.run(_serve(config, listener, logs, started))
    finally:
        errors.removeFilter(_not_our_cancelling)
        logging.getLogger().removeHandler(adopted)


def _not_our_cancelling(record: logging.LogRecord) -> bool:
    """Answers cancelled at the end were meant to be, and have a line of their own each."""
    cancelled = record.exc_info and isinstance(record.exc_info[1], asyncio.CancelledError)
    return not (cancelled or str(record.msg).startswith("Cancel %s running task"))


async def _serve(
    config: Config, listener: socket.socket, logs: Logs, started: Callable[[], None]
) -> None:
    observe = Observers()
    observe.subscribe(logs)
    with _Signals(logs) as signals:
        async with running(config, observe=observe) as app:
            server = _Server(app, started, logs)
            signals.server = server
            _spare_the_collector()
            _keep_freed_memory()
            await server.serve(sockets=[listener])
    logs.say("info", "stopped", {})


class _Signals:
    """Turns the first signal into a graceful end and the second into an immediate one."""

    def __init__(self, logs: Logs) -> None:
        self.server: _Server | None = None
        self._logs = logs
        self._count = 0
        self._before: dict[int, Any] = {}

    def __enter__(self) -> _Signals:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._received)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _received(self, number: int, frame: object) -> None:
        self._count += 1
        if self._count > 1:
            self._logs.flush()
            os._exit(SECOND_SIGNAL_EXIT)
        if self.server is None:
            raise KeyboardInterrupt  # still starting: nothing is under way
        self.server.should_exit = True


class _Server(uvicorn.Server):
    """uvicorn, with our signals instead of its own (which end the process by the signal)."""

    def __init__(self, app: App, started: Callable[[], None], logs: Logs) -> None:
        super().__init__(_uvicorn_config(app))
        self._app = app
        self._under_way = app.under_way
        self._started = started
        self._logs = logs

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._logs.say("info", "serving", {"port": (sockets or [])[0].getsockname()[1]})
        self._started()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._logs.say("info", "stopping", {"under_way": self._under_way.count})
        self._app.stopping()
        await super().shutdown(sockets)
        for connection in list(self.server_state.connections):
            if isinstance(connection, hot.Http):
                connection.cut()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _uvicorn_config(app: App) -> uvicorn.Config:
    settings = app.config.server
    return uvicorn.Config(
        app.asgi,
        http=hot.protocol(app.deps),
        ws="none",  # ``server/connection.py`` brings its own, and nothing is loaded before
        ws_max_size=app.deps.websocket.message_limit_bytes,
        ws_per_message_deflate=False,
        ws_ping_interval=settings.keepalive_seconds or None,
        ws_ping_timeout=presence.STALLED_AFTER_SECONDS,
        interface="asgi3",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        backlog=BACKLOG,
        timeout_keep_alive=math.ceil(settings.idle_seconds),
        timeout_graceful_shutdown=math.ceil(settings.shutdown_seconds),
    )


def _spare_the_collector() -> None:
    """What was made at the start lives for ever: looking through it again and again costs a
    tenth of the throughput. A request's own objects are freed by their counts."""
    gc.freeze()
    gc.set_threshold(*COLLECTOR_THRESHOLDS)


def _keep_freed_memory() -> None:
    """glibc gives large freed blocks back to the system at once, and asks for them again page by
    page: with bodies of megabytes that is half of the CPU. Other C libraries are left alone."""
    if sys.platform == "linux":
        import ctypes

        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
        if mallopt is not None:
            mallopt(_M_MMAP_THRESHOLD, 32 << 20)
            mallopt(_M_TRIM_THRESHOLD, FREED_BYTES_KEPT)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """uvloop's where it exists (not on Windows), else the standard loop's."""
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop
