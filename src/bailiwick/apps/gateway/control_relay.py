"""Relays `/admin` and `/dashboard` to the control process, over its Unix socket.

So that one port serves everything, and the process that talks to the world's clients does not hold the control
plane's database login. Bytes pass both ways as they are; who the client is travels in `x-forwarded-for`, which only
this relay may set on that socket.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any, Final, final

import msgspec

from bailiwick.apps.gateway.body import ClientGone, read_body
from bailiwick.apps.gateway.reply import Send
from bailiwick.apps.gateway.watch import Receive
from bailiwick.apps.http.openai_errors import MethodNotAllowed, write_error
from bailiwick.apps.http.request_head import bound_head
from bailiwick.domain.errors import Refused, Unavailable
from bailiwick.providers.http1 import Timeouts
from bailiwick.providers.transport import Origin, Transport
from bailiwick.providers.transport_errors import TransportError
from bailiwick.services.guard import Guard

# Beyond what the control process accepts, so that its own limit is the one that is told.
_MOST: Final = 2 * 1024 * 1024
# Of one connection and not of the message (RFC 9110 §7.6.1), or ours to say.
_HOP_BY_HOP: Final = frozenset(
    {b"connection", b"keep-alive", b"proxy-connection", b"te", b"trailer", b"transfer-encoding", b"upgrade",
     b"content-length", b"expect", b"x-forwarded-for"}
)  # fmt: skip
# A response to HEAD is framed unlike the others, and nothing behind this relay needs it.
_METHODS: Final = ("GET", "POST", "PATCH", "PUT", "DELETE", "OPTIONS")
_FAILURES: Final = range(400, 500)
_NO_LINE_BREAKS: Final = bytes.maketrans(b"\r\n\0", b"   ")


@final
class ControlRelay:
    """Passes a request on and its answer back."""

    def __init__(
        self, transport: Transport, *, socket: str, guard: Guard, new_id: Callable[[], str], max_head: int
    ) -> None:
        """`socket` is the control process's; `new_id` names the answers that never got there; sizes are in bytes."""
        self._transport = transport
        self._guard = guard
        self._new_id = new_id
        self._max_head = max_head
        self._origin = Origin(scheme="http", host="localhost", port=80, guarded=False, unix_path=socket)
        self._timeouts = Timeouts(connect=5.0, first_byte=60.0, between_bytes=60.0)

    async def __call__(self, scope: Mapping[str, Any], receive: Receive, send: Send, ip: str) -> None:
        """Answer one request (ASGI 3) from the control process."""
        try:
            bound_head(scope["headers"], self._max_head)
            await self._guard.admit(ip)
            if scope["method"] not in _METHODS:
                raise MethodNotAllowed(_METHODS)
            body = await read_body(receive, announced=None, most=_MOST)
            request = _request(scope, body, ip)
            response = await self._transport.send(self._origin, request, timeouts=self._timeouts)
        except ClientGone:
            return
        except Refused as refused:
            await self._refuse(send, refused)
            return
        except (
            TransportError,
            asyncio.CancelledError,
        ) as error:  # Cancelled: this process ends before the answer is here.
            await self._refuse(send, Unavailable(cause=type(error).__name__))
            return
        if response.status in _FAILURES:
            await self._guard.failed(ip)
        headers = [(name, value) for name, value in response.headers if name not in _HOP_BY_HOP]
        await send({"type": "http.response.start", "status": response.status, "headers": headers})
        try:
            while (chunk := await response.next_chunk()) is not None:
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
        except (TransportError, asyncio.CancelledError):
            return  # The server closes a connection whose answer stays incomplete.
        await send({"type": "http.response.body", "body": b""})

    async def _refuse(self, send: Send, refused: Refused) -> None:
        """Answer in the control plane's form (RFC 9457)."""
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


def _request(scope: Mapping[str, Any], body: bytes, ip: str) -> bytes:
    target: bytes = scope["raw_path"]
    if scope["query_string"]:
        target += b"?" + scope["query_string"]
    lines = [b"%b %b HTTP/1.1" % (scope["method"].encode(), target)]
    for name, value in scope["headers"]:
        if name not in _HOP_BY_HOP:
            lines.append(b"%b: %b" % (name, value.translate(_NO_LINE_BREAKS)))
    lines.append(b"x-forwarded-for: %b" % ip.encode())
    lines.append(b"content-length: %d" % len(body))
    return b"\r\n".join(lines) + b"\r\n\r\n" + body
