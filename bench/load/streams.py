"""Streams, so many at once: when the first byte comes, and whether the chunks come one by one.

New streams begin until the time is up, then the last ones are read to their end: the cost of
every stream that was begun is counted, and so is the stream.
Run by the benchmark as `python -m bench.load.streams`.
"""

from __future__ import annotations

import asyncio
import gc
import json
import statistics
import sys
import time

import uvloop

from bench.load.wire import Client, Exchange, percentile, read_task
from bench.mock import EVENT_GAP_MS, EVENTS

_PATIENCE = 60.0


async def _reader(client: Client, seen: list[Exchange | None], begin: float, until: float) -> None:
    await asyncio.sleep(begin)
    while (now := time.perf_counter()) < until:
        exchange = await client.exchange(now)
        seen.append(exchange)
        if exchange is None:
            await asyncio.sleep(0.05)


async def _run(client: Client, at_once: int, seconds: float) -> dict[str, float]:
    seen: list[Exchange | None] = []
    started = time.perf_counter()
    until = started + seconds
    # Spread over one stream's length, so that their chunks do not all fall into the same instant.
    spread = EVENTS * EVENT_GAP_MS / 1000 / at_once
    readers = [asyncio.ensure_future(_reader(client, seen, number * spread, until)) for number in range(at_once)]
    _, unfinished = await asyncio.wait(readers, timeout=seconds + _PATIENCE)
    for reader in unfinished:
        reader.cancel()
    took = time.perf_counter() - started
    good = [exchange for exchange in seen if exchange is not None and exchange.status == 200]
    first = [1000 * (exchange.first - exchange.sent) for exchange in good]
    gaps = [
        1000 * (later - earlier)
        for exchange in good
        for earlier, later in zip(exchange.arrivals, exchange.arrivals[1:], strict=False)
    ]
    return {
        "streams": len(seen),
        "streams_a_second": len(good) / took,
        "errors": len(seen) - len(good) + len(unfinished),
        "first_byte_p50_ms": percentile(first, 0.5),
        "first_byte_p99_ms": percentile(first, 0.99),
        "events": statistics.median([exchange.events for exchange in good] or [0]),
        "arrivals": statistics.median([len(exchange.arrivals) for exchange in good] or [0]),
        "gap_p50_ms": percentile(gaps, 0.5),
    }


def main() -> None:
    """Do what standard input asks for and print one line of JSON."""
    call, numbers = read_task()
    gc.disable()
    seen = uvloop.run(_run(Client(call), int(numbers["at_once"]), numbers["seconds"]))
    sys.stdout.write(json.dumps(seen) + "\n")


if __name__ == "__main__":
    main()
