"""uvicorn's HTTP/1.1 connection, with what a gateway needs besides.

uvicorn parses requests, runs the application and keeps connections alive; that is left as it is. Added are bounds on
a request's head, in bytes and in time, errors in our form where uvicorn would answer in plain text, and a leaner way
for an answer to leave: its head goes out with its first bytes, in one write, and is not searched again for characters
that our own headers cannot hold. (The head of every answer is written by this package; what a provider says never
becomes a header.) A client that sends several requests at once and hangs up is gone for each of them. A request without
the one Host that it must name is refused, and a client from before HTTP/1.1 gets no transfer coding.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, Final, final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from bailiwick.apps.http.openai_errors import write_error
from bailiwick.domain.errors import Code, Refused

# A head beyond the application's own limit is still parsed, so that its sender gets a proper 431 on a connection that
# lives; one beyond this is cut.
_HARD_HEAD_LIMIT: Final = 1024 * 1024
_BODILESS: Final = (204, 304)
_HTTP_1_1: Final = "1.1"
_STATUS_LINES: Final = {
    status: f"HTTP/1.1 {status} {HTTPStatus(status).phrase if status in set(HTTPStatus) else ''}\r\n".encode()
    for status in range(100, 600)
}


@final
class _Cycle(RequestResponseCycle):
    """One request and its answer."""

    head: bytes | None = None

    async def send(self, message: Any) -> None:
        """Take an ASGI message; a client that is gone is no error."""
        if self.flow.write_paused and not self.disconnected:
            try:
                await self.flow.drain()
            except asyncio.CancelledError:
                # The client does not read. An orderly close would wait until it has taken what is here for it.
                self.disconnected = True
                self.transport.abort()
                raise
        if self.disconnected:
            return
        if message["type"] == "http.response.start":
            self.response_started = True
            self.waiting_for_100_continue = False
            self.head = self._head(message["status"], message["headers"])
            return
        if message["type"] == "bailiwick.break_off":
            self.disconnected = True
            self.transport.abort()
            return
        body: bytes = message["body"]
        more = message.get("more_body", False)
        if self.chunked_encoding:
            framed = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
            body = framed if more else framed + b"0\r\n\r\n"
        elif self.scope["method"] == "HEAD":
            body = b""
        if self.head is not None:
            body, self.head = self.head + body, None
        self.transport.write(body)
        if not more:
            self.response_complete = True
            self.message_event.set()
            if not self.keep_alive:
                self.transport.close()
            self.on_response()

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

    def __init__(self, *args: Any, new_id: Callable[[], str], head_seconds: float, **kwargs: Any) -> None:
        """`new_id` names error answers; a head has `head_seconds` to arrive, the first one from the very beginning.

        The other arguments are uvicorn's.
        """
        super().__init__(*args, **kwargs)
        self._new_id = new_id
        self._head_seconds = head_seconds
        # Bytes since the last that was content: of a head, of trailers, of what goes by the name of chunk extension.
        self._quiet = 0
        # Runs while such bytes, or the first ones at all, are waited for; most requests arrive whole and need none.
        self._patience: asyncio.TimerHandle | None = None
        # Requests before the latest one that may still be unanswered, since their client sent several at once.
        self._earlier: deque[RequestResponseCycle] = deque()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """See asyncio.Protocol."""
        super().connection_made(transport)
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio.Protocol: every request of this connection has lost its client."""
        super().connection_lost(exc)
        self._stop_waiting()
        for cycle in self._earlier:
            cycle.disconnected = True
            cycle.message_event.set()

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        self._quiet += len(data)
        super().data_received(data)
        if not self._quiet:
            self._stop_waiting()
        elif self._quiet > _HARD_HEAD_LIMIT:
            self._refuse(Refused(Code.REQUEST_TOO_LARGE, "The request's headers are too large.", status=431))
        elif self._patience is None:
            self._wait()

    def on_headers_complete(self) -> None:
        """See httptools."""
        self._quiet = 0
        self._check_host()
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
        self._quiet = 0
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """Refuse what is not HTTP."""
        del msg
        self._refuse(Refused(Code.INVALID_REQUEST, "The request is not valid HTTP."))

    def _check_host(self) -> None:
        """Stop the parser at a request that names no host, or several (RFC 9112 §3.2); what it raises goes no further.

        Whatever stands in front of us, or behind the relay, would choose another one than we do.
        """
        hosts = [name for name, _ in self.headers].count(b"host")
        missing = not hosts and self.parser is not None and self.parser.get_http_version() == _HTTP_1_1
        if missing or hosts > 1:
            message = "The request must have one Host header."
            self._refuse(Refused(Code.INVALID_REQUEST, message))
            raise ValueError(message)

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
        status, headers, body = write_error(refused)
        lines = [b"%b: %b\r\n" % header for header in headers]
        lines.append(b"x-request-id: req_%b\r\n" % self._new_id().encode())
        lines.append(b"content-length: %d\r\nconnection: close\r\n\r\n" % len(body))
        self.transport.write(_STATUS_LINES[status] + b"".join(lines) + body)
        self.transport.close()
