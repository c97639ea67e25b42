"""uvicorn on a Unix socket that only this account can use, ended by its parent alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

import uvicorn
from starlette.types import ASGIApp

from bailiwick.apps.http.child_server import ChildServer
from bailiwick.apps.http.unix_socket import listening

_BACKLOG: Final = 512
_KEEP_ALIVE_SECONDS: Final = 75
_DRAIN_SECONDS: Final = 4


async def serve(app: ASGIApp, path: Path, *, on_ready: Callable[[], None]) -> None:
    """Serve on the socket `path` until SIGTERM; requests in flight then have four seconds."""
    config = uvicorn.Config(
        app,
        http="httptools",
        loop="none",
        ws="none",
        lifespan="off",
        interface="asgi3",
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,
        backlog=_BACKLOG,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=_DRAIN_SECONDS,
    )
    with listening(path) as listener:
        await ChildServer(config, on_ready).serve(sockets=[listener])
