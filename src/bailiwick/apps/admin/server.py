"""uvicorn on a Unix socket that only this account can use, ended by its parent alone."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, final

import uvicorn
from starlette.types import ASGIApp

_BACKLOG: Final = 512
_KEEP_ALIVE_SECONDS: Final = 75
_DRAIN_SECONDS: Final = 4


@final
class _Server(uvicorn.Server):
    """A server that says when it accepts requests, ends on SIGTERM, and leaves SIGINT to the parent."""

    def __init__(self, config: uvicorn.Config, on_ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_ready = on_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._on_ready()

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        """Take SIGTERM as the end; uvicorn's own would take SIGINT too, and raise it again when all is done."""
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, self.handle_exit)
        yield


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
    with _listening(path) as listener:
        await _Server(config, on_ready).serve(sockets=[listener])


@contextmanager
def _listening(path: Path) -> Generator[socket.socket]:
    """Bind the socket, mode 0600 from its first moment; one that a dead process left is replaced."""
    with suppress(FileNotFoundError):
        path.unlink()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        mask = os.umask(0o177)
        try:
            listener.bind(str(path))
        finally:
            os.umask(mask)
        try:
            yield listener
        finally:
            path.unlink(missing_ok=True)
