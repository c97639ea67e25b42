"""From a tool server's answer to the client's: whole, or event by event as it comes, fitted to what its user may use.

Nothing is sent before the server has shown that it answers, unless it is a stream that only tells of changes, which may
be silent for long. A call is settled before its answer leaves, so that a client that has it has a ledger row.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from typing import Final, Protocol, TypeVar, final

import msgspec

from bailiwick.domain.errors import ProviderFailed
from bailiwick.domain.json_body import LARGE
from bailiwick.domain.mcp import INTERNAL_ERROR, LISTEN
from bailiwick.domain.mcp_answers import Garbled, Visible, fitted
from bailiwick.domain.mcp_messages import Message
from bailiwick.domain.tool_policy import TooMany
from bailiwick.domain.usage import Outcome
from bailiwick.providers.answers.errors import MAX_ERROR, read_retry_after
from bailiwick.providers.mcp import McpUpstream
from bailiwick.providers.provider import Exchange, failure_of
from bailiwick.providers.sse import MAX_EVENT, Events, EventTooLarge, data_of
from bailiwick.providers.transport_errors import TransportError
from bailiwick.services.metering import Meter
from bailiwick.services.outcomes import failed
from bailiwick.services.reply import Reply
from bailiwick.services.tool_handles import Handle, Handles

Result = TypeVar("Result")
Header = tuple[bytes, bytes]

_SMALL: Final = 64 * 1024
_OK: Final = 200
_ACCEPTED: Final = frozenset({202, 204})
# A server's refusals that are the caller's to see; 401 and 403 are our trouble with the server.
_PASSED_ON: Final = frozenset({400, 404, 405, 406, 409, 413, 415, 422, 429})
_SERVER_ERRORS: Final = range(500, 600)
_EVENTS: Final = b"text/event-stream"
_JSON: Final[Header] = (b"content-type", b"application/json")
_SESSION: Final = b"mcp-session-id"
_SESSION_ID: Final = re.compile(rb"[!-~]{1,1024}")
_LINE: Final = re.compile(rb"\r\n|\n|\r")
_DATA: Final = re.compile(rb"data(?::|\Z)")
_NAME: Final = re.compile(rb"id(?::|\Z)")
_EVENT_ID: Final = re.compile(rb"[!-~](?:[ -~]{0,1022}[!-~])?")
_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
_UNREADABLE: Final = "The tool server's answer could not be understood."


class Aside(Protocol):
    """Does a long piece of work where it holds nobody up."""

    async def __call__(self, work: Callable[[], Result]) -> Result:
        """Return what the work returns."""
        ...


class ToolReply(Reply, Protocol):
    """A `Reply` with what a tool server's answer has beside."""

    async def answer(self, body: bytes, content_type: Header = ..., *more: Header) -> None:
        """Send a whole answer."""
        ...

    async def begin_stream(self, content_type: bytes | None = None, *more: Header) -> None:
        """Say that events follow."""
        ...

    async def accept(self, *more: Header) -> None:
        """Say that the message was taken, and that nothing answers it."""
        ...

    async def no_content(self, headers: list[Header]) -> None:
        """Say that it is done."""
        ...

    async def error(self, status: int, headers: list[Header], body: bytes) -> None:
        """Send an error."""
        ...


@final
class _Error(msgspec.Struct):
    """A JSON-RPC error, as servers send it with a status of its own."""

    code: int
    message: str
    data: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


@final
class _Refusal(msgspec.Struct):
    error: _Error


async def relay(
    exchange: Exchange,
    upstream: McpUpstream,
    message: Message | None,
    visible: Visible,
    handles: Handles,
    meter: Meter,
    reply: ToolReply,
    *,
    wrap: Callable[[str], str] | None,
    aside: Aside,
) -> None:
    """Pass an answer on; raises `ProviderFailed`, `TransportError`.

    `wrap` names sessions for the outside, `handles` whatever else a client brings back.
    """
    meter.status = exchange.status
    found = dict(exchange.headers)
    more: list[Header] = []
    session = found.get(_SESSION, b"")
    if wrap is not None and _SESSION_ID.fullmatch(session) is not None:
        more.append((_SESSION, wrap(session.decode()).encode()))
    passing = _Passing(exchange, upstream, message, visible, handles, meter, reply, aside)
    if exchange.status in _ACCEPTED or (exchange.status == _OK and (message is None or not message.is_request)):
        if exchange.status == _OK and _is_stream(found):
            await passing.stream(more)
            return
        exchange.abort()
        await meter.settle(Outcome.COMPLETED)
        await (reply.no_content(more) if message is None else reply.accept(*more))
    elif exchange.status != _OK:
        await passing.refusal()
    elif _is_stream(found):
        await passing.stream(more)
    else:
        await passing.whole(more)


def _is_stream(headers: dict[bytes, bytes]) -> bool:
    return headers.get(b"content-type", b"").partition(b";")[0].strip().lower() == _EVENTS


@final
class _Passing:
    """One answer on its way."""

    def __init__(
        self,
        exchange: Exchange,
        upstream: McpUpstream,
        message: Message | None,
        visible: Visible,
        handles: Handles,
        meter: Meter,
        reply: ToolReply,
        aside: Aside,
    ) -> None:
        self._exchange = exchange
        self._upstream = upstream
        self._message = message
        self._visible = visible
        self._handles = handles
        self._meter = meter
        self._reply = reply
        self._aside = aside

    async def whole(self, more: list[Header]) -> None:
        """Read an answer, fit it, settle, send it."""
        parts: list[bytes] = []
        size = 0
        while (chunk := await self._exchange.next_chunk()) is not None:
            parts.append(chunk)
            size += len(chunk)
            self._check_room(size)
        body = await self._fit(b"".join(parts))
        if body is None:
            raise ProviderFailed(_UNREADABLE, garbled=True)
        self._meter.first_byte()
        await self._meter.settle(Outcome.COMPLETED)
        await self._reply.answer(body, _JSON, *more)

    async def stream(self, more: list[Header]) -> None:
        """Send events as they come; a failure in the middle is told as the request's answer."""
        begun = self._message is None or self._message.method == LISTEN
        if begun:
            await self._reply.begin_stream(None, *more)
        events = Events()
        try:
            while (chunk := await self._exchange.next_chunk()) is not None:
                whole = events.feed(chunk)
                self._check_room(events.waiting)
                sent = b"".join([await self._event(event) for event in whole])
                if not sent:
                    continue
                if not begun:
                    begun = True
                    self._meter.first_byte()
                    await self._reply.begin_stream(None, *more)
                await self._reply.send(sent)
        except (ProviderFailed, TransportError, EventTooLarge) as error:
            failure = ProviderFailed(_UNREADABLE) if isinstance(error, EventTooLarge) else failure_of(error)
            if not begun:
                raise failure from error
            self._exchange.abort()
            await self._end(failure)
            return
        if not begun:
            raise ProviderFailed(_UNREADABLE, garbled=True)
        await self._end(None)

    def _check_room(self, size: int) -> None:
        if size > MAX_EVENT or (size > _SMALL and not self._reply.holds(size)):
            raise ProviderFailed("The tool server's answer was too large.")

    async def _end(self, failure: ProviderFailed | None) -> None:
        """End a stream; a request that has no answer yet is told that none will come."""
        last = b""
        if not self._meter.finished and self._message is not None and self._message.id is not None:
            error = {"code": INTERNAL_ERROR, "message": "The tool server broke off its answer."}
            told = {"jsonrpc": "2.0", "id": msgspec.Raw(self._message.id), "error": error}
            last = b"event: message\ndata: %b\n\n" % msgspec.json.encode(told) if failure is not None else b""
        await self._meter.settle(Outcome.COMPLETED if failure is None or self._message is None else failed(failure))
        await self._reply.end_stream(last)

    async def refusal(self) -> None:
        """Pass a refusal on that is the caller's to see; raises `ProviderFailed` for any other."""
        status = self._exchange.status
        if status not in _PASSED_ON and status not in _SERVER_ERRORS:
            raise ProviderFailed("The tool server did not take this server's request.")
        body = await self._exchange.read(MAX_ERROR)
        error: dict[str, object] = {"code": INTERNAL_ERROR, "message": f"The tool server answered with {status}."}
        try:
            said = msgspec.json.decode(body, type=_Refusal).error
            error = {"code": said.code, "message": self._upstream.scrub(said.message)}
            if said.data is not msgspec.UNSET:
                error["data"] = said.data
        except (msgspec.MsgspecError, RecursionError):
            pass
        message_id = None if self._message is None or self._message.id is None else msgspec.Raw(self._message.id)
        told = msgspec.json.encode({"jsonrpc": "2.0", "id": message_id, "error": error})
        headers: list[Header] = [_JSON]
        if (after := read_retry_after(self._exchange.headers, self._meter.now())) is not None:
            headers.append((b"retry-after", b"%d" % after))
        await self._meter.settle(Outcome.PROVIDER_ERROR)
        await self._reply.error(status, headers, self._upstream.without_secrets(told))

    async def _event(self, event: bytes) -> bytes:
        """One event as the user may see it; empty if not at all."""
        # A reader takes it from the beginning of a stream, and reads what we would not have.
        event = event.removeprefix(_BYTE_ORDER_MARK)
        data = data_of(event)
        message = await self._fit(data) if data else data
        if data and message is None:
            return b""
        lines = self._others(event)
        if message is not None:
            lines.append(b"data: " + message.replace(b"\n", b"\ndata: "))
        return b"".join(line + b"\n" for line in lines) + b"\n"

    def _others(self, event: bytes) -> list[bytes]:
        """An event's lines that are no data, one of them at most its name."""
        lines = [line for line in _LINE.split(event) if line and not _DATA.match(line)]
        names = [line for line in lines if _NAME.match(line)]
        return [line for line in lines if not _NAME.match(line)] + [self._name(line) for line in names[-1:]]

    def _name(self, line: bytes) -> bytes:
        """The name of a place in the stream as this user may bring it back."""
        own = line[3:].removeprefix(b" ")
        # Of another form it could not come back in a header; without any it cannot be asked for.
        return (
            b"id: " + self._handles.outside(Handle.EVENT, own.decode()).encode() if _EVENT_ID.fullmatch(own) else b"id"
        )

    async def _fit(self, data: bytes) -> bytes | None:
        work = partial(fitted, data, self._visible, partial(self._handles.outside, Handle.STATE))
        try:
            message = await self._aside(work) if len(data) > LARGE else work()
        except Garbled:
            raise ProviderFailed(_UNREADABLE, garbled=True) from None
        except TooMany:
            said = "The tool server's lists are too long for as many rules as there are here."
            raise ProviderFailed(said, garbled=True) from None
        if message is None:
            return None
        asked = self._message
        if asked is not None and asked.id is not None and message.answers == asked.id and not self._meter.finished:
            self._meter.finished = True
            self._meter.first_byte()
            await self._meter.settle(Outcome.COMPLETED)
        return self._upstream.without_secrets(message.body)
