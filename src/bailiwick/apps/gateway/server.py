"""Serves the gateway by uvicorn, until SIGTERM, and drains it then."""

from __future__ import annotations

import signal
import socket
from collections.abc import Callable
from typing import Any, Final

import uvicorn

from bailiwick.apps.gateway.connection import connection_class

_KEEP_ALIVE_SECONDS: Final = 75
_BACKLOG: Final = 4096


async def serve(app: Any, listener: socket.socket, *, new_id: Callable[[], str], drain_seconds: float) -> None:
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
        timeout_graceful_shutdown=max(1, int(drain_seconds)),
    )
    # uvicorn raises the signal that ended it once more when it is done; by then it has had its effect.
    signal.signal(signal.SIGTERM, lambda *_: None)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    await uvicorn.Server(config).serve(sockets=[listener])
