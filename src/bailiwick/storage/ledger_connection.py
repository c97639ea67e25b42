"""The ledger's own connections: opened when needed, again when they broke, and never two of one name at work.

A connection that broke may leave its statement running in the server, to be carried out after everything that was
done about it: an opening that was given up and taken back would then stand there for good. So a new connection first
ends what earlier ones of its name may still be doing, and does not work before nothing of them is left.

Statements are prepared once and go straight to libpq: two batches belong to every call, and the driver's cursors
would take more time over them than everything else that opens and settles it.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any, Final, final

import psycopg
from psycopg.errors import error_from_result
from psycopg.pq import ConnStatus, ExecStatus
from psycopg.pq.abc import PGconn, PGresult

from bailiwick.storage.patience import at_most
from bailiwick.storage.scope import Conninfo, current
from bailiwick.storage.sql import Sql, load

# Longer than any batch takes on a slow disk; what was cut off is tried again.
_STATEMENT_SECONDS: Final = 5.0
# How long a connection's end may go unnoticed.
_LOOK_SECONDS: Final = 0.25
# What PostgreSQL says of a row: said again however often it is tried. Anything else is trouble, and may pass.
REFUSALS: Final = (psycopg.DataError, psycopg.IntegrityError)

_SQL: Final = load("ledger")
_DONE: Final = (ExecStatus.COMMAND_OK, ExecStatus.TUPLES_OK)
# What a row holds is known by its query only.
_Connection = psycopg.AsyncConnection[tuple[Any, ...]]


@final
class LedgerConnection:
    """Runs statements as the ledger's role, each its own transaction, one at a time."""

    def __init__(self, conninfo: Conninfo, *, name: str) -> None:
        """`name` is this connection's and its successors' alone, of at most 63 bytes."""
        self._conninfo = conninfo
        self._name = name
        self._connection: _Connection | None = None
        self._prepared: dict[Sql, bytes] = {}
        # By transaction, not by statement: one that slips into another's transaction would seem durable and be rolled
        # back with it.
        self._turn = asyncio.Lock()

    async def execute(self, query: Sql, *params: bytes) -> int:
        """Run one statement, its parameters as PostgreSQL writes them; returns how many rows it touched or told.

        Raises one of `REFUSALS` when it is the statement's own fault, else `psycopg.Error` or `OSError`.
        """
        return (await self.fetch(query, *params)).command_tuples or 0

    async def execute_alone(self, query: Sql, *params: bytes) -> int:
        """Run one statement while no process runs another this way; it sees what all before it did."""
        return (await self.fetch_alone(query, *params)).command_tuples or 0

    async def fetch(self, query: Sql, *params: bytes) -> PGresult:
        """Run one statement as `execute` does; returns what it tells."""
        async with self._turn:
            try:
                connection = await self._connected()
                with at_most(_STATEMENT_SECONDS, connection):
                    return await self._run(connection.pgconn, query, params)
            except REFUSALS:
                raise
            except BaseException:
                # Whatever the connection is in the middle of, it is of no more use.
                await self.aclose()
                raise

    async def fetch_alone(self, query: Sql, *params: bytes) -> PGresult:
        """Run one statement as `execute_alone` does; returns what it tells."""
        async with self._turn:
            try:
                connection = await self._connected()
                with at_most(_STATEMENT_SECONDS, connection):
                    await self._run(connection.pgconn, Sql(b"BEGIN"))
                    await self._run(connection.pgconn, _SQL["wait_for_others"])
                    told = await self._run(connection.pgconn, query, params)
                    await self._run(connection.pgconn, Sql(b"COMMIT"))
                    return told
            except BaseException:
                await self.aclose()
                raise

    async def aclose(self) -> None:
        """Close the connection; the next statement opens another."""
        if self._connection is not None:
            connection, self._connection = self._connection, None
            await connection.close()

    async def _connected(self) -> _Connection:
        if self._connection is None or self._connection.closed:
            self._prepared.clear()
            self._connection = await self._connect()
        return self._connection

    async def _connect(self) -> _Connection:
        connection: _Connection = await psycopg.AsyncConnection.connect(
            current(self._conninfo),
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

    async def _run(self, pgconn: PGconn, query: Sql, params: tuple[bytes, ...] = ()) -> PGresult:
        name = self._prepared.get(query)
        if name is None:
            name = b"s%d" % len(self._prepared)
            pgconn.send_prepare(name, query)
            await _result(pgconn)
            self._prepared[query] = name
        pgconn.send_query_prepared(name, params)
        return await _result(pgconn)


@final
class _Answer:
    """Waits for the outcome of what was just sent.

    Whenever libpq reads or writes, it may close a broken connection's descriptor, and the next connection that is made
    is given its number. So the descriptor is let go of in the very step in which it may have been closed: later it
    might be another's to watch. And an event loop that does not tell of a connection's end, as was seen when servers
    were killed in the middle, must not be waited for: the connection is looked at now and then unasked.
    """

    __slots__ = ("_again", "_loop", "_pgconn", "_results", "_socket", "_watched", "outcome")

    def __init__(self, pgconn: PGconn) -> None:
        self._pgconn = pgconn
        self._loop = asyncio.get_running_loop()
        self._socket = pgconn.socket
        self._results: list[PGresult] = []
        self._watched = False
        self._again: asyncio.TimerHandle | None = None
        self.outcome: asyncio.Future[PGresult] = self._loop.create_future()

    def watch(self) -> None:
        """Begin; `ignore` ends it."""
        self._watched = True
        self._again = self._loop.call_later(_LOOK_SECONDS, self._look_again)
        self._loop.add_reader(self._socket, self._read)
        if self._pgconn.flush():  # More than the socket takes at once.
            self._loop.add_writer(self._socket, self._write)
        elif self._pgconn.status != ConnStatus.OK:
            self._read()

    def ignore(self) -> None:
        """Let go of the descriptor."""
        if self._watched:
            self._watched = False
            if self._again is not None:
                self._again.cancel()
            self._loop.remove_reader(self._socket)
            self._loop.remove_writer(self._socket)

    def _look_again(self) -> None:
        self._read()
        if self._watched:
            self._again = self._loop.call_later(_LOOK_SECONDS, self._look_again)

    def _read(self) -> None:
        try:
            self._pgconn.consume_input()
            # The last result is followed by none: only then may the next statement be sent.
            while not self._pgconn.is_busy():
                result = self._pgconn.get_result()
                if result is None:
                    self.ignore()
                    if not self.outcome.done():
                        self.outcome.set_result(self._results[0])
                    return
                self._results.append(result)
        except Exception as broken:  # noqa: BLE001 - whatever it is, it must reach whoever waits
            self.ignore()
            if not self.outcome.done():
                self.outcome.set_exception(broken)

    def _write(self) -> None:
        with suppress(psycopg.Error):  # Reading tells why.
            if self._pgconn.flush():
                return
        self._loop.remove_writer(self._socket)
        if self._pgconn.status != ConnStatus.OK:
            self._read()


async def _result(pgconn: PGconn) -> PGresult:
    """The outcome of what was just sent; raises what the server says of it."""
    answer = _Answer(pgconn)
    try:
        answer.watch()
        result = await answer.outcome
    finally:
        answer.ignore()
    if result.status not in _DONE:
        raise error_from_result(result)
    return result


async def _end_predecessors(connection: _Connection) -> None:
    with at_most(_STATEMENT_SECONDS, connection):
        row = await (await connection.execute(_SQL["end_predecessors"])).fetchone()
    if row != (True,):
        message = "an earlier connection of this name is still at work"
        raise psycopg.OperationalError(message)
