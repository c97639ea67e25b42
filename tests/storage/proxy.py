"""A way to PostgreSQL that breaks where a test wants it to: before a statement, after its commit, or in silence."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from enum import Enum, auto
from pathlib import Path
from typing import Final, final

from psycopg.conninfo import conninfo_to_dict, make_conninfo

_SOCKET: Final = ".s.PGSQL.5432"
_PIECE: Final = 1 << 16


class Break(Enum):
    """What happens to a connection over which the awaited bytes are sent."""

    BEFORE = auto()
    """They do not reach the server; the connection is cut."""
    AFTER = auto()
    """The server answers them; the answer does not come through, and the connection is cut."""
    SILENCE = auto()
    """The server answers them; the answer does not come through, and nothing else either, without end."""


@final
class Proxy:
    """Forwards connections to a server's socket. Breaks are used up one by one; without any, all is well."""

    def __init__(self, folder: Path, server: Path) -> None:
        self._server = server
        self._path = folder / _SOCKET
        self._listener: asyncio.Server | None = None
        self._pipes: set[asyncio.Task[None]] = set()
        self._breaks: list[tuple[bytes, Break]] = []
        self.accepted = 0
        self.refusing = False

    def break_at(self, needle: str, *breaks: Break) -> None:
        """Break the connection that sends `needle`; with several, each time that it is sent again."""
        self._breaks += [(needle.encode(), kind) for kind in breaks]

    def cut(self) -> None:
        """Cut every connection."""
        for pipe in self._pipes:
            pipe.cancel()

    @property
    def broken(self) -> bool:
        """Whether all breaks are used up."""
        return not self._breaks

    async def open(self) -> None:
        """Listen."""
        self._listener = await asyncio.start_unix_server(self._accept, str(self._path))

    async def aclose(self) -> None:
        """Cut everything and listen no more."""
        if self._listener is not None:
            self._listener.close()
        self.cut()
        await asyncio.gather(*self._pipes, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        task = asyncio.current_task()
        assert task is not None
        self._pipes.add(task)
        try:
            if not self.refusing:
                await self._connect(reader, writer)
        except asyncio.CancelledError:
            pass  # Cut by the test.
        finally:
            self._pipes.discard(task)
            writer.transport.abort()

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream_reader, upstream_writer = await asyncio.open_unix_connection(str(self._server))
        state: list[Break] = []
        ways = [
            asyncio.ensure_future(self._forward(reader, upstream_writer, state)),
            asyncio.ensure_future(_return(upstream_reader, writer, state)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            with suppress(OSError):
                upstream_writer.transport.abort()

    async def _forward(self, reader: asyncio.StreamReader, upstream: asyncio.StreamWriter, state: list[Break]) -> None:
        while data := await reader.read(_PIECE):
            for needle, kind in self._breaks:
                if needle in data:
                    self._breaks.remove((needle, kind))
                    if kind is Break.BEFORE:
                        return
                    state.append(kind)
                    break
            upstream.write(data)
            await upstream.drain()


async def _return(upstream: asyncio.StreamReader, writer: asyncio.StreamWriter, state: list[Break]) -> None:
    while data := await upstream.read(_PIECE):
        if Break.SILENCE in state:
            await asyncio.Event().wait()
        if Break.AFTER in state:
            return
        writer.write(data)
        await writer.drain()


@asynccontextmanager
async def proxied(url: str) -> AsyncIterator[tuple[Proxy, str]]:
    """A proxy to the server of a login, and the login through it."""
    host = str(conninfo_to_dict(url)["host"])
    with tempfile.TemporaryDirectory(prefix="proxy-") as folder:
        proxy = Proxy(Path(folder), Path(host) / _SOCKET)
        await proxy.open()
        try:
            yield proxy, make_conninfo(url, host=folder)
        finally:
            await proxy.aclose()
