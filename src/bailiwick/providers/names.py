"""Looks up the names of providers, so that a name whose servers say nothing keeps nobody from looking up another.

The system's look-up blocks, and cannot be called off; an event loop has two to four threads for it. Whoever sets
addresses could fill them with names that nobody answers for, and then no connection to any other provider is made. So
each look-up has a thread of its own, and a name is looked up once at a time, however many ask.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from contextlib import suppress
from ipaddress import ip_address
from threading import Thread
from typing import Any, Final, final

# At a time; whoever comes later waits, for as long as connecting may take.
_MOST: Final = 256
_SystemLookup = Callable[..., list[tuple[Any, ...]]]


@final
class Names:
    """The look-ups of one event loop."""

    def __init__(self, *, getaddrinfo: _SystemLookup = socket.getaddrinfo) -> None:
        """`getaddrinfo` is called in threads, as the standard library's."""
        self._getaddrinfo = getaddrinfo
        self._running: dict[str, asyncio.Task[list[str]]] = {}
        self._places = asyncio.Semaphore(_MOST)

    async def addresses(self, host: str, port: int) -> list[str]:
        """The addresses of a name, in the system's order of preference; raises `OSError` if it has none."""
        with suppress(ValueError):
            return [str(ip_address(host))]
        running = self._running.get(host)
        if running is None:
            # A task of its own: the first who asks may leave before the others have their answer.
            running = self._running[host] = asyncio.create_task(self._look_up(host, port))
        return await asyncio.shield(running)

    async def _look_up(self, host: str, port: int) -> list[str]:
        try:
            async with self._places:
                return await self._in_a_thread(host, port)
        finally:
            del self._running[host]

    async def _in_a_thread(self, host: str, port: int) -> list[str]:
        loop = asyncio.get_running_loop()
        found: asyncio.Future[list[str]] = loop.create_future()

        def tell(addresses: list[str], trouble: Exception | None) -> None:
            if found.done():
                return
            if trouble is None:
                found.set_result(addresses)
            else:
                found.set_exception(trouble)

        def look() -> None:
            addresses: list[str] = []
            trouble: Exception | None = None
            try:
                known = self._getaddrinfo(host, port, type=socket.SOCK_STREAM)
                addresses = [str(sockaddr[0]) for *_, sockaddr in known]
            except Exception as error:  # noqa: BLE001 - whatever it is, it must reach whoever waits
                trouble = error
            with suppress(RuntimeError):  # The loop was closed meanwhile: nobody waits.
                loop.call_soon_threadsafe(tell, addresses, trouble)

        # As a daemon: the end of this process does not wait for names.
        Thread(target=look, name="name look-up", daemon=True).start()
        return await found
