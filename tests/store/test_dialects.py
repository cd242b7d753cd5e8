"""One text for two databases: every statement of the store is understood by both of them."""

from __future__ import annotations

import pkgutil
import re
from collections.abc import Iterator
from importlib import import_module

import apsw
import asyncpg
import pytest

from antiphon import store
from antiphon.store import sql
from antiphon.store.migrate import migrations
from antiphon.store.postgres import PostgresStore

_BEGINNING = re.compile(r"\s*(SELECT|INSERT|UPDATE|DELETE|WITH)\b")
_PARAMETER = re.compile(r"\?(\d+)")


def statements() -> Iterator[tuple[str, str]]:
    """The name and the text of every constant of the store that is a whole statement."""
    seen = set()
    for module in pkgutil.iter_modules(store.__path__):
        for name, text in vars(import_module(f"antiphon.store.{module.name}")).items():
            if isinstance(text, str) and name.isupper() and _BEGINNING.match(text):
                if module.name == "sqlite":  # rendered already
                    continue
                if text not in seen:
                    yield f"{module.name}.{name}", text
                seen.add(text)


COMMON = {name: text for name, text in statements() if not name.startswith("postgres")}
OURS = {name: text for name, text in statements() if name.startswith("postgres")}


def test_there_are_as_many_statements_as_there_seem_to_be() -> None:
    assert len(COMMON) > 60 and len(OURS) > 6


@pytest.mark.requirement("store:databases:one-text")
def test_sqlite_understands_every_statement() -> None:
    db = apsw.Connection(":memory:")
    db.execute(sql.SQLITE.render(sql.CREATE_MIGRATIONS))
    for migration in migrations():
        db.execute(sql.SQLITE.render(migration.text))
    for name, text in COMMON.items():
        rendered = sql.SQLITE.render(text)
        wanted = max((int(number) for number in _PARAMETER.findall(rendered)), default=0)
        try:
            db.execute(f"EXPLAIN {rendered}", (None,) * wanted)
        except apsw.Error as error:
            pytest.fail(f"{name}: {error}")
    db.close()


@pytest.mark.anyio
@pytest.mark.requirement("store:databases:one-text")
async def test_postgresql_understands_every_statement(postgres_url: str) -> None:
    opened = PostgresStore(postgres_url)
    await opened.open()
    await opened.close()
    connection = await asyncpg.connect(postgres_url)
    failed = []
    for name, text in {**COMMON, **OURS}.items():
        try:
            await connection.prepare(sql.POSTGRES.render(text))
        except asyncpg.PostgresError as error:
            failed.append(f"{name}: {error}")
    await connection.close()
    assert failed == []


def test_a_dialect_knows_every_word_and_leaves_none() -> None:
    assert sql.SQLITE.words.keys() == sql.POSTGRES.words.keys()
    texts = [*COMMON.values(), *(migration.text for migration in migrations())]
    for dialect in (sql.SQLITE, sql.POSTGRES):
        for text in texts:
            assert "{" not in dialect.render(text)
