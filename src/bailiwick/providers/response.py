"""The response that a connection to a provider carries, once its head is here."""

from __future__ import annotations

from typing import Final, final

from bailiwick.providers.http1 import DONE, Connection
from bailiwick.providers.transport_errors import ResponseTooLarge, TransportError


@final
class Response:
    """A response whose head is here. Read it to its end or `abort` it; dropped unread, it closes its connection."""

    __slots__ = ("_connection", "_failure", "headers", "reused", "status")

    def __init__(self, connection: Connection) -> None:
        """Take over the exchange of a connection that has a head."""
        self.status: Final = connection.status
        self.headers: Final = connection.headers
        """Names in lower case; order and repetitions kept."""
        self.reused: Final = connection.reused
        """The connection had served before."""
        self._connection: Connection | None = connection
        self._failure: TransportError | None = None

    @property
    def sent(self) -> bool:
        """Whether the request has left our memory; a response may begin before it has, and even end."""
        return self._connection is None or self._connection.sent

    def whole(self, limit: int) -> bytes | None:
        """The content, if it is here to its end and of at most `limit` bytes; else it has to be waited for."""
        connection = self._connection
        if connection is None or connection.state != DONE or sum(map(len, connection.pieces)) > limit:
            return None
        content = connection.take()
        self._connection = None
        connection.finish()
        return content

    async def next_chunk(self) -> bytes | None:
        """Return the content that has come since the last call, as soon as there is some; None at a complete end.

        Raises ConnectionBroken, ResponseGarbled or TransportTimeout, after all the content that came before. Cancelled,
        it closes the connection.
        """
        connection = self._connection
        if connection is None:
            if self._failure is not None:
                raise self._failure
            return None
        while not connection.pieces:
            if connection.state == DONE:
                self._connection = None
                connection.finish()
                return None
            if connection.error is not None:
                self._fail(connection.error)
                raise connection.error
            try:
                await connection.wait(connection.timeouts.between_bytes, "between_bytes")
            except BaseException:
                self.abort()
                raise
        return connection.take()

    async def read(self, limit: int) -> bytes:
        """Return the whole (remaining) content. Raises ResponseTooLarge above `limit` bytes, else as `next_chunk`."""
        connection = self._connection
        if connection is not None and connection.state == DONE:  # all of it came with its head: the common case
            content = connection.take()
            self._connection = None
            connection.finish()
        else:
            chunks: list[bytes] = []
            size = 0
            while size <= limit and (chunk := await self.next_chunk()) is not None:
                chunks.append(chunk)
                size += len(chunk)
            content = b"".join(chunks)
        if len(content) > limit:
            self.abort()
            raise ResponseTooLarge("the response is larger than we take")
        return content

    def abort(self) -> None:
        """Close the connection at once; idempotent. A reader that waits gets ConnectionBroken."""
        connection = self._connection
        if connection is not None:
            connection.close()
            self._fail(connection.error)

    def _fail(self, error: TransportError | None) -> None:
        self._connection = None
        self._failure = error

    def __del__(self) -> None:
        """Leave no connection behind that nobody reads."""
        if self._connection is not None:
            self._connection.close()
