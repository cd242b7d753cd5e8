"""The schema's history: numbered files, each applied once and remembered with its checksum.

Files are ``migrations/NNNN_name.sql``, written for every database at once (``sql.Dialect`` fills
in the words that differ), separated by ``;``. A released file is never edited: add the next one.
Each must leave a schema the previous version can still work with (expand now, contract in a
later release), so that two versions can run side by side during an upgrade.

This module does no I/O on a database; the drivers ask what is ``pending`` and run it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from importlib import resources

from msgspec import Struct

from antiphon.errors import RemoteError


class Migration(Struct, frozen=True):
    """One file. ``text`` is the template, ``checksum`` the first 16 hex digits of its SHA-256."""

    number: int
    name: str
    checksum: str
    text: str


class Applied(Struct, frozen=True):
    """One row of the table ``migrations``."""

    number: int
    name: str
    checksum: str


def migrations() -> list[Migration]:
    """All migrations this version knows, in order."""
    folder = resources.files("antiphon.store").joinpath("migrations")
    found = []
    for file in folder.iterdir():
        if file.name.endswith(".sql"):
            number, _, name = file.name.removesuffix(".sql").partition("_")
            text = file.read_text(encoding="utf-8").replace("\r\n", "\n")
            checksum = hashlib.sha256(text.encode()).hexdigest()[:16]
            found.append(Migration(int(number), name, checksum, text))
    return sorted(found, key=lambda migration: migration.number)


def pending(applied: Sequence[Applied], known: Sequence[Migration]) -> Sequence[Migration]:
    """What still has to run. Raises ``RemoteError`` when the database was written by a newer
    version, or by one whose migrations were not these."""
    newest = known[-1].number
    for row in applied:
        if row.number > newest:
            last = applied[-1].number
            raise RemoteError(
                f"the database has schema version {last}, this antiphon knows versions up to "
                f"{newest}: run the newer antiphon, or restore a backup made before the upgrade",
                status=500,
            )
    by_number = {migration.number: migration for migration in known}
    for row in applied:
        migration = by_number.get(row.number)
        if migration is None or migration.checksum != row.checksum:
            raise RemoteError(
                f"migration {row.number} ({row.name}) of the database is not the one this "
                "antiphon ships: it was made by an unreleased or altered version",
                status=500,
            )
    done = {row.number for row in applied}
    return [migration for migration in known if migration.number not in done]
