"""A small keep-alive HTTP/1.1 client for the two load programs that wrk cannot play.

One connection carries one call at a time and notes when its first body byte, each further
arrival and its end came. `uvloop` sets TCP_NODELAY on every connection.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from dataclasses import dataclass, field
from typing import cast

import httptools

from bench.calls import Call, Kind

_EVENT = b"data: "


@dataclass(slots=True)
class Exchange:
    """What was seen of one call; moments are `perf_counter` seconds."""

    sent: float
    status: int = 0
    first: float = 0.0
    ended: float = 0.0
    events: int = 0
    arrivals: list[float] = field(default_factory=list)


class Connection(asyncio.Protocol):
    """One connection; `send` yields the `Exchange`, or None if the connection broke."""

    def __init__(self, *, watch_events: bool) -> None:
        """Count the events of a stream only if `watch_events`."""
        self._watch_events = watch_events
        self._transport: asyncio.Transport | None = None
        self._waiting: asyncio.Future[Exchange | None] | None = None
        self._exchange = Exchange(0.0)
        self._parser = httptools.HttpResponseParser(self)
        self.usable = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        # uvloop's transports are asyncio's in all but ancestry.
        self._transport = cast("asyncio.Transport", transport)
        self.usable = True

    def send(self, request: bytes, sent: float) -> asyncio.Future[Exchange | None]:
        """Send one call; its clock started at `sent`."""
        self._waiting = asyncio.get_running_loop().create_future()
        self._exchange = Exchange(sent)
        self._parser = httptools.HttpResponseParser(self)
        if self._transport is None or not self.usable:
            self._waiting.set_result(None)
        else:
            self._transport.write(request)
        return self._waiting

    def data_received(self, data: bytes) -> None:
        """Feed the parser, and count the events that this arrival brought."""
        if self._watch_events:
            events = data.count(_EVENT)
            if events:
                self._exchange.events += events
                self._exchange.arrivals.append(time.perf_counter())
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self.close()

    def on_body(self, _body: bytes) -> None:
        """Note the first byte of the body."""
        if not self._exchange.first:
            self._exchange.first = time.perf_counter()

    def on_message_complete(self) -> None:
        """Hand the exchange over."""
        self._exchange.ended = time.perf_counter()
        self._exchange.status = self._parser.get_status_code()
        if not self._parser.should_keep_alive():
            self.close()
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(self._exchange)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """Tell the waiting call, if there is one, that nothing more will come."""
        self.usable = False
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)

    def close(self) -> None:
        """Close the connection."""
        self.usable = False
        if self._transport is not None:
            self._transport.close()


class Client:
    """Keeps idle connections to one address; opens another when none is idle."""

    def __init__(self, call: Call) -> None:
        """Send the calls of `call`, for each of its end users in turn."""
        self._port = call.port
        self._watch_events = call.kind is Kind.STREAM
        self._requests = call.requests()
        self._idle: list[Connection] = []
        self._turn = 0

    async def exchange(self, sent: float) -> Exchange | None:
        """Carry out one call whose clock started at `sent`; None if its connection broke."""
        self._turn += 1
        request = self._requests[self._turn % len(self._requests)]
        connection = await self._connection()
        if connection is None:
            return None
        seen = await connection.send(request, sent)
        if connection.usable:
            self._idle.append(connection)
        return seen

    async def _connection(self) -> Connection | None:
        while self._idle:
            connection = self._idle.pop()
            if connection.usable:
                return connection
        loop = asyncio.get_running_loop()
        try:
            _, opened = await loop.create_connection(
                lambda: Connection(watch_events=self._watch_events), "127.0.0.1", self._port
            )
        except OSError:
            return None
        return opened


def percentile(values: list[float], share: float) -> float:
    """Return the value below which `share` of `values` lie; 0 for none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else 0.0


def read_task() -> tuple[Call, dict[str, float]]:
    """Read what the parent asks for: one line of JSON on standard input."""
    task = json.loads(sys.stdin.readline())
    asked = task["call"]
    call = Call(
        port=asked["port"],
        kind=Kind(asked["kind"]),
        bearer=asked["bearer"],
        headers=tuple((name, value) for name, value in asked["headers"]),
        path=asked["path"],
    )
    return call, task["numbers"]
