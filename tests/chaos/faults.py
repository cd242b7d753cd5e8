"""What goes wrong, one kind per phase. Each lasts its time and leaves the fleet whole."""

from __future__ import annotations

import asyncio
import random
import signal
import time
from collections.abc import Awaitable, Callable

from tests.chaos.fleet import Fleet

Fault = Callable[[Fleet, float, random.Random], Awaitable[int]]
"""Does harm for so many seconds; how often it did."""


async def in_thread(call: Callable[[], object]) -> None:
    """Waiting for processes must not stop the callers."""
    await asyncio.get_running_loop().run_in_executor(None, call)


async def nothing(fleet: Fleet, seconds: float, chance: random.Random) -> int:
    """A quiet phase, to compare with."""
    await asyncio.sleep(seconds)
    return 0


async def kill(fleet: Fleet, seconds: float, chance: random.Random) -> int:
    """kill -9 of one replica after the other; each is started again a moment later."""
    until = time.monotonic() + seconds
    count = 0
    while time.monotonic() < until:
        victim = chance.choice(fleet.replicas)
        await in_thread(victim.kill)
        fleet.harm()
        count += 1
        await asyncio.sleep(chance.uniform(0.2, 1.0))
        await in_thread(victim.start)
        await asyncio.sleep(chance.uniform(0.5, 2.0))
    return count


async def freeze(fleet: Fleet, seconds: float, chance: random.Random) -> int:
    """SIGSTOP past the lease, then SIGCONT: the owner wakes up and writes on as if nothing was."""
    until = time.monotonic() + seconds
    count = 0
    while time.monotonic() < until:
        victim = chance.choice(fleet.replicas)
        victim.signal(signal.SIGSTOP)
        victim.frozen = True
        fleet.harm()
        await asyncio.sleep(fleet.lease_seconds * 1.7)
        victim.signal(signal.SIGCONT)
        victim.frozen = False
        count += 1
        await asyncio.sleep(chance.uniform(0.5, 1.5))
    return count


async def hand_over(fleet: Fleet, seconds: float, chance: random.Random) -> int:
    """SIGTERM, as in every upgrade."""
    until = time.monotonic() + seconds
    count = 0
    while time.monotonic() < until:
        victim = chance.choice(fleet.replicas)
        await in_thread(victim.stop)
        count += 1
        await in_thread(victim.start)
        await asyncio.sleep(chance.uniform(0.5, 2.0))
    return count


async def restart_database(fleet: Fleet, seconds: float, chance: random.Random) -> int:
    """Every connection cut, every transaction under way lost."""
    until = time.monotonic() + seconds
    count = 0
    while time.monotonic() < until:
        await asyncio.sleep(chance.uniform(1.0, 2.0))
        await in_thread(fleet.postgres.restart)
        count += 1
        await asyncio.sleep(2.0)
    return count


async def restart_nats(fleet: Fleet, seconds: float, chance: random.Random) -> int:
    """The bus and the log go away and come back."""
    until = time.monotonic() + seconds
    count = 0
    assert fleet.nats is not None
    while time.monotonic() < until:
        await asyncio.sleep(chance.uniform(1.0, 2.0))
        await in_thread(fleet.nats.kill)
        count += 1
        await asyncio.sleep(chance.uniform(0.2, 1.0))
        await in_thread(fleet.nats.start)
        await asyncio.sleep(2.0)
    return count


FAULTS: dict[str, Fault] = {
    "nothing": nothing,
    "kill -9": kill,
    "SIGSTOP past the lease, SIGCONT": freeze,
    "SIGTERM": hand_over,
    "database restart": restart_database,
    "NATS restart": restart_nats,
}
