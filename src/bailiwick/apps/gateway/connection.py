"""uvicorn's HTTP/1.1 connection, with what a gateway needs besides.

uvicorn parses requests, runs the application and keeps connections alive; that is left as it is. Added are a bound on
a request's head, errors in our form where uvicorn would answer in plain text, and a leaner way for an answer to leave:
its head goes out with its first bytes, in one write, and is not searched again for characters that our own headers
cannot hold. (The head of every answer is written by this package; what a provider says never becomes a header.)
"""

from __future__ import annotations

import asyncio
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
            await self.flow.drain()
        if self.disconnected:
            return
        if message["type"] == "http.response.start":
            self.response_started = True
            self.waiting_for_100_continue = False
            self.head = self._head(message["status"], message["headers"])
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
        if not framed:
            self.chunked_encoding = True
            lines.append(b"transfer-encoding: chunked\r\n")
        if not self.keep_alive:
            lines.append(b"connection: close\r\n")
        lines.append(b"\r\n")
        return b"".join(lines)


def connection_class(new_id: Callable[[], str]) -> type[asyncio.Protocol]:
    """The connection class of a server whose error answers get their ids from `new_id`."""

    @final
    class Connection(HttpToolsProtocol):
        # Bytes since the last one that was content: of a head, of trailers, of what goes by the name of chunk extension.
        _quiet = 0

        def data_received(self, data: bytes) -> None:
            self._quiet += len(data)
            super().data_received(data)
            if self._quiet > _HARD_HEAD_LIMIT and not self.transport.is_closing():
                self._refuse(Refused(Code.REQUEST_TOO_LARGE, "The request's headers are too large.", status=431))

        def on_headers_complete(self) -> None:
            self._quiet = 0
            super().on_headers_complete()
            # The cycle was made just now and its task has not run yet.
            self.cycle.__class__ = _Cycle
            # Trailers are no headers (RFC 9110 §6.5.1): nothing in front of us has checked them.
            self.headers = []

        def on_body(self, body: bytes) -> None:
            self._quiet = 0
            super().on_body(body)

        def send_400_response(self, msg: str) -> None:
            del msg
            self._refuse(Refused(Code.INVALID_REQUEST, "The request is not valid HTTP."))

        def _refuse(self, refused: Refused) -> None:
            status, headers, body = write_error(refused)
            lines = [b"%b: %b\r\n" % header for header in headers]
            lines.append(b"x-request-id: req_%b\r\n" % new_id().encode())
            lines.append(b"content-length: %d\r\nconnection: close\r\n\r\n" % len(body))
            self.transport.write(_STATUS_LINES[status] + b"".join(lines) + body)
            self.transport.close()

    return Connection
