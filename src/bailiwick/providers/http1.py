"""One HTTP/1.1 connection to a provider (RFC 9112).

Guarantees: one exchange at a time; a connection goes back to its pool only after a response was read to its end in
perfect order (`Connection: close`, HTTP/1.0, bytes after the end, an unfinished request all forbid it); a head is at
most 64 KiB, and no other run of bytes without content is longer than that and one read of the socket; about 256 KiB of
content may wait unread, then the socket is not read; what arrived is handed on as it arrived, at once. Framing is
judged by llhttp in its strict mode.

This is the hottest code of a call: callbacks do little, in few steps, and no task or timer is made for a request. Its
deadline is a number, which `Transport` compares with the clock now and then.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from math import inf
from typing import TYPE_CHECKING, Final, cast, final

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from bailiwick.providers.acknowledgement import is_unacknowledged
from bailiwick.providers.transport_errors import (
    ConnectionBroken,
    Phase,
    ResponseGarbled,
    TransportError,
)

if TYPE_CHECKING:
    from bailiwick.providers.pool import OriginPool

MAX_HEAD: Final = 64 * 1024
MAX_UNREAD: Final = 256 * 1024
_PIECE_OVERHEAD: Final = 64  # what a piece of content costs beside its bytes: a drip of single bytes is bounded too

# The states of a connection, in this order.
IDLE: Final = 0
HEAD: Final = 1  # a request was sent; no head yet
BODY: Final = 2
DONE: Final = 3  # the response is here to its end, the reader is not
CLOSED: Final = 4

_CONTINUE: Final = 100
_SWITCHING_PROTOCOLS: Final = 101
_OK: Final = 200
_FRAMING: Final = (b"content-length", b"transfer-encoding")


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """Patience, in seconds; once connected, each may be exceeded by the quarter of a second between two sweeps."""

    connect: float = 10.0
    """To reach the provider, TLS included, and to wait for a connection when all are busy."""
    first_byte: float = 600.0
    """From the request to the response's whole head."""
    between_bytes: float = 120.0
    """From one piece of content to the next, and for each piece of an upload to be taken."""
    total: float | None = None
    """From the request to the response's end."""

    def within(self, seconds: float) -> Timeouts:
        """Have no more patience than `seconds` altogether."""
        return replace(self, connect=min(self.connect, seconds), total=seconds)


_PATIENT: Final = Timeouts()


@final
class Connection(asyncio.Protocol):
    """The socket's side. Whoever holds it out of the pool is its only user, until `finish` or `close`."""

    __slots__ = (
        "_fields", "_interim", "_loop", "_parser", "_paused", "_pool", "_quiet", "_time", "_unheard", "_unread",
        "_until_close", "deadline", "error", "headers", "idle_since", "keep", "limit", "phase", "pieces", "reused",
        "state", "status", "timeouts", "transport", "uploading", "waiter", "write_blocked",
    )  # fmt: skip

    def __init__(self, loop: asyncio.AbstractEventLoop, pool: OriginPool) -> None:
        """`pool` takes it back when it can serve again, and is told when it closes and when it is closed."""
        self._loop = loop
        self._time = loop.time
        self._pool = pool
        self._parser = HttpResponseParser(self)
        self.transport: asyncio.Transport | None = None
        self.state = IDLE
        self.reused = False
        self.idle_since = 0.0
        self.error: TransportError | None = None
        # Of the current exchange.
        self.timeouts = _PATIENT
        self.status = 0
        self.headers: list[tuple[bytes, bytes]] = []
        self.pieces: list[bytes] = []
        self.keep = False
        self.uploading = False
        self.write_blocked = False
        self.waiter: asyncio.Future[None] | None = None
        self.deadline = inf
        self.phase: Phase = "first_byte"
        self.limit = inf
        self._fields: list[tuple[bytes, bytes]] = []  # of the head that is being parsed, or of a trailer
        self._unread = 0
        self._paused = False
        self._quiet = 0  # bytes since the last byte of content
        self._interim = False
        self._unheard = False
        self._until_close = False

    # The user's side.

    def begin(self, timeouts: Timeouts) -> asyncio.Transport:
        """Start an exchange; return where to write the request. Raises ConnectionBroken if it is too late for one."""
        transport = self.transport
        if self.state != IDLE or transport is None:
            raise self.error or self._broken()
        self.state = HEAD
        self.status = 0
        self._quiet = 0
        self.timeouts = timeouts
        self.limit = inf if timeouts.total is None else self._time() + timeouts.total
        return transport

    def wait(self, seconds: float, phase: Phase) -> asyncio.Future[None]:
        """Return what ends at the next news: a head, content, the end, room to write; or fails as the exchange does."""
        if self.waiter is not None:
            raise RuntimeError("a response has one reader")
        deadline = self._time() + seconds
        if deadline > self.limit:
            self.deadline = self.limit
            self.phase = "total"
        else:
            self.deadline = deadline
            self.phase = phase
        waiter = self.waiter = self._loop.create_future()
        return waiter

    def take(self) -> bytes:
        """Return the content that is here."""
        pieces = self.pieces
        data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        pieces.clear()
        self._unread = 0
        if self._paused:
            self._paused = False
            if self.transport is not None and self.state != CLOSED:
                self.transport.resume_reading()
        return data

    @property
    def sent(self) -> bool:
        """Whether the system has taken the whole request."""
        return self.transport is None or self.transport.get_write_buffer_size() == 0

    def finish(self) -> None:
        """End an exchange whose response was read to its end."""
        if self.keep and self.state == DONE and self.sent:
            self.state = IDLE
            self.reused = True
            self._pool.release(self)
        else:
            self.close()

    def close(self) -> None:
        """Close the socket at once, whatever goes on; idempotent."""
        self.fail(self._broken())

    def fail(self, error: TransportError) -> None:
        """Close the socket at once; whoever waits is told why."""
        if self.state == CLOSED:
            return
        if self.state == IDLE:
            self._pool.retire(self)
        self.state = CLOSED
        self.error = error
        self.keep = False
        if self.transport is not None:
            self.transport.abort()
        waiter = self.waiter
        if waiter is not None and not waiter.done():
            waiter.set_exception(error)

    # asyncio's side.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio.Protocol."""
        self.transport = cast("asyncio.Transport", transport)
        if self.state == CLOSED:  # cancelled while it was connecting
            self.transport.abort()

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        state = self.state
        if state == IDLE or state >= DONE:  # nobody asked for this: no later answer on this connection can be trusted
            self._surplus()
            return
        self._quiet += len(data)
        try:
            self._parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade) as error:
            if self.state == DONE:
                self._surplus()
                return
            garbled = ResponseGarbled("the response is not valid HTTP/1.1")
            garbled.__cause__ = error
            self.fail(garbled)
            return
        if self._quiet > MAX_HEAD and self.state != DONE:
            self.fail(ResponseGarbled("the response's head is too large"))

    def eof_received(self) -> None:
        """See asyncio.Protocol: the transport closes itself, and `connection_lost` follows."""
        if self.state == IDLE:  # not in a moment: the pool would hand it out until then
            self.close()
        elif self.state == HEAD and self.reused and not self._quiet and self.transport is not None:
            self._unheard = is_unacknowledged(self.transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio.Protocol."""
        self.keep = False
        if self.state == BODY and self._until_close and exc is None:
            self.state = DONE
            self._wake()
        elif self.state != DONE:
            broken = self._broken()
            broken.__cause__ = exc
            self.fail(broken)
        self._pool.forget(self)

    def pause_writing(self) -> None:
        """See asyncio.Protocol."""
        self.write_blocked = True

    def resume_writing(self) -> None:
        """See asyncio.Protocol."""
        self.write_blocked = False
        if self.uploading:
            self._wake()

    # The parser's side. What is raised here only stops the parser; `data_received` says what it means.

    def on_message_begin(self) -> None:
        """See httptools: the first byte of a response, or of what comes after it."""
        if self.state != HEAD:
            raise _UnacceptableError
        self._fields.clear()

    def on_header(self, name: bytes, value: bytes) -> None:
        """See httptools."""
        self._fields.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """See httptools."""
        status = self._parser.get_status_code()
        headers = self._fields
        if status < _OK:
            if status < _CONTINUE or status == _SWITCHING_PROTOCOLS or any(name in _FRAMING for name, _ in headers):
                raise _UnacceptableError
            self._interim = True
            return
        if self._quiet > MAX_HEAD and sum(len(name) + len(value) + 4 for name, value in headers) > MAX_HEAD:
            raise _UnacceptableError
        self._fields = []
        self.headers = headers
        self.status = status
        self.keep = self._parser.should_keep_alive()
        self._until_close = not self.keep and _ends_at_close(headers)
        self.state = BODY
        self._wake()

    def on_body(self, body: bytes) -> None:
        """See httptools: some content, without its transfer coding."""
        self._quiet = 0
        self.pieces.append(body)
        self._unread += len(body) + _PIECE_OVERHEAD
        if self._unread > MAX_UNREAD and not self._paused and self.transport is not None:
            self._paused = True
            self.transport.pause_reading()
        if self.waiter is not None:
            self._wake()

    def on_message_complete(self) -> None:
        """See httptools."""
        if self._interim:
            self._interim = False
            return
        self.state = DONE
        if self.waiter is not None:
            self._wake()

    def _wake(self) -> None:
        waiter = self.waiter
        if waiter is not None:
            self.waiter = None
            if not waiter.done():
                waiter.set_result(None)

    def _surplus(self) -> None:
        """Bytes came that belong to nothing: the response that is here stands, the connection does not."""
        if self.state == DONE:
            self.keep = False
            if self.transport is not None:
                self.transport.abort()
        else:
            self.close()

    def _broken(self) -> ConnectionBroken:
        answered = self.state > HEAD or (self.state == HEAD and self._quiet > 0)
        message = "the connection was closed"
        return ConnectionBroken(message, reused=self.reused, answered=answered, unheard=self._unheard)


class _UnacceptableError(Exception):
    """Stops the parser."""


def _ends_at_close(headers: list[tuple[bytes, bytes]]) -> bool:
    """Say whether only the connection's end can end the content (RFC 9112 §6.3)."""
    codings = [value for name, value in headers if name == b"transfer-encoding"]
    if codings:
        return codings[-1].rpartition(b",")[2].strip().lower() != b"chunked"
    return all(name != b"content-length" for name, _ in headers)
