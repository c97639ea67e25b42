"""The queue of spans: bounded, never waited for, and everything that goes missing is counted."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

from bailiwick.telemetry.metrics import Metrics
from bailiwick.telemetry.observer import Observation, Observer
from bailiwick.telemetry.span_queue import SpanQueue
from bailiwick.telemetry.traces import Spans
from tests.patience import process_lag
from tests.serving import until
from tests.telemetry.collector import Collector


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as opened:
        yield opened


@asynccontextmanager
async def spans(collector: Collector, *, room: int = 4096, patience: float = 1) -> AsyncIterator[Spans]:
    """Spans on their way to a collector."""
    exporter = OTLPSpanExporter(f"{collector.url}/v1/traces", timeout=patience)
    made = Spans(exporter, to_providers=False, on_change=lambda _taken: None, room=room)
    try:
        yield made
    finally:
        await made.queue.aclose()


def request(made: Spans) -> Observation:
    seen = Observation("0" * 32, "/v1/me")
    made.begin(seen, "GET", ())
    made.ended(seen)
    return seen


async def test_what_waits_at_the_end_is_sent(collector: Collector) -> None:
    async with spans(collector) as made:
        for _ in range(300):
            request(made)
    assert len(collector.spans) == 300
    assert (made.queue.sent, made.queue.dropped) == (300, 0)


async def test_a_queue_that_is_full_drops_and_counts_and_nobody_waits(collector: Collector) -> None:
    collector.stalled.set()
    async with spans(collector, room=200, patience=30) as made:
        for _ in range(100):
            request(made)
        until(lambda: not made.queue.waiting)
        with process_lag() as lag:
            began = time.monotonic()
            for _ in range(1000):
                request(made)
            assert time.monotonic() - began < 0.5 + lag.seconds
        assert made.queue.waiting == 200
        assert made.queue.dropped == 800
        collector.stalled.clear()
    assert (made.queue.sent, len(collector.spans)) == (300, 300)


async def test_an_end_with_a_collector_that_says_nothing_comes_in_time(collector: Collector) -> None:
    collector.stalled.set()
    began = time.monotonic()
    with process_lag() as lag:
        async with spans(collector) as made:
            request(made)
            until(lambda: not made.queue.waiting)
        assert time.monotonic() - began < 3.5 + lag.seconds


async def test_what_a_collector_refuses_is_dropped_and_both_changes_are_told(collector: Collector) -> None:
    told: list[bool] = []
    queue = SpanQueue(OTLPSpanExporter(f"{collector.url}/v1/traces", timeout=1), on_change=told.append, pause=0.01)
    async with spans(collector) as made:
        made.queue.on_end = queue.on_end  # type: ignore[method-assign]  # where its spans go instead
        for takes in (True, False, False, True, True):
            collector.takes = takes
            before = queue.sent + queue.dropped
            request(made)
            until(lambda before=before: queue.sent + queue.dropped > before)  # type: ignore[misc]
    await queue.aclose()
    assert (queue.sent, queue.dropped, told) == (3, 2, [False, True])


async def test_a_request_that_is_not_traced_has_no_spans() -> None:
    observer = Observer(Metrics(), log=None, spans=None, monotonic_ns=lambda: 0)
    seen = observer.begin("0" * 32)
    observer.ended(seen)
    assert (seen.span, seen.call_span, seen.for_provider) == (None, None, b"")
