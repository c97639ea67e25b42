"""Our own gateway, as the control process calls it: over a Unix socket that no other account can use.

A call that comes so is a call as any other: by the same code, with a credential, within every limit. What it may say,
since nobody else can connect there, is for which client it asks.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple, final

from bailiwick.domain.errors import Unavailable
from bailiwick.providers.http1 import Timeouts
from bailiwick.providers.transport import Origin, ResponseTooLarge, Transport, TransportError

# Whoever waits for it at the other end of the relay gives up after 60 s.
PATIENCE_SECONDS: Final = 50.0
_LONGEST_ANSWER: Final = 2 * 1024 * 1024


@final
class Answer(NamedTuple):
    """What the gateway answered. `body` is None if it is longer than anybody would read."""

    status: int
    headers: Mapping[str, str]
    body: bytes | None


@final
class OwnGateway:
    """Asks it, one request a connection."""

    def __init__(self, transport: Transport, *, socket: str) -> None:
        """`socket` is the gateway's, as `serve` chose it."""
        self._transport = transport
        self._origin = Origin(scheme="http", host="localhost", port=80, guarded=False, unix_path=socket)
        self._timeouts = Timeouts(connect=5.0).within(PATIENCE_SECONDS)

    async def ask(self, method: str, path: str, *, token: str, ip: str | None, body: bytes = b"") -> Answer:
        """Send a request with a JSON body, for a client at the address `ip`; raises `Unavailable`."""
        forwarded = "" if ip is None else f"x-forwarded-for: {ip}\r\n"
        head = (
            f"{method} {path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {token}\r\n{forwarded}"
            f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
        ).encode()
        try:
            response = await self._transport.send(self._origin, (head, body), timeouts=self._timeouts)
            headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in response.headers}
            try:
                answer = await response.read(_LONGEST_ANSWER)
            except ResponseTooLarge:
                return Answer(response.status, headers, None)
        except TransportError as error:
            raise Unavailable(cause=f"the gateway: {type(error).__name__}") from None
        return Answer(response.status, headers, answer)
