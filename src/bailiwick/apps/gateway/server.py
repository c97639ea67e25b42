"""Serves the gateway by uvicorn, until SIGTERM, and drains it then."""

from __future__ import annotations

import socket
from collections.abc import Callable
from math import ceil
from typing import Any, Final

import uvicorn

from bailiwick.apps.gateway.connection import connection_class
from bailiwick.apps.http.child_server import ChildServer

_KEEP_ALIVE_SECONDS: Final = 75
_BACKLOG: Final = 4096


async def serve(
    app: Any, listener: socket.socket, *, new_id: Callable[[], str], drain_seconds: float, on_ready: Callable[[], None]
) -> None:
    """Serve until SIGTERM, then take no new calls and wait for those in flight, at most `drain_seconds`.

    `app` is an ASGI application; its type is as wide as uvicorn's.
    """
    config = uvicorn.Config(
        app,
        http=connection_class(new_id),
        loop="none",
        ws="none",
        lifespan="off",
        interface="asgi3",
        access_log=False,
        log_config=None,
        # Below an error it tells of what clients sent, a line for each: theirs to write and ours to keep.
        log_level="error",
        server_header=False,
        date_header=False,
        proxy_headers=False,
        backlog=_BACKLOG,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=ceil(drain_seconds),
    )
    await ChildServer(config, on_ready).serve(sockets=[listener])
