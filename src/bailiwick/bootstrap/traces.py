"""Builds what sends spans, where they are wanted; its packages are imported nowhere else."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bailiwick.telemetry.traces import Spans


@asynccontextmanager
async def sending_spans(
    *, wanted: bool, to_providers: bool, on_change: Callable[[bool], None]
) -> AsyncGenerator[Spans | None]:
    """Send spans to the collector that the environment names; on the way out what waits is sent, within bounds."""
    if not wanted:
        yield None
        return
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415

    from bailiwick.telemetry.traces import Spans  # noqa: PLC0415

    # It tells of every batch that it cannot send; we tell when that begins and when it ends.
    logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
    spans = Spans(OTLPSpanExporter(), to_providers=to_providers, on_change=on_change)
    try:
        yield spans
    finally:
        await spans.queue.aclose()
