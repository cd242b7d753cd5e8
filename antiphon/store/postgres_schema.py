"""The schema in PostgreSQL: what ``migrate.py`` says is missing is run here.

One replica migrates at a time, the others wait for it and find nothing left to do. Who finds
nothing to do needs no right but to read and write rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from antiphon.store import postgres_sql, sql
from antiphon.store.migrate import Applied, Migration, migrations, pending

if TYPE_CHECKING:
    import asyncpg


async def pending_migrations(connection: asyncpg.Connection, now: int) -> Sequence[Migration]:
    """What would run. Raises ``RemoteError`` if a newer version was here (``migrate.pending``)."""
    applied: list[Applied] = []
    async with connection.transaction():
        if await connection.fetchval(postgres_sql.HAS_MIGRATIONS):
            rows = await connection.fetch(sql.POSTGRES.render(sql.APPLIED_MIGRATIONS))
            applied = [Applied(*row) for row in rows]
    return pending(applied, migrations())


async def migrated(connection: asyncpg.Connection, now: int) -> Sequence[Migration]:
    """Run what is pending, all of it or nothing; what was run. ``now``: ms."""
    if not await pending_migrations(connection, now):
        return []
    async with connection.transaction():
        await connection.execute(postgres_sql.LOCK_MIGRATIONS)
        await connection.execute(sql.POSTGRES.render(sql.CREATE_MIGRATIONS))
        missing = await pending_migrations(connection, now)
        for migration in missing:
            await connection.execute(sql.POSTGRES.render(migration.text))
            await connection.execute(
                sql.POSTGRES.render(sql.RECORD_MIGRATION),
                migration.number,
                migration.name,
                migration.checksum,
                now,
            )
    return missing
