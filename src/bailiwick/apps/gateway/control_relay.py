"""Relays `/admin` and `/dashboard` to the control process, over its Unix socket.

So that one port serves everything, and the process that talks to the world's clients does not hold the control
plane's database login. Bytes pass both ways as they are; who the client is travels in `x-forwarded-for`, which only
this relay may set on that socket.

Bytes pass as they come, too: who may ask, and for how much, is the control process's to say, and it says so before it
has read a body. Its answer ends the upload, so nothing is kept here for those whom it turns away. A client that goes
away takes its request along; one that does not read is cut, as in the data plane.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from http import HTTPStatus
from typing import Any, Final, final

import msgspec

from bailiwick.apps.gateway.body import ClientGone
from bailiwick.apps.gateway.reply import Send
from bailiwick.apps.gateway.watch import Message, Receive, Watch, Watched
from bailiwick.apps.http.openai_errors import MethodNotAllowed, write_error
from bailiwick.apps.http.request_head import bound_head
from bailiwick.domain.errors import Code, Refused, Unavailable
from bailiwick.providers.http1 import Timeouts
from bailiwick.providers.transport import Origin, Response, Transport
from bailiwick.providers.transport_errors import TransportError
from bailiwick.services.guard import Guard

_SLOWEST_BODY_SECONDS: Final = 60.0
# Of one connection and not of the message (RFC 9110 §7.6.1).
_HOP_BY_HOP: Final = frozenset(
    {b"connection", b"keep-alive", b"proxy-connection", b"te", b"trailer", b"transfer-encoding", b"upgrade"}
)
# Whose place in a message is no connection's to take away.
_KEPT: Final = frozenset({b"content-length", b"host"})
# What of a request is ours to say.
_OURS: Final = frozenset({b"content-length", b"expect", b"x-forwarded-for"})
# A response to HEAD is framed unlike the others, and nothing behind this relay needs it.
_METHODS: Final = ("GET", "POST", "PATCH", "PUT", "DELETE", "OPTIONS")
_FAILURES: Final = range(400, 500)
_NO_LINE_BREAKS: Final = bytes.maketrans(b"\r\n\0", b"   ")


@final
class ControlRelay:
    """Passes a request on and its answer back."""

    def __init__(
        self,
        transport: Transport,
        *,
        socket: str,
        guard: Guard,
        watch: Watch,
        new_id: Callable[[], str],
        max_head: int,
    ) -> None:
        """`socket` is the control process's; `new_id` names the answers that never got there; sizes are in bytes."""
        self._transport = transport
        self._guard = guard
        self._watch = watch
        self._new_id = new_id
        self._max_head = max_head
        self._origin = Origin(scheme="http", host="localhost", port=80, guarded=False, unix_path=socket)
        self._timeouts = Timeouts(connect=5.0, first_byte=60.0, between_bytes=60.0)

    async def __call__(self, scope: Mapping[str, Any], receive: Receive, send: Send, ip: str, *, from_ip: str) -> int:
        """Answer one request (ASGI 3) from the control process; returns the status, 0 if there is nobody to tell.

        `ip` is what the client is counted by, `from_ip` the address that the control process is told.
        """
        body = _Body(receive)
        watched = self._watch.enter(body.receive_after)
        try:
            response = await self._ask(scope, body, ip, from_ip)
        except ClientGone:
            return 0
        except Refused as refused:
            return await self._refuse(send, refused)
        except (TransportError, asyncio.CancelledError) as error:
            if watched.gone:
                return 0
            # Cancelled all the same: this process ends before the answer is here.
            return await self._refuse(send, Unavailable(cause=type(error).__name__))
        else:
            await self._pass_on(response, watched, send, ip)
            return response.status
        finally:
            watched.leave()

    async def _ask(self, scope: Mapping[str, Any], body: _Body, ip: str, from_ip: str) -> Response:
        bound_head(scope["headers"], self._max_head)
        self._guard.admit(ip)
        if scope["method"] not in _METHODS:
            raise MethodNotAllowed(_METHODS)
        async with aclosing(body.pieces()) as pieces:
            return await self._transport.send_stream(
                self._origin, _head(scope, from_ip), pieces, timeouts=self._timeouts, chunked=True
            )

    async def _pass_on(self, response: Response, watched: Watched, send: Send, ip: str) -> None:
        if response.status in _FAILURES:
            self._guard.failed(ip)
        headers = _end_to_end(response.headers)
        try:
            await send({"type": "http.response.start", "status": response.status, "headers": headers})
            while (chunk := await response.next_chunk()) is not None:
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
            watched.ending = True
            await send({"type": "http.response.body", "body": b""})
        except (TransportError, asyncio.CancelledError):
            response.abort()  # The server closes a connection whose answer stays incomplete.

    async def _refuse(self, send: Send, refused: Refused) -> int:
        """Answer in the control plane's form (RFC 9457); returns the status."""
        status, headers, _ = write_error(refused)
        problem = {
            "type": "about:blank",
            "title": HTTPStatus(status).phrase,
            "status": status,
            "detail": refused.message,
            "code": refused.code.value,
        }
        body = msgspec.json.encode(problem)
        headers = [header for header in headers if header[0] != b"content-type"]
        headers.append((b"content-type", b"application/problem+json"))
        headers.append((b"content-length", b"%d" % len(body)))
        headers.append((b"x-request-id", b"req_" + self._new_id().encode()))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})
        return status


@final
class _Body:
    """A request's body, passed on as it comes, and no slower than a whole body may be."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._over = asyncio.Event()

    async def pieces(self) -> AsyncGenerator[bytes]:
        """Every piece; raises `Refused` (408) and `ClientGone`."""
        deadline = asyncio.get_running_loop().time() + _SLOWEST_BODY_SECONDS
        more = True
        try:
            while more:
                async with asyncio.timeout_at(deadline):
                    message = await self._receive()
                if message["type"] == "http.disconnect":
                    raise ClientGone
                yield message.get("body", b"")
                more = message.get("more_body", False)
        except TimeoutError:
            told = f"The request's body did not arrive within {_SLOWEST_BODY_SECONDS:.0f} seconds."
            raise Refused(Code.REQUEST_TIMEOUT, told) from None
        finally:
            self._over.set()

    async def receive_after(self) -> Message:
        """What the server reports once the body is here, or is no longer wanted."""
        await self._over.wait()
        return await self._receive()


def _end_to_end(headers: Sequence[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """The headers that are not of one connection: neither by their name, nor because `Connection` names them."""
    named = {option.strip().lower() for name, value in headers if name == b"connection" for option in value.split(b",")}
    left_out = _HOP_BY_HOP | (named - _KEPT)
    return [header for header in headers if header[0] not in left_out]


def _head(scope: Mapping[str, Any], ip: str) -> bytes:
    target: bytes = scope["raw_path"]
    if scope["query_string"]:
        target += b"?" + scope["query_string"]
    lines = [b"%b %b HTTP/1.1" % (scope["method"].encode(), target)]
    for name, value in _end_to_end(scope["headers"]):
        if name not in _OURS:
            lines.append(b"%b: %b" % (name, value.translate(_NO_LINE_BREAKS)))
    if all(name != b"host" for name, _ in scope["headers"]):  # As HTTP/1.0 has it; this is HTTP/1.1.
        lines.append(b"host: localhost")
    lines.append(b"x-forwarded-for: %b" % ip.encode())
    lines.append(b"transfer-encoding: chunked\r\n\r\n")
    return b"\r\n".join(lines)
