"""Which migrations run, and which databases are refused."""

from __future__ import annotations

import pytest

from antiphon.errors import RemoteError
from antiphon.store.migrate import Applied, Migration, migrations, pending


def known(*numbers: int) -> list[Migration]:
    return [Migration(number, f"step{number}", f"sum{number}", "") for number in numbers]


def applied(*numbers: int) -> list[Applied]:
    return [Applied(number, f"step{number}", f"sum{number}") for number in numbers]


def test_shipped_migrations_are_numbered_without_gaps() -> None:
    found = migrations()
    assert [migration.number for migration in found] == list(range(1, len(found) + 1))
    assert found[0].name == "responses"
    assert all(len(migration.checksum) == 16 for migration in found)


def test_only_what_was_not_applied_is_pending_in_order() -> None:
    assert pending([], known(1, 2, 3)) == known(1, 2, 3)
    assert pending(applied(1), known(1, 2, 3)) == known(2, 3)
    assert pending(applied(1, 2, 3), known(1, 2, 3)) == []


@pytest.mark.requirement("store:life:newer-schema")
def test_a_newer_database_is_refused_naming_both_versions() -> None:
    with pytest.raises(RemoteError, match=r"schema version 5, .* up to 2:"):
        pending(applied(1, 2, 4, 5), known(1, 2))


def test_a_migration_that_was_altered_after_its_release_is_refused() -> None:
    other = [Applied(1, "step1", "another sum")]
    with pytest.raises(RemoteError, match=r"migration 1 \(step1\)"):
        pending(other, known(1, 2))
