"""The way to the providers: keep-alive HTTP/1.1 over a pool of connections for each origin.

    transport = Transport(resolve=guard.resolve)
    response = await transport.send(origin, head + body, timeouts=Timeouts())
    content = await response.read(limit)            # or: while (chunk := await response.next_chunk()) is not None: …

Guarantees: a request is sent once, on one connection, and never again; redirects are not followed; every connection is
either idle, or used by one caller, or closed, whatever is cancelled when; an idle connection is closed by its age, by
its peer, and by any byte that comes unasked; the freshest one is used first. Timeouts cost a request nothing: one timer
for the whole transport compares deadlines with the clock.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterable, AsyncIterator, Sequence
from math import inf
from typing import Final, final

from bailiwick.providers.dialing import Dialer, Origin, Resolve
from bailiwick.providers.http1 import HEAD, Connection, Timeouts
from bailiwick.providers.names import Names
from bailiwick.providers.pool import OriginPool
from bailiwick.providers.response import Response
from bailiwick.providers.transport_errors import (
    ConnectFailed,
    ConnectionBroken,
    ResponseGarbled,
    ResponseTooLarge,
    TransportError,
    TransportTimeout,
)

__all__ = [
    "ConnectFailed", "ConnectionBroken", "Origin", "Response", "ResponseGarbled", "ResponseTooLarge", "Timeouts",
    "Transport", "TransportError", "TransportTimeout",
]  # fmt: skip

_SWEEP_SECONDS: Final = 0.25


@final
class Transport:
    """Sends requests. Belongs to one event loop; close it with `aclose`."""

    def __init__(
        self,
        *,
        resolve: Resolve,
        names: Names | None = None,
        max_idle_per_origin: int = 128,
        max_connections_per_origin: int = 16_384,
        idle_seconds: float = 30.0,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """`resolve` finds and judges the addresses of guarded origins, `names` finds those of others.

        `tls` replaces the system's trust.
        """
        self._dialer = Dialer(resolve, names or Names(), tls)
        self._max_idle = max_idle_per_origin
        self._max_connections = max_connections_per_origin
        self._idle_seconds = idle_seconds
        self._pools: dict[Origin, OriginPool] = {}
        self._sweeper: asyncio.TimerHandle | None = None
        self._closed = False

    async def send(self, origin: Origin, request: bytes | Sequence[bytes], *, timeouts: Timeouts) -> Response:
        """Send a complete request (head and body) and return the response as soon as its head is here.

        Not for HEAD or CONNECT, whose responses are framed otherwise. Raises TransportError.
        """
        pool = self._pools.get(origin) or self._open_pool(origin)
        connection = pool.take_idle() or await pool.connect(timeouts.connect)
        socket = connection.begin(timeouts)
        try:
            if isinstance(request, bytes):
                socket.write(request)
            else:
                socket.writelines(request)
            await connection.wait(timeouts.first_byte, "first_byte")
        except BaseException:
            connection.close()
            raise
        return Response(connection)

    async def send_stream(
        self, origin: Origin, head: bytes, body: AsyncIterable[bytes], *, timeouts: Timeouts, chunked: bool = False
    ) -> Response:
        """Send a request whose body is still coming, no faster than the provider reads it.

        `head` announces a Content-Length, or `Transfer-Encoding: chunked`, and then `chunked` is true. A response that
        comes before the end of the body ends the upload at once, also while the next piece of it is waited for: that
        is cancelled. What `body` raises is raised here, and the connection closed.
        """
        pool = self._pools.get(origin) or self._open_pool(origin)
        connection = pool.take_idle() or await pool.connect(timeouts.connect)
        socket = connection.begin(timeouts)
        try:
            connection.uploading = True
            socket.write(head)
            complete = await self._upload(connection, socket, body, chunked=chunked)
            connection.uploading = False
            if connection.state == HEAD:
                await connection.wait(timeouts.first_byte, "first_byte")
        except BaseException:
            connection.close()
            raise
        if connection.error is not None and not connection.status:
            raise connection.error
        if not complete:
            connection.keep = False
        return Response(connection)

    async def _upload(
        self, connection: Connection, socket: asyncio.WriteTransport, body: AsyncIterable[bytes], *, chunked: bool
    ) -> bool:
        """Write the body; return whether it came to its end before the response began."""
        seconds = connection.timeouts.between_bytes
        pieces = aiter(body)
        while True:
            coming = await _next_or_news(connection, pieces)
            if coming.cancelled():
                return False
            piece = coming.result()
            if piece is None and not chunked:
                return True
            if connection.state != HEAD:
                return False
            if piece is None:
                socket.write(b"0\r\n\r\n")
                return True
            if not chunked:
                socket.write(piece)
            elif piece:
                socket.writelines((b"%x\r\n" % len(piece), piece, b"\r\n"))
            while connection.write_blocked and connection.state == HEAD:
                await connection.wait(seconds, "send")

    def connections(self) -> tuple[int, int]:
        """Count the connections that are open or about to be, and those of them that are idle."""
        pools = self._pools.values()
        return sum(pool.size for pool in pools), sum(pool.idle for pool in pools)

    async def aclose(self) -> None:
        """Close every connection, in use or not; idempotent. Their users get ConnectionBroken."""
        self._closed = True
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None
        for pool in self._pools.values():
            pool.close()
        while any(pool.connected for pool in self._pools.values()):  # noqa: ASYNC110 - it ends within a turn or two
            await asyncio.sleep(0)
        self._pools.clear()

    def _open_pool(self, origin: Origin) -> OriginPool:
        if self._closed:
            raise ConnectFailed("cannot connect: the transport is closed")
        loop = asyncio.get_running_loop()
        pool = self._pools[origin] = OriginPool(
            loop, origin, self._dialer, max_idle=self._max_idle, max_connections=self._max_connections
        )
        if self._sweeper is None:
            self._sweeper = loop.call_later(_SWEEP_SECONDS, self._sweep, loop)
        return pool

    def _sweep(self, loop: asyncio.AbstractEventLoop) -> None:
        """End what has waited or idled for too long; rest when there is nothing left to watch."""
        now = loop.time()
        for origin, pool in list(self._pools.items()):
            pool.sweep(now, self._idle_seconds)
            if pool.empty:
                del self._pools[origin]
        self._sweeper = loop.call_later(_SWEEP_SECONDS, self._sweep, loop) if self._pools else None


async def _next_or_news(connection: Connection, pieces: AsyncIterator[bytes]) -> asyncio.Task[bytes | None]:
    """Take the next piece of a body, None at its end; cancelled when there is a response, or no connection, before."""
    coming = asyncio.create_task(_next(pieces))
    try:
        while connection.state == HEAD and not coming.done():
            news = connection.wait(inf, "send")
            await asyncio.wait((coming, news), return_when=asyncio.FIRST_COMPLETED)
            connection.waiter = None
            if news.done():
                news.exception()  # What became of the connection is in its state.
    finally:
        connection.waiter = None
        if not coming.done():
            coming.cancel()
            await asyncio.wait((coming,))
        if not coming.cancelled():
            coming.exception()  # Whoever is cancelled here will not ask for it.
    return coming


async def _next(pieces: AsyncIterator[bytes]) -> bytes | None:
    async for piece in pieces:
        return piece
    return None
