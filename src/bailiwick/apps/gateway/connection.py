"""One client's HTTP/1.1 connection (RFC 9112), over httptools, to an ASGI application.

A server that faces the world, so its bounds come first: a request's head is bounded in bytes and in time, its body is
read no faster than it is asked for, an answer is written no faster than it is taken, and every wait ends. What is no
request is refused in our own form; one without the one Host that it must name is, too. An offer to go on in another
protocol is ignored, and the request it came with read to its end (RFC 9110 §7.8). Requests that come together are
answered in turn, and when their client hangs up it is gone for each of them. A request that was answered before its end
has a moment left to come to it; then its connection is closed.

This is on the path of every call: what a request needs is done in few steps, and most need no timer.
"""

from __future__ import annotations

import asyncio
import re
from collections import deque
from math import inf
from typing import Final, NoReturn, cast, final

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser

from bailiwick.apps.gateway.connected import Connected
from bailiwick.apps.gateway.exchange import HTTP_1_1, STATUS_LINES, Exchange
from bailiwick.apps.gateway.heads import Begun, Key, begun, target
from bailiwick.apps.http.client_ip import OURSELVES
from bailiwick.apps.http.openai_errors import write_error
from bailiwick.domain.errors import Code, Refused

# A head beyond the application's own limit is still parsed, so that its sender gets a proper 431 on a connection that
# lives; one beyond this is cut.
_HARD_HEAD_LIMIT: Final = 1024 * 1024
# Where clients read Anthropic's errors, in both forms of path.
_ANTHROPIC: Final = re.compile(rb"(?:/p/[^/]*)?/v1/messages")
_VERSIONS: Final = frozenset({"1.0", HTTP_1_1})
_ASGI: Final = {"version": "3.0", "spec_version": "2.3"}


@final
class Connection(asyncio.Protocol):
    """One client's connection."""

    __slots__ = (
        "_client", "_connected", "_exchange", "_headers", "_host", "_idle", "_idle_since", "_inside", "_key",
        "_lingering", "_loop", "_offering", "_parser", "_patience", "_quiet", "_reading", "_scheme", "_server",
        "_taken", "_unanswered", "_url", "_waiting", "known", "transport", "write_paused",
    )  # fmt: skip

    transport: asyncio.Transport

    def __init__(self, connected: Connected, *, inside: bool = False) -> None:
        """`inside`: the client is another process of this installation."""
        self._inside = inside
        self._connected = connected
        self._loop = connected.loop
        self._patience = connected.patience
        self._parser = self._new_parser()
        self._client: tuple[str, int] | None = None
        self._server: tuple[str, int] | None = None
        self._scheme = "http"
        # Of the head that is being parsed; or of trailers, which nobody reads.
        self._url = b""
        self._headers: list[tuple[bytes, bytes]] = []
        # It offers to go on in another protocol.
        self._offering = False
        # The latest request, and all that are not answered to their end, in order: the first of them is at it.
        self._exchange: Exchange | None = None
        self._unanswered: deque[Exchange] = deque()
        self.known = connected.known
        self._host = ""
        # By which the head that is being parsed can be known again.
        self._key: Key | None = None
        # Bytes since the last that was content: of a head, of trailers, of what goes by the name of chunk extension.
        self._quiet = 0
        # Runs while such bytes, or the first ones at all, are waited for; most requests arrive whole and need none.
        self._waiting: asyncio.TimerHandle | None = None
        # Runs while the rest of a request is awaited that was answered already.
        self._lingering: asyncio.TimerHandle | None = None
        # Runs while the client has more to take than we keep for it, or has something to take before we close.
        self._reading: asyncio.TimerHandle | None = None
        # Since when nothing was asked. The timer that looks at it runs on while requests come and go: most connections
        # carry many, and a timer for each pause between two would cost as much as reading one.
        self._idle_since = inf
        self._idle: asyncio.TimerHandle | None = None
        self.write_paused = False
        self._taken: asyncio.Event | None = None

    # What its exchanges ask for.

    def pause_reading(self) -> None:
        """Take nothing more from the client for now."""
        self.transport.pause_reading()

    def resume_reading(self) -> None:
        """Take what the client sends."""
        self.transport.resume_reading()

    async def drained(self) -> None:
        """Wait until the client has taken most of what was sent, or is gone."""
        if self._taken is None:
            self._taken = asyncio.Event()
        while self.write_paused:
            await self._taken.wait()

    def answered(self, exchange: Exchange, *, keep_alive: bool) -> None:
        """An answer is written to its end."""
        transport = self.transport
        if not keep_alive:
            transport.close()
        if not transport.is_closing():
            self._unanswered.popleft()
            transport.resume_reading()
            if self._unanswered:
                self._start(self._unanswered[0])
            else:
                self._idle_since = self._loop.time()
                if self._idle is None:
                    self._idle = self._loop.call_later(self._patience.idle, self._look_whether_idle)
                if exchange.more_body:
                    # As long as there is something to read, closing would take the answer away from who reads it.
                    self._lingering = self._loop.call_later(self._patience.linger, transport.close)
        elif self._reading is None:
            self._bound_closing()

    def leave(self, exchange: Exchange) -> None:
        """The application is done with a request; without a whole answer it ends with the connection."""
        if exchange.task is not None:
            self._connected.tasks.discard(exchange.task)
        if not exchange.complete and not exchange.disconnected:
            self.transport.close()

    # The server's side.

    def shut_down(self) -> None:
        """Take no more requests, and end with the last answer."""
        if self._exchange is None or self._exchange.complete:
            self.transport.close()
        else:
            self._exchange.answer_as_last()

    # asyncio's side.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio.Protocol."""
        self.transport = cast("asyncio.Transport", transport)
        self._connected.connections.add(self)
        self._client = (OURSELVES, 0) if self._inside else _address(transport.get_extra_info("peername"))
        self._host = "" if self._client is None else self._client[0]
        self._server = _address(transport.get_extra_info("sockname"))
        self._scheme = "http" if transport.get_extra_info("sslcontext") is None else "https"
        self._wait()

    def pause_writing(self) -> None:
        """See asyncio.Protocol: the client is slower than its answers, also when the last of them is complete."""
        self.write_paused = True
        if self._taken is not None:
            self._taken.clear()
        self._reading = self._loop.call_later(self._patience.reader, self.transport.abort)

    def resume_writing(self) -> None:
        """See asyncio.Protocol."""
        self._let_write()
        self._bound_closing()

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio.Protocol: every request of this connection has lost its client."""
        del exc
        self._connected.connections.discard(self)
        for timer in (self._waiting, self._lingering, self._idle):
            if timer is not None:
                timer.cancel()
        for exchange in self._unanswered:
            exchange.lose_client()
        self._let_write()
        # It leads back to here: only the garbage collector would find the two.
        del self._parser

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        self._idle_since = inf
        between = not (self._quiet or self._unanswered or self._lingering)
        if between and (request := begun(data)) is not None and self._recognize(request):
            return
        self._quiet += len(data)
        try:
            self._feed(data)
        except HttpParserError:
            self._refuse(Refused(Code.INVALID_REQUEST, "The request is not valid HTTP."))
        self._key = None  # It is that of these bytes, and of no others.
        if not self._quiet:
            if self._waiting is not None:
                self._waiting.cancel()
                self._waiting = None
        elif self._quiet > _HARD_HEAD_LIMIT:
            self._refuse(Refused(Code.REQUEST_TOO_LARGE, "The request's headers are too large.", status=431))
        elif self._waiting is None:
            self._wait()

    def _recognize(self, request: Begun) -> bool:
        """Take a request that is here whole, and whose head is known; of any other the parser has to see.

        It misses nothing of the one that is taken.
        """
        key = (self._host, request.head)
        known = self.known.find(key)
        if known is None or not request.whole:
            self._key = key
            return False
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None
        scope = known.scope_of(request.length)
        scope["client"], scope["server"] = self._client, self._server
        exchange = self._exchange = Exchange(self, scope, keep_alive=True, known=known)
        exchange.add(request.behind)
        exchange.end_body()
        self._unanswered.append(exchange)
        self._start(exchange)
        return True

    def _feed(self, data: bytes | memoryview) -> None:
        """Parse what arrived.

        The parser ends a request that offers another protocol with its head, and takes its content for a request. So a
        new one is given that head without the offer, and goes on with the rest.
        """
        while True:
            try:
                self._parser.feed_data(data)
            except HttpParserUpgrade as upgrade:
                head = self._head_without_offer()
                self._parser = self._new_parser()
                self._parser.feed_data(head)
                data = memoryview(data)[upgrade.args[0] :]
            else:
                return

    def _new_parser(self) -> HttpRequestParser:
        parser = HttpRequestParser(self)
        # What comes behind a request with `Connection: close` is ignored, and no reason to refuse that request.
        parser.set_dangerous_leniencies(lenient_data_after_close=True)
        return parser

    def _head_without_offer(self) -> bytes:
        version = self._parser.get_http_version().encode()
        lines = [b"%b %b HTTP/%b" % (self._parser.get_method(), self._url, version)]
        for name, value in self._headers:
            if name == b"connection":
                options = (option.strip() for option in value.split(b","))
                lines.append(b"connection: " + b", ".join(option for option in options if option.lower() != b"upgrade"))
            elif name != b"upgrade":
                lines.append(b"%b: %b" % (name, value))
        return b"\r\n".join(lines) + b"\r\n\r\n"

    # The parser's side.

    def on_message_begin(self) -> None:
        """See httptools."""
        self._url = b""
        self._headers = []
        if not self._quiet:
            self._quiet = 1  # It came right behind another: some of it is here, and the parser is at it.

    def on_url(self, url: bytes) -> None:
        """See httptools: some of the target."""
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """See httptools."""
        self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """See httptools."""
        parser = self._parser
        version, method = parser.get_http_version(), parser.get_method()
        self._offering = parser.should_upgrade()
        if version not in _VERSIONS or (self._offering and method == b"CONNECT"):
            self._stop("The request must be one of HTTP/1.1, and no tunnel.")
        if self._offering:
            return  # It comes again, without the offer.
        self._quiet = 0
        headers = self._headers
        names = [name for name, _ in headers]
        self._check_host(names, version)
        url = self._url
        path, raw_path, query = target(url)
        scope = {
            "type": "http", "asgi": _ASGI, "http_version": version, "scheme": self._scheme, "method": method.decode(),
            "root_path": "", "path": path, "raw_path": raw_path, "query_string": query, "headers": headers,
            "client": self._client, "server": self._server,
        }  # fmt: skip
        known = None if self._key is None else self.known.find(self._key)
        exchange = self._exchange = Exchange(
            self,
            scope,
            keep_alive=version == HTTP_1_1 and parser.should_keep_alive(),
            expects_continue=b"expect" in names and _expects_continue(headers),
            key=self._key,
            known=known if known is not None and known.is_of(scope) else None,
        )
        self._key = None
        self._unanswered.append(exchange)
        if len(self._unanswered) == 1:
            self._start(exchange)
        else:
            self.pause_reading()
        # Trailers are no headers (RFC 9110 §6.5.1): nothing in front of us has checked them.
        self._headers = []

    def on_body(self, body: bytes) -> None:
        """See httptools: some content."""
        self._quiet = 0
        if self._exchange is not None:
            self._exchange.add(body)

    def on_message_complete(self) -> None:
        """See httptools."""
        if self._offering or self._exchange is None:
            return
        self._quiet = 0
        if self._lingering is not None:
            self._lingering.cancel()
            self._lingering = None
        self._exchange.end_body()

    def _start(self, exchange: Exchange) -> None:
        connected = self._connected
        exchange.task = self._loop.create_task(exchange.run(connected.application))
        connected.tasks.add(exchange.task)

    def _check_host(self, names: list[bytes], version: str) -> None:
        """Refuse a request that names no host, or several (RFC 9112 §3.2).

        Whatever stands in front of us, or behind the relay, would choose another one than we do.
        """
        hosts = names.count(b"host")
        if hosts != 1 and (hosts or version == HTTP_1_1):
            self._stop("The request must have one Host header.")

    def _stop(self, message: str) -> NoReturn:
        """Refuse a request and stop the parser; what is raised goes no further."""
        self._refuse(Refused(Code.INVALID_REQUEST, message))
        raise ValueError(message)

    # Its timers.

    def _wait(self) -> None:
        self._waiting = self._loop.call_later(self._patience.head, self._lose_patience)

    def _lose_patience(self) -> None:
        exchange = self._exchange
        if exchange is not None and not exchange.more_body and not exchange.complete:
            self._wait()  # What has begun to come is behind a request that is being answered.
        elif self._quiet:
            message = f"The request's headers did not arrive within {self._patience.head:.0f} seconds."
            self._refuse(Refused(Code.REQUEST_TIMEOUT, message))
        else:
            self.transport.close()

    def _look_whether_idle(self) -> None:
        """Close what has idled for too long. Whoever has not taken the last answer until then never will."""
        left = self._idle_since + self._patience.idle - self._loop.time()
        if left <= 0:
            self.transport.abort()
        self._idle = self._loop.call_later(left, self._look_whether_idle) if 0 < left < inf else None

    def _bound_closing(self) -> None:
        """Closing waits until all is taken, which may be never."""
        if self.transport.is_closing() and self._reading is None and self.transport.get_write_buffer_size():
            self._reading = self._loop.call_later(self._patience.reader, self.transport.abort)

    def _let_write(self) -> None:
        self.write_paused = False
        if self._taken is not None:
            self._taken.set()
        if self._reading is not None:
            self._reading.cancel()
            self._reading = None

    def _refuse(self, refused: Refused) -> None:
        if self.transport.is_closing():
            return
        # No address may be known yet, or only its beginning.
        status, headers, body = write_error(refused, anthropic=_ANTHROPIC.match(self._url) is not None)
        lines = [STATUS_LINES[status], *[b": ".join(header) for header in headers]]
        lines.append(b"x-request-id: req_" + self._connected.new_id().encode())
        lines.append(b"content-length: %d\r\nconnection: close\r\n\r\n%b" % (len(body), body))
        self.transport.write(b"\r\n".join(lines))
        self.transport.close()


def _expects_continue(headers: list[tuple[bytes, bytes]]) -> bool:
    return any(name == b"expect" and value.lower() == b"100-continue" for name, value in headers)


def _address(info: object) -> tuple[str, int] | None:
    """Whose end of a connection: host and port, None for what has no such address."""
    return (str(info[0]), int(info[1])) if isinstance(info, tuple) and len(info) > 1 else None
