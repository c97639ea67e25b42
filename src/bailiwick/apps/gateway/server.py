"""Serves the gateway by uvicorn, until SIGTERM, and drains it then."""

from __future__ import annotations

import logging
import socket
import ssl
from collections.abc import Callable
from functools import partial
from math import ceil
from typing import Any, Final

import uvicorn

from bailiwick.apps.gateway.connection import Connection
from bailiwick.apps.http.child_server import ChildServer

_HEAD_SECONDS: Final = 30.0
_LINGER_SECONDS: Final = 3.0
SLOW_READER_SECONDS: Final = 60.0
_KEEP_ALIVE_SECONDS: Final = 75
_BACKLOG: Final = 4096


async def serve(
    app: Any,
    listener: socket.socket,
    *,
    tls: ssl.SSLContext | None,
    new_id: Callable[[], str],
    drain_seconds: float,
    on_ready: Callable[[], None],
) -> None:
    """Serve until SIGTERM, then take no new calls and wait for those in flight, at most `drain_seconds`.

    `app` is an ASGI application; its type is as wide as uvicorn's. Without `tls` it is plain HTTP.
    """
    # It tells of what clients sent, a line for each: theirs to write and ours to keep.
    logging.getLogger("python_multipart").setLevel(logging.CRITICAL)
    # Typed by uvicorn as a class; whatever makes a connection will do.
    connection: Any = partial(
        Connection,
        new_id=new_id,
        head_seconds=_HEAD_SECONDS,
        linger_seconds=_LINGER_SECONDS,
        reader_seconds=SLOW_READER_SECONDS,
    )
    config = uvicorn.Config(
        app,
        http=connection,
        loop="none",
        ws="none",
        lifespan="off",
        interface="asgi3",
        access_log=False,
        log_config=None,
        # Below an error it does the same.
        log_level="error",
        server_header=False,
        date_header=False,
        proxy_headers=False,
        backlog=_BACKLOG,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=ceil(drain_seconds),
        ssl_context_factory=None if tls is None else lambda *_: tls,
    )
    await ChildServer(config, on_ready).serve(sockets=[listener])
