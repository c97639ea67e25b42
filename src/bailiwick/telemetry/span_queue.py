"""Spans on their way to a collector: a queue that never makes anybody wait, and a thread that empties it.

What finds the queue full is dropped and counted; so is what the collector does not take. Nothing here is waited for by
a call: a span that is over is put at the end of a list.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from typing import Final, final

from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

ROOM: Final = 4096
# Encoding takes Python's lock from the event loop: not for long at a time.
_BATCH: Final = 128
_PAUSE_SECONDS: Final = 0.2
_PATIENCE_SECONDS: Final = 2.0


@final
class SpanQueue(SpanProcessor):
    """Takes spans from the event loop, and gives them to an exporter in a thread of its own."""

    def __init__(
        self,
        exporter: SpanExporter,
        *,
        on_change: Callable[[bool], None],
        room: int = ROOM,
        pause: float = _PAUSE_SECONDS,
    ) -> None:
        """`on_change` hears, in the thread, whether the collector takes spans, whenever that changes.

        `room` is how many may wait, `pause` how many seconds at most before they are sent.
        """
        self._exporter = exporter
        self._on_change = on_change
        self._room = room
        self._pause = pause
        self._waiting: deque[ReadableSpan] = deque()
        self._wake = threading.Event()
        self._closing = False
        self._working = True
        self.sent = 0
        # Each is counted in one thread only.
        self._overflown = 0
        self._refused = 0
        self._thread = threading.Thread(target=self._run, name="spans", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """How many spans wait to be sent."""
        return len(self._waiting)

    @property
    def dropped(self) -> int:
        """How many spans found no room, or a collector that did not take them."""
        return self._overflown + self._refused

    def on_end(self, span: ReadableSpan) -> None:
        """Queue a span that is over, if it is sampled and there is room."""
        if span.context is None or not span.context.trace_flags.sampled:
            return
        waiting = len(self._waiting)
        if waiting >= self._room:
            self._overflown += 1
            return
        self._waiting.append(span)
        if waiting == _BATCH:
            self._wake.set()

    async def aclose(self) -> None:
        """Send what waits, for two seconds at most; what is left then is lost with the process."""
        self._closing = True
        self._wake.set()
        await asyncio.to_thread(self._thread.join, _PATIENCE_SECONDS)
        self._exporter.shutdown()

    def _run(self) -> None:
        while not self._closing:
            self._wake.wait(self._pause)
            self._wake.clear()
            while self._waiting:
                self._send([self._waiting.popleft() for _ in range(min(len(self._waiting), _BATCH))])

    def _send(self, spans: list[ReadableSpan]) -> None:
        taken = self._exporter.export(spans) is SpanExportResult.SUCCESS
        if taken:
            self.sent += len(spans)
        else:
            self._refused += len(spans)
        if taken != self._working:
            self._working = taken
            self._on_change(taken)
