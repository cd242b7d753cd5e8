"""Memory over streams and beside silent connections: the short form of ``soak.py``."""

from __future__ import annotations

import sys

import pytest

from tests.chaos.soak import Sample, Soak, idle, slope, soak, soaked
from tests.chaos.soak_roads import IDLE, ROADS

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc"),
]
LEAK_BYTES = 512
"""Per stream, of what Python allocates. Half of what has to be found."""
KIB_EACH_MAX = 64


@pytest.mark.requirement("chaos:soak:flat")
@pytest.mark.parametrize("road", ROADS)
async def test_many_streams_leave_nothing_behind(road: str) -> None:
    with soaked("SQLite", traced=True, memory=0) as server:
        seen = await soak(server, road, "SQLite", warm=100, streams=200, steps=4)
    first, last = seen.samples[0], seen.samples[-1]
    assert first.traced_bytes > 1_000_000, "nothing was counted"
    assert abs(seen.traced_per_stream) < LEAK_BYTES, [s.traced_bytes for s in seen.samples]
    assert last.tasks <= first.tasks + 1
    assert last.files <= first.files + 2


@pytest.mark.requirement("chaos:soak:idle")
@pytest.mark.parametrize("kind", IDLE)
async def test_silent_connections_cost_little_and_then_nothing(kind: str) -> None:
    with soaked("SQLite", memory=0) as server:
        seen = await idle(server, kind, count=100, seconds=0.5)
    assert seen.during.files - seen.before.files == 100
    assert seen.bytes_each < KIB_EACH_MAX * 1024
    assert seen.after.files <= seen.before.files + 2
    assert seen.after.tasks <= seen.before.tasks + 2


def test_a_leak_would_be_seen() -> None:
    counts = [0, 100, 200, 300]
    noise = [0, 9_000, -9_000, 0]
    values = [50_000_000 + 1_024 * n + off for n, off in zip(counts, noise, strict=True)]
    assert slope(counts, values) > 2 * LEAK_BYTES - 100
    samples = [Sample(value, value, 0, 40, 6) for value in values]
    assert not Soak("r", "s", 1.0, counts, samples).flat
    level = [Sample(50_000_000 + off, 0, 0, 40, 6) for off in noise]
    assert Soak("r", "s", 1.0, counts, level).flat
