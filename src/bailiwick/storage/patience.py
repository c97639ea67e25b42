"""Bounds how long a database may keep us waiting, whatever has become of it.

A server that is frozen, or a network that swallows everything, answers nothing and breaks nothing: a driver waits for
it without end, and a query that is cancelled waits for the server's word on that. So the socket is shut instead. For
the driver the connection is broken then, at once and as if the server had gone.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Generator
from contextlib import contextmanager, suppress
from typing import Any

import psycopg

# Rows are of no concern here.
_Connection = psycopg.AsyncConnection[Any]


@contextmanager
def at_most(seconds: float, connection: _Connection) -> Generator[None]:
    """Break `connection` if the block lasts longer than so many seconds: what it waits for then raises."""
    timer = asyncio.get_running_loop().call_later(seconds, _break, connection)
    try:
        yield
    finally:
        timer.cancel()


def _break(connection: _Connection) -> None:
    # The driver's descriptor stays its own: another one of the same socket is shut and closed.
    with (
        suppress(OSError, psycopg.OperationalError),
        socket.socket(fileno=os.dup(connection.fileno())) as same,
    ):
        same.shutdown(socket.SHUT_RDWR)
