"""The connections to one origin: the idle ones, those in use, and who waits for one. Every step takes constant time."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import final

from bailiwick.providers.dialing import Dialer, Origin
from bailiwick.providers.http1 import CLOSED, IDLE, Connection
from bailiwick.providers.transport_errors import ConnectFailed, TransportTimeout


@final
class OriginPool:
    """At most `max_connections`, of which at most `max_idle` idle; the last one back is the first one out."""

    __slots__ = (
        "_closed", "_connections", "_dialer", "_idle", "_loop", "_max_connections", "_max_idle", "_origin", "_queue",
        "_taken",
    )  # fmt: skip

    def __init__(
        self, loop: asyncio.AbstractEventLoop, origin: Origin, dialer: Dialer, *, max_idle: int, max_connections: int
    ) -> None:
        """Start empty."""
        self._loop = loop
        self._origin = origin
        self._dialer = dialer
        self._max_idle = max_idle
        self._max_connections = max_connections
        self._idle: dict[Connection, None] = {}  # in the order in which they became idle
        self._connections: set[Connection] = set()  # all that are connected
        self._taken = 0  # places of those that are being connected, or will be by who was given the place
        self._queue: deque[asyncio.Future[Connection | None]] = deque()  # a connection, or a place for one
        self._closed = False

    @property
    def empty(self) -> bool:
        """Nothing is open, nobody waits."""
        return not (self._connections or self._taken or self._queue)

    @property
    def size(self) -> int:
        """Connections, those that are connecting and idle included."""
        return len(self._connections) + self._taken

    @property
    def idle(self) -> int:
        """Idle connections."""
        return len(self._idle)

    @property
    def connected(self) -> bool:
        """Some connection is not closed yet."""
        return bool(self._connections)

    def take_idle(self) -> Connection | None:
        """Return the freshest idle connection, if there is one."""
        return self._idle.popitem()[0] if self._idle else None

    async def connect(self, seconds: float) -> Connection:
        """Return a new connection, or the first to come free when there can be no more."""
        try:
            async with asyncio.timeout(seconds):
                if self.size < self._max_connections:
                    self._taken += 1
                else:
                    connection = await self._turn()
                    if connection is not None:
                        return connection
                return await self._dial()
        except TimeoutError:
            raise TransportTimeout("connect") from None

    def release(self, connection: Connection) -> None:
        """Take a connection back: for whoever waits, else for later."""
        waiter = self._next()
        if waiter is not None:
            waiter.set_result(connection)
        elif len(self._idle) < self._max_idle and not self._closed:
            connection.idle_since = self._loop.time()
            self._idle[connection] = None
        else:
            connection.close()

    def retire(self, connection: Connection) -> None:
        """Hand out an idle connection no more: it is about to close."""
        self._idle.pop(connection, None)

    def forget(self, connection: Connection) -> None:
        """Count a connection no more, it is closed; idempotent."""
        self._connections.discard(connection)
        self._make_room()

    def sweep(self, now: float, idle_seconds: float) -> None:
        """Fail what has waited for too long, close what has idled for too long."""
        for connection in list(self._connections):
            if connection.deadline <= now and connection.waiter is not None:
                connection.fail(TransportTimeout(connection.phase))
        oldest = now - idle_seconds
        while self._idle and (connection := next(iter(self._idle))).idle_since <= oldest:
            del self._idle[connection]
            connection.close()

    def close(self) -> None:
        """Close everything."""
        self._closed = True
        while (waiter := self._next()) is not None:
            waiter.set_exception(_pool_closed())
        self._idle.clear()
        for connection in list(self._connections):
            connection.close()

    async def _dial(self) -> Connection:
        """Turn a place that was taken into a connection."""
        try:
            self._check_open()
            connection = await self._dialer.dial(self._origin, self._make)
        except BaseException:
            self._give_up()
            raise
        if self._closed:
            connection.close()
        if connection.state == CLOSED:  # its peer, or our own end, was quicker
            self._give_up()
            self._check_open()
        else:
            self._taken -= 1
            self._connections.add(connection)
        return connection

    def _make(self) -> Connection:
        return Connection(self._loop, self)

    def _check_open(self) -> None:
        if self._closed:
            raise _pool_closed()

    async def _turn(self) -> Connection | None:
        """Wait, first come first served, for a connection or for a place for one."""
        waiter: asyncio.Future[Connection | None] = self._loop.create_future()
        self._queue.append(waiter)
        try:
            return await waiter
        except BaseException:
            if waiter.done() and not waiter.cancelled() and waiter.exception() is None:
                self._return(waiter.result())  # it was given to one who has just left
            raise

    def _return(self, given: Connection | None) -> None:
        if given is None:
            self._give_up()
        elif given.state == IDLE:
            self.release(given)

    def _give_up(self) -> None:
        self._taken -= 1
        self._make_room()

    def _make_room(self) -> None:
        if self.size < self._max_connections:
            waiter = self._next()
            if waiter is not None:
                self._taken += 1
                waiter.set_result(None)

    def _next(self) -> asyncio.Future[Connection | None] | None:
        while self._queue:
            waiter = self._queue.popleft()
            if not waiter.done():
                return waiter
        return None


def _pool_closed() -> ConnectFailed:
    return ConnectFailed("cannot connect: the transport is closed")
