"""Writes one call's answer as ASGI messages."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Final, final

import msgspec

from bailiwick.apps.gateway.exchange import Exchange
from bailiwick.apps.gateway.watch import Message, Watched
from bailiwick.apps.http.cors import readable_by
from bailiwick.apps.http.rate_limit_headers import headers_in, rate_limit_lines
from bailiwick.apps.http.tool_headers import CALLS_BLOCKED, TOOLS_REMOVED, listed_tools
from bailiwick.domain.limits import Decision
from bailiwick.telemetry.observer import Observation

Send = Callable[[Message], Awaitable[None]]
Header = tuple[bytes, bytes]

_JSON: Final = (b"content-type", b"application/json")
_EVENTS: Final = (
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),
)


@final
class HttpReply(msgspec.Struct, eq=False):
    """A `Reply` over HTTP. Once the head was sent, which its observation tells, no error status can be.

    `exchange` is there if our own server has the request. `anthropic`: this client reads Anthropic's errors, not
    OpenAI's. `page` is the origin of a page that may read the answer. `keep` takes room for so many bytes, if there is
    any.
    """

    _send: Send
    _seen: Observation
    exchange: Exchange | None = None
    decision: Decision | None = None
    _streaming: bool = False
    tools_removed: Sequence[str] = ()
    calls_blocked: Sequence[str] = ()
    anthropic: bool = False
    page: bytes | None = None
    watched: Watched | None = None
    keep: Callable[[int], bool] | None = None

    @property
    def client_gone(self) -> bool:
        """Whether the client went away before its answer's end."""
        return self.watched is not None and self.watched.gone

    @property
    def taken_away(self) -> bool:
        """Whether the call was cancelled because its caller may not go on."""
        return self.watched is not None and self.watched.refused is not None

    def ask_again(self, may_go_on: Callable[[], Awaitable[object]]) -> None:
        """While the call goes on, ask this whenever something changed; it raises `Refused` if the caller may not."""
        if self.watched is not None:
            self.watched.may_go_on = may_go_on

    def hear_out(self) -> None:
        """From now on the call goes on when its client goes away."""
        if self.watched is not None:
            self.watched.goes_on = True

    def holds(self, size: int) -> bool:
        """Say that so many bytes of the answer are in memory now; False if there is no room for them."""
        return self.keep is None or self.keep(size)

    async def answer(self, body: bytes, content_type: Header = _JSON, *more: Header) -> None:
        """Send a whole answer."""
        headers = [content_type, (b"content-length", b"%d" % len(body)), *more]
        if self.exchange is None or not self._answer_at_once(self.exchange, headers, body):
            await self._start(200, headers)
            await self._end(body)

    async def no_content(self, headers: list[Header]) -> None:
        """Answer with headers alone."""
        await self._start(204, headers)
        await self._end(b"")

    async def accept(self, *more: Header) -> None:
        """Say that a message was taken which nothing answers."""
        await self._start(202, [(b"content-length", b"0"), *more])
        await self._end(b"")

    async def begin_stream(self, content_type: bytes | None = None, *more: Header) -> None:
        """Send the head of a stream of events, or of something of a type of its own."""
        self._streaming = content_type is None
        headers = _EVENTS if content_type is None else ((b"content-type", content_type),)
        await self._start(200, [*headers, *more])

    async def send(self, events: bytes) -> None:
        """Send events; waits while the client does not read."""
        await self._send({"type": "http.response.body", "body": events, "more_body": True})

    async def end_stream(self, events: bytes) -> None:
        """Send the last events and end."""
        await self._end(events)

    async def break_off(self) -> None:
        """Close the connection in the middle of a body (RFC 9112 §8: it is then incomplete)."""
        await self._send({"type": "bailiwick.break_off"})

    async def error(self, status: int, headers: list[Header], body: bytes) -> None:
        """Send an error, within a stream as its last event; nothing once an answer is on its way.

        What the limits said is told, unless the error tells it itself.
        """
        if self._streaming:
            name = b"event: error\n" if self.anthropic else b""
            await self._end(b"%bdata: %b\n\n" % (name, body))
            return
        if self._seen.status:
            return
        if any(name == b"ratelimit" for name, _ in headers):
            self.decision = None
        await self._start(status, [*headers, (b"content-length", b"%d" % len(body))])
        await self._end(body)

    def _answer_at_once(self, exchange: Exchange, headers: Sequence[Header], body: bytes) -> bool:
        """Hand a whole answer to our own server; False if it does not take it."""
        self._seen.status = 200
        if self.watched is not None:
            self.watched.ending = True
        lines = [b"%b: %b\r\n" % header for header in headers]
        return exchange.answer(200, b"".join([*lines, self._lines_of_ours()]), body)

    async def _start(self, status: int, headers: list[Header]) -> None:
        self._seen.status = status
        headers += headers_in(self._lines_of_ours())
        await self._send({"type": "http.response.start", "status": status, "headers": headers})

    def _lines_of_ours(self) -> bytes:
        """The part of a head that is ours to say, as lines, each with its end."""
        lines = b"x-request-id: req_%b\r\n" % self._seen.id.encode()
        if self.decision is not None:
            lines += rate_limit_lines(self.decision)
        if self.tools_removed:
            lines += b"%b: %b\r\n" % (TOOLS_REMOVED, listed_tools(self.tools_removed))
        if self.calls_blocked:
            lines += b"%b: %b\r\n" % (CALLS_BLOCKED, listed_tools(self.calls_blocked))
        if self.page is not None:
            lines += b"".join([b"%b: %b\r\n" % header for header in readable_by(self.page)])
        return lines

    async def _end(self, body: bytes) -> None:
        self._streaming = False
        if self.watched is not None:
            self.watched.ending = True
        await self._send({"type": "http.response.body", "body": body})
