"""The ledger's own connections: opened when needed, again when they broke, and never two of one name at work.

A connection that broke may leave its statement running in the server, to be carried out after everything that was
done about it: an opening that was given up and taken back would then stand there for good. So a new connection first
ends what earlier ones of its name may still be doing, and does not work before nothing of them is left.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final, final

import psycopg

from bailiwick.storage.patience import at_most
from bailiwick.storage.scope import TROUBLE
from bailiwick.storage.sql import Sql, load

# Longer than any batch takes on a slow disk; what was cut off is tried again.
_STATEMENT_SECONDS: Final = 5.0

_SQL: Final = load("ledger")
# What a row holds is known by its query only.
_Connection = psycopg.AsyncConnection[tuple[Any, ...]]


@final
class LedgerConnection:
    """Runs statements as the ledger's role, each its own transaction, one at a time."""

    def __init__(self, conninfo: str, *, name: str) -> None:
        """`name` is this connection's and its successors' alone, of at most 63 bytes."""
        self._conninfo = conninfo
        self._name = name
        self._connection: _Connection | None = None
        # The driver takes turns by statement; by transaction we must: a statement that slips into another's transaction
        # would seem durable and be rolled back with it.
        self._turn = asyncio.Lock()

    async def execute(self, query: Sql, params: tuple[object, ...]) -> int:
        """Run one statement; returns how many rows it touched."""
        async with self._turn:
            connection = await self._connected()
            try:
                with at_most(_STATEMENT_SECONDS, connection):
                    return (await connection.execute(query, params, prepare=True)).rowcount
            except TROUBLE:
                await self.aclose()
                raise

    async def execute_alone(self, query: Sql, params: tuple[object, ...]) -> int:
        """Run one statement while no process runs another this way; it sees what all before it did."""
        async with self._turn:
            connection = await self._connected()
            try:
                with at_most(_STATEMENT_SECONDS, connection):
                    async with connection.transaction():
                        await connection.execute(_SQL["wait_for_others"])
                        return (await connection.execute(query, params)).rowcount
            except TROUBLE:
                await self.aclose()
                raise

    async def aclose(self) -> None:
        """Close the connection; the next statement opens another."""
        if self._connection is not None:
            connection, self._connection = self._connection, None
            await connection.close()

    async def _connected(self) -> _Connection:
        if self._connection is None or self._connection.closed:
            self._connection = await self._connect()
        return self._connection

    async def _connect(self) -> _Connection:
        connection: _Connection = await psycopg.AsyncConnection.connect(
            self._conninfo,
            autocommit=True,
            connect_timeout=2,
            application_name=self._name,
            # On a young table the planner would read all of it for each batch, and go on to when it is large.
            options="-c statement_timeout=10s -c enable_seqscan=off -c enable_hashjoin=off -c enable_mergejoin=off",
        )
        try:
            await _end_predecessors(connection)
        except BaseException:
            await connection.close()
            raise
        return connection


async def _end_predecessors(connection: _Connection) -> None:
    with at_most(_STATEMENT_SECONDS, connection):
        row = await (await connection.execute(_SQL["end_predecessors"])).fetchone()
    if row != (True,):
        message = "an earlier connection of this name is still at work"
        raise psycopg.OperationalError(message)
