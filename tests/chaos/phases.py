"""One phase: load, one kind of fault, and the verdict."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass

from tests.chaos.faults import FAULTS
from tests.chaos.fleet import Fleet
from tests.chaos.load import PATIENCE_SECONDS, Load, session
from tests.chaos.verdict import Verdict, judge

DRAIN_SECONDS_MAX = PATIENCE_SECONDS + 15.0


@dataclass
class Phase:
    """What happened in one. ``faults``: how often harm was done; ``odd``: answers that no caller
    should ever get."""

    fault: str
    faults: int
    verdict: Verdict
    odd: list[str]


async def perform(
    fleet: Fleet,
    fault: str,
    seconds: float,
    *,
    seed: int,
    watchers: int = 24,
    askers: int = 4,
    talkers: int = 4,
) -> Phase:
    """Load and harm for ``seconds``, then quiet until every caller knows how it ended."""
    async with session() as connections:
        load = Load(fleet, connections, seed=seed)
        callers = asyncio.gather(
            load.watchers(watchers), load.askers(askers), load.talkers(talkers)
        )
        faults = await FAULTS[fault](fleet, seconds, random.Random(seed))
        load.stop.set()
        async with asyncio.timeout(DRAIN_SECONDS_MAX):
            await callers
        verdict = await judge(load)
    return Phase(fault, faults, verdict, sorted(set(load.odd)))
