"""A connection that is handed what arrives piece by piece, exactly as a test cuts it: no socket has a say in it."""

from __future__ import annotations

import asyncio
from typing import Any, Final, final

from bailiwick.apps.gateway.connected import Connected, Patience
from bailiwick.apps.gateway.connection import Connection
from bailiwick.apps.gateway.exchange import EXTENSION

PATIENCE: Final = Patience(head=60, linger=60, reader=60, idle=60)
# More steps of the event loop than any request needs that waits for nothing outside.
_STEPS: Final = 30

Shown = list[tuple[bool, dict[str, Any], bytes]]


@final
class Wire(asyncio.Transport):
    """Where a connection's answers go."""

    def __init__(self, connection: Connection, host: str) -> None:
        super().__init__({"peername": (host, 40_000), "sockname": ("127.0.0.1", 80)})
        self.sent = b""
        self._connection = connection
        self._closing = False
        connection.connection_made(self)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """See asyncio.WriteTransport."""
        self.sent += data

    def get_write_buffer_size(self) -> int:
        """See asyncio.WriteTransport: the client takes all at once."""
        return 0

    def pause_reading(self) -> None:
        """See asyncio.ReadTransport; what is fed is not held up."""

    def resume_reading(self) -> None:
        """See asyncio.ReadTransport."""

    def is_closing(self) -> bool:
        """See asyncio.BaseTransport."""
        return self._closing

    def close(self) -> None:
        """See asyncio.BaseTransport."""
        if not self._closing:
            self._closing = True
            asyncio.get_running_loop().call_soon(self._connection.connection_lost, None)

    def abort(self) -> None:
        """See asyncio.WriteTransport."""
        self.close()


@final
class Server:
    """A server whose application keeps what it is `shown`: whether a head was known, the request, and its body.

    It answers what was said at `/early` without its body, and at `/late` when `go` is set. If it is `forgetful` it has
    no head kept.
    """

    def __init__(self, *, forgetful: bool = False) -> None:
        self.shown: Shown = []
        self.go = asyncio.Event()
        self.connected: Final = Connected(self._answer, PATIENCE, new_id=lambda: "0" * 32)
        self._forgetful = forgetful

    async def _answer(self, scope: Any, receive: Any, send: Any) -> None:
        exchange = scope["extensions"][EXTENSION]
        body = b""
        while scope["path"] != "/early" and (message := await receive())["type"] == "http.request":
            body += message["body"]
            if not message["more_body"]:
                break
        told = {name: value for name, value in scope.items() if name != "extensions"}
        self.shown.append((exchange.known is not None, told, body))
        if scope["path"] == "/late":
            await self.go.wait()
        if not self._forgetful:
            exchange.remember("meaning")
        said = b"%b %b" % (scope["raw_path"], body)
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(said))]})
        await send({"type": "http.response.body", "body": said})

    async def said(self, *pieces: bytes, host: str = "127.0.0.1") -> bytes:
        """Hand a new connection some pieces, each when all before it is done with; hang up; return what came back."""
        connection = Connection(self.connected)
        wire = Wire(connection, host)
        for piece in pieces:
            if not wire.is_closing():
                connection.data_received(piece)
                await settled()
        wire.close()
        await settled()
        return wire.sent


async def settled() -> None:
    """Let everything happen that can."""
    for _ in range(_STEPS):
        await asyncio.sleep(0)
