"""Reads a request's body, no larger than allowed and no slower, and bounds what all bodies take together.

What counts is what has come, not what was announced: a client that sends nothing keeps no room from others. Small
bodies do not count, so that ordinary calls go on whatever others send; and no project can take what others need.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, final

from bailiwick.apps.gateway.watch import Message, Receive
from bailiwick.domain.errors import Code, Refused
from bailiwick.domain.ids import ProjectId

_SLOWEST_SECONDS: Final = 60.0
# As much as the server holds of a body before anybody asks for it.
SMALL: Final = 64 * 1024


class ClientGone(Exception):
    """The client hung up before its request was whole; nobody is left to answer."""


@final
class Room:
    """What all calls together may hold of large bodies, in bytes, and each project of it.

    A project's bodies may take as much as they leave free: half of it all if no other project has any, half of what is
    left beside others. So whoever comes next finds room, whatever one project sends. A project's only body may take all
    that is there.
    """

    __slots__ = ("_free", "_held")

    def __init__(self, size: int) -> None:
        self._free = size
        self._held: dict[ProjectId, int] = {}

    def take(self, owner: ProjectId, size: int, *, before: int) -> None:
        """Take `size` bytes for a body that has taken `before`; raises `Refused` (503) if that is too much."""
        held = self._held.get(owner, 0)
        left = self._free - size
        if left < 0 or (held > before and held + size > left):
            message = "Too many large requests are being handled at once. Try again shortly."
            raise Refused(Code.UNAVAILABLE, message, retry_after=1)
        self._free = left
        self._held[owner] = held + size

    def give_back(self, owner: ProjectId, size: int) -> None:
        """Give back what was taken."""
        self._free += size
        left = self._held[owner] - size
        if left:
            self._held[owner] = left
        else:
            del self._held[owner]


async def read_body(
    receive: Receive, *, announced: int | None, most: int, hold: Callable[[int], None]
) -> tuple[bytes, bool]:
    """Read the whole body, and say whether it was waited for; raises `Refused` (413, 408) or `ClientGone`.

    The first message of `receive` is what is here already, as our `Connection` gives it: nothing has to bound its time.
    `hold` is told how many bytes more of a large body are here now, and may raise `Refused`.
    """
    if announced is not None and announced > most:
        raise _too_large(most)
    first = await receive()
    # Most bodies are here at once, and small: with these nothing has to be reckoned.
    if first["type"] == "http.request" and not first["more_body"] and len(first["body"]) <= min(most, SMALL):
        return first["body"], False
    parts = _Parts(most, hold)
    if not parts.add(first):
        return parts.whole(), False
    try:
        async with asyncio.timeout(_SLOWEST_SECONDS):
            while parts.add(await receive()):
                pass
    except TimeoutError:
        message = f"The request's body did not arrive within {_SLOWEST_SECONDS:.0f} seconds."
        raise Refused(Code.REQUEST_TIMEOUT, message) from None
    return parts.whole(), True


@final
class _Parts:
    """What has come of a body."""

    __slots__ = ("_held", "_hold", "_most", "_parts", "_size")

    def __init__(self, most: int, hold: Callable[[int], None]) -> None:
        self._most = most
        self._hold = hold
        self._parts: list[bytes] = []
        self._size = 0
        self._held = 0

    def add(self, message: Message) -> bool:
        """Take what came; returns whether there is more to come."""
        if message["type"] == "http.disconnect":
            raise ClientGone
        part: bytes = message["body"]
        self._parts.append(part)
        self._size += len(part)
        if self._size > self._most:
            raise _too_large(self._most)
        if self._size > SMALL:
            self._hold(self._size - self._held)
            self._held = self._size
        more: bool = message["more_body"]
        return more

    def whole(self) -> bytes:
        return self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)


def _too_large(most: int) -> Refused:
    return Refused(Code.REQUEST_TOO_LARGE, f"The request's body is larger than {most} bytes.")
