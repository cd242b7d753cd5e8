"""The log in the store's tables, for the shared suite."""

from __future__ import annotations

from antiphon.store.base import Database
from antiphon.store.log import Claim
from antiphon.store.log_table import TableLog
from antiphon.store.runs import NewRun, StoredRuns
from tests.suites.store import START_MS, Clock

LEASE_MS = 1_000


class TableLogRig:
    """``tests.suites.run_log.LogRig`` on any database."""

    def __init__(self, database: Database) -> None:
        self._clock = Clock()
        self._runs = StoredRuns(database, lease_ms=LEASE_MS, clock=self._clock)
        self._claims: dict[tuple[str, str], Claim] = {}
        self.log = TableLog(database)
        self.other = TableLog(database)

    async def claimed(self, id: str, project: str = "ours") -> Claim:
        known = self._claims.get((project, id))
        if known is None:
            new = NewRun(project=project, id=id, request=b"", head=b"", created_at=START_MS)
            run = await self._runs.enqueue(new, owner="first")
            assert run is not None
        else:
            await self._runs.release([known])
            (run,) = await self._runs.claim("next", 1)
        self._claims[project, id] = run.claim
        return run.claim

    async def erase(self, project: str, id: str) -> None:
        await self._runs.delete(project, id)
