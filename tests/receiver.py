"""A receiver of webhooks, as a server of its own: it keeps what it is sent, and answers what a test says."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final, final

HANGS: Final = 0
"""Instead of a status: no answer until the server is closed."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """One request: its path, its headers by their names in small letters, its body."""

    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def id(self) -> str:
        """The event's id."""
        return self.headers["webhook-id"]


@final
@dataclass(slots=True, kw_only=True)
class Receiver:
    """One that runs. It answers with `statuses` in their order, then with 200; `location` goes with each."""

    url: str
    received: list[Received] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    location: str = ""


@contextmanager
def receiving() -> Iterator[Receiver]:
    """A receiver on a loopback address."""
    closing = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            receiver.received.append(Received(path=self.path, headers=headers, body=body))
            status = receiver.statuses.pop(0) if receiver.statuses else 200
            if status == HANGS:
                closing.wait()
                return
            self.send_response(status)
            if receiver.location:
                self.send_header("location", receiver.location)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name of the base
            """Say nothing."""

    class Server(ThreadingHTTPServer):
        # A hanging answer's thread ends by itself once `closing` is set.
        daemon_threads = True

    with Server(("127.0.0.1", 0), Handler) as server:
        receiver = Receiver(url=f"http://127.0.0.1:{server.server_port}/hook")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield receiver
        finally:
            closing.set()
            server.shutdown()
            thread.join()
