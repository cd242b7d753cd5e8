"""Connections to one PostgreSQL database, and what its errors mean.

The driver is asyncpg, imported when a store is opened. Connections are kept and given to one
user at a time; one that was lost is replaced by the next who asks, so a restart of the database
needs nothing but patience.
"""

from __future__ import annotations

import asyncio
import functools
import os
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from msgspec import Struct

from antiphon.config_base import place_of
from antiphon.errors import RemoteError

if TYPE_CHECKING:
    import asyncpg

CONNECT_SECONDS_MAX = 5.0
STATEMENT_SECONDS_MAX = 30.0

_LOST_STATES = ("08", "57P", "25P03", "25006", "53300")
"""SQLSTATEs after which a new connection may help: broken, shut down, timed out while idle, a
server that became a standby, too many connections."""

_AGAIN_STATES = ("40", "55P03")
"""Serialization failures, deadlocks, a lock that was not to be had: the same may work now."""

_ROW_STATES = ("22", "23", "54")
"""What is wrong with the values themselves."""

_REASONS = (
    ("28", "the user or the password is refused"),
    ("3D", "there is no such database"),
    ("42501", "the user lacks a permission there"),
    ("42P01", "a table is missing: run `antiphon migrate`"),
    ("3F", "the schema is missing"),
    ("53100", "the disk is full"),
    ("53200", "it is out of memory"),
    ("53300", "it has too many connections"),
    ("25006", "it is a standby and cannot be written"),
    ("57P03", "it is starting up or shutting down"),
    ("57P", "it was shut down"),
    ("57014", "the statement took too long"),
    ("08", "the connection broke"),
)


class Target(Struct, frozen=True):
    """Where the database is. ``url`` may hold a password: it is shown nowhere, ``where`` may be.

    ``pooler``: a pooler that gives each transaction another session stands between (pgbouncer):
    nothing is kept in a session, and every statement is in a transaction.
    """

    url: str
    pooler: bool = False

    def __repr__(self) -> str:
        return f"Target({self.where})"

    @property
    def where(self) -> str:
        """``NAME on HOST``, for messages."""
        return place_of(self.url)


class Pool:
    """At most ``size`` connections, the one used last first. Made when they are needed."""

    def __init__(self, target: Target, size: int) -> None:
        self._target = target
        self._idle: list[asyncpg.Connection] = []
        self._free = size
        self._waiters: deque[asyncio.Future[None]] = deque()

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[asyncpg.Connection]:
        """A connection outside of a transaction. If the body raises, a transaction it began is
        rolled back; a connection that cannot be used any more is thrown away."""
        connection = await self.take()
        try:
            yield connection
        except Exception as error:
            if isinstance(error, OSError) or not await _rolled_back(connection):
                self.drop(connection)
            else:
                self.give(connection)
            raise
        except BaseException:  # cancelled in the middle of something
            self.drop(connection)
            raise
        self.give(connection)

    async def take(self) -> asyncpg.Connection:
        """The same for a caller that ends with ``give`` or ``drop``."""
        while not self._free:
            waiter = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            try:
                await waiter
            except asyncio.CancelledError:
                self._wake()  # it may have been this one's turn
                raise
        self._free -= 1
        while self._idle:
            connection = self._idle.pop()
            if not connection.is_closed():
                return connection
        try:
            return await connect(self._target)
        except BaseException:
            self._freed()
            raise

    def give(self, connection: asyncpg.Connection) -> None:
        self._idle.append(connection)
        self._freed()

    def drop(self, connection: asyncpg.Connection) -> None:
        """Close it without ceremony: who knows what it is in the middle of."""
        connection.terminate()
        self._freed()

    async def close(self) -> None:
        """Close those nobody uses."""
        idle, self._idle = self._idle, []
        for connection in idle:
            try:
                await connection.close(timeout=1.0)
            except failures():
                connection.terminate()

    def _freed(self) -> None:
        self._free += 1
        self._wake()

    def _wake(self) -> None:
        while self._waiters and self._free:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return


_SESSION = {
    "application_name": "antiphon",
    "jit": "off",
    # A frozen process must not keep others from the rows it holds: they may have to take over.
    "idle_in_transaction_session_timeout": "2000",
}


async def connect(target: Target) -> asyncpg.Connection:
    """One connection whose commits are durable. Raises what the driver raises."""
    import asyncpg

    connection = await asyncpg.connect(
        target.url,
        timeout=CONNECT_SECONDS_MAX,
        command_timeout=STATEMENT_SECONDS_MAX,
        statement_cache_size=0 if target.pooler else 200,
        server_settings=None if target.pooler else _SESSION,
    )
    try:
        async with connection.transaction():  # all a pooler keeps together
            setting = await connection.fetchval("SHOW synchronous_commit")
        if setting == "off":
            if target.pooler:
                raise RemoteError(
                    f"the database {target.where} has synchronous_commit off, so it can lose what "
                    "it said it stored: turn it on for this user or database",
                    status=500,
                )
            await connection.execute("SET synchronous_commit = on")
    except BaseException:
        connection.terminate()
        raise
    return connection


async def _rolled_back(connection: asyncpg.Connection) -> bool:
    """Whether the connection can be given to somebody else."""
    if connection.is_closed():
        return False
    try:
        if connection.is_in_transaction():
            await connection.execute("ROLLBACK")
    except failures():
        return False
    return True


# --- errors -------------------------------------------------------------------------------------


@functools.cache
def _driver_errors() -> tuple[type[Exception], ...]:
    import asyncpg

    return (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)


@functools.cache
def failures() -> tuple[type[Exception], ...]:
    """All that a statement or a connection may raise."""
    return (OSError, *_driver_errors())


def _state(error: Exception) -> str:
    return getattr(error, "sqlstate", None) or ""


def is_lost(error: Exception) -> bool:
    """Whether another connection may help."""
    import asyncpg

    if isinstance(error, OSError | asyncpg.InternalClientError):
        return True
    if isinstance(error, asyncpg.InterfaceError):
        return "closed" in str(error)  # else it is about what we asked: a bug
    return _state(error).startswith(_LOST_STATES)


def is_again(error: Exception) -> bool:
    """Whether the same transaction may work a moment later."""
    import asyncpg

    if isinstance(error, asyncpg.InvalidCachedStatementError | asyncpg.OutdatedSchemaCacheError):
        return True
    return _state(error).startswith(_AGAIN_STATES)


def is_impossible(error: Exception) -> bool:
    """Whether the values cannot be stored, whatever else happens."""
    return _state(error).startswith(_ROW_STATES)


def is_taken(error: Exception) -> bool:
    """Whether something with the same key is there already."""
    return _state(error) == "23505"


def translated(error: Exception, doing: str, target: Target) -> RemoteError:
    """Say what to do about it. The server's own words are left out: they can quote a statement."""
    state = _state(error)
    lost = is_lost(error)
    reason = next((said for start, said in _REASONS if state.startswith(start)), "")
    if not reason and isinstance(error, TimeoutError):
        reason = "no answer in time"
    elif not reason and isinstance(error, OSError):
        number = error.errno or 0  # not above 0 where a name is not known
        reason = os.strerror(number) if number > 0 else error.strerror or "it cannot be reached"
    elif not reason and lost:
        reason = "the connection broke"
    elif not reason:
        reason = f"it reported {type(error).__name__} {state}".rstrip()
    return failed(
        f"the store failed to {doing}: PostgreSQL ({target.where}): {reason}",
        status=503 if lost else 500,
        retryable=lost or is_again(error),
    )


def failed(message: str, *, status: int = 500, retryable: bool = False) -> RemoteError:
    """The store's own error, a ``server_error``."""
    return RemoteError(message, status=status, code="server_error", retryable=retryable)
