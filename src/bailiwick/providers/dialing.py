"""Connecting to a provider: from an origin to a connection, by the first of its addresses that answers (RFC 8305).

A guarded origin is connected to exactly an address that the caller's `resolve` has judged; its name serves for TLS.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import ssl
from collections.abc import Awaitable, Callable, Sequence
from itertools import zip_longest
from typing import Final, NamedTuple, Protocol, final

from bailiwick.providers.http1 import Connection
from bailiwick.providers.names import Names
from bailiwick.providers.transport_errors import ConnectFailed


class Resolve(Protocol):
    """Finds and judges where a guarded origin is."""

    def __call__(self, host: str, port: int, *, plain: bool) -> Awaitable[Sequence[tuple[str, int]]]:
        """Return the addresses to connect to, in order; `plain` says that there is no TLS. Raises OSError."""
        ...


"""Returns the (address, port) pairs to try, in order; raises OSError if there are none or one is refused."""

_ALPN: Final = ["http/1.1"]
_STAGGER: Final = 0.25  # seconds that an address has to itself (RFC 8305 §5)


class Origin(NamedTuple):
    """Where requests go: connections are shared by equal origins only. Each request looks up its pool by it."""

    scheme: str
    """`http` or `https`."""
    host: str
    """A name or an address (IPv6 without brackets): what TLS verifies."""
    port: int
    guarded: bool
    """Whether an operator configured it: its addresses are judged. False for what the environment itself names."""
    unix_path: str | None = None
    """A Unix socket to connect to, in place of host and port."""


@final
class Dialer:
    """Makes connections; holds no state but its TLS context.

    Never hands a socket of its own to the loop: uvloop closes the descriptor of such a socket twice when its transport
    is aborted too early, and the second time it may be somebody else's.
    """

    def __init__(self, resolve: Resolve, names: Names, tls: ssl.SSLContext | None) -> None:
        """`resolve` judges guarded origins; `tls` is the system's trust if not given. ALPN is set on it."""
        self._resolve = resolve
        self._names = names
        self._tls = tls
        self._reading = asyncio.Lock()
        if tls is not None:
            tls.set_alpn_protocols(_ALPN)

    async def dial(self, origin: Origin, make: Callable[[], Connection]) -> Connection:
        """Return one of the connections that `make` made, connected. Raises ConnectFailed, TimeoutError.

        A cancelled dial leaves no socket behind.
        """
        try:
            context = await self._context() if origin.scheme == "https" else None
            addresses = await self._addresses(origin)
            if len(addresses) == 1:
                return await _attempt(origin, addresses[0], context, make)
            return await _first(origin, addresses, context, make)
        except TimeoutError:
            raise
        except OSError as error:
            raise ConnectFailed(f"cannot connect: {_told(error)}") from error

    async def _addresses(self, origin: Origin) -> Sequence[tuple[str, int]]:
        if origin.unix_path is not None:
            return [(origin.unix_path, 0)]
        if origin.guarded:
            return await self._resolve(origin.host, origin.port, plain=origin.scheme == "http")
        return [(address, origin.port) for address in await self._names.addresses(origin.host, origin.port)]

    async def _context(self) -> ssl.SSLContext:
        if self._tls is None:
            async with self._reading:  # Once, however many connections are the first.
                if self._tls is None:
                    context = await asyncio.to_thread(ssl.create_default_context)  # reads some hundred certificates
                    context.set_alpn_protocols(_ALPN)
                    self._tls = context
        return self._tls


async def _first(
    origin: Origin, addresses: Sequence[tuple[str, int]], context: ssl.SSLContext | None, make: Callable[[], Connection]
) -> Connection:
    """Return a connection to the first address that answers, the others following one by one."""
    waiting = _interleaved(addresses)
    attempts: set[asyncio.Task[Connection]] = set()
    failure: OSError = socket.gaierror(socket.EAI_NONAME, "no address")
    try:
        while waiting or attempts:
            if waiting:
                attempts.add(asyncio.create_task(_attempt(origin, waiting.pop(0), context, make)))
            patience = _STAGGER if waiting else None
            done, _ = await asyncio.wait(attempts, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
            for attempt in done:
                attempts.discard(attempt)
                try:
                    return attempt.result()
                except OSError as error:
                    failure = error
        raise failure
    finally:
        for attempt in attempts:
            attempt.add_done_callback(_discard)
            attempt.cancel()


async def _attempt(
    origin: Origin, address: tuple[str, int], context: ssl.SSLContext | None, make: Callable[[], Connection]
) -> Connection:
    loop = asyncio.get_running_loop()
    connection = make()
    name = origin.host if context is not None else None
    try:
        if origin.unix_path is not None:
            await loop.create_unix_connection(lambda: connection, address[0], ssl=context, server_hostname=name)
        else:
            await loop.create_connection(lambda: connection, *address, ssl=context, server_hostname=name)
    except BaseException:
        connection.close()  # at once: the loop alone would wait for the peer's part of TLS's farewell
        raise
    return connection


def _interleaved(addresses: Sequence[tuple[str, int]]) -> list[tuple[str, int]]:
    """Let the families alternate, beginning with the one that the resolver prefers."""
    if not addresses:
        return []
    is_v6 = ":" in addresses[0][0]
    preferred = [address for address in addresses if (":" in address[0]) == is_v6]
    others = [address for address in addresses if (":" in address[0]) != is_v6]
    return [address for pair in zip_longest(preferred, others) for address in pair if address is not None]


def _discard(attempt: asyncio.Task[Connection]) -> None:
    """Close the connection of an attempt that came second."""
    with contextlib.suppress(asyncio.CancelledError, OSError):
        attempt.result().close()


def _told(error: OSError) -> str:
    """Say what went wrong, without the address that the system's own message may hold."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not valid ({error.verify_message})"
    if isinstance(error, ssl.SSLError):
        return f"TLS failed ({error.reason})"
    if isinstance(error, socket.gaierror):
        return "the name has no address"
    if error.errno is not None:
        return os.strerror(error.errno)
    return str(error)  # a refusal of `resolve`
