"""Serves the gateway until SIGTERM, and drains it then.

It ends in one of three ways: every request has been answered; the time for that is up; or there was a second SIGTERM.
In the last two, what is left is cancelled, and waited for until it has said so to its client. Ctrl-C (SIGINT) is for
the parent.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Final

from bailiwick.apps.gateway.connected import Connected, Patience
from bailiwick.apps.gateway.connection import Connection
from bailiwick.apps.gateway.exchange import Application
from bailiwick.apps.http.unix_socket import listening

SLOW_READER_SECONDS: Final = 60.0
_PATIENCE: Final = Patience(head=30.0, linger=3.0, reader=SLOW_READER_SECONDS, idle=75.0)
_BACKLOG: Final = 4096
# How long a request that is cancelled may take for its last words: a client that does not read hears none.
_LAST_WORDS_SECONDS: Final = 1.0
_LOOK_SECONDS: Final = 0.1


async def serve(
    application: Application,
    listener: socket.socket,
    *,
    inside: Path,
    tls: ssl.SSLContext | None,
    new_id: Callable[[], str],
    drain_seconds: float,
    on_ready: Callable[[], None],
) -> None:
    """Serve until SIGTERM, then take no new calls and wait for those in flight, at most `drain_seconds`.

    `application` is an ASGI application. Without `tls` it is plain HTTP. `inside` is a Unix socket to serve at besides,
    without TLS, for the processes of this installation. `on_ready` is called once, when requests are
    accepted.
    """
    # It tells of what clients sent, a line for each: theirs to write and ours to keep.
    logging.getLogger("python_multipart").setLevel(logging.CRITICAL)
    loop = asyncio.get_running_loop()
    ending, hurrying = asyncio.Event(), asyncio.Event()

    def end() -> None:
        (hurrying if ending.is_set() else ending).set()

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    loop.add_signal_handler(signal.SIGTERM, end)
    connected = Connected(application, _PATIENCE, new_id=new_id)
    with listening(inside) as own:
        servers = (
            await loop.create_unix_server(lambda: Connection(connected, inside=True), sock=own),
            await loop.create_server(lambda: Connection(connected), sock=listener, ssl=tls, backlog=_BACKLOG),
        )
        on_ready()
        await ending.wait()
        for server in servers:
            server.close()
    listener.close()
    for connection in [*connected.connections]:
        connection.shut_down()
    over = {loop.create_task(_drained(connected)), loop.create_task(hurrying.wait())}
    _, waiting = await asyncio.wait(over, timeout=drain_seconds, return_when=asyncio.FIRST_COMPLETED)
    for task in waiting:
        task.cancel()
    left = [*connected.tasks]
    for task in left:
        task.cancel()
    if left:
        await asyncio.wait(left, timeout=_LAST_WORDS_SECONDS)


async def _drained(connected: Connected) -> None:
    """Wait until every request is answered and every client has its answer."""
    while connected.connections or connected.tasks:  # noqa: ASYNC110 - it ends once, and is looked at for a while
        await asyncio.sleep(_LOOK_SECONDS)
