"""What is gathered is sent in order, seldom, and never too much of it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from antiphon.bus import gathering
from antiphon.bus.gathering import WAITING_MAX, Gathering
from antiphon.observe import Broke, Observation

pytestmark = pytest.mark.anyio


class Sent:
    def __init__(self) -> None:
        self.batches: list[Sequence[int]] = []
        self.news = asyncio.Event()

    async def __call__(self, batch: Sequence[int]) -> None:
        self.batches.append(batch)
        self.news.set()


@pytest.mark.requirement("bus:gathering")
async def test_the_first_leaves_at_once_and_what_follows_within_a_tick_together(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(gathering, "TICK_SECONDS", 0.3)
    sent = Sent()
    gathered = Gathering[int](sent)
    gathered.open()
    gathered.put(0)
    async with asyncio.timeout(0.25):
        await sent.news.wait()
    for number in range(1, 50):
        gathered.put(number)
        await asyncio.sleep(0)
    sent.news.clear()
    async with asyncio.timeout(5):
        await sent.news.wait()
    assert sent.batches == [[0], list(range(1, 50))]
    gathered.put(50)
    gathered.put(51)
    await gathered.close()
    await gathered.close()
    assert sent.batches[2:] == [[50, 51]]


@pytest.mark.requirement("bus:gathering")
async def test_what_nobody_takes_is_forgotten_oldest_first() -> None:
    sent = Sent()
    gathered = Gathering[int](sent)
    for number in range(WAITING_MAX + 5):
        gathered.put(number)
    gathered.open()
    await gathered.close()
    (batch,) = [batch for batch in sent.batches if batch]
    assert batch == list(range(5, WAITING_MAX + 5))


@pytest.mark.requirement("bus:gathering")
async def test_a_sender_that_breaks_is_told() -> None:
    observed: list[Observation] = []
    told = asyncio.Event()

    def observe(seen: Observation) -> None:
        observed.append(seen)
        told.set()

    async def broken(batch: Sequence[int]) -> None:
        if batch:
            raise ZeroDivisionError

    gathered = Gathering[int](broken, observe=observe)
    gathered.open()
    gathered.put(1)
    async with asyncio.timeout(5):
        await told.wait()
    (seen,) = observed
    assert isinstance(seen, Broke)
    assert isinstance(seen.error, ZeroDivisionError)
    await gathered.close()
