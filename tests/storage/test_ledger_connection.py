"""The ledger's connections on the event loop that the gateway runs on, when a server ends in the middle."""

from __future__ import annotations

import asyncio
import select
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
import uvloop
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from bailiwick.storage import roles
from bailiwick.storage.ledger_connection import LedgerConnection
from bailiwick.storage.sql import Sql
from tests.database import TestDatabase

_SOCKET = ".s.PGSQL.5432"


@contextmanager
def way_that_ends_unread(url: str) -> Iterator[tuple[str, threading.Event]]:
    """A login through a way to the server, and the event from which on it reads nothing, and ends at the next bytes."""
    deaf = threading.Event()
    with tempfile.TemporaryDirectory(prefix="way-") as folder, socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"{folder}/{_SOCKET}")
        listener.listen()

        def serve() -> None:
            client, _ = listener.accept()
            with client, socket.socket(socket.AF_UNIX) as server:
                server.connect(str(Path(str(conninfo_to_dict(url)["host"])) / _SOCKET))
                while True:
                    for ready in select.select([client, server], [], [], 0.01)[0]:
                        if ready is client and deaf.is_set():
                            return
                        (server if ready is client else client).sendall(ready.recv(65536))

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield make_conninfo(url, host=folder), deaf
        finally:
            deaf.set()
            thread.join(5)


def test_a_server_that_ends_before_it_has_read_a_statement_is_noticed_at_once(database: TestDatabase) -> None:
    with way_that_ends_unread(database.url(roles.LEDGER)) as (url, deaf):

        async def use() -> None:
            connection = LedgerConnection(url, name="bailiwick ledger of a test")
            try:
                await connection.execute(Sql(b"SELECT 1"))
                deaf.set()
                await connection.execute(Sql(b"SELECT 2"))
            finally:
                await connection.aclose()

        began = time.monotonic()
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner, pytest.raises(psycopg.OperationalError):
            runner.run(asyncio.wait_for(use(), 10))
        assert time.monotonic() - began < 4
