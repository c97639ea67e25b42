"""uvicorn in a child process of `serve`: it says when it accepts requests, and its parent alone ends it.

It ends in one of three ways: every request has been answered; the time for that is up; or there was a second SIGTERM.
In the last two, what is left is cancelled, and waited for until it has said so to its client.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
from collections.abc import Callable, Generator
from contextlib import contextmanager
from types import FrameType
from typing import Final, final

import uvicorn

# How long a request that is cancelled may take for its last words: a client that does not read hears none.
_LAST_WORDS_SECONDS: Final = 1.0


def _is_unforeseen(record: logging.LogRecord) -> bool:
    """Whether something is worth a line; not that calls are cut short: each of them is told, and settled."""
    return not record.msg.startswith("Cancel ")


@final
class ChildServer(uvicorn.Server):
    """A server that ends on SIGTERM, hurries on a second one, and leaves Ctrl-C (SIGINT) to the parent."""

    def __init__(self, config: uvicorn.Config, on_ready: Callable[[], None]) -> None:
        """`on_ready` is called once, when requests are accepted."""
        super().__init__(config)
        self._on_ready = on_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to listen."""
        await super().startup(sockets)
        self._on_ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Take no new requests, wait for those that are there, and cut short what is left when the time is up."""
        logging.getLogger("uvicorn.error").addFilter(_is_unforeseen)
        await super().shutdown(sockets)
        left = set(self.server_state.tasks)
        if self.force_exit:  # Otherwise uvicorn has cancelled what is left; nobody has waited for that yet.
            for task in left:
                task.cancel()
        if left:
            await asyncio.wait(left, timeout=_LAST_WORDS_SECONDS)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """End; a second time: without waiting."""
        del sig, frame
        self.force_exit = self.should_exit
        self.should_exit = True

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        """Take SIGTERM as the end; uvicorn's own would take SIGINT too, and raise it again when all is done."""
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, self.handle_exit)
        yield
