"""Reads a request's body, no larger than allowed and no slower."""

from __future__ import annotations

import asyncio
from typing import Final

from bailiwick.apps.gateway.watch import Receive
from bailiwick.domain.errors import Code, Refused

_SLOWEST_SECONDS: Final = 60.0


class ClientGone(Exception):
    """The client hung up before its request was whole; nobody is left to answer."""


async def read_body(receive: Receive, *, announced: int | None, most: int) -> bytes:
    """Read the whole body; raises `Refused` (413, 408) or `ClientGone`."""
    if announced is not None and announced > most:
        raise _too_large(most)
    try:
        async with asyncio.timeout(_SLOWEST_SECONDS):
            return await _read_rest(receive, most)
    except TimeoutError:
        message = f"The request's body did not arrive within {_SLOWEST_SECONDS:.0f} seconds."
        raise Refused(Code.REQUEST_TIMEOUT, message) from None


async def _read_rest(receive: Receive, most: int) -> bytes:
    parts: list[bytes] = []
    size = 0
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        part: bytes = message.get("body", b"")
        parts.append(part)
        size += len(part)
        if size > most:
            raise _too_large(most)
        more = message.get("more_body", False)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _too_large(most: int) -> Refused:
    return Refused(Code.REQUEST_TOO_LARGE, f"The request's body is larger than {most} bytes.")
