"""The stand-in's server: its thread and its loop, its scripts, its records."""

from __future__ import annotations

import asyncio
import ssl
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self, final

from tests.patience import Patience
from tests.upstream import payloads
from tests.upstream.behaviour import Behaviour, Ending
from tests.upstream.record import Record
from tests.upstream.wire import Connection

_POLL: Final = 0.002
_NOT_FOUND: Final = Behaviour(status=404, body=payloads.error("Unknown request URL.", code="unknown_url"))


@final
class Upstream:
    """A scripted provider. Starts in the constructor, stops in `stop()` or at the end of its `with` block.

    Listens on `host` and `port` (0: any free one), or on the socket `unix_path`; with `tls` it speaks TLS. Every
    method may be called from any thread.
    """

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        unix_path: Path | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.host: Final = host
        self.port = port
        self.greeting: Ending | None = None
        """What happens to a connection as soon as it is accepted, before any request."""
        self._unix_path = unix_path
        self._tls = tls
        self._lock = threading.Lock()
        self._scripts: dict[str, list[Behaviour]] = {}
        self._default = Behaviour()
        self._requests: list[Record] = []
        self._accepted = 0
        self._open: set[Connection] = set()
        self.count = 0
        """Requests received since the start; names the answers."""
        self._ready = threading.Event()
        self._failure: OSError | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: asyncio.Event | None = None
        self._thread = threading.Thread(target=self._run, name="upstream", daemon=True)
        self._thread.start()
        self._ready.wait()
        if self._failure is not None:
            raise self._failure

    # scripts

    def on(self, name: str, *behaviours: Behaviour) -> None:
        """Script a model, or a path when the name starts with a slash: one behaviour a call, the last one for ever."""
        if not behaviours:
            msg = "a script needs a behaviour"
            raise ValueError(msg)
        with self._lock:
            self._scripts[name] = list(behaviours)

    def otherwise(self, behaviour: Behaviour) -> None:
        """Set what a chat completion or list of models without a script is answered with."""
        with self._lock:
            self._default = behaviour

    def reject_connections(self, ending: Ending | None) -> None:
        """Close, reset or stall every new connection as soon as it is accepted; None serves them again."""
        self.greeting = ending

    def clear(self) -> None:
        """Forget records and scripts; open connections stay."""
        with self._lock:
            self._scripts.clear()
            self._default = Behaviour()
            self._requests.clear()
        self.greeting = None

    # what was seen

    @property
    def base_url(self) -> str:
        """What an OpenAI client takes as its base URL."""
        scheme = "http" if self._tls is None else "https"
        return f"{scheme}://{self.host}:{self.port}/v1"

    @property
    def requests(self) -> list[Record]:
        """The requests since the start or `clear()`, oldest first; a new list each time."""
        with self._lock:
            return list(self._requests)

    @property
    def accepted(self) -> int:
        """Connections accepted since the start."""
        return self._accepted

    def open_connections(self) -> int:
        """Count the connections that are open now."""
        return len(self._open)

    async def wait_for(self, predicate: Callable[[], object], timeout: float = 5.0) -> None:  # noqa: ASYNC109 - the caller's patience
        """Wait, letting the caller's loop run, until the predicate is true; TimeoutError after `timeout` seconds."""
        patience = Patience(timeout)
        while not predicate():
            if patience.over():
                raise TimeoutError(self._told())
            await asyncio.sleep(_POLL)

    def wait_for_blocking(self, predicate: Callable[[], object], timeout: float = 5.0) -> None:
        """Do the same for callers without a loop."""
        patience = Patience(timeout)
        while not predicate():
            if patience.over():
                raise TimeoutError(self._told())
            time.sleep(_POLL)

    # lifetime

    def drop_connections(self) -> None:
        """Close every open connection, as a provider's restart would; they are when this returns."""
        if self._loop is not None:
            asyncio.run_coroutine_threadsafe(self._drop_connections(), self._loop).result()

    def stop(self) -> None:
        """Close everything; idempotent."""
        if self._loop is not None and self._stopping is not None and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    # the connections' side, in the server's thread

    def opened(self, connection: Connection) -> None:
        """Count a new connection."""
        self._open.add(connection)

    def closed(self, connection: Connection) -> None:
        """Count it no more."""
        self._open.discard(connection)

    def record(self, record: Record) -> None:
        """Keep a request."""
        with self._lock:
            self.count += 1
            self._requests.append(record)

    def models(self) -> Sequence[str]:
        """Name the scripted models."""
        with self._lock:
            return sorted(name for name in self._scripts if not name.startswith("/")) or ["gpt-4o-mini"]

    def unread(self, record: Record) -> Behaviour | None:
        """Return the script of a path that answers without reading the body."""
        with self._lock:
            script = self._scripts.get(record.path, [])
            return self._next(script) if script and not script[0].reads_body else None

    def choose(self, record: Record) -> Behaviour:
        """Return the behaviour for a request: its path's script, its model's, or the default."""
        path = record.path.partition("?")[0]
        known = (record.method == "POST" and path.endswith("/chat/completions")) or (
            record.method == "GET" and path.endswith("/models")
        )
        with self._lock:
            if script := self._scripts.get(path):
                return self._next(script)
            script = self._scripts.get(record.model or "", [])
            if script and (known or script[0].body is not None or script[0].frames is not None):
                return self._next(script)
            return self._default if known else _NOT_FOUND

    @staticmethod
    def _next(script: list[Behaviour]) -> Behaviour:
        return script.pop(0) if len(script) > 1 else script[0]

    # the thread

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
            runner.run(self._main())

    async def _main(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stopping = asyncio.Event()
        try:
            server = await self._listen(self._loop)
        except OSError as error:
            self._failure = error
            return
        finally:
            self._ready.set()
        await self._stopping.wait()
        for listener in server.sockets:  # asyncio loses a connection that is accepted while its server closes
            self._loop.remove_reader(listener.fileno())
        await asyncio.sleep(_POLL)
        server.close()
        self._abort_connections()
        while self._open:  # noqa: ASYNC110 - it ends within a turn of the loop
            await asyncio.sleep(_POLL)

    async def _drop_connections(self) -> None:
        dropped = set(self._open)
        self._abort_connections()
        while dropped & self._open:  # noqa: ASYNC110 - it ends within a turn of the loop
            await asyncio.sleep(0)

    def _abort_connections(self) -> None:
        for connection in list(self._open):
            connection.abort()

    async def _listen(self, loop: asyncio.AbstractEventLoop) -> asyncio.Server:
        if self._unix_path is not None:
            server = await loop.create_unix_server(self._connection, str(self._unix_path), ssl=self._tls)
        else:
            server = await loop.create_server(self._connection, self.host, self.port, ssl=self._tls, backlog=4096)
            self.port = int(server.sockets[0].getsockname()[1])
        return server

    def _connection(self) -> Connection:
        self._accepted += 1
        return Connection(self, self._accepted)

    def _told(self) -> str:
        seen = [f"{r.method} {r.path} {r.model} chunks={r.chunks_sent} closed={r.closed_at}" for r in self.requests]
        return f"not within the time; open connections: {self.open_connections()}; requests: {seen}"
