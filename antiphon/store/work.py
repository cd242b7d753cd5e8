"""A piece of work on a database, written once for all databases: no I/O here.

``Work`` is a generator: it yields a statement and its parameters, is sent the rows that came back
(a list of tuples, empty if there are none), and returns its result. SQLite runs it in the loop
within microseconds, PostgreSQL awaits each statement; the text is the same (``sql.Dialect``).

Rules for whoever writes one. Statements are constants in the common subset (``sql.py`` says
which); nothing is built from values. A work that writes is run inside one transaction and may be
run again from its beginning when another replica was faster, so it has no effect but its
statements and its result, and it is handed over as a callable that begins it anew. It may raise:
then nothing of it is written.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator, Sequence
from typing import Any, TypeVar

Value = int | float | bytes | str | None
"""What a parameter of a statement may be."""

Rows = Sequence[Sequence[Any]]

Statement = tuple[str, tuple[Value, ...]]
"""The statement with ``$1`` …, and its parameters."""

T = TypeVar("T")

Work = Generator[Statement, Rows, T]

Begin = Callable[[], Work[T]]
"""Begins the work, each time anew: ``partial(_append, project, id, items)``."""


class Fenced(Exception):
    """The row is no longer ours to write: somebody else owns it, or it is over. Raised by a
    work; the transaction leaves no trace and the caller stops what it was doing."""


def resolve(done: asyncio.Future[Any], outcome: Any) -> None:
    """Hand the outcome of a work, or the exception it raised, to who awaits it."""
    if done.done():  # its caller was cancelled
        return
    if isinstance(outcome, Exception):
        done.set_exception(outcome)
    else:
        done.set_result(outcome)
