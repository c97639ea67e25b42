"""Whether a peer that closed its connection had received what was sent to it.

The end of a connection (FIN) carries the number of bytes that the peer's system had received until then (RFC 9293
§3.4). If it is less than what was sent, the peer closed before it could read the rest, and will not read it any more.
A reset proves nothing: the system does not look at its number. Known on Linux only; elsewhere nothing is proved.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import Final

_INFO: Final[int | None] = getattr(socket, "TCP_INFO", None)
# Of `struct tcp_info` (linux/tcp.h), which only ever grows at its end.
_SIZE: Final = 256
_ACKED: Final = struct.Struct("=120xQ")
_SENT: Final = struct.Struct("=200xQQ")


def is_unacknowledged(transport: asyncio.BaseTransport) -> bool:
    """Whether something that was sent had not arrived when the peer's FIN left. To be asked when the FIN is here."""
    connected = transport.get_extra_info("socket")
    if _INFO is None or connected is None:
        return False
    try:
        info = connected.getsockopt(socket.IPPROTO_TCP, _INFO, _SIZE)
    except OSError:
        return False
    if len(info) < _SENT.size:
        return False
    (acknowledged,) = _ACKED.unpack_from(info)
    sent, sent_again = _SENT.unpack_from(info)
    # The acknowledgement of our SYN counts as one byte.
    return bool(acknowledged <= sent - sent_again)
