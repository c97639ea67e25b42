"""uvicorn's HTTP/1.1 connection, with what a gateway needs besides.

uvicorn parses requests, runs the application and keeps connections alive; that is left as it is. Added are bounds on
a request's head, in bytes and in time, errors in our form where uvicorn would answer in plain text, and a leaner way
for an answer to leave: its head goes out with its first bytes, in one write, and is not searched again for characters
that our own headers cannot hold. (The head of every answer is written by this package; what a provider says never
becomes a header.) A client that sends several requests at once and hangs up is gone for each of them. A request without
the one Host that it must name is refused, and a client from before HTTP/1.1 gets no transfer coding. An offer to go on
in another protocol is ignored, and the request it came with read to its end (RFC 9110 §7.8). A request that was
answered before its end has a moment left to come to it; then its connection is closed.
"""

from __future__ import annotations

import asyncio
import re
from collections import deque
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, Final, NoReturn, final

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from bailiwick.apps.http.openai_errors import write_error
from bailiwick.domain.errors import Code, Refused

# A head beyond the application's own limit is still parsed, so that its sender gets a proper 431 on a connection that
# lives; one beyond this is cut.
_HARD_HEAD_LIMIT: Final = 1024 * 1024
# Where clients read Anthropic's errors, in both forms of path.
_ANTHROPIC: Final = re.compile(rb"(?:/p/[^/]*)?/v1/messages")
# What of an answer is handed over before it is waited for until the client has taken it.
_AT_ONCE: Final = 256 * 1024
_BODILESS: Final = (204, 304)
_HTTP_1_1: Final = "1.1"
_VERSIONS: Final = frozenset({"1.0", _HTTP_1_1})
_STATUS_LINES: Final = {
    status: f"HTTP/1.1 {status} {HTTPStatus(status).phrase if status in set(HTTPStatus) else ''}\r\n".encode()
    for status in range(100, 600)
}


@final
class _Cycle(RequestResponseCycle):
    """One request and its answer."""

    head: bytes | None = None
    asked: bool = False

    async def receive(self) -> Any:
        """Give an ASGI message; the first is what is here of the body, be it nothing, and nobody waits for it."""
        if not self.asked:
            self.asked = True
            self.message_event.set()
        return await super().receive()

    async def send(self, message: Any) -> None:
        """Take an ASGI message; a client that is gone is no error."""
        if self.flow.write_paused and not self.disconnected:
            await self._until_taken()
        if self.disconnected:
            return
        if message["type"] == "http.response.start":
            self.response_started = True
            self.waiting_for_100_continue = False
            self.head = self._head(message["status"], message["headers"])
            return
        if message["type"] == "bailiwick.break_off":
            self._hang_up()
            return
        body: bytes = message["body"]
        if len(body) > _AT_ONCE:
            last = await self._write_all_but_last(body)
            if last is None:
                return
            body = last
        more = message.get("more_body", False)
        self._write(body, last=not more)
        if not more:
            self.response_complete = True
            self.message_event.set()
            if not self.keep_alive:
                self.transport.close()
            self.on_response()

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
            if self.flow.write_paused:
                await self._until_taken()
        return None if self.disconnected else bytes(rest)

    def _write(self, body: bytes, *, last: bool) -> None:
        if self.chunked_encoding:
            framed = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
            body = framed + b"0\r\n\r\n" if last else framed
        elif self.scope["method"] == "HEAD":
            body = b""
        if self.head is not None:
            body, self.head = self.head + body, None
        self.transport.write(body)

    async def _until_taken(self) -> None:
        """Wait until the client has taken most of what was sent, or is gone."""
        try:
            await self.flow.drain()
        except asyncio.CancelledError:
            self._hang_up()
            raise

    def _hang_up(self) -> None:
        """End the connection now: an orderly close would wait until the client has taken what is here for it."""
        self.disconnected = True
        self.transport.abort()

    def _head(self, status: int, headers: list[tuple[bytes, bytes]]) -> bytes:
        framed = status in _BODILESS or self.scope["method"] == "HEAD"
        lines = [_STATUS_LINES[status]]
        for name, value in headers:
            lines.append(b"%b: %b\r\n" % (name, value))
            framed = framed or name == b"content-length"
        if not framed and self.scope["http_version"] == _HTTP_1_1:
            self.chunked_encoding = True
            lines.append(b"transfer-encoding: chunked\r\n")
        elif not framed:
            # To an older client only the connection's end can be the answer's (RFC 9112 §6.3, §7.1).
            self.keep_alive = False
        if not self.keep_alive:
            lines.append(b"connection: close\r\n")
        lines.append(b"\r\n")
        return b"".join(lines)


@final
class Connection(HttpToolsProtocol):
    """One client's connection."""

    def __init__(
        self,
        *args: Any,
        new_id: Callable[[], str],
        head_seconds: float,
        linger_seconds: float,
        reader_seconds: float,
        **kwargs: Any,
    ) -> None:
        """`new_id` names error answers; a head has `head_seconds` to arrive, the first one from the very beginning.

        The rest of a request that was answered before has `linger_seconds`. A client that has not taken what was sent
        for `reader_seconds` is cut. The other arguments are uvicorn's.
        """
        super().__init__(*args, **kwargs)
        self._linger_seconds = linger_seconds
        self._reader_seconds = reader_seconds
        self._new_id = new_id
        self._head_seconds = head_seconds
        # Bytes since the last that was content: of a head, of trailers, of what goes by the name of chunk extension.
        self._quiet = 0
        # Runs while such bytes, or the first ones at all, are waited for; most requests arrive whole and need none.
        self._patience: asyncio.TimerHandle | None = None
        # Requests before the latest one that may still be unanswered, since their client sent several at once.
        self._earlier: deque[RequestResponseCycle] = deque()
        # The head that is being parsed offers to go on in another protocol.
        self._offering = False
        # Runs while the rest of a request is awaited that was answered already.
        self._lingering: asyncio.TimerHandle | None = None
        # Runs while the client has more to take than we keep for it, or has something to take before we close.
        self._reading: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """See asyncio.Protocol."""
        super().connection_made(transport)
        self._wait()

    def pause_writing(self) -> None:
        """See asyncio.Protocol: the client is slower than its answers, also when the last of them is complete."""
        super().pause_writing()
        self._reading = self.loop.call_later(self._reader_seconds, self.transport.abort)

    def resume_writing(self) -> None:
        """See asyncio.Protocol."""
        super().resume_writing()
        self._stop_reading()
        self._bound_closing()

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio.Protocol: every request of this connection has lost its client."""
        super().connection_lost(exc)
        self._stop_waiting()
        self._stop_lingering()
        self._stop_reading()
        for cycle in self._earlier:
            cycle.disconnected = True
            cycle.message_event.set()

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        self._quiet += len(data)
        self._unset_keepalive_if_required()
        try:
            self._feed(data)
        except HttpParserError:
            self._refuse(Refused(Code.INVALID_REQUEST, "The request is not valid HTTP."))
        if not self._quiet:
            self._stop_waiting()
        elif self._quiet > _HARD_HEAD_LIMIT:
            self._refuse(Refused(Code.REQUEST_TOO_LARGE, "The request's headers are too large.", status=431))
        elif self._patience is None:
            self._wait()

    def _feed(self, data: bytes | memoryview) -> None:
        """Parse what arrived.

        The parser ends a request that offers another protocol with its head, and takes its content for a request. So a
        new one is given that head without the offer, and goes on with the rest.
        """
        while True:
            try:
                self.parser.feed_data(data)
            except HttpParserUpgrade as upgrade:
                head = self._head_without_offer()
                self.parser = HttpRequestParser(self)
                self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
                self.parser.feed_data(head)
                data = memoryview(data)[upgrade.args[0] :]
            else:
                return

    def _head_without_offer(self) -> bytes:
        lines = [b"%b %b HTTP/%b" % (self.parser.get_method(), self.url, self.parser.get_http_version().encode())]
        for name, value in self.headers:
            if name == b"connection":
                options = (option.strip() for option in value.split(b","))
                lines.append(b"connection: " + b", ".join(option for option in options if option.lower() != b"upgrade"))
            elif name != b"upgrade":
                lines.append(b"%b: %b" % (name, value))
        return b"\r\n".join(lines) + b"\r\n\r\n"

    def on_headers_complete(self) -> None:
        """See httptools."""
        version = self.parser.get_http_version()
        self._offering = self.parser.should_upgrade()
        if version not in _VERSIONS or (self._offering and self.parser.get_method() == b"CONNECT"):
            self._stop("The request must be one of HTTP/1.1, and no tunnel.")
        if self._offering:
            return  # It comes again, without the offer.
        self._quiet = 0
        self._check_host(version)
        before = self.cycle
        if before is not None and not before.response_complete:
            self._remember(before)
        super().on_headers_complete()
        # The cycle was made just now and its task has not run yet.
        self.cycle.__class__ = _Cycle
        # Trailers are no headers (RFC 9110 §6.5.1): nothing in front of us has checked them.
        self.headers = []

    def on_body(self, body: bytes) -> None:
        """See httptools: some content."""
        self._quiet = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """See httptools."""
        if self._offering:
            return
        self._quiet = 0
        self._stop_lingering()
        super().on_message_complete()
        self.cycle.more_body = False

    def on_response_complete(self) -> None:
        """See uvicorn: an answer has been written."""
        super().on_response_complete()
        if self.cycle.response_complete and self.cycle.more_body and not self.transport.is_closing():
            # As long as there is something to read, closing would take the answer away from who reads it.
            self._lingering = self.loop.call_later(self._linger_seconds, self.transport.close)
        self._bound_closing()

    def timeout_keep_alive_handler(self) -> None:
        """See uvicorn: for long nothing was asked. Whoever has not taken the last answer until then never will."""
        self.transport.abort()

    def _bound_closing(self) -> None:
        """Closing waits until all is taken, which may be never."""
        if self.transport.is_closing() and self._reading is None and self.transport.get_write_buffer_size():
            self._reading = self.loop.call_later(self._reader_seconds, self.transport.abort)

    def _stop_reading(self) -> None:
        if self._reading is not None:
            self._reading.cancel()
            self._reading = None

    def _stop_lingering(self) -> None:
        if self._lingering is not None:
            self._lingering.cancel()
            self._lingering = None

    def _stop(self, message: str) -> NoReturn:
        """Refuse a request and stop the parser; what is raised goes no further."""
        self._refuse(Refused(Code.INVALID_REQUEST, message))
        raise ValueError(message)

    def _check_host(self, version: str) -> None:
        """Refuse a request that names no host, or several (RFC 9112 §3.2).

        Whatever stands in front of us, or behind the relay, would choose another one than we do.
        """
        hosts = [name for name, _ in self.headers].count(b"host")
        if hosts > 1 or (not hosts and version == _HTTP_1_1):
            self._stop("The request must have one Host header.")

    def _remember(self, cycle: RequestResponseCycle) -> None:
        while self._earlier and self._earlier[0].response_complete:
            self._earlier.popleft()
        self._earlier.append(cycle)

    def _wait(self) -> None:
        self._patience = self.loop.call_later(self._head_seconds, self._lose_patience)

    def _stop_waiting(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def _lose_patience(self) -> None:
        cycle = self.cycle
        if cycle is not None and not cycle.more_body and not cycle.response_complete:
            self._wait()  # What has begun to come is behind a request that is being answered.
        elif self._quiet:
            message = f"The request's headers did not arrive within {self._head_seconds:.0f} seconds."
            self._refuse(Refused(Code.REQUEST_TIMEOUT, message))
        else:
            self.transport.close()

    def _refuse(self, refused: Refused) -> None:
        if self.transport.is_closing():
            return
        # No address may be known yet, or only its beginning.
        status, headers, body = write_error(refused, anthropic=_ANTHROPIC.match(self.url or b"") is not None)
        lines = [b"%b: %b\r\n" % header for header in headers]
        lines.append(b"x-request-id: req_%b\r\n" % self._new_id().encode())
        lines.append(b"content-length: %d\r\nconnection: close\r\n\r\n" % len(body))
        self.transport.write(_STATUS_LINES[status] + b"".join(lines) + body)
        self.transport.close()
