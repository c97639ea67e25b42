"""One request and its answer, as an ASGI application sees them (ASGI 3, HTTP).

An answer's head goes out with its first bytes, in one write. It is not searched for characters that a header cannot
hold: the head of every answer is written by this package, and what a provider says never becomes a header. A client
from before HTTP/1.1 gets no transfer coding. A large answer is handed over no faster than its client takes it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, final

import msgspec

from bailiwick.apps.gateway.heads import Key, KnownHead

if TYPE_CHECKING:
    from bailiwick.apps.gateway.connection import Connection

# As ASGI has it: a value of any type for each key.
Scope = dict[str, Any]
Message = dict[str, Any]
Application = Callable[[Any, Any, Any], Awaitable[None]]

HTTP_1_1: Final = "1.1"
EXTENSION: Final = "bailiwick.exchange"
STATUS_LINES: Final = {
    status: f"HTTP/1.1 {status} {HTTPStatus(status).phrase if status in set(HTTPStatus) else ''}".encode()
    for status in range(100, 600)
}
_LAST: Final = b"connection: close\r\n\r\n"
_BODILESS: Final = (204, 304)
# What of an answer is handed over before it is waited for until the client has taken it.
_AT_ONCE: Final = 256 * 1024
# What of a body is here before its client has to wait until it is asked for.
_UNREAD: Final = 64 * 1024


@final
class Exchange(msgspec.Struct, eq=False):
    """One request, whose head is here, and its answer.

    `more_body`: the request has not come to its end. `complete`: the answer was written to its end. `key` is that of a
    head that can be known when it comes again, and `known` is what is known of it. To an application that looks for it
    this is at hand by the name `EXTENSION` in the scope's extensions (ASGI 3), for what takes fewer steps without
    messages.
    """

    connection: Connection
    scope: Scope
    keep_alive: bool
    expects_continue: bool = False
    key: Key | None = None
    known: KnownHead | None = None
    more_body: bool = True
    disconnected: bool = False
    complete: bool = False
    task: asyncio.Task[None] | None = None
    # The first message is what is here of the body, be it nothing: whether there is something to receive.
    _news: bool = True
    _told: asyncio.Event | None = None
    _pieces: list[bytes] = msgspec.field(default_factory=list)
    _unread: int = 0
    _head: bytes = b""
    _chunked: bool = False

    async def run(self, application: Application) -> None:
        """Have the request answered; an answer that is not whole then ends with the connection."""
        try:
            # Not kept in the scope here, which would lead back to this.
            await application({**self.scope, "extensions": {EXTENSION: self}}, self.receive, self.send)
        except Exception as error:  # noqa: BLE001 - it answers its own; whatever comes here is told and goes no further
            told = {"message": "an application failed", "exception": error}
            asyncio.get_running_loop().call_exception_handler(told)
        finally:
            self.connection.leave(self)

    # What the connection says.

    def add(self, piece: bytes) -> None:
        """Some of the body is here."""
        if self.complete:
            return
        self._pieces.append(piece)
        self._unread += len(piece)
        if self._unread > _UNREAD:
            self.connection.pause_reading()
        self._wake()

    def end_body(self) -> None:
        """The body is here to its end."""
        self.more_body = False
        self._wake()

    def lose_client(self) -> None:
        """Nobody is there any more."""
        if not self.complete:
            self.disconnected = True
        self._wake()

    def answer_as_last(self) -> None:
        """Let the connection end with this answer."""
        self.keep_alive = False

    def _wake(self) -> None:
        self._news = True
        if self._told is not None:
            self._told.set()

    # What the application asks for.

    def whole_body(self, most: int) -> bytes | None:
        """The body, if it is here to its end and of at most `most` bytes; else `receive` tells it."""
        if self.more_body or self.disconnected or self.expects_continue or self._unread > most or not self._news:
            return None
        self._news = False
        pieces, self._pieces = self._pieces, []
        self._unread = 0
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def answer(self, status: int, lines: bytes, body: bytes) -> bool:
        """Write a whole answer; False if it has to be sent by messages.

        `lines` is its head, each line with its end, with a Content-Length.
        """
        connection = self.connection
        if connection.write_paused or self.disconnected or len(body) > _AT_ONCE or self.scope["method"] == "HEAD":
            return False
        self.expects_continue = False
        end = b"\r\n" if self.keep_alive else _LAST
        connection.transport.write(b"%b\r\n%b%b%b" % (STATUS_LINES[status], lines, end, body))
        self._complete()
        return True

    def remember(self, meaning: object) -> None:
        """Know this head when it comes again, and what it means to the application."""
        if self.key is not None and self.keep_alive:
            self.connection.known.keep(self.key, self.scope, meaning)

    async def receive(self) -> Message:
        """Give the next message: a piece of the body at once if there is one, or that the client is gone."""
        if not (self.disconnected or self.complete):
            connection = self.connection
            if self.expects_continue and not connection.transport.is_closing():
                self.expects_continue = False
                connection.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            connection.resume_reading()
            if not self._news:
                if self._told is None:
                    self._told = asyncio.Event()
                await self._told.wait()
            self._news = False
            if self._told is not None:
                self._told.clear()
        if self.disconnected or self.complete:
            return {"type": "http.disconnect"}
        pieces = self._pieces
        body = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        if pieces:
            self._pieces = []
            self._unread = 0
        return {"type": "http.request", "body": body, "more_body": self.more_body}

    async def send(self, message: Message) -> None:
        """Take a message; a client that is gone is no error."""
        if self.connection.write_paused and not self.disconnected:
            await self._until_taken()
        if self.disconnected:
            return
        kind = message["type"]
        if kind == "http.response.start":
            self.expects_continue = False
            self._head = self._write_head(message["status"], message["headers"])
            return
        if kind == "bailiwick.break_off":
            self._hang_up()
            return
        body: bytes = message["body"]
        if len(body) > _AT_ONCE:
            last = await self._write_all_but_last(body)
            if last is None:
                return
            body = last
        if message.get("more_body", False):
            self._write(body, last=False)
        else:
            self._write(body, last=True)
            self._complete()

    def _complete(self) -> None:
        self.complete = True
        self._wake()
        self.connection.answered(self, keep_alive=self.keep_alive)

    async def _write_all_but_last(self, body: bytes) -> bytes | None:
        """Write a large piece as fast as it is taken, so that it does not wait twice in memory.

        Returns its end, which is still to be written; None if the client is gone.
        """
        rest = memoryview(body)
        while len(rest) > _AT_ONCE:
            if self.disconnected:
                return None
            self._write(bytes(rest[:_AT_ONCE]), last=False)
            rest = rest[_AT_ONCE:]
            if self.connection.write_paused:
                await self._until_taken()
        return None if self.disconnected else bytes(rest)

    def _write(self, body: bytes, *, last: bool) -> None:
        if self._chunked:
            framed = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
            body = framed + b"0\r\n\r\n" if last else framed
        elif self.scope["method"] == "HEAD":
            body = b""
        if self._head:
            body, self._head = self._head + body, b""
        if body:
            self.connection.transport.write(body)

    async def _until_taken(self) -> None:
        """Wait until the client has taken most of what was sent, or is gone."""
        try:
            await self.connection.drained()
        except asyncio.CancelledError:
            self._hang_up()
            raise

    def _hang_up(self) -> None:
        """End the connection now: an orderly close would wait until the client has taken what is here for it."""
        self.disconnected = True
        self.connection.transport.abort()

    def _write_head(self, status: int, headers: list[tuple[bytes, bytes]]) -> bytes:
        # Joined, which takes a third of the time that formatting takes.
        lines = b"\r\n".join([STATUS_LINES[status], *[b": ".join(header) for header in headers], b""])
        if status not in _BODILESS and b"\r\ncontent-length: " not in lines and self.scope["method"] != "HEAD":
            if self.scope["http_version"] == HTTP_1_1:
                self._chunked = True
                lines += b"transfer-encoding: chunked\r\n"
            else:
                # To an older client only the connection's end can be the answer's (RFC 9112 §6.3, §7.1).
                self.keep_alive = False
        return lines + (b"\r\n" if self.keep_alive else _LAST)
