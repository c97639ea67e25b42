"""The one place that opens a transaction and says in whose name it reads and writes.

`Database` wraps a pool whose connections are in autocommit. A reading scope is one psycopg pipeline: the settings go
first and the queries after them, in one implicit transaction, usually in one round trip. An acting scope is a plain
transaction that is rolled back by whatever is raised inside it. Guarantees:

- no query of a repository runs outside a scope, since only a scope has `fetch_*` and `execute`;
- every setting is local to the transaction (`set_config(…, true)`), so a connection that goes back to the pool, or
  to a pooler in transaction mode, carries nothing to its next user;
- a reading scope cannot write;
- a database that is down, restarting, full or too slow raises `Unavailable`, never what looks like "not found".
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, final
from uuid import UUID

import psycopg
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool, PoolClosed, PoolTimeout, TooManyRequests

from bailiwick.domain.errors import Unavailable
from bailiwick.storage.patience import at_most
from bailiwick.storage.sql import Sql

# What a row holds is known by its query only; the repositories give it types.
Row = dict[str, Any]
Params = Mapping[str, object] | Sequence[object]
Connection = psycopg.AsyncConnection[Row]
Pool = AsyncConnectionPool[Connection]
# Where to log in, or what is asked for it at each new connection: a rotation of the master key changes passwords.
Conninfo = str | Callable[[], str]

_READ_ONLY = b"SELECT set_config('transaction_read_only', 'on', true)"
_ONE_SNAPSHOT = b"SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY"
# What a report reads differs by orders of magnitude with its parameters: a plan for none of them suits none.
# And what it groups must not go by the disk.
_OWN_PLANS = b"SELECT set_config('plan_cache_mode', 'force_custom_plan', true), set_config('work_mem', '32MB', true)"
_AS_TENANT = b"SELECT set_config('bailiwick.tenant_id', %s, true)"
_AS_OPERATOR = b"SELECT set_config('role', 'bailiwick_operator', true)"

# Trouble of ours, not the caller's: the server is away, starting or full, the pool is empty, a statement took too long.
_TROUBLE = (psycopg.OperationalError, psycopg.InterfaceError, PoolTimeout, PoolClosed, TooManyRequests)
# How long a server that says nothing is waited for, beside the 3 seconds for a connection: for the check of one that
# was idle, for what is read while a call waits, and for what reads or writes much.
_CHECK_SECONDS: Final = 1.0
_READ_SECONDS: Final = 4.0
LONG_SECONDS: Final = 30.0
# Where nothing but the database is spoken to, any trouble with a socket or with time is the database's too.
TROUBLE = (*_TROUBLE, OSError)


def current(conninfo: Conninfo) -> str:
    """Where to log in now."""
    return conninfo if isinstance(conninfo, str) else conninfo()


async def _still_works(connection: Connection) -> None:
    with at_most(_CHECK_SECONDS, connection):
        await connection.execute(b"SELECT")


def open_pool(conninfo: Conninfo, *, name: str, size: int) -> Pool:
    """Make a pool, not yet opened, of at most `size` connections; waiting for one is bounded by 3 seconds."""
    return AsyncConnectionPool(
        conninfo,
        connection_class=psycopg.AsyncConnection[Row],
        min_size=1,
        max_size=size,
        open=False,
        name=name,
        timeout=3.0,
        max_waiting=1000,
        reconnect_timeout=5.0,
        # What is read here is kept in memory after: one more round trip, and no call fails on a connection that a
        # restart of the server broke while it was idle.
        check=_still_works,
        kwargs={
            "autocommit": True,
            "row_factory": dict_row,
            "application_name": f"bailiwick {name}",
            "connect_timeout": 5,
            # Nobody's report takes more than one core, of those that calls are carried on.
            "options": "-c statement_timeout=30s -c search_path=bailiwick,pg_catalog "
            "-c max_parallel_workers_per_gather=0",
        },
    )


@final
class Scope:
    """Queries within one transaction, in the name that the scope was opened with."""

    __slots__ = ("_connection",)

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def fetch_all(self, query: Sql, params: Params = ()) -> list[Row]:
        """Every row of a query."""
        cursor = await self._connection.execute(query, params)
        return await cursor.fetchall()

    async def fetch_one(self, query: Sql, params: Params = ()) -> Row | None:
        """The first row of a query, or None."""
        cursor = await self._connection.execute(query, params)
        return await cursor.fetchone()

    async def execute(self, query: Sql, params: Params = ()) -> int:
        """Run a statement of an acting scope; returns how many rows it touched."""
        cursor = await self._connection.execute(query, params)
        return cursor.rowcount


@final
class Database:
    """Scopes over one pool, that is, over one database role."""

    __slots__ = ("_pool",)

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    def connections(self) -> tuple[int, int, int]:
        """Count the pool's connections, those of them that are idle, and who waits for one."""
        stats = self._pool.get_stats()
        return stats["pool_size"], stats["pool_available"], stats["requests_waiting"]

    @asynccontextmanager
    async def reading(self, tenant: UUID | None, *, seconds: float = _READ_SECONDS) -> AsyncGenerator[Scope]:
        """Read as `tenant`, at most `seconds`; None reads only what belongs to no tenant (look-ups by one exact id)."""
        async with self._borrowed(seconds) as connection, connection.pipeline():
            await connection.execute(_READ_ONLY)
            if tenant is not None:
                await connection.execute(_AS_TENANT, (str(tenant),))
            yield Scope(connection)

    @asynccontextmanager
    async def surveying(self, tenant: UUID) -> AsyncGenerator[Scope]:
        """Read as `tenant`, at most 30 seconds: all queries see one moment, and each is planned for what it asks."""
        async with self._borrowed(LONG_SECONDS) as connection, connection.transaction():
            await connection.execute(_ONE_SNAPSHOT)
            await connection.execute(_OWN_PLANS)
            await connection.execute(_AS_TENANT, (str(tenant),))
            yield Scope(connection)

    @asynccontextmanager
    async def acting(self, tenant: UUID) -> AsyncGenerator[Scope]:
        """Read and write as `tenant`, in one transaction."""
        async with self._borrowed(LONG_SECONDS) as connection, connection.transaction():
            await connection.execute(_AS_TENANT, (str(tenant),))
            yield Scope(connection)

    @asynccontextmanager
    async def operating(self) -> AsyncGenerator[Scope]:
        """Read and write across tenants, in one transaction; only the control process's role may."""
        async with self._borrowed(LONG_SECONDS) as connection, connection.transaction():
            await connection.execute(_AS_OPERATOR)
            yield Scope(connection)

    @asynccontextmanager
    async def within(self, tenant: UUID | None) -> AsyncGenerator[Scope]:
        """Read and write what is `tenant`'s, or with None what is the installation's own, in one transaction."""
        async with self.operating() if tenant is None else self.acting(tenant) as scope:
            yield scope

    @asynccontextmanager
    async def _borrowed(self, seconds: float) -> AsyncGenerator[Connection]:
        try:
            async with self._pool.connection() as connection:
                with at_most(seconds, connection):
                    yield connection
        except _TROUBLE as trouble:
            raise Unavailable(cause=type(trouble).__name__) from trouble
